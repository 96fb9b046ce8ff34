"""The errors that end a command: a sentence for a person, and an exit code.

CliError                  1
├── UsageError            2  what was typed can't be meant; the sentence says what to type
├── NotRunning            1  no hub of that name runs on this machine
├── Unavailable           1  Kafka, the MQTT broker or the cluster does not answer
├── NotSupported          1  this Kafka (the one in memory) can't do it
├── ManifestProblem       1  a file can't be taken as it is; the sentence has file and line
└── StartFailed           1  a part of the hub does not start
"""

from __future__ import annotations

from typing import ClassVar


class CliError(Exception):
    """Ends a command. ``str()`` is one sentence: what was wrong, where, and what to do."""

    exit_code: ClassVar[int] = 1


class UsageError(CliError):
    """What was typed can't be meant."""

    exit_code = 2


class NotRunning(CliError):
    """No hub of that name runs on this machine."""


class Unavailable(CliError):
    """Kafka, the MQTT broker or the cluster does not answer."""


class NotSupported(CliError):
    """The Kafka in memory can't do what was asked."""


class ManifestProblem(CliError):
    """A file can't be taken as it is."""


class StartFailed(CliError):
    """A part of the hub does not start."""
