"""The ASGI application: a request in, its messages into Kafka, the answer once Kafka has them.

202 means that Kafka has every message of the body, and no other answer means success: where only some were taken, the
answer is the problem of the others, and says how many were and why each other was not.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

import structlog

from ingestion import http_request, problems
from ingestion.api_keys import ApiKey, WatchedKeys
from ingestion.body_reader import BodyReader, Budget, Disconnected, Receive, Send
from ingestion.deliveries import AckPump, Delivery
from ingestion.http_record import Envelope, NotAllowed, build_envelope, build_http_record
from ingestion.http_settings import HttpSettings
from ingestion.intake import Intake
from ingestion.openapi import build_openapi
from ingestion.problems import HeaderList, Problem, Refusal
from telemetry import metrics
from telemetry.errors import DeliveryError, QueueFull

_SMALL = 65_536
"""A body up to so many bytes is read to its end even where it is refused, so that the connection can go on."""
_LINGER_BYTES, _LINGER_SECONDS = 32 * 1024 * 1024, 5.0
"""How much of a refused body is thrown away, and for how long, so that the device comes to read why."""

Answer = tuple[HTTPStatus, HeaderList, bytes]

log = structlog.get_logger(__name__)


class HttpApp:
    """One instance a process; everything in it is on the event loop's thread."""

    def __init__(self, settings: HttpSettings, intake: Intake, pump: AckPump, keys: WatchedKeys | None) -> None:
        self._settings = settings
        self._intake = intake
        self._pump = pump
        self._keys = keys
        self._budget = Budget(settings.max_buffered_bytes)
        self._at_work = 0
        self._at_work_by_key: Counter[str] = Counter()
        self._openapi = build_openapi(settings, needs_key=keys is not None)
        self._ack_seconds = metrics.INGESTION_ACK_SECONDS.labels("http")
        metrics.INGESTION_IN_FLIGHT.labels("http").set_function(lambda: intake.queued)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        headers: http_request.HeaderMap = dict(scope["headers"])
        reader = BodyReader(receive, self._settings, self._budget)
        self._at_work += 1
        try:
            status, more, body = await self._answer(scope, headers, reader)
            content_type = b"application/json"
        except Problem as problem:
            status, more, body = problem.status, problem.headers, problem.build_document()
            content_type = problems.CONTENT_TYPE.encode()
        except Disconnected:
            return
        finally:
            self._at_work -= 1
            reader.close()
        metrics.INGESTION_HTTP_RESPONSES.labels(status.value).inc()
        more += [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
        lingers = not reader.has_ended and await _lingers(headers, reader)
        if lingers:
            more.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status.value, "headers": more})
        await send({"type": "http.response.body", "body": body, "more_body": lingers})
        if lingers:
            await reader.discard(_LINGER_BYTES, _LINGER_SECONDS)
            await send({"type": "http.response.body"})

    async def _answer(self, scope: dict[str, Any], headers: http_request.HeaderMap, reader: BodyReader) -> Answer:
        path, method = scope["raw_path"], scope["method"]
        if path == http_request.OPENAPI:
            http_request.check_method(method, "GET")
            return HTTPStatus.OK, [], self._openapi
        device = http_request.find_device(path)
        http_request.check_method(method, "POST")
        if self._at_work > self._settings.max_requests:
            raise problems.overloaded(self._settings.retry_after_seconds)
        key = self._authorise(headers, device)
        with self._count(key):
            try:
                return await self._take(headers, reader, key, device)
            except (Problem, Disconnected):
                raise
            except Exception as error:
                log.exception("request failed")
                raise Problem(
                    HTTPStatus.INTERNAL_SERVER_ERROR,
                    "internal-error",
                    "This is a fault of the hub, which has noted it: send the request again later, with the same "
                    "Idempotency-Key.",
                ) from error

    def _authorise(self, headers: http_request.HeaderMap, device: str | None) -> ApiKey | None:
        if self._keys is None:
            return None
        key = self._keys.current.find(http_request.find_presented_key(headers))
        if key is None:
            raise problems.unknown_key()
        if device is not None and not key.allows(device):
            raise problems.device_not_allowed(
                f"This API key is not bound to the device {device!r}: use the key of that device."
            )
        return key

    @contextmanager
    def _count(self, key: ApiKey | None) -> Iterator[None]:
        """Count a request among those of its key. Raises Problem where they are too many."""
        if key is None:
            yield
            return
        if self._at_work_by_key[key.name] >= self._settings.max_requests_per_key:
            raise problems.too_many_requests(self._settings.retry_after_seconds)
        self._at_work_by_key[key.name] += 1
        try:
            yield
        finally:
            self._at_work_by_key[key.name] -= 1

    async def _take(
        self, headers: http_request.HeaderMap, reader: BodyReader, key: ApiKey | None, device: str | None
    ) -> Answer:
        arrived = time.monotonic()
        # 1. What the head says, before any of the body is read.
        splitter, content_type = http_request.choose_splitter(headers)
        decoder = http_request.choose_decoder(headers)
        idempotency_key = http_request.find_idempotency_key(headers)
        http_request.check_length(headers, self._settings.max_body_bytes)
        # 2. All of the body, before any of it goes on: a body that can't be told apart leaves nothing behind.
        messages = await reader.read(splitter, decoder)
        envelope = build_envelope(
            key=key,
            device=device,
            idempotency_key=idempotency_key,
            is_batch=splitter.is_batch,
            content_type=content_type,
            traceparent=headers.get(b"traceparent"),
            received_at=datetime.now(UTC),
        )
        # 3. Into Kafka, and only after its answer ours.
        delivery = Delivery()
        refused = self._submit(envelope, messages, delivery)
        total = len(messages)
        # From here on the producer has them.
        messages.clear()
        reader.close()
        await delivery.wait(self._settings.ack_timeout_seconds)
        self._ack_seconds.observe(time.monotonic() - arrived)
        refused += self._explain(delivery)
        if refused:
            raise self._build_problem(total, sorted(refused, key=lambda item: item.index))
        return HTTPStatus.ACCEPTED, [], b'{"accepted":%d}' % total

    def _submit(self, envelope: Envelope, messages: list[bytes], delivery: Delivery) -> list[Refusal]:
        """Hand the messages to Kafka, in order; return those that can't go."""
        refused: list[Refusal] = []
        for index, value in enumerate(messages):
            try:
                record = build_http_record(envelope, index, value)
            except NotAllowed as error:
                refused.append(Refusal(index, HTTPStatus.FORBIDDEN, "device-not-allowed", str(error)))
                continue
            delivery.waiting.add(index)
            self._intake.submit(record, partial(self._on_taken, delivery, index))
            # Behind one that found no room none is sent, or a device's messages would change places.
            if index in delivery.failed:
                delivery.failed.update(dict.fromkeys(range(index + 1, len(messages)), delivery.failed[index]))
                break
        self._pump.wake()
        return refused

    def _on_taken(self, delivery: Delivery, index: int, error: DeliveryError | None) -> None:
        if error is None:
            self._pump.note_taken()
        delivery.settle(index, error)

    def _explain(self, delivery: Delivery) -> list[Refusal]:
        """Return what became of the messages that Kafka has not taken."""
        refused = [_refuse(index, error) for index, error in delivery.failed.items()]
        limit = self._settings.ack_timeout_seconds
        late = (
            f"Kafka has not answered within {limit:g} s: the message may still arrive. Send it again with the same id."
        )
        return refused + [
            Refusal(index, HTTPStatus.SERVICE_UNAVAILABLE, "kafka-away", late) for index in delivery.waiting
        ]

    def _build_problem(self, total: int, refused: list[Refusal]) -> Problem:
        """Return the answer to a body of which not all was taken: what may be sent again comes before what may not."""
        first = max(refused, key=lambda item: item.status)
        retry_after = self._settings.retry_after_seconds if first.status >= HTTPStatus.INTERNAL_SERVER_ERROR else None
        detail = first.detail
        if total > 1:
            detail = (
                f"{total - len(refused)} of {total} messages were taken; of the others, message {first.index}: {detail}"
            )
        return Problem(
            HTTPStatus(first.status),
            first.code,
            detail,
            retry_after=retry_after,
            accepted=total - len(refused),
            refused=refused,
        )


async def _lingers(headers: http_request.HeaderMap, reader: BodyReader) -> bool:
    """Read the rest of a refused body where it is small; return whether there is more, so that the connection ends."""
    length = headers.get(b"content-length", b"0")
    is_chunked = b"transfer-encoding" in headers
    if not is_chunked and length == b"0":
        return False
    # A device that asks before it sends (RFC 9110 §10.1.1) is to read the answer in place of sending.
    if not is_chunked and b"expect" not in headers and int(length[:20]) <= _SMALL:
        await reader.discard(_SMALL, 1.0)
    return not reader.has_ended


def _refuse(index: int, error: DeliveryError) -> Refusal:
    if isinstance(error, QueueFull):
        return Refusal(
            index,
            HTTPStatus.SERVICE_UNAVAILABLE,
            "queue-full",
            "Kafka takes messages more slowly than they come in: send it again later.",
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
