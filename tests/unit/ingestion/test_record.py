"""From an MQTT message to the raw record: its bytes as they came, and headers that say where from."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.record import DeviceTemplate, MqttRecords, PropertyBounds, RawRecord, at, build_mqtt_record

AT = datetime(2026, 2, 20, 23, 45, 0, 250_000, tzinfo=timezone(timedelta(hours=1)))
READING = b'{"schema_version":1,"device":"DEV-01","metrics":{"temperature":20},"ts":"2026-02-20 22:45"}'
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def build(topic: str = "telemetry/DEV-01", payload: bytes = READING, **changes: Any) -> RawRecord:
    given_arguments: dict[str, Any] = {
        "device": "DEV-01",
        "user_properties": (),
        "content_type": None,
        "received_at": AT,
    }
    return build_mqtt_record(topic, payload, **(given_arguments | changes))


def header(record: RawRecord, name: str) -> bytes | None:
    [value] = [value for found, value in record.headers if found == name] or [None]
    return value


class TestDeviceTemplate:
    @pytest.mark.parametrize(
        ("template", "topic", "device"),
        [
            ("telemetry/{device}", "telemetry/DEV-01", "DEV-01"),
            ("telemetry/{device}", "telemetry/DEV 01.ä", "DEV 01.ä"),
            ("telemetry/{device}", "telemetry/a\u200bb", "a\u200bb"),
            ("telemetry/{device}", "telemetry/", None),
            ("telemetry/{device}", "telemetry", None),
            ("telemetry/{device}", "telemetry/a/b", None),
            ("telemetry/{device}", "x/telemetry/a", None),
            ("telemetry/{device}", "Telemetry/a", None),
            ("telemetry/{device}", "telemetry/a\nb", None),
            ("telemetry/{device}", "telemetry/" + "d" * 128, "d" * 128),
            ("telemetry/{device}", "telemetry/" + "d" * 129, None),
            ("{device}", "DEV-01", "DEV-01"),
            ("{device}/up", "DEV-01/up", "DEV-01"),
            ("{device}/up", "DEV-01/down", None),
            ("+/devices/{device}/#", "site/devices/D/state/temp", "D"),
            ("+/devices/{device}/#", "site/devices/D", "D"),
            ("+/devices/{device}/#", "site/devices/D/", "D"),
            ("+/devices/{device}/#", "/devices/D/x", "D"),
            ("+/devices/{device}/#", "a/b/devices/D", None),
            ("{device}/#", "D/a\nb", "D"),
            ("a.b/{device}", "a.b/D", "D"),
            ("a.b/{device}", "aXb/D", None),
            ("(x)*/{device}", "(x)*/D", "D"),
            ("(x)*/{device}", "xx/D", None),
        ],
    )
    def test_the_device_is_the_level_that_the_template_names(
        self, template: str, topic: str, device: str | None
    ) -> None:
        assert DeviceTemplate(template).find(topic) == device


class TestRecord:
    def test_it_says_where_the_message_came_from(self) -> None:
        # When
        record = build(content_type="application/json", user_properties=[("id", "m-1"), ("traceparent", TRACE)])
        # Then
        assert record == RawRecord(
            "DEV-01",
            READING,
            [
                ("id", b"m-1"),
                ("source", b"mqtt"),
                ("received_at", b"2026-02-20T22:45:00.250000Z"),
                ("mqtt_topic", b"telemetry/DEV-01"),
                ("device", b"DEV-01"),
                ("traceparent", TRACE.encode()),
                ("content_type", b"application/json"),
            ],
        )

    def test_what_nobody_said_is_no_header(self) -> None:
        names = [name for name, _ in build(device=None).headers]
        assert names == ["id", "source", "received_at", "mqtt_topic"]

    @given(
        st.text(), st.binary(), st.lists(st.tuples(st.sampled_from(["id", "traceparent", "x"]), st.text())), st.text()
    )
    def test_any_message_becomes_a_record_with_its_bytes_untouched(
        self, topic: str, payload: bytes, properties: list[tuple[str, str]], content_type: str
    ) -> None:
        record = build(topic, payload, device=None, user_properties=properties, content_type=content_type)
        assert record.value == payload
        assert len({name for name, _ in record.headers}) == len(record.headers)
        assert all(isinstance(value, bytes) and len(value) <= 4 * max(128, len(topic)) for _, value in record.headers)


class TestId:
    def test_it_is_the_senders_where_it_has_one(self) -> None:
        assert header(build(user_properties=[("x", "1"), ("id", "m-1"), ("ID", "2")]), "id") == b"m-1"

    def test_of_several_the_last_counts(self) -> None:
        assert header(build(user_properties=[("id", "m-1"), ("id", "m-2")]), "id") == b"m-2"

    def test_else_it_is_made_of_topic_and_payload(self) -> None:
        expected = hashlib.sha256(b"telemetry/DEV-01\0" + READING).hexdigest()[:32].encode()
        assert header(build(), "id") == expected

    @pytest.mark.parametrize("bad", ["", "x" * 129, "a\nb", "\x00", "\ud800"], ids=ascii)
    def test_one_that_makes_no_sense_is_as_none(self, bad: str) -> None:
        assert header(build(user_properties=[("id", bad)]), "id") == header(build(), "id")

    def test_the_longest_one_allowed_is_kept_whole(self) -> None:
        assert header(build(user_properties=[("id", "ä" * 128)]), "id") == ("ä" * 128).encode()

    def test_a_redelivery_has_the_same_whenever_it_comes(self) -> None:
        again = build(received_at=AT + timedelta(hours=3))
        assert header(again, "id") == header(build(), "id")
        assert header(again, "received_at") != header(build(), "received_at")

    @pytest.mark.parametrize("other", [{"topic": "telemetry/DEV-02"}, {"payload": READING + b" "}], ids=str)
    def test_another_topic_or_payload_has_another(self, other: dict[str, Any]) -> None:
        assert header(build(**other), "id") != header(build(), "id")


class TestKey:
    def test_it_is_the_device_of_the_topic_whatever_the_payload_claims(self) -> None:
        record = build(device="DEV-02")
        assert (record.key, header(record, "device")) == ("DEV-02", b"DEV-02")

    def test_else_the_one_that_the_payload_claims_but_that_is_no_header(self) -> None:
        record = build(device=None)
        assert (record.key, header(record, "device")) == ("DEV-01", None)

    def test_where_nobody_tells_there_is_none(self) -> None:
        assert build(payload=b"temperature=20", device=None).key is None


class TestOtherHeaders:
    def test_the_moment_is_utc(self) -> None:
        record = build(received_at=datetime(2026, 2, 20, 22, 45, tzinfo=UTC))
        assert header(record, "received_at") == b"2026-02-20T22:45:00Z"

    @pytest.mark.parametrize("content_type", [None, ""])
    def test_an_empty_content_type_is_none(self, content_type: str | None) -> None:
        assert header(build(content_type=content_type), "content_type") is None

    def test_a_long_content_type_is_cut(self) -> None:
        assert header(build(content_type="x" * 1000), "content_type") == b"x" * 128

    @pytest.mark.parametrize("trace", [TRACE, TRACE.replace("00-", "01-", 1) + "-future"])
    def test_a_traceparent_is_passed_on(self, trace: str) -> None:
        assert header(build(user_properties=[("traceparent", trace)]), "traceparent") == trace.encode()

    @pytest.mark.parametrize(
        "trace",
        ["", "00", TRACE.upper(), TRACE[:-1], TRACE + "x", TRACE + "-" + "x" * 65, TRACE + "\n", "\ud800"],
        ids=ascii,
    )
    def test_what_is_none_is_not(self, trace: str) -> None:
        assert header(build(user_properties=[("traceparent", trace)]), "traceparent") is None


class TestUserProperties:
    BOUNDS = PropertyBounds(number=3, size=20)

    def others(self, *properties: tuple[str, str]) -> list[tuple[str, bytes | None]]:
        return build(device=None, user_properties=properties, bounds=self.BOUNDS).headers[4:]

    def test_they_become_headers_of_the_same_name_in_their_order(self) -> None:
        assert self.others(("a", "1"), ("b", "ä"), ("a", "2")) == [("a", b"1"), ("b", "ä".encode()), ("a", b"2")]

    def test_of_too_many_the_first_ones_do(self) -> None:
        assert self.others(*((name, "") for name in "abcdef")) == [("a", b""), ("b", b""), ("c", b"")]

    def test_none_behind_the_one_that_is_too_much_does(self) -> None:
        assert self.others(("a", "1" * 18), ("b", "22"), ("c", "")) == [("a", b"1" * 18)]
        assert self.others(("a", "1" * 19)) == [("a", b"1" * 19)]
        assert self.others(("a", "1" * 20)) == []

    def test_id_and_trace_do_not_count(self) -> None:
        found = self.others(("id", "x" * 128), ("traceparent", TRACE), ("a", "1"), ("b", "2"), ("c", "3"))
        assert found == [("traceparent", TRACE.encode()), ("a", b"1"), ("b", b"2"), ("c", b"3")]

    @pytest.mark.parametrize(
        "name",
        [
            *("source", "device", "mqtt_topic", "received_at", "content_type", "mqtt_retained", "raw_topic"),
            *("replay.group", "replay.x", "dlq.reason", "dlq.x", "__connect.errors.topic", "__connect.x"),
            *("", "a\0b", "\ud800"),
        ],
        ids=ascii,
    )
    def test_a_device_can_t_write_what_is_the_hubs(self, name: str) -> None:
        assert self.others((name, "forged"), ("a", "1")) == [("a", b"1")]


class TestManyMessages:
    def records(self, *templates: str) -> MqttRecords:
        return MqttRecords([DeviceTemplate(template) for template in templates], PropertyBounds(3, 20))

    def test_a_record_is_what_it_is_for_a_single_message(self) -> None:
        records = self.records("telemetry/{device}")
        properties = [("id", "m-1"), ("a", "1")]
        for _ in range(2):  # the second time the topic is known
            found = records.build(
                b"telemetry/DEV-01",
                READING,
                received_at=at(AT),
                user_properties=properties,
                content_type="text/plain",
            )
            assert found == build(user_properties=properties, content_type="text/plain", bounds=PropertyBounds(3, 20))
        assert records.build(b"telemetry/DEV-01", READING, received_at=at(AT)) == build()

    def test_of_several_templates_the_first_that_names_a_device_counts(self) -> None:
        records = self.records("{device}/up", "site/{device}", "+/{device}/#")
        keys = [
            records.build(topic, READING, received_at=at(AT)).key
            for topic in (b"site/up", b"site/x", b"a/b/c", b"lone")
        ]
        assert keys == ["site", "x", "b", "DEV-01"]

    def test_a_retained_message_is_marked(self) -> None:
        headers = self.records("telemetry/{device}").build(b"t", b"1", received_at=at(AT), retained=True).headers
        assert ("mqtt_retained", b"true") in headers

    def test_a_topic_that_is_no_utf_8_is_taken_all_the_same(self) -> None:
        found = self.records("telemetry/{device}").build(b"telemetry/\xff", b"1", received_at=at(AT))
        assert found.key == "\ufffd"
        assert ("mqtt_topic", "telemetry/\ufffd".encode()) in found.headers

    def test_more_topics_than_are_remembered_are_no_matter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ingestion.record._MOST_TOPICS", 3)
        records = self.records("telemetry/{device}")
        for number in [*range(10), 0, 9]:
            assert records.build(f"telemetry/{number}".encode(), b"1", received_at=at(AT)).key == f"{number}"
        assert len(records._origins) <= 3
