"""The Tiltfile, evaluated as Starlark with stand-ins for Tilt's functions, and what `tilt up` would install."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlark_go import EvalError, ResolveError, Starlark

from support.waiting import wait_until
from unit.charts.render import HUB, ROOT, Rendered, render

DEVELOPMENT = HUB / "values-development.yaml"

# Tilt's functions with the parameters that Tilt gives them (https://docs.tilt.dev/api.html): a misspelt one is an error
# here as it is there. Each notes its call.
STAND_INS = """
calls = []
TRIGGER_MODE_MANUAL = 'manual'
TRIGGER_MODE_AUTO = 'auto'

def note(function, **arguments):
    calls.append({'function': function, 'arguments': {k: v for k, v in arguments.items() if v != None}})
    return function + '()'

def allow_k8s_contexts(contexts):
    note('allow_k8s_contexts', contexts=contexts)

def docker_build(ref, context, build_args=None, dockerfile=None, dockerfile_contents=None, live_update=None,
                 match_in_env_vars=None, ignore=None, only=None, entrypoint=None, target=None, ssh=None, secret=None,
                 network=None, extra_tag=None, container_args=None, cache_from=None, pull=None, platform=None):
    note('docker_build', ref=ref, context=context, build_args=build_args, live_update=live_update,
         match_in_env_vars=match_in_env_vars, ignore=ignore, only=only, target=target)

def fall_back_on(files):
    return {'step': 'fall_back_on', 'files': files}

def sync(local_path, remote_path):
    return {'step': 'sync', 'from': local_path, 'to': remote_path}

def run(cmd, trigger=None, echo_off=None):
    return {'step': 'run', 'command': cmd}

def helm(path, name=None, namespace=None, values=None, set=None, kube_version=None, skip_crds=None):
    return note('helm', path=path, name=name, values=values, set=set)

def k8s_yaml(yaml, allow_duplicates=None):
    note('k8s_yaml', yaml=yaml)

def watch_file(path):
    note('watch_file', path=path)

def link(url, name=None):
    return url

def k8s_resource(workload=None, new_name=None, port_forwards=None, extra_pod_selectors=None, trigger_mode=None,
                 resource_deps=None, objects=None, auto_init=None, pod_readiness=None, links=None, labels=None,
                 discovery_strategy=None):
    note('k8s_resource', workload=workload, new_name=new_name, port_forwards=port_forwards, objects=objects,
         extra_pod_selectors=extra_pod_selectors, resource_deps=resource_deps)

def local_resource(name, cmd=None, deps=None, trigger_mode=None, resource_deps=None, ignore=None, auto_init=None,
                   serve_cmd=None, cmd_bat=None, serve_cmd_bat=None, allow_parallel=None, links=None, labels=None,
                   env=None, serve_env=None, readiness_probe=None, dir=None, serve_dir=None):
    note('local_resource', name=name, cmd=cmd, trigger_mode=trigger_mode, auto_init=auto_init)
"""


def evaluate(text: str) -> list[dict[str, Any]]:
    """Return the calls that a Tiltfile makes."""
    starlark = Starlark()
    starlark.exec(STAND_INS + text, filename="Tiltfile")
    calls: list[dict[str, Any]] = starlark.eval("calls")
    return calls


@pytest.fixture(scope="module")
def calls() -> list[dict[str, Any]]:
    return evaluate((ROOT / "Tiltfile").read_text())


@pytest.fixture(scope="module")
def installed() -> Rendered:
    """What Tilt's helm() gives: the chart with the development values."""
    return render(values=DEVELOPMENT, release="iot-hub")


def find(calls: list[dict[str, Any]], function: str) -> list[dict[str, Any]]:
    return [call["arguments"] for call in calls if call["function"] == function]


def test_a_misspelt_argument_would_be_found() -> None:
    with pytest.raises(EvalError, match="labls"):
        evaluate("k8s_resource('a', labls=['b'])")
    with pytest.raises(ResolveError, match="docker_biuld"):
        evaluate("docker_biuld('a', '.')")


