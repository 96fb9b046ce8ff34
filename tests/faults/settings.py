"""How long and how often the faults strike. The defaults are the short form, a few seconds each."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

__all__ = ["FaultSettings"]


@dataclass(frozen=True)
class FaultSettings:
    """``FAULT_ROUNDS``, ``FAULT_SECONDS`` and ``FAULT_SEED`` of the environment."""

    rounds: int = 1
    """How often a fault strikes within one test; what takes little time strikes a few times a round."""
    seconds: float = 6.0
    """How long, in seconds, what is stopped stays away."""
    seed: int = 0
    """Where the random moments begin; a failure names it."""

    @classmethod
    def read(cls) -> FaultSettings:
        """Return what the environment says."""
        return cls(
            rounds=int(os.environ.get("FAULT_ROUNDS", cls.rounds)),
            seconds=float(os.environ.get("FAULT_SECONDS", cls.seconds)),
            seed=int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(10**6)),
        )
