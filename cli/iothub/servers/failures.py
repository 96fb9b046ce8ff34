"""From a server's log to the one sentence that a person needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TAIL_BYTES = 256 * 1024


@dataclass(frozen=True)
class Cause:
    """What a log shows when a server can't start, and what to say then; ``{0}`` is the pattern's first group."""

    pattern: re.Pattern[str]
    sentence: str


def explain(text: str, causes: Sequence[Cause]) -> str | None:
    """Return the sentence of the first of ``causes`` that ``text`` shows, or None."""
    for cause in causes:
        found = cause.pattern.search(text)
        if found is not None:
            return cause.sentence.format(*found.groups())
    return None


def read_last_run(log: Path, begins: re.Pattern[str]) -> str:
    """Return what the last run wrote into ``log``: from the last match of ``begins``, else the log's end."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    starts = [match.start() for match in begins.finditer(text)]
    return text[starts[-1] :] if starts else text
