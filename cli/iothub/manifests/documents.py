"""Manifests of files and folders: TelemetryConsumers, and ConfigMaps and Secrets beside them, each with its lines."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iothub.errors import ManifestProblem
from iothub.manifests.yaml_reading import Place, Read, YamlProblem, read_yaml
from telemetry_operator.naming import GROUP, KIND

STDIN = Path("-")
SUFFIXES = (".yaml", ".yml")
HELPERS = (("v1", "ConfigMap"), ("v1", "Secret"))
"""Kinds that consumers refer to, and that come along."""
DEFAULT_NAMESPACE = "default"

_ALIKE = 0.75
"""From this likeness on a kind counts as a misspelt TelemetryConsumer, not as some other kind."""


@dataclass(frozen=True)
class Document:
    """One object of a file."""

    path: Path
    line: int
    body: dict[str, Any]
    lines: Mapping[Place, int] = field(default_factory=dict, repr=False)
    """From the place of a field in ``body`` to its line in the file."""

    @property
    def kind(self) -> str:
        """``kind`` as it is written, empty where there is none."""
        return _text(self.body.get("kind"))

    @property
    def name(self) -> str:
        """``metadata.name``, empty where there is none."""
        return _text(self._metadata.get("name"))

    @property
    def namespace(self) -> str:
        """``metadata.namespace``, or ``default``."""
        return _text(self._metadata.get("namespace")) or DEFAULT_NAMESPACE

    @property
    def is_consumer(self) -> bool:
        """Whether it is, or is meant to be, a TelemetryConsumer."""
        return (_text(self.body.get("apiVersion")), self.kind) not in HELPERS

    def line_of(self, place: Place) -> int:
        """Return the line of the field at ``place``, of what holds it where the field itself is not there."""
        for length in range(len(place), 0, -1):
            if place[:length] in self.lines:
                return self.lines[place[:length]]
        return self.line

    @property
    def _metadata(self) -> Mapping[str, Any]:
        metadata = self.body.get("metadata")
        return metadata if isinstance(metadata, dict) else {}


@dataclass(frozen=True)
class Skipped:
    """An object that is none of ours."""

    path: Path
    line: int
    kind: str


@dataclass(frozen=True)
class Manifests:
    """All that files hold."""

    documents: tuple[Document, ...]
    skipped: tuple[Skipped, ...]


def load_documents(paths: Sequence[Path]) -> list[Document]:
    """Return the TelemetryConsumers, ConfigMaps and Secrets of ``paths``. Raises ManifestProblem with file and line."""
    return list(load_manifests(paths).documents)


def load_manifests(paths: Sequence[Path]) -> Manifests:
    """Return what ``paths`` hold, in order: files, folders with all below them, ``-`` for standard input.

    Raises ManifestProblem with file and line where a text is no YAML, or is nothing that kubectl could send.
    """
    documents: list[Document] = []
    skipped: list[Skipped] = []
    for path in find_files(paths):
        for document in _read_file(path):
            if is_ours(document.body):
                documents.append(document)
            else:
                kind = f"{_text(document.body.get('apiVersion'))} {document.kind}".strip()
                skipped.append(Skipped(path, document.line, kind))
    return Manifests(tuple(documents), tuple(skipped))


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files of ``paths``, each once. Raises ManifestProblem where there is none."""
    found: list[Path] = []
    for path in paths:
        if path == STDIN or path.is_file() or path.is_fifo():
            found.append(path)
        elif path.is_dir():
            below = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
            if not below:
                raise ManifestProblem(f"{path}: there is no file *.yaml or *.yml in this folder")
            found.extend(below)
        else:
            raise ManifestProblem(f"{path}: there is no such file or folder")
    return list(dict.fromkeys(found))


def parse_documents(text: bytes, path: Path) -> list[Document]:
    """Return every object in ``text``, of any kind; ``path`` is for the messages. Raises ManifestProblem."""
    try:
        return [document for read in read_yaml(text) for document in _expand(read, path)]
    except YamlProblem as error:
        raise ManifestProblem(f"{show_path(path)}:{error.line}: {error.problem}") from error


def is_ours(body: Mapping[str, Any]) -> bool:
    """Return whether ``body`` is of a kind that we take, or would be but for a misspelling."""
    api_version, kind = _text(body.get("apiVersion")), _text(body.get("kind"))
    if not api_version or not kind or api_version.partition("/")[0] == GROUP or (api_version, kind) in HELPERS:
        return True
    return difflib.SequenceMatcher(None, kind.casefold(), KIND.casefold()).ratio() >= _ALIKE


def show_path(path: Path) -> str:
    """Return ``path`` for a person."""
    return "standard input" if path == STDIN else str(path)


def _read_file(path: Path) -> list[Document]:
    try:
        text = sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
    except OSError as error:
        raise ManifestProblem(f"{path}: can't be read ({error.strerror or error})") from error
    return parse_documents(text, path)


def _expand(read: Read, path: Path) -> Iterator[Document]:
    """Yield the document, or the items of a list."""
    body = read.value
    if not isinstance(body, dict):
        raise YamlProblem(read.line, f"here is {_name_of(body)}, not an object with apiVersion, kind and metadata")
    items = body.get("items")
    if not (_text(body.get("kind")).endswith("List") and isinstance(items, list)):
        yield Document(path, read.line, body, read.lines)
        return
    item_kind = _text(body.get("kind")).removesuffix("List")
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            line = read.lines.get(("items", index), read.line)
            raise YamlProblem(line, f"items[{index}] is {_name_of(item)}, not an object with apiVersion and kind")
        prefix = ("items", index)
        lines = {place[2:]: line for place, line in read.lines.items() if place[:2] == prefix}
        # A typed list (kubectl get -o yaml never writes one) need not repeat what its items are.
        given = {"apiVersion": body.get("apiVersion"), "kind": item_kind} if item_kind else {}
        yield Document(path, lines.get((), read.line), given | item, lines)


def _name_of(value: object) -> str:
    names: dict[type, str] = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "nothing")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
