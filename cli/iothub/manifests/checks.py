"""Whether a TelemetryConsumer in a file would be taken, and by what it would be refused: the API server, the operator.

First what the API server says (`iothub.manifests.admission`), then what the operator itself can't work with.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iothub.manifests.admission import build_new, review_object
from iothub.manifests.crd import load_crd
from iothub.manifests.defaults import apply_defaults
from iothub.manifests.documents import Document, show_path
from iothub.manifests.findings import Finding
from iothub.manifests.yaml_reading import Place
from telemetry_operator.errors import SpecError
from telemetry_operator.spec import Consumer, parse_consumer

_MOST_SPEC_ERRORS = 20
_HEADS = (("apiVersion",), ("kind",), ("metadata",))
"""What is wrong there says that the rest is not worth looking at."""
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
    crd = load_crd()
    found = review_object(document.body, crd, document.namespace, old)
    if not any(one.place in _HEADS for one in found):
        found += _check_spec(build_new(document.body, crd), document, found)
    found = list(dict.fromkeys(found))
    return [Problem(document.path, document.line_of(one.place), one.field, one.sentence, one.warning) for one in found]


def parse_document(document: Document) -> Consumer:
    """Return the consumer of a document, defaults applied. Raises SpecError with the first field that can't work."""
    return _parse(apply_defaults(document.body), document)


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
