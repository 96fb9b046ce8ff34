"""``iothub tail``."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Annotated

import typer

from iothub.kafka.client import connect
from iothub.kafka.reading import read_records
from iothub.kafka.records import RecordFilter, build_record_document, format_record, parse_header_filter
from iothub.kafka.starts import parse_start
from iothub.locate import open_target
from iothub.options import OutputOption
from iothub.target import Where
from iothub.terminal import OutputFormat, Terminal, quiet_pipe

_SCREEN_CHARACTERS = 1000
"""So much of a value is shown on a terminal; in a pipe all of it."""


def tail(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic, such as telemetry.raw.")],
    *,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Where to begin: beginning, end, -20 for the last 20 messages, '15m ago' (s, m, h, d, w), or a time "
            "like 2026-02-20T22:45:00Z. Left out: the end; with --no-follow the beginning.",
        ),
    ] = None,
    no_follow: Annotated[
        bool, typer.Option("--no-follow", help="End where the topic ends, in place of waiting for what comes.")
    ] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="End after so many messages.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="Only this device's messages.")] = None,
    reason: Annotated[
        list[str] | None, typer.Option("--reason", help="Only dead letters with this reason; can be repeated.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", help="Only messages with this header, name=value; can be repeated.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line: the same as --output json.")] = False,
    where: Where,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    r"""Show a topic's messages as they come: time, partition:offset, device, value.

    No group is joined and nothing is committed. What is not printable is shown as an escape like \x07. What lies in
    the topic already is put in order of time; what comes is shown as it comes.
    """
    terminal = Terminal(OutputFormat.JSON if json else output)
    wanted = RecordFilter(device, frozenset(reason or ()), tuple(map(parse_header_filter, header or ())))
    begin = parse_start(start or ("beginning" if no_follow else "end"), datetime.now(UTC))
    with open_target(where, terminal) as target, quiet_pipe():
        with terminal.waiting(target.title):
            kafka = connect(target)
            kafka.find_topic(topic)
        if not no_follow:
            terminal.say(f"following {topic}, Ctrl-C ends it …")
        at_most = _SCREEN_CHARACTERS if terminal.out.is_terminal else None
        records = read_records(kafka, topic, start=begin, follow=not no_follow, report=terminal.say)
        for record in islice(filter(wanted.matches, records), limit):
            terminal.emit(build_record_document(record), format_record(record, at_most=at_most))
