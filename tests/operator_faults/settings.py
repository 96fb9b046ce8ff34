"""How long the faults strike, and what may strike the cluster itself. The defaults are the short form."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["OperatorFaultSettings"]


@dataclass(frozen=True)
class OperatorFaultSettings:
    """``FAULT_SECONDS``, ``FAULT_API_STOP`` and its like, and ``IMAGE_TAG`` of the environment."""

    seconds: float = 10.0
    """How long a fault lasts, in seconds."""
    api_stop: str = ""
    """A shell command that ends the real API server; with `api_start`, one more test strikes it."""
    api_start: str = ""
    """A shell command that has it back, and returns once it is."""
    api_slow: str = ""
    """A shell command that slows the real API server or its etcd for as long as it runs; it is ended with SIGTERM."""
    image_tag: str = "dev"
    """The tag of iot-hub/worker on the cluster's nodes."""

    @classmethod
    def read(cls) -> OperatorFaultSettings:
        """Return what the environment says."""
        return cls(
            seconds=float(os.environ.get("FAULT_SECONDS", cls.seconds)),
            api_stop=os.environ.get("FAULT_API_STOP", ""),
            api_start=os.environ.get("FAULT_API_START", ""),
            api_slow=os.environ.get("FAULT_API_SLOW", ""),
            image_tag=os.environ.get("IMAGE_TAG") or cls.image_tag,
        )
