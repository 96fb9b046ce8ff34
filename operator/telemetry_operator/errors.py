"""Every error that the operator raises.

OperatorError
├── SettingsError         the operator's own settings can't work: it exits 78
├── SpecError             a TelemetryConsumer's spec can't work: Stalled, until the spec changes
└── ClusterError          the API server did not do what was asked
    ├── Unavailable       no answer, or one that another try may change
    │   └── Unreachable   no answer
    └── Refused           it said no
        ├── Conflict      somebody else was there first, or holds the fields
        ├── Invalid       the object can't be taken as it is
        ├── Missing       there is no such object, or no such kind of object
        └── Leaving       the namespace is on its way out
"""

from __future__ import annotations


class OperatorError(Exception):
    """Root of the operator's errors; its text is a sentence for a person."""


class SettingsError(OperatorError):
    """The operator's settings can't work; the text names each variable."""


class SpecError(OperatorError):
    """A TelemetryConsumer's spec can't work.

    ``path`` is the field, for example ``spec.startFrom``; ``problem`` says what is wrong and what to write.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class ClusterError(OperatorError):
    """The API server did not do what was asked of it."""


class Unavailable(ClusterError):
    """The API server gave no answer, or one that another try may change."""


class Unreachable(Unavailable):
    """The API server gave no answer at all."""


class Refused(ClusterError):
    """The API server said no.

    ``status`` is HTTP's code, ``reason`` and ``message`` are the server's own.
    """

    def __init__(self, action: str, status: int, reason: str, message: str) -> None:
        super().__init__(f"{action}: {message} ({status} {reason})")
        self.status = status
        self.reason = reason
        self.message = message


class Conflict(Refused):
    """Somebody else was there first, or holds the fields (409)."""


class Invalid(Refused):
    """The object can't be taken as it is (400 or 422)."""


class Missing(Refused):
    """There is no such object, or no such kind of object (404)."""


class Leaving(Refused):
    """Nothing can be made any more in the namespace, which is being deleted (403)."""
