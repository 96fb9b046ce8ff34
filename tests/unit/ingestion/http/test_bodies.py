"""Splitting bodies: messages are exact slices, whatever the pieces in which the body comes."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.bodies import ArraySplitter, BodyError, JsonSplitter, LineSplitter, Splitter

WHITE = st.text(" \t\r\n", max_size=3)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)
WRITTEN = st.builds(
    lambda value, ascii_only, indent: json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode(
        "utf-8", "surrogatepass"
    ),
    VALUES,
    st.booleans(),
    st.sampled_from([None, 0, 2]),
)


def split(splitter: Splitter, body: bytes, cuts: list[int]) -> list[bytes]:
    """Feed ``body`` in pieces that end at ``cuts``, which count from the end of the one before."""
    found, at = [], 0
    for cut in cuts:
        found += splitter.feed(body[at : at + cut])
        at += cut
    found += splitter.feed(body[at:])
    return found + splitter.finish()


CUTS = st.lists(st.integers(0, 12), max_size=60)


@given(elements=st.lists(st.tuples(WHITE, WRITTEN, WHITE), max_size=8), before=WHITE, behind=WHITE, cuts=CUTS)
def test_an_arrays_messages_are_its_elements_byte_for_byte(
    elements: list[tuple[str, bytes, str]], before: str, behind: str, cuts: list[int]
) -> None:
    # Given an array of JSON texts with white space wherever it may be
    inside = b",".join(left.encode() + text + right.encode() for left, text, right in elements)
    body = before.encode() + b"[" + inside + b"]" + behind.encode()
    # When it comes in any pieces, and is looked at as a whole or piece by piece
    splitter = JsonSplitter()
    for found in (split(splitter, body, cuts), split(ArraySplitter(), body.lstrip(), cuts)):
        # Then each message is the slice that was written, without a byte more or less
        assert found == [text for _, text, _ in elements]
    assert splitter.is_batch


NEARLY = st.text('[]{},:"\\\\ab1 \\n', max_size=40).map(str.encode)


@given(body=(st.binary(max_size=200) | NEARLY).map(lambda tail: b"[" + tail), cuts=CUTS)
def test_pieces_change_nothing(body: bytes, cuts: list[int]) -> None:
    def outcome(splitter: Splitter, cuts: list[int]) -> list[bytes] | str:
        try:
            return split(splitter, body, cuts)
        except BodyError:
            return "refused"

    whole = outcome(JsonSplitter(), [])
    assert outcome(JsonSplitter(), cuts) == whole
    assert outcome(ArraySplitter(), cuts) == whole


@given(body=NEARLY.map(lambda tail: b"[" + tail))
def test_what_is_split_can_be_put_together_again(body: bytes) -> None:
    """Given nearly JSON, then messages are slices of it, in order, with only commas and white space between."""
    try:
        found = split(JsonSplitter(), body, [])
    except BodyError:
        return
    at = 1
    for number, message in enumerate(found):
        start = body.index(message, at)
        assert body[at:start].strip() == (b"," if number else b"")
        at = start + len(message)
    assert body[at:].strip() == b"]"


@given(body=st.binary(min_size=1, max_size=100), cuts=CUTS)
def test_anything_else_than_an_array_is_one_message_untouched(body: bytes, cuts: list[int]) -> None:
    if body.lstrip(b" \t\r\n")[:1] in {b"", b"["}:
        return
    splitter = JsonSplitter()
    assert split(splitter, body, cuts) == [body]
    assert not splitter.is_batch


@given(
    lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"").strip(b" \t\r")), max_size=8),
    end=st.sampled_from([b"\n", b"\r\n", b" \n\n"]),
    cuts=CUTS,
)
def test_lines_are_messages_and_blank_ones_are_none(lines: list[bytes], end: bytes, cuts: list[int]) -> None:
    for body in (end.join(lines), end.join(lines) + end):
        assert split(LineSplitter(), body, cuts) == [line for line in lines if line]


@pytest.mark.parametrize("body", [b"[]", b" [ ] ", b"[\n]"])
def test_an_empty_array_is_no_message(body: bytes) -> None:
    assert split(JsonSplitter(), body, []) == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty"),
        (b"  \n ", "empty"),
        (b"[", "closing bracket is missing"),
        (b"[1", "closing bracket is missing"),
        (b"[1,", "closing bracket is missing"),
        (b'["a', "within a string"),
        (b'["a\\', "within a string"),
        (b"[1,,2]", "no element before byte 3"),
        (b"[,1]", "no element before byte 1"),
        (b"[1,]", "no element before byte 3"),
        (b"[1}]", "byte 2 of the body closes nothing"),
        (b"[1] 2", "behind the end of the array"),
        (b"[[1]", "closing bracket is missing"),
    ],
)
def test_what_can_not_be_split_is_refused_with_the_place(body: bytes, why: str) -> None:
    for cuts in ([], [1] * len(body)):
        with pytest.raises(BodyError, match=why):
            split(JsonSplitter(), body, cuts)
        if body.startswith(b"["):
            with pytest.raises(BodyError, match=why):
                split(ArraySplitter(), body, cuts)


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        (b'[NaN, {"a": Infinity}]', [b"NaN", b'{"a": Infinity}']),
        (b"[\xff\xfe, 1]", [b"\xff\xfe", b"1"]),
        (b'["\xf0\x28"]', [b'"\xf0\x28"']),
        (b'[{"a" 1}, [}]', [b'{"a" 1}', b"[}"]),
        (b"[hello world, 1 2]", [b"hello world", b"1 2"]),
        (b'[{"]": "[,"}]', [b'{"]": "[,"}']),
        (b'["\\"", "\\\\", "\\\\\\""]', [b'"\\""', b'"\\\\"', b'"\\\\\\""']),
    ],
)
def test_what_is_inside_a_message_is_not_judged(body: bytes, messages: list[bytes]) -> None:
    for cuts in ([], [1] * len(body)):
        assert split(JsonSplitter(), body, cuts) == split(ArraySplitter(), body, cuts) == messages


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[" * 300_000 + b"]" * 300_000 + b"]",
        b'["' + b'\\"' * 500_000 + b'"]',
        b'["' + b"a" * 1_000_000 + b'"]',
        b"[" + b"[],{}," * 150_000 + b"1]",
        b"[" + b" " * 1_000_000 + b"]",
        b"[[[[" + b'"",' * 300_000 + b"1]]]]",
    ],
)
def test_time_grows_with_the_size_and_no_faster(body: bytes) -> None:
    def measure(body: bytes) -> float:
        started = time.process_time()
        split(JsonSplitter(), body, [4096] * (len(body) // 4096))
        return time.process_time() - started

    measure(body)  # Squared, it would take minutes; this is a second on a slow machine.
    assert measure(body) < 10


def feed_in_pieces(body: bytes, size: int = 65_536) -> tuple[ArraySplitter, list[bytes]]:
    splitter = ArraySplitter()
    return splitter, split(splitter, body, [size] * (len(body) // size))


class TestWork:
    """How many brackets are looked at one by one: what a body can cost, whoever made it."""

    @pytest.mark.parametrize("reading", [b'{"m": {"a": [1, 2]}}', b'{"a": [{"b": {"c": ["]"]}}]}', b"1", b'"[["'])
    def test_telemetry_takes_none_but_where_a_piece_ends(self, reading: bytes) -> None:
        body = b"[" + b", ".join([reading] * 100_000) + b"]"
        splitter, found = feed_in_pieces(body)
        assert found == [reading] * 100_000
        assert splitter.steps <= 12 * (len(body) // 65_536 + 1)

    @pytest.mark.parametrize("opening", [b"[", b'{"a":', b"[0,", b'["", '])
    def test_what_is_nested_deep_is_one_message(self, opening: bytes) -> None:
        nested = opening * 10_000 + (b"}" if opening[0] == ord("{") else b"]") * 10_000
        splitter, found = feed_in_pieces(b"[1, " + nested + b", 2]")
        assert found == [b"1", nested, b"2"]
        assert splitter.steps <= 20_000

    def test_a_run_of_brackets_is_one_step(self) -> None:
        nested = b"[" * 5_000_000 + b"]" * 5_000_000
        splitter, found = feed_in_pieces(b"[" + nested + b"]")
        assert found == [nested]
        assert splitter.steps <= 2 * (len(nested) // 65_536 + 1)

    @pytest.mark.parametrize("unit", [b"[0", b'[""', b'{"":', b"[[[[[[0]0]0]0]0]0],", b"[" * 70 + b"0" + b"]0" * 70])
    @pytest.mark.parametrize("size", [1_000, 65_536, 3_000_000])
    def test_what_is_made_of_brackets_is_refused_before_it_has_cost_much(self, unit: bytes, size: int) -> None:
        body = b"[" + unit * (3_000_000 // len(unit)) + b"]"
        splitter = ArraySplitter()
        with pytest.raises(BodyError, match="has too many brackets, nested too deep: send it as application/x-ndjson"):
            split(splitter, body, [size] * (len(body) // size))
        assert splitter.steps <= 20_001 + len(body) // 16 + 12 * (len(body) // size + 1)

    def test_many_small_pieces_are_no_work_of_the_bodys(self) -> None:
        """Given a device that sends a few bytes at a time, then a long body of it is taken all the same."""
        reading = b'{"a": [{"b": {"c": ["x"]}}]}'
        body = b"[" + b", ".join([reading] * 3_000) + b"]"
        for size in (1, 3, 20):
            assert feed_in_pieces(body, size)[1] == [reading] * 3_000


@pytest.mark.parametrize(
    ("begin", "element", "between", "end"),
    [
        (b"[", b'{"a": "' + b"x" * 1000 + b'"}', b", ", b"]"),
        (b"[", b'"' + b"x" * 2_000_000 + b'"', b",", b"]"),
        (b"", b"x" * 10_000_000, b"", b""),
        (b"", b'{"a": "' + b"x" * 1000 + b'"}', b"\n", b"\n"),
    ],
    ids=["array", "array of large ones", "one", "lines"],
)
def test_no_part_of_a_large_body_lies_in_memory_twice(begin: bytes, element: bytes, between: bytes, end: bytes) -> None:
    body = begin + between.join([element] * (10_000_000 // len(element))) + end
    splitter = LineSplitter() if between == b"\n" else JsonSplitter()
    found: list[bytes] = []
    tracemalloc.start()
    try:
        for at in range(0, len(body), 65_536):
            found += splitter.feed(body[at : at + 65_536])
        found += splitter.finish()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == [element] * (10_000_000 // len(element))
    assert most < 1.3 * len(body)


def test_a_small_body_is_not_kept_beside_its_messages() -> None:
    """Given messages that wait for Kafka, then the request holds no second copy of them."""
    for body in (b'["abc", "def"]', b'{"a": 1}', b'["abc" "d"]'):
        splitter = JsonSplitter()
        splitter.feed(body)
        splitter.finish()
        assert not splitter._small
    whole = b'{"a": 1}'
    splitter = JsonSplitter()
    splitter.feed(whole)
    assert splitter.finish()[0] is whole


def test_a_large_body_is_split_as_a_small_one_is() -> None:
    for element in (b'{"a": [1, "x,]"]}', b"NaN"):
        body = b"  [" + b" , ".join([element] * 30_000) + b"]"
        for size in (1000, 100_000, len(body)):
            assert split(JsonSplitter(), body, [size] * (len(body) // size)) == [element] * 30_000
    large = b" " + b"x" * 1_000_000
    assert split(JsonSplitter(), large, [1000] * 500) == [large]


def test_pieces_of_one_byte_cost_no_more_than_others() -> None:
    body = b"[" + b"1," * 120_000 + b"1]"
    started = time.process_time()
    assert len(split(JsonSplitter(), body, [1] * len(body))) == 120_001
    assert time.process_time() - started < 10


def test_white_space_without_end_is_refused() -> None:
    with pytest.raises(BodyError, match="white space"):
        split(JsonSplitter(), b" " * 1_000_000 + b"1", [100] * 9000)
