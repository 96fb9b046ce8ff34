"""Manifests in files, for the tests of what reads them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from iothub.manifests.checks import check_document
from iothub.manifests.documents import Document, parse_documents

HEAD = "apiVersion: telemetry.iot-hub.io/v1alpha1\nkind: TelemetryConsumer\nmetadata: {name: a}\n"
PATH = Path("a.yaml")


def parse(text: str) -> list[Document]:
    """The documents of a file that holds ``text``."""
    return parse_documents(dedent(text).encode(), PATH)


def consumer(spec: str) -> Document:
    """A TelemetryConsumer whose ``spec`` begins in line 4."""
    (document,) = parse(HEAD + dedent(spec))
    return document


def told(document: Document) -> list[str]:
    """What is said to a document, as it is printed."""
    return [str(problem) for problem in check_document(document)]
