"""The demonstration's book-keeping: what was acknowledged to a device has to turn up, clean or as a dead letter. Pure.

One entry a message holds everything about it: its id as 16 bytes, and a few bits. That is about 100 bytes, which bounds
how many messages a demonstration may send (`MOST_MESSAGES`).
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice

from iothub.devices.message import Message

MOST_MESSAGES = 2_000_000
"""So many messages take about 200 MB to keep count of."""

_ACKNOWLEDGED, _RAW, _CLEAN, _DEAD = 1, 2, 4, 8
_ARRIVED = _CLEAN | _DEAD
_ID_BYTES = 16
_SHOWN = 5


@dataclass(frozen=True)
class Totals:
    """The count at one moment. Each message counts once, except under ``duplicates``."""

    sent: int = 0
    acknowledged: int = 0
    raw: int = 0
    clean: int = 0
    dead: int = 0
    awaited: int = 0
    """Acknowledged, and neither clean nor dead yet; once nothing more comes, these are lost."""
    duplicates: int = 0
    """Arrivals in clean or dead letters beyond a message's first."""
    strangers: int = 0
    """Arrivals that nobody here has sent: a cluster may have devices of its own."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Dead letters by reason code, most first."""
    misjudged: int = 0
    """Good messages among the dead letters, damaged ones among the clean, and wrong reasons."""
    misjudgements: tuple[str, ...] = ()
    """The first of them, as sentences."""


class Tally:
    """Notes what happens to each message, from several threads, in whatever order it becomes known."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[bytes, int] = {}
        self._expected: dict[bytes, tuple[str, str]] = {}
        self._acknowledged = self._raw = self._clean = self._dead = self._arrived = 0
        self._duplicates = self._strangers = self._misjudged = 0
        self._reasons: Counter[str] = Counter()
        self._misjudgements: list[str] = []

    def note_sent(self, message: Message) -> None:
        """Note a message that is about to be sent. Has to come before anything else about it."""
        key = bytes.fromhex(message.id)
        with self._lock:
            self._known[key] = 0
            if message.damage is not None:
                self._expected[key] = (message.damage.kind, message.damage.reason)

    def note_acknowledged(self, message: Message) -> None:
        """Note that the broker has taken a message."""
        with self._lock:
            key = bytes.fromhex(message.id)
            state = self._known[key]
            if not state & _ACKNOWLEDGED:
                self._known[key] = state | _ACKNOWLEDGED
                self._acknowledged += 1
                self._arrived += bool(state & _ARRIVED)

    def note_raw(self, identifier: str | None) -> None:
        """Note a record of the raw topic, by its header ``id``."""
        with self._lock:
            key = self._find(identifier)
            if key is not None and not self._known[key] & _RAW:
                self._known[key] |= _RAW
                self._raw += 1

    def note_clean(self, identifier: str | None) -> None:
        """Note a record of the clean topic, by its header ``id``."""
        with self._lock:
            key = self._find(identifier)
            if key is None or not self._arrive(key, _CLEAN):
                return
            self._clean += 1
            if key in self._expected:
                kind, reason = self._expected[key]
                self._misjudge(f"{key.hex()} ({kind}) is clean, and should be a dead letter with reason {reason}")

    def note_dead(self, identifier: str | None, reason: str) -> None:
        """Note a dead letter, by its header ``id``."""
        with self._lock:
            key = self._find(identifier)
            if key is None or not self._arrive(key, _DEAD):
                return
            self._dead += 1
            self._reasons[reason] += 1
            kind, expected = self._expected.get(key, ("good", "none"))
            if reason != expected:
                self._misjudge(
                    f"{key.hex()} ({kind}) is a dead letter with reason {reason}, and should have {expected}"
                )

    def total(self) -> Totals:
        """Return the count as it stands."""
        with self._lock:
            return Totals(
                sent=len(self._known),
                acknowledged=self._acknowledged,
                raw=self._raw,
                clean=self._clean,
                dead=self._dead,
                awaited=self._acknowledged - self._arrived,
                duplicates=self._duplicates,
                strangers=self._strangers,
                reasons=dict(self._reasons.most_common()),
                misjudged=self._misjudged,
                misjudgements=tuple(self._misjudgements),
            )

    def find_awaited(self, most: int = _SHOWN) -> list[str]:
        """Return the ids of a few messages that were acknowledged and have not arrived."""
        with self._lock:
            missing = (key for key, state in self._known.items() if state & _ACKNOWLEDGED and not state & _ARRIVED)
            return [key.hex() for key in islice(missing, most)]

    def _find(self, identifier: str | None) -> bytes | None:
        try:
            key = bytes.fromhex(identifier or "")
        except ValueError:
            key = b""
        if key in self._known:
            return key
        self._strangers += 1
        return None

    def _arrive(self, key: bytes, bit: int) -> bool:
        """Return whether this is the message's first arrival at that place."""
        state = self._known[key]
        if state & _ARRIVED:
            self._duplicates += 1
        if state & bit:
            return False
        self._known[key] = state | bit
        if state & _ACKNOWLEDGED and not state & _ARRIVED:
            self._arrived += 1
        return True

    def _misjudge(self, sentence: str) -> None:
        self._misjudged += 1
        if len(self._misjudgements) < _SHOWN:
            self._misjudgements.append(sentence)
