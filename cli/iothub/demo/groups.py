"""Asks Kafka, once a second, how far the consumer groups are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping

from iothub.errors import CliError
from iothub.kafka.client import Kafka, connect
from iothub.kafka.facts import GroupFacts, read_groups
from iothub.target import Target
from telemetry.errors import IotHubError

_EVERY = 1.0


class GroupWatcher:
    """Keeps the newest facts about every group. ``find_names`` tells them where Kafka can't list its own."""

    def __init__(self, target: Target, find_names: Callable[[], Collection[str]]) -> None:
        self._target = target
        self._find_names = find_names
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watches groups", daemon=True)
        self.groups: Mapping[str, GroupFacts] = {}

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """End asking."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                kafka = connect(self._target)
                while not self._stop.wait(_EVERY):
                    self._ask(kafka)
            except (CliError, IotHubError):
                # Kafka is away: what was known stays on the screen, and whoever reads the topics tells why.
                self._stop.wait(_EVERY)

    def _ask(self, kafka: Kafka) -> None:
        names = self._find_names() if kafka.in_memory else ()
        if names or not kafka.in_memory:
            self.groups = {facts.group: facts for facts in read_groups(kafka, names)}
