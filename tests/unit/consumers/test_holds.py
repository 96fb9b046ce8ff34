"""Partitions that wait: for how long, in which order, and what is remembered of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.holds import Hold, Holds, Partition, compute_wait
from unit.consumers.pipeline import make_item

A: Partition = ("t", 0)
B: Partition = ("t", 1)


class Clock:
    """Stands still until it is put on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def holds(clock: Clock) -> Holds:
    return Holds(clock, jitter=lambda: 0.5)


def hold(
    holds: Holds, partition: Partition = A, *, problem: str = "busy", after: float | None = None, isolate: bool = False
) -> Hold:
    return holds.hold(partition, [make_item(7)], problem=problem, after=after, isolate=isolate)


class TestComputeWait:
    @pytest.mark.parametrize(
        ("tries", "seconds"), [(1, 0.2), (2, 0.4), (3, 0.8), (8, 25.6), (9, 30.0), (100, 30.0), (10**9, 30.0)]
    )
    def test_it_doubles_from_a_fifth_of_a_second_to_thirty(self, tries: int, seconds: float) -> None:
        assert compute_wait(tries, 0.5) == pytest.approx(seconds)

    @given(st.integers(1, 10_000), st.floats(0, 1))
    def test_jitter_is_half_to_one_and_a_half_times(self, tries: int, jitter: float) -> None:
        middle = compute_wait(tries, 0.5)
        assert 0.5 * middle <= compute_wait(tries, jitter) <= 1.5 * middle
        assert compute_wait(tries, jitter) <= compute_wait(tries + 1, jitter)


class TestWaiting:
    def test_it_waits_until_its_time_has_come(self, holds: Holds, clock: Clock) -> None:
        # Given a partition that waits for 5 s
        held = hold(holds, after=5)
        assert held.due == clock.now + 5
        # When 4.9 s have passed, Then it is not due
        clock.now += 4.9
        assert holds.take_due() is None
        assert holds.seconds_until_due() == pytest.approx(0.1)
        # When 5 s have, Then it is, once
        clock.now += 0.2
        assert holds.seconds_until_due() == 0.0
        assert holds.take_due() == (A, held)
        assert holds.take_due() is None
        assert (len(holds), A in holds, holds.seconds_until_due()) == (0, False, None)

    def test_a_wait_of_nothing_is_due_at_once(self, holds: Holds) -> None:
        held = hold(holds, after=0)
        assert holds.take_due() == (A, held)

    def test_what_it_waits_with_comes_back_as_it_was(self, holds: Holds) -> None:
        items = [make_item(7), make_item(8)]
        holds.hold(A, items, problem="busy", after=0, isolate=True)
        due = holds.take_due()
        assert due is not None
        assert (due[1].items, due[1].isolate, due[1].problem) == (items, True, "busy")

    def test_without_a_time_of_its_own_it_waits_longer_each_time(self, holds: Holds, clock: Clock) -> None:
        waits = []
        for _ in range(4):
            held = hold(holds)
            waits.append(held.due - clock.now)
            clock.now = held.due
            assert holds.take_due() == (A, held)
        assert waits == pytest.approx([0.2, 0.4, 0.8, 1.6])

    def test_the_jitter_is_asked_each_time(self, clock: Clock) -> None:
        answers = iter([0.0, 1.0])
        holds = Holds(clock, jitter=lambda: next(answers))
        assert hold(holds, A).due - clock.now == pytest.approx(0.1)
        assert hold(holds, B).due - clock.now == pytest.approx(0.3)

    def test_by_default_jitter_is_random(self, clock: Clock) -> None:
        holds = Holds(clock)
        assert len({hold(holds, ("t", number)).due for number in range(20)}) > 1

    def test_partitions_wait_by_themselves(self, holds: Holds, clock: Clock) -> None:
        hold(holds, A, after=5)
        hold(holds, B, after=1)
        assert holds.seconds_until_due() == 1
        clock.now += 1
        due = holds.take_due()
        assert due is not None
        assert due[0] == B
        assert (A in holds, B in holds, len(holds)) == (True, False, 1)

    def test_whoever_waits_again_stands_behind_the_others_that_are_due(self, holds: Holds) -> None:
        # Given two that are due at once
        hold(holds, A, after=0)
        hold(holds, B, after=0)
        # When the first is taken and has to wait again
        first = holds.take_due()
        assert first is not None
        hold(holds, first[0], after=0)
        # Then it is the other's turn
        second = holds.take_due()
        assert second is not None
        assert {first[0], second[0]} == {A, B}

    def test_to_hold_it_anew_replaces_what_it_waited_with(self, holds: Holds) -> None:
        hold(holds, after=100)
        held = hold(holds, after=0)
        assert (holds.take_due(), len(holds)) == ((A, held), 0)


class TestMemory:
    def test_a_partition_that_moved_on_begins_anew(self, holds: Holds, clock: Clock) -> None:
        # Given one that has waited three times
        for _ in range(3):
            held = hold(holds)
        assert held.tries == 3
        # When it moves on, and has to wait once more
        holds.settle(A)
        again = hold(holds)
        # Then it is the first time
        assert again.tries == 1
        assert again.due - clock.now == pytest.approx(0.2)

    def test_that_it_was_taken_does_not_make_it_forget(self, holds: Holds) -> None:
        hold(holds, after=0)
        holds.take_due()
        assert hold(holds).tries == 2

    def test_to_settle_one_leaves_the_others(self, holds: Holds) -> None:
        hold(holds, A)
        hold(holds, B)
        holds.settle(A)
        assert (hold(holds, A).tries, hold(holds, B).tries) == (1, 2)

    def test_a_partition_of_somebody_else_is_forgotten_whole(self, holds: Holds) -> None:
        hold(holds, A)
        hold(holds, B)
        holds.drop(A)
        assert (A in holds, B in holds) == (False, True)
        assert hold(holds, A).tries == 1

    def test_to_forget_what_is_not_there_is_fine(self, holds: Holds) -> None:
        holds.drop(A)
        holds.settle(A)
        assert len(holds) == 0


class TestProblem:
    def test_nobody_waits(self, holds: Holds) -> None:
        assert holds.problem is None

    def test_it_names_the_partition_that_has_waited_for_the_most_tries(self, holds: Holds) -> None:
        hold(holds, A, problem="once")
        for _ in range(2):
            hold(holds, B, problem="the database is away")
        assert holds.problem == "t[1] waits, try 2: the database is away"


@given(st.lists(st.tuples(st.integers(0, 4), st.none() | st.floats(0, 100), st.floats(0, 50)), max_size=30))
def test_nobody_comes_back_early_and_everybody_comes_back(steps: list[tuple[int, float | None, float]]) -> None:
    # Given some partitions that begin to wait while time passes
    clock = Clock()
    holds = Holds(clock)
    waiting: set[Partition] = set()
    for number, after, passes in steps:
        hold(holds, ("t", number), after=after)
        waiting.add(("t", number))
        clock.now += passes
        while (due := holds.take_due()) is not None:
            assert due[1].due <= clock.now
            waiting.remove(due[0])
        until = holds.seconds_until_due()
        assert (until is None) is (not waiting)
        assert until is None or until > 0
    # When as much time has passed as the next one needs, again and again
    while (until := holds.seconds_until_due()) is not None:
        clock.now += until + 1e-6
        due = holds.take_due()
        assert due is not None
        waiting.remove(due[0])
    # Then nobody waits any more
    assert not waiting
