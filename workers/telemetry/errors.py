"""The exceptions that our code raises.

IotHubError
├── ConfigurationError      a setting can't work; the message names it
├── InvalidTelemetry        a message breaks a rule of its schema; carries the reason code
├── DeliveryError           Kafka did not take a message
│   └── QueueFull           the producer's own queue had no room for it
├── FatalKafkaError         a client can't go on and must be made anew
│   └── TransactionUnknown  nobody knows how a transaction ended: Kafka has to be asked
├── NotYetAvailable         a topic or Kafka itself is not there yet, and may still come
└── HandlerError            a handler can't be loaded, set up, or keeps failing
"""

from __future__ import annotations


class IotHubError(Exception):
    """What all of our exceptions have in common."""


class ConfigurationError(IotHubError):
    """A setting can't work. The message names the setting, what is wrong with it and what would be right."""


class InvalidTelemetry(IotHubError):
    """A message breaks a rule of the telemetry schema.

    ``reason`` is a short stable code (``bad_ts``, ``missing_field`` …); ``str()`` is the sentence
    for a person, and names the field.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class DeliveryError(IotHubError):
    """Kafka did not take a message. ``code`` is librdkafka's name of the error, such as ``MSG_SIZE_TOO_LARGE``."""

    def __init__(self, message: str, *, code: str, fatal: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.fatal = fatal


class QueueFull(DeliveryError):
    """The producer's bounded queue had no room: Kafka takes messages more slowly than they are produced."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="_QUEUE_FULL")


class FatalKafkaError(IotHubError):
    """A Kafka client met an error after which it can't go on; the process must make a new one."""


class TransactionUnknown(FatalKafkaError):
    """A transaction's commit did not tell how it ended; who goes on has to begin at what Kafka has committed."""


class NotYetAvailable(IotHubError):
    """Something that the process needs is not there yet and may still come. ``reason`` is a CamelCase code."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class HandlerError(IotHubError):
    """A handler can't be loaded or set up, or a message that it keeps failing on has nowhere to go.

    ``reason`` is a CamelCase code (``HandlerNotFound``, ``HandlerFailed``).
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
