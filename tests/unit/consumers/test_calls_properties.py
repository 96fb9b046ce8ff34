"""Whatever a handler does, each message has one fate: never two, never none, in the order of its partition."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from consumers.calls import Item, Outcome
from unit.consumers.calling import Recorder, run
from unit.consumers.pipeline import FOR_EVER, Deed, Script, ScriptedHandler, consume, make_item

DEEDS: list[Deed] = ["fine", "silent", "huge", "reject", "raise reject", "wrong place", "boom", "connection", "later"]
scripts = st.builds(
    lambda deed, times, partition: (Script("", deed, times), partition),
    st.sampled_from(DEEDS),
    st.sampled_from([1, 2, 3, FOR_EVER]),
    st.integers(0, 2),
).filter(lambda pair: pair[0].times < FOR_EVER or pair[0].deed not in {"connection", "later"})

MAX_ATTEMPTS = 3


class TestWhateverAHandlerDoes:
    """Messages of three partitions, each with a script of its own, consumed to the end."""

    @given(
        script=st.lists(scripts, max_size=12),
        batch=st.booleans(),
        lazy=st.booleans(),
        batch_size=st.integers(1, 12),
    )
    @example([(Script("", "boom"), 0), (Script("", "fine"), 0)], True, False, 2)
    @example([(Script("", "wrong place"), 0), (Script("", "later", 1), 0), (Script("", "fine"), 1)], True, True, 3)
    def test_each_message_has_one_fate_in_the_order_of_its_partition(
        self, script: list[tuple[Script, int]], batch: bool, lazy: bool, batch_size: int
    ) -> None:
        # Given
        messages = []
        for offset, (one, partition) in enumerate(script):
            fresh = Script(f"m{offset}", one.deed, one.times)
            messages.append(make_item(offset, fresh, partition=partition))
        # When they are consumed to the end
        fate = consume(
            ScriptedHandler(batch, lazy),
            messages,
            batch=batch,
            batch_size=batch_size,
            max_attempts=MAX_ATTEMPTS,
            watch=expect_outcomes_to_be_of_the_items,
        )
        # Then each one is done, dead exactly if it had to die, and the place of each partition has moved in order
        for item in messages:
            expect_fate(item)
        for place, moved in fate.settled.items():
            assert moved == [item.record.offset for item in messages if item.partition == place]
        # And what came of them is produced once, in the order of each partition
        expected = [item for item in messages if item.cause is None and item.record.value.deed != "silent"]
        assert sorted(fate.produced) == sorted(item.record.value.name.encode() for item in expected)
        for place in fate.settled:
            own = [item.record.value.name.encode() for item in expected if item.partition == place]
            assert [value for value in fate.produced if value in own] == own

    @given(
        deeds=st.lists(
            st.sampled_from(["fine", "silent", "reject", "raise reject", "wrong place", "boom", "huge"]),
            min_size=1,
            max_size=12,
        ),
        partitions=st.lists(st.integers(0, 2), min_size=12, max_size=12),
        lazy=st.booleans(),
    )
    @example(["fine", "boom", "fine", "boom", "fine"], [0, 0, 0, 1, 1, *[2] * 7], False)
    @example(["fine", "raise reject", "raise reject", "raise reject", "fine"], [0] * 12, True)
    @example(["raise reject", "boom", "fine"], [0, 1, 2] * 4, False)
    def test_a_good_message_beside_bad_ones_is_not_handed_over_more_often_than_needed(
        self, deeds: list[Deed], partitions: list[int], lazy: bool
    ) -> None:
        # Given a batch of good and of bad ones
        messages = [
            make_item(offset, Script(f"m{offset}", deed), partition=partitions[offset])
            for offset, deed in enumerate(deeds)
        ]
        # When
        consume(ScriptedHandler(True, lazy), messages, batch=True, batch_size=12, max_attempts=MAX_ATTEMPTS)
        # Then each was handed over with all, and once more alone, with one more time together where two were raised
        bad = [deed for deed in deeds if deed not in {"fine", "silent", "reject"}]
        most = 3 if "raise reject" in bad and len(bad) > 1 else 2 if bad else 1
        for item in messages:
            script = item.record.value
            assert script.handed <= (MAX_ATTEMPTS + most - 1 if script.deed == "boom" else most)

    @given(st.lists(scripts, min_size=1, max_size=8), st.booleans(), st.integers(0, 6))
    def test_what_a_stop_leaves_is_as_it_was(self, script: list[tuple[Script, int]], batch: bool, calls: int) -> None:
        # Given a stop after some calls
        handler = ScriptedHandler(batch)
        recorder = Recorder(handler.handle)
        messages = [
            make_item(offset, Script(f"m{offset}", one.deed, one.times), partition=partition)
            for offset, (one, partition) in enumerate(script)
        ]
        # When
        outcomes = run(recorder, messages, batch=batch, stopping=lambda: len(recorder.given) >= calls)
        # Then whoever has no outcome has no cause either: whoever comes next begins anew with it
        seen = [id(item) for outcome in outcomes for item in outcome.items]
        assert len(seen) == len(set(seen))
        assert all(item.cause is None for item in messages if id(item) not in seen)
        assert len(recorder.given) <= calls


def expect_outcomes_to_be_of_the_items(work: Sequence[Item], outcomes: list[Outcome]) -> None:
    """In one iteration nobody has two outcomes, and nobody who waits has a cause or has produced anything."""
    seen = [id(item) for outcome in outcomes for item in outcome.items]
    assert len(seen) == len(set(seen))
    assert set(seen) <= {id(item) for item in work}
    for outcome in outcomes:
        if outcome.retry is not None:
            assert outcome.outgoing == []
            assert all(item.cause is None for item in outcome.items)
    held_up = {item.partition for outcome in outcomes if outcome.retry for item in outcome.items}
    left = {item.partition for item in work if id(item) not in seen}
    assert left <= held_up


def expect_fate(item: Item) -> None:
    script: Script = item.record.value
    assert item.done
    if script.deed in {"reject", "raise reject"}:
        assert item.cause is not None
        assert (item.cause.reason, item.cause.message) == ("scripted", script.name)
    elif script.deed == "huge":
        assert item.cause is not None
        assert item.cause.reason == "output_refused"
    elif script.deed == "boom" and item.cause is not None:
        assert (item.cause.reason, item.cause.attempts) == ("handler_failed", MAX_ATTEMPTS)
    else:
        assert item.cause is None
        assert script.deed != "boom" or script.times == 0
