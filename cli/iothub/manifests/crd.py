"""The CRD of the TelemetryConsumer, as its file has it: no rule of it is repeated in code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from iothub.manifests.yaml_reading import read_yaml
from iothub.resources import find_resource

Schema = Mapping[str, Any]

_FILE = "crds/telemetryconsumer.yaml"


@dataclass(frozen=True)
class Crd:
    """What a check needs of a CRD."""

    api_version: str
    kind: str
    schema: Schema
    spec_replicas: tuple[str, ...]
    """Where /scale finds the replicas."""


@cache
def load_crd() -> Crd:
    """Return the CRD that comes with this program."""
    (document,) = read_yaml(find_resource(_FILE).read_bytes())
    spec = document.value["spec"]
    version = next(version for version in spec["versions"] if version["storage"])
    return Crd(
        api_version=f"{spec['group']}/{version['name']}",
        kind=spec["names"]["kind"],
        schema=version["schema"]["openAPIV3Schema"],
        spec_replicas=tuple(version["subresources"]["scale"]["specReplicasPath"].removeprefix(".").split(".")),
    )
