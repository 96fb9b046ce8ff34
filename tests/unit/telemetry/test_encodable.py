"""Values on their way into JSON: what is written, how exactly, and where the part is that can't be."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel, field_serializer

from telemetry.codec import encode_json
from unit.telemetry.documents import json_values


class Colour(enum.Enum):
    RED = "red"
    NONE = float("nan")


@dataclasses.dataclass
class Point:
    x: object
    _hidden: float = float("nan")


@dataclasses.dataclass(slots=True)
class Slotted:
    x: object


class Reading(BaseModel):
    value: float
    at: datetime | None = None
    price: Decimal = Decimal("1.50")
    unit: str = "C"

    @field_serializer("unit", when_used="json")
    def _in_words(self, unit: str) -> str:
        return {"C": "Celsius"}.get(unit, unit)


class Readings(RootModel[list[float]]):
    pass


MOMENT = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)

WRITTEN = [
    (MOMENT, b'"2026-02-20T22:45:00Z"'),
    (MOMENT.astimezone(timezone(timedelta(hours=1))), b'"2026-02-20T23:45:00+01:00"'),
    (datetime(2026, 2, 20, 22, 45), b'"2026-02-20T22:45:00"'),  # noqa: DTZ001  # the schema reads it as UTC
    (date(2026, 2, 20), b'"2026-02-20"'),
    (UUID(int=7), b'"00000000-0000-0000-0000-000000000007"'),
    (Colour.RED, b'"red"'),
    (Point(1), b'{"x":1}'),
    (Slotted((1, None)), b'{"x":[1,null]}'),
    (Reading(value=1, at=MOMENT), b'{"value":1.0,"at":"2026-02-20T22:45:00Z","price":"1.50","unit":"Celsius"}'),
    (Readings([1.5]), b"[1.5]"),
    (Decimal("20.50"), b"20.50"),
    (Decimal("-0"), b"-0"),
    (Decimal("1E+3"), b"1E+3"),
    (Decimal("0.1234567890123456789012345678901"), b"0.1234567890123456789012345678901"),
    (Decimal(2**70), b"1180591620717411303424"),
    (np.float64(20.1), b"20.1"),
    (np.float32(20.1), b"20.1"),
    (np.float16(0.5), b"0.5"),
    (np.int8(-3), b"-3"),
    (np.uint64(2**64 - 1), b"18446744073709551615"),
    (np.bool_(True), b"true"),
    (np.str_("é"), '"é"'.encode()),
    (np.datetime64("2026-02-20T22:45"), b'"2026-02-20T22:45:00"'),
    (np.array([[1, 2], [3, 4]]), b"[[1,2],[3,4]]"),
    (np.array([[1, 2], [3, 4]])[:, 0], b"[1,3]"),
    (np.array(["a", "b"]), b'["a","b"]'),
    (np.array([1.5, None], dtype=object), b"[1.5,null]"),
    (np.array(5.5), b"5.5"),
    (2**64 - 1, b"18446744073709551615"),
    (-(2**63), b"-9223372036854775808"),
]


@pytest.mark.parametrize(
    ("value", "text"), WRITTEN, ids=[f"{type(value).__name__} {text!r}" for value, text in WRITTEN]
)
def test_it_is_written_wherever_it_stands(value: object, text: bytes) -> None:
    assert encode_json(value) == text
    assert encode_json({"a": [value, value]}) == b'{"a":[' + text + b"," + text + b"]}"


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**300), max_value=10**300))
def test_a_decimal_keeps_every_digit(number: Decimal) -> None:
    read = json.loads(encode_json({"n": number}), parse_float=Decimal, parse_int=Decimal)["n"]
    assert str(read) == str(number)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_of_numpys_is_written_like_pythons(number: float) -> None:
    assert encode_json(np.float64(number)) == encode_json(number)


HUGE = 10**5000
HOLDS_ITSELF: list[object] = [1]
HOLDS_ITSELF.append({"again": HOLDS_ITSELF})

NOT_FINITE = "JSON has only finite numbers"
NO_WORD = "JSON has no word for it"
REFUSED: list[tuple[object, type[Exception], str]] = [
    # Of a kind that JSON does not have
    (object(), TypeError, f"$.a is of type object: {NO_WORD}"),
    (b"x", TypeError, f"$.a is of type bytes: {NO_WORD}"),
    ([0, {1}], TypeError, f"$.a[1] is of type set: {NO_WORD}"),
    ((0, 1j), TypeError, f"$.a[1] is of type complex: {NO_WORD}"),
    (timedelta(1), TypeError, f"$.a is of type timedelta: {NO_WORD}"),
    (time(1, tzinfo=UTC), TypeError, "$.a is of type time: datetime.time must not have tzinfo set"),
    ({1: 2}, TypeError, "$.a has the key 1: JSON's names are strings"),
    ({"b": {None: 2}}, TypeError, "$.a.b has the key None: JSON's names are strings"),
    (np.array([1], dtype=">i4"), TypeError, "$.a is of type ndarray: numpy array is not native-endianness"),
    (np.array([1, 2j], dtype=object), TypeError, f"$.a is of type ndarray: {NO_WORD}"),
    (np.complex64(1), TypeError, f"$.a is of type complex64: {NO_WORD}"),
    (np.timedelta64(5, "s"), TypeError, f"$.a is of type timedelta64: {NO_WORD}"),
    (np.datetime64("NaT"), TypeError, "$.a is of type datetime64: unsupported numpy.datetime64 unit: NaT"),
    (np.longdouble(1), TypeError, f"$.a is of type longdouble: {NO_WORD}"),
    # Of a kind that it has, but not such a one
    (float("nan"), ValueError, f"$.a is nan: {NOT_FINITE}"),
    ({"b": [1.5, -math.inf]}, ValueError, f"$.a.b[1] is -inf: {NOT_FINITE}"),
    ({"b c": {'"': math.inf}}, ValueError, f"$.a['b c']['\"'] is inf: {NOT_FINITE}"),
    (Colour.NONE, ValueError, f"$.a is nan: {NOT_FINITE}"),
    (Point(math.nan), ValueError, f"$.a.x is nan: {NOT_FINITE}"),
    (Slotted([None, math.nan]), ValueError, f"$.a.x[1] is nan: {NOT_FINITE}"),
    (Reading(value=math.nan), ValueError, f"$.a.value is nan: {NOT_FINITE}"),
    (Readings([1, math.inf]), ValueError, f"$.a[1] is inf: {NOT_FINITE}"),
    (np.float32("inf"), ValueError, f"$.a is inf: {NOT_FINITE}"),
    (np.array([[1, 2], [3, math.nan]]), ValueError, f"$.a[1][1] is nan: {NOT_FINITE}"),
    (np.array([1.0, 2.0, math.nan])[::2], ValueError, f"$.a[1] is nan: {NOT_FINITE}"),
    (Decimal("NaN"), ValueError, f"$.a is of type Decimal: {NOT_FINITE}"),
    (Decimal("sNaN"), ValueError, f"$.a is of type Decimal: {NOT_FINITE}"),
    (Decimal("-Infinity"), ValueError, f"$.a is of type Decimal: {NOT_FINITE}"),
    (Decimal("1E+400"), ValueError, f"$.a is of type Decimal: {NOT_FINITE}"),
    (2**64, ValueError, "$.a is an integer of 65 bits: only 64 can be written"),
    (-(2**63) - 1, ValueError, "$.a is an integer of 64 bits: only 64 can be written"),
    (HUGE, ValueError, f"$.a is an integer of {HUGE.bit_length()} bits: only 64 can be written"),
    ("x\udc00", ValueError, "$.a holds a lone surrogate at character 1: UTF-8 has only whole characters"),
    (
        {"\ud800": 1},
        ValueError,
        "$.a['\\ud800'] holds a lone surrogate at character 0: UTF-8 has only whole characters",
    ),
    (HOLDS_ITSELF, ValueError, "$.a[1].again is a part of itself"),
]


@pytest.mark.parametrize(
    ("value", "error", "sentence"), REFUSED, ids=[f"{number} {case[2]!a:.60}" for number, case in enumerate(REFUSED)]
)
def test_what_can_not_be_written_is_named_by_its_path(value: object, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error) as caught:
        encode_json({"first": None, "a": value, "b": math.nan})
    assert str(caught.value) == sentence
    # TypeError is for what JSON has nothing like, ValueError for all else: neither is the other.
    assert type(caught.value) is error


def test_the_whole_may_be_the_part() -> None:
    with pytest.raises(TypeError, match=r"^\$ is of type object: "):
        encode_json(object())
    with pytest.raises(ValueError, match=r"^\$ is nan: "):
        encode_json(math.nan)


def test_a_value_nested_too_deep_is_refused_with_the_beginning_of_its_path() -> None:
    deep: object = 1
    for _ in range(254):
        deep = [deep]
    assert encode_json(deep) == b"[" * 254 + b"1" + b"]" * 254
    with pytest.raises(ValueError, match=r"^\$\.a\[0\]\[0\].*… is nested more than 254 levels deep$") as caught:
        encode_json({"a": deep})
    assert len(str(caught.value)) < 300


def test_a_model_that_can_not_write_itself_is_named() -> None:
    class Broken(BaseModel):
        x: int

        @field_serializer("x")
        def _fail(self, x: int) -> int:
            raise KeyError(x)

    with pytest.raises((TypeError, ValueError), match=r"^\$\.a\[0\] is of type .*Broken: "):
        encode_json({"a": [Broken(x=1)]})


def test_null_beside_anything_costs_no_correctness() -> None:
    value = {"a": None, "b": [1.5, np.float32(2), Reading(value=1), Point(None), Decimal("1.0"), UUID(int=0)]}
    assert encode_json(value).startswith(b'{"a":null,"b":[1.5,2.0,{"value":1.0,"at":null')


def test_numpy_is_not_loaded_for_it() -> None:
    # Given a process that has no use for numpy
    script = (
        "import sys; from telemetry.codec import encode_json; encode_json({'a': 1.5}); print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


POISON = [
    math.nan,
    -math.inf,
    2**64,
    "\ud800",
    {1: 1},
    {1},
    b"",
    Decimal("NaN"),
    np.float32("nan"),
    np.array([math.inf]),
]


@given(json_values, st.lists(st.integers(0, 2), max_size=4), st.sampled_from(POISON))
def test_one_bad_part_anywhere_is_found_at_its_place(other: object, way: list[int], poison: object) -> None:
    # Given a value that is fine but for one part, at a known place
    value: object = poison
    path = ""
    for turn in way:
        value, step = {
            0: ([other, value], "[1]"),
            1: ({"ok": other, "bad": value}, ".bad"),
            2: ((value, other), "[0]"),
        }[turn]
        path = step + path
    # When, Then
    with pytest.raises((TypeError, ValueError)) as caught:
        encode_json(value)
    assert str(caught.value).startswith("$" + path)
    assert str(caught.value)[len("$" + path)] in " ["
