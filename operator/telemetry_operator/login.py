"""kopf's credentials for the API server."""

from __future__ import annotations

import dataclasses
import ssl
from typing import Any

import kopf


class Connection(kopf.ConnectionInfo):
    """A connection that takes the certificates that Kubernetes takes."""

    def as_ssl_context(self) -> ssl.SSLContext:
        """Return the context without RFC 5280's strictest reading.

        From Python 3.13 on that reading is the default, and refuses a CA without the extension "key usage", which
        clusters in the field have. The certificate is verified all the same.
        """
        context = super().as_ssl_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


def find_connection(**arguments: Any) -> Connection | None:
    """Return the credentials of the pod, else those that KUBECONFIG names; None where there are neither."""
    found = kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)
    if found is None:
        return None
    return Connection(**{field.name: getattr(found, field.name) for field in dataclasses.fields(found)})
