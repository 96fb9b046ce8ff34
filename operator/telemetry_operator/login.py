"""The credentials for the API server: the pod's own, else those of KUBECONFIG. kopf and our own client share them."""

from __future__ import annotations

import dataclasses
import os
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
    in_pod = kopf.login_with_service_account(**arguments)
    found = in_pod or kopf.login_with_kubeconfig(**arguments)
    if found is None:
        return None
    values = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return Connection(**values | (_find_address() if in_pod else {}))


def _find_address() -> dict[str, str]:
    """Return the API server's address as the kubelet tells it to a pod: without it, the cluster's DNS has to work."""
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{name}") for name in ("HOST", "PORT"))
    if not host or not port:
        return {}
    return {"server": f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"}