def test_both_images_are_built_from_targets_of_the_dockerfile(calls: list[dict[str, Any]]) -> None:
    targets = set(re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    builds = {build["ref"]: build for build in find(calls, "docker_build")}
    assert set(builds) == {"iot-hub/worker", "iot-hub/worker-live", "iot-hub/operator"}
    for build in builds.values():
        assert build["target"] in targets
        for path in build["only"]:
            assert (ROOT / path).exists(), path


def test_the_workers_image_is_put_into_the_operators_environment(
    calls: list[dict[str, Any]], installed: Rendered
) -> None:
    [matched] = [build["ref"] for build in find(calls, "docker_build") if build.get("match_in_env_vars")]
    assert installed.pod("Deployment/iot-hub-operator").environment["OPERATOR_WORKER_IMAGE"].split(":")[0] == matched


def test_every_image_of_ours_that_is_installed_is_built(calls: list[dict[str, Any]], installed: Rendered) -> None:
    built = {build["ref"] for build in find(calls, "docker_build")}
    images = {container["image"].split(":")[0] for pod in installed.pods() for container in pod.containers}
    assert {image for image in images if image.startswith("iot-hub/")} == built


def test_changed_files_go_where_the_image_has_them(calls: list[dict[str, Any]]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    live = [build for build in find(calls, "docker_build") if build.get("live_update")]
    assert {build["ref"] for build in live} == {"iot-hub/worker-live", "iot-hub/operator"}
    for build in live:
        [sync] = [step for step in build["live_update"] if step["step"] == "sync"]
        assert (ROOT / sync["from"]).is_dir()
        assert re.search(rf"^COPY --from=\S+ --chown=\$\{{SOURCE_OWNER}} {sync['to']} ", dockerfile, re.MULTILINE)
        assert build["build_args"] == {"SOURCE_OWNER": "10001:10001"}


def test_pods_that_are_updated_in_place_can_be_written_to(installed: Rendered) -> None:
    for owner in ("StatefulSet/iot-hub-ingestion-mqtt", "Deployment/iot-hub-operator"):
        [container] = installed.pod(owner).spec["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is False


def test_resources_are_what_the_chart_makes(calls: list[dict[str, Any]], installed: Rendered) -> None:
    workloads = {item["metadata"]["name"] for kind in ("Deployment", "StatefulSet") for item in installed.all(kind)}
    named = {resource["workload"] for resource in find(calls, "k8s_resource") if "workload" in resource}
    assert named == workloads
    objects = [
        selector.split(":") for resource in find(calls, "k8s_resource") for selector in resource.get("objects", [])
    ]
    names = {
        (name, kind.lower()) for item in installed.objects for name, kind in [(item["metadata"]["name"], item["kind"])]
    }
    crd = yaml.safe_load((ROOT / "crds" / "telemetryconsumer.yaml").read_text())
    names.add((crd["metadata"]["name"], crd["kind"].lower()))
    assert {(name, kind) for name, kind in objects} <= names


def test_the_ports_of_people_and_devices_are_forwarded_to_containers_that_have_them(
    calls: list[dict[str, Any]], installed: Rendered
) -> None:
    forwards = {
        resource["workload"]: forward
        for resource in find(calls, "k8s_resource")
        for forward in resource.get("port_forwards", [])
    }
    assert forwards == {
        "iot-hub-kafka-ui": "8080:8080",
        "iot-hub-mqtt": "1883:1883",
        "iot-hub-ingestion-http": "8000:8000",
    }
    for workload, forward in forwards.items():
        [pod] = [pod for pod in installed.pods() if pod.owner.endswith(f"/{workload}")]
        ports = {port["containerPort"] for container in pod.containers for port in container.get("ports", [])}
        assert int(forward.split(":")[1]) in ports


def test_the_buttons_wait_to_be_pressed(calls: list[dict[str, Any]]) -> None:
    buttons = {button["name"]: button for button in find(calls, "local_resource")}
    assert {"apply the raw logger", "delete the raw logger"} <= set(buttons)
    for button in buttons.values():
        assert button["trigger_mode"] == "manual"
        assert button["auto_init"] is False
        for path in re.findall(r"-f (\S+)", button["cmd"]):
            assert (ROOT / path).is_file(), path


def test_nothing_is_installed_that_tilt_could_not_keep(installed: Rendered) -> None:
    # Tilt applies hooks as ordinary objects, and renders at every change: generated passwords would change with each.
    hooks = [
        item["metadata"]["name"]
        for item in installed.objects
        if "pre-upgrade" in item["metadata"].get("annotations", {}).get("helm.sh/hook", "")
    ]
    assert hooks == []
    secrets = {item["metadata"]["name"]: item["data"] for item in installed.all("Secret")}
    again = render("kafka-ui.podLabels.run=again", values=DEVELOPMENT, release="iot-hub")
    assert secrets == {item["metadata"]["name"]: item["data"] for item in again.all("Secret")}


class TestRestart:
    """The shell below which the development values run a process."""

    @pytest.fixture
    def shell(self, tmp_path: Path, installed: Rendered) -> Any:
        """The command of ingestion, with another program in its place; ended after the test."""
        command = installed.pod("StatefulSet/iot-hub-ingestion-mqtt").spec["containers"][0]["command"]
        assert command[:2] == ["sh", "-c"]
        assert command[3:] == ["sh", "python", "-m", "ingestion.mqtt"]
        script = command[2].replace("/tmp/", f"{tmp_path}/")
        program = f'echo "$$" >>{tmp_path}/starts; trap "exit 7" TERM; while :; do sleep 0.05; done'
        process = subprocess.Popen(["sh", "-c", script, "sh", "sh", "-c", program], start_new_session=True)
        yield process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)

    @staticmethod
    def starts(folder: Path) -> list[int]:
        path = folder / "starts"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def test_a_live_update_starts_the_process_again(
        self, shell: subprocess.Popen[bytes], tmp_path: Path, calls: list[dict[str, Any]]
    ) -> None:
        wait_until(lambda: (tmp_path / "child").exists() and len(self.starts(tmp_path)) == 1, timeout=10)
        [live, *_] = [build["live_update"] for build in find(calls, "docker_build") if build.get("live_update")]
        [command] = [step["command"] for step in live if step["step"] == "run"]
        subprocess.run(["sh", "-c", command.replace("/tmp/", f"{tmp_path}/")], check=True, timeout=10)
        wait_until(lambda: len(self.starts(tmp_path)) == 2, timeout=10)
        assert shell.poll() is None

    def test_it_ends_with_the_process(self, shell: subprocess.Popen[bytes], tmp_path: Path) -> None:
        wait_until(lambda: len(self.starts(tmp_path)) == 1, timeout=10)
        os.kill(self.starts(tmp_path)[0], signal.SIGTERM)
        assert shell.wait(10) == 7

    def test_it_hands_on_the_kubelets_signal(self, shell: subprocess.Popen[bytes], tmp_path: Path) -> None:
        wait_until(lambda: len(self.starts(tmp_path)) == 1, timeout=10)
        shell.terminate()
        shell.wait(10)
        with pytest.raises(ProcessLookupError):
            os.kill(self.starts(tmp_path)[0], 0)
