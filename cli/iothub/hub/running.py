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

    A second Ctrl-C kills everything at once. No other signal does: a terminal that closes may send SIGHUP twice, once
    by the kernel and once by its shell.
    """
    loop = asyncio.get_running_loop()
    stopping = False

    def end(number: signal.Signals) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            hub.ask_to_end()
        elif number == signal.SIGINT:
            kill_noted(hub.folder.processes)
            os._exit(EX_INTERRUPTED)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
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
