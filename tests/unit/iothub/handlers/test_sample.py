"""What a trial tells of a handler, held to what a worker does with the same messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from consumers import Outgoing, Record, Reject, RetryLater
from consumers.settings import WorkerSettings
from iothub.handlers.results import SampleReport
from iothub.handlers.sample import run_sample
from iothub.handlers.showing import build_lines
from iothub.handlers.trial import WireRecord

GROUP = "g"


def record(offset: int, value: bytes | None = b'{"n": 1}', *, partition: int = 0, **headers: str) -> Record:
    return Record(value, b"k", [(name, text.encode()) for name, text in headers.items()], "t", partition, offset, 0)


def replay(offset: int, group: str) -> Record:
    return record(offset)._replace(headers=[("replay.group", group.encode())])


def run(handler: Any, *records: Record, **settings: Any) -> SampleReport:
    given = {"topics": "t", "handler": "x", "max_attempts": 3, "dlq_topic": "t.dlq", **settings}
    return run_sample(handler, WorkerSettings(**given), GROUP, records)


class Handler:
    def __init__(self, handle: Any, **attributes: Any) -> None:
        self.handle = handle
        self.__dict__.update(attributes)


def test_what_it_handles_is_counted_batch_by_batch() -> None:
    calls: list[Any] = []
    report = run(Handler(calls.append), *(record(n) for n in range(5)), batch_max_size=2)
    assert (report.messages, report.handled, report.calls) == (5, 5, 3)
    assert calls == [[{"n": 1}, {"n": 1}], [{"n": 1}, {"n": 1}], [{"n": 1}]]
    assert report.seconds > 0


def test_one_at_a_time_it_gets_single_messages() -> None:
    calls: list[Any] = []
    report = run(Handler(calls.append), record(0), record(1), batch=False)
    assert (report.handled, calls) == (2, [{"n": 1}, {"n": 1}])


def test_what_is_no_json_never_reaches_it() -> None:
    calls: list[Any] = []
    report = run(Handler(calls.append), record(0, b"{"), record(1))
    assert calls == [[{"n": 1}]]
    (letter,) = report.dead_letters
    assert (letter.reason, letter.stage, letter.raised, str(letter.place)) == (
        "not_json",
        "decode",
        None,
        "t[0] offset 0",
    )


@pytest.mark.parametrize(("settings", "wants"), [({"decode_json": False}, {}), ({}, {"wants_bytes": True})])
def test_it_gets_bytes_where_it_is_to(settings: dict[str, Any], wants: dict[str, bool]) -> None:
    calls: list[Any] = []
    run(Handler(calls.append, **wants), record(0, b"{"), **settings)
    assert calls == [[b"{"]]


def test_it_gets_records_where_it_wants_them() -> None:
    calls: list[list[Record]] = []
    run(Handler(calls.append, wants_records=True), record(7, id="x"))
    assert (calls[0][0].offset, calls[0][0].value, calls[0][0].header("id")) == (7, {"n": 1}, "x")


def test_a_replay_for_another_group_is_skipped() -> None:
    calls: list[Any] = []
    report = run(Handler(calls.append), replay(0, "other"), replay(1, GROUP))
    assert (report.skipped, report.handled, len(calls[0])) == (1, 1, 1)


def test_what_it_produces_is_told_with_its_topic() -> None:
    def handle(batch: list[Any]) -> Iterator[Outgoing]:
        for n, _ in enumerate(batch):
            yield Outgoing("own" if n else None, {"n": n}, f"k{n}")

    report = run(Handler(handle), *(record(n) for n in range(7)), output_topic="out")
    assert report.produced == {"out": 1, "own": 6}
    assert len(report.first_produced) == 5
    assert report.first_produced[1].model_dump() == {"topic": "own", "key": "k1", "value": '{"n":1}'}
    assert report.homeless == 0


def test_what_has_nowhere_to_go_is_told() -> None:
    report = run(Handler(lambda batch: Outgoing(value=b"x")), record(0))
    assert (report.homeless, report.produced) == (1, {})
    assert any("the worker would stop" in line for line in build_lines("a", report, dead_letter_topic="d"))


def test_what_it_rejects_is_a_dead_letter_and_no_failure() -> None:
    report = run(Handler(lambda batch: [Reject("bad", "too warm", 1)]), record(0), record(1))
    (letter,) = report.dead_letters
    assert (letter.reason, letter.message, letter.place.offset, letter.attempts) == ("bad", "too warm", 1, 1)
    assert (report.handled, report.failures) == (1, [])


def test_a_message_that_it_fails_on_is_found_in_its_batch_and_tried_as_often_as_a_worker_would() -> None:
    calls: list[list[Any]] = []

    def handle(batch: list[Any]) -> None:
        calls.append(batch)
        for message in batch:
            message["value"]

    good = b'{"value": 1}'
    report = run(Handler(handle), record(0, good), record(1), record(2, good), record(3, good, partition=1))
    (letter,) = report.failures
    assert (report.handled, letter.place.offset, letter.attempts, letter.reason) == (3, 1, 3, "handler_failed")
    assert letter.raised is not None
    assert letter.raised.startswith("KeyError: 'value' (")
    assert "test_sample.py, line " in letter.raised
    assert report.held_back == 0


def test_what_failed_once_is_handed_over_alone_from_then_on() -> None:
    sizes: list[int] = []

    def handle(batch: list[Any]) -> None:
        sizes.append(len(batch))
        raise ValueError

    report = run(Handler(handle), record(0), record(0, partition=1), max_attempts=2)
    assert (sizes, len(report.failures)) == ([2, 1, 1, 1, 1], 2)


def test_a_generator_that_fails_is_seen_too() -> None:
    def handle(batch: list[Any]) -> Iterator[Outgoing]:
        yield Outgoing("a", b"")
        raise ValueError("half way")

    report = run(Handler(handle), record(0), max_attempts=1)
    assert report.failures[0].raised is not None
    assert report.failures[0].raised.startswith("ValueError: half way (")
    assert "test_sample.py, line " in report.failures[0].raised
    assert report.produced == {}


def test_a_handler_that_gives_back_what_it_must_not_is_told() -> None:
    report = run(Handler(lambda batch: 5), record(0), max_attempts=1)
    (letter,) = report.dead_letters
    assert letter.message == "TypeError: handle() returns nothing, Outgoing, Reject, or several of these, not int"
    assert report.failures == [letter]


def test_a_handler_that_ends_its_process_by_sys_exit_is_told() -> None:
    def handle(batch: list[Any]) -> None:
        raise SystemExit(3)

    (letter,) = run(Handler(handle), record(0), max_attempts=1).failures
    assert "sys.exit(3)" in letter.message


def test_what_waits_for_something_outside_is_not_tried_again() -> None:
    calls: list[Any] = []

    def handle(message: Any) -> None:
        calls.append(message)
        if message["n"] == 2:
            raise RetryLater("the database is away", after=5)
        if message["n"] == 3:
            raise ConnectionError("refused")

    values = [b'{"n": %d}' % n for n in (1, 2, 1, 1)]
    report = run(
        Handler(handle),
        *(record(n, value) for n, value in enumerate(values)),
        record(0, b'{"n": 3}', partition=1),
        record(0, partition=2),
        batch=False,
    )
    assert [(retry.place.partition, retry.message) for retry in report.retries] == [
        (0, "the database is away (after 5 s)"),
        (1, "ConnectionError: refused"),
    ]
    assert (report.handled, report.held_back, len(calls)) == (2, 2, 4)


def test_a_batch_that_waits_waits_as_a_whole() -> None:
    def handle(batch: list[Any]) -> None:
        raise RetryLater

    report = run(Handler(handle), record(0), record(1))
    assert (len(report.retries), report.held_back, report.handled) == (2, 0, 0)
    assert report.retries[0].message == "the handler asked for later"


def test_behind_what_waits_nothing_of_its_partition_is_handed_over() -> None:
    calls: list[Any] = []

    def handle(batch: list[Any]) -> None:
        calls.append(batch)
        raise TimeoutError

    report = run(Handler(handle), *(record(n) for n in range(5)), batch_max_size=2)
    assert (len(calls), len(report.retries), report.held_back) == (1, 2, 3)


def test_the_lines_tell_all_of_it() -> None:
    def handle(message: Any) -> Outgoing:
        if message["n"] == 2:
            raise ValueError("two")
        return Outgoing(None, message, "key")

    report = run(
        Handler(handle),
        record(0),
        record(1, b'{"n": 2}'),
        record(2, b"no"),
        batch=False,
        output_topic="out",
    )
    lines = build_lines("alarm", report, dead_letter_topic="t.dlq")
    assert lines[:5] == [
        "alarm: 3 messages, nothing committed, nothing produced",
        "  handled            1",
        "  would be produced  1 (1 to out)",
        '    out ← key: {"n":1}',
        "  dead letters       2 (to t.dlq)",
    ]
    assert lines[5].startswith("    t[0] offset 1: handler_failed (handle, 3 attempts): ValueError: two (")
    assert lines[6] == "    t[0] offset 2: not_json (decode): " + report.dead_letters[1].message
    assert lines[7] == "  would be retried   0"
    assert lines[8].endswith("ms a message, 4 calls of the handler")


def test_without_a_dead_letter_topic_the_worker_would_stop() -> None:
    report = run(Handler(lambda batch: None), record(0, b"no"), dlq_topic=None)
    assert "  dead letters       1 (none is set: the worker would stop)" in build_lines(
        "a", report, dead_letter_topic=None
    )


def test_a_record_survives_the_way_to_the_trial() -> None:
    for sent in (record(3, b"\x00\xff", id="é"), record(4, None)._replace(key=None, headers=[("a", None)])):
        assert WireRecord.model_validate_json(WireRecord.pack(sent).model_dump_json()).unpack() == sent
