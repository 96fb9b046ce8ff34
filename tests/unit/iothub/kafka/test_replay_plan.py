"""What becomes of a dead letter that is to be replayed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iothub.kafka.letters import Letter
from iothub.kafka.marks import Mark, Marks, build_mark, name_marks_topic, parse_mark
from iothub.kafka.replay_plan import LeftOut, Replay, ReplayRules, Route, Why, build_plan, plan_replay
from telemetry.dead_letters import OWN_HEADERS, Stage
from telemetry.headers import REPLAY_HEADERS
from unit.iothub.kafka.making import AT, AT_MS, Header, make_letter, make_record

names = st.sampled_from(["id", "device", "traceparent", "x", *sorted(OWN_HEADERS), *sorted(REPLAY_HEADERS)])
header_lists = st.lists(st.tuples(names, st.none() | st.binary(max_size=5)), max_size=8)


def plan(letter: Letter, *, replayed: int = 0, **rules: Any) -> Replay | LeftOut:
    return plan_replay(letter, ReplayRules({"telemetry.raw"}, **rules), replayed=replayed)


@pytest.mark.parametrize("stage", ["decode", "validate", "handle"])
def test_it_goes_back_for_the_group_that_it_failed_in(stage: Stage) -> None:
    """The other groups of the topic have handled it long since."""
    decision = plan(make_letter(stage=stage, consumer="alarm"))
    assert isinstance(decision, Replay)
    assert (decision.topic, decision.group, decision.attempt) == ("telemetry.raw", "alarm", 1)
    assert decision.headers == [
        ("id", b"7"),
        ("device", b"DEV-01"),
        ("replay.of", b"2:11"),
        ("replay.attempt", b"1"),
        ("replay.group", b"alarm"),
    ]


def test_for_all_groups_where_that_is_asked() -> None:
    decision = plan(make_letter(), all_groups=True)
    assert isinstance(decision, Replay)
    assert decision.group is None
    assert "replay.group" not in dict(decision.headers)


@given(header_lists)
def test_the_inputs_headers_come_back_and_nothing_of_its_death(headers: list[Header]) -> None:
    decision = plan(make_letter(headers=tuple(headers)), max_attempts=10**6)
    assert isinstance(decision, Replay)
    ours = OWN_HEADERS | REPLAY_HEADERS
    assert [header for header in decision.headers if header[0] not in ours] == [
        header for header in headers if header[0] not in ours
    ]
    assert sorted(name for name, _ in decision.headers if name in ours) == sorted(REPLAY_HEADERS)


def test_one_that_dies_again_carries_its_count_so_that_no_loop_is_endless() -> None:
    # Given a message that is replayed and dies each time
    letter, attempts = make_letter(), []
    while isinstance(decision := plan(letter), Replay):
        attempts.append(decision.attempt)
        letter = make_letter(headers=tuple(decision.headers))
    # Then
    assert attempts == [1, 2, 3]
    assert decision.why is Why.ATTEMPTS


@pytest.mark.parametrize(
    ("letter", "why"),
    [
        (make_letter(topic=None, stage="ingest", reason="too_large"), Why.NO_TOPIC),
        (make_letter(bytes(100_000), max_bytes=70_000), Why.TRUNCATED),
        (make_letter(topic="telemetry.old"), Why.TOPIC_GONE),
    ],
)
def test_what_cannot_go_back_is_left_out(letter: Letter, why: Why) -> None:
    decision = plan(letter)
    assert isinstance(decision, LeftOut)
    assert decision.why is why
    assert decision.sentence


def test_what_was_replayed_is_left_out_until_it_is_asked_for_again() -> None:
    once = plan(make_letter(), replayed=1)
    assert isinstance(once, LeftOut)
    assert once.why is Why.REPLAYED
    again = plan(make_letter(), replayed=1, again=True)
    assert isinstance(again, Replay)
    assert again.attempt == 2
    last = plan(make_letter(), replayed=3, again=True)
    assert isinstance(last, LeftOut)
    assert last.why is Why.ATTEMPTS


def test_a_letter_without_a_consumer_is_for_every_group() -> None:
    decision = plan(Letter(make_record(headers=(("__connect.errors.topic", b"telemetry.raw"),))))
    assert isinstance(decision, Replay)
    assert decision.group is None


def test_a_plan_counts_what_goes_where() -> None:
    decisions = [
        plan(make_letter(offset=1)),
        plan(make_letter(offset=2)),
        plan(make_letter(offset=3, consumer="alarm")),
        plan(make_letter(offset=4), replayed=1),
    ]
    made = build_plan(decisions)
    route = Route("bad_ts", "telemetry.raw", "validators")
    assert made.routes == {route: 2, Route("bad_ts", "telemetry.raw", "alarm"): 1}
    assert made.left_out == {Why.REPLAYED: 1}
    assert made.places == {(2, 1), (2, 2), (2, 3)}
    assert (made.examples[route], made.examples[Why.REPLAYED]) == ((2, 1), (2, 4))


def test_a_mark_is_read_as_it_was_written() -> None:
    letter = make_letter()
    key, value = build_mark(letter, topic="telemetry.raw", attempt=2, at=AT)
    assert key == b"2:11"
    parsed = parse_mark(make_record(value, key=key))
    mark = Mark(attempt=2, at="2026-02-20T22:45:00Z", timestamp=AT_MS, topic="telemetry.raw")
    assert parsed == ((2, 11), mark)
    assert Marks({(2, 11): mark}).count_replays(letter) == 2


def test_the_mark_of_a_letter_that_lay_there_before_does_not_hide_a_new_one() -> None:
    """Where the dead-letter topic was deleted and made anew, its offsets begin again."""
    mark = Mark(attempt=1, at="2026-02-20T22:45:00Z", timestamp=AT_MS - 1, topic="telemetry.raw")
    marks = Marks({(2, 11): mark})
    assert marks.find(make_letter()) is None
    assert marks.count_replays(make_letter()) == 0


@pytest.mark.parametrize(
    ("key", "value", "parsed"),
    [
        (b"2:11", None, ((2, 11), None)),
        (b"2:11", b"{}", None),
        (b"2:11", b"\xff", None),
        (b"else", b"{}", None),
        (b"\xff", None, None),
        (None, None, None),
    ],
)
def test_what_is_no_mark_is_passed_over(key: bytes | None, value: bytes | None, parsed: object) -> None:
    assert parse_mark(make_record(value, key=key)) == parsed


def test_marks_lie_beside_the_dead_letters() -> None:
    assert name_marks_topic("telemetry.dlq") == "telemetry.dlq.replayed"
