"""The words between a consumer and a handler."""

from __future__ import annotations

from typing import Any

import pytest

import consumers
from consumers import Outgoing, Record, Reject, RetryLater
from telemetry.dead_letters import Stage

RECORD = Record(
    {"a": 1}, b"key", [("id", b"1"), ("id", b"2"), ("bad", b"\xff")], "telemetry.raw", 3, 12, 1_771_627_500_000
)


def test_a_handler_finds_what_it_needs_in_one_place() -> None:
    assert set(consumers.__all__) == {"Record", "Outgoing", "Reject", "RetryLater"}


class TestRecord:
    def test_it_has_what_kafka_knows(self) -> None:
        assert RECORD._fields == ("value", "key", "headers", "topic", "partition", "offset", "timestamp")

    def test_a_header_is_text_the_last_of_its_name(self) -> None:
        assert (RECORD.header("id"), RECORD.header("bad"), RECORD.header("none")) == ("2", "�", None)


class TestOutgoing:
    def test_a_value_alone_is_enough(self) -> None:
        assert Outgoing(value=b"1") == (None, b"1", None, ())


class TestReject:
    def test_it_has_a_reason_a_sentence_and_a_place(self) -> None:
        reject = Reject("bad_ts", "'ts' is missing", index=3, stage="validate")
        assert (reject.reason, str(reject), reject.index, reject.stage) == ("bad_ts", "'ts' is missing", 3, "validate")

    def test_by_default_the_handler_failed_on_it_alone(self) -> None:
        reject = Reject("r", "m")
        assert (reject.index, reject.stage) == (None, "handle")

    @pytest.mark.parametrize("stage", ["ingest", "decode", "validate", "handle"])
    def test_every_stage_is_one(self, stage: Stage) -> None:
        assert Reject("r", "m", stage=stage).stage == stage

    @pytest.mark.parametrize(
        ("arguments", "error", "words"),
        [
            ((None, "m"), TypeError, "strings"),
            (("r", 5), TypeError, "strings"),
            ((b"r", "m"), TypeError, "strings"),
            (("r", "m", "1"), TypeError, "index.*'1'"),
            (("r", "m", 1.0), TypeError, r"index.*1\.0"),
            (("r", "m", True), TypeError, "index.*True"),
        ],
    )
    def test_what_makes_no_sense_fails_where_it_is_written(
        self, arguments: tuple[Any, ...], error: type[Exception], words: str
    ) -> None:
        with pytest.raises(error, match=words):
            Reject(*arguments)

    def test_another_stage_fails_too(self) -> None:
        with pytest.raises(ValueError, match="ingest, decode, validate, handle, not 'later'"):
            Reject("r", "m", stage="later")  # type: ignore[arg-type]


class TestRetryLater:
    def test_nothing_needs_to_be_said(self) -> None:
        assert (str(RetryLater()), RetryLater().after) == ("", None)

    @pytest.mark.parametrize("after", [0, 0.5, 86_400])
    def test_it_may_say_for_how_long(self, after: float) -> None:
        later = RetryLater("the database is away", after=after)
        assert (str(later), later.after) == ("the database is away", after)

    @pytest.mark.parametrize("after", [-1, -0.001, 86_401, float("inf"), float("nan")])
    def test_a_time_that_never_comes_fails_where_it_is_written(self, after: float) -> None:
        with pytest.raises(ValueError, match=r"after is a number of seconds from 0 to 86400, not (-|8|i|n)"):
            RetryLater("x", after=after)

    def test_what_is_no_number_fails_there_too(self) -> None:
        with pytest.raises(TypeError):
            RetryLater("x", after="5")  # type: ignore[arg-type]
