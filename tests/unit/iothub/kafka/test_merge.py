"""The merge of a topic's partitions: by time, never out of a partition's order, nothing lost, nothing twice."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from consumers.records import Record
from iothub.kafka.reading import Merge
from unit.iothub.kafka.making import make_record

streams = st.lists(st.lists(st.integers(0, 50), max_size=12), min_size=1, max_size=4)
"""Of each partition, the timestamps of its records in the order of their offsets."""


def make_partitions(stamps: list[list[int]]) -> list[list[Record]]:
    return [
        [make_record(partition=number, offset=offset, timestamp=stamp) for offset, stamp in enumerate(own)]
        for number, own in enumerate(stamps)
    ]


def arrive(partitions: list[list[Record]], order: list[int]) -> list[Record]:
    """Return the records in an order in which Kafka may deliver them: mixed, each partition's in their order."""
    left = [list(own) for own in partitions]
    arrived = [left[number % len(left)].pop(0) for number in order if left[number % len(left)]]
    return arrived + [record for own in left for record in own]


def merge(partitions: list[list[Record]], arrived: list[Record]) -> list[Record]:
    merge, found = Merge(), list[Record]()
    for number, own in enumerate(partitions):
        if own:
            merge.expect(number, len(own))
    for record in arrived:
        merge.take(record, keep_later=False)
        found.extend(merge.pop_ready())
    assert not merge.is_waiting
    return found + list(merge.drain())


@given(streams, st.lists(st.integers(0, 3), max_size=60))
def test_every_record_comes_once_and_in_its_partitions_order(stamps: list[list[int]], order: list[int]) -> None:
    partitions = make_partitions(stamps)
    found = merge(partitions, arrive(partitions, order))
    by_partition = defaultdict(list)
    for record in found:
        by_partition[record.partition].append(record)
    assert {number: own for number, own in enumerate(partitions) if own} == by_partition


@given(streams, st.lists(st.integers(0, 3), max_size=60))
def test_where_clocks_go_forward_the_order_is_that_of_time(stamps: list[list[int]], order: list[int]) -> None:
    partitions = make_partitions([sorted(own) for own in stamps])
    found = merge(partitions, arrive(partitions, order))
    assert [record.timestamp for record in found] == sorted(record.timestamp for record in found)


def test_what_came_after_the_reading_began_is_left_out_or_kept() -> None:
    for keep, expected in ((False, [0]), (True, [0, 1])):
        merge = Merge()
        merge.expect(0, 1)
        for offset in (0, 1):
            merge.take(make_record(offset=offset), keep_later=keep)
        assert [record.offset for record in merge.drain()] == expected


def test_a_partition_whose_end_is_no_record_is_not_waited_for() -> None:
    """Given a compacted topic, or one with transactions, its last offsets may hold nothing; Kafka says: the end."""
    merge = Merge()
    merge.expect(0, 10)
    merge.take(make_record(offset=3), keep_later=False)
    assert merge.is_waiting
    merge.reach(0, 10)
    assert not merge.is_waiting


def test_a_gap_before_the_end_is_not_waited_for_either() -> None:
    merge = Merge()
    merge.expect(0, 10)
    merge.take(make_record(offset=12), keep_later=False)
    assert not merge.is_waiting
    assert list(merge.drain()) == []


def test_a_partition_far_ahead_of_the_others_is_told() -> None:
    # Given one partition that has sent nothing yet
    merge = Merge()
    merge.expect(0, 50_000)
    merge.expect(1, 1)
    for offset in range(20_001):
        merge.take(make_record(offset=offset), keep_later=False)
    assert merge.find_full() == {0}
    # When it does, then what was in hand goes on
    merge.take(make_record(partition=1, timestamp=0), keep_later=False)
    assert len(list(merge.pop_ready())) == 20_002
    assert merge.find_full() == set()


def test_large_records_count_by_their_bytes() -> None:
    merge = Merge()
    merge.expect(0, 5)
    merge.expect(1, 1)
    for offset in range(2):
        merge.take(make_record(bytes(9_000_000), offset=offset), keep_later=False)
    assert merge.find_full() == {0}
