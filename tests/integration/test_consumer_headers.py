"""Headers that Kafka takes and confluent-kafka can't read: a dead letter, not a group that stops for ever."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from confluent_kafka import cimpl

from integration_helpers import Collector, Running, committed, headers_of, read_topic, send
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until

Run = Callable[..., Running]

# rd_kafka_vtype_t and rd_kafka_type_t of librdkafka's rdkafka.h.
_END, _TOPIC, _PARTITION, _VALUE, _MSGFLAGS, _HEADER = 0, 1, 3, 4, 7, 9
_COPY, _PRODUCER = 2, 0


def send_with_header(kafka: KafkaBroker, topic: str, value: bytes, name: bytes) -> None:
    """Send as other clients can: confluent-kafka takes only names that are UTF-8."""
    library = ctypes.CDLL(cimpl.__file__)
    for function in (library.rd_kafka_conf_new, library.rd_kafka_new):
        function.restype = ctypes.c_void_p
    problem = ctypes.create_string_buffer(512)
    settings = ctypes.c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(settings, b"bootstrap.servers", kafka.bootstrap_servers.encode(), problem, 512)
    producer = ctypes.c_void_p(library.rd_kafka_new(_PRODUCER, settings, problem, 512))
    assert producer, problem.value
    refused = library.rd_kafka_producev(
        producer,
        *(ctypes.c_int(_TOPIC), ctypes.c_char_p(topic.encode())),
        *(ctypes.c_int(_PARTITION), ctypes.c_int32(0)),
        *(ctypes.c_int(_VALUE), ctypes.c_char_p(value), ctypes.c_size_t(len(value))),
        *(ctypes.c_int(_MSGFLAGS), ctypes.c_int(_COPY)),
        *(ctypes.c_int(_HEADER), ctypes.c_char_p(name), ctypes.c_char_p(b"v"), ctypes.c_ssize_t(1)),
        ctypes.c_int(_END),
    )
    assert refused == 0
    assert library.rd_kafka_flush(producer, ctypes.c_int(10_000)) == 0
    library.rd_kafka_destroy(producer)


def test_a_header_that_cannot_be_read_costs_only_its_message(
    kafka: KafkaBroker, topic: str, dlq: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    send(kafka, topic, [b"1"], partition=0)
    send_with_header(kafka, topic, b"2", b"bad\xff\xfename")
    send(kafka, topic, [b"3"], partition=0)
    handler, group = Collector(), unique("group")
    running = run_consumer(group=group, topics=[topic], handler=handler, consume_batch=True, dlq_topic=dlq)
    wait_until(lambda: committed(kafka, group, topic, 3)[0] == 3)
    running.stop()
    assert handler.messages == [1, 3]
    (letter,) = read_topic(kafka, dlq)
    assert letter.value() == b"2"
    assert headers_of(letter)["dlq.reason"] == "bad_headers"
    assert headers_of(letter)["__connect.errors.stage"] == "decode"
