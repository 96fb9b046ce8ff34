"""The chart is installed once for all end-to-end tests, with devices that begin to publish before it."""

from __future__ import annotations

import os
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from e2e.killer import Killer
from e2e.kube import ROOT, Kube, KubectlError
from e2e.readings import build_good, read_readings
from e2e.release import TOOLBOX, Release, toolbox_pod
from support import require

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from e2e.readings import Reading

CRD = "telemetryconsumers.telemetry.iot-hub.io"
EARLY_MESSAGES = 1_200

_release = pytest.StashKey[Release]()


@pytest.fixture(scope="session")
def readings() -> list[Reading]:
    """The readings that devices publish."""
    return read_readings()


@pytest.fixture(scope="session")
def release(request: pytest.FixtureRequest, readings: list[Reading]) -> Iterator[Release]:
    """The chart, installed and ready, in a fresh namespace that enforces the restricted pod security standard.

    KUBECONFIG names the cluster, E2E_NAMESPACE the namespace (made up where it is not set), IMAGE_TAG the images' tag.
    E2E_KEEP=1 leaves everything in place for a look.
    """
    if not os.environ.get("KUBECONFIG"):
        require.missing("a Kubernetes cluster", "set KUBECONFIG, load the images, or run `make e2e`, which does both")
    for program in ("kubectl", "helm"):
        require.command(program, "see the README's section on tests")
    namespace = os.environ.get("E2E_NAMESPACE") or f"iot-hub-e2e-{uuid.uuid4().hex[:6]}"
    tag = os.environ.get("IMAGE_TAG") or "dev"
    kube = Kube(namespace)
    crd_was_there = kube.find("crd", CRD) is not None
    killer = Killer(Kube(f"{namespace}-killer"), f"iot-hub/worker:{tag}")
    release = Release(kube, "hub", tag, killer)
    request.config.stash[_release] = release
    try:
        _set_up(release, readings)
        yield release
    finally:
        if os.environ.get("E2E_KEEP") != "1":
            killer.close()
            release.uninstall()
            if not crd_was_there:
                kube.run("delete", "crd", CRD, "--ignore-not-found", "--timeout=60s")


def _set_up(release: Release, readings: list[Reading]) -> None:
    kube = release.kube
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kube.namespace}})
    kube.run("label", "namespace", kube.namespace, "--overwrite", "pod-security.kubernetes.io/enforce=restricted")
    kube.apply(toolbox_pod(f"iot-hub/worker:{release.tag}"))
    kube.wait("condition=Ready", f"pod/{TOOLBOX}")
    kube.write_file(TOOLBOX, "/work/toolbox.py", (ROOT / "tests" / "e2e" / "toolbox.py").read_bytes())
    # The devices are there first: they try the broker's address every 50 ms and publish as soon as it answers.
    release.early_messages = build_good(readings, "early-", EARLY_MESSAGES)
    release.early = release.publish("early", release.early_messages, timeout=280)
    release.install()
    release.wait_until_ready()
    release.facts.append(f"helm install to everything ready: {time.time() - release.installed_at:.0f} s")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the cluster's state below the first failures."""
    report = yield
    release = item.config.stash.get(_release, None)
    if report.failed and release is not None and item.session.testsfailed < 3:
        try:
            report.sections += [(f"cluster: {title}", text) for title, text in release.kube.describe()]
        except (KubectlError, OSError) as error:
            report.sections.append(("cluster", str(error)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was measured on the way."""
    release = config.stash.get(_release, None)
    if release is not None and release.facts:
        terminalreporter.section("measured end to end")
        for fact in release.facts:
            terminalreporter.line(fact)
