"""What every benchmark is given, and the command line that they share."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

from confluent_kafka import KafkaException

from benchmarks.child import BenchmarkFailed
from benchmarks.kafka import Kafka, started_kafka
from benchmarks.results import FOLDER, write_results
from benchmarks.rows import Row
from benchmarks.table import render_table
from iothub.errors import CliError, StartFailed
from iothub.servers.kafka import answers
from telemetry.errors import IotHubError

RUNS = 5


@dataclass
class Bench:
    """One benchmark's surroundings: a Kafka, how often and how much, and where logs go."""

    kafka: Kafka
    folder: Path
    runs: int = RUNS
    scale: float = 1.0
    peer_versions: dict[str, str] = field(default_factory=dict)
    """Filled by a benchmark with the versions of those beside whom it measures."""

    def scaled(self, messages: int) -> int:
        """Return how many messages to take where a full run takes ``messages``."""
        return max(100, round(messages * self.scale))

    def new_name(self, what: str) -> str:
        """Return a name for a topic or a group that nothing else has."""
        return f"bench-{what}-{uuid4().hex[:8]}"

    def log(self, name: str) -> Path:
        """Return the file that takes what a child has to say."""
        return self.folder / f"{name}.log"

    def say(self, text: str) -> None:
        """Tell whoever waits what is going on."""
        print(f"  {text}", file=sys.stderr, flush=True)


Measure = Callable[[Bench], Sequence[Row]]


@dataclass(frozen=True, slots=True)
class Options:
    """What was typed."""

    runs: int
    scale: float
    bootstrap_servers: str | None
    results: Path


def run_command(name: str, measure: Measure, description: str | None) -> int:
    """Run one benchmark as a command: ``python -m benchmarks.NAME``. Return the exit code."""
    parser = make_parser(f"python -m benchmarks.{name.replace('-', '_')}", description)
    return run_benchmarks({name: measure}, read_options(parser.parse_args()))


def make_parser(prog: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that every command has."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs of each contender, in turn (default {RUNS})")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="messages of a run, as a share of a full one's (default 1)"
    )
    parser.add_argument("--bootstrap-servers", help="a Kafka that is there, in place of one of its own")
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder for NAME.json (default %(default)s)")
    return parser


def read_options(arguments: argparse.Namespace) -> Options:
    """Return the options that `make_parser`'s parser has found."""
    return Options(max(1, arguments.runs), arguments.scale, arguments.bootstrap_servers, arguments.results)


def run_chosen(prog: str, description: str | None, benchmarks: Mapping[str, Measure]) -> int:
    """Run those of ``benchmarks`` that the command line asks for, else all; return the exit code."""
    parser = make_parser(prog, description)
    parser.add_argument(
        "--only", action="append", choices=list(benchmarks), metavar="NAME", help=f"one of {', '.join(benchmarks)}"
    )
    arguments = parser.parse_args()
    chosen = {name: measure for name, measure in benchmarks.items() if name in (arguments.only or benchmarks)}
    return run_benchmarks(chosen, read_options(arguments))


def run_benchmarks(benchmarks: Mapping[str, Measure], options: Options) -> int:
    """Run the benchmarks on one Kafka, print one table, write each one's results; return the exit code.

    One that can't be measured is told and does not keep the others from it.
    """
    rows: list[Row] = []
    failed: dict[str, str] = {}
    signal.signal(signal.SIGTERM, _end)
    try:
        with _surroundings(options) as (kafka, folder):
            for name, measure in benchmarks.items():
                print(name, file=sys.stderr, flush=True)
                bench = Bench(kafka, folder, options.runs, options.scale)
                try:
                    found = measure(bench)
                except (BenchmarkFailed, CliError, IotHubError, KafkaException) as error:
                    failed[name] = str(error)
                    bench.say(f"can't be measured: {error}")
                    continue
                rows += found
                how = {"runs": options.runs, "scale": options.scale}
                write_results(options.results, name, found, bench.peer_versions, how)
    except StartFailed as error:
        print(f"there is no Kafka to run on: {error}", file=sys.stderr)
        return 1
    print(render_table(rows))
    for name, why in failed.items():
        print(f"{name} could not be measured: {why.splitlines()[0]}")
    return 1 if failed else 0


def _end(number: int, _: object) -> NoReturn:
    """Leave every ``with`` block: what was started ends, and the Kafka's data goes."""
    sys.exit(128 + number)


@contextmanager
def _surroundings(options: Options) -> Iterator[tuple[Kafka, Path]]:
    with tempfile.TemporaryDirectory(prefix="iot-hub-bench-") as name:
        folder = Path(name)
        if options.bootstrap_servers is not None:
            first, _, _ = options.bootstrap_servers.partition(",")
            if not answers(first):
                raise StartFailed(f"no Kafka answers at {first}")
            yield Kafka(options.bootstrap_servers), folder
            return
        data = folder / "kafka"
        data.mkdir()
        with started_kafka(data) as kafka:
            yield kafka, folder
