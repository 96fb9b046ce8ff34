"""Which values become JSON: what orjson writes by itself, and Decimal, pydantic models and all of numpy beside it.

Where one can't, `explain_unencodable` says which part of it is to blame (``$.metrics.humidity``). It looks at the whole
value once more, slowly, so it is for errors only.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any

import orjson
from pydantic import BaseModel

OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z
"""How orjson is called, with `encode_other` for the types that it does not know. UTC is ``Z``, as in `format_utc`."""

_DEEPEST = 254
"""orjson's own limit."""
_LEAST_INTEGER, _FIRST_TOO_LARGE = -(2**63), 2**64
_MOST_SHOWN = 200
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Step = str
"""One step of a path: ``.name``, ``["a name"]`` or ``[3]``; empty where a part stands in its whole's place."""


def encode_other(value: object) -> object:
    """Return what stands for ``value`` in JSON, as orjson's ``default``. Raises TypeError or ValueError for nothing.

    A Decimal becomes a number with exactly its digits; a pydantic model what its ``model_dump(mode="json")`` has; an
    array of numpy that orjson does not write by itself (strided, or of strings) a list.
    """
    if isinstance(value, Decimal):
        # A number that readers take for infinity is as good as one.
        if not value.is_finite() or not isfinite(float(value)):
            raise ValueError("JSON has only finite numbers")
        return orjson.Fragment(str(value))
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if _is_numpy(value):
        plain = value.tolist()  # type: ignore[attr-defined]
        if not _is_numpy(plain):
            return plain
    raise TypeError("JSON has no word for it")


def explain_unencodable(value: object) -> TypeError | ValueError | None:
    """Return the error that names the first part of ``value`` which JSON can't hold, or None where there is none.

    It is a TypeError where JSON has nothing of that kind, and a ValueError where it has, only not this one: NaN, an
    integer beyond 64 bits, a lone surrogate, a value that holds itself.
    """
    try:
        _look(value, [])
    except _Unencodable as problem:
        return problem.to_error()
    return None


class _Unencodable(Exception):
    """A part that can't be written. Its path grows, from the end, on the way up to the whole."""

    def __init__(self, kind: type[TypeError | ValueError], sentence: str) -> None:
        super().__init__(sentence)
        self._kind = kind
        self._sentence = sentence
        self.steps: list[Step] = []

    def to_error(self) -> TypeError | ValueError:
        path = "$" + "".join(reversed(self.steps))
        if len(path) > _MOST_SHOWN:
            path = path[:_MOST_SHOWN] + "…"
        return self._kind(f"{path} {self._sentence}")


def _look(value: object, above: list[int]) -> None:
    """Raise _Unencodable for the first part that can't be written; ``above`` has the ids of what ``value`` lies in."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, int):
        if not _LEAST_INTEGER <= value < _FIRST_TOO_LARGE:
            raise _Unencodable(ValueError, f"is an integer of {value.bit_length()} bits: only 64 can be written")
    elif isinstance(value, float) and not isfinite(value):
        raise _Unencodable(ValueError, f"is {float(value)}: JSON has only finite numbers")
    elif type(value) is not float:
        if id(value) in above:
            raise _Unencodable(ValueError, "is a part of itself")
        if len(above) >= _DEEPEST:
            raise _Unencodable(ValueError, f"is nested more than {_DEEPEST} levels deep")
        above.append(id(value))
        _look_into(value, above)
        above.pop()


def _look_into(value: object, above: list[int]) -> None:
    parts = _take_apart(value)
    if parts is None:
        _try(value)
        return
    for step, part in parts:
        try:
            _look(part, above)
        except _Unencodable as problem:
            problem.steps.append(step)
            raise


def _take_apart(value: object) -> Iterable[tuple[Step, Any]] | None:
    """Return the parts of ``value``, each with the step to it, or None where it has none."""
    if isinstance(value, dict):
        for name in value:
            _check_name(name)
        return ((_step(name), part) for name, part in value.items())
    if isinstance(value, list) or type(value) is tuple:
        return ((f"[{place}]", part) for place, part in enumerate(value))
    if isinstance(value, Enum):
        return [("", value.value)]
    if dataclasses.is_dataclass(value):
        # orjson writes what was set beside the fields too, and nothing that begins with an underscore.
        names = dict.fromkeys([*(field.name for field in dataclasses.fields(value)), *getattr(value, "__dict__", ())])
        return ((_step(name), getattr(value, name)) for name in names if not name.startswith("_"))
    if isinstance(value, BaseModel) or _is_numpy(value):
        _try(value)
        other = value.tolist() if _is_numpy(value) else encode_other(value)  # type: ignore[attr-defined]
        return [("", other)] if not _is_numpy(other) else None
    return None


def _try(value: object) -> None:
    try:
        orjson.dumps(value, encode_other, OPTIONS)
    except orjson.JSONEncodeError as error:
        reason = error.__cause__ or error
        kind = ValueError if isinstance(reason, ValueError) else TypeError
        raise _Unencodable(kind, f"is of type {type(value).__qualname__}: {reason}") from error


def _check_name(name: object) -> None:
    if type(name) is not str:
        raise _Unencodable(TypeError, f"has the key {_shown(name)}: JSON's names are strings")
    try:
        _check_text(name)
    except _Unencodable as problem:
        problem.steps.append(_step(name))
        raise


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _Unencodable(
            ValueError, f"holds a lone surrogate at character {error.start}: UTF-8 has only whole characters"
        ) from error


def _is_numpy(value: object) -> bool:
    # By name: who hands in something of numpy's has imported it, and nobody else needs it.
    return type(value).__module__ == "numpy"


def _step(name: str) -> Step:
    return f".{name}" if _PLAIN_NAME.fullmatch(name) else f"[{_shown(name)}]"


def _shown(name: object) -> str:
    return ascii(name)[:64]
