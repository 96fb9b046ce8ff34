"""What the API server says to an object of a custom kind before it takes it, in its order and its words.

Fields that don't exist, metadata, the schema, lists, and the CRD's rules: those only where nothing is wrong that makes
them meaningless.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from iothub.manifests import findings as f
from iothub.manifests import metadata as meta
from iothub.manifests import schema as structure
from iothub.manifests.crd import Crd
from iothub.manifests.defaults import apply_defaults
from iothub.manifests.findings import Finding
from iothub.manifests.rules import validate_rules

_NOT_ALL = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
_GO_TYPES = {
    "string": "string",
    "boolean": "bool",
    "number": "float64",
    "array": "[]interface {}",
    "object": "map[string]interface {}",
}
_MOST_INT32 = 2**31 - 1


def review_object(
    body: Mapping[str, Any], crd: Crd, namespace: str, old: Mapping[str, Any] | None = None
) -> list[Finding]:
    """Return what the API server would say to ``body`` in ``namespace``, or to the change from ``old``."""
    wrong_kind = list(_check_kind(body, crd))
    if wrong_kind:
        return wrong_kind
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        return [f.wrong_type(("metadata",), "object", structure.name_type(metadata))]
    unknown = [*meta.find_unknown_fields(metadata or {}), *structure.find_unknown_fields(body, crd.schema)]
    return [*unknown, *_validate(build_new(body, crd), crd, namespace, old)]


def build_new(body: Mapping[str, Any], crd: Crd) -> dict[str, Any]:
    """Return ``body`` as the API server judges a new object: without status, which only a controller writes."""
    return apply_defaults({key: value for key, value in body.items() if key != "status"}, crd.schema)


def _check_kind(body: Mapping[str, Any], crd: Crd) -> Iterator[Finding]:
    api_version, kind = body.get("apiVersion"), body.get("kind")
    advice = f"write apiVersion: {crd.api_version} and kind: {crd.kind}"
    for name, value in (("apiVersion", api_version), ("kind", kind)):
        if not value:
            yield f.required((name,), advice)
        elif not isinstance(value, str):
            yield f.wrong_type((name,), "string", structure.name_type(value))
            return
    if api_version and kind and (api_version, kind) != (crd.api_version, crd.kind):
        place = ("kind",) if api_version == crd.api_version else ("apiVersion",)
        yield Finding(place, place[0], f'no matches for kind "{kind}" in version "{api_version}": {advice}')


def _validate(judged: Mapping[str, Any], crd: Crd, namespace: str, old: Mapping[str, Any] | None) -> Iterator[Finding]:
    found = [
        *meta.validate_metadata(judged.get("metadata") or {}, namespace),
        *structure.validate(judged, crd.schema),
        *_check_scale(judged, crd.spec_replicas),
        *structure.validate_lists(judged, crd.schema),
    ]
    yield from found
    blocking = next((one for one in found if one.blocks), None)
    if blocking is not None:
        yield Finding(blocking.place, "", _NOT_ALL, warning=True)
        return
    before = _shown_to_rules(build_new(old, crd)) if old is not None else None
    yield from validate_rules(_shown_to_rules(judged), crd.schema, before)


def _check_scale(judged: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Finding]:
    """Yield what the subresource /scale has against the replicas; its complaints bear a dot before the field."""
    value: Any = judged
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return
        value = value[key]
    field = f".{'.'.join(path)}"
    kind = structure.name_type(value)
    if kind in _GO_TYPES:
        shown = value if isinstance(value, str) else f.show_value(value)
        detail = f"{field} accessor error: {shown} is of the type {_GO_TYPES[kind]}, expected int64"
        yield Finding(path, field, f"Invalid value: 0: {detail}")
    elif kind == "integer" and value < 0:
        yield Finding(path, field, f"Invalid value: {value}: should be a non-negative integer")
    elif kind == "integer" and value > _MOST_INT32:
        yield Finding(path, field, f"Invalid value: {value}: should be less than or equal to {_MOST_INT32}")


def _shown_to_rules(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``body`` as the rules see it: of the metadata, the name alone."""
    metadata = body.get("metadata") or {}
    return {**body, "metadata": {key: metadata[key] for key in ("name", "generateName") if key in metadata}}
