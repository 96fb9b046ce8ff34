"""`iothub demo` as it is typed, on a machine that has Python and nothing else: it ends with 0 lost, or with 1."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from integration.iothub.hub_process import Up
from iothub.demo.board import DemoOptions
from iothub.demo.demo import run_demo
from iothub.demo.stage import ClusterStage
from iothub.devices.damage import KINDS
from iothub.resources import find_resource
from iothub.target import MqttTarget, Target
from iothub.terminal import Terminal
from support.waiting import wait_until

AMQTT = ("--mqtt", "amqtt")
"""Mosquitto is found off the PATH too, where a distribution puts it."""
REASONS = {damage.kind: damage.reason for damage in KINDS}


class Demo:
    """Runs the command with a state folder of its own, and a PATH on which there is no program at all."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "state"
        (folder / "bin").mkdir()
        self.environment = {
            "PATH": str(folder / "bin"),
            "HOME": str(folder),
            "XDG_STATE_HOME": str(self.home),
            "LANG": "C.UTF-8",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "iothub", "demo", *arguments]

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    @property
    def is_ready(self) -> bool:
        return (self.home / "iot-hub" / "demo" / "state.json").exists()

    def find_processes(self) -> list[str]:
        """Return the command lines of all processes that belong to this state folder."""
        mine = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("XDG_STATE_HOME") == str(self.home):
                    mine.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return mine


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path)
    yield demo
    wait_until(lambda: not demo.find_processes(), timeout=15, what="all of the demo's processes to be gone")


def check_count(count: Mapping[str, Any]) -> None:
    """Check that the numbers of a demonstration that lost nothing agree with each other."""
    assert count["lost"] == count["misjudged"] == count["not_acknowledged"] == count["refused"] == 0
    assert count["sent"] == count["acknowledged"] == count["clean"] + count["dead_lettered"]
    wanted: Counter[str] = Counter()
    for kind, number in count["damaged"].items():
        wanted[REASONS[kind]] += number
    assert count["reasons"] == wanted
    assert count["dead_lettered"] == wanted.total()


