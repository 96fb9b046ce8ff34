"""Files that are no Python and come along: the CRD, the examples.

In a wheel they lie in this package, in a checkout at its root.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGED = Path(__file__).parent / "resources"
_CHECKOUT = Path(__file__).parents[2]


def find_resource(name: str) -> Path:
    """Return the path of ``name`` (``crds/telemetryconsumer.yaml``, ``examples``), as the repository's root has it."""
    packaged = _PACKAGED / name
    return packaged if packaged.exists() else _CHECKOUT / name
