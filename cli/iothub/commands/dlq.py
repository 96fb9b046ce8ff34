"""``iothub dlq``: ls, show, replay."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from iothub.commands import add_command
from iothub.errors import CliError, UsageError
from iothub.interrupts import ctrl_c_asks
from iothub.kafka.client import connect
from iothub.kafka.dead_letters import find_letter, read_letter, read_letters
from iothub.kafka.letter_views import (
    build_counts_document,
    build_counts_table,
    build_decision_document,
    build_letter_document,
    build_letter_view,
    build_plan_document,
    build_plan_view,
    build_result_document,
    build_result_lines,
    build_trouble_sentence,
    format_decision,
)
from iothub.kafka.letters import By, LetterFilter, LetterPlace, count_letters, parse_letter_place
from iothub.kafka.marks import read_marks
from iothub.kafka.replay import ReplayResult
from iothub.kafka.replay_plan import DEFAULT_MAX_ATTEMPTS, ReplayPlan, ReplayRules, plan_replay
from iothub.kafka.replaying import LetterReplay
from iothub.kafka.starts import parse_moment
from iothub.locate import open_target
from iothub.options import OutputOption
from iothub.target import Where
from iothub.terminal import OutputFormat, Terminal, quiet_pipe
from telemetry.names import TOPIC_DLQ

_SCREEN_BYTES = 4096
"""So much of a value is shown on a terminal; in a pipe all of it."""

dlq = typer.Typer(
    help="Look at dead letters, and put them back where they came from.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

TopicOption = Annotated[str, typer.Option("--topic", help="The topic with the dead letters.")]
ReasonOption = Annotated[
    list[str] | None, typer.Option("--reason", help="Only dead letters with this reason; can be repeated.")
]
DeviceOption = Annotated[list[str] | None, typer.Option("--device", help="Only of this device; can be repeated.")]
ConsumerOption = Annotated[
    list[str] | None, typer.Option("--consumer", help="Only those that failed in this group; can be repeated.")
]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="Only those of this time or later: 2026-02-20T22:45:00Z, or '15m ago'.")
]
UntilOption = Annotated[str | None, typer.Option("--until", help="Only those before this time.")]


def ls(
    *,
    by: Annotated[By, typer.Option("--by", help="What to count them by.")] = By.REASON,
    reason: ReasonOption = None,
    device: DeviceOption = None,
    consumer: ConsumerOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    topic: TopicOption = TOPIC_DLQ,
    where: Where,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Count dead letters by reason, device, consumer, topic or stage.

    Each line has the place of an example, PARTITION:OFFSET, for `iothub dlq show`.
    """
    terminal = Terminal(output)
    wanted = _make_filter(reason, device, consumer, since, until)
    with open_target(where, terminal) as target:
        with terminal.waiting(f"the dead letters in {topic} of {target.title}"):
            kafka = connect(target)
            marks = read_marks(kafka, topic)
            letters = read_letters(kafka, topic, wanted, report=terminal.say)
            counts = count_letters(letters, by, lambda letter: marks.find(letter) is not None)
        terminal.show(build_counts_document(counts, by), lambda: build_counts_table(counts, by))
        if not counts:
            those = "" if wanted == LetterFilter() else " that pass these filters"
            terminal.say(f"There are no dead letters in {topic}{those}.")


