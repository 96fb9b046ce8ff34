"""The scripts around the charts: what they need they say, what they do they can do again."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support import require
from unit.charts.render import HUB, ROOT

SCRIPTS = sorted([*ROOT.glob("hack/*.sh"), *HUB.glob("charts/*/files/*.sh")])

# Stands for docker, kind, kubectl and helm: notes its words, and keeps its state in the folder STATE.
STAND_IN = """#!/bin/bash
name=$(basename "$0")
echo "$name $*" >>"$STATE/calls"
case "$name $*" in
  "docker container inspect --format {{.State.Running}}"*) [ -e "$STATE/registry" ] && echo true || exit 1 ;;
  "docker container inspect --format {{json"*) [ -e "$STATE/connected" ] && echo '{}' || echo null ;;
  "docker container inspect"*) [ -e "$STATE/registry" ] || exit 1 ;;
  "docker run"*) touch "$STATE/registry" ;;
  "docker rm --force --volumes"*) rm "$STATE/registry" ;;
  "docker network connect"*) touch "$STATE/connected" ;;
  "docker image inspect --format {{.Id}}"*) printf 'sha256:aaa\\nsha256:%s\\n' "$(cat "$STATE/code")" ;;
  "docker image inspect"*) echo 1000000 ;;
  "docker exec --interactive"*) cat >>"$STATE/hosts.toml" ;;
  "kind get clusters") [ -e "$STATE/cluster" ] && echo iot-hub || echo "No kind clusters found." >&2 ;;
  "kind create cluster"*) cat >/dev/null; touch "$STATE/cluster" ;;
  "kind delete cluster"*) rm -f "$STATE/cluster" "$STATE/connected" ;;
  "kind get nodes"*) echo iot-hub-control-plane ;;
  "kubectl --context kind-iot-hub apply"*) cat >"$STATE/registry-hosting.yaml" ;;
  "helm "*) [ ! -e "$STATE/chart-fails" ] || exit 1 ;;
