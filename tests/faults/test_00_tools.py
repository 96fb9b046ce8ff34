"""The tools of the fault tests see a loss where there is one."""

from __future__ import annotations

import dataclasses

import pytest

from faults.ledger import Arrival, draw_up
from faults.messages import BATCH, DEVICES, HttpRecipe, Recipe, find_number

RECIPE = Recipe()


def arrival(number: int, offset: int) -> Arrival:
    sent = RECIPE.build(number)
    return Arrival(number % DEVICES, offset, sent.device, sent.payload, sent.id)


class TestMessages:
    def test_a_number_makes_one_message(self) -> None:
        sent = [RECIPE.build(number) for number in range(100)]
        assert sent == [RECIPE.build(number) for number in range(100)]
        assert len({one.payload for one in sent}) == len({one.id for one in sent}) == 100
        assert [find_number(one.payload) for one in sent] == list(range(100))
        assert all(290 <= len(one.payload) < 300 for one in sent)

    def test_each_device_sends_with_and_without_an_id(self) -> None:
        kinds = {(one.device, one.own_id is None) for one in (RECIPE.build(n) for n in range(2 * DEVICES))}
        assert len(kinds) == 2 * DEVICES

    def test_a_batch_over_http_shares_its_key(self) -> None:
        device = [HttpRecipe().build(DEVICES * position) for position in range(2 * BATCH)]
        assert [one.id for one in device[:BATCH]] == [f"DEV-00-0#{index}" for index in range(BATCH)]
        assert {one.own_id for one in device} == {"DEV-00-0", None}
        assert len({one.id for one in device}) == 2 * BATCH

    def test_strangers_have_no_number(self) -> None:
        assert find_number(b'{"device":"DEV-01"}') is None


class TestLedger:
    def test_all_is_well(self) -> None:
        account = draw_up({0: 0.1, 1: 0.2}, [arrival(0, 0), arrival(1, 1), arrival(2, 2)], recipe=RECIPE)
        assert (account.lost, account.duplicates, account.reordered, account.wrong) == ([], 0, [], [])
        assert account.found == 3

    def test_what_is_missing_is_told_with_its_time(self) -> None:
        acknowledged = {number: number / 10 for number in range(10)}
        arrivals = [arrival(number, number) for number in (0, 1, 5, 9)]
        account = draw_up(acknowledged, arrivals, recipe=RECIPE, events=[(0.3, "SIGKILL")])
        assert account.lost == [2, 3, 4, 6, 7, 8]
        assert "6 LOST" in str(account)
        assert "lost: 2 to 4 (3), acknowledged at 0.200 to 0.400 s" in str(account)
        assert "0.300 s: SIGKILL" in str(account)

    def test_what_is_missing_outside_of_certain_times(self) -> None:
        acknowledged = {number: number / 10 for number in range(10)}
        account = draw_up(acknowledged, [arrival(number, number) for number in (0, 1, 5, 9)], recipe=RECIPE)
        assert account.lost_outside([]) == account.lost
        assert account.lost_outside([(0.25, 0.4), (0.7, 0.7), (0.9, 2.0)]) == [2, 6, 8]

    def test_a_copy_is_no_loss_and_no_reordering(self) -> None:
        arrivals = [arrival(0, 0), arrival(DEVICES, 1), arrival(0, 2)]
        account = draw_up({0: 0, DEVICES: 0}, arrivals, recipe=RECIPE)
        assert (account.lost, account.duplicates, account.reordered, account.wrong) == ([], 1, [], [])

    def test_a_device_s_messages_have_an_order(self) -> None:
        account = draw_up({}, [arrival(DEVICES, 0), arrival(0, 1), arrival(1, 2)], recipe=RECIPE)
        assert account.reordered == [(0, DEVICES)]

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"id": "other"}, "message 0: the id 'other', not 'own-0'"),
            ({"id": None}, "message 0: the id None, not 'own-0'"),
            ({"key": "DEV-99"}, "message 0: the key 'DEV-99', not 'DEV-00'"),
            ({"value": arrival(0, 0).value + b" "}, "message 0: other bytes than were sent"),
            ({"value": b"{}"}, "none of the fleet's"),
        ],
    )
    def test_a_copy_that_is_not_what_was_sent_is_wrong(self, change: dict[str, str], said: str) -> None:
        copy = dataclasses.replace(arrival(0, 1), **change)  # type: ignore[arg-type]
        account = draw_up({0: 0}, [arrival(0, 0), copy], recipe=RECIPE)
        assert len(account.wrong) == 1
        assert said in account.wrong[0]
        assert said in str(account)

    def test_what_came_with_other_bytes_has_not_arrived(self) -> None:
        damaged = dataclasses.replace(arrival(0, 0), value=arrival(0, 0).value + b" ")
        assert draw_up({0: 0}, [damaged], recipe=RECIPE).lost == [0]
