"""What Kubernetes says to an object's ``metadata``, as k8s.io/apimachinery words it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from iothub.manifests import findings as f
from iothub.manifests.findings import Finding
from iothub.manifests.schema import name_type

_TEXTS = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
)
_NUMBERS = ("generation", "deletionGracePeriodSeconds")
_MAPS = ("labels", "annotations")
_LISTS = ("ownerReferences", "finalizers", "managedFields")
_KNOWN = frozenset((*_TEXTS, *_NUMBERS, *_MAPS, *_LISTS))

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_ALPHANUMERIC = "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
_LONGEST_LABEL = 63
_LONGEST_NAME = 253
_MOST_ANNOTATIONS = 256 * 1024


def find_unknown_fields(metadata: Mapping[str, Any]) -> list[Finding]:
    """Return the fields of ``metadata`` that Kubernetes does not have."""
    return [f.unknown_field(("metadata", key)) for key in sorted(metadata) if key not in _KNOWN]


def validate_metadata(metadata: Mapping[str, Any], namespace: str) -> Iterator[Finding]:
    """Yield what is wrong with ``metadata`` of an object that goes into ``namespace``."""
    wrong = list(_check_types(metadata))
    if wrong:
        yield from wrong
        return
    name = metadata.get("name") or ""
    if not name:
        yield f.required(("metadata", "name"), "name or generateName is required")
    for problem in _find_subdomain_problems(name) if name else ():
        yield f.invalid(("metadata", "name"), name, problem)
    for problem in _find_label_problems(namespace):
        yield f.invalid(("metadata", "namespace"), namespace, problem)
    yield from _check_labels(metadata.get("labels") or {})
    yield from _check_annotations(metadata.get("annotations") or {})


def _check_types(metadata: Mapping[str, Any]) -> Iterator[Finding]:
    for key, value in metadata.items():
        place = ("metadata", key)
        if value is None:
            continue
        if key in _MAPS:
            if not isinstance(value, dict):
                yield f.wrong_type(place, "object", name_type(value))
            else:
                for name, text in value.items():
                    if not isinstance(text, str):
                        yield f.wrong_type((*place, name), "string", name_type(text))
        elif key in _TEXTS and not isinstance(value, str):
            yield f.wrong_type(place, "string", name_type(value))


def _check_labels(labels: Mapping[str, str]) -> Iterator[Finding]:
    for name, value in labels.items():
        for problem in _find_qualified_name_problems(name):
            yield f.invalid(("metadata", "labels"), name, problem)
        if len(value) > _LONGEST_LABEL:
            yield f.invalid(("metadata", "labels"), value, _too_long(_LONGEST_LABEL))
        if not re.fullmatch(_LABEL_VALUE, value, re.ASCII):
            what = f"a valid label must be an empty string or consist of {_ALPHANUMERIC}"
            yield f.invalid(("metadata", "labels"), value, _explain(what, _LABEL_VALUE, "MyValue", "my_value", "12345"))


def _check_annotations(annotations: Mapping[str, str]) -> Iterator[Finding]:
    for name in annotations:
        for problem in _find_qualified_name_problems(name.lower()):
            yield f.invalid(("metadata", "annotations"), name, problem)
    sizes = (len(text.encode("utf-8", "replace")) for item in annotations.items() for text in item)
    if sum(sizes) > _MOST_ANNOTATIONS:
        yield f.too_long(("metadata", "annotations"), _MOST_ANNOTATIONS)


def _find_qualified_name_problems(name: str) -> Iterator[str]:
    parts = name.split("/")
    if len(parts) > 2:
        optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        yield f"a qualified name {_explain_qualified()} {optional}"
        return
    if len(parts) == 2:
        if not parts[0]:
            yield "prefix part must be non-empty"
        else:
            for problem in _find_subdomain_problems(parts[0]):
                yield f"prefix part {problem}"
    own = parts[-1]
    if not own:
        yield "name part must be non-empty"
    elif len(own) > _LONGEST_LABEL:
        yield f"name part {_too_long(_LONGEST_LABEL)}"
    if not re.fullmatch(_QUALIFIED, own, re.ASCII):
        yield f"name part {_explain_qualified()}"


def _find_subdomain_problems(name: str) -> Iterator[str]:
    if len(name) > _LONGEST_NAME:
        yield _too_long(_LONGEST_NAME)
    if not re.fullmatch(_SUBDOMAIN, name, re.ASCII):
        what = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
            "and must start and end with an alphanumeric character"
        )
        yield _explain(what, _SUBDOMAIN, "example.com")


def _find_label_problems(name: str) -> Iterator[str]:
    if len(name) > _LONGEST_LABEL:
        yield _too_long(_LONGEST_LABEL)
    if re.fullmatch(_LABEL, name, re.ASCII):
        return
    if re.fullmatch(_SUBDOMAIN, name, re.ASCII):
        yield "must not contain dots"
    else:
        what = (
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
            "and must start and end with an alphanumeric character"
        )
        yield _explain(what, _LABEL, "my-name", "123-abc")


def _explain_qualified() -> str:
    return _explain(f"must consist of {_ALPHANUMERIC}", _QUALIFIED, "MyName", "my.name", "123-abc")


def _explain(what: str, pattern: str, *examples: str) -> str:
    named = ",  or ".join(f"'{example}'" for example in examples)
    return f"{what} (e.g. {named}, regex used for validation is '{pattern}')"


def _too_long(most: int) -> str:
    return f"must be no more than {most} characters"
