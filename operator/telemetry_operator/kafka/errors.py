"""What can go wrong between the operator and Kafka. Pure.

OperatorError
└── KafkaProblem          Kafka did not tell, or did not do, what was asked
    ├── KafkaAway         no answer, or none that lets us in: asked again by itself
    └── OffsetsRefused    offsets were not moved, and why
"""

from __future__ import annotations

from telemetry_operator.errors import OperatorError

UNAVAILABLE = "KafkaUnavailable"
LOGIN_FAILED = "KafkaLoginFailed"
NOT_ALLOWED = "KafkaNotAllowed"
REFUSED = "KafkaRefused"
NOT_ASKED_YET = "KafkaNotAskedYet"
CLIENT_FAILED = "KafkaClientFailed"

GROUP_HAS_MEMBERS = "GroupHasMembers"
TOPIC_NOT_FOUND = "TopicNotFound"
NO_OFFSETS = "GroupHasNoOffsets"
OFFSETS_UNKNOWN = "OffsetsUnknown"

_PASSING = frozenset({GROUP_HAS_MEMBERS, OFFSETS_UNKNOWN})


class KafkaProblem(OperatorError):
    """Kafka did not do what was asked: a reason in one word, for a condition, and a sentence for a person."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    @property
    def may_pass(self) -> bool:
        """Whether the same question may have another answer in a while, with nobody's help."""
        return isinstance(self, KafkaAway) or self.reason in _PASSING


class KafkaAway(KafkaProblem):
    """Kafka does not answer, or does not let us in."""


class OffsetsRefused(KafkaProblem):
    """A group's offsets were left as they are."""
