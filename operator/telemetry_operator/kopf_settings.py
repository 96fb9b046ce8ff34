"""How kopf is set up, and why. Everything else of it is left at its default."""

from __future__ import annotations

import kopf

from telemetry_operator import naming

FINALIZER = f"{naming.GROUP}/kopf"
"""Never put on an object, since no handler asks for one; named, so that it would be known for ours."""


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
    # A watch that falls silent after a connection reset ends by these: the server's end, the client's, and silence.
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 70
    settings.watching.reconnect_backoff = 0.5
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    # An API server that comes back after an upgrade refuses and fails for a while; giving up would end the operator.
    settings.networking.error_backoffs = [1, 1, 2, 3, 5, 8, 13, 21, 30, 30, 30, 30]
    # No handler keeps state today. One that will must not use kopf's names, nor the status, which the schema prunes.
    settings.persistence.finalizer = FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=naming.GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(
        prefix=naming.GROUP, key="last-handled-configuration"
    )
    settings.process.ultimate_exiting_timeout = 20
