"""The operator's clock jumps. Only its own: libfaketime changes what its process is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integration_helpers import send
from operator_faults.settings import OperatorFaultSettings
from operator_faults.stage import MakeStage, Stage, number
from support import require
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.kafka]

HOUR = timedelta(hours=1)
NEAR = timedelta(minutes=1)
"""How far a time in the status may be from the clock that the operator goes by."""
MESSAGES = 10
TOLD_SECONDS = 60
"""How old a number in a status may be."""
FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib")


class Clock:
    """A clock that the operator's process goes by. Its monotonic clock goes on, as a real one does in a jump."""

    def __init__(self, folder: Path) -> None:
        found = (path for root in FOLDERS for path in sorted(Path(root).glob("**/faketime/libfaketimeMT.so.1")))
        library = next(found, None)
        if library is None:
            require.missing("libfaketime", "install it, on Debian the package libfaketime")
        self._file = folder / "clock"
        self.jump(timedelta())
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # the name of older versions
        }

    def jump(self, ahead: timedelta) -> None:
        """Have it say what the machine's clock says, and ``ahead``."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{ahead.total_seconds():+.0f}\n")
        fresh.rename(self._file)
        self.ahead = ahead

    def is_near(self, moment: str) -> bool:
        """Return whether a time that the operator has written is one by this clock."""
        return abs(datetime.fromisoformat(moment) - self.ahead - datetime.now(UTC)) <= NEAR


def test_an_hour_forward_and_back(
    make_stage: MakeStage,
    settings: OperatorFaultSettings,
    kafka: KafkaBroker,
    tmp_path: Path,
    unique: Callable[[str], str],
) -> None:
    """Given an hour that is skipped and then comes again, then edits are followed.

    The long form sees that numbers stay fresh, too.
    """
    clock, topic = Clock(tmp_path), unique("clock")
    kafka.create_topics([topic], partitions=1)
    send(kafka, topic, [b"{}"] * MESSAGES)
    stage = make_stage(KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers, **clock.environment)
    paused, *edited = number("timed", 4)
    stage.operator.start()
    stage.write([paused, *edited], topics=[topic])
    stage.converge()
    wait_for_lag(stage, clock, paused, MESSAGES)

    for attempts, ahead in ((7, HOUR), (8, timedelta())):
        clock.jump(ahead)
        stage.kubectl.patch("telemetryconsumer", paused, {"spec": {"paused": ahead == HOUR}})
        stage.write(edited, attempts=attempts, topics=[topic])
        stage.converge()
        changes = [entry for entry in stage.operator.log() if entry["event"] == "condition changed"]
        assert clock.is_near(changes[-1]["time"]), "the operator goes by this clock"

    if settings.seconds >= TOLD_SECONDS:
        # More of what was there already is told once a minute only: by which clock?
        send(kafka, topic, [b"{}"] * MESSAGES)
        wait_for_lag(stage, clock, paused, 2 * MESSAGES)
    stage.end()


def wait_for_lag(stage: Stage, clock: Clock, name: str, lag: int) -> None:
    """Wait until the status has that lag, seen of late; a status is never older than a minute."""

    def has_lag() -> bool:
        status: dict[str, Any] = stage.look().consumers[name]["status"]
        return status.get("lag") == lag and clock.is_near(status["lagObservedAt"])

    hint = lambda: str(stage.look().consumers[name]["status"])  # noqa: E731  # read only where the wait fails
    wait_until(has_lag, timeout=TOLD_SECONDS, interval=1, what=f"a lag of {lag}", hint=hint)
