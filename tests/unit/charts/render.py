"""Renders a chart with helm, and finds its way in what comes out."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support import require

ROOT = Path(__file__).parents[3]
HUB = ROOT / "charts" / "iot-hub"
PARTS = ("kafka", "kafka-ui", "mqtt", "ingestion", "operator")
NAMESPACE = "plant"

Object = Mapping[str, Any]


class HelmError(Exception):
    """Helm has refused; the message is what it wrote."""


@dataclass(frozen=True)
class Pod:
    """A pod that something rendered would make."""

    owner: str
    labels: Mapping[str, str]
    spec: Object

    @property
    def containers(self) -> list[Object]:
        """Return the init containers and the containers."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def environment(self) -> dict[str, str]:
        """Return the literal variables of the pod's main container; a reference is given as ``<...>``."""
        variables = {}
        for entry in self.spec["containers"][0].get("env", []):
            source = entry.get("valueFrom", {})
            reference = source.get("secretKeyRef") or source.get("fieldRef") or {}
            shown = "/".join(str(reference[key]) for key in ("name", "key", "fieldPath") if key in reference)
            variables[entry["name"]] = entry.get("value", f"<{shown}>")
        return variables


@dataclass(frozen=True)
class Rendered:
    """The objects of one rendering."""

    objects: tuple[Object, ...]

    def get(self, kind: str, name: str) -> Object:
        """Return the one object of that kind and name."""
        found = [item for item in self.all(kind) if item["metadata"]["name"] == name]
        assert len(found) == 1, f"{kind} {name}: {len(found)} of them among {[self._title(o) for o in self.objects]}"
        return found[0]

    def all(self, kind: str) -> list[Object]:
        """Return the objects of that kind."""
        return [item for item in self.objects if item["kind"] == kind]

    def pods(self) -> Iterator[Pod]:
        """Yield every pod that would come of these objects, the hooks' and the test's too."""
        for item in self.objects:
            match item["kind"]:
                case "Pod":
                    yield Pod(self._title(item), item["metadata"]["labels"], item["spec"])
                case "Deployment" | "StatefulSet" | "Job":
                    template = item["spec"]["template"]
                    yield Pod(self._title(item), template["metadata"]["labels"], template["spec"])

    def pod(self, owner: str) -> Pod:
        """Return the pod of that owner (``StatefulSet/hub-kafka``, ``Job/hub-topics-*``)."""
        found = [
            pod
            for pod in self.pods()
            if pod.owner == owner or (owner.endswith("*") and pod.owner.startswith(owner[:-1]))
        ]
        assert len(found) == 1, f"{owner}: {[pod.owner for pod in self.pods()]}"
        return found[0]

    @staticmethod
    def _title(item: Object) -> str:
        return f"{item['kind']}/{item['metadata']['name']}"


@functools.cache
def render(*settings: str, part: str = "", values: Path | None = None, release: str = "hub") -> Rendered:
    """Return what ``helm template`` makes of the hub, or of a part alone, with ``--set`` for each of ``settings``.

    Raises HelmError where helm refuses.
    """
    helm = require.command("helm", "install it from https://helm.sh/docs/intro/install/")
    chart = HUB / "charts" / part if part else HUB
    words = [str(helm), "template", release, str(chart), "--namespace", NAMESPACE]
    for setting in settings:
        words += ["--set", setting]
    if values is not None:
        words += ["--values", str(values)]
    answer = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    if answer.returncode != 0:
        raise HelmError(answer.stderr)
    return Rendered(tuple(item for item in yaml.safe_load_all(answer.stdout) if item))
