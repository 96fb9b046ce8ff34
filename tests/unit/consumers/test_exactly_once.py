"""Which outcomes may be in one transaction with an offset: those of messages before it, and no other."""

from __future__ import annotations

from consumers.calls import Item, Outcome
from consumers.exactly_once import choose_whole
from unit.consumers.pipeline import make_item


def items(count: int) -> list[Item]:
    return [make_item(offset) for offset in range(count)]


def test_everything_where_everything_is_covered() -> None:
    own = items(4)
    outcomes = [Outcome(own[:2]), Outcome(own[2:])]
    assert choose_whole(own, outcomes) == (4, outcomes)


def test_what_waits_keeps_what_is_behind_it_out() -> None:
    own = items(4)
    before, behind = Outcome(own[:1]), Outcome(own[2:])
    assert choose_whole(own, [before, behind]) == (1, [before])


def test_an_outcome_on_both_sides_of_what_waits_is_left_out_whole() -> None:
    own = items(4)
    around, first = Outcome([own[1], own[3]]), Outcome(own[:1])
    assert choose_whole(own, [first, around]) == (1, [first])


def test_one_left_out_may_leave_out_the_next() -> None:
    own = items(6)
    a, b, c = Outcome([own[0], own[2]]), Outcome([own[1], own[4]]), Outcome([own[5]])
    assert choose_whole(own, [a, b, c]) == (0, [])


def test_what_is_done_already_lies_in_nobodys_way() -> None:
    own = items(4)
    own[0].done = own[2].done = True
    outcomes = [Outcome([own[1]]), Outcome([own[3]])]
    assert choose_whole(own, outcomes) == (4, outcomes)


def test_nothing_where_the_first_one_waits() -> None:
    own = items(2)
    assert choose_whole(own, [Outcome(own[1:])]) == (0, [])
