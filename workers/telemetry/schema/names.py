"""Names of metrics. Devices say the same few again and again: each is looked at once, and remembered."""

from __future__ import annotations

from collections.abc import Iterable

MAX_CHARACTERS = 64

_MOST_REMEMBERED = 10_000
_plain: set[str] = set()


def are_plain(names: Iterable[str]) -> bool:
    """Return whether every name has 1 to `MAX_CHARACTERS` characters."""
    if _plain.issuperset(names):
        return True
    new = [name for name in names if 0 < len(name) <= MAX_CHARACTERS]
    # Whoever makes names up must not fill the memory with them.
    if len(_plain) + len(new) > _MOST_REMEMBERED:
        _plain.clear()
    _plain.update(new)
    return _plain.issuperset(names)
