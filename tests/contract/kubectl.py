"""kubectl in one namespace, for the tests that ask a real API server."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any


class Refusal(RuntimeError):
    """kubectl ended with an error; the text is what it said."""


@dataclass(frozen=True)
class Kubectl:
    """Runs kubectl; objects go in and come out as dicts."""

    namespace: str
    kubeconfig: str

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return what it printed. Raises Refusal."""
        command = ["kubectl", "--kubeconfig", self.kubeconfig, "--namespace", self.namespace, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise Refusal(done.stderr)
        return done.stdout

    def apply(self, manifest: dict[str, Any], *arguments: str) -> dict[str, Any]:
        """Apply an object and return it as the server has it."""
        return self._load(self.run("apply", "-o", "json", *arguments, "-f", "-", stdin=json.dumps(manifest)))

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object, None where there is none."""
        answer = self.run("get", kind, name, "--ignore-not-found", "-o", "json")
        return self._load(answer) if answer.strip() else None

    def list(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        """Return the objects of a kind."""
        found: list[dict[str, Any]] = self._load(self.run("get", kind, "-o", "json", *arguments))["items"]
        return found

    def patch(self, kind: str, name: str, patch: dict[str, Any], *arguments: str) -> None:
        """Merge ``patch`` into an object."""
        self.run("patch", kind, name, "--type", "merge", "-p", json.dumps(patch), *arguments)

    @staticmethod
    def _load(text: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(text)
        return loaded
