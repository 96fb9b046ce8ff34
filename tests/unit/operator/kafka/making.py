"""Facts as tests need them: what a test does not say is ordinary."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from telemetry_operator.kafka.facts import GroupView, KafkaFacts, Member, Reading

AT = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)


def make_reading(group: str = "group", *topics: str) -> Reading:
    return Reading(group=group, topics=frozenset(topics or ("raw",)))


def make_member(client_id: str, *topics: str, partitions: int = 1) -> Member:
    return Member(client_id=client_id, host="10.0.0.1", topics=frozenset(topics), partitions=partitions)


def make_facts(reading: Reading | None = None, **changes: object) -> KafkaFacts:
    facts = KafkaFacts(
        reading=reading or make_reading(),
        observed_at=AT,
        partitions={"raw": 6},
        missing_topics=(),
        group=GroupView(state="Stable", protocol="classic", members=(make_member("pod-1", "raw"),), members_at=AT),
        lag=10,
        topic_lags={"raw": 10},
        uncommitted=0,
        lag_slope=None,
        drain_seconds=None,
        dead_letters=None,
    )
    return replace(facts, **changes)  # type: ignore[arg-type]
