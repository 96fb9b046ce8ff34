"""A whole check of files: whether the manifests are right, whether the handlers load, what they make of messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consumers.records import Record
from iothub.errors import ManifestProblem
from iothub.handlers.reading import read_sample
from iothub.handlers.showing import build_document, build_lines
from iothub.handlers.trying import Trial, try_handlers
from iothub.kafka.client import connect
from iothub.locate import open_target
from iothub.manifests.checks import Problem, check_document, parse_document
from iothub.manifests.documents import Document, Skipped, load_manifests, show_path
from iothub.manifests.neighbours import check_all, check_helper, has_errors, sort_problems
from iothub.manifests.render import build_settings
from iothub.target import Where
from iothub.terminal import Terminal
from telemetry.logs import configure_logging


@dataclass(frozen=True)
class CheckOptions:
    """What to check, and how far: ``sample`` is the number of messages for each handler, None to load it only."""

    files: tuple[Path, ...]
    sample: int | None
    seconds: float


@dataclass(frozen=True)
class CheckReport:
    """What a check found."""

    consumers: int
    problems: tuple[Problem, ...]
    skipped: tuple[Skipped, ...]
    trials: tuple[Trial, ...]

    @property
    def is_right(self) -> bool:
        """Whether nothing would be refused, and no handler failed."""
        return not has_errors(self.problems) and not self._failures

    def to_document(self) -> dict[str, Any]:
        """Return the report for a program."""
        return {
            "consumers": self.consumers,
            "right": self.is_right,
            "problems": [
                {
                    "path": str(problem.path),
                    "line": problem.line,
                    "field": problem.field,
                    "sentence": problem.sentence,
                    "severity": "warning" if problem.warning else "error",
                }
                for problem in self.problems
            ],
            "skipped": [{"path": str(one.path), "line": one.line, "kind": one.kind} for one in self.skipped],
            "samples": [
                build_document(trial.document.name, trial.document.namespace, trial.sample)
                for trial in self.trials
                if trial.sample is not None
            ],
        }

    def to_lines(self) -> list[str]:
        """Return the report for a person."""
        lines = [str(problem) for problem in self.problems]
        for trial in self.trials:
            if trial.sample is not None:
                topic = parse_document(trial.document).dead_letter_topic
                lines += build_lines(trial.document.name, trial.sample, dead_letter_topic=topic)
        return [*lines, self._sum_up()]

    @property
    def _failures(self) -> int:
        samples = [trial.sample for trial in self.trials if trial.sample is not None]
        return sum(len(sample.failures) + sample.homeless for sample in samples)

    def _sum_up(self) -> str:
        errors = sum(not problem.warning for problem in self.problems)
        consumers = _count(self.consumers, "TelemetryConsumer")
        if errors:
            return f"{_count(errors, 'error')} in {consumers}"
        if self._failures:
            return f"handlers fail on {_count(self._failures, 'message')}"
        return f"{consumers} {'is' if self.consumers == 1 else 'are'} right"


def run_check(options: CheckOptions, where: Where, terminal: Terminal) -> CheckReport:
    """Check the files and return what was found. Raises CliError where they can't be read, or Kafka does not answer."""
    configure_logging("ERROR")
    manifests = load_manifests(options.files)
    consumers = [document for document in manifests.documents if document.is_consumer]
    if not consumers:
        raise ManifestProblem("there is no TelemetryConsumer in these files")
    for one in manifests.skipped:
        terminal.say(f"{show_path(one.path)}:{one.line}: skipped: {one.kind}")
    problems = check_all(manifests.documents)
    trials = _try(_find_good(manifests.documents), options, where, terminal)
    found = [problem for trial in trials if (problem := trial.find_problem()) is not None]
    problems = sort_problems([*problems, *found], manifests.documents)
    return CheckReport(len(consumers), tuple(problems), manifests.skipped, tuple(trials))


def _try(documents: Sequence[Document], options: CheckOptions, where: Where, terminal: Terminal) -> list[Trial]:
    consumers = [document for document in documents if document.is_consumer]
    if not consumers:
        return []
    title = f"the handlers of {_count(len(consumers), 'TelemetryConsumer')}"
    if options.sample is None:
        with terminal.waiting(title):
            return try_handlers(documents, build_settings({}), options.seconds)
    with open_target(where, terminal) as target:
        with terminal.waiting(f"messages of {target.title}"):
            kafka = connect(target)
            records: Mapping[tuple[str, str], Sequence[Record]] = {
                (one.namespace, one.name): read_sample(
                    kafka, parse_document(one).spec.topics, options.sample, report=terminal.say
                )
                for one in consumers
            }
        settings = build_settings({"KAFKA_BOOTSTRAP_SERVERS": target.bootstrap_servers})
        with terminal.waiting(title):
            return try_handlers(documents, settings, options.seconds, records)


def _find_good(documents: Sequence[Document]) -> list[Document]:
    """Return the documents that can be built on: a consumer that would be refused has no handler to try."""
    return [one for one in documents if not has_errors(check_document(one) if one.is_consumer else check_helper(one))]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
