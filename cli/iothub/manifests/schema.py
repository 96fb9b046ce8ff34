"""What the CRD's structural schema says to an object, as the API server words it.

The order of the checks and the wording are those of k8s.io/kube-openapi's validation and of apiextensions-apiserver;
what the CRD holds, and only that, decides. Values are JSON's, as `iothub.manifests.scalars` gives them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from iothub.manifests import findings as f
from iothub.manifests.crd import Schema
from iothub.manifests.findings import Finding
from iothub.manifests.yaml_reading import Place

PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"
_TYPE_META = ("apiVersion", "kind", "metadata")
_DATE_TIME_FORMAT = "date-time"
_FORMATS = {
    "bsonobjectid", "uri", "email", "hostname", "ipv4", "ipv6", "cidr", "mac", "uuid", "uuid3", "uuid4", "uuid5",
    "isbn", "isbn10", "isbn13", "creditcard", "ssn", "hexcolor", "rgbcolor", "byte", "password", "date", "duration",
    "datetime", "date-time", "k8s-short-name", "k8s-long-name",
}  # fmt: skip
"""Formats of texts that the API server knows; any other it ignores."""
_FORMATS_OF_TYPES = {"integer": "int64", "number": "float64"}
"""What stands for the type of a value that is no text where a format was wanted."""
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_PYTHON_TYPES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
    (type(None), "null"),
)


def find_unknown_fields(body: Mapping[str, Any], schema: Schema) -> list[Finding]:
    """Return the fields that the schema does not have, sorted by their paths: strict field validation."""
    places = _find_unknown(body, schema, ())
    return [f.unknown_field(place) for place in sorted(places, key=f.show_place)]


def prune(value: Any, schema: Schema | None, *, root: bool = True) -> Any:
    """Return ``value`` as the API server keeps it: without unknown fields, and without nulls that mean nothing."""
    if isinstance(value, list):
        items = schema.get("items") if schema is not None else None
        return [prune(item, items, root=False) for item in value]
    if not isinstance(value, dict) or schema is None:
        return value
    kept = {}
    for key, member in value.items():
        below = _schema_of(key, schema)
        if root and key in _TYPE_META:
            kept[key] = member
        elif below is not None:
            if not (member is None and not below.get("nullable") and "default" not in below):
                kept[key] = prune(member, below, root=False)
        elif schema.get(PRESERVE):
            kept[key] = member
    return kept


def validate(value: Any, schema: Schema, place: Place = ()) -> Iterator[Finding]:
    """Yield what ``schema`` has against ``value``."""
    if value is None:
        yield from _check_type(value, schema, place)
        yield from _check_enum(value, schema, place)
        return
    yield from _check_type(value, schema, place)
    yield from _check_combinations(value, schema, place)
    if isinstance(value, str):
        yield from _check_string(value, schema, place)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _check_number(value, schema, place)
    elif isinstance(value, list):
        yield from _check_list(value, schema, place)
    yield from _check_enum(value, schema, place)
    if isinstance(value, dict):
        yield from _check_object(value, schema, place)


def validate_lists(value: Any, schema: Schema, place: Place = ()) -> Iterator[Finding]:
    """Yield what is twice in a list that is a set or a map (``x-kubernetes-list-type``)."""
    if isinstance(value, dict):
        for key, member in value.items():
            below = _schema_of(key, schema)
            if below is not None:
                yield from validate_lists(member, below, (*place, key))
    elif isinstance(value, list):
        yield from _check_uniqueness(value, schema, place)
        for index, item in enumerate(value):
            yield from validate_lists(item, schema.get("items", {}), (*place, index))


def name_type(value: Any) -> str:
    """Return JSON's name of the type of ``value``."""
    return next((name for cls, name in _PYTHON_TYPES if isinstance(value, cls)), type(value).__name__)


