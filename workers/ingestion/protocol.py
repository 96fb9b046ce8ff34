"""Which version of MQTT the next connection speaks. Pure.

MQTT 5 is what ingestion stands on: its properties carry ids, and its session ends by itself. A broker that knows only
3.1.1 either says so, or closes the connection upon a CONNECT that it can't read. The first is believed at once. The
second is also how a broker looks that is just being restarted, behind a proxy at that, so it takes several such closes
in a row, and then a proof: with 3.1.1 we come in, and with 5 behind that we still don't.

What was found holds for one connection: behind it may be another broker. Only that MQTT 5 was spoken once is kept: from
then on a close is taken for trouble on the way, and 3.1.1 for what a broker says by itself.
"""

from __future__ import annotations

from typing import Literal

Protocol = Literal["auto", "5", "3.1.1"]

MQTT_5, MQTT_3_1_1 = 5, 4
"""As the CONNECT packet numbers them."""

_CLOSES = 3


class ProtocolChoice:
    """``version`` is the one to connect with next."""

    def __init__(self, protocol: Protocol) -> None:
        self.version = MQTT_3_1_1 if protocol == "3.1.1" else MQTT_5
        self._may_change = protocol == "auto"
        self._closes = 0
        self._came_in = False
        """Whether 3.1.1 has been accepted where 5 was only closed."""
        self._is_proven = False
        self._has_spoken_5 = False

    def note_unreachable(self) -> None:
        """Nothing listens there: that says nothing about what it speaks, and whoever closed on us is gone."""
        self._forget()

    def note_refusal(self) -> None:
        """The broker has said that it does not speak this version."""
        if self._may_change and self.version == MQTT_5:
            self.version, self._is_proven = MQTT_3_1_1, True

    def note_close(self) -> None:
        """The broker has closed the connection in place of an answer to the CONNECT."""
        if not self._may_change or self._has_spoken_5:
            return
        if self.version == MQTT_3_1_1:
            self._forget()
            return
        self._closes += 1
        if self._came_in:
            self.version, self._is_proven = MQTT_3_1_1, True
        elif self._closes >= _CLOSES:
            self.version = MQTT_3_1_1

    def note_acceptance(self) -> bool:
        """The broker has accepted the connection. Return whether to stay, or to come back with ``version``."""
        self._has_spoken_5 = self._has_spoken_5 or self.version == MQTT_5
        if self.version == MQTT_5 or self._is_proven or not self._may_change:
            self._closes, self._came_in = 0, False
            return True
        self.version, self._came_in = MQTT_5, True
        return False

    def note_end(self) -> None:
        """A connection that was accepted is over."""
        self._forget()

    def _forget(self) -> None:
        if self._may_change:
            self.version = MQTT_5
        self._closes, self._came_in, self._is_proven = 0, False, False
