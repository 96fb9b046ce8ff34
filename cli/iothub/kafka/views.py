"""Topics, groups and lag as they are shown: tables for people, documents for programs. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from iothub.kafka.facts import GroupFacts, PartitionLag, TopicFacts
from iothub.kafka.rates import LagRow
from iothub.kafka.units import (
    UNKNOWN,
    format_bytes,
    format_duration,
    format_number,
    format_rate,
    format_retention,
)
from iothub.terminal import make_table

_NO_LIMIT = -1


def build_topics_table(topics: Sequence[TopicFacts]) -> Table:
    """Return a line a topic."""
    table = make_table("topic", "partitions", "replication", "messages", "retention", "cleanup")
    for topic in topics:
        table.add_row(
            topic.name,
            str(len(topic.partitions)),
            str(topic.replication),
            format_number(topic.messages),
            _retention(topic),
            topic.cleanup_policy or UNKNOWN,
        )
    return table


def build_partitions_table(topics: Sequence[TopicFacts]) -> Table:
    """Return a line a partition."""
    table = make_table("topic", "partition", "leader", "in sync", "earliest", "latest", "messages")
    for topic in topics:
        for partition in topic.partitions:
            table.add_row(
                topic.name,
                str(partition.number),
                format_number(partition.leader),
                f"{partition.in_sync}/{partition.replicas}",
                format_number(partition.earliest),
                format_number(partition.latest),
                format_number(partition.messages),
            )
    return table


def build_topics_document(topics: Sequence[TopicFacts]) -> list[dict[str, Any]]:
    """Return the topics with everything that is known of them."""
    return [
        {
            "topic": topic.name,
            "internal": topic.internal,
            "replication": topic.replication,
            "messages": topic.messages,
            "retention_ms": topic.retention_ms,
            "retention_bytes": topic.retention_bytes,
            "cleanup_policy": topic.cleanup_policy,
            "partitions": [
                {
                    "partition": partition.number,
                    "leader": partition.leader,
                    "replicas": partition.replicas,
                    "in_sync": partition.in_sync,
                    "earliest": partition.earliest,
                    "latest": partition.latest,
                    "messages": partition.messages,
                }
                for partition in topic.partitions
            ],
        }
        for topic in topics
    ]


def build_groups_table(groups: Sequence[GroupFacts]) -> Table:
    """Return a line a group."""
    table = make_table("group", "state", "type", "members", "topics", "lag")
    for group in groups:
        table.add_row(
            group.group,
            group.state or UNKNOWN,
            group.kind or UNKNOWN,
            format_number(None if group.members is None else len(group.members)),
            ",".join(group.progress.topics) or UNKNOWN,
            format_number(group.progress.lag),
        )
    return table


def build_members_table(groups: Sequence[GroupFacts]) -> Table:
    """Return a line a member of a group."""
    table = make_table("group", "client", "host", "partitions")
    for group in groups:
        for member in group.members or ():
            places = " ".join(f"{topic}[{number}]" for topic, number in member.places)
            table.add_row(group.group, member.client_id, member.host, places or "none: a spare one")
    return table


def build_places_table(groups: Sequence[GroupFacts]) -> Table:
    """Return a line for each partition that a group reads."""
    table = make_table("group", "topic", "partition", "committed", "latest", "lag", "client")
    for group in groups:
        for place in group.progress.partitions:
            table.add_row(
                group.group,
                place.topic,
                str(place.partition),
                format_number(place.committed),
                format_number(place.latest),
                format_number(place.lag),
                _find_client(group, place) or UNKNOWN,
            )
    return table


def build_groups_document(groups: Sequence[GroupFacts]) -> list[dict[str, Any]]:
    """Return the groups with their members and their places."""
    return [
        {
            "group": group.group,
            "state": group.state,
            "type": group.kind,
            "topics": list(group.progress.topics),
            "lag": group.progress.lag,
            "members": None
            if group.members is None
            else [
                {
                    "client_id": member.client_id,
                    "host": member.host,
                    "partitions": [{"topic": topic, "partition": number} for topic, number in member.places],
                }
                for member in group.members
            ],
            "partitions": [
                {
                    "topic": place.topic,
                    "partition": place.partition,
                    "committed": place.committed,
                    "earliest": place.earliest,
                    "latest": place.latest,
                    "lag": place.lag,
                    "client_id": _find_client(group, place),
                }
                for place in group.progress.partitions
            ],
        }
        for group in groups
    ]


def build_lag_table(rows: Sequence[LagRow]) -> Table:
    """Return a line a row; those of partitions name them."""
    by_partition = any(row.partition is not None for row in rows)
    headers = ["group", "topic", *(["partition"] if by_partition else []), "lag", "produced", "consumed", "drained in"]
    table = make_table(*headers)
    for row in rows:
        place = [row.group, row.topic, *([str(row.partition)] if by_partition else [])]
        table.add_row(*place, format_number(row.lag), *_describe_motion(row))
    return table


def build_lag_document(rows: Sequence[LagRow]) -> list[dict[str, Any]]:
    """Return the rows; ``drain_seconds`` is null where it is unknown and where ``falls_behind`` is true."""
    return [
        {
            "group": row.group,
            "topic": row.topic,
            **({} if row.partition is None else {"partition": row.partition}),
            "lag": row.lag,
            "produced_per_second": _round(row.produced),
            "consumed_per_second": _round(row.consumed),
            "drain_seconds": None
            if row.drain_seconds is None or math.isinf(row.drain_seconds)
            else _round(row.drain_seconds),
            "falls_behind": row.drain_seconds is not None and math.isinf(row.drain_seconds),
        }
        for row in rows
    ]


def build_lag_line(rows: Sequence[LagRow]) -> str:
    """Return a round of ``--watch`` for a pipe: every row, on one line."""
    parts = []
    for row in rows:
        place = row.topic if row.partition is None else f"{row.topic}[{row.partition}]"
        produced, consumed, drained = _describe_motion(row)
        parts.append(
            f"{row.group} {place} lag {format_number(row.lag)}, in {produced}, out {consumed}, drained: {drained}"
        )
    return "; ".join(parts) or "no groups"


def _describe_motion(row: LagRow) -> tuple[str, str, str]:
    drain = row.drain_seconds
    drained = "never at this rate" if drain is not None and math.isinf(drain) else format_duration(drain)
    return format_rate(row.produced), format_rate(row.consumed), drained


def _retention(topic: TopicFacts) -> str:
    if topic.cleanup_policy == "compact":
        # Time deletes nothing there; the newest message of each key stays.
        return "newest a key"
    limit = topic.retention_bytes
    size = "" if limit in {None, _NO_LIMIT} else f", {format_bytes(limit)} a partition"
    return format_retention(topic.retention_ms) + size


def _find_client(group: GroupFacts, place: PartitionLag) -> str | None:
    for member in group.members or ():
        if (place.topic, place.partition) in member.places:
            return member.client_id
    return None


def _round(number: float | None) -> float | None:
    return None if number is None else round(number, 3)
