"""What a request is answered, and what of it reaches the intake."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from ingestion.api_keys import WatchedKeys
from telemetry.errors import DeliveryError
from unit.ingestion.http.stand_in import running

READING = b'{"device": "DEV-01", "metrics": {"t": 20.5}}'


@pytest.fixture
def keys(tmp_path: Path) -> WatchedKeys:
    """``any`` sends for any device, ``two`` for DEV-01 and DEV-02."""
    entries: list[dict[str, Any]] = [{"name": "any"}, {"name": "two", "devices": ["DEV-01", "DEV-02"]}]
    for entry in entries:
        entry["sha256"] = hashlib.sha256(entry["name"].encode()).hexdigest()
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": entries}))
    return WatchedKeys(path)


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_message_is_accepted_as_it_is() -> None:
    async with running() as hub:
        reply = await (await hub.connect()).ask(b"  " + READING + b"\n")
        assert (reply.status, reply.json) == (202, {"accepted": 1})
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["date"].endswith(" GMT")
        assert hub.intake.values == [b"  " + READING + b"\n"]


async def test_no_answer_comes_before_kafkas() -> None:
    async with running() as hub:
        hub.intake.holds = True
        device = await hub.connect()
        device.post(b"[1, 2, 3]")
        await until(lambda: hub.intake.queued == 3)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await device.reader.read(1)
        hub.intake.release()
        assert (await device.read()).json == {"accepted": 3}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"[1, 2]", {}),
        (b"1\n2\n", {"Content_Type": "application/x-ndjson"}),
        (gzip.compress(b"[1,2]", mtime=0), {"Content_Encoding": "gzip"}),
        (zstd.compress(b"1\n2"), {"Content_Encoding": "zstd", "Content_Type": "application/x-ndjson"}),
    ],
)
async def test_bodies_of_several_messages(body: bytes, headers: dict[str, str]) -> None:
    async with running() as hub:
        reply = await (await hub.connect()).ask(body, Idempotency_Key="k", **headers)
        assert (reply.status, reply.json) == (202, {"accepted": 2})
        assert hub.intake.values == [b"1", b"2"]
        assert [dict(record.headers)["id"] for record in hub.intake.records] == [b"k#0", b"k#1"]


async def test_an_empty_array_is_accepted_at_once() -> None:
    async with running() as hub:
        assert (await (await hub.connect()).ask(b"[]")).json == {"accepted": 0}
        assert hub.intake.records == []


async def test_the_path_names_the_device() -> None:
    async with running() as hub:
        await (await hub.connect()).ask(READING, path="/v1/devices/DEV%2007/telemetry")
        assert hub.intake.records[0].key == "DEV 07"


@pytest.mark.parametrize(
    ("body", "headers", "status", "kind"),
    [
        (b"", {}, 400, "bad-body"),
        (b"[1,", {}, 400, "bad-body"),
        (b"no gzip", {"Content_Encoding": "gzip"}, 400, "bad-encoding"),
        (gzip.compress(b"[1]", mtime=0)[:-9], {"Content_Encoding": "gzip"}, 400, "bad-encoding"),
        (b"1", {"Idempotency_Key": "x" * 129}, 400, "bad-idempotency-key"),
        (b"1", {"Content_Type": "text/plain"}, 415, "unsupported-media-type"),
        (b"1", {"Content_Encoding": "br"}, 415, "unsupported-encoding"),
        (b"[" + b"1," * 10 + b"1]", {}, 413, "too-many-messages"),
        (b"1\n" * 11, {"Content_Type": "application/x-ndjson"}, 413, "too-many-messages"),
        (b" " * 2000, {}, 413, "body-too-large"),
        (gzip.compress(b"1" * 2000, mtime=0), {"Content_Encoding": "gzip"}, 413, "body-too-large"),
    ],
)
async def test_a_body_that_is_refused_leaves_nothing_behind(
    body: bytes, headers: dict[str, str], status: int, kind: str
) -> None:
    async with running(max_body_bytes=1024, max_items=10) as hub:
        device = await hub.connect()
        reply = await device.ask(body, **headers)
        assert (reply.status, reply.kind) == (status, kind)
        assert reply.headers["content-type"] == "application/problem+json"
        assert set(reply.json) == {"type", "title", "status", "detail"}
        assert reply.json["status"] == status
        # And the connection is as good as new
        assert (await device.ask(b"[7]")).status == 202
        assert hub.intake.values == [b"7"]


async def test_other_places_and_methods() -> None:
    async with running() as hub:
        device = await hub.connect()
        assert (await device.ask(READING, path="/v1/telemetr")).kind == "not-found"
        device.say(b"GET /v1/telemetry HTTP/1.1\r\nHost: hub\r\n\r\n")
        reply = await device.read()
        assert (reply.status, reply.headers["allow"]) == (405, "POST")
        device.say(b"HEAD /v1/telemetry HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert (await device.read(has_body=False)).status == 405
        device.say(b"GET /openapi.json?x HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert (await device.read()).json["openapi"] == "3.1.0"
        device.say(b"HEAD /openapi.json HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert (await device.read(has_body=False)).status == 200


class TestKeys:
    async def test_without_one_nothing_is_taken(self, keys: WatchedKeys) -> None:
        async with running(keys) as hub:
            device = await hub.connect()
            assert (await device.ask(READING)).kind == "no-api-key"
            reply = await device.ask(READING, Authorization="Bearer anyone")
            assert (reply.status, reply.kind) == (401, "unknown-api-key")
            assert reply.headers["www-authenticate"].startswith("Bearer ")
            assert hub.intake.records == []
            assert (await device.ask(READING, Authorization="Bearer any")).status == 202
            assert (await device.ask(READING, X_API_Key="any")).status == 202

    async def test_a_bound_key_in_the_path(self, keys: WatchedKeys) -> None:
        async with running(keys) as hub:
            device = await hub.connect()
            reply = await device.ask(READING, path="/v1/devices/DEV-03/telemetry", X_API_Key="two")
            assert (reply.status, reply.kind) == (403, "device-not-allowed")
            assert (await device.ask(b"1", path="/v1/devices/DEV-02/telemetry", X_API_Key="two")).status == 202

    async def test_a_bound_key_in_a_batch_costs_the_others_nothing(self, keys: WatchedKeys) -> None:
        async with running(keys) as hub:
            reply = await (await hub.connect()).ask(
                b'[{"device": "DEV-01"}, {"device": "DEV-03"}, {}, {"device": "DEV-02"}]', X_API_Key="two"
            )
            assert (reply.status, reply.kind) == (403, "device-not-allowed")
            assert reply.json["accepted"] == 2
            refused = reply.json["refused"]
            assert [(item["index"], item["status"]) for item in refused] == [(1, 403), (2, 403)]
            assert "'DEV-03'" in refused[0]["detail"]
            assert [record.key for record in hub.intake.records] == ["DEV-01", "DEV-02"]

    async def test_one_key_can_not_take_all_places(self, keys: WatchedKeys) -> None:
        async with running(keys, max_requests_per_key=2) as hub:
            hub.intake.holds = True
            devices = [await hub.connect() for _ in range(3)]
            for device in devices[:2]:
                device.post(READING, X_API_Key="any")
            await until(lambda: hub.intake.queued == 2)
            reply = await devices[2].ask(READING, X_API_Key="any")
            assert (reply.status, reply.headers["retry-after"]) == (429, "5")
            # Another key has places of its own, and a place is free again once its request is answered
            devices[2].post(READING, X_API_Key="two")
            await until(lambda: hub.intake.queued == 3)
            hub.intake.holds = False
            assert [(await device.read()).status for device in devices] == [202, 202, 202]
            assert (await devices[2].ask(READING, X_API_Key="any")).status == 202


class TestUnderPressure:
    async def test_more_requests_than_there_are_places(self) -> None:
        async with running(max_requests=1, retry_after_seconds=7) as hub:
            hub.intake.holds = True
            first, second = await hub.connect(), await hub.connect()
            first.post(READING)
            await until(lambda: hub.intake.queued == 1)
            reply = await second.ask(READING)
            assert (reply.status, reply.kind, reply.headers["retry-after"]) == (503, "overloaded", "7")
            hub.intake.holds = False
            assert (await first.read()).status == 202
            assert (await second.ask(READING)).status == 202

    async def test_more_bodies_than_memory(self) -> None:
        size = 1024 * 1024
        async with running(max_buffered_bytes=size, max_body_bytes=size) as hub:
            slow, quick = await hub.connect(), await hub.connect()
            slow.say(b"POST /v1/telemetry HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n", b"1" * 900_000)
            await slow.writer.drain()
            async with asyncio.timeout(10):
                while (reply := await quick.ask(b"1" * 200_000)).status != 503:
                    await asyncio.sleep(0.01)
            assert reply.kind == "overloaded"
            # Whoever goes gives back what it held
            slow.writer.close()
            again = await hub.connect()
            async with asyncio.timeout(10):
                while (await again.ask(b"1" * 200_000)).status != 202:
                    again = await hub.connect()

    async def test_a_full_queue_in_the_middle_of_a_batch(self) -> None:
        async with running() as hub:
            hub.intake.room = 2
            reply = await (await hub.connect()).ask(b"[1, 2, 3, 4]")
            assert (reply.status, reply.kind, reply.headers["retry-after"]) == (503, "queue-full", "5")
            assert reply.json["accepted"] == 2
            assert [item["index"] for item in reply.json["refused"]] == [2, 3]
            assert hub.intake.values == [b"1", b"2"]

    async def test_nothing_is_sent_behind_what_found_no_room(self) -> None:
        async with running() as hub:
            hub.intake.room = 0
            device = await hub.connect()
            assert (await device.ask(b"[1, 2]")).json["accepted"] == 0
            assert hub.intake.values == []

    async def test_what_kafka_refuses(self) -> None:
        async with running() as hub:
            hub.intake.refusal = DeliveryError("no", code="TOPIC_AUTHORIZATION_FAILED")
            device = await hub.connect()
            reply = await device.ask(READING)
            assert (reply.status, reply.kind, reply.headers["retry-after"]) == (503, "kafka-refuses", "5")
            assert "TOPIC_AUTHORIZATION_FAILED" in reply.json["detail"]
            hub.intake.refusal = DeliveryError("no", code="MSG_SIZE_TOO_LARGE")
            reply = await device.ask(READING)
            assert (reply.status, reply.kind) == (413, "message-too-large")
            assert "retry-after" not in reply.headers

    async def test_kafka_does_not_answer_in_time(self) -> None:
        async with running(ack_timeout_seconds=0.2) as hub:
            hub.intake.holds = True
            device = await hub.connect()
            reply = await device.ask(b"[1, 2]")
            assert (reply.status, reply.kind, reply.headers["retry-after"]) == (503, "kafka-away", "5")
            assert reply.json["accepted"] == 0
            # And answers later: nobody is told anything more
            hub.intake.release()
            hub.intake.holds = False
            assert (await device.ask(READING)).json == {"accepted": 1}


async def test_a_fault_of_ours_is_500_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("bug")

    async with running() as hub:
        device = await hub.connect()
        with monkeypatch.context() as patch:
            patch.setattr(hub.intake, "submit_all", fail)
            assert (await device.ask(READING)).kind == "internal-error"
        assert (await device.ask(READING)).status == 202


async def test_a_device_that_goes_leaves_its_place() -> None:
    async with running(max_requests=1) as hub:
        for _ in range(3):
            device = await hub.connect()
            device.say(b"POST /v1/telemetry HTTP/1.1\r\nContent-Length: 10\r\n\r\n123")
            await device.writer.drain()
            device.writer.close()
        device = await hub.connect()
        async with asyncio.timeout(10):
            while (await device.ask(READING)).status != 202:
                await asyncio.sleep(0.01)
        assert hub.intake.values == [READING]
