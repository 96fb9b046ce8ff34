"""YAML's plain scalars mean what they mean to kubectl. The expectations are what kubectl 1.32 sent to an API server."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from iothub.manifests.scalars import Scalar, resolve_plain, to_json_number
from iothub.manifests.yaml_reading import read_yaml
from iothub.manifests.yaml_writing import write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", True),
        ("Off", False),
        ("y", True),
        ("NO", False),
        ("yEs", "yEs"),
        ("~", None),
        ("", None),
        ("Null", None),
        ("012", 10),
        ("08", 8.0),
        ("0x1F", 31),
        ("-0b101", -5),
        ("0o17", 15),
        ("1_000", 1000),
        ("+7", 7),
        ("1:30", "1:30"),
        ("2026-02-20", "2026-02-20"),
        ("2026-02-20T22:45:00Z", "2026-02-20T22:45:00Z"),
        ("1e3", 1000.0),
        ("1e400", "1e400"),
        (".5", 0.5),
        ("1.", 1.0),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        ("18446744073709551615", 18446744073709551615),
        ("18446744073709551616", 18446744073709551616.0),
        ("=", "="),
        ("-.inf", -math.inf),
    ],
)
def test_a_plain_scalar_means_what_it_means_to_kubectl(text: str, value: Scalar) -> None:
    resolved = resolve_plain(text)
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [(1.0, 1), (-0.0, 0), (0.5, 0.5), (1e20, 1e20), (2**63 - 1, 2**63 - 1), (2**63, 2.0**63), (1e21, 1e21)],
)
def test_a_number_is_what_jsons_way_there_and_back_makes_of_it(value: float, kept: float) -> None:
    assert to_json_number(value) == kept
    assert type(to_json_number(value)) is type(kept)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "on",
            "y",
            "1e3",
            "012",
            "1_0",
            ".5",
            "~",
            "",
            "a: b",
            "- x",
            "#",
            "a\nb\n",
            "a\n\n b",
            "2026-02-20",
            "0o7",
            "é",
        ]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), values, min_size=1, max_size=4))
def test_what_is_written_reads_back_as_the_same(value: dict[str, object]) -> None:
    """Given any object, when it is written as YAML and read as kubectl reads, then it is the same object."""
    (read,) = read_yaml(write_yaml([value]).encode())
    assert read.value == value


def test_other_readers_agree_where_they_can() -> None:
    value = {"on": "y", "number": "1e3", "text": "two\nlines\n", "list": [{"a": 1}, {"b": "true"}]}
    assert yaml.safe_load(write_yaml([value])) == value


def test_it_is_written_as_a_person_would() -> None:
    assert write_yaml([{"kind": "X", "a": {"list": ["1", "b"], "text": "two\nlines\n", "empty": {}}}]) == (
        '---\nkind: X\na:\n  list:\n    - "1"\n    - b\n  text: |\n    two\n    lines\n  empty: {}\n'
    )
