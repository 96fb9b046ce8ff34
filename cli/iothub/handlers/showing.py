"""What a handler made of a sample, for a person and for a program. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from iothub.handlers.results import DeadLetter, SampleReport

_MOST_SHOWN = 5


def build_lines(name: str, sample: SampleReport, *, dead_letter_topic: str | None) -> list[str]:
    """Return the lines that tell what became of the messages that the handler of ``name`` was given."""
    return list(_build_lines(name, sample, dead_letter_topic))


def build_document(name: str, namespace: str, sample: SampleReport) -> dict[str, Any]:
    """Return the same for a program."""
    return {"name": name, "namespace": namespace} | sample.model_dump(mode="json")


def _build_lines(name: str, sample: SampleReport, dead_letter_topic: str | None) -> Iterator[str]:
    if not sample.messages:
        yield f"{name}: its topics hold no messages; the handler was set up, and given none"
        return
    each = 1000 * sample.seconds / sample.messages
    calls = f"{sample.calls} {'call' if sample.calls == 1 else 'calls'}"
    yield f"{name}: {_count(sample.messages, 'message')}, nothing committed, nothing produced"
    yield f"  handled            {sample.handled}"
    if sample.skipped:
        yield f"  for other groups   {sample.skipped}"
    yield f"  would be produced  {sum(sample.produced.values()) + sample.homeless}{_list_topics(sample)}"
    for produced in sample.first_produced:
        key = f"{produced.key}: " if produced.key is not None else ""
        yield f"    {produced.topic or '(no topic)'} ← {key}{produced.value if produced.value is not None else 'null'}"
    if sample.homeless:
        yield f"    {sample.homeless} without a topic: the worker would stop; write output: {{topic: …}}"
    fate = f"to {dead_letter_topic}" if dead_letter_topic is not None else "none is set: the worker would stop"
    yield f"  dead letters       {len(sample.dead_letters)}{f' ({fate})' if sample.dead_letters else ''}"
    yield from _show(sample.dead_letters)
    yield f"  would be retried   {len(sample.retries)}"
    for retry in sample.retries[:_MOST_SHOWN]:
        yield f"    {retry.place}: {retry.message}"
    yield from _tell_more(len(sample.retries))
    if sample.held_back:
        yield f"  would wait behind  {sample.held_back}"
    yield f"  time               {each:.3g} ms a message, {calls} of the handler"


def _show(letters: tuple[DeadLetter, ...]) -> Iterator[str]:
    for letter in letters[:_MOST_SHOWN]:
        tries = f", {letter.attempts} attempts" if letter.attempts > 1 else ""
        yield f"    {letter.place}: {letter.reason} ({letter.stage}{tries}): {letter.raised or letter.message}"
    yield from _tell_more(len(letters))


def _tell_more(number: int) -> Iterator[str]:
    if number > _MOST_SHOWN:
        yield f"    … and {number - _MOST_SHOWN} more"


def _list_topics(sample: SampleReport) -> str:
    topics = ", ".join(f"{number} to {topic}" for topic, number in sample.produced.items())
    return f" ({topics})" if topics else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
