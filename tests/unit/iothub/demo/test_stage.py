"""From TelemetryConsumers and groups to the screen's lines."""

from __future__ import annotations

from typing import Any

from iothub.demo.snapshot import ConsumerLine
from iothub.demo.stage import build_consumer_line, build_group_line
from iothub.kafka.facts import GroupFacts, GroupLag, Member, PartitionLag


def facts(group: str, *, lag: int, members: int | None = None) -> GroupFacts:
    progress = GroupLag(group, (PartitionLag("telemetry.raw", 0, 10, 0, 10 + lag),))
    found = None if members is None else tuple(Member(f"m{number}", "host", ()) for number in range(members))
    return GroupFacts(group, None, None, found, progress)


def consumer(*conditions: tuple[str, str, str], replicas: int = 1, ready: int = 0) -> dict[str, Any]:
    return {
        "metadata": {"name": "room", "namespace": "default"},
        "spec": {"groupId": "rooms", "replicas": replicas},
        "status": {
            "groupId": "rooms",
            "readyReplicas": ready,
            "conditions": [
                {"type": kind, "status": status, "message": message} for kind, status, message in conditions
            ],
        },
    }


class TestConsumers:
    def test_one_at_work(self) -> None:
        body = consumer(("Ready", "True", "2 of 2 workers are ready"), replicas=2, ready=2)
        line = build_consumer_line(body, {"rooms": facts("rooms", lag=7)})
        assert line == ConsumerLine("rooms", 2, 2, 7, "")
        assert line.is_well

    def test_one_that_starts_says_what_it_waits_for(self) -> None:
        body = consumer(("Ready", "False", ""), ("Reconciling", "True", "0 of 1 worker is ready"))
        line = build_consumer_line(body, {})
        assert line == ConsumerLine("rooms", 0, 1, None, "0 of 1 worker is ready")
        assert not line.is_well

    def test_one_that_can_not_work_says_why_also_while_its_old_workers_go_on(self) -> None:
        body = consumer(("Stalled", "True", "no class Rom in rooms.py"), ready=1)
        line = build_consumer_line(body, {})
        assert line.state == "no class Rom in rooms.py"
        assert not line.is_well

    def test_one_that_nobody_has_looked_at_yet(self) -> None:
        body = {"metadata": {"name": "room", "namespace": "default"}, "spec": {}}
        assert build_consumer_line(body, {}) == ConsumerLine("room", 0, 1, None, "")


class TestGroups:
    def test_its_members_are_the_ready_ones(self) -> None:
        assert build_group_line("rooms", facts("rooms", lag=3, members=2)) == ConsumerLine("rooms", 2, 2, 3, "")

    def test_without_members_nobody_reads(self) -> None:
        line = build_group_line("rooms", facts("rooms", lag=3, members=0))
        assert line == ConsumerLine("rooms", 0, 1, 3, "has no member")

    def test_one_that_kafka_does_not_know(self) -> None:
        assert build_group_line("rooms", None).state == "Kafka does not know it yet"

    def test_a_kafka_that_can_not_tell_its_members(self) -> None:
        assert build_group_line("rooms", facts("rooms", lag=3)) == ConsumerLine("rooms", 0, 0, 3, "")
