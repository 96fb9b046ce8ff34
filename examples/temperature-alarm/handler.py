"""An own handler: says when a device gets too warm.

It is an ordinary class: the keyword arguments are ``handler.options`` of the TelemetryConsumer, ``handle`` gets the
decoded messages, a list of them where ``batch`` is enabled. What it raises is tried again and then becomes a dead
letter; to reject a message at once, ``from consumers import Reject`` and yield ``Reject(reason, message, index)``.
"""

import logging
from typing import Any

log = logging.getLogger(__name__)


class TemperatureAlarm:
    """Logs a warning for each reading whose metric is above the limit."""

    def __init__(self, limit: float = 30.0, metric: str = "temperature") -> None:
        self.limit = limit
        self.metric = metric

    def handle(self, batch: list[dict[str, Any]]) -> None:
        """Look at a batch of clean messages."""
        for message in batch:
            value = message["metrics"].get(self.metric)
            if value is not None and value > self.limit:
                log.warning("%s: %s is %s, above %s", message["device"], self.metric, value, self.limit)
