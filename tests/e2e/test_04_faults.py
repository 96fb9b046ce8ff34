"""Pods end, in order or not, in the middle of the stream: nothing that was acknowledged is missing."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from e2e.kube import is_ready, restarts
from e2e.readings import build_good
from e2e.release import CLEAN, DLQ
from support.waiting import wait_until

if TYPE_CHECKING:
    from e2e.readings import Reading, Sent
    from e2e.release import Acknowledged, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

MESSAGES = 8_000
RATE = 400


def came_back(release: Release, pod: str, before: int) -> dict[str, Any]:
    """Wait until a pod's containers were started anew and are ready; return what is known of the run before."""

    def look() -> dict[str, Any] | None:
        found = release.kube.get("pod", pod)
        return found if restarts(found) > before and is_ready(found) else None

    found = wait_until(look, timeout=120, interval=0.3, what=f"{pod} to be back") or {}
    container = next(item for item in found["status"]["containerStatuses"] if item["restartCount"] > 0)
    ended: dict[str, Any] = container["lastState"]["terminated"]
    return ended


def first_of_each(records: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return, by device, the first record of each id, in the order in which they lie in Kafka."""
    first: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for record in sorted(records, key=lambda record: (record["partition"], record["offset"])):
        first[record["key"]].setdefault(record["id"], record)
    return first


def find_disorder(wanted: dict[str, list[str]], records: list[dict[str, Any]]) -> list[str]:
    """Return where a device's ids, of which ``wanted`` has the order, do not come in it; repetitions don't count."""
    first = first_of_each(records)
    return [
        f"{device}: {place['topic']}[{place['partition']}] has {found} at {place['offset']} where {right} should be; "
        f"received at {place['headers']['received_at']}, {right} at {first[device][right]['headers']['received_at']}"
        for device, ids in wanted.items()
        for right, (found, place) in zip(ids, first[device].items(), strict=False)
        if found != right
    ][:10]


def check_nothing_is_missing(
    release: Release, prefix: str, sent: list[Sent], seen: Acknowledged, *, broker_killed: bool = False
) -> Counter[str]:
    """Check that all that was acknowledged is clean, in each device's order; return how often each id is there.

    A broker that was killed may hand on what is new before what it had stored: of that it keeps every message, but
    promises no order. What lies in telemetry.raw comes out of the validator in the same order all the same.
    """
    assert seen.refused == {}
    assert len(set(seen.ids)) == len(sent), "publishers repeat what is not acknowledged until it is"
    raw = release.settle_pipeline(len(sent), prefix, timeout=120)
    clean = release.read([CLEAN], prefix, until=len(sent), timeout=60)
    found = Counter(record["id"] for record in clean)
    missing = set(seen.ids) - set(found)
    assert not missing, f"{len(missing)} acknowledged messages are missing, such as {sorted(missing)[:5]}"
    assert release.read([DLQ], prefix) == []

    published: dict[str, list[str]] = defaultdict(list)
    for message in sent:
        published[message.device].append(message.id)
    in_raw = {device: list(records) for device, records in first_of_each(raw).items()}
    for topic, wanted, records in (("raw", published, raw), ("clean", in_raw, clean)):
        disorder = find_disorder(wanted, records)
        if disorder and topic == "raw" and broker_killed:
            release.facts.append("SIGKILL of mosquitto: what was new overtook what it had stored")
            continue
        assert not disorder, f"what is new of a device comes in its order, in {topic} too:\n" + "\n".join(disorder)
    return found


def test_nothing_acknowledged_is_missing_after_sigkill(release: Release, readings: list[Reading]) -> None:
    sent = build_good(readings, "kill-", MESSAGES)
    victims = {part: release.pod_of(part) for part in ("validator", "ingestion", "mqtt")}
    for pod in victims.values():
        release.killer.prepare(release.kube, pod)
    stream = release.publish("kill", sent, rate=RATE, timeout=240)

    before = {pod: restarts(release.kube.get("pod", pod)) for pod in victims.values()}
    # Mosquitto dies while the ingester is away: what it has acknowledged since then exists nowhere but on its disk.
    for part, reached in (
        ("validator", MESSAGES // 5),
        ("ingestion", 2 * MESSAGES // 5),
        ("mqtt", 2 * MESSAGES // 5 + RATE // 4),
    ):
        stream.wait_for(reached)
        release.killer.kill(release.kube, victims[part])
    assert stream.acknowledged_so_far() < MESSAGES, "the last one was killed too late to matter"
    for pod in victims.values():
        assert came_back(release, pod, before[pod])["exitCode"] == 137

    found = check_nothing_is_missing(release, "kill-", sent, stream.result(), broker_killed=True)
    repeated = {id_: count - 1 for id_, count in found.items() if count > 1}
    release.facts.append(
        f"SIGKILL of {', '.join(victims)}: {len(sent)} acknowledged, 0 missing, "
        f"{sum(repeated.values())} duplicates of {len(repeated)} messages"
    )


@pytest.mark.parametrize("part", ["validator", "ingestion"])
def test_sigterm_ends_with_exit_code_0_and_nothing_undelivered(
    release: Release, readings: list[Reading], part: str
) -> None:
    prefix = f"term-{part}-"
    sent = build_good(readings, prefix, 2_000)
    pod = release.pod_of(part)
    stream = release.publish(f"term-{part}", sent, rate=RATE, timeout=240)
    stream.wait_for(len(sent) // 4)
    before = restarts(release.kube.get("pod", pod))

    release.kube.exec(pod, "sh", "-c", "kill -TERM 1")

    ended = came_back(release, pod, before)
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    found = check_nothing_is_missing(release, prefix, sent, stream.result())
    release.facts.append(f"SIGTERM of {part}: exit code 0, {found.total() - len(found)} duplicates")
    assert found.total() == len(found), "who ends in order hands over without repeating anything"
