"""CEL rules where the CRD of today has none of the kind. What it has: tests/contract."""

from __future__ import annotations

from typing import Any

import pytest

from iothub.manifests.rules import validate_rules


def rule(text: str, **fields: Any) -> dict[str, Any]:
    return {"rule": text, **fields}


def schema(*rules: dict[str, Any], kind: str = "object", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "x-kubernetes-validations": list(rules), **fields}


def told(value: Any, schema: dict[str, Any], old: Any = None) -> list[tuple[str, str, bool]]:
    found = validate_rules(value, schema, old, place=("spec",), field="spec")
    return [(one.field, one.sentence, one.warning) for one in found]


def test_a_rule_without_a_message_is_told_itself() -> None:
    assert told({"a": 1}, schema(rule("self.a > 1"))) == [
        ("spec", 'Invalid value: "object": failed rule: self.a > 1', False)
    ]


@pytest.mark.parametrize(
    "expression", ["'a ' + self.a", "'two\\nlines'", "''", "self.missing", "1 + 1", "'x'.frobnicate()", "((("]
)
def test_a_message_that_can_not_be_made_falls_back_to_the_plain_one(expression: str) -> None:
    broken = rule("false", message="plain", messageExpression=expression)
    expected = "a b" if "self.a" in expression else "plain"
    assert told({"a": "b"}, schema(broken)) == [("spec", f'Invalid value: "object": {expected}', False)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("quantity(self.a).isGreaterThan(quantity('1'))", "quantity"),
        ("self.a.__in__ == 1", "escaped names"),
        ("self.a +", "parse"),
        ("self.a", "neither true nor false"),
        ("self.a.matches('(?=x)')", "regex"),
        ("self.a + 1 == 2", "string + int"),
    ],
)
def test_what_can_not_be_evaluated_is_said(text: str, why: str) -> None:
    ((field, sentence, warning),) = told({"a": "b"}, schema(rule(text)))
    assert (field, warning) == ("spec", True)
    assert sentence.startswith(f"rule {text!r} could not be evaluated here: ")
    assert why in sentence


def test_a_field_that_is_not_there_breaks_the_rule() -> None:
    assert told({}, schema(rule("self.a == 1", message="write a: 1"))) == [
        ("spec", 'Invalid value: "object": no such key: a evaluating rule: write a: 1', False)
    ]


def test_characters_are_counted_not_bytes_and_only_outside_of_texts() -> None:
    counted = schema(rule("size(self) == 2 && self.size() == 2 && self != 'size(x)'"), kind="string")
    assert told("éé", counted) == []
    assert told("size(x)", schema(rule("self == 'size(x)'"), kind="string")) == []
    assert len(told("é", counted)) == 1


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("FieldValueForbidden", "Forbidden: no"),
        ("FieldValueRequired", "Required value: no"),
        ("FieldValueDuplicate", 'Duplicate value: "object"'),
        ("FieldValueInvalid", 'Invalid value: "object": no'),
    ],
)
def test_a_rules_reason_decides_the_words(reason: str, sentence: str) -> None:
    assert told({}, schema(rule("false", message="no", reason=reason, fieldPath=".a.b"))) == [
        ("spec.a.b", sentence, False)
    ]


def test_rules_are_evaluated_at_every_level() -> None:
    no = rule("self == 'right'", message="no")
    text = schema(no, kind="string")
    nested = {
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": text},
            "map": {"type": "object", "additionalProperties": text},
            "none": text,
        },
    }
    value = {"list": ["right", "wrong"], "map": {"a.b": "wrong", "c": "right"}, "none": None}
    assert [field for field, _, _ in told(value, nested)] == ["spec.list[1]", "spec.map[a.b]"]


def test_a_change_is_judged_where_there_is_something_to_compare_with() -> None:
    forever = rule("self == oldSelf", message="for good")
    items = {"type": "object", "properties": {"name": {"type": "string"}, "value": schema(forever, kind="string")}}
    keyed = {"type": "array", "items": items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    both = {"type": "object", "properties": {"text": schema(forever, kind="string"), "list": keyed}}
    before = {"text": "a", "list": [{"name": "one", "value": "1"}, {"name": "two", "value": "2"}]}
    after = {"text": "b", "list": [{"name": "new", "value": "x"}, {"name": "two", "value": "3"}]}
    assert told(after, both) == []
    assert told(after, both, {}) == []
    assert [field for field, _, _ in told(after, both, before)] == ["spec.text", "spec.list[1].value"]
    atomic = {**both, "x-kubernetes-map-type": "atomic"}
    assert told(after, atomic, before) == []
    plain = {"type": "array", "items": schema(forever, kind="string")}
    assert told(["a"], plain, ["b"]) == [], "an item of a plain list has no former self"


def test_an_optional_old_self_is_beyond_us_and_said() -> None:
    ((_, sentence, warning),) = told({}, schema(rule("oldSelf.hasValue() || true", optionalOldSelf=True)))
    assert warning
    assert "optionalOldSelf is not supported" in sentence


def test_a_number_is_a_double_also_where_it_is_written_as_an_integer() -> None:
    assert told(1, schema(rule("self + 0.5 == 1.5"), kind="number")) == []
