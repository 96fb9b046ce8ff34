"""Where the demonstration plays: a hub of its own on this machine, or a cluster's."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from iothub.demo.snapshot import ConsumerLine
from iothub.hub.events import Event
from iothub.hub.hub import Hub, HubOptions
from iothub.kafka.facts import GroupFacts
from iothub.target import MqttTarget, Target

_SHOWN_PARTS = {"kafka": "Kafka", "mqtt": "MQTT"}


class Stage(Protocol):
    """A pipeline to send messages through."""

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """Where everything runs, by name, as far as it runs."""

    @property
    def limits(self) -> tuple[str, ...]:
        """What can't be had here, the most important first."""

    @property
    def is_fresh(self) -> bool:
        """Whether its topics hold nothing yet."""

    def listen(self, hear: Callable[[str], None]) -> None:
        """Have what happens told, as sentences."""

    async def open(self) -> Target | None:
        """Return where devices can publish, and where Kafka is, once they can; None where the end came first.

        Raises CliError.
        """

    async def wait(self) -> None:
        """Return once somebody else has asked for the end. Raises CliError where it can't go on."""

    async def close(self) -> None:
        """Give everything back."""

    def stop_opening(self) -> None:
        """Have `open` return, where it has not yet."""

    def list_consumers(self, groups: Mapping[str, GroupFacts]) -> tuple[ConsumerLine, ...]:
        """Return the consumers, with what Kafka knows of their groups."""


class HubStage:
    """A hub of the demonstration's own, which begins with nothing and, without ``keep``, leaves nothing."""

    is_fresh = True

    def __init__(self, options: HubOptions, *, keep: bool) -> None:
        self._hear: Callable[[str], None] = lambda _: None
        self._keep = keep
        self._hub = Hub(options, report=self._note)
        self._limits: dict[str, list[str]] = {}
        self._is_open = False

    @property
    def folder(self) -> Path:
        """The hub's folder."""
        return self._hub.folder.path

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """Kafka and the MQTT broker, each with its address once it has one."""
        return tuple(
            (_SHOWN_PARTS[part.kind], f"{part.software} at {part.address}" if part.address else part.software)
            for part in self._hub.parts()
            if part.kind in _SHOWN_PARTS
        )

    @property
    def limits(self) -> tuple[str, ...]:
        """The first of each part, then the rest: a small screen shows only the first ones."""
        told = list(self._limits.values())
        return (*(sentences[0] for sentences in told), *(rest for sentences in told for rest in sentences[1:]))

    def listen(self, hear: Callable[[str], None]) -> None:
        """Have the hub's events told."""
        self._hear = hear

    async def open(self) -> Target | None:
        """Start the hub."""
        try:
            await self._hub.start()
        except asyncio.CancelledError:
            if not self._hub.was_asked_to_end:
                raise
            self._clean_up()
            return None
        self._is_open = True
        state = self._hub.state
        return Target(
            "the demo on this machine",
            state.kafka.bootstrap_servers,
            in_memory=state.kafka.in_memory,
            mqtt=MqttTarget("127.0.0.1", state.mqtt.port, state.mqtt.version),
        )

    async def wait(self) -> None:
        """Wait for ``iothub down``, or for a Kafka that is gone."""
        await self._hub.wait()

    async def close(self) -> None:
        """Stop the hub and remove its folder."""
        if not self._is_open:
            return
        await self._hub.stop()
        self._clean_up()

    def stop_opening(self) -> None:
        """End the hub's start."""
        if not self._is_open:
            self._hub.ask_to_end()

    def list_consumers(self, groups: Mapping[str, GroupFacts]) -> tuple[ConsumerLine, ...]:
        """Return the hub's TelemetryConsumers."""
        return tuple(build_consumer_line(body, groups) for body in self._hub.consumers())

    def _clean_up(self) -> None:
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _note(self, event: Event) -> None:
        if event.kind == "limit":
            self._limits.setdefault(event.subject, []).append(str(event))
        self._hear(event)


class ClusterStage:
    """The hub of a cluster, which was there before and stays."""

    is_fresh = False

    def __init__(self, target: Target) -> None:
        self._target = target

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """The release."""
        return (("Hub", self._target.title),)

    @property
    def limits(self) -> tuple[str, ...]:
        """None: it is the real thing."""
        return ()

    def listen(self, hear: Callable[[str], None]) -> None:
        """Tell nothing: it was there before."""

    async def open(self) -> Target | None:
        """Return the cluster's hub."""
        return self._target

    async def wait(self) -> None:
        """Never return: nobody tells of the end."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Leave it as it is."""

    def stop_opening(self) -> None:
        """Do nothing: it is open at once."""

    def list_consumers(self, groups: Mapping[str, GroupFacts]) -> tuple[ConsumerLine, ...]:
        """Return the groups of the namespace's TelemetryConsumers, or else all that Kafka knows."""
        names = self._target.groups or sorted(groups)
        return tuple(build_group_line(name, groups.get(name)) for name in names)


def build_consumer_line(body: Mapping[str, Any], groups: Mapping[str, GroupFacts]) -> ConsumerLine:
    """Return the line of a TelemetryConsumer; what keeps it from being ready is the operator's own sentence."""
    spec, status = body.get("spec", {}), body.get("status", {})
    group = status.get("groupId") or spec.get("groupId") or body["metadata"]["name"]
    desired, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
    sentences = {
        condition["type"]: condition.get("message", "")
        for condition in status.get("conditions", ())
        if condition["status"] == "True"
    }
    state = sentences.get("Stalled") or (sentences.get("Reconciling", "") if ready < desired else "")
    facts = groups.get(group)
    return ConsumerLine(group, ready, desired, facts.progress.lag if facts else None, state)


def build_group_line(name: str, facts: GroupFacts | None) -> ConsumerLine:
    """Return the line of a group that only Kafka tells about; its members, where they are told, are the ready ones."""
    if facts is None:
        return ConsumerLine(name, 0, 1, None, "Kafka does not know it yet")
    if facts.members is None:
        return ConsumerLine(name, 0, 0, facts.progress.lag)
    members = len(facts.members)
    return ConsumerLine(name, members, max(1, members), facts.progress.lag, "" if members else "has no member")
