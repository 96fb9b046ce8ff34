"""``python -m integration_helpers.killed_worker``: a worker that kills itself at one step of a transaction.

KILL_AT is ``METHOD:before|after:COUNT``: at which call, and the how-manieth, of confluent-kafka's producer.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from confluent_kafka import Producer

from consumers import exactly_once
from consumers.worker import run_worker


def doom(kill_at: str) -> type[Producer]:
    name, when, count = kill_at.split(":")
    calls = 0

    def call(self: Producer, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if when == "before" and calls == int(count):
            os.kill(os.getpid(), signal.SIGKILL)
        result = getattr(Producer, name)(self, *args, **kwargs)
        if when == "after" and calls == int(count):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return type("DoomedProducer", (Producer,), {name: call})


if __name__ == "__main__":
    if "KILL_AT" in os.environ:
        exactly_once.Producer = doom(os.environ["KILL_AT"])  # type: ignore[attr-defined]
    sys.exit(run_worker())
