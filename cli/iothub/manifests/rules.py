"""The CRD's own rules (``x-kubernetes-validations``), evaluated as the API server evaluates them.

The rules are CEL. What the library here can't evaluate is said as a warning: nothing is passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import cel

from iothub.manifests import findings as f
from iothub.manifests.crd import Schema
from iothub.manifests.findings import Finding
from iothub.manifests.yaml_reading import Place

Rule = Mapping[str, Any]

_RULES = "x-kubernetes-validations"
_OLD = "oldSelf"
_LONGEST_MESSAGE = 5 * 1024
# The library's size() counts the bytes of a text, CEL's its characters.
_SIZE = "_size"
_SIZE_CALL = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|\bsize(?=\s*\()""")
_ESCAPED_NAME = re.compile(r"\b__\w+__\b")
_MISSING: Final = object()


class _NotEvaluated(Exception):
    """A rule that can't be evaluated here."""


class _NoSuchKey(Exception):
    """A rule that asks for a field which is not there: the API server counts it as broken."""


def validate_rules(
    value: Any, schema: Schema, old: Any = None, *, place: Place = (), field: str = ""
) -> Iterator[Finding]:
    """Yield the rules that ``value`` breaks, at every level.

    Rules about ``oldSelf`` are evaluated where ``old``, the object before the change, has something to compare with.
    """
    if value is None:
        return
    for rule in schema.get(_RULES, ()):
        said = _evaluate(rule, schema, _to_cel(value, schema), _to_cel(old, schema))
        if said is not None:
            where = f"{field}{rule.get('fieldPath', '')}".removeprefix(".")
            yield Finding(place, where, said[0], warning=said[1])
    if isinstance(value, dict):
        correlates = schema.get("x-kubernetes-map-type") != "atomic" and isinstance(old, dict)
        for key, member in value.items():
            before = old.get(key) if correlates else None
            named = schema.get("properties", {}).get(key)
            additional = schema.get("additionalProperties")
            if named is not None:
                below = f"{field}.{key}" if field else key
                yield from validate_rules(member, named, before, place=(*place, key), field=below)
            elif isinstance(additional, dict):
                yield from validate_rules(member, additional, before, place=(*place, key), field=f"{field}[{key}]")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            before = _find_before(item, schema, old)
            below = f"{field}[{index}]"
            yield from validate_rules(item, schema.get("items", {}), before, place=(*place, index), field=below)


def _evaluate(rule: Rule, schema: Schema, value: Any, old: Any) -> tuple[str, bool] | None:
    """Return what is to be said about ``value``, and whether it is only a warning; None where the rule is kept."""
    text = str(rule["rule"])
    message = str(rule.get("message", "")).strip()
    kind = f.show_value(schema.get("type", ""))
    try:
        kept = _judge(rule, value, old)
    except _NoSuchKey as missing:
        return f"Invalid value: {kind}: {missing} evaluating rule: {message or text}", False
    except _NotEvaluated as reason:
        return f"rule {message or text!r} could not be evaluated here: {reason}", True
    if kept:
        return None
    return _word(rule.get("reason"), kind, _say(rule, value, old) or message or f"failed rule: {text}"), False


def _judge(rule: Rule, value: Any, old: Any) -> bool:
    """Return whether ``value`` keeps the rule. Raises what it can't be evaluated for."""
    program = _compile(str(rule["rule"]))
    if _OLD in program.variables():
        if rule.get("optionalOldSelf"):
            raise _NotEvaluated("optionalOldSelf is not supported")
        if old is None:
            return True
    kept = _run(program, value, old)
    if not isinstance(kept, bool):
        raise _NotEvaluated(f"it gives {kept!r}, neither true nor false")
    return kept


def _say(rule: Rule, value: Any, old: Any) -> str:
    """Return what ``messageExpression`` makes, empty where there is none or nothing that can be shown."""
    if "messageExpression" not in rule:
        return ""
    try:
        said = _run(_compile(str(rule["messageExpression"])), value, old)
    except (_NotEvaluated, _NoSuchKey):
        return ""
    said = said.strip() if isinstance(said, str) else ""
    return "" if "\n" in said or len(said.encode()) > _LONGEST_MESSAGE else said


def _word(reason: object, kind: str, said: str) -> str:
    words = {"FieldValueForbidden": f"Forbidden: {said}", "FieldValueRequired": f"Required value: {said}"}
    if reason == "FieldValueDuplicate":
        return f"Duplicate value: {kind}"
    return words.get(str(reason), f"Invalid value: {kind}: {said}")


@cache
def _compile(text: str) -> cel.Program:
    if _ESCAPED_NAME.search(text):
        raise _NotEvaluated("escaped names such as __in__ are not supported")
    try:
        return cel.compile(_SIZE_CALL.sub(lambda found: found[1] or _SIZE, text))
    except ValueError as error:
        raise _NotEvaluated(_first_line(error)) from error


def _run(program: cel.Program, value: Any, old: Any) -> Any:
    variables = {"self": value} if old is None else {"self": value, _OLD: old}
    try:
        return program.execute(cel.Context(variables, {_SIZE: len}))
    except KeyError as error:
        raise _NoSuchKey(f"no such key: {error.args[0]}") from error
    except Exception as error:
        raise _NotEvaluated(_first_line(error)) from error


def _find_before(item: Any, schema: Schema, old: Any) -> Any:
    """Return what ``item`` of a list map was before, None where it was not there or can't be told."""
    keys = schema.get("x-kubernetes-list-map-keys")
    if not keys or not isinstance(old, list) or not isinstance(item, dict):
        return None
    wanted = [item.get(key, _MISSING) for key in keys]
    same = (one for one in old if isinstance(one, dict) and [one.get(key, _MISSING) for key in keys] == wanted)
    return next(same, None)


def _to_cel(value: Any, schema: Schema) -> Any:
    """Return ``value`` with the schema's types: a ``number`` is a double, also where it is written 1."""
    if isinstance(value, dict):
        properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
        additional = additional if isinstance(additional, dict) else {}
        return {key: _to_cel(member, properties.get(key, additional)) for key, member in value.items()}
    if isinstance(value, list):
        return [_to_cel(item, schema.get("items", {})) for item in value]
    if schema.get("type") == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
