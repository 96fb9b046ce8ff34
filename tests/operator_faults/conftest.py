"""What the operator's fault tests share: a namespace with healthy workers, a proxy, and an operator that is its client.

The API server's death, its slowness and a connection that is lost are made in the proxy, so that they strike the
operator alone, on any cluster; what the tests themselves do and see goes past it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

import pytest

from contract.cluster import apply_crds, find_cluster, make_namespace
from contract.kubectl import Kubectl
from contract.rights import grant
from operator_faults.settings import OperatorFaultSettings
from operator_faults.stage import CONVERGED, MakeStage, Stage, drop_namespace
from operator_faults.workers import HealthyWorkers
from support.proxy import Proxy

SETTINGS = OperatorFaultSettings.read()


@pytest.fixture
def settings() -> OperatorFaultSettings:
    return SETTINGS


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    """The cluster's, with the CRD as the repository has it."""
    found = find_cluster()
    apply_crds(found)
    return found


@pytest.fixture(scope="session", autouse=True)
def workers_to_come(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[HealthyWorkers]]:
    """The workers, which take their time to be ready: meanwhile, tests go on that need none."""
    kubectl = make_namespace("operator-faults", kubeconfig)
    with ThreadPoolExecutor(1, thread_name_prefix="workers") as pool:
        coming = pool.submit(_set_up_workers, kubectl, tmp_path_factory.mktemp("workers"))
        try:
            yield coming
        finally:
            wait([coming])
            drop_namespace(kubectl)


def _set_up_workers(kubectl: Kubectl, folder: Path) -> HealthyWorkers:
    grant(kubectl)
    workers = HealthyWorkers.set_up(kubectl, SETTINGS.image_tag)
    with Proxy() as proxy:
        stage = Stage.set_up("workers", kubectl, folder, proxy, **workers.environment)
        try:
            stage.operator.start()
            workers.wait_until_ready()
            stage.end()
        finally:
            stage.operator.process.kill()
    return workers


@pytest.fixture
def stage(make_stage: MakeStage, workers_to_come: Future[HealthyWorkers]) -> Iterator[Stage]:
    """A stage whose operator is at work. It serves healthy workers, too, which no fault may touch."""
    workers = workers_to_come.result()
    stage = make_stage(workers.kubectl.namespace, **workers.environment)
    grant(workers.kubectl, account_in=stage.kubectl.namespace)
    before = workers.look()
    stage.operator.start()
    yield stage
    stage.end()
    assert workers.look() == before, "healthy workers are left alone"


@pytest.fixture
def make_stage(request: pytest.FixtureRequest, kubeconfig: str, tmp_path: Path) -> Iterator[MakeStage]:
    """Make stages; what belongs to them goes with the test."""
    with ExitStack() as stack:

        def make(*namespaces: str, **environment: str) -> Stage:
            kubectl = make_namespace("operator-faults", kubeconfig)
            stack.callback(drop_namespace, kubectl)
            grant(kubectl)
            proxy = stack.enter_context(Proxy())
            stage = Stage.set_up(request.node.name, kubectl, tmp_path, proxy, namespaces=namespaces, **environment)
            stack.callback(stage.operator.process.kill)
            return stage

        yield make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those first that need no workers, since workers take longest to come."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.is_relative_to(here) and "stage" in getattr(item, "fixturenames", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how long it took each time until everything was as it was written."""
    if not CONVERGED:
        return
    terminalreporter.section("seconds until everything was as it was written")
    for title, seconds in CONVERGED:
        terminalreporter.write_line(f"{title:64}{seconds:>8.1f}")
