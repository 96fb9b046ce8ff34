"""What a check finds, and what a check is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How something stands."""

    OK = "ok"
    MISSING = "missing"
    """It is not there, and one gets on without it: ``means`` says how."""
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    name: str
    """What was looked at: ``Java``, ``port 1883``, ``pod iot-hub-kafka-0``."""
    state: State
    found: str
    """What there is, or what is wrong with it."""
    means: str = ""
    """What follows from it."""
    advice: str = ""
    """What to type, or where to read on."""

    @classmethod
    def ok(cls, name: str, found: str, means: str = "", advice: str = "") -> Finding:
        """Return a finding that all is well."""
        return cls(name, State.OK, found, means, advice)

    @classmethod
    def missing(cls, name: str, found: str, means: str = "", advice: str = "") -> Finding:
        """Return a finding that something is not there that one can do without."""
        return cls(name, State.MISSING, found, means, advice)

    @classmethod
    def wrong(cls, name: str, found: str, means: str = "", advice: str = "") -> Finding:
        """Return a finding that something can't work as it is."""
        return cls(name, State.WRONG, found, means, advice)


@dataclass(frozen=True)
class Check:
    """Something to look at. ``run`` may raise CliError: its sentence is then what is wrong."""

    name: str
    run: Callable[[], Finding | Iterable[Finding]]
    seconds: float = 30.0
    """How long it may take."""


@dataclass(frozen=True)
class Section:
    """Findings about one place."""

    title: str
    findings: tuple[Finding, ...]
