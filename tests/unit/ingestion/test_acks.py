"""PUBACKs in the order of arrival, each at most once, never on a later connection, and none forgotten."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ingestion.acks import AckWindow, Ticket


class Wire:
    """What has gone out, as pairs of connection and packet id; `connect` begins a new connection."""

    def __init__(self) -> None:
        self.connection = 0
        self.sent: list[tuple[int, int]] = []

    def send(self, mid: int) -> None:
        self.sent.append((self.connection, mid))

    @property
    def mids(self) -> list[int]:
        return [mid for _, mid in self.sent]


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def window(wire: Wire) -> AckWindow:
    return AckWindow(wire.send)


def test_a_message_is_acknowledged_once_kafka_has_it(window: AckWindow, wire: Wire) -> None:
    ticket = window.add(7)
    assert (wire.mids, len(window)) == ([], 1)
    window.settle(ticket)
    assert (wire.mids, len(window)) == ([7], 0)


def test_whoever_is_early_waits_for_whoever_came_before(window: AckWindow, wire: Wire) -> None:
    # Given three messages
    first, second, third = (window.add(mid) for mid in (1, 2, 3))
    # When Kafka has the last two first
    window.settle(third)
    window.settle(second)
    assert wire.mids == []
    # Then all go out, in order, with the first
    window.settle(first)
    assert wire.mids == [1, 2, 3]


def test_to_settle_twice_acknowledges_once(window: AckWindow, wire: Wire) -> None:
    first, second = window.add(1), window.add(2)
    for ticket in (second, second, first, first, second):
        window.settle(ticket)
    assert wire.mids == [1, 2]


def test_a_packet_id_may_be_used_again_once_it_is_free(window: AckWindow, wire: Wire) -> None:
    for _ in range(3):
        window.settle(window.add(1))
    assert wire.mids == [1, 1, 1]


def test_nothing_goes_out_for_a_connection_that_is_gone(window: AckWindow, wire: Wire) -> None:
    # Given one message settled behind another that is not, when the connection goes
    first, second = window.add(1), window.add(2)
    window.settle(second)
    window.close()
    assert len(window) == 0
    # When the deliveries of both are reported on the next connection, where the same packet ids are in use
    again = window.add(1)
    window.settle(first)
    window.settle(second)
    # Then that means nothing there
    assert (wire.mids, len(window)) == ([], 1)
    window.settle(again)
    assert wire.mids == [1]


def test_to_close_twice_is_fine(window: AckWindow, wire: Wire) -> None:
    window.close()
    window.close()
    window.settle(window.add(1))
    assert wire.mids == [1]


class AnyInterleaving(RuleBasedStateMachine):
    """Messages come, deliveries are reported, late ones too, and connections go, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.wire = Wire()
        self.window = AckWindow(self.wire.send)
        self.tickets: list[tuple[int, int, Ticket]] = []
        self.settled: set[int] = set()
        self.next_mid = 0

    @initialize()
    def begin(self) -> None:
        self.come(1)

    @rule(count=st.integers(1, 4))
    def come(self, count: int) -> None:
        for _ in range(count):
            # A packet id of its own for each message, though a broker would use them again: so mistakes show.
            self.next_mid += 1
            self.tickets.append((self.wire.connection, self.next_mid, self.window.add(self.next_mid)))

    @rule(data=st.data())
    def report(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(max(0, len(self.tickets) - 8), len(self.tickets) - 1))
        connection, mid, ticket = self.tickets[place]
        if connection == self.wire.connection:
            self.settled.add(mid)
        self.window.settle(ticket)

    @rule()
    def lose_the_connection(self) -> None:
        self.window.close()
        self.wire.connection += 1

    @invariant()
    def exactly_the_leading_settled_ones_are_acknowledged(self) -> None:
        expected: list[tuple[int, int]] = []
        open_now = 0
        for connection in range(self.wire.connection + 1):
            own = [mid for came_on, mid, _ in self.tickets if came_on == connection]
            leading = next((place for place, mid in enumerate(own) if mid not in self.settled), len(own))
            expected += [(connection, mid) for mid in own[:leading]]
            open_now = len(own) - leading
        assert self.wire.sent == expected
        assert len(self.window) == open_now

    def teardown(self) -> None:
        # In the end all of the present connection are settled: then none is left.
        for _, _, ticket in self.tickets:
            self.window.settle(ticket)
        last = [mid for connection, mid, _ in self.tickets if connection == self.wire.connection]
        assert [mid for connection, mid in self.wire.sent if connection == self.wire.connection] == last
        assert len(self.window) == 0


