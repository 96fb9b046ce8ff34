"""The ConfigMaps that handlers come from: those of the files, and those that `kubectl create configmap` would make."""

from __future__ import annotations

import base64
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iothub.manifests.documents import STDIN, Document

KIND = "ConfigMap"


def gather_config_maps(documents: Sequence[Document]) -> list[dict[str, Any]]:
    """Return the ConfigMaps of ``documents``, and those that their consumers name and no document holds.

    Such a one is made from the files beside the manifest, one for each key, as ``kubectl create configmap NAME
    --from-file=KEY`` makes it. Where there is no such file either, there is no ConfigMap.
    """
    written = {
        (document.namespace, document.name): document
        for document in documents
        if document.kind == KIND and document.name
    }
    found = {
        place: copy.deepcopy(document.body) | {"metadata": _place(document)} for place, document in written.items()
    }
    for document in documents:
        source = find_source(document)
        if source is None:
            continue
        name, key = source
        place = (document.namespace, name)
        path = find_file_beside(document, key)
        if place in written or path is None:
            continue
        made = found.setdefault(place, _build_empty(*place))
        _add(made, key, path.read_bytes())
    return list(found.values())


def find_source(document: Document) -> tuple[str, str] | None:
    """Return name and key of the ConfigMap that a consumer's handler comes from, None where it comes from none."""
    body: Any = document.body if document.is_consumer else {}
    for field in ("spec", "handler", "configMap"):
        body = body.get(field) if isinstance(body, dict) else None
    if not isinstance(body, dict):
        return None
    name, key = body.get("name"), body.get("key")
    return (name, key) if isinstance(name, str) and isinstance(key, str) else None


def find_file_beside(document: Document, key: str) -> Path | None:
    """Return the file called ``key`` in the manifest's folder, None where there is none."""
    # A key has no slash; one that has is no file of this folder.
    if document.path == STDIN or Path(key).name != key:
        return None
    path = document.path.parent / key
    return path if path.is_file() else None


def read_key(config_map: dict[str, Any], key: str) -> bytes | None:
    """Return what a ConfigMap holds under ``key``, None where it has no such key."""
    data, binary = config_map.get("data") or {}, config_map.get("binaryData") or {}
    if key in data:
        return str(data[key]).encode()
    return base64.b64decode(binary[key]) if key in binary else None


def _place(document: Document) -> dict[str, Any]:
    return {**document.body["metadata"], "namespace": document.namespace}


def _build_empty(namespace: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": KIND, "metadata": {"name": name, "namespace": namespace}}


def _add(config_map: dict[str, Any], key: str, content: bytes) -> None:
    try:
        config_map.setdefault("data", {})[key] = content.decode()
    except UnicodeDecodeError:
        config_map.setdefault("binaryData", {})[key] = base64.b64encode(content).decode()
