"""A body, piece by piece, into its messages: exact slices of it, never decoded and written anew. Pure.

Only what tells messages apart is looked at: brackets, commas and the ends of strings of an array, the line ends of
NDJSON. Whatever lies between them goes on as it is; the validator judges it.

A splitter is fed with pieces as they come and gives messages away as they are whole, so that no part of a large body
lies in memory twice. A small one is split once it is whole: nearly always it is JSON, and msgspec finds the slices of
that in a seventh of the time.

What brackets mean is found in C: one match takes in everything that opens and closes again within a few levels, and
one more a whole run of brackets. Only what lies between those is looked at step by step, and how many steps a body is
worth is limited by its size: telemetry takes none, and ten megabytes of brackets are refused in a fraction of a second.
"""

from __future__ import annotations

import io
import re
from typing import Final, Protocol

import msgspec

_SPACE = b" \t\r\n"
"""What JSON takes as white space (RFC 8259 §2)."""

# Brackets of both kinds count alike: an array that mixes them up is no JSON, and the validator's matter as far as its
# elements can be told apart. All is possessive: a text that does not match is given up at once.
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_PLAIN: Final = rb'[^"\[\]{}]*+'


def _nested(inner: bytes) -> bytes:
    return rb"[\[{]" + _PLAIN + rb"(?:(?:" + inner + rb")" + _PLAIN + rb")*+[\]}]"


_FLAT: Final = _nested(_STRING)
_READING: Final = _nested(_STRING + b"|" + _nested(_STRING + b"|" + _FLAT))
_DEEP: Final = _nested(_STRING + b"|" + _nested(_STRING + b"|" + _READING))
_ELEMENT = re.compile(rb"[ \t\r\n]*+(" + _READING + rb")[ \t\r\n]*+([,\]])", re.DOTALL)
"""An element up to three levels deep with what ends it, in one go: nearly every reading is one."""


def _up_to_a_token(plain: bytes, token: bytes) -> re.Pattern[bytes]:
    """Return what matches everything that decides nothing, and then, as its group, what may; at the end nothing."""
    whole = rb"(?:(?:" + _STRING + rb"|" + _DEEP + rb")" + plain + rb")*+"
    return re.compile(plain + whole + rb"(" + token + rb"|\Z)", re.DOTALL)


# A quote by itself opens a string whose end has not come yet.
_AMONG_ELEMENTS = _up_to_a_token(rb'[^"\[\]{},]*+', rb'[",]|[\[{]++|[\]}]++')
_WITHIN_ELEMENT = _up_to_a_token(_PLAIN, rb'"|[\[{]++|[\]}]++')
_IN_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
"""As much of a string as is whole: up to its quote, or to a backslash with nothing behind it yet."""

_SLICES = msgspec.json.Decoder(list[msgspec.Raw])
_SMALL = 262_144
"""A body up to so many bytes is small."""
_FREE_STEPS, _BYTES_A_STEP, _STEPS_A_PIECE = 20_000, 16, 12
"""A body may take so many steps, one more for so many bytes, and so many for each piece: its ends cut things apart."""

_QUOTE, _COMMA, _CLOSE_ARRAY = ord('"'), ord(","), ord("]")
_OPENING = frozenset(b"[{")


class BodyError(ValueError):
    """A body can't be told apart into messages; the sentence says where and why."""


class Splitter(Protocol):
    """Takes a body's pieces in order and gives its messages away."""

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the messages that are whole now. Raises BodyError."""

    def finish(self) -> list[bytes]:
        """Return the rest at the body's end. Raises BodyError where a message is not whole."""

    @property
    def is_batch(self) -> bool:
        """Whether the body is several messages by its form, so that each has an index; clear once it has ended."""


class JsonSplitter:
    """``application/json``: an array is its elements, anything else is one message, untouched from end to end."""

    def __init__(self) -> None:
        self._small: bytes | bytearray = b""
        """What has come, until it is too much to wait for the rest. A body that comes in one piece is not copied."""
        self._splitter: ArraySplitter | WholeSplitter | None = None
        self._is_array = False

    @property
    def is_batch(self) -> bool:
        """Whether the body is an array."""
        return self._is_array

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the messages that are whole now. Raises BodyError."""
        if self._splitter is not None:
            return self._splitter.feed(piece)
        if not self._small:
            self._small = piece
        elif isinstance(self._small, bytearray):
            self._small += piece
        else:
            self._small = bytearray(self._small) + piece
        return self._split_in_pieces() if len(self._small) > _SMALL else []

    def finish(self) -> list[bytes]:
        """Return the rest at the body's end. Raises BodyError where a message is not whole."""
        if self._splitter is not None:
            return self._splitter.finish()
        start = self._small.lstrip(_SPACE)[:1]
        if not start:
            raise BodyError("the body is empty: send a JSON object or an array of them")
        if start != b"[":
            return [self._take_small()]
        self._is_array = True
        try:
            found = list(map(bytes, _SLICES.decode(self._small)))
        except (msgspec.DecodeError, RecursionError):
            # No JSON, or nested very deep; its elements may be told apart all the same.
            found = self._split_in_pieces()
            return found + (self._splitter.finish() if self._splitter is not None else [])
        self._small = b""  # its messages are on their own now
        return found

    def _take_small(self) -> bytes:
        small, self._small = bytes(self._small), b""
        return small

    def _split_in_pieces(self) -> list[bytes]:
        start = self._small.lstrip(_SPACE)[:1]
        if not start:
            raise BodyError(f"the body begins with more than {_SMALL} bytes of white space")
        self._is_array = start == b"["
        self._splitter = ArraySplitter() if self._is_array else WholeSplitter()
        return self._splitter.feed(self._take_small())


