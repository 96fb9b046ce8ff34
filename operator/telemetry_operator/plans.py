"""What each TelemetryConsumer is to become, remembered while nothing about it changes. Pure.

A steady TelemetryConsumer is looked at twice a minute. To parse its spec, to build its Deployment and to hash it would
be most of what that costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from telemetry_operator import naming
from telemetry_operator.facts import ConsumerFact
from telemetry_operator.naming import Key
from telemetry_operator.objects.deployment import Manifest, WorkerDefaults, build_deployment, compute_hash
from telemetry_operator.spec import Consumer, parse_consumer


@dataclass(frozen=True)
class Plan:
    """A Deployment as it is to be, by what tells it from another; ``build`` has all of it."""

    consumer: Consumer
    defaults: WorkerDefaults
    handler_hash: str | None
    digest: str
    """Hash of the Deployment."""
    config_hash: str
    """Hash of its pods' template, which they bear."""
    metadata: Mapping[str, Any]
    """Its labels and its owner, among others."""

    def build(self) -> Manifest:
        """Return the Deployment."""
        return build_deployment(self.consumer, self.defaults, self.handler_hash)


class Plans:
    """Specs that were parsed, and plans that were made of them, by TelemetryConsumer."""

    def __init__(self, defaults: WorkerDefaults) -> None:
        self._defaults = defaults
        self._parsed: dict[Key, tuple[Mapping[str, Any], Consumer]] = {}
        self._plans: dict[Key, Plan] = {}

    def parse(self, fact: ConsumerFact) -> Consumer:
        """Return what `spec.parse_consumer` makes of ``fact``. Raises SpecError."""
        known = self._parsed.get(fact.key)
        if known is not None and known[0] == fact.body:
            return known[1]
        consumer = parse_consumer(fact.body)
        self._parsed[fact.key] = fact.body, consumer
        return consumer

    def plan(self, consumer: Consumer, handler_hash: str | None) -> Plan:
        """Return the plan for ``consumer``; ``handler_hash`` is as in `build_deployment`."""
        known = self._plans.get(consumer.key)
        if known is not None and known.handler_hash == handler_hash and known.consumer == consumer:
            return known
        manifest = build_deployment(consumer, self._defaults, handler_hash)
        plan = Plan(
            consumer=consumer,
            defaults=self._defaults,
            handler_hash=handler_hash,
            digest=compute_hash(manifest),
            config_hash=manifest["spec"]["template"]["metadata"]["annotations"][naming.ANNOTATION_CONFIG_HASH],
            metadata=manifest["metadata"],
        )
        self._plans[consumer.key] = plan
        return plan

    def forget(self, key: Key) -> None:
        """Forget a TelemetryConsumer that is gone."""
        self._parsed.pop(key, None)
        self._plans.pop(key, None)
