"""`iothub simulate` as it is typed: what it sends, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from integration.iothub.subscriber import subscribing
from support.mosquitto import OPEN_CONFIG, Mosquitto
from support.plugin import MosquittoFactory
from support.ports import free_port
from support.waiting import wait_until

ROOM = """\
ts,device,temperature,note
2015-02-02 14:19:00,office-1,23.7,by the window
2015-02-02 14:20:00,office-2,23.6,
2015-02-02 14:21:00,office-1,23.5,
"""


class Simulate:
    """Runs the command with a state folder of its own and none of our variables."""

    def __init__(self, home: Path) -> None:
        ours = ("KAFKA_", "MQTT_", "IOTHUB_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.environment["XDG_STATE_HOME"] = str(home)

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.environment | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "iothub", "simulate", *arguments]

    def count(self, *arguments: str, code: int = 0) -> Mapping[str, Any]:
        """Run it and return its result."""
        done = self(*arguments, "--output", "json")
        assert done.returncode == code, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result


@pytest.fixture
def simulate(tmp_path: Path) -> Simulate:
    return Simulate(tmp_path / "state")


def at(broker: Mosquitto) -> tuple[str, str]:
    return "--mqtt-port", str(broker.port)


class TestDevices:
    def test_sends_what_was_asked_for_and_counts_it(self, simulate: Simulate, mosquitto: Mosquitto) -> None:
        with subscribing(mosquitto) as subscriber:
            result = simulate.count(
                *at(mosquitto), "--messages", "300", "--rate", "300", "--devices", "7", "--damaged", "0.1"
            )
            wait_until(lambda: subscriber.ids.total() == 300, what="300 messages")
        assert {name: result[name] for name in ("sent", "acknowledged", "refused", "not_acknowledged")} == {
            "sent": 300,
            "acknowledged": 300,
            "refused": 0,
            "not_acknowledged": 0,
        }
        assert sum(result["damaged"].values()) == 30
        assert 0.8 < result["seconds"] < 3
        assert {topic for topic, _ in subscriber.payloads} == {f"telemetry/DEV-{n:04}" for n in range(1, 8)}

    def test_the_acknowledged_ids_are_those_that_arrive(
        self, simulate: Simulate, mosquitto: Mosquitto, tmp_path: Path
    ) -> None:
        with subscribing(mosquitto) as subscriber:
            simulate.count(
                *at(mosquitto), "--messages", "200", "--rate", "500", "--acknowledged", str(tmp_path / "ids")
            )
            wait_until(lambda: len(subscriber.ids) == 200, what="200 messages")
        assert sorted((tmp_path / "ids").read_text().split()) == sorted(subscriber.ids)

    def test_a_duration_bounds_it(self, simulate: Simulate, mosquitto: Mosquitto) -> None:
        result = simulate.count(*at(mosquitto), "--duration", "1", "--rate", "100")
        assert result["sent"] == 100

    def test_says_it_plainly_in_a_pipe(self, simulate: Simulate, mosquitto_factory: MosquittoFactory) -> None:
        broker = mosquitto_factory()
        done = simulate(*at(broker), "--messages", "20", "--rate", "100", "--damaged", "1")
        assert done.returncode == 0
        assert "\x1b" not in done.stdout + done.stderr
        assert re.search(r"^acknowledged +20 ", done.stdout, re.MULTILINE)
        assert "nobody subscribes" in done.stdout
        assert f"waiting for the MQTT broker at localhost:{broker.port}" in done.stderr
        assert re.search(r"^damaged +20 +\w+ 1, ", done.stdout, re.MULTILINE)

    def test_ctrl_c_ends_it_in_order(self, simulate: Simulate, mosquitto: Mosquitto) -> None:
        command = simulate.command(*at(mosquitto), "--rate", "200", "--output", "json")
        with subscribing(mosquitto) as subscriber:
            process = subprocess.Popen(
                command, env=simulate.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            try:
                wait_until(lambda: subscriber.ids.total() > 50, what="messages")
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=20)
            finally:
                process.kill()
            result = json.loads(out)
            wait_until(lambda: subscriber.ids.total() == result["sent"], what="what was sent")
        assert process.returncode == 0, err
        assert result["sent"] == result["acknowledged"] > 50
        assert "Traceback" not in err

    def test_a_user_needs_a_password(self, simulate: Simulate, tmp_path: Path) -> None:
        (tmp_path / "users").write_text("device:secret\n")
        subprocess.run(["mosquitto_passwd", "-U", str(tmp_path / "users")], check=True, capture_output=True)
        config = OPEN_CONFIG.replace("allow_anonymous true", "allow_anonymous false\npassword_file {folder}/users")
        with Mosquitto(tmp_path, config) as broker:
            arguments = (*at(broker), "--messages", "5", "--mqtt-username", "device")
            assert simulate(*arguments, MQTT_PASSWORD="secret").returncode == 0
            refused = simulate(*arguments, MQTT_PASSWORD="wrong")
        assert refused.returncode == 1
        assert "refuses the connection: Not authorized" in refused.stderr
        assert "wrong" not in refused.stderr

    def test_a_refused_message_is_a_failure(self, simulate: Simulate, tmp_path: Path) -> None:
        (tmp_path / "acl").write_text("topic write telemetry/DEV-0001\n")
        with Mosquitto(tmp_path, OPEN_CONFIG + "acl_file {folder}/acl\n") as broker:
            result = simulate.count(*at(broker), "--devices", "2", "--messages", "4", "--rate", "50", code=1)
        assert (result["acknowledged"], result["refused"]) == (2, 2)
        assert result["refusals"] == {"0x87": 2}


class TestFiles:
    def test_readings_are_sent_as_they_stand(self, simulate: Simulate, mosquitto: Mosquitto, tmp_path: Path) -> None:
        (tmp_path / "room.csv").write_text(ROOM)
        with subscribing(mosquitto) as subscriber:
            result = simulate.count(*at(mosquitto), "--csv", str(tmp_path / "room.csv"), "--speed", "max")
            wait_until(lambda: len(subscriber.payloads) == 3, what="three readings")
        assert result["acknowledged"] == 3
        topic, payload = subscriber.payloads[0]
        said = json.loads(payload)
        assert topic == "telemetry/office-1"
        assert (said["ts"], said["metrics"]) == ("2015-02-02 14:19:00", {"temperature": 23.7})

    def test_at_sixty_times_their_pace(self, simulate: Simulate, mosquitto: Mosquitto, tmp_path: Path) -> None:
        (tmp_path / "room.csv").write_text(ROOM)
        result = simulate.count(*at(mosquitto), "--csv", str(tmp_path / "room.csv"), "--speed", "60")
        assert 1.9 < result["seconds"] < 4

    def test_a_bad_row_is_named_before_anything_is_sent(
        self, simulate: Simulate, mosquitto: Mosquitto, tmp_path: Path
    ) -> None:
        path = tmp_path / "room.csv"
        path.write_text(ROOM + "2015-02-02 14:22:00,office-1,warm,\n")
        with subscribing(mosquitto) as subscriber:
            done = simulate(*at(mosquitto), "--csv", str(path), "--speed", "max")
            assert not subscriber.payloads
            skipped = simulate.count(*at(mosquitto), "--csv", str(path), "--speed", "max", "--skip-bad-rows")
        assert done.returncode == 2
        assert done.stderr == f"iothub: {path}:5: temperature is 'warm', where the rows before have a number\n"
        assert (skipped["acknowledged"], skipped["skipped_rows"]) == (3, 1)


class TestFailures:
    def test_no_broker(self, simulate: Simulate) -> None:
        port = free_port()
        done = simulate("--mqtt-port", str(port))
        assert done.returncode == 1
        assert f"iothub: no MQTT broker answers at localhost:{port}" in done.stderr
        assert "--mqtt-port" in done.stderr
        assert done.stdout == ""

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (("--speed", "60"), "belong to --csv"),
            (("--csv", "x.csv", "--rate", "5"), "--csv brings its own devices"),
            (("--csv", "none.csv"), "can't read none.csv: No such file or directory"),
            (("--csv", "x.csv", "--speed", "fast"), "--speed is 'fast': write a number above 0, such as 60, or max"),
            (("--acknowledged", "/no/folder/ids"), "can't write /no/folder/ids: No such file"),
            (("--damaged", "2"), "--damaged"),
            (("--devices", "0"), "--devices"),
            (("--frequency", "5"), "no such option"),
        ],
    )
    def test_what_can_not_be_meant(self, simulate: Simulate, arguments: tuple[str, ...], sentence: str) -> None:
        done = simulate(*arguments)
        assert done.returncode == 2
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr

    def test_help(self, simulate: Simulate) -> None:
        done = simulate("--help")
        assert done.returncode == 0
        for option in ("--devices", "--damaged", "--csv", "--acknowledged", "--mqtt-host", "--context"):
            assert option in done.stdout
