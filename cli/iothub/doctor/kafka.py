"""Whether a Kafka answers, has the hub's topics as the hub needs them, and groups that get on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from confluent_kafka import KafkaException

from iothub.doctor.finding import Check, Finding
from iothub.kafka.client import Kafka, connect
from iothub.kafka.facts import GroupFacts, GroupLag, LagReading, read_groups, read_lag
from iothub.servers.topics import build_hub_topics
from iothub.target import Target
from topics.__main__ import read_steps
from topics.plan import Configure, Create, Grow, Step, WantedTopic

WATCH_SECONDS = 3.0
"""How long a group with work to do may stand still before that is told."""
_CHECK_SECONDS = 60.0
_SIZE = "max.message.bytes"


def check_kafka(target: Target) -> Iterator[Finding]:
    """Whether it answers; and if so, its topics and groups. Raises Unavailable where it does not."""
    kafka = connect(target)
    brokers = len(kafka.cluster.brokers)
    in_memory = ", in memory" if kafka.in_memory else ""
    yield Finding.ok(
        "Kafka", f"answers at {target.bootstrap_servers} ({brokers} broker{'s'[: brokers > 1]}{in_memory})"
    )
    yield from check_topics(kafka)
    yield from check_groups(kafka)


def kafka_check(target: Target) -> Check:
    """Return the check of a target's Kafka."""
    return Check("Kafka", lambda: check_kafka(target), _CHECK_SECONDS)


def check_topics(kafka: Kafka) -> list[Finding]:
    """Whether the hub's topics are there, with room for the largest messages."""
    wanted = build_hub_topics()
    if kafka.in_memory:
        there = kafka.read_metadata()
        steps: list[Step] = [Create(topic) for topic in wanted if topic.name not in there]
    else:
        try:
            steps = read_steps(kafka.admin, wanted)
        except KafkaException as error:
            return [Finding.wrong("topics", f"can't be read: {error.args[0].str()}")]
    return judge_topics(wanted, steps)


def judge_topics(wanted: Iterable[WantedTopic], steps: Iterable[Step]) -> list[Finding]:
    """Return what the ``steps`` that would mend the ``wanted`` topics say about them."""
    problems: dict[str, Finding] = {}
    remarks: dict[str, list[str]] = {}
    for step in steps:
        match step:
            case Create(topic):
                problems[topic.name] = _missing_topic(topic.name)
            case Configure(name, configs) if _SIZE in configs:
                problems[name] = Finding.wrong(
                    f"topic {name}",
                    f"{_SIZE} is not {configs[_SIZE]}",
                    "messages that ingestion takes may not fit into it",
                    f"kafka-configs.sh --alter --topic {name} --add-config {_SIZE}={configs[_SIZE]}",
                )
            case Configure(name, configs):
                remarks.setdefault(name, []).append(f"its own {', '.join(sorted(configs))}")
            case Grow(name, partitions):
                remarks.setdefault(name, []).append(f"fewer than {partitions} partitions")
            case _:
                pass
    return [
        problems.get(topic.name)
        or Finding.ok(f"topic {topic.name}", ", ".join(["there", *remarks.get(topic.name, ())]))
        for topic in wanted
    ]


def _missing_topic(name: str) -> Finding:
    means = "what is sent there waits, or is refused"
    advice = "`iothub up` and the chart make it; elsewhere: python -m topics compose/topics.json"
    return Finding.wrong(f"topic {name}", "is not in Kafka", means, advice)


def check_groups(kafka: Kafka) -> list[Finding]:
    """Whether any group has work to do and does not get on with it."""
    if kafka.in_memory and not kafka.target.groups:
        return []
    groups = read_groups(kafka)
    waiting = [group for group in groups if group.progress.lag]
    if not waiting:
        return [Finding.ok("groups", f"{len(groups)}, none of them behind")]
    before = read_lag(kafka, [group.group for group in waiting])
    time.sleep(WATCH_SECONDS)
    after = read_lag(kafka, [group.group for group in waiting])
    moved = find_moving(before, after)
    findings = [judge_group(group, moved=group.group in moved) for group in waiting]
    rest = len(groups) - len(waiting)
    return [*findings, Finding.ok("other groups", f"{rest}, none of them behind")] if rest else findings


def find_moving(before: LagReading, after: LagReading) -> set[str]:
    """Return the groups that have committed something between two readings, or have nothing left to do."""
    places = {group.group: _committed(group) for group in before.groups}
    return {group.group for group in after.groups if not group.lag or _committed(group) != places.get(group.group)}


def _committed(group: GroupLag) -> Mapping[tuple[str, int], int | None]:
    return {(place.topic, place.partition): place.committed for place in group.partitions}


def judge_group(group: GroupFacts, *, moved: bool) -> Finding:
    """Return how a group stands that is behind."""
    name, lag = f"group {group.group}", group.progress.lag
    if moved:
        return Finding.ok(name, f"{lag} messages behind, and on its way")
    if group.members is not None and not group.members:
        means = "nobody handles them until a consumer of that group runs"
        return Finding.missing(name, f"no member, and {lag} messages wait", means)
    means = "its handler is slow, or tries one message again and again: its log tells"
    return Finding.wrong(
        name, f"{lag} messages wait, and none was done within {WATCH_SECONDS:.0f} s", means, f"iothub lag {group.group}"
    )
