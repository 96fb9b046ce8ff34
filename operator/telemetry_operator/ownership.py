"""Whose an object is that has the name of one that a TelemetryConsumer has. Pure."""

from __future__ import annotations

from enum import Enum, auto

from telemetry_operator import naming
from telemetry_operator.facts import Owned
from telemetry_operator.spec import Consumer


class Ownership(Enum):
    """What may be done with an object."""

    OURS = auto()
    """The TelemetryConsumer controls it, or nobody does and it bears our marks: it is kept as the spec says."""
    LEAVING = auto()
    """It is being deleted, or was a predecessor's of the same name and is about to be: it is waited for."""
    FOREIGN = auto()
    """It is somebody else's: it is left alone."""


def judge_ownership(consumer: Consumer, found: Owned) -> Ownership:
    """Return whose ``found`` is, seen from ``consumer``."""
    owner = found.owner
    if owner is not None and owner.uid == consumer.uid:
        return Ownership.LEAVING if found.deleting else Ownership.OURS
    if owner is not None and (owner.kind, owner.name) == (naming.KIND, consumer.key.name):
        return Ownership.LEAVING
    marked = (
        found.labels.get(naming.LABEL_MANAGED_BY) == naming.OPERATOR
        and found.labels.get(naming.LABEL_CONSUMER) == consumer.key.name
    )
    # Left over by `kubectl delete --cascade=orphan`, or restored from a backup: its pods are at work, so it is kept.
    if owner is None and marked:
        return Ownership.LEAVING if found.deleting else Ownership.OURS
    return Ownership.FOREIGN
