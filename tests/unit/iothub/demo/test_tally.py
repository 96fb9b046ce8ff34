"""The demonstration's book-keeping: lost is what was acknowledged and never arrived, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from iothub.demo.tally import Tally, Totals
from iothub.devices.fleet import Fleet
from iothub.devices.message import Message

NOON = datetime(2026, 2, 20, 12, tzinfo=UTC)
GOOD = [Fleet(5).build_message(number, NOON) for number in range(8)]
DAMAGED = [Fleet(5, damaged=1, run="d").build_message(number, NOON) for number in range(8)]


def reason_of(message: Message) -> str:
    assert message.damage is not None
    return message.damage.reason


def tally_of(*sent: Message, acknowledged: bool = True) -> Tally:
    tally = Tally()
    for message in sent:
        tally.note_sent(message)
        if acknowledged:
            tally.note_acknowledged(message)
    return tally


class TestWhatIsLost:
    def test_all_arrived_nothing_is(self) -> None:
        tally = tally_of(GOOD[0], GOOD[1], DAMAGED[0])
        tally.note_clean(GOOD[0].id)
        tally.note_clean(GOOD[1].id)
        tally.note_dead(DAMAGED[0].id, reason_of(DAMAGED[0]))
        assert tally.total() == Totals(
            sent=3, acknowledged=3, clean=2, dead=1, reasons={reason_of(DAMAGED[0]): 1}, awaited=0
        )
        assert tally.find_awaited() == []

    def test_what_was_acknowledged_and_did_not_arrive_is(self) -> None:
        tally = tally_of(*GOOD[:3])
        tally.note_clean(GOOD[1].id)
        assert tally.total().awaited == 2
        assert tally.find_awaited() == [GOOD[0].id, GOOD[2].id]
        assert tally.find_awaited(1) == [GOOD[0].id]

    def test_raw_alone_is_no_arrival(self) -> None:
        tally = tally_of(GOOD[0])
        tally.note_raw(GOOD[0].id)
        assert (tally.total().raw, tally.total().awaited) == (1, 1)

    def test_what_was_never_acknowledged_is_not(self) -> None:
        tally = tally_of(GOOD[0], acknowledged=False)
        assert tally.total() == Totals(sent=1)
        tally.note_clean(GOOD[0].id)
        assert tally.total() == Totals(sent=1, clean=1)

    def test_it_may_arrive_before_its_acknowledgement(self) -> None:
        tally = tally_of(GOOD[0], acknowledged=False)
        tally.note_clean(GOOD[0].id)
        tally.note_acknowledged(GOOD[0])
        assert tally.total() == Totals(sent=1, acknowledged=1, clean=1, awaited=0)

    @given(st.data())
    def test_lost_is_acknowledged_without_clean_and_dead_in_any_order_of_events(self, data: st.DataObject) -> None:
        messages = [*GOOD, *DAMAGED]
        acknowledged = data.draw(st.sets(st.sampled_from(messages)))
        clean = data.draw(st.lists(st.sampled_from(messages)))
        dead = data.draw(st.lists(st.sampled_from(messages)))
        tally = tally_of(*messages, acknowledged=False)
        events = [("ack", m) for m in acknowledged] + [("clean", m) for m in clean] + [("dead", m) for m in dead]
        for what, message in data.draw(st.permutations(events)):
            if what == "ack":
                tally.note_acknowledged(message)
            elif what == "clean":
                tally.note_clean(message.id)
            else:
                tally.note_dead(message.id, "not_json")
        ids = {m.id for m in acknowledged} - {m.id for m in clean} - {m.id for m in dead}
        total = tally.total()
        assert total.awaited == len(ids)
        assert set(tally.find_awaited(100)) == ids
        assert total.duplicates == len(clean) + len(dead) - len({m.id for m in clean} | {m.id for m in dead})


class TestWhatElseIsCounted:
    def test_duplicates_count_once_each_and_change_nothing_else(self) -> None:
        tally = tally_of(GOOD[0], DAMAGED[0])
        for _ in range(3):
            tally.note_raw(GOOD[0].id)
            tally.note_clean(GOOD[0].id)
            tally.note_dead(DAMAGED[0].id, reason_of(DAMAGED[0]))
        total = tally.total()
        assert (total.raw, total.clean, total.dead, total.duplicates, total.awaited) == (1, 1, 1, 4, 0)
        assert total.reasons == {reason_of(DAMAGED[0]): 1}

    def test_strangers_are_counted_apart(self) -> None:
        tally = tally_of(GOOD[0])
        for identifier in ("ab" * 16, "no hex", "", None):
            tally.note_clean(identifier)
            tally.note_dead(identifier, "not_json")
        assert tally.total() == Totals(sent=1, acknowledged=1, awaited=1, strangers=8)

    def test_reasons_come_most_first(self) -> None:
        tally = tally_of(*DAMAGED)
        for message, reason in zip(DAMAGED, ["a", "b", "b", "c", "c", "c"], strict=False):
            tally.note_dead(message.id, reason)
        assert list(tally.total().reasons.items()) == [("c", 3), ("b", 2), ("a", 1)]


class TestMisjudgements:
    def test_right_reasons_are_none(self) -> None:
        tally = tally_of(*DAMAGED)
        for message in DAMAGED:
            tally.note_dead(message.id, reason_of(message))
        assert tally.total().misjudged == 0

    def test_a_good_one_among_the_dead(self) -> None:
        tally = tally_of(GOOD[0])
        tally.note_dead(GOOD[0].id, "bad_ts")
        total = tally.total()
        assert total.misjudged == 1
        assert total.misjudgements == (
            f"{GOOD[0].id} (good) is a dead letter with reason bad_ts, and should have none",
        )

    def test_a_damaged_one_among_the_clean(self) -> None:
        tally = tally_of(DAMAGED[0])
        tally.note_clean(DAMAGED[0].id)
        assert tally.total().misjudged == 1
        assert "is clean, and should be a dead letter" in tally.total().misjudgements[0]

    def test_a_wrong_reason(self) -> None:
        tally = tally_of(DAMAGED[0])
        tally.note_dead(DAMAGED[0].id, "another")
        assert tally.total().misjudged == 1
        assert f"should have {reason_of(DAMAGED[0])}" in tally.total().misjudgements[0]

    def test_all_are_counted_and_a_few_are_told(self) -> None:
        tally = tally_of(*GOOD)
        for message in GOOD:
            tally.note_dead(message.id, "bad_ts")
        assert (tally.total().misjudged, len(tally.total().misjudgements)) == (8, 5)
