"""What is shown of topics, groups, lag and dead letters."""

from __future__ import annotations

import io

import orjson
import pytest
from rich.console import Console, RenderableType

from iothub.kafka.facts import GroupFacts, GroupLag, Member, PartitionFacts, PartitionLag, TopicFacts
from iothub.kafka.letter_views import (
    build_letter_document,
    build_letter_view,
    build_plan_document,
    build_plan_view,
    build_result_document,
    build_result_lines,
    build_trouble_sentence,
    format_decision,
)
from iothub.kafka.letters import Letter
from iothub.kafka.marks import Mark
from iothub.kafka.rates import LagRow
from iothub.kafka.replay import ReplayResult
from iothub.kafka.replay_plan import ReplayPlan, ReplayRules, build_plan, plan_replay
from iothub.kafka.views import (
    build_groups_document,
    build_groups_table,
    build_lag_document,
    build_lag_line,
    build_lag_table,
    build_members_table,
    build_partitions_table,
    build_places_table,
    build_topics_document,
    build_topics_table,
)
from unit.iothub.kafka.making import AT_MS, make_letter

RULES = ReplayRules({"telemetry.raw"})


def show(what: RenderableType) -> list[list[str]]:
    """Return the lines, each as its cells."""
    stream = io.StringIO()
    Console(file=stream, width=10_000, markup=False, emoji=False, highlight=False).print(what)
    return [[cell for cell in line.split("  ") if cell.strip()] for line in stream.getvalue().splitlines()]


def cells(what: RenderableType) -> list[list[str]]:
    return [[cell.strip() for cell in line] for line in show(what)]


def test_a_topic_that_can_tell_nothing_shows_dashes() -> None:
    known = TopicFacts("a", (PartitionFacts(0, 1, 3, 2, 5, 12),), 604_800_000, -1, "delete")
    unknown = TopicFacts("b", (PartitionFacts(0, None, 1, 0, None, None),))
    sized = TopicFacts("c", (), 3_600_000, 1_048_576, "delete")
    kept = TopicFacts("d", (), -1, -1, "compact")
    assert cells(build_topics_table([known, unknown, sized, kept]))[1:] == [
        ["a", "1", "3", "7", "7 d", "delete"],
        ["b", "1", "1", "-", "-", "-"],
        ["c", "0", "0", "0", "1 h, 1 MiB a partition", "delete"],
        ["d", "0", "0", "0", "newest a key", "compact"],
    ]
    assert cells(build_partitions_table([known, unknown]))[1:] == [
        ["a", "0", "1", "2/3", "5", "12", "7"],
        ["b", "0", "-", "0/1", "-", "-", "-"],
    ]
    orjson.dumps(build_topics_document([known, unknown]))


def test_a_group_its_members_and_its_places() -> None:
    progress = GroupLag("g", (PartitionLag("t", 0, 5, 0, 12), PartitionLag("t", 1, None, 0, 3)))
    members = (Member("one [bold]", "10.0.0.1", (("t", 0),)), Member("two", "10.0.0.2", ()))
    group = GroupFacts("g", "stable", "classic", members, progress)
    unknown = GroupFacts("h", None, None, None, GroupLag("h", ()))
    assert cells(build_groups_table([group, unknown]))[1:] == [
        ["g", "stable", "classic", "2", "t", "7"],
        ["h", "-", "-", "-", "-", "-"],
    ]
    assert cells(build_members_table([group]))[1:] == [
        ["g", "one [bold]", "10.0.0.1", "t[0]"],
        ["g", "two", "10.0.0.2", "none: a spare one"],
    ]
    assert cells(build_places_table([group]))[1:] == [
        ["g", "t", "0", "5", "12", "7", "one [bold]"],
        ["g", "t", "1", "-", "3", "-", "-"],
    ]
    documents = build_groups_document([group, unknown])
    assert documents[0]["partitions"][0]["client_id"] == "one [bold]"
    assert documents[1]["members"] is None
    orjson.dumps(documents)


def test_lag_for_people_and_for_programs() -> None:
    rows = [
        LagRow("g", "t", None, 1000, 100.0, 600.0),
        LagRow("g", "u", None, 5, 1.0, 0.0),
        LagRow("g", "v", None, None, None, None),
        LagRow("g", "w", None, 0, 0.0, 0.0),
    ]
    assert cells(build_lag_table(rows))[1:] == [
        ["g", "t", "1000", "100/s", "600/s", "2 s"],
        ["g", "u", "5", "1/s", "0/s", "never at this rate"],
        ["g", "v", "-", "-", "-", "-"],
        ["g", "w", "0", "0/s", "0/s", "0 s"],
    ]
    assert [(row["drain_seconds"], row["falls_behind"]) for row in build_lag_document(rows)] == [
        (2.0, False),
        (None, True),
        (None, False),
        (0.0, False),
    ]
    assert build_lag_line(rows[:1]) == "g t lag 1000, in 100/s, out 600/s, drained: 2 s"
    assert build_lag_line([]) == "no groups"
    assert "partition" not in build_lag_document(rows)[0]
    assert build_lag_document([LagRow("g", "t", 3, 1, 0.0, 0.0)])[0]["partition"] == 3


