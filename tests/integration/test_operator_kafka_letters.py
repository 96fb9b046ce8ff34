"""Dead letters, counted by the operator where they lie."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from confluent_kafka import Producer

from integration.operator_kafka import Looking, commit, read, send_letters
from integration.test_consumer_headers import send_with_header
from integration_helpers import send
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until
from telemetry_operator.kafka.facts import DeadLetters, Reading
from telemetry_operator.kafka.lag import Span

Unique = Callable[[str], str]


def letters_of(looking: Looking, reading: Reading) -> DeadLetters:
    found = looking.look(reading).dead_letters
    assert found is not None
    return found


def test_each_group_sees_its_own_and_what_is_new_is_read_on(
    kafka: KafkaBroker, topic: str, dlq: str, unique: Unique
) -> None:
    looking, a, b = Looking(kafka), unique("a"), unique("b")
    commit(kafka, a, {(topic, 0): 0})
    reading_a, reading_b = read(a, topic, dead_letter_topic=dlq), read(b, topic, dead_letter_topic=dlq)
    assert letters_of(looking, reading_a) == DeadLetters(count=0, last_reason=None, last_at=None, since=None, skipped=0)
    began = datetime.now(UTC)
    send_letters(kafka, dlq, a, 3, reason="bad_ts")
    send_letters(kafka, dlq, b, 1, reason="too_deep")
    send_letters(kafka, dlq, a, 1, reason="not_json")
    letters = letters_of(looking, reading_a)
    assert (letters.count, letters.last_reason, letters.skipped) == (4, "not_json", 0)
    assert letters.last_at is not None
    assert began <= letters.last_at <= datetime.now(UTC)
    assert letters.since is not None
    assert letters_of(looking, reading_b).count == 1
    send_letters(kafka, dlq, a, 2)
    assert letters_of(looking, reading_a).count == 6
    assert letters_of(looking, reading_a).count == 6, "read once"


def test_nothing_is_read_while_nothing_is_new(kafka: KafkaBroker, topic: str, dlq: str, unique: Unique) -> None:
    looking, group = Looking(kafka), unique("group")
    looking.wait_for_coordinator(group)
    send_letters(kafka, dlq, group, 1)
    reading = read(group, topic, dead_letter_topic=dlq)
    assert letters_of(looking, reading).count == 1
    opened: list[dict[int, int]] = []
    looking.tail._read = lambda topic, tail, ends: opened.append(ends)  # type: ignore[method-assign]
    assert letters_of(looking, reading).count == 1
    assert opened == []
    send_letters(kafka, dlq, group, 1)
    looking.look(reading)
    assert opened == [{0: 2}], "and it is where something is"


def test_a_new_look_sees_what_lay_there_before_within_bounds(kafka: KafkaBroker, topic: str, unique: Unique) -> None:
    (dlq,) = kafka.create_topics([unique("two") + ".dlq"], partitions=2)
    group = unique("group")
    send_letters(kafka, dlq, group, 30, partition=0)
    send_letters(kafka, dlq, group, 5, partition=1)
    reading = read(group, topic, dead_letter_topic=dlq)
    whole = Looking(kafka)
    whole.wait_for_coordinator(group)
    assert letters_of(whole, reading).count == 35
    bounded = letters_of(Looking(kafka, look_back=10), reading)
    assert (bounded.count, bounded.skipped) == (15, 0)


def test_a_flood_is_read_within_the_bounds_of_a_pass_and_what_is_too_far_behind_is_said(
    kafka: KafkaBroker, topic: str, dlq: str, unique: Unique
) -> None:
    group = unique("group")
    looking = Looking(kafka, look_back=400, pass_bytes=200 * 1024)
    looking.wait_for_coordinator(group)
    reading = read(group, topic, dead_letter_topic=dlq)
    send_letters(kafka, dlq, group, 1)
    assert letters_of(looking, reading).count == 1
    send_letters(kafka, dlq, group, 1000, size=2048)
    letters = letters_of(looking, reading)
    assert 1 < letters.count < 400
    assert letters.skipped == 600
    # The next passes bring the rest.
    wait_until(lambda: letters_of(looking, reading).count == 401, what="all that is left")
    assert letters_of(looking, reading).skipped == 600


def test_large_letters_and_records_that_are_none(kafka: KafkaBroker, topic: str, dlq: str, unique: Unique) -> None:
    looking, group = Looking(kafka), unique("group")
    looking.wait_for_coordinator(group)
    send_letters(kafka, dlq, group, 2, size=10 * 1024 * 1024)
    send(kafka, dlq, [b"no dead letter"])
    assert letters_of(looking, read(group, topic, dead_letter_topic=dlq)).count == 2


def test_a_header_that_can_not_be_read_stops_nothing(kafka: KafkaBroker, topic: str, dlq: str, unique: Unique) -> None:
    looking, group = Looking(kafka), unique("group")
    looking.wait_for_coordinator(group)
    for _ in range(20):
        send_letters(kafka, dlq, group, 1)
        send_with_header(kafka, dlq, b"1", b"bad\xff\xfename")
    assert letters_of(looking, read(group, topic, dead_letter_topic=dlq)).count == 20


def test_letters_of_a_transaction_count_once_it_is_committed(
    kafka: KafkaBroker, topic: str, dlq: str, unique: Unique
) -> None:
    looking, group = Looking(kafka), unique("group")
    looking.wait_for_coordinator(group)
    reading = read(group, topic, dead_letter_topic=dlq)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": unique("transaction")})
    producer.init_transactions(30)
    headers: list[tuple[str, str | bytes | None]] = [("dlq.consumer", group), ("dlq.reason", "bad_ts")]

    def send_in_transaction() -> None:
        producer.begin_transaction()
        producer.produce(dlq, b"1", headers=headers)
        producer.flush(30)

    send_in_transaction()
    assert letters_of(looking, reading).count == 0
    producer.abort_transaction(30)
    send_in_transaction()
    producer.commit_transaction(30)
    wait_until(lambda: letters_of(looking, reading).count == 1, what="the committed one")
    # Its end is a mark that is no message, and is not waited for again.
    assert looking.tail._topics[dlq].positions == {0: looking.kafka.read_spans([(dlq, 0)])[dlq, 0].high}


def test_a_dead_letter_topic_that_is_missing_tells_nothing_and_one_that_is_made_anew_is_read_from_its_start(
    kafka: KafkaBroker, topic: str, dlq: str, unique: Unique
) -> None:
    looking, group = Looking(kafka), unique("group")
    looking.wait_for_coordinator(group)
    assert looking.look(read(group, topic, dead_letter_topic=unique("never"))).dead_letters is None
    reading = read(group, topic, dead_letter_topic=dlq)
    send_letters(kafka, dlq, group, 3)
    assert letters_of(looking, reading).count == 3
    # As the pass sees it: the end lies before where it was.
    looking.tail.begin_pass()
    looking.tail._topics[dlq].positions[0] = 100
    looking.tail.read_on(dlq, {(dlq, 0): Span(0, 3)})
    found = looking.tail.count(dlq, group)
    assert found is not None
    assert found.count == 6


def test_no_group_is_left_behind_in_kafka(kafka: KafkaBroker, topic: str, dlq: str, unique: Unique) -> None:
    looking, group = Looking(kafka), unique("group")
    looking.wait_for_coordinator(group)
    send_letters(kafka, dlq, group, 1)
    assert letters_of(looking, read(group, topic, dead_letter_topic=dlq)).count == 1
    known = kafka.admin.list_consumer_groups(request_timeout=30).result().valid
    assert not [listed.group_id for listed in known if listed.group_id in {group, "iot-hub-operator-looks"}]
