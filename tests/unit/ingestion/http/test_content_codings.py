"""Decompression: the same bytes come out, piece by piece, and never many at a time."""

from __future__ import annotations

import contextlib
import gzip
import random
import zlib
from collections.abc import Callable

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from ingestion.content_codings import CODINGS, PIECE, CodingError

COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress, "identity": bytes}
CODED = sorted(set(COMPRESS) - {"identity"})


def decode(coding: str, body: bytes, size: int) -> bytes:
    decoder = CODINGS[coding]()
    found = b""
    for at in range(0, len(body), size):
        for piece in decoder.decode(body[at : at + size]):
            assert len(piece) <= max(PIECE, size)
            found += piece
    decoder.finish()
    return found


@pytest.mark.parametrize("coding", sorted(COMPRESS))
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=3), size=st.integers(1, 400))
def test_what_was_compressed_comes_back(coding: str, parts: list[bytes], size: int) -> None:
    """Also where it is several members or frames, one behind the other."""
    assert decode(coding, b"".join(COMPRESS[coding](part) for part in parts), size) == b"".join(parts)


@pytest.mark.parametrize("coding", CODED)
@pytest.mark.parametrize("size", [700, 65_536, 10_000_000])
def test_a_large_body_comes_back(coding: str, size: int) -> None:
    body = random.Random(1).randbytes(300_000) + bytes(3_000_000) + random.Random(2).randbytes(1000)
    assert decode(coding, COMPRESS[coding](body), size) == body


@pytest.mark.parametrize("coding", CODED)
def test_a_bomb_can_be_stopped(coding: str) -> None:
    """Given 200 MB of zeros, then whoever counts is asked after each small piece, before the rest is unpacked."""
    decoder = CODINGS[coding]()
    pieces = decoder.decode(COMPRESS[coding](bytes(200_000_000)))
    assert 0 < len(next(pieces)) <= PIECE
    assert 0 < len(next(pieces)) <= PIECE


@pytest.mark.parametrize("coding", CODED)
@given(kept=st.floats(0, 0.99))
def test_half_a_body_is_refused(coding: str, kept: float) -> None:
    whole = COMPRESS[coding](b"some reading " * 20)
    part = whole[: int(len(whole) * kept)]
    if part:
        with pytest.raises(CodingError, match="ends before"):
            decode(coding, part, 7)


@pytest.mark.parametrize("coding", CODED)
@given(body=st.binary(min_size=1, max_size=100))
def test_anything_else_is_refused_and_never_crashes(coding: str, body: bytes) -> None:
    with contextlib.suppress(CodingError):
        decode(coding, body, 10)


def test_a_checksum_that_does_not_fit_is_refused() -> None:
    body = bytearray(gzip.compress(b"reading"))
    body[-5] ^= 1
    with pytest.raises(CodingError):
        decode("gzip", bytes(body), 100)


def test_zlib_without_a_header_is_not_gzip() -> None:
    with pytest.raises(CodingError):
        decode("gzip", zlib.compress(b"reading"), 100)


def test_a_zstd_window_beyond_8_mib_is_refused() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    compressor = zstd.ZstdCompressor(options=options)
    body = compressor.compress(random.Random(1).randbytes(100_000)) + compressor.flush()
    with pytest.raises(CodingError):
        decode("zstd", body, 100_000)
