"""A hub from start to end, whoever asks for the end: Ctrl-C, SIGTERM, ``iothub down``, or a Kafka that is gone."""

from __future__ import annotations

import asyncio
import os
import signal

from iothub.hub.hub import Hub
from iothub.hub.leftovers import kill_noted

EX_INTERRUPTED = 130


async def run_hub(hub: Hub) -> None:
    """Start ``hub``, keep it until somebody asks for its end, and end it in order. Raises CliError.

    A second Ctrl-C kills everything at once.
    """
    loop = asyncio.get_running_loop()
    stopping = False

    def end() -> None:
        nonlocal stopping
        if stopping:
            kill_noted(hub.folder.processes)
            os._exit(EX_INTERRUPTED)
        stopping = True
        hub.ask_to_end()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)
    try:
        await hub.start()
    except asyncio.CancelledError:
        if not hub.was_asked_to_end:
            raise
        return
    try:
        await hub.wait()
    finally:
        await hub.stop()