@pytest.mark.parametrize("value", [b'{"n":1}', b"\xff\x00\x1b[31m", None])
def test_whatever_a_dead_letter_holds_only_printable_characters_are_shown(value: bytes | None) -> None:
    letter = make_letter(value, headers=(("x\x1b", b"\x07"), ("id", b"\x1b]0;title\x07")), message="\x1b[2J")
    lines = show(build_letter_view(letter, None, plan_replay(letter, RULES), [], most_bytes=None))
    assert all("".join(line).isprintable() for line in lines)
    orjson.dumps(build_letter_document(letter, None, plan_replay(letter, RULES), [(0, 1)]))


def test_bytes_that_are_no_text_are_dumped() -> None:
    letter = make_letter(b"\xff\x00abc")
    view = show(build_letter_view(letter, None, plan_replay(letter, RULES), [], most_bytes=None))
    assert [cell.strip() for cell in view[-1]] == ["00000000", "ff 00 61 62 63", "..abc"]


def test_a_cut_value_says_so() -> None:
    letter = make_letter("ä".encode() * 100)
    view = show(build_letter_view(letter, None, plan_replay(letter, RULES), [], most_bytes=3))
    assert view[-2:] == [["value, 200 B, the first 3 B of it"], ["ä\\xc3"]]


def test_it_tells_what_a_replay_has_done_and_would_do() -> None:
    letter = make_letter()
    mark = Mark(attempt=1, at="2026-02-21T00:00:00Z", timestamp=AT_MS, topic="telemetry.raw")
    decision = plan_replay(letter, RULES)
    assert format_decision(decision) == (
        "2:11  bad_ts  put it into telemetry.raw for the group validators, as its replay number 1"
    )
    lines = cells(build_letter_view(letter, mark, plan_replay(letter, RULES, replayed=1), [(0, 3)], most_bytes=None))
    facts = {line[0]: " ".join(line[1:]) for line in lines if line}
    assert facts["replays"] == "none before it died; replayed at 2026-02-21T00:00:00Z into telemetry.raw"
    assert facts["replay would"] == "leave it out: it was replayed already; --again replays it once more"
    assert facts["earlier"] == "0:3"
    assert facts["was in"] == "telemetry.raw, partition 5, offset 99"


def plan_of(*letters: Letter) -> ReplayPlan:
    return build_plan(plan_replay(letter, RULES) for letter in letters)


def test_a_plan_for_people_and_for_programs() -> None:
    plan = plan_of(make_letter(offset=1), make_letter(offset=2), make_letter(topic=None, offset=3))
    assert cells(build_plan_view(plan))[1] == ["2", "bad_ts", "telemetry.raw", "validators", "2:1"]
    assert cells(build_plan_view(plan))[2][0].startswith("left out: 1, such as 2:3: it never was in a topic")
    assert build_plan_document(plan) == {
        "replay": [
            {"dead_letters": 2, "reason": "bad_ts", "to": "telemetry.raw", "group": "validators", "example": "2:1"}
        ],
        "left_out": {"no_topic": 1},
    }


def test_a_result_tells_what_is_missing() -> None:
    plan = plan_of(*(make_letter(offset=offset) for offset in range(5)))
    whole = ReplayResult(replayed=5)
    assert build_trouble_sentence(whole, plan) is None
    assert build_result_lines(whole, plan) == ["replayed: 5"]
    # One that Kafka refused, one that was not tried
    broken = ReplayResult(replayed=3, failed={(2, 4): "telemetry.raw: too large"}, stopped="timed out")
    assert build_trouble_sentence(broken, plan) == (
        "dead letters not replayed: 2 (timed out); the same command goes on where this one stopped"
    )
    assert build_result_document(broken, plan) == {
        "replayed": 3,
        "left_out": {},
        "failed": {"2:4": "telemetry.raw: too large"},
        "unmarked": [],
        "not_tried": 1,
    }
    unmarked = ReplayResult(replayed=5, unmarked=[(2, 0)])
    assert "the next replay sends them again: 1" in (build_trouble_sentence(unmarked, plan) or "")
