"""What is wrong with documents that are right one by one: a name twice, a group of two minds, a missing file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from iothub.manifests import findings as f
from iothub.manifests.checks import Problem, check_document, parse_document
from iothub.manifests.config_maps import KIND as CONFIG_MAP
from iothub.manifests.config_maps import find_source, gather_config_maps, read_key
from iothub.manifests.documents import STDIN, Document, show_path
from iothub.manifests.schema import name_type
from telemetry_operator.spec import Consumer

_TEXT_FIELDS = {"ConfigMap": ("data", "binaryData"), "Secret": ("data", "stringData")}


def check_all(documents: Sequence[Document]) -> list[Problem]:
    """Return all that is wrong with ``documents``, one by one and together, in the order of files and lines."""
    found = [
        problem
        for document in documents
        for problem in (check_document(document) if document.is_consumer else check_helper(document))
    ]
    return sort_problems([*found, *check_documents(documents)], documents)


def sort_problems(problems: Iterable[Problem], documents: Sequence[Document]) -> list[Problem]:
    """Return ``problems`` in the order of ``documents``' files, and of the lines in each."""
    order = {document.path: place for place, document in reversed(list(enumerate(documents)))}
    return sorted(problems, key=lambda problem: (order[problem.path], problem.line))


def check_documents(documents: Sequence[Document]) -> list[Problem]:
    """Return what is wrong with ``documents`` together."""
    return [*_find_same_names(documents), *_find_group_conflicts(documents), *_find_missing_files(documents)]


def check_helper(document: Document) -> list[Problem]:
    """Return what is wrong with a ConfigMap or a Secret, as far as a consumer would feel it."""
    found = [] if document.name else [f.required(("metadata", "name"), "name or generateName is required")]
    for field in _TEXT_FIELDS[document.kind]:
        values = document.body.get(field) or {}
        if not isinstance(values, dict):
            found.append(f.wrong_type((field,), "object", name_type(values)))
            continue
        found += [
            f.wrong_type((field, key), "string", name_type(value))
            for key, value in values.items()
            if not isinstance(value, str)
        ]
    return [Problem(document.path, document.line_of(one.place), one.field, one.sentence) for one in found]


def has_errors(problems: Sequence[Problem]) -> bool:
    """Return whether anything would be refused."""
    return any(not problem.warning for problem in problems)


def _find_same_names(documents: Sequence[Document]) -> Iterator[Problem]:
    seen: dict[tuple[str, str, str], Document] = {}
    for document in documents:
        if not document.name:
            continue
        first = seen.setdefault((document.kind, document.namespace, document.name), document)
        if first is not document:
            sentence = f"{document.kind} {document.namespace}/{document.name} is there twice, first in {_show(first)}"
            yield Problem(document.path, document.line_of(("metadata", "name")), "metadata.name", sentence)


def _find_group_conflicts(documents: Sequence[Document]) -> Iterator[Problem]:
    seen: dict[str, tuple[Document, Consumer]] = {}
    for document in documents:
        if not document.is_consumer or has_errors(check_document(document)):
            continue
        consumer = parse_document(document)
        first, other = seen.setdefault(consumer.group_id, (document, consumer))
        if first is not document and set(other.spec.topics) != set(consumer.spec.topics):
            sentence = (
                f"the group {consumer.group_id} is also that of {first.name} in {_show(first)}, with other topics "
                f"({', '.join(other.spec.topics)}): members of one group share all of its topics, so write a groupId "
                "of its own, or the same topics"
            )
            line = document.line_of(("spec", "groupId"))
            yield Problem(document.path, line, "spec.groupId", sentence, warning=True)


def _find_missing_files(documents: Sequence[Document]) -> Iterator[Problem]:
    known = {(body["metadata"]["namespace"], body["metadata"]["name"]): body for body in gather_config_maps(documents)}
    for document in documents:
        source = find_source(document)
        if source is None:
            continue
        name, key = source
        config_map = known.get((document.namespace, name))
        if config_map is not None and read_key(config_map, key) is not None:
            continue
        beside = "" if document.path == STDIN or config_map is not None else f", and no file {key} is beside this one"
        sentence = (
            f"{CONFIG_MAP} {name} with the key {key} is in none of these files{beside}: its handler is not looked at"
        )
        line = document.line_of(("spec", "handler", "configMap"))
        yield Problem(document.path, line, "spec.handler.configMap", sentence, warning=True)


def _show(document: Document) -> str:
    return f"{show_path(document.path)}:{document.line}"
