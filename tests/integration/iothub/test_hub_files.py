"""The files of `iothub up -f`, edited while it runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.iothub.hub_process import Device, HubProcess
from iothub.resources import find_resource
from support.waiting import wait_until

CONSUMER = """\
apiVersion: telemetry.iot-hub.io/v1alpha1
kind: TelemetryConsumer
metadata:
  name: {name}
spec:
  topics: [telemetry.raw]
  groupId: {name}
  handler: {{{handler}}}
  decodeJson: false
  replicas: {replicas}
"""

HANDLER = """\
import logging

log = logging.getLogger(__name__)


class Says:
    def handle(self, batch):
        for message in batch:
            log.warning("{word} %s", message)
"""


class Files:
    """A folder of manifests, and a hub that runs them."""

    def __init__(self, folder: Path, hub: HubProcess) -> None:
        self.folder = folder
        self.hub = hub

    def write(self, name: str, *, handler: str = "name: logger", replicas: int | str = 1) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(CONSUMER.format(name=name, handler=handler, replicas=replicas))
        return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    folder = tmp_path_factory.mktemp("manifests")
    shutil.copy(find_resource("examples") / "telemetry-validator.yaml", folder)
    running = HubProcess(
        tmp_path_factory.mktemp("state"), "--kafka", "mock", "--mqtt", "amqtt", "-f", str(folder), name="files"
    )
    try:
        running.wait_until_ready()
        yield Files(folder, running)
    finally:
        running.close()


def test_an_edit_of_replicas_makes_workers_come_and_go(files: Files) -> None:
    """Given a file that is new, then grows to three workers, then back, then goes: so do the workers."""
    hub = files.hub
    files.write("edited")
    hub.wait_for("applied: edited")
    hub.wait_until_running("edited", 1)
    first = hub.pods("edited")
    files.write("edited", replicas=3)
    hub.wait_until_running("edited", 3)
    assert len(hub.pods("edited")) == 3
    files.write("edited", replicas=1)
    hub.wait_until_running("edited", 1)
    wait_until(lambda: hub.pods("edited") == first, hint=hub.tell)
    (files.folder / "edited.yaml").unlink()
    wait_until(lambda: not hub.consumer("edited")["spec"], hint=hub.tell)
    wait_until(lambda: not hub.pods("edited") and not hub.worker_pids("edited-"), hint=hub.tell)


def test_a_typo_is_told_with_its_line_and_the_old_one_goes_on(files: Files) -> None:
    hub = files.hub
    path = files.write("mistyped")
    hub.wait_until_running("mistyped", 1)
    (worker,) = hub.worker_pids("mistyped-")
    right = path.read_text()

    before = len(hub.events)
    path.write_text(right.replace("replicas: 1", "replicas: one"))
    hub.wait_for(f"{path}:10: spec.replicas: Invalid value", after=before)
    path.write_text(right.replace("topics: [telemetry.raw]", "topics: [telemetry.raw"))
    wait_until(lambda: sum(event["kind"] == "error" for event in hub.events[before:]) >= 2, hint=hub.tell)
    assert hub.worker_pids("mistyped-") == [worker]
    assert hub.ready_condition("mistyped")["status"] == "True"

    path.write_text(right)
    hub.wait_for(f"{path} is right again", after=before)
    assert hub.worker_pids("mistyped-") == [worker]
    path.unlink()


def test_what_can_not_be_changed_is_refused(files: Files) -> None:
    hub = files.hub
    path = files.write("fixed")
    hub.wait_until_running("fixed", 1)
    right = path.read_text()
    before = len(hub.events)
    path.write_text(right.replace("groupId: fixed", "groupId: other"))
    hub.wait_for("groupId can't be changed", after=before)
    assert hub.consumer("fixed")["spec"]["groupId"] == "fixed"
    path.write_text(right)
    hub.wait_for(f"{path} is right again", after=before)
    path.unlink()


def test_an_edit_of_the_handlers_file_rolls_the_workers(files: Files) -> None:
    """Given a handler's file beside its manifest, when it is edited, then new workers say the new word; when it is
    broken, then the old workers stay at work."""
    hub = files.hub
    code = files.folder / "says.py"
    code.write_text(HANDLER.format(word="first"))
    path = files.write("rolled", handler="configMap: {name: says, key: says.py}, class: Says")
    hub.wait_until_running("rolled", 1)
    before = hub.pods("rolled")
    device = Device(hub.state)
    device.wait_until_acknowledged(device.publish(1))
    wait_until(lambda: "first" in hub.iothub("logs", "rolled").stdout, hint=hub.tell)

    code.write_text(HANDLER.format(word="second"))
    wait_until(lambda: hub.pods("rolled") not in ([], before) and len(hub.pods("rolled")) == 1, hint=hub.tell)
    hub.wait_until_running("rolled", 1)
    device.wait_until_acknowledged(device.publish(1))
    wait_until(lambda: "second" in hub.iothub("logs", "rolled").stdout, hint=hub.tell)
    device.close()

    (working,) = hub.pods("rolled")
    code.write_text("raise RuntimeError('half an edit')\n")
    wait_until(lambda: hub.ready_condition("rolled")["reason"] == "HandlerFailed", hint=hub.tell)
    assert "half an edit" in hub.ready_condition("rolled")["message"]
    assert working in hub.pods("rolled")
    assert len(hub.worker_pids(working)) == 1
    code.write_text(HANDLER.format(word="third"))
    hub.wait_until_running("rolled", 1)
    path.unlink()


def test_a_class_that_is_not_there_is_told_and_the_old_workers_stay(files: Files) -> None:
    hub = files.hub
    files.write("unfound")
    hub.wait_until_running("unfound", 1)
    (working,) = hub.pods("unfound")
    path = files.write("unfound", handler="class: nowhere.at_all:Handler")
    wait_until(lambda: hub.ready_condition("unfound")["reason"] == "HandlerNotFound", hint=hub.tell)
    shown = hub.iothub("get", "unfound", "-o", "wide").stdout
    assert "there is no module 'nowhere' in this image" in shown
    conditions = {c["type"]: c["status"] for c in hub.consumer("unfound")["status"]["conditions"]}
    assert conditions == {"Ready": "False", "Reconciling": "False", "Stalled": "True", "HandlerReady": "False"}
    assert working in hub.pods("unfound")
    assert len(hub.worker_pids(working)) == 1
    path.unlink()


def test_a_secret_that_is_missing_is_waited_for(files: Files) -> None:
    hub = files.hub
    path = files.write("secretive")
    text = path.read_text()
    path.write_text(
        text + "  image: own:1\n  env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: own, key: token}}}]\n"
    )
    wait_until(lambda: hub.ready_condition("secretive")["reason"] == "CreateContainerConfigError", hint=hub.tell)
    assert 'secret "own" not found' in hub.ready_condition("secretive")["message"]
    secret = files.folder / "secret.yaml"
    secret.write_text("apiVersion: v1\nkind: Secret\nmetadata: {name: own}\nstringData: {token: hidden}\n")
    hub.wait_until_running("secretive", 1)
    assert "hidden" not in hub.output
    limit = "secretive: the image own:1 can't be run here; its workers run with this Python instead"
    assert [event["message"] for event in hub.events].count(limit) == 1
    path.unlink()
    secret.unlink()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (CONSUMER.format(name="x", handler="name: logger", replicas="one"), "x.yaml:10: spec.replicas: Invalid value"),
        ("a: [", "x.yaml:1: "),
        (CONSUMER.format(name="x", handler="name: logger", replicas=-1), "should be greater than or equal to 0"),
    ],
)
def test_a_file_that_is_wrong_from_the_start_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    hub = HubProcess(tmp_path / "state", "-f", str(tmp_path / "x.yaml"), "--kafka", "mock")
    assert hub.wait() == 1
    said = hub.output.splitlines()[-1]
    assert said.startswith("iothub: ")
    assert sentence in said
    assert "Traceback" not in hub.output
    hub.close()
