"""Which PUBACKs may go out, and in which order.

MQTT wants them in the order in which the messages came [MQTT-4.6.0-2], Kafka reports deliveries in any; and a packet id
means something only on the connection that brought it. So each message gets a ticket of its connection, and an
acknowledgement goes out once everything before it on the same connection is settled too.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Ticket:
    """A message that came in and is not acknowledged yet."""

    __slots__ = ("connection", "mid", "settled")

    def __init__(self, connection: int, mid: int) -> None:
        self.connection = connection
        self.mid = mid
        self.settled = False


class AckWindow:
    """The unacknowledged messages of the present connection. Safe from several threads.

    ``send`` puts one PUBACK, by its packet id, on the connection; it is called with the window locked, so that two
    threads can't swap two of them, and none can go out once `close` has returned.
    """

    def __init__(self, send: Callable[[int], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._connection = 0
        self._tickets: deque[Ticket] = deque()

    def close(self) -> None:
        """Forget the connection: its packet ids mean nothing any more, the broker will send the messages again."""
        with self._lock:
            self._connection += 1
            self._tickets.clear()

    def add(self, mid: int) -> Ticket:
        """Return the ticket of a message that came in now."""
        with self._lock:
            ticket = Ticket(self._connection, mid)
            self._tickets.append(ticket)
            return ticket

    def settle(self, ticket: Ticket) -> None:
        """Note that Kafka has the message, and send every acknowledgement that nothing before it holds back."""
        with self._lock:
            if ticket.connection != self._connection:
                return
            ticket.settled = True
            while self._tickets and self._tickets[0].settled:
                self._send(self._tickets.popleft().mid)

    def __len__(self) -> int:
        return len(self._tickets)
