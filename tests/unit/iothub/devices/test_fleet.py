"""What simulated devices say: valid for the schema, or damaged in a way that the schema names."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iothub.devices.damage import KINDS, DamagePlan
from iothub.devices.fleet import Fleet
from iothub.devices.message import Message
from telemetry.errors import InvalidTelemetry
from telemetry.headers import derive_id
from telemetry.schema import Telemetry, parse_telemetry
from telemetry.timestamps import format_utc

NOON = datetime(2026, 2, 20, 12, tzinfo=UTC)

# Milliseconds since 1970 are taken for seconds below 10^11 of them, which is March 1973.
moments = st.datetimes(datetime(1974, 1, 1), datetime(2999, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001


def judge(message: Message) -> Telemetry | str:
    """Return the message as the validator has it, or its reason code."""
    try:
        return parse_telemetry(message.payload, message.device)
    except InvalidTelemetry as error:
        return error.reason


class TestMessages:
    @given(seed=st.integers(), devices=st.integers(1, 200), number=st.integers(0, 10**7), moment=moments)
    def test_a_good_one_is_valid_and_says_who_and_when(
        self, seed: int, devices: int, number: int, moment: datetime
    ) -> None:
        message = Fleet(devices, seed=seed).build_message(number, moment)
        parsed = judge(message)
        assert isinstance(parsed, Telemetry)
        assert parsed.device == message.device == f"DEV-{number % devices + 1:04}"
        assert parsed.metrics
        # Some devices write no seconds.
        assert abs(parsed.ts - moment) < timedelta(minutes=1)

    @given(seed=st.integers(), number=st.integers(0, 10**7), moment=moments)
    def test_a_damaged_one_has_exactly_the_reason_that_its_kind_names(
        self, seed: int, number: int, moment: datetime
    ) -> None:
        message = Fleet(30, damaged=1, seed=seed).build_message(number, moment)
        assert message.damage is not None
        assert judge(message) == message.damage.reason

    @pytest.mark.parametrize("damage", KINDS, ids=lambda damage: damage.kind)
    def test_each_kind_of_damage(self, damage: object) -> None:
        fleet = Fleet(9, damaged=1)
        (found,) = [m for m in (fleet.build_message(n, NOON) for n in range(len(KINDS))) if m.damage is damage]
        assert found.damage is not None
        assert judge(found) == found.damage.reason

    def test_no_two_are_the_same_bytes_and_the_id_is_what_ingestion_derives(self) -> None:
        fleets = [Fleet(20, damaged=0.5, run=run) for run in ("one", "two")]
        messages = [fleet.build_message(number, NOON) for fleet in fleets for number in range(2000)]
        assert len({message.payload for message in messages}) == len(messages)
        assert all(message.id == derive_id(message.topic, message.payload) for message in messages)
        assert all(message.topic == f"telemetry/{message.device}" for message in messages)

    def test_the_same_seed_says_the_same_and_another_does_not(self) -> None:
        first, again, other = (
            [Fleet(5, damaged=0.2, seed=seed).build_message(number, NOON).payload for number in range(50)]
            for seed in (1, 1, 2)
        )
        assert first == again != other

    def test_values_move_slowly(self) -> None:
        fleet = Fleet(4)
        # DEV-0001, once a second for five minutes.
        temperatures = [
            parse_telemetry(fleet.build_message(4 * second, NOON + timedelta(seconds=second)).payload).metrics[
                "temperature"
            ]
            for second in range(300)
        ]
        assert len(set(temperatures)) > 20
        assert max(abs(a - b) for a, b in pairwise(temperatures)) < 0.5
        assert all(10 < temperature < 35 for temperature in temperatures)

    def test_together_they_write_the_time_in_every_form_and_some_leave_their_name_out(self) -> None:
        fleet = Fleet(20)
        payloads = [fleet.build_message(number, NOON).payload for number in range(20)]
        for form in (b'"2026-02-20T12:00:00Z"', b'"2026-02-20 12:00"', b"1771588800,", b"+01:00", b"1771588800000"):
            assert any(form in payload or form.rstrip(b",") + b"}" in payload for payload in payloads), form
        assert 0 < sum(b'"device"' not in payload for payload in payloads) < 5


class TestPlan:
    def test_messages_are_due_at_the_rate_without_drift(self) -> None:
        plan = Fleet(3).plan(50, NOON)
        planned = [next(plan) for _ in range(3001)]
        assert [p.due for p in planned[:4]] == [0, 0.02, 0.04, 0.06]
        assert planned[3000].due == 60
        last = judge(planned[3000].message)
        assert isinstance(last, Telemetry)
        assert format_utc(last.ts) == "2026-02-20T12:01:00Z"


class TestDamagePlan:
    @given(
        share=st.sampled_from([0.001, 0.02, 0.1, 0.3, 1 / 3, 0.7, 0.999, 1.0]),
        seed=st.integers(),
        runs=st.integers(1, 9),
    )
    def test_exactly_the_share_is_damaged(self, share: float, seed: int, runs: int) -> None:
        plan = DamagePlan(share, seed)
        count = runs * 1000
        damaged = sum(plan.find(number) is not None for number in range(count))
        # The stretch that the count cuts through may have its damaged one on either side.
        assert abs(damaged - count * share) <= 1

    def test_a_share_of_nothing_damages_nothing(self) -> None:
        assert not any(DamagePlan(0, 1).find(number) for number in range(1000))

    def test_the_kinds_take_turns(self) -> None:
        plan = DamagePlan(0.1, 7)
        kinds = Counter(damage.kind for number in range(10 * len(KINDS)) if (damage := plan.find(number)) is not None)
        assert kinds == {damage.kind: 1 for damage in KINDS}
