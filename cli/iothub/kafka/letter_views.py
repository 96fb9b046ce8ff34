"""Dead letters, and what a replay would do or has done, as they are shown: for people, and for programs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from iothub.kafka.letters import By, Letter, LetterCount, LetterPlace, format_letter_place
from iothub.kafka.marks import Mark
from iothub.kafka.records import build_record_document
from iothub.kafka.replay import ReplayResult
from iothub.kafka.replay_plan import SENTENCES, LeftOut, Replay, ReplayPlan
from iothub.kafka.text import dump_hex, escape, is_text, show_bytes
from iothub.kafka.units import UNKNOWN, format_bytes, format_stamp, to_time
from iothub.terminal import make_table
from telemetry import headers as h
from telemetry.dead_letters import OWN_HEADERS

ALL_GROUPS = "every group"


def build_counts_table(counts: Sequence[LetterCount], by: By) -> Table:
    """Return a line for each thing that was counted."""
    table = make_table(by.value, "dead letters", "replayed", "first", "last", "example")
    for count in counts:
        table.add_row(
            _show(count.value),
            str(count.number),
            str(count.replayed),
            format_stamp(count.first),
            format_stamp(count.last),
            format_letter_place(count.example),
        )
    return table


def build_counts_document(counts: Sequence[LetterCount], by: By) -> list[dict[str, Any]]:
    """Return the same for a program."""
    return [
        {
            by.value: count.value,
            "dead_letters": count.number,
            "replayed": count.replayed,
            "first": to_time(count.first),
            "last": to_time(count.last),
            "example": format_letter_place(count.example),
        }
        for count in counts
    ]


def build_letter_view(
    letter: Letter,
    mark: Mark | None,
    decision: Replay | LeftOut,
    earlier: Sequence[LetterPlace],
    *,
    most_bytes: int | None,
) -> Group:
    """Return everything about one dead letter; of its value at most ``most_bytes``."""
    value, record = letter.record.value, letter.record
    facts = Table.grid(padding=(0, 2, 0, 0))
    for name, content in (
        ("dead letter", f"{format_letter_place(letter.place)} of {record.topic}, {format_stamp(record.timestamp)}"),
        ("was in", _describe_origin(letter)),
        ("reason", _show(letter.reason)),
        ("message", _show(letter.message)),
        ("stage", _show(letter.stage)),
        ("error", _show(record.header(h.ERROR_CLASS))),
        ("consumer", _show(letter.consumer)),
        ("attempts", _show(record.header(h.DLQ_ATTEMPTS))),
        ("id", _show(letter.id)),
        ("device", _show(letter.device)),
        ("key", show_bytes(record.key)),
        ("earlier", ", ".join(map(format_letter_place, earlier)) or UNKNOWN),
        ("replays", _describe_replays(letter, mark)),
        ("replay would", _describe_decision(decision)),
    ):
        facts.add_row(Text(name, style="bold"), Text(content))
    headers = Table.grid(padding=(0, 2, 0, 0))
    for name, header in record.headers:
        if name not in OWN_HEADERS:
            headers.add_row(Text("  " + escape(name)), Text(show_bytes(header)))
    return Group(facts, "", Text("headers", style="bold"), headers, "", *_show_value(value, most_bytes))


def build_letter_document(
    letter: Letter, mark: Mark | None, decision: Replay | LeftOut, earlier: Sequence[LetterPlace]
) -> dict[str, Any]:
    """Return the same for a program."""
    record = letter.record
    return {
        **build_record_document(record),
        "reason": letter.reason,
        "message": letter.message,
        "stage": letter.stage,
        "error_class": record.header(h.ERROR_CLASS),
        "consumer": letter.consumer,
        "attempts": _to_number(record.header(h.DLQ_ATTEMPTS)),
        "id": letter.id,
        "device": letter.device,
        "origin": {
            "topic": letter.topic,
            "partition": _to_number(record.header(h.ERROR_PARTITION)),
            "offset": _to_number(record.header(h.ERROR_OFFSET)),
        },
        "truncated": letter.is_truncated,
        "replays_before": letter.replays,
        "replayed": None if mark is None else {"at": mark.at, "topic": mark.topic, "attempt": mark.attempt},
        "replay": build_decision_document(decision),
        "earlier": [format_letter_place(place) for place in earlier],
    }


def build_decision_document(decision: Replay | LeftOut) -> dict[str, Any]:
    """Return what is to become of one dead letter."""
    common = {"dead_letter": format_letter_place(decision.letter.place), "id": decision.letter.id}
    if isinstance(decision, LeftOut):
        return common | {"left_out": decision.why.value, "why": decision.sentence}
    return common | {"to": decision.topic, "group": decision.group, "attempt": decision.attempt}


def format_decision(decision: Replay | LeftOut) -> str:
    """Return the same for a person, on one line."""
    letter = decision.letter
    return f"{format_letter_place(letter.place)}  {_show(letter.reason)}  {_describe_decision(decision)}"


def build_plan_view(plan: ReplayPlan) -> Group:
    """Return what a replay will do: a line for each kind of dead letter."""
    table = make_table("dead letters", "reason", "to", "for", "example")
    for route, number in plan.routes.most_common():
        group = ALL_GROUPS if route.group is None else route.group
        example = format_letter_place(plan.examples[route])
        table.add_row(str(number), _show(route.reason), _show(route.topic), _show(group), example)
    return Group(*([table] if plan.routes else []), *map(Text, _build_left_out_lines(plan)))


def build_plan_document(plan: ReplayPlan) -> dict[str, Any]:
    """Return the same for a program."""
    return {
        "replay": [
            {
                "dead_letters": number,
                "reason": route.reason,
                "to": route.topic,
                "group": route.group,
                "example": format_letter_place(plan.examples[route]),
            }
            for route, number in plan.routes.most_common()
        ],
        "left_out": {why.value: number for why, number in plan.left_out.most_common()},
    }


def build_result_document(result: ReplayResult, plan: ReplayPlan) -> dict[str, Any]:
    """Return what a replay has done."""
    return {
        "replayed": result.replayed,
        "left_out": {why.value: number for why, number in plan.left_out.most_common()},
        "failed": {format_letter_place(place): why for place, why in result.failed.items()},
        "unmarked": [format_letter_place(place) for place in result.unmarked],
        "not_tried": _count_not_tried(result, plan),
    }


def build_result_lines(result: ReplayResult, plan: ReplayPlan) -> list[str]:
    """Return the same for a person."""
    failed = [f"failed: {format_letter_place(place)}, {escape(why)}" for place, why in result.failed.items()]
    return [f"replayed: {result.replayed}", *_build_left_out_lines(plan), *failed]


def build_trouble_sentence(result: ReplayResult, plan: ReplayPlan) -> str | None:
    """Return why a replay is not complete, None where it is."""
    missing = len(result.failed) + _count_not_tried(result, plan)
    if missing:
        stopped = f" ({escape(result.stopped)})" if result.stopped is not None else ""
        return f"dead letters not replayed: {missing}{stopped}; the same command goes on where this one stopped"
    if result.unmarked:
        return f"dead letters replayed but not marked, so that the next replay sends them again: {len(result.unmarked)}"
    return None


def _build_left_out_lines(plan: ReplayPlan) -> list[str]:
    return [
        f"left out: {number}, such as {format_letter_place(plan.examples[why])}: {SENTENCES[why]}"
        for why, number in plan.left_out.most_common()
    ]


def _count_not_tried(result: ReplayResult, plan: ReplayPlan) -> int:
    return max(0, len(plan.places) - result.replayed - len(result.failed))


def _to_number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _show(text: str | None) -> str:
    return UNKNOWN if text is None else escape(text)


def _describe_origin(letter: Letter) -> str:
    if letter.topic is None:
        return "no topic: ingestion refused it"
    partition, offset = letter.record.header(h.ERROR_PARTITION), letter.record.header(h.ERROR_OFFSET)
    return escape(f"{letter.topic}, partition {partition or '?'}, offset {offset or '?'}")


def _describe_replays(letter: Letter, mark: Mark | None) -> str:
    before = f"{letter.replays} before it died" if letter.replays else "none before it died"
    since = UNKNOWN if mark is None else escape(f"replayed at {mark.at} into {mark.topic}")
    return before if mark is None else f"{before}; {since}"


def _describe_decision(decision: Replay | LeftOut) -> str:
    if isinstance(decision, LeftOut):
        return f"leave it out: {decision.sentence}"
    group = ALL_GROUPS if decision.group is None else f"the group {decision.group}"
    return escape(f"put it into {decision.topic} for {group}, as its replay number {decision.attempt}")


def _show_value(value: bytes | None, most: int | None) -> list[Text]:
    if value is None:
        return [Text("no value (a tombstone)", style="bold")]
    part = value if most is None else value[:most]
    cut = "" if len(part) == len(value) else f", the first {format_bytes(len(part))} of it"
    # A character that the cut went through must not make text look like something else.
    lines = [show_bytes(part)] if is_text(value) else list(dump_hex(part))
    return [Text(f"value, {format_bytes(len(value))}{cut}", style="bold"), *map(Text, lines)]
