"""What became of the messages that were to be sent. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Counts:
    """What became of the messages; every one that was sent is acknowledged, refused, or without an answer."""

    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    unheard: int = 0
    """Acknowledged although nobody subscribes (MQTT 5 says so): the broker has dropped them."""
    damaged: Counter[str] = field(default_factory=Counter)
    """Sent damaged ones, by kind."""
    refusals: Counter[str] = field(default_factory=Counter)
    """Refusals by their code: MQTT's reason, such as ``0x87``, or HTTP's status."""

    @property
    def unanswered(self) -> int:
        """Sent, and neither acknowledged nor refused."""
        return self.sent - self.acknowledged - self.refused