def is_equal(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal; unlike Python, true is not 1."""
    return type(one) is type(other) and bool(one == other)


def _schema_of(key: str, schema: Schema) -> Schema | None:
    """Return the schema of a member, None where the schema has none for it."""
    named: Schema | None = schema.get("properties", {}).get(key)
    if named is not None:
        return named
    additional = schema.get("additionalProperties")
    if additional is True:
        return {PRESERVE: True}
    return additional if isinstance(additional, dict) else None


def _find_unknown(value: Any, schema: Schema | None, place: Place) -> Iterator[Place]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _find_unknown(item, (schema or {}).get("items"), (*place, index))
    elif isinstance(value, dict):
        for key, member in value.items():
            here = (*place, key)
            if len(here) == 1 and key in _TYPE_META:
                continue
            below = _schema_of(key, schema) if schema is not None else None
            if below is not None:
                yield from _find_unknown(member, below, here)
            elif not (schema or {}).get(PRESERVE):
                yield here


def _check_type(value: Any, schema: Schema, place: Place) -> Iterator[Finding]:
    wanted = ["integer", "string"] if schema.get(INT_OR_STRING) else [schema["type"]] if "type" in schema else []
    found = name_type(value)
    if not wanted or found in wanted or (found == "null" and schema.get("nullable")):
        return
    if found == "integer" and "number" in wanted:
        return
    if found == "number" and "integer" in wanted and value.is_integer() and abs(value) < 2**53:
        return
    if wanted == ["string"] and schema.get("format") in _FORMATS:
        # A list passes, and only here: the API server takes it for a text of bytes.
        if not isinstance(value, list):
            yield f.wrong_type(place, schema["format"], _FORMATS_OF_TYPES.get(found, ""))
    else:
        yield f.wrong_type(place, ",".join(wanted), found)


def _check_combinations(value: Any, schema: Schema, place: Place) -> Iterator[Finding]:
    shown = f.show_value(f.show_place(place))
    if "anyOf" in schema:
        outcomes = [list(validate(value, option, place)) for option in schema["anyOf"]]
        if all(outcomes):
            yield f.unnamed(place, f"{shown} must validate at least one schema (anyOf)")
            yield from outcomes[0]
    if "oneOf" in schema:
        outcomes = [list(validate(value, option, place)) for option in schema["oneOf"]]
        matching = sum(not outcome for outcome in outcomes)
        if matching != 1:
            how_many = f"Found {matching} valid alternatives" if matching else "Found none valid"
            yield f.unnamed(place, f"{shown} must validate one and only one schema (oneOf). {how_many}")
            if not matching:
                yield from outcomes[0]
    if "allOf" in schema:
        outcomes = [list(validate(value, option, place)) for option in schema["allOf"]]
        for outcome in outcomes:
            yield from outcome
        if any(outcomes):
            none = ". None validated" if all(outcomes) else ""
            yield f.unnamed(place, f"{shown} must validate all the schemas (allOf){none}")
    if "not" in schema and not list(validate(value, schema["not"], place)):
        yield f.unnamed(place, f"{shown} must not validate the schema (not)")


def _check_string(value: str, schema: Schema, place: Place) -> Iterator[Finding]:
    if len(value) > schema.get("maxLength", len(value)):
        yield f.too_long(place, schema["maxLength"])
    elif len(value) < schema.get("minLength", 0):
        yield f.wrong_in_body(place, value, f"should be at least {schema['minLength']} chars long")
    elif "pattern" in schema and not _to_python(schema["pattern"]).search(value):
        yield f.wrong_in_body(place, value, f"should match '{schema['pattern']}'")
    if schema.get("format") == _DATE_TIME_FORMAT and not _is_date_time(value):
        yield f.wrong_type(place, _DATE_TIME_FORMAT, value)
    elif schema.get("format") in _FORMATS - {_DATE_TIME_FORMAT, "password"}:
        sentence = f"that it is a {schema['format']} is not checked here"
        yield Finding(place, f.show_place(place), sentence, warning=True)


def _check_number(value: float, schema: Schema, place: Place) -> Iterator[Finding]:
    def bound(name: str) -> float | None:
        limit = schema.get(name)
        # The API server compares an integer with the whole part of a bound: 0 is not less than a minimum of 0.01.
        return int(limit) if limit is not None and isinstance(value, int) else limit

    multiple, least, most = schema.get("multipleOf"), bound("minimum"), bound("maximum")
    if multiple is not None and isinstance(value, int) and int(multiple) == 0:
        yield f.invalid(place, 0, f"factor MultipleOf declared for {f.show_place(place)} must be positive: 0")
    elif multiple is not None and value % (int(multiple) if isinstance(value, int) else multiple):
        yield f.wrong_in_body(place, value, f"should be a multiple of {f.show_value(multiple)}")
    if least is not None:
        if schema.get("exclusiveMinimum"):
            if value <= least:
                yield f.wrong_in_body(place, value, f"should be greater than {f.show_value(least)}")
        elif value < least:
            yield f.wrong_in_body(place, value, f"should be greater than or equal to {f.show_value(least)}")
    if most is not None:
        if schema.get("exclusiveMaximum"):
            if value >= most:
                yield f.wrong_in_body(place, value, f"should be less than {f.show_value(most)}")
        elif value > most:
            yield f.wrong_in_body(place, value, f"should be less than or equal to {f.show_value(most)}")


def _check_list(value: list[Any], schema: Schema, place: Place) -> Iterator[Finding]:
    for index, item in enumerate(value):
        yield from validate(item, schema.get("items", {}), (*place, index))
    size = len(value)
    if size < schema.get("minItems", 0):
        yield f.wrong_in_body(place, size, f"should have at least {schema['minItems']} items")
    if size > schema.get("maxItems", size):
        yield f.too_many(place, size, schema["maxItems"])
    if schema.get("uniqueItems") and any(is_equal(one, other) for n, one in enumerate(value) for other in value[:n]):
        yield f.wrong_in_body(place, "", "shouldn't contain duplicates")


def _check_enum(value: Any, schema: Schema, place: Place) -> Iterator[Finding]:
    if "enum" in schema and not any(is_equal(value, one) for one in schema["enum"]):
        yield f.unsupported(place, value, schema["enum"])


def _check_object(value: Mapping[str, Any], schema: Schema, place: Place) -> Iterator[Finding]:
    size = len(value)
    if size < schema.get("minProperties", 0):
        yield f.wrong_in_body(place, size, f"should have at least {schema['minProperties']} properties")
    if size > schema.get("maxProperties", size):
        yield f.too_many(place, size, schema["maxProperties"])
    for key, member in value.items():
        below = _schema_of(key, schema)
        if below is not None:
            yield from validate(member, below, (*place, key))
    for key in schema.get("required", ()):
        if key not in value:
            yield f.required((*place, key))


def _check_uniqueness(value: list[Any], schema: Schema, place: Place) -> Iterator[Finding]:
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set":
        members = value
    elif kind == "map":
        for index, item in enumerate(value):
            if not isinstance(item, dict | None):
                yield f.invalid((*place, index), item, "must be an object for an array of list-type map")
                return
        keys = schema["x-kubernetes-list-map-keys"]
        members = [{key: item[key] for key in keys if key in item} if item else {} for item in value]
    else:
        return
    seen: list[str] = []
    for index, member in enumerate(members):
        shown = f.show_json(member)
        # The second of its kind is told, a third is not.
        if seen.count(shown) == 1:
            yield f.duplicate((*place, index), member)
        seen.append(shown)


def _to_python(pattern: str) -> re.Pattern[str]:
    """Return ``pattern``, written for Go, for Python: there ``$`` is the very end."""
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", pattern), re.ASCII)


def _is_date_time(value: str) -> bool:
    if not _DATE_TIME.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value.upper())
    except ValueError:
        return False
    return True
