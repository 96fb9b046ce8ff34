"""Reading from Kafka: `consumers.kafka_consumer.KafkaConsumer`, the worker ``python -m consumers``, the handlers.

What a handler needs is here: ``from consumers import Record, Outgoing, Reject, RetryLater``.
"""

from consumers.records import Outgoing, Record, Reject, RetryLater

__all__ = ["Outgoing", "Record", "Reject", "RetryLater"]
