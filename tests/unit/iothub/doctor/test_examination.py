"""Checks run side by side, each in its time, and none takes another down with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from iothub.doctor.examination import run_checks
from iothub.doctor.finding import Check, Finding, Section, State
from iothub.doctor.report import build_document, build_summary, build_table, is_well
from iothub.errors import Unavailable
from iothub.terminal import Terminal
from telemetry.errors import ConfigurationError

OK = Finding.ok("a", "there")


def test_findings_come_in_the_order_of_the_checks() -> None:
    # Given two checks that wait for each other
    met = threading.Barrier(2)

    def meet() -> Finding:
        met.wait(20)
        return OK

    def several() -> Iterator[Finding]:
        met.wait(20)
        yield Finding.ok("b", "1")
        yield Finding.ok("c", "2")

    findings = run_checks([Check("first", meet), Check("second", several)])
    assert [finding.name for finding in findings] == ["a", "b", "c"]


def test_one_that_fails_is_wrong_and_the_others_go_on() -> None:
    def fail_plainly() -> Finding:
        raise Unavailable("no Kafka answers")

    def fail_by_settings() -> Finding:
        raise ConfigurationError("KAFKA_X: no")

    def fail_oddly() -> Finding:
        raise ZeroDivisionError("division by zero")

    plain, settings, odd, ok = run_checks(
        [Check("1", fail_plainly), Check("2", fail_by_settings), Check("3", fail_oddly), Check("4", lambda: OK)]
    )
    assert plain == Finding.wrong("1", "no Kafka answers")
    assert settings == Finding.wrong("2", "KAFKA_X: no")
    assert odd == Finding.wrong("3", "can't be told: ZeroDivisionError: division by zero")
    assert ok is OK


def test_one_that_hangs_is_given_up() -> None:
    over = threading.Event()

    def hang() -> Finding:
        over.wait(30)
        return OK

    try:
        [hung, ok] = run_checks([Check("hangs", hang, seconds=0.2), Check("works", lambda: OK)])
    finally:
        over.set()
    assert hung.state is State.WRONG
    assert "within 0.2 s" in hung.found
    assert ok is OK


class TestReport:
    """What a person and a program get to see."""

    SECTIONS = (
        Section("this machine", (OK, Finding.missing("Java", "none", "no durable Kafka", "apt-get install java"))),
        Section("Kafka", (Finding.wrong("topic x", "is not there", "[nothing] is kept", "make it"),)),
    )

    def test_only_what_is_wrong_is_a_fault(self) -> None:
        assert is_well(self.SECTIONS[:1])
        assert not is_well(self.SECTIONS)
        assert build_summary(self.SECTIONS[:1]) == "nothing is wrong, 1 missing that can be done without"
        assert build_summary(self.SECTIONS) == "1 wrong, 1 missing that can be done without"
        assert build_summary([Section("x", (OK,))]) == "all is well"

    def test_a_program_gets_all_of_it(self) -> None:
        document = build_document(self.SECTIONS)
        assert document["well"] is False
        assert document["findings"][1] == {
            "about": "this machine",
            "name": "Java",
            "state": "missing",
            "found": "none",
            "means": "no durable Kafka",
            "advice": "apt-get install java",
        }
        assert [finding["about"] for finding in document["findings"]] == ["this machine", "this machine", "Kafka"]

    def test_a_person_reads_what_it_means_and_what_to_type(self) -> None:
        terminal = Terminal()
        with terminal.out.capture() as text:
            for section in self.SECTIONS:
                terminal.out.print(build_table(section))
        lines = [line.rstrip() for line in text.get().splitlines()]
        assert lines == [
            "THIS MACHINE",
            "a              ok        there",
            "Java           missing   none",
            "                         no durable Kafka",
            "                         → apt-get install java",
            "KAFKA",
            "topic x   wrong   is not there",
            "                  [nothing] is kept",
            "                  → make it",
        ]
