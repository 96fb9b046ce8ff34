"""The whole examination: this machine, and the Kafka or the release that is looked into."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from iothub.cluster import read_release
from iothub.doctor.cluster import cluster_checks
from iothub.doctor.examination import run_checks
from iothub.doctor.finding import Finding, Section, State
from iothub.doctor.kafka import kafka_check
from iothub.doctor.machine import machine_checks
from iothub.doctor.programs import program_checks
from iothub.errors import CliError
from iothub.hub.state import read_state
from iothub.kubectl import find_kubectl
from iothub.locate import check_where, find_local_target, open_target
from iothub.target import Where
from iothub.terminal import Terminal, make_table

_COLOURS = {State.OK: "green", State.MISSING: "yellow", State.WRONG: "red"}


def examine(where: Where, terminal: Terminal) -> Iterator[Section]:
    """Yield a section after the other: the machine first, then what ``where`` names, as far as there is something.

    Raises UsageError where two places are named; everything else that is wrong is a finding.
    """
    check_where(where)
    with terminal.waiting("the programs of this machine"):
        findings = run_checks([*program_checks(), *machine_checks()])
    yield Section("this machine", findings)
    if where.context is not None:
        yield examine_release(where.context, where, terminal)
    elif is_kafka_named(where):
        target = find_local_target(where)
        with terminal.waiting(target.title):
            yield Section(target.title, run_checks([kafka_check(target)]))


def is_kafka_named(where: Where) -> bool:
    """Return whether there is a Kafka to look into: named, or a hub's that runs."""
    named = where.bootstrap_servers or os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    return bool(named) or read_state(where.name) is not None


def examine_release(context: str, where: Where, terminal: Terminal) -> Section:
    """Return the findings about a release on a cluster, and about its Kafka once that is up."""
    title = f"release {where.release} on context {context}"
    try:
        kubectl = find_kubectl(context, where.namespace)
        with terminal.waiting(f"context {context}"):
            release = read_release(kubectl, where.release)
            findings = run_checks(cluster_checks(release))
    except CliError as error:
        return Section(title, (Finding.wrong("cluster", str(error)),))
    try:
        with open_target(where, terminal) as target, terminal.waiting(target.title):
            findings += run_checks([kafka_check(target)])
    except CliError as error:
        findings += (Finding.wrong("Kafka", str(error)),)
    return Section(title, findings)


def is_well(sections: Sequence[Section]) -> bool:
    """Return whether nothing is wrong."""
    return not _count(sections, State.WRONG)


def build_document(sections: Sequence[Section]) -> dict[str, Any]:
    """Return the report for a program."""
    return {
        "well": is_well(sections),
        "findings": [
            {
                "about": section.title,
                "name": finding.name,
                "state": str(finding.state),
                "found": finding.found,
                "means": finding.means,
                "advice": finding.advice,
            }
            for section in sections
            for finding in section.findings
        ],
    }


def build_table(section: Section) -> Table:
    """Return a section for a person: below what is not well stands what it means and what to type."""
    table = make_table(section.title, "", "")
    for column in table.columns[2:]:
        column.no_wrap = False
    for finding in section.findings:
        lines = [finding.found, finding.means]
        if finding.advice and finding.state is not State.OK:
            lines.append(f"→ {finding.advice}")
        text = "\n".join(line for line in lines if line)
        table.add_row(finding.name, Text(str(finding.state), style=_COLOURS[finding.state]), Text(text))
    return table


def build_summary(sections: Sequence[Section]) -> str:
    """Return the one line to end with."""
    wrong, missing = _count(sections, State.WRONG), _count(sections, State.MISSING)
    if wrong:
        return f"{wrong} wrong, {missing} missing that can be done without"
    return f"nothing is wrong, {missing} missing that can be done without" if missing else "all is well"


def _count(sections: Sequence[Section], state: State) -> int:
    return sum(finding.state is state for section in sections for finding in section.findings)
