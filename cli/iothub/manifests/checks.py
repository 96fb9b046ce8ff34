"""Whether a TelemetryConsumer in a file would be taken, and by what it would be refused: the API server, the operator.

The order is theirs: fields that don't exist, metadata, the CRD's schema, the CRD's rules (only where nothing is wrong
that makes them meaningless), then what the operator itself can't work with.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iothub.manifests import findings as f
from iothub.manifests import metadata as meta
from iothub.manifests import schema as structure
from iothub.manifests.crd import Crd, load_crd
from iothub.manifests.defaults import apply_defaults
from iothub.manifests.documents import Document, show_path
from iothub.manifests.findings import Finding
from iothub.manifests.rules import validate_rules
from iothub.manifests.yaml_reading import Place
from telemetry_operator.errors import SpecError
from telemetry_operator.spec import Consumer, parse_consumer

_NOT_ALL = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
_MOST_SPEC_ERRORS = 20
_PLACEHOLDER: dict[str, Any] = {"uid": "", "generation": 1}


@dataclass(frozen=True)
class Problem:
    """What is wrong with a document, and where. A ``warning`` refuses nothing."""

    path: Path
    line: int
    field: str
    sentence: str
    warning: bool = False

    def __str__(self) -> str:
        where = f"{show_path(self.path)}:{self.line}: "
        field = f"{self.field}: " if self.field else ""
        return f"{where}{'warning: ' if self.warning else ''}{field}{self.sentence}"


def check_document(document: Document, *, old: Mapping[str, Any] | None = None) -> list[Problem]:
    """Return what the API server and the operator would say to a TelemetryConsumer; nothing where all is right.

    ``old`` is the object that it would change: rules about a change (a group is for good) need it.
    """
    found = list(dict.fromkeys(_find(document, old)))
    return [Problem(document.path, document.line_of(one.place), one.field, one.sentence, one.warning) for one in found]


def parse_document(document: Document) -> Consumer:
    """Return the consumer of a document, defaults applied. Raises SpecError with the first field that can't work."""
    return _parse(apply_defaults(document.body), document)


def _find(document: Document, old: Mapping[str, Any] | None) -> Iterator[Finding]:
    crd = load_crd()
    body = document.body
    wrong_kind = list(_check_kind(body, crd))
    if wrong_kind:
        yield from wrong_kind
        return
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        yield f.wrong_type(("metadata",), "object", structure.name_type(metadata))
        return
    found = [*meta.find_unknown_fields(metadata or {}), *structure.find_unknown_fields(body, crd.schema)]
    yield from found
    judged = _as_created(body)
    found += (against := list(_validate(judged, document, crd, old)))
    yield from against
    yield from _check_spec(judged, document, found)


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


def _as_created(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``body`` as the API server judges a new object: without status, which only the operator writes."""
    return apply_defaults({key: value for key, value in body.items() if key != "status"})


def _validate(
    judged: Mapping[str, Any], document: Document, crd: Crd, old: Mapping[str, Any] | None
) -> Iterator[Finding]:
    found = [
        *meta.validate_metadata(judged.get("metadata") or {}, document.namespace),
        *structure.validate(judged, crd.schema),
        *_check_scale(judged, crd.spec_replicas),
        *structure.validate_lists(judged, crd.schema),
    ]
    yield from found
    blocking = next((one for one in found if one.blocks), None)
    if blocking is not None:
        yield Finding(blocking.place, "", _NOT_ALL, warning=True)
        return
    before = _shown_to_rules(_as_created(old)) if old is not None else None
    yield from validate_rules(_shown_to_rules(judged), crd.schema, before)


def _check_scale(judged: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Finding]:
    """Yield what the subresource /scale has against the replicas; its complaints bear a dot before the field."""
    value: Any = judged
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return
        value = value[key]
    field = f".{'.'.join(path)}"
    go_types = {
        "string": "string",
        "boolean": "bool",
        "number": "float64",
        "array": "[]interface {}",
        "object": "map[string]interface {}",
    }
    kind = structure.name_type(value)
    if kind in go_types:
        shown = value if isinstance(value, str) else f.show_value(value)
        detail = f"{field} accessor error: {shown} is of the type {go_types[kind]}, expected int64"
        yield Finding(path, field, f"Invalid value: 0: {detail}")
    elif kind == "integer" and value < 0:
        yield Finding(path, field, f"Invalid value: {value}: should be a non-negative integer")
    elif kind == "integer" and value > 2**31 - 1:
        yield Finding(path, field, f"Invalid value: {value}: should be less than or equal to {2**31 - 1}")


def _shown_to_rules(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``body`` as the rules see it: of the metadata, the name alone."""
    metadata = body.get("metadata") or {}
    return {**body, "metadata": {key: metadata[key] for key in ("name", "generateName") if key in metadata}}


def _check_spec(judged: dict[str, Any], document: Document, found: Sequence[Finding]) -> Iterator[Finding]:
    """Yield what the operator can't work with, but for fields that something is told about already.

    The operator tells the first one; the others come out with that one left away.
    """
    if not isinstance(judged.get("spec"), dict) or not isinstance((judged.get("metadata") or {}).get("name"), str):
        return
    told = [one.place for one in found if not one.warning]
    rest = copy.deepcopy(judged)
    for _ in range(_MOST_SPEC_ERRORS):
        try:
            _parse(rest, document)
        except SpecError as error:
            place = _to_place(error.path)
            if not any(one[: len(place)] == place or place[: len(one)] == one for one in told):
                told.append(place)
                yield Finding(place, error.path, error.problem)
            if not _leave_away(rest, place):
                return
        else:
            return


def _leave_away(body: Any, place: Place) -> bool:
    """Remove the field at ``place``; return whether there was one that can go."""
    *way, last = place
    for part in way:
        if not isinstance(body, dict) or part not in body:
            return False
        body = body[part]
    return len(place) > 1 and isinstance(body, dict) and body.pop(last, None) is not None


def _parse(body: dict[str, Any], document: Document) -> Consumer:
    metadata = body["metadata"]
    own = {"name": metadata["name"], "namespace": document.namespace, "annotations": metadata.get("annotations") or {}}
    return parse_consumer({**body, "metadata": _PLACEHOLDER | own})


def _to_place(path: str) -> Place:
    parts = path.replace("[", ".[").split(".")
    return tuple(int(part[1:-1]) if part.startswith("[") else part for part in parts)