esac
"""


class Machine:
    """A machine whose PATH holds stand-ins for the tools, or lacks some of them."""

    def __init__(self, folder: Path, *, without: str = "") -> None:
        self.state = folder / "state"
        self.state.mkdir()
        self.code("one")
        self._tools = folder / "bin"
        self._tools.mkdir()
        for tool in {"docker", "kind", "kubectl", "helm"} - {without}:
            path = self._tools / tool
            path.write_text(STAND_IN)
            path.chmod(0o755)
        # What the scripts use besides, and nothing else: a tool of this machine must not stand in for one that lacks.
        for program in (
            "bash",
            "cat",
            "cksum",
            "cut",
            "awk",
            "sed",
            "head",
            "touch",
            "basename",
            "dirname",
            "grep",
            "rm",
        ):
            found = shutil.which(program)
            assert found
            (self._tools / program).symlink_to(found)

    def code(self, version: str) -> None:
        """Change what the images are built from."""
        (self.state / "code").write_text(version)

    def run(self, script: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a script of hack/, and return what it said."""
        (self.state / "calls").write_text("")
        environment = {"PATH": str(self._tools), "STATE": str(self.state), "HOME": str(self.state), **variables}
        return subprocess.run(
            [str(ROOT / "hack" / script), *words],
            env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def calls(self, beginning: str) -> list[str]:
        """Return the calls of the last run that begin so."""
        return [line for line in (self.state / "calls").read_text().splitlines() if line.startswith(beginning)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_parses(script: Path) -> None:
    shell = "bash" if "bash" in script.read_text().splitlines()[0] else "sh"
    subprocess.run([shell, "-n", str(script)], check=True, timeout=10)


@pytest.mark.parametrize("script", sorted(ROOT.glob("hack/*.sh")), ids=lambda path: path.name)
def test_a_script_can_be_run(script: Path) -> None:
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("tool", ["docker", "kind", "kubectl", "helm"])
def test_kind_up_says_what_is_missing_and_where_to_get_it(tmp_path: Path, tool: str) -> None:
    machine = Machine(tmp_path, without=tool)
    answer = machine.run("kind-up.sh")
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"kind-up: {tool} is missing: install it from https://")
    assert machine.calls("kind create") == []


def test_kind_up_without_the_chart_does_without_helm(tmp_path: Path) -> None:
    machine = Machine(tmp_path, without="helm")
    answer = machine.run("kind-up.sh", "--no-chart")
    assert answer.returncode == 0, answer.stderr
    assert "tilt up" in answer.stdout
    assert machine.calls("docker build") == []


def test_kind_up_makes_everything_and_says_what_to_type_next(machine: Machine) -> None:
    answer = machine.run("kind-up.sh")
    assert answer.returncode == 0, answer.stderr
    assert len(machine.calls("kind create cluster --name iot-hub")) == 1
    assert (machine.state / "hosts.toml").read_text() == '[host."http://iot-hub-registry:5000"]\n'
    assert 'host: "localhost:5001"' in (machine.state / "registry-hosting.yaml").read_text()
    assert {call.split("--target ")[1].split()[0] for call in machine.calls("docker build")} == {"worker", "operator"}
    pushed = [call.split()[-1] for call in machine.calls("docker push")]
    assert [image.rsplit(":", 1)[0] for image in pushed] == [
        "localhost:5001/iot-hub/worker", "localhost:5001/iot-hub/operator",
    ]  # fmt: skip
    [helm] = machine.calls("helm")
    assert "upgrade --install iot-hub charts/iot-hub" in helm
    assert f"global.image.tag={pushed[0].rsplit(':', 1)[1]}" in helm
    assert "--wait" in helm
    assert "kubectl apply -f examples/telemetry-raw-logger.yaml" in answer.stdout


def test_kind_up_a_second_time_keeps_what_is_there(machine: Machine) -> None:
    machine.run("kind-up.sh")
    [first] = machine.calls("helm")
    answer = machine.run("kind-up.sh")
    assert answer.returncode == 0, answer.stderr
    assert machine.calls("kind create") == machine.calls("docker run") == machine.calls("docker network") == []
    # The same code has the same tag, so that no pod is rolled
    assert machine.calls("helm") == [first]
    # Other code has another
    machine.code("two")
    machine.run("kind-up.sh")
    assert machine.calls("helm") != [first]


def test_kind_up_fails_where_the_chart_does_not_become_ready(machine: Machine) -> None:
    (machine.state / "chart-fails").touch()
    answer = machine.run("kind-up.sh")
    assert answer.returncode == 1
    assert "describe pod" in answer.stderr
    assert "Type next" not in answer.stdout


def test_kind_up_knows_its_arguments(machine: Machine) -> None:
    answer = machine.run("kind-up.sh", "--no-charts")
    assert answer.returncode == 1
    assert "--no-charts is not known" in answer.stderr


def test_kind_down_takes_everything_away_and_can_be_repeated(machine: Machine) -> None:
    machine.run("kind-up.sh")
    for _ in range(2):
        answer = machine.run("kind-down.sh")
        assert answer.returncode == 0, answer.stderr
        assert not (machine.state / "cluster").exists()
        assert not (machine.state / "registry").exists()


class TestCheckCharts:
    """hack/check-charts.sh finds what it is there to find."""

    @pytest.fixture
    def copy(self, tmp_path: Path) -> Path:
        """A copy of what it looks at, to break."""
        for folder in ("hack", "crds", "charts", "compose", ".ci"):
            shutil.copytree(ROOT / folder, tmp_path / folder)
        return tmp_path

    @staticmethod
    def check(copy: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "CI"} | variables
        return subprocess.run(
            [str(copy / "hack" / "check-charts.sh")],
            env=environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    @pytest.fixture
    def no_helm(self, tmp_path_factory: pytest.TempPathFactory) -> str:
        """A PATH without helm."""
        folder = tmp_path_factory.mktemp("bin")
        for program in ("bash", "sh", "diff", "head", "dirname"):
            found = shutil.which(program)
            assert found
            (folder / program).symlink_to(found)
        return str(folder)

    def test_a_crd_that_differs(self, copy: Path, no_helm: str) -> None:
        assert self.check(copy, PATH=no_helm).returncode == 0
        crd = copy / "crds" / "telemetryconsumer.yaml"
        crd.write_text(crd.read_text() + "# changed\n")
        answer = self.check(copy, PATH=no_helm)
        assert answer.returncode == 1
        assert "cp crds/*.yaml charts/iot-hub/charts/operator/crds/" in answer.stderr

    def test_a_script_that_does_not_parse(self, copy: Path, no_helm: str) -> None:
        script = copy / "charts" / "iot-hub" / "charts" / "mqtt" / "files" / "ready.sh"
        script.write_text(script.read_text() + "if\n")
        answer = self.check(copy, PATH=no_helm)
        assert answer.returncode == 1
        assert "ready.sh does not parse" in answer.stderr

    def test_without_helm_it_skips_by_name_and_fails_in_ci(self, copy: Path, no_helm: str) -> None:
        laptop, ci = self.check(copy, PATH=no_helm), self.check(copy, PATH=no_helm, CI="true")
        assert laptop.returncode == 0
        assert "helm is missing, so lint and rendering are SKIPPED" in laptop.stderr
        assert ci.returncode == 1
        assert "helm is missing" in ci.stderr

    def test_a_chart_that_can_not_be_rendered(self, copy: Path) -> None:
        require.command("helm", "install it from https://helm.sh/docs/intro/install/")
        template = copy / "charts" / "iot-hub" / "charts" / "mqtt" / "templates" / "services.yaml"
        template.write_text(template.read_text() + "{{ .Values.no.such.value }}\n")
        answer = self.check(copy)
        assert answer.returncode == 1
        assert "check-charts: helm template hub charts/iot-hub/charts/mqtt" in answer.stderr
