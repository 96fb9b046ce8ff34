"""Asking a cluster: kubectl is called, its answers are read, and what it can't do is one sentence.

No Kubernetes client of our own: what kubectl is configured with (exec plugins, proxies, certificates) holds here too.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from iothub.errors import CliError, Unavailable, UsageError

Object = Mapping[str, Any]
"""An object as the API server gives it."""

ANSWER_SECONDS = 10
INSTALL_KUBECTL = "https://kubernetes.io/docs/tasks/tools/"
_MARGIN_SECONDS = 15
"""What kubectl may take beyond the API server's time: a credential plugin, a search for the server's resources."""


class Forbidden(Unavailable):
    """The cluster does not let us do it."""


class NoSuchKind(Unavailable):
    """The cluster does not know that kind of object."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl on one context, in one namespace. Made by `find_kubectl`."""

    program: str
    context: str
    namespace: str

    def command(self, *words: str) -> list[str]:
        """Return what to run for ``kubectl words`` there."""
        return [self.program, "--context", self.context, "--namespace", self.namespace, *words]

    def get(self, kind: str, *, selector: str = "", everywhere: bool = False) -> list[Object]:
        """Return the objects of a kind; ``everywhere`` is in all namespaces. Raises Unavailable."""
        words = ["get", kind, "--output", "json", f"--request-timeout={ANSWER_SECONDS}s"]
        if selector:
            words += ["--selector", selector]
        if everywhere:
            words.append("--all-namespaces")
        where = "in any namespace" if everywhere else f"in namespace {self.namespace}"
        items: list[Object] = json.loads(self._run(words, f"read {kind} {where}"))["items"]
        return items

    def find(self, kind: str, name: str) -> Object | None:
        """Return one object; None where there is none of that name. Raises Unavailable."""
        words = ["get", kind, name, "--output", "json", "--ignore-not-found", f"--request-timeout={ANSWER_SECONDS}s"]
        answer = self._run(words, f"read {kind} {name} in namespace {self.namespace}")
        found: Object | None = json.loads(answer) if answer.strip() else None
        return found

    def _run(self, words: Sequence[str], what: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603
                self.command(*words),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=ANSWER_SECONDS + _MARGIN_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"the cluster of context {self.context!r} does not answer") from None
        if done.returncode != 0:
            _fail(done.stderr, self.context, what)
        return done.stdout


def find_kubectl(context: str, namespace: str | None) -> Kubectl:
    """Return kubectl on ``context``, in ``namespace`` or the context's own.

    Raises Unavailable where there is no kubectl, UsageError where there is no such context.
    """
    program = shutil.which("kubectl")
    if program is None:
        raise Unavailable(f"--context needs kubectl, and there is none on the PATH: install it from {INSTALL_KUBECTL}")
    contexts = read_contexts(program)
    if context not in contexts:
        there = f"there are: {', '.join(sorted(contexts))}" if contexts else "its configuration names none at all"
        raise UsageError(f"kubectl has no context {context!r}; {there}")
    return Kubectl(program, context, namespace or contexts[context])


def read_contexts(program: str) -> dict[str, str]:
    """Return the contexts that kubectl's configuration names, with the namespace of each. Raises Unavailable."""
    words = [program, "config", "view", "--output", "json"]
    try:
        done = subprocess.run(  # noqa: S603
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise Unavailable("`kubectl config view` does not answer") from None
    if done.returncode != 0:
        raise Unavailable(f"kubectl can't read its configuration: {_last_line(done.stderr)}")
    named = json.loads(done.stdout).get("contexts") or []
    return {entry["name"]: entry["context"].get("namespace") or "default" for entry in named}


def _fail(said: str, context: str, what: str) -> NoReturn:
    raise _explain(said, context, what)


def _explain(said: str, context: str, what: str) -> CliError:
    line = _last_line(said)
    if "Forbidden" in said or "Unauthorized" in said or "must be logged in" in said:
        return Forbidden(f"context {context!r} may not {what}: {line}")
    if "the server doesn't have a resource type" in said:
        return NoSuchKind(f"the cluster of context {context!r} can't {what}: {line}")
    return Unavailable(f"the cluster of context {context!r} does not answer ({line})")


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return re.sub(r"^(error|Error from server[^:]*|Unable to connect to the server): ", "", lines[-1]) if lines else "?"
