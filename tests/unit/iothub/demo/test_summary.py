"""The verdict at a demonstration's end."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from io import StringIO
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from iothub.demo.summary import DemoSummary, render_summary
from iothub.demo.tally import Totals
from iothub.devices.counts import Counts

GOOD = DemoSummary(
    counts=Counts(sent=3_000, acknowledged=3_000, damaged=Counter(nan=40, no_ts=20)),
    totals=Totals(
        sent=3_000,
        acknowledged=3_000,
        raw=3_000,
        clean=2_940,
        dead=60,
        reasons={"not_json": 40, "missing_field": 20},
    ),
    lost_ids=(),
    first_reading_seconds=2.34,
    seconds=60.0,
    age=68.0,
    places=(("Kafka", "Apache Kafka 4.3.1 at 127.0.0.1:9092"),),
    notes=(),
    kept=None,
)


def lose(number: int) -> DemoSummary:
    return replace(GOOD, totals=replace(GOOD.totals, clean=2_940 - number, awaited=number), lost_ids=("ab" * 16,))


def show(summary: DemoSummary) -> str:
    console = Console(file=StringIO(), width=100, color_system=None)
    with console.capture() as captured:
        console.print(render_summary(summary))
    return captured.get()


class TestVerdict:
    def test_all_arrived(self) -> None:
        assert GOOD.is_good
        text = show(GOOD)
        assert text.startswith("All 3,000 acknowledged messages arrived: 0 lost.")
        for wanted in ("not_json 40, missing_field 20", "2,940", "came 2.3 s after the command was typed", "iothub up"):
            assert wanted in text

    def test_what_to_type_next_is_what_can_be_typed_here(self) -> None:
        console = Console(file=StringIO(), width=100, color_system=None)
        with console.capture() as captured:
            console.print(render_summary(GOOD, program=".venv/bin/iothub", cluster="--context kind-iot-hub"))
        text = captured.get()
        assert "  .venv/bin/iothub tail telemetry.clean --context kind-iot-hub " in text
        assert "iothub up" not in text, "a cluster's hub is there already"

    def test_one_is_lost(self) -> None:
        assert not lose(1).is_good
        assert show(lose(1)).startswith("1 of 3,000 acknowledged messages are lost.")
        assert "ab" * 16 in show(lose(1))

    def test_nothing_was_acknowledged(self) -> None:
        nothing = replace(GOOD, counts=Counts(), totals=Totals(), first_reading_seconds=None)
        assert not nothing.is_good
        assert show(nothing).startswith("Nothing was acknowledged.")
        assert "The first reading never came." in show(nothing)

    def test_one_came_out_where_it_should_not(self) -> None:
        totals = replace(GOOD.totals, misjudged=1, misjudgements=("x (nan) is clean",))
        misjudged = replace(GOOD, totals=totals)
        assert not misjudged.is_good
        assert "1 messages came out where they should not" in show(misjudged)
        assert "x (nan) is clean" in show(misjudged)

    def test_what_the_broker_refused_or_left_unanswered_is_shown_and_is_no_loss(self) -> None:
        counts = Counts(sent=3_010, acknowledged=3_000, refused=4)
        partly = replace(GOOD, counts=counts)
        assert partly.is_good
        assert "not acknowledged" in show(partly)
        assert "4 refused" in show(partly)


class TestDocument:
    def test_holds_every_number(self) -> None:
        document = orjson.loads(orjson.dumps(GOOD.to_document()))
        assert document["sent"] == document["acknowledged"] == 3_000
        assert document["clean"] + document["dead_lettered"] == 3_000
        assert document["reasons"] == {"not_json": 40, "missing_field": 20}
        assert document["damaged"] == {"nan": 40, "no_ts": 20}
        assert (document["lost"], document["duplicates"], document["misjudged"]) == (0, 0, 0)
        assert document["first_reading_seconds"] == 2.34

    @pytest.mark.parametrize("lost", [1, 17])
    def test_tells_what_is_lost(self, lost: int) -> None:
        document = lose(lost).to_document()
        assert document["lost"] == lost
        assert document["lost_ids"] == ["ab" * 16]


def test_a_kept_hub_is_told_with_its_folder() -> None:
    kept = replace(GOOD, kept=Path("/state/iot-hub/demo"))
    assert kept.to_document()["kept"] == "/state/iot-hub/demo"
    assert "iothub up --name demo" in show(kept)