def show(
    place: Annotated[
        str | None, typer.Argument(metavar="PARTITION:OFFSET", help="Its place in the dead-letter topic.")
    ] = None,
    *,
    message_id: Annotated[
        str | None, typer.Option("--id", help="The message's id, in place of its place: its newest dead letter.")
    ] = None,
    topic: TopicOption = TOPIC_DLQ,
    where: Where,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show everything about one dead letter, and what a replay would do with it."""
    terminal = Terminal(output)
    if (place is None) == (message_id is None):
        raise UsageError("say which dead letter: PARTITION:OFFSET, or --id ID")
    at = None if place is None else parse_letter_place(place)
    with open_target(where, terminal) as target:
        with terminal.waiting(f"{topic} of {target.title}"):
            kafka = connect(target)
            earlier: list[LetterPlace] = []
            if at is not None:
                letter = read_letter(kafka, topic, at)
            else:
                letter, earlier = find_letter(kafka, topic, message_id or "")
            marks = read_marks(kafka, topic)
            rules = ReplayRules(kafka.read_metadata())
        decision = plan_replay(letter, rules, replayed=marks.count_replays(letter))
        most = _SCREEN_BYTES if terminal.out.is_terminal else None
        terminal.show(
            build_letter_document(letter, marks.find(letter), decision, earlier),
            lambda: build_letter_view(letter, marks.find(letter), decision, earlier, most_bytes=most),
        )


def replay(
    *,
    everything: Annotated[bool, typer.Option("--all", help="All of them, where no filter says which.")] = False,
    reason: ReasonOption = None,
    device: DeviceOption = None,
    consumer: ConsumerOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go where.")] = False,
    each: Annotated[bool, typer.Option("--each", help="With --dry-run: a line for each dead letter.")] = False,
    rate: Annotated[float, typer.Option("--rate", min=0.01, help="At most so many a second.")] = 100.0,
    max_attempts: Annotated[
        int, typer.Option("--max-attempts", min=1, help="Leave out what was replayed so often and died each time.")
    ] = DEFAULT_MAX_ATTEMPTS,
    all_groups: Annotated[
        bool,
        typer.Option("--all-groups", help="Let every group handle them again, not only the one that they failed in."),
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was replayed already.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask; needed where nobody can answer.")] = False,
    topic: TopicOption = TOPIC_DLQ,
    where: Where,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Put dead letters back into the topics that they were in: bytes, key and headers as they came.

    Only the consumer group that a message failed in handles it again (header replay.group). What was replayed is
    marked in a topic of its own, so that the same command goes on where it was stopped, from any machine; a message
    that was on its way in that moment may come twice, with the same id.
    """
    terminal = Terminal(output)
    wanted = _make_filter(reason, device, consumer, since, until)
    if wanted.is_open and not everything:
        raise UsageError("say which dead letters: --reason, --device, --consumer, --since or --until, or --all of them")
    if each and not dry_run:
        raise UsageError("--each goes with --dry-run")
    if not (dry_run or yes or sys.stdin.isatty()):
        raise UsageError("nobody is there to confirm: look with --dry-run, then write --yes")
    with open_target(where, terminal) as target, quiet_pipe():
        with terminal.waiting(f"the dead letters in {topic} of {target.title}"):
            work = LetterReplay(
                connect(target),
                topic,
                wanted,
                max_attempts=max_attempts,
                all_groups=all_groups,
                again=again,
                report=terminal.say,
            )
            if not each:
                plan = work.plan()
        if each:
            for decision in work.decide():
                terminal.emit(build_decision_document(decision), format_decision(decision))
            return
        if dry_run:
            terminal.show(build_plan_document(plan), lambda: build_plan_view(plan))
            return
        if plan.places and not yes:
            terminal.err.print(build_plan_view(plan))
            _confirm(terminal, f"Replay {len(plan.places)} dead letters?")
        with ctrl_c_asks() as stopping:
            result = _run(terminal, work, plan, rate, stopping)
        terminal.show(build_result_document(result, plan), lambda: "\n".join(build_result_lines(result, plan)))
        if stopping():
            terminal.say("stopped; the same command goes on from here")
            raise KeyboardInterrupt
        trouble = build_trouble_sentence(result, plan)
        if trouble is not None:
            raise CliError(trouble)


def _confirm(terminal: Terminal, question: str) -> None:
    terminal.err.print(f"{question} [y/N] ", end="")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CliError("not confirmed; nothing was replayed")


def _run(
    terminal: Terminal, work: LetterReplay, plan: ReplayPlan, rate: float, stopping: Callable[[], bool]
) -> ReplayResult:
    if not plan.places:
        return ReplayResult()
    title = f"replaying {len(plan.places)} dead letters, at most {rate:g} a second"
    if not terminal.err.is_terminal:
        terminal.say(f"{title} …")
        return work.run(plan, rate=rate, stopping=stopping, on_done=lambda _: None)
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal.err, transient=True) as progress:
        task = progress.add_task("", total=len(plan.places))
        return work.run(plan, rate=rate, stopping=stopping, on_done=lambda _: progress.advance(task))


def _make_filter(
    reasons: list[str] | None,
    devices: list[str] | None,
    consumers: list[str] | None,
    since: str | None,
    until: str | None,
) -> LetterFilter:
    now = datetime.now(UTC)
    return LetterFilter(
        frozenset(reasons or ()),
        frozenset(devices or ()),
        frozenset(consumers or ()),
        None if since is None else parse_moment(since, now),
        None if until is None else parse_moment(until, now),
    )


for _command in (ls, show, replay):
    add_command(dlq, _command)
