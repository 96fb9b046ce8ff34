"""Content codings of a body: gzip (RFC 1952) and zstd (RFC 8878), decompressed piece by piece. Pure.

A small body may mean gigabytes: so a decoder gives at most `PIECE` bytes at a time, and whoever counts them can stop.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE = 65_536
"""Most bytes that a decoder gives at a time."""
_LARGEST_WINDOW = 23
"""The largest window that zstd may ask for, as a power of two: 8 MiB, which RFC 8878 §3.1.1.1.2 wants supported."""


class CodingError(ValueError):
    """The body is not what its Content-Encoding says."""


class Decoder(Protocol):
    """Takes a body's pieces as they come and gives them as they were before compression."""

    def decode(self, piece: bytes) -> Iterator[bytes]:
        """Yield what ``piece`` means. Raises CodingError."""

    def finish(self) -> None:
        """Raise CodingError where the body is not whole."""


class Identity:
    """No coding at all."""

    def decode(self, piece: bytes) -> Iterator[bytes]:
        """Yield the piece as it is."""
        yield piece

    def finish(self) -> None:
        """Nothing can be missing."""


class Gzip:
    """One or more gzip members."""

    def __init__(self) -> None:
        self._decoder = _make_gzip()
        self._has_input = False

    def decode(self, piece: bytes) -> Iterator[bytes]:
        """Yield what ``piece`` means. Raises CodingError."""
        while piece or not self._decoder.eof:
            if self._decoder.eof:
                self._decoder = _make_gzip()
            self._has_input = True
            try:
                decoded = self._decoder.decompress(piece, PIECE)
            except zlib.error as error:
                raise CodingError(f"the body is not gzip: {error}") from error
            piece = self._decoder.unused_data if self._decoder.eof else self._decoder.unconsumed_tail
            if decoded:
                yield decoded
            elif not piece:
                return

    def finish(self) -> None:
        """Raise CodingError where the body is not whole."""
        if self._has_input and not self._decoder.eof:
            raise CodingError("the body ends before its gzip data do")


class Zstd:
    """One or more zstd frames."""

    def __init__(self) -> None:
        self._decoder = _make_zstd()
        self._has_input = False

    def decode(self, piece: bytes) -> Iterator[bytes]:
        """Yield what ``piece`` means. Raises CodingError."""
        while piece or not (self._decoder.needs_input or self._decoder.eof):
            if self._decoder.eof:
                self._decoder = _make_zstd()
            self._has_input = True
            try:
                decoded = self._decoder.decompress(piece, PIECE)
            except zstd.ZstdError as error:
                raise CodingError(f"the body is not zstd: {error}") from error
            piece = self._decoder.unused_data if self._decoder.eof else b""
            if decoded:
                yield decoded

    def finish(self) -> None:
        """Raise CodingError where the body is not whole."""
        if self._has_input and not self._decoder.eof:
            raise CodingError("the body ends before its zstd data do")


CODINGS: dict[str, Callable[[], Decoder]] = {"gzip": Gzip, "x-gzip": Gzip, "zstd": Zstd, "identity": Identity}
"""From the value of Content-Encoding to what decodes it."""


def _make_gzip() -> zlib._Decompress:
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)


def _make_zstd() -> zstd.ZstdDecompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _LARGEST_WINDOW})