TestAnyInterleaving = AnyInterleaving.TestCase


def in_threads(*bodies: Callable[[], None]) -> None:
    """Run the bodies at the same time, and raise what one of them raised."""
    errors: list[BaseException] = []
    together = threading.Barrier(len(bodies))

    def run(body: Callable[[], None]) -> None:
        try:
            together.wait(10)
            body()
        except BaseException as error:  # raised below, on the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "the window is locked for ever"
    if errors:
        raise errors[0]


class TestSeveralThreads:
    @given(st.randoms(use_true_random=False))
    def test_reports_from_all_sides_leave_in_order(self, shuffle: random.Random) -> None:
        # Given 200 messages
        wire = Wire()
        window = AckWindow(wire.send)
        tickets = [window.add(mid) for mid in range(200)]
        shuffle.shuffle(tickets)

        def settle(part: list[Ticket]) -> None:
            for ticket in part:
                window.settle(ticket)

        # When three threads settle them in any order, some twice
        parts = tickets[::3], tickets[1::3], tickets[2::3] + tickets[::10]
        in_threads(*(partial(settle, part) for part in parts))
        # Then all have gone out, in order, once
        assert wire.mids == list(range(200))

    @pytest.mark.parametrize("other", ["settle", "close"])
    def test_whoever_comes_while_one_is_going_out_waits(self, other: str) -> None:
        # Given an acknowledgement that is on its way out, by one thread
        leaving, let_go = threading.Event(), threading.Event()
        happened: list[str] = []

        def send(mid: int) -> None:
            if mid == 1:
                leaving.set()
                assert let_go.wait(10)
            happened.append(f"sent {mid}")

        window = AckWindow(send)
        first, second = window.add(1), window.add(2)

        def interfere() -> None:
            window.settle(second) if other == "settle" else window.close()
            happened.append(other)

        slow = threading.Thread(target=window.settle, args=(first,))
        fast = threading.Thread(target=interfere)
        slow.start()
        assert leaving.wait(10)
        # When another thread wants to send the next one, or closes the connection, and has every chance to
        fast.start()
        fast.join(0.1)
        let_go.set()
        slow.join(10)
        fast.join(10)
        # Then it has waited for the first
        assert happened == {"settle": ["sent 1", "sent 2", "settle"], "close": ["sent 1", "close"]}[other]

    def test_nothing_of_a_connection_goes_out_once_it_is_closed(self) -> None:
        # Given a thread that settles messages as they come, and one that loses connections meanwhile
        wire = Wire()
        window = AckWindow(wire.send)
        queue: list[tuple[int, int, Ticket]] = []
        after_close: list[tuple[int, int]] = []
        done = threading.Event()

        def come_and_go() -> None:
            mid = 0
            for connection in range(60):
                for _ in range(30):
                    mid += 1
                    queue.append((connection, mid, window.add(mid)))
                window.close()
                # From here on only a later connection may be acknowledged on.
                after_close.append((connection, len(wire.sent)))
                wire.connection += 1
            done.set()

        def settle() -> None:
            place = 0
            while not (done.is_set() and place == len(queue)):
                if place < len(queue):
                    window.settle(queue[place][2])
                    place += 1

        # When
        in_threads(come_and_go, settle)
        # Then whatever went out went out on the connection on which it had come, and before that was closed
        came_on = {mid: connection for connection, mid, _ in queue}
        assert all(came_on[mid] == connection for connection, mid in wire.sent)
        for connection, sent in after_close:
            assert all(came_on[mid] > connection for mid in wire.mids[sent:])
        # And in order, none twice
        assert wire.mids == sorted(set(wire.mids))
