"""Whether a cluster has KEDA. One without is no failure, unless E2E_KEDA=1 says that it has it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["find_keda"]


def find_keda(kubectl: Callable[..., str]) -> bool:
    """Return whether the cluster has KEDA's kinds; ``kubectl`` takes its arguments and returns what it prints."""
    there = "scaledobjects" in kubectl("api-resources", "--api-group=keda.sh", "-o", "name")
    if not there and os.environ.get("E2E_KEDA") == "1":
        pytest.fail("E2E_KEDA=1 says that this cluster has KEDA, and it has none of its kinds")
    return there
