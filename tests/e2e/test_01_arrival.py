"""What devices publish arrives: good readings in telemetry.clean, damaged ones in telemetry.dlq, nothing lost."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from e2e.readings import DEVICES, Sent, build_damaged, build_good, differences, mix
from e2e.release import CLEAN, DLQ, RAW

if TYPE_CHECKING:
    from e2e.readings import Reading
    from e2e.release import Acknowledged, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

GOOD, DAMAGED = 10_000, 50


def test_devices_that_publish_from_the_first_second_lose_nothing(release: Release) -> None:
    """Given devices that were there before `helm install`, then all that was acknowledged to them arrives."""
    assert release.early is not None
    seen = release.early.result()
    wanted = [message.id for message in release.early_messages]

    release.facts.append(f"helm install to the first acknowledgement: {seen.first - release.installed_at:.1f} s")
    assert seen.refused == {}
    assert not differences(Counter(seen.ids), Counter(wanted))
    release.settle_pipeline(len(wanted), "early-")
    clean = release.read([CLEAN], "early-", until=len(wanted))
    assert not differences(Counter(record["id"] for record in clean), Counter(wanted))


@dataclass(frozen=True)
class Calm:
    """A calm run: what was sent, what was acknowledged, and what lies in the topics afterwards."""

    good: list[Sent]
    damaged: list[Sent]
    seen: Acknowledged
    raw: list[dict[str, Any]]
    clean: list[dict[str, Any]]
    dlq: list[dict[str, Any]]


@pytest.fixture(scope="module")
def calm(release: Release, readings: list[Reading]) -> Calm:
    good, damaged = build_good(readings, "calm-", GOOD), build_damaged("calm-", DAMAGED)
    seen = release.publish("calm", mix(good, damaged)).result()
    raw = release.settle_pipeline(len(good) + len(damaged), "calm-")
    seconds = seen.ended - seen.begun
    release.facts.append(
        f"calm run: {len(seen.ids)} messages acknowledged to {len(DEVICES)} devices in {seconds:.1f} s "
        f"({len(seen.ids) / seconds:.0f}/s)"
    )
    return Calm(good, damaged, seen, raw, release.read([CLEAN], "calm-"), release.read([DLQ], "calm-"))


def test_everything_was_acknowledged(calm: Calm) -> None:
    assert calm.seen.refused == {}
    sent = Counter(message.id for message in [*calm.good, *calm.damaged])
    assert not differences(Counter(calm.seen.ids), sent)
    assert calm.seen.connections == len(DEVICES), "a calm run has no reconnections"


def test_every_good_reading_is_clean_exactly_as_often_as_acknowledged(calm: Calm) -> None:
    good = {message.id for message in calm.good}
    acknowledged = Counter(id_ for id_ in calm.seen.ids if id_ in good)
    assert not differences(Counter(record["id"] for record in calm.clean), acknowledged)


def test_every_damaged_one_is_dead_lettered_once_with_its_reason(calm: Calm) -> None:
    wanted = {message.id: message.reason for message in calm.damaged}
    assert not differences(Counter(record["id"] for record in calm.dlq), Counter(list(wanted)))
    assert not differences({record["id"]: record["headers"]["dlq.reason"] for record in calm.dlq}, wanted)


def test_raw_and_dead_letters_hold_the_bytes_as_they_were_published(calm: Calm) -> None:
    sent = {message.id: message.payload for message in [*calm.good, *calm.damaged]}
    digests = {id_: hashlib.sha256(payload).hexdigest() for id_, payload in sent.items()}
    assert not differences({record["id"]: record["sha256"] for record in calm.raw}, digests)
    of_damaged = {message.id: digests[message.id] for message in calm.damaged}
    assert not differences({record["id"]: record["sha256"] for record in calm.dlq}, of_damaged)
    assert max(record["size"] for record in calm.dlq) > 900_000


def test_clean_readings_say_what_the_devices_measured(calm: Calm) -> None:
    wanted = {message.id: message.clean for message in calm.good}
    found = {record["id"]: json.loads(base64.b64decode(record["value"])) for record in calm.clean}
    assert not differences(found, wanted)


@pytest.mark.parametrize("topic", ["raw", "clean"])
def test_each_devices_readings_keep_their_order(calm: Calm, topic: str) -> None:
    sent, found, homes = defaultdict(list), defaultdict(list), defaultdict(set)
    for message in calm.good:
        sent[message.device].append(message.id)
    good = {message.id for message in calm.good}
    records = [record for record in getattr(calm, topic) if record["id"] in good]
    for record in sorted(records, key=lambda record: (record["partition"], record["offset"])):
        found[record["key"]].append(record["id"])
        homes[record["key"]].add(record["partition"])
    assert all(len(partitions) == 1 for partitions in homes.values()), "one device, one partition"
    out_of_order = [device for device in DEVICES if found[device] != sent[device]]
    assert not out_of_order


def test_the_headers_tell_where_a_record_came_from(calm: Calm) -> None:
    places = {(record["topic"], record["partition"], record["offset"]): record["id"] for record in calm.raw}
    for record in calm.clean:
        headers = record["headers"]
        device = record["key"]
        assert headers["source"] == "mqtt"
        assert (headers["device"], headers["mqtt_topic"]) == (device, f"telemetry/{device}")
        assert headers["received_at"].endswith("Z")
        origin = (headers["raw_topic"], int(headers["raw_partition"]), int(headers["raw_offset"]))
        assert places[origin] == record["id"]
    for record in calm.dlq:
        headers = record["headers"]
        origin = (
            headers["__connect.errors.topic"],
            int(headers["__connect.errors.partition"]),
            int(headers["__connect.errors.offset"]),
        )
        assert places[origin] == record["id"]
        assert origin[0] == RAW
        assert headers["__connect.errors.exception.message"]
        assert headers["__connect.errors.stage"] in {"decode", "validate"}
        assert int(headers["dlq.attempts"]) == 1


def test_a_message_of_nobody_has_no_device(calm: Calm) -> None:
    nobodys = [record for record in calm.raw if "no_device" in record["id"]]
    assert nobodys
    assert all(record["key"] is None and "device" not in record["headers"] for record in nobodys)