class WholeSplitter:
    """The body is the message."""

    is_batch = False

    def __init__(self) -> None:
        # It grows in place and gives its bytes away without a copy.
        self._body = io.BytesIO()

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the messages that are whole now. Raises BodyError."""
        self._body.write(piece)
        return []

    def finish(self) -> list[bytes]:
        """Return the rest at the body's end. Raises BodyError where a message is not whole."""
        body, self._body = self._body, io.BytesIO()
        return [body.getvalue()]


class ArraySplitter:
    """The elements of one JSON array: the body begins with its bracket."""

    is_batch = True

    def __init__(self) -> None:
        self._offset = 0
        """Where in the body the buffer begins."""
        self._buffer = bytearray()
        self._start = 0
        """Where in the buffer the present element begins."""
        self._at = 0
        """Up to where the buffer has been looked at."""
        self._depth = -1
        """How many brackets are open within the element; -1 before the array itself."""
        self._in_string = False
        self._has_elements = False
        self._has_ended = False
        self.steps = 0
        """How many brackets, or runs of them, had to be looked at by themselves."""
        self._most_steps = _FREE_STEPS

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the messages that are whole now. Raises BodyError."""
        self._buffer += piece
        self._most_steps += _STEPS_A_PIECE + len(piece) // _BYTES_A_STEP
        if self._depth < 0:
            if not self._buffer.lstrip(_SPACE):
                return []
            self._start = self._at = self._buffer.index(b"[") + 1
            self._depth = 0
        found: list[bytes] = []
        while not self._has_ended and self._find_element(found):
            pass
        if self._has_ended and self._buffer[self._start :].strip(_SPACE):
            raise BodyError(f"something comes behind the end of the array, at byte {self._offset + self._start}")
        del self._buffer[: self._start]
        self._offset += self._start
        self._at -= self._start
        self._start = 0
        return found

    def finish(self) -> list[bytes]:
        """Return the rest at the body's end. Raises BodyError where a message is not whole."""
        if not self._has_ended:
            inside = " within a string" if self._in_string else ""
            raise BodyError(f"the body ends{inside} before its array does: its closing bracket is missing")
        return []

    def _find_element(self, found: list[bytes]) -> bool:
        """Add the next element to ``found``; return whether it is whole."""
        if self._at == self._start:
            match = _ELEMENT.match(self._buffer, self._start)
            if match is not None:
                found.append(match[1])
                self._end_element(match.end(), is_last=match[2] == b"]")
                return True
        place = self._find_end()
        if place is None:
            return False
        element = bytes(memoryview(self._buffer)[self._start : place]).strip(_SPACE)
        is_last = self._buffer[place] == _CLOSE_ARRAY
        if element:
            found.append(element)
        elif not is_last or self._has_elements:
            raise BodyError(f"there is no element before byte {self._offset + place} of the body")
        self._end_element(place + 1, is_last=is_last)
        return True

    def _end_element(self, place: int, *, is_last: bool) -> None:
        self._start = self._at = place
        self._has_elements = True
        self._has_ended = is_last

    def _find_end(self) -> int | None:
        """Return where the comma or bracket behind the present element is; None where it has not come yet."""
        if self._in_string and not self._leave_string():
            return None
        while True:
            match = (_WITHIN_ELEMENT if self._depth else _AMONG_ELEMENTS).match(self._buffer, self._at)
            start, end = match.span(1) if match is not None else (self._at, self._at)
            first = self._buffer[start] if start < end else None
            if first is None or first == _COMMA:
                self._at = start
                return None if first is None else start
            self._count_step(start)
            length = end - start
            if first == _QUOTE:
                self._in_string, self._at = True, end
                self._leave_string()
                return None
            if first in _OPENING:
                self._depth += length
            elif length <= self._depth:
                self._depth -= length
            else:
                return self._find_close(start + self._depth)
            self._at = end

    def _find_close(self, place: int) -> int:
        """Return ``place``, where a bracket stands that closes nothing of the element: the array's own."""
        self._depth = 0
        if self._buffer[place] != _CLOSE_ARRAY:
            raise BodyError(f"the bracket at byte {self._offset + place} of the body closes nothing")
        return place

    def _count_step(self, place: int) -> None:
        self.steps += 1
        if self.steps > self._most_steps:
            raise BodyError(
                f"up to byte {self._offset + place} it has too many brackets, nested too deep: send it as "
                "application/x-ndjson, one message a line, where nobody has to look for the brackets"
            )

    def _leave_string(self) -> bool:
        """Go on within a string; return whether its end has come."""
        part = _IN_STRING.match(self._buffer, self._at)
        self._at = part.end() if part is not None else self._at
        if self._at < len(self._buffer) and self._buffer[self._at] == _QUOTE:
            self._in_string = False
            self._at += 1
        return not self._in_string


class LineSplitter:
    """NDJSON: every line that is not blank is a message, without the white space around it."""

    is_batch = True

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the messages that are whole now. Raises BodyError."""
        first, newline, behind = piece.partition(b"\n")
        self._rest += first
        if not newline:
            return []
        *lines, rest = behind.split(b"\n")
        lines.insert(0, bytes(self._rest))
        self._rest = bytearray(rest)
        return [line for line in (line.strip(_SPACE) for line in lines) if line]

    def finish(self) -> list[bytes]:
        """Return the rest at the body's end. Raises BodyError where a message is not whole."""
        last = bytes(self._rest).strip(_SPACE)
        self._rest.clear()
        return [last] if last else []
