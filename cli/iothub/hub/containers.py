"""From a container of a pod template to what a process needs: variables, arguments, mounted files. Pure.

What the kubelet does with the same manifest, as far as a process on this machine can have it: variables from Secrets
and ConfigMaps, ``$(NAME)`` and ``$$`` in values, files at the place of a mount. A path below a mount is the pod's own
folder here, so values that name one are rewritten.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from telemetry_operator.api import CONFIG_MAPS, Manifest, Resource

SECRETS = Resource("v1", "secrets")

Read = Callable[[Resource, str], Manifest | None]
"""Returns an object of the pod's namespace by its name."""

_REFERENCE = re.compile(r"\$\$|\$\(([-._A-Za-z0-9]+)\)")


class ConfigProblem(Exception):
    """A container can't be made as long as something that it names is missing; the text is the kubelet's."""


def build_environment(
    container: Manifest, *, pod_name: str, namespace: str, mounts: Mapping[str, Path], read: Read
) -> dict[str, str]:
    """Return the variables of ``container``. Raises ConfigProblem where a Secret or ConfigMap or a key is missing."""
    variables: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        variables |= _find_all(source, read)
    for item in container.get("env", ()):
        value = _find_value(item, pod_name, namespace, read, variables)
        if value is not None:
            variables[item["name"]] = _move_below(mounts, value)
    return variables


def find_mounts(container: Manifest, folder: Path) -> dict[str, Path]:
    """Return, for each mount's path in the container, the folder on this machine that stands for it."""
    return {mount["mountPath"]: folder / "volumes" / mount["name"] for mount in container.get("volumeMounts", ())}


def build_volume(volume: Manifest, namespace: str, read: Read) -> dict[str, bytes] | None:
    """Return the files of a volume, none of them for an empty one. Raises ConfigProblem where what it names is missing.

    None stands for a volume that has no files yet, as a claim's is here, or of a kind that no pod of ours has.
    """
    if "emptyDir" in volume:
        return {}
    if "configMap" in volume:
        source, kind, name, resource = volume["configMap"], "ConfigMap", volume["configMap"]["name"], CONFIG_MAPS
    elif "secret" in volume:
        source, kind, name, resource = volume["secret"], "Secret", volume["secret"]["secretName"], SECRETS
    else:
        return None
    optional = source.get("optional", False)
    body = read(resource, name)
    if body is None:
        if optional:
            return {}
        raise ConfigProblem(f'{kind.lower()} "{name}" not found')
    files = {}
    for item in source.get("items") or [{"key": key, "path": key} for key in _find_keys(body)]:
        content = _read_key(body, item["key"])
        if content is not None:
            files[item["path"]] = content
        elif not optional:
            raise ConfigProblem(f"couldn't find key {item['key']} in {kind} {namespace}/{name}")
    return files


def _find_all(source: Manifest, read: Read) -> dict[str, str]:
    for field, kind, resource in (("secretRef", "secret", SECRETS), ("configMapRef", "configmap", CONFIG_MAPS)):
        if field not in source:
            continue
        body = read(resource, source[field]["name"])
        if body is None:
            if source[field].get("optional", False):
                return {}
            raise ConfigProblem(f'{kind} "{source[field]["name"]}" not found')
        contents = {key: _read_key(body, key) or b"" for key in _find_keys(body)}
        prefix = source.get("prefix", "")
        return {f"{prefix}{key}": content.decode("utf-8", "surrogateescape") for key, content in contents.items()}
    return {}


def _find_keys(body: Manifest) -> list[str]:
    """Return the keys of a ConfigMap or a Secret."""
    fields = ("data", "stringData") if body.get("kind") == "Secret" else ("data", "binaryData")
    return sorted({key for field in fields for key in body.get(field) or ()})


def _find_value(item: Manifest, pod_name: str, namespace: str, read: Read, known: Mapping[str, str]) -> str | None:
    source = item.get("valueFrom")
    if source is None:
        return expand(item.get("value", ""), known)
    if "fieldRef" in source:
        return {"metadata.name": pod_name, "metadata.namespace": namespace}.get(source["fieldRef"]["fieldPath"], "")
    for field, kind, resource in (("secretKeyRef", "Secret", SECRETS), ("configMapKeyRef", "ConfigMap", CONFIG_MAPS)):
        if field in source:
            return _find_reference(source[field], kind, resource, namespace, read)
    return None


def _find_reference(
    reference: Mapping[str, Any], kind: str, resource: Resource, namespace: str, read: Read
) -> str | None:
    name, key, optional = reference["name"], reference["key"], reference.get("optional", False)
    body = read(resource, name)
    content = _read_key(body, key) if body is not None else None
    if content is not None:
        return content.decode("utf-8", "surrogateescape")
    if optional:
        return None
    if body is None:
        raise ConfigProblem(f'{kind.lower()} "{name}" not found')
    raise ConfigProblem(f"couldn't find key {key} in {kind} {namespace}/{name}")


def _read_key(body: Manifest, key: str) -> bytes | None:
    """Return what a ConfigMap or a Secret holds under ``key``."""
    secret = body.get("kind") == "Secret"
    plain = (body.get("stringData") if secret else body.get("data")) or {}
    if key in plain:
        return str(plain[key]).encode("utf-8", "surrogateescape")
    encoded = (body.get("data") if secret else body.get("binaryData")) or {}
    if key not in encoded:
        return None
    try:
        return base64.b64decode(encoded[key], validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise ConfigProblem(f"{key} of {body['metadata']['name']} is not base64: write it under stringData") from None


def expand(value: str, known: Mapping[str, str]) -> str:
    """Return ``value`` with ``$(NAME)`` replaced by a variable before it, and two dollars by one."""

    def replace(found: re.Match[str]) -> str:
        return "$" if found[1] is None else known.get(found[1], found[0])

    return _REFERENCE.sub(replace, value)


def _move_below(mounts: Mapping[str, Path], value: str) -> str:
    for path, folder in mounts.items():
        if value == path or value.startswith(f"{path}/"):
            return str(folder) + value[len(path) :]
    return value