class TestOnPythonAlone:
    def test_nothing_is_lost_and_everything_is_counted(self, demo: Demo, tmp_path: Path) -> None:
        picture = tmp_path / "demo.svg"
        done = demo.run(*AMQTT, "--duration", "8", "--damaged", "0.2", "--picture", str(picture), "-o", "json")
        assert done.returncode == 0, done.stderr
        count = json.loads(done.stdout)
        check_count(count)
        assert count["sent"] == 400
        assert count["dead_lettered"] == 80
        assert 0 < count["first_reading_seconds"] < 30
        assert count["first_reading_seconds"] < count["seconds"]
        assert "in memory" in count["places"]["Kafka"]
        assert "amqtt" in count["places"]["MQTT"]
        # What can't be had here is said.
        assert "Kafka is in memory: what is in it ends with this run." in done.stderr
        assert "amqtt" in done.stderr
        assert "the first reading: DEV-" in done.stderr
        assert "\x1b" not in done.stderr
        # It leaves nothing.
        assert not (demo.home / "iot-hub" / "demo").exists()
        drawn = picture.read_text("utf-8").replace("&#160;", " ")
        assert drawn.startswith("<svg")
        for text in ("iothub demo: 20 devices, 50 messages a second, 20% of them damaged", "not_json", "DEV-00"):
            assert text in drawn

    def test_a_hub_that_loses_is_told_by_the_exit_code(self, demo: Demo) -> None:
        # Without a validator nothing becomes clean, and nothing a dead letter.
        logger = find_resource("examples") / "telemetry-raw-logger.yaml"
        done = demo.run(*AMQTT, "--duration", "1", "--keep", "-f", str(logger), "--no-validator", "--output", "json")
        assert done.returncode == 1, done.stderr
        count = json.loads(done.stdout)
        assert count["lost"] == count["acknowledged"] == 50
        assert len(count["lost_ids"]) == 5
        assert count["kept"] == str(demo.home / "iot-hub" / "demo")
        assert (demo.home / "iot-hub" / "demo" / "logs").is_dir()

    def test_ctrl_c_ends_it_early_with_its_count_and_a_second_demo_leaves_it_alone(self, demo: Demo) -> None:
        with demo.started(*AMQTT, "--duration", "600") as process:
            wait_until(lambda: demo.is_ready, timeout=60, what="the demo's hub")
            second = demo.run("--duration", "1")
            assert second.returncode == 1
            assert "the hub 'demo' runs already" in second.stderr
            assert "Traceback" not in second.stderr
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "acknowledged messages arrived: 0 lost." in out
        assert "It was ended early." in out
        assert "iothub up" in out
        assert "Traceback" not in err

    def test_a_terminal_that_closes_ends_it_and_nothing_is_left(self, demo: Demo) -> None:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            demo.command(*AMQTT, "--duration", "600"),
            env={**demo.environment, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        os.set_blocking(ours, False)

        def is_ready() -> bool:
            with suppress(BlockingIOError):
                os.read(ours, 1 << 20)  # what nobody reads would hold up who writes
            return demo.is_ready

        wait_until(is_ready, timeout=60, what="the demo's hub")
        os.close(ours)
        # It is no session's leader with this terminal as its own, so the kernel does not tell it.
        process.send_signal(signal.SIGHUP)
        process.wait(30)
        assert not (demo.home / "iot-hub" / "demo").exists()

    def test_on_a_terminal_it_takes_the_screen_and_gives_it_back(self, demo: Demo) -> None:
        screen = run_on_terminal(demo.command(*AMQTT, "--duration", "2"), demo.environment, lines=24, columns=80)
        taken, given_back = screen.index("\x1b[?1049h"), screen.index("\x1b[?1049l")
        shown, after = screen[taken:given_back], screen[given_back:]
        for text in ("iothub demo: 20 devices", "telemetry.clean", "newest readings", "DEV-00", "Ctrl-C ends it"):
            assert text in shown
        assert "acknowledged messages arrived: 0 lost." in after
        assert "\x1b[?25h" in screen[given_back - 20 :], "the cursor is visible again"


class TestOnAHubThatWasThereBefore:
    """As with --context: the hub is somebody else's, and has messages of others."""

    def test_counts_only_its_own_and_leaves_the_hub_as_it_is(self, up: Up) -> None:
        hub = up("--kafka", "mock", "--mqtt", "amqtt").wait_until_ready()
        state = hub.state
        target = Target(
            "a hub",
            state.kafka.bootstrap_servers,
            in_memory=True,
            mqtt=MqttTarget("127.0.0.1", state.mqtt.port, state.mqtt.version),
            groups=("iot-hub-validator", "telemetry-raw-logger"),
        )
        before = hub.iothub("simulate", "--messages", "50", "--rate", "100")
        assert before.returncode == 0, before.stderr
        options = DemoOptions(seconds=3, rate=40, damaged=0.1)
        summary = asyncio.run(run_demo(options, ClusterStage(target), Terminal()))
        assert summary.is_good
        check_count(summary.to_document())
        assert summary.totals.acknowledged == 120
        assert summary.totals.strangers >= 50
        assert summary.places == (("Hub", "a hub"),)
        assert hub.returncode is None


class TestFailures:
    def test_a_picture_that_has_nowhere_to_go(self, demo: Demo) -> None:
        done = demo.run("--picture", "/no/folder/demo.svg")
        assert done.returncode == 2
        assert done.stderr == (
            "iothub: can't write a picture to /no/folder/demo.svg: name a file in a folder that is there\n"
        )

    def test_more_messages_than_it_keeps_count_of(self, demo: Demo) -> None:
        done = demo.run("--rate", "1000000")
        assert done.returncode == 2
        assert "60,000,000 messages are more than a demo keeps count of" in done.stderr

    def test_files_that_are_not_there(self, demo: Demo) -> None:
        done = demo.run("-f", "none.yaml")
        assert done.returncode == 1
        assert "none.yaml" in done.stderr
        assert "Traceback" not in done.stderr

    def test_options_of_a_hub_on_a_cluster(self, demo: Demo) -> None:
        done = demo.run("--context", "kind", "--keep")
        assert done.returncode == 2
        assert "leave --context out" in done.stderr

    def test_a_server_that_this_machine_has_not(self, demo: Demo) -> None:
        done = demo.run("--kafka", "apache")
        assert done.returncode == 1
        assert "java" in done.stderr.lower()

    def test_help(self, demo: Demo) -> None:
        done = demo.run("--help")
        assert done.returncode == 0
        for option in ("--duration", "--damaged", "--kafka", "--mqtt", "--picture", "--keep", "--context"):
            assert option in done.stdout


def run_on_terminal(command: list[str], environment: Mapping[str, str], *, lines: int, columns: int) -> str:
    """Run a command on a terminal of that size and return all that it wrote there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        command,
        env={**environment, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    written = b""
    try:
        # Linux ends the reading with an error once nobody has the other end open.
        while chunk := os.read(ours, 65_536):
            written += chunk
    except OSError:
        pass
    finally:
        os.close(ours)
    assert process.wait(30) == 0
    return written.decode()
