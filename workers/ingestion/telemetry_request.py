"""One request with telemetry: its body piece by piece into messages, those into Kafka, and then its answer.

202 means that Kafka has every message of the body, and no other answer means success: where only some were taken, the
answer is the problem of the others, and says how many were and why each other was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from prometheus_client import Histogram

from ingestion import problems
from ingestion.api_keys import ApiKey
from ingestion.bodies import BodyError
from ingestion.content_codings import CodingError
from ingestion.deliveries import AckPump, Delivery
from ingestion.http_record import NotAllowed, build_envelope, build_http_record
from ingestion.http_request import Head, choose_decoder, choose_splitter, find_idempotency_key
from ingestion.http_settings import HttpSettings
from ingestion.intake import Intake
from ingestion.problems import Answer, Problem, Refusal
from ingestion.record import RawRecord
from telemetry.errors import DeliveryError, QueueFull

_ONE_ACCEPTED = Answer(HTTPStatus.ACCEPTED, b'{"accepted":1}')


class Budget:
    """Bytes of bodies that all requests together hold."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def take(self, size: int) -> bool:
        """Count ``size`` bytes more; return whether there is room for them."""
        self._held += size
        return self._held <= self._limit

    def give_back(self, size: int) -> None:
        """They are not held any more."""
        self._held -= size


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all requests share."""

    settings: HttpSettings
    intake: Intake
    pump: AckPump
    budget: Budget
    ack_seconds: Histogram


class TelemetryRequest:
    """Takes the body as it comes. Raises Problem where it goes no further, and nothing of it has gone on then.

    ``respond`` is called once with the answer after `finish`; ``on_end`` once whatever happens.
    """

    def __init__(
        self,
        around: Surroundings,
        head: Head,
        key: ApiKey | None,
        device: str | None,
        *,
        respond: Callable[[Answer], None],
        on_end: Callable[[], None],
    ) -> None:
        self._around = around
        self._key = key
        self._device = device
        self._respond = respond
        self._on_end: Callable[[], None] | None = on_end
        self._arrived = time.monotonic()
        self._splitter, self._content_type = choose_splitter(head)
        self._decoder = choose_decoder(head)
        self._idempotency_key = find_idempotency_key(head)
        self._traceparent = head.headers.get(b"traceparent")
        self._messages: list[bytes] = []
        self._received = self._held = self._total = 0
        self._refused: list[Refusal] = []

    def feed(self, piece: bytes) -> None:
        """Take a piece of the body."""
        settings = self._around.settings
        self._received += len(piece)
        if self._received > settings.max_body_bytes:
            raise problems.body_too_large(settings.max_body_bytes)
        try:
            for decoded in self._decoder.decode(piece):
                self._hold(len(decoded))
                self._messages += self._splitter.feed(decoded)
                if len(self._messages) > settings.max_items:
                    raise problems.too_many_items(settings.max_items)
        except (CodingError, BodyError) as error:
            raise _explain(error) from error

    def finish(self) -> None:
        """The body is whole: hand it to Kafka."""
        try:
            self._decoder.finish()
            self._messages += self._splitter.finish()
        except (CodingError, BodyError) as error:
            raise _explain(error) from error
        self._total = len(self._messages)
        if self._total > self._around.settings.max_items:
            raise problems.too_many_items(self._around.settings.max_items)
        records = self._build_records()
        deadline = time.monotonic() + self._around.settings.ack_timeout_seconds
        delivery = Delivery(len(records), deadline, self._on_delivered)
        self._around.intake.submit_all(records, delivery.settle)
        # From here on the producer has them.
        self._messages.clear()
        self._give_back()
        delivery.note_handed_over()
        if not delivery.is_done:
            self._around.pump.watch(delivery)

    def end(self) -> None:
        """It is over, with an answer or without."""
        self._give_back()
        self._messages.clear()
        if self._on_end is not None:
            self._on_end()
            self._on_end = None

    def _hold(self, size: int) -> None:
        settings = self._around.settings
        self._held += size
        has_room = self._around.budget.take(size)
        if self._held > settings.max_body_bytes:
            raise problems.body_too_large(settings.max_body_bytes)
        if not has_room:
            raise problems.overloaded(settings.retry_after_seconds)

    def _give_back(self) -> None:
        self._around.budget.give_back(self._held)
        self._held = 0

    def _build_records(self) -> list[RawRecord]:
        """Return the records of those messages that the key may send, and note the others."""
        envelope = build_envelope(
            key=self._key,
            device=self._device,
            idempotency_key=self._idempotency_key,
            is_batch=self._splitter.is_batch,
            content_type=self._content_type,
            traceparent=self._traceparent,
            received_at=datetime.now(UTC),
        )
        records: list[RawRecord] = []
        for index, value in enumerate(self._messages):
            try:
                records.append(build_http_record(envelope, index, value))
            except NotAllowed as error:
                self._refused.append(Refusal(index, HTTPStatus.FORBIDDEN, "device-not-allowed", str(error)))
        return records

    def _on_delivered(self, delivery: Delivery) -> None:
        self._around.ack_seconds.observe(time.monotonic() - self._arrived)
        if delivery.failed or delivery.waiting:
            self._note_failures(delivery)
        self.end()
        if self._refused:
            self._respond(self._build_problem().answer)
        elif self._total == 1:
            self._respond(_ONE_ACCEPTED)
        else:
            self._respond(Answer(HTTPStatus.ACCEPTED, b'{"accepted":%d}' % self._total))

    def _note_failures(self, delivery: Delivery) -> None:
        """Note the messages that Kafka does not have, by their index in the body."""
        not_sent = {item.index for item in self._refused}
        sent = [index for index in range(self._total) if index not in not_sent]
        self._refused += [_refuse(sent[place], error) for place, error in delivery.failed.items()]
        limit = self._around.settings.ack_timeout_seconds
        late = f"Kafka has not answered within {limit:g} s: send the message again, it may have been taken meanwhile."
        self._refused += [
            Refusal(sent[place], HTTPStatus.SERVICE_UNAVAILABLE, "kafka-away", late) for place in delivery.waiting
        ]

    def _build_problem(self) -> Problem:
        """Return the answer to a body of which not all was taken: what may be sent again comes before what may not."""
        refused = sorted(self._refused, key=lambda item: item.index)
        first = max(refused, key=lambda item: item.status)
        is_temporary = first.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        taken, detail = self._total - len(refused), first.detail
        if self._total > 1:
            detail = f"{taken} of {self._total} messages were taken. Of message {first.index}: {detail}"
        return Problem(
            HTTPStatus(first.status),
            first.code,
            detail,
            retry_after=self._around.settings.retry_after_seconds if is_temporary else None,
            accepted=taken,
            refused=refused,
        )


def _explain(error: CodingError | BodyError) -> Problem:
    if isinstance(error, CodingError):
        return problems.bad_request("bad-encoding", f"The Content-Encoding does not fit: {error}.")
    return problems.bad_body(f"The body can't be told apart into messages: {error}.")


def _refuse(index: int, error: DeliveryError) -> Refusal:
    if isinstance(error, QueueFull):
        return Refusal(
            index,
            HTTPStatus.SERVICE_UNAVAILABLE,
            "queue-full",
            "Kafka takes messages more slowly than they come in: send it again later.",
        )
    if error.code == "_MSG_TIMED_OUT":
        return Refusal(
            index,
            HTTPStatus.SERVICE_UNAVAILABLE,
            "kafka-away",
            "Kafka did not take the message in time: send it again later.",
        )
    if error.code == "MSG_SIZE_TOO_LARGE":
        return Refusal(
            index,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "message-too-large",
            "The message is larger than any topic takes: make it smaller.",
        )
    return Refusal(
        index,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "kafka-refuses",
        f"Kafka did not take the message ({error.code}): send it again later.",
    )
