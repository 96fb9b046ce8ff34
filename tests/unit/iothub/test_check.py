"""``iothub check`` as it is typed, with handlers that misbehave. With real messages: tests/integration."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from contract.samples import ROOT
from support.waiting import wait_until
from unit.iothub.command import iothub
from unit.iothub.manifests.files import HEAD

HANDLERS = """\
import os, sys, time

class Good:
    def __init__(self, limit=1): pass
    def handle(self, batch): pass

class Picky:
    def __init__(self): raise ValueError("no such sensor")
    def handle(self, batch): pass

class Leaves:
    def __init__(self):
        print("going home", flush=True)
        os._exit(3)

class Ends:
    def __init__(self): sys.exit("enough")

class Dies:
    def __init__(self): os.kill(os.getpid(), 9)

class Hangs:
    def __init__(self, pid_file):
        open(pid_file, "w").write(str(os.getpid()))
        time.sleep(600)

class NoHandler: pass
"""


def manifest(cls: str, **fields: str) -> str:
    more = "".join(f"  {name}: {value}\n" for name, value in fields.items())
    return f"{HEAD}spec:\n  topics: [a]\n  handler:\n    class: {cls}\n    configMap: {{name: code, key: h.py}}\n{more}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "h.py").write_text(HANDLERS)
    return tmp_path


def test_help_reads_well() -> None:
    done = iothub("check", "--help")
    assert done.returncode == 0
    assert "Tell whether TelemetryConsumers in files are right, with no cluster." in done.stdout
    assert "--handler-sample" in done.stdout


def test_the_examples_are_right() -> None:
    done = iothub("check", "-f", ROOT / "examples")
    assert (done.returncode, done.stdout) == (0, "4 TelemetryConsumers are right\n")
    assert done.stderr == "waiting for the handlers of 4 TelemetryConsumers …\n"


def test_as_json_it_is_one_document(folder: Path) -> None:
    (folder / "a.yaml").write_text(manifest("Good", replicas="2000") + "---\napiVersion: v1\nkind: Service\n")
    done = iothub("check", "-f", "a.yaml", "--output", "json", folder=folder)
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "consumers": 1,
        "right": False,
        "problems": [
            {
                "path": "a.yaml",
                "line": 9,
                "field": "spec.replicas",
                "sentence": "Invalid value: 2000: spec.replicas in body should be less than or equal to 1000",
                "severity": "error",
            }
        ],
        "skipped": [{"path": "a.yaml", "line": 11, "kind": "v1 Service"}],
        "samples": [],
    }


@pytest.mark.parametrize(
    ("cls", "told"),
    [
        ("Absent", "h.py has no class 'Absent'; its classes: Good, Picky, Leaves, Ends, Dies, Hangs, NoHandler"),
        ("NoHandler", "h.py:NoHandler has no method handle(payload)"),
        ("Picky", "Picky(…) failed: ValueError: no such sensor (h.py, line 8)"),
        ("Ends", "Ends(…) failed: SystemExit: enough (h.py, line 17)"),
        ("Leaves", "the handler ended its process with exit code 3; its last line was: going home"),
        ("Dies", "the handler ended its process with signal SIGKILL"),
    ],
)
def test_a_handler_that_can_not_be_had_is_told_in_the_workers_words(folder: Path, cls: str, told: str) -> None:
    (folder / "a.yaml").write_text(manifest(cls))
    done = iothub("check", "-f", "a.yaml", folder=folder)
    assert (done.returncode, done.stdout) == (1, f"a.yaml:6: spec.handler: {told}\n1 error in 1 TelemetryConsumer\n")


def test_a_handler_that_hangs_is_ended(folder: Path) -> None:
    pid_file = folder / "pid"
    options = f"Hangs\n    options: {{pid_file: {pid_file}}}"
    (folder / "a.yaml").write_text(manifest(options))
    done = iothub("check", "-f", "a.yaml", "--handler-seconds", "5", folder=folder)
    assert done.stdout == (
        "a.yaml:6: spec.handler: the handler is not loaded after 5 s (it stood in __init__, h.py, line 25); it was "
        "ended\n1 error in 1 TelemetryConsumer\n"
    )
    assert not psutil.pid_exists(int(pid_file.read_text()))


def test_ctrl_c_ends_it_at_once_with_all_that_it_has_started(folder: Path) -> None:
    pid_file = folder / "pid"
    (folder / "a.yaml").write_text(manifest(f"Hangs\n    options: {{pid_file: {pid_file}}}"))
    process = subprocess.Popen(
        [sys.executable, "-m", "iothub", "check", "-f", "a.yaml"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: pid_file.exists() and pid_file.read_text() != "", what="the handler")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, "", "waiting for the handlers of 1 TelemetryConsumer …\n")
    assert not psutil.pid_exists(int(pid_file.read_text()))


def test_a_class_of_the_image_is_looked_for_here(folder: Path) -> None:
    (folder / "here.py").write_text(HANDLERS)
    text = HEAD + "spec: {topics: [a], handler: {class: 'here:Good', options: {limit: 3}}}\n"
    (folder / "a.yaml").write_text(text)
    (folder / "b.yaml").write_text(text.replace("here:", "nowhere:").replace("name: a", "name: b"))
    (folder / "c.yaml").write_text(text.replace("here:", "nowhere:").replace("spec: {", "spec: {image: x/y, "))
    assert iothub("check", "-f", "a.yaml", folder=folder).stdout == "1 TelemetryConsumer is right\n"
    done = iothub("check", "-f", "b.yaml", folder=folder)
    assert done.stdout.startswith("b.yaml:4: spec.handler: there is no module 'nowhere' in this environment\n")
    assert done.returncode == 1
    done = iothub("check", "-f", "c.yaml", folder=folder)
    assert done.returncode == 0, "what is not here may be in the image"
    assert done.stdout == (
        "c.yaml:4: warning: spec.handler: there is no module 'nowhere' in this environment; it may be in the image "
        "x/y, which is not looked into\n1 TelemetryConsumer is right\n"
    )


def test_variables_come_from_where_the_pod_would_have_them(folder: Path) -> None:
    (folder / "h.py").write_text(
        "import os\nclass A:\n  def __init__(self):\n"
        "    raise ValueError(','.join(os.environ.get(name, '-') for name in 'BCDE'))\n"
    )
    env = (
        "[{name: B, value: plain}, {name: C, valueFrom: {secretKeyRef: {name: s, key: k}}}, "
        "{name: D, valueFrom: {secretKeyRef: {name: none, key: k}}}, {name: E, value: $(B)-$$}]"
    )
    secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: hidden}\n"
    (folder / "a.yaml").write_text(manifest("A", env=env) + secret)
    assert "ValueError: plain,hidden,-,plain-$ (" in iothub("check", "-f", "a.yaml", folder=folder).stdout


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "told"),
    [
        (["-f", "nowhere"], "", 1, "iothub: nowhere: there is no such file or folder\n"),
        (
            ["-f", "-"],
            "a: 1\na: 2\n",
            1,
            "iothub: standard input:2: 'a' is there twice in one object, first in line 1\n",
        ),
        (["-f", "-"], "apiVersion: v1\nkind: Secret\n", 1, "iothub: there is no TelemetryConsumer in these files\n"),
        (
            ["-f", "-", "--handler-sample", "3", "--bootstrap-servers", "127.0.0.1:1"],
            HEAD + "spec: {topics: [a], handler: {name: logger}}\n",
            1,
            "waiting for messages of Kafka at 127.0.0.1:1 …\niothub: no Kafka answers at 127.0.0.1:1",
        ),
        ([], "", 2, "iothub: missing option '--filename' / '-f'; see python -m iothub check --help\n"),
    ],
)
def test_what_can_not_be_checked_is_told_in_a_sentence(arguments: list[str], stdin: str, code: int, told: str) -> None:
    done = iothub("check", *arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(told)
    assert "Traceback" not in done.stderr
