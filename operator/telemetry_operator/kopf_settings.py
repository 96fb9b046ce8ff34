"""How kopf is set up, and why. Everything else of it is left at its default."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import kopf

from telemetry_operator import naming

FINALIZER = f"{naming.GROUP}/kopf"
"""Never put on an object, since no handler asks for one; named, so that it would be known for ours."""
FIRST_WAITS = (1.0, 1.0, 2.0, 3.0, 5.0)
LAST_WAIT = 8.0
"""Seconds between two tries from then on: no longer does a watch stay away from an API server that is back."""


class Patience:
    """The seconds between the tries to reach the API server, without an end: kopf would end the operator at it."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain(FIRST_WAITS, itertools.repeat(LAST_WAIT))


class NoDiffs(kopf.DiffBaseStorage):
    """What an object was like before: nothing, since no handler asks.

    kopf would copy the whole object and look for differences at each event, handlers or not, which takes longer than
    everything else that it does about it.
    """

    def build(self, *, body: kopf.Body, extra_fields: Iterable[kopf.FieldSpec] | None = None) -> kopf.BodyEssence:
        """Return what of an object counts."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Return what counted before."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Keep nothing."""


def configure_kopf(settings: kopf.OperatorSettings) -> None:
    """Set what this operator asks of kopf."""
    # Peers of equal priority freeze each other, and peering is no leader election: one replica, Recreate.
    settings.peering.standalone = True
    # Events are ours: one a transition, and none for what is only logged.
    settings.posting.enabled = False
    # The kinds are known and the namespaces are named: no rights on CRDs and namespaces are needed.
    settings.scanning.disabled = True
    # Only what was made for a TelemetryConsumer comes over the wire, not every pod of the cluster.
    settings.watching.label_selectors["apps", "deployments"] = naming.WATCH_SELECTOR
    settings.watching.label_selectors["", "pods"] = naming.WATCH_SELECTOR
    # A connection that is lost without a word, as behind a router that forgot it, looks like a quiet cluster. So the
    # server ends each watch soon, and two seconds before sends a bookmark, however quiet it is: without that in time,
    # the watch is made anew, from where it was. That is three calls a minute and kind, which bring next to nothing.
    settings.watching.server_timeout = 20
    settings.watching.inactivity_timeout = 24
    settings.watching.client_timeout = 30
    settings.watching.connect_timeout = 10
    settings.watching.reconnect_backoff = 0.5
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    # It comes back after however long; one that has only just come back refuses and fails for a while.
    settings.networking.error_backoffs = Patience()
    # No handler keeps state today. One that will must not use kopf's names, nor the status, which the schema prunes.
    settings.persistence.finalizer = FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=naming.GROUP)
    settings.persistence.diffbase_storage = NoDiffs()
    settings.process.ultimate_exiting_timeout = 20
