"""The cluster as the tests see it: kubectl and helm in one namespace, answers parsed, failures with their output."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Kube", "KubectlError", "is_ready", "restarts"]

ROOT = Path(__file__).parents[2]


class KubectlError(RuntimeError):
    """kubectl or helm ended with an error; ``output`` is what it said."""

    def __init__(self, call: list[str], code: int, output: str) -> None:
        super().__init__(f"`{' '.join(call)}` ended with {code}:\n{output}")
        self.output = output


@dataclass(frozen=True)
class Kube:
    """kubectl in one namespace."""

    namespace: str

    def run(self, *arguments: str, stdin: bytes | str | None = None, timeout: float = 120) -> str:
        """Run kubectl and return what it printed. Raises KubectlError."""
        return _run(["kubectl", "--namespace", self.namespace, *arguments], stdin, timeout)

    def helm(self, *arguments: str, timeout: float = 600) -> str:
        """Run helm and return what it printed. Raises KubectlError."""
        return _run(["helm", "--namespace", self.namespace, *arguments], None, timeout)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object. Raises KubectlError where there is none."""
        found: dict[str, Any] = json.loads(self.run("get", kind, name, "-o", "json"))
        return found

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object, or None where there is none."""
        answer = self.run("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(answer) if answer.strip() else None

    def get_all(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """Return the objects of a kind, those that a label selector picks."""
        extra = ["-l", selector] if selector else []
        items: list[dict[str, Any]] = json.loads(self.run("get", kind, "-o", "json", *extra))["items"]
        return items

    def apply(self, manifest: dict[str, Any] | str | Path) -> str:
        """``kubectl apply`` an object, a YAML text, or a file."""
        if isinstance(manifest, Path):
            return self.run("apply", "-f", str(manifest))
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        return self.run("apply", "-f", "-", stdin=text)

    def exec(self, pod: str, *command: str, stdin: bytes | None = None, timeout: float = 120) -> str:
        """Run a command in a pod's first container and return what it printed."""
        interactive = ["-i"] if stdin is not None else []
        return self.run("exec", *interactive, pod, "--", *command, stdin=stdin, timeout=timeout)

    def write_file(self, pod: str, path: str, content: bytes) -> None:
        """Write a file in a pod, and check that it arrived whole."""
        script = f"cat >{path}.part && mv {path}.part {path} && sha256sum {path}"
        said = self.exec(pod, "sh", "-c", script, stdin=content)
        assert said.split()[0] == hashlib.sha256(content).hexdigest(), f"{path} was cut short on its way into {pod}"

    def logs(self, pod: str, *, container: str | None = None) -> str:
        """Return a pod's whole log."""
        return self.run("logs", pod, "--tail=-1", *(["-c", container] if container else []))

    def json_logs(self, pod: str, *, container: str | None = None) -> list[dict[str, Any]]:
        """Return the lines of a pod's log that are JSON objects."""
        lines = [line for line in self.logs(pod, container=container).splitlines() if line.startswith("{")]
        return [json.loads(line) for line in lines]

    def wait(self, condition: str, *objects: str, timeout: int = 120) -> None:
        """``kubectl wait --for=condition``."""
        self.run("wait", f"--for={condition}", *objects, f"--timeout={timeout}s", timeout=timeout + 30)

    def wait_for_pods(self, selector: str, count: int, *, timeout: float = 120) -> list[dict[str, Any]]:
        """Wait until there are just ``count`` pods of a selector, all ready and none on its way out; return them."""

        def ready_pods() -> list[dict[str, Any]] | None:
            pods = self.get_all("pods", selector)
            leaving = [pod for pod in pods if "deletionTimestamp" in pod["metadata"]]
            return pods if len(pods) == count and not leaving and all(map(is_ready, pods)) else None

        if count == 0:
            wait_until(lambda: not self.get_all("pods", selector), timeout=timeout, what=f"no pod of {selector}")
            return []
        return wait_until(ready_pods, timeout=timeout, interval=0.5, what=f"{count} ready pods of {selector}") or []

    def describe(self) -> Iterable[tuple[str, str]]:
        """Yield what a person would look at after a failure: title and text."""
        yield "pods", self._try("get", "pods", "-o", "wide")
        yield "telemetryconsumers", self._try("get", "telemetryconsumers", "-o", "wide")
        yield "events", "\n".join(self._try("get", "events", "--sort-by=.lastTimestamp").splitlines()[-40:])
        for name in self._try("get", "pods", "-o", "name").split():
            every = ("--all-containers", "--prefix", "--tail=40")
            yield f"log of {name}", _shorten(self._try("logs", name, *every))
            before = self._try("logs", name, "--previous", "--tail=20")
            if "not found" not in before:
                yield f"log of {name} before its restart", _shorten(before)

    def _try(self, *arguments: str) -> str:
        try:
            return self.run(*arguments, timeout=30)
        except (KubectlError, subprocess.TimeoutExpired) as error:
            return str(error)


def is_ready(pod: dict[str, Any]) -> bool:
    """Tell whether a pod is ready."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def restarts(pod: dict[str, Any]) -> int:
    """Return how often a pod's containers were started anew."""
    return sum(container["restartCount"] for container in pod["status"].get("containerStatuses", []))


def _run(call: list[str], stdin: bytes | str | None, timeout: float) -> str:
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        call,
        input=data,
        stdin=None if data is not None else subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=timeout,
        cwd=ROOT,
    )
    if done.returncode != 0:
        raise KubectlError(call, done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace"))
    return done.stdout.decode("utf-8", "replace")


def _shorten(text: str) -> str:
    return "\n".join(line[:400] for line in text.splitlines())
