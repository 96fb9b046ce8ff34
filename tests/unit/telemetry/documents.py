"""Strategies for telemetry, and for JSON texts whose properties are known by construction, not by a second parser."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from telemetry.schema.v1 import MAX_DEVICE_CHARACTERS, MAX_METRIC_NAME_CHARACTERS
from telemetry.timestamps import format_utc

if TYPE_CHECKING:
    from collections.abc import Callable

TRICKY = 'ab:,"\\{}[]\n /é\U0001f321'
"""Characters that a careless look at JSON stumbles over."""

_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\n": "\\n"}


@dataclass(frozen=True)
class Text:
    """A JSON text: how deep it is nested, and whether some object in it has a name twice."""

    text: str
    depth: int
    duplicated: bool


@st.composite
def _spelled(draw: st.DrawFn, value: str, *, escapes: bool) -> str:
    """Return ``value`` as a JSON string, with each character in one of its spellings."""
    spelled = []
    for character in value:
        forms = [json.dumps(character, ensure_ascii=False)[1:-1]]
        if escapes:
            forms.append(json.dumps(character)[1:-1])
            forms.append(_SHORT_ESCAPES.get(character, forms[0]))
            if ord(character) < 0x10000:
                forms.append(f"\\u{ord(character):04x}")
        spelled.append(draw(st.sampled_from(forms)))
    return f'"{"".join(spelled)}"'


def _scalars(*, escapes: bool) -> st.SearchStrategy[Text]:
    characters = TRICKY if escapes else TRICKY.translate({ord(bad): None for bad in '"\\\n'})
    numbers = st.sampled_from(
        ["0", "-0", "1.5", "1e3", "-7", "18446744073709551616", "1E-400", "true", "false", "null"]
    )
    strings = st.text(characters, max_size=6).flatmap(lambda value: _spelled(value, escapes=escapes))
    return (numbers | strings).map(lambda text: Text(text, 0, False))


@st.composite
def _objects(draw: st.DrawFn, children: st.SearchStrategy[Text], *, escapes: bool) -> Text:
    pool = ["a", "b", "é", ":", "a:b", ""] + (['"', "\\", 'a":1,"b', "\n"] if escapes else [])
    members = draw(st.lists(st.tuples(st.sampled_from(pool), children), max_size=5))
    parts = [f"{draw(_spelled(name, escapes=escapes))}{draw(_SPACES)}:{child.text}" for name, child in members]
    names = [name for name, _ in members]
    return Text(
        "{" + ",".join(parts) + draw(_SPACES) + "}",
        1 + max((child.depth for _, child in members), default=0),
        len(set(names)) < len(names) or any(child.duplicated for _, child in members),
    )


def _arrays(children: st.SearchStrategy[Text]) -> st.SearchStrategy[Text]:
    return st.lists(children, max_size=4).map(
        lambda items: Text(
            "[" + ", ".join(item.text for item in items) + "]",
            1 + max((item.depth for item in items), default=0),
            any(item.duplicated for item in items),
        )
    )


_SPACES = st.sampled_from(["", " ", "\n\t"])


def _texts(*, escapes: bool) -> st.SearchStrategy[Text]:
    grow: Callable[[st.SearchStrategy[Text]], st.SearchStrategy[Text]] = lambda children: (  # noqa: E731
        _objects(children, escapes=escapes) | _arrays(children)
    )
    return st.recursive(_scalars(escapes=escapes), grow, max_leaves=12)


json_texts: st.SearchStrategy[Text] = _texts(escapes=False) | _texts(escapes=True)
"""JSON texts, half of them without a single backslash; names come twice often."""

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(TRICKY, max_size=8)
    | st.text(max_size=8).filter(lambda text: text.isprintable()),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(TRICKY, max_size=4), children, max_size=3)
    ),
    max_leaves=8,
)
"""What JSON can hold, as Python has it."""

READING: dict[str, Any] = {
    "schema_version": 1,
    "device": "DEV-01",
    "metrics": {"humidity": 20, "temperature": 20},
    "ts": "2026-02-20 22:45",
}
"""The documentation's example."""

moments = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # the zone is beside it
devices = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=MAX_DEVICE_CHARACTERS)
metrics = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=MAX_METRIC_NAME_CHARACTERS),
    st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False),
    min_size=1,
    max_size=8,
)
messages = st.fixed_dictionaries(
    {"schema_version": st.just(1), "device": devices, "metrics": metrics, "ts": moments.map(format_utc)},
    optional={
        "extra": json_values | st.dictionaries(st.sampled_from(["firmware", "extra", "ts"]), json_values),
        "firmware": json_values,
        ":": json_values,
    },
)
"""Valid messages, with unknown fields in all places."""


@st.composite
def message_texts(draw: st.DrawFn) -> Text:
    """Return a valid message of the known fields alone, in one of its spellings, but for names that come twice."""
    escapes = draw(st.booleans())
    names = ["a", "b", "é", ":", "a:b", "temperature"] + (['"', "\\", 'a":1,"b'] if escapes else [])
    devices = ["DEV-01", ":", "a:b", '":'] if escapes else ["DEV-01", ":", "a:b"]
    times = ['"2026-02-20 22:45"', '"2026-02-20T22:45:00+01:00"', "1771627500", "0.5e1"]

    def member(name: str, value: str) -> str:
        return f"{draw(_spelled(name, escapes=escapes))}{draw(_SPACES)}:{draw(_SPACES)}{value}"

    metrics = draw(st.lists(st.sampled_from(names), min_size=1, max_size=4))
    inner = "{" + ",".join(member(name, draw(st.sampled_from(["1", "true", "-0.5e3"]))) for name in metrics) + "}"
    fields = [("schema_version", "1"), ("metrics", inner), ("ts", draw(st.sampled_from(times)))]
    fields.append(("device", draw(_spelled(draw(st.sampled_from(devices)), escapes=escapes))))
    fields += draw(st.lists(st.sampled_from(fields), max_size=1))
    return Text(
        "{" + ",".join(member(*field) for field in draw(st.permutations(fields))) + "}",
        2,
        len(set(metrics)) < len(metrics) or len(fields) > 4,
    )


NASTY = [
    b"\\u003a",
    b"\\ud800",
    b'\\"',
    b'"',
    b":",
    b"NaN",
    b"-Infinity",
    b"1e400",
    b"1" * 5000,
    b"[" * 100,
    b'{"a":' * 100,
    b"\xef\xbb\xbf",
    b"\x00",
    b'"ts":0,',
    b'"device":null,',
]
"""What is put into a message to damage it."""


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a valid message with some bytes deleted, doubled, replaced or put in."""
    value = bytearray(json.dumps(draw(messages), ensure_ascii=draw(st.booleans())).encode())
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(value)))
        end = min(len(value), start + draw(st.integers(0, 6)))
        middle = draw(
            st.sampled_from([b"", bytes(value[start:end]) * 2, *NASTY]) | st.binary(max_size=4),
        )
        value[start:end] = middle
    return bytes(value)
