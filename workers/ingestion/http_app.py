"""From a request's head to who takes its body: routes, who may send, how much at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from ingestion import http_request, problems
from ingestion.api_keys import ApiKey, WatchedKeys
from ingestion.deliveries import AckPump
from ingestion.http_request import Head
from ingestion.http_settings import HttpSettings
from ingestion.intake import Intake
from ingestion.openapi import build_openapi
from ingestion.problems import Answer
from ingestion.telemetry_request import Budget, Surroundings, TelemetryRequest
from telemetry import metrics


class HttpApp:
    """One instance a process; everything in it is on the event loop's thread."""

    def __init__(self, settings: HttpSettings, intake: Intake, pump: AckPump, keys: WatchedKeys | None) -> None:
        self._settings = settings
        self._keys = keys
        ack_seconds = metrics.INGESTION_ACK_SECONDS.labels("http")
        self._around = Surroundings(settings, intake, pump, Budget(settings.max_buffered_bytes), ack_seconds)
        self._at_work = 0
        self._at_work_by_key: Counter[str] = Counter()
        self._openapi = Answer(HTTPStatus.OK, build_openapi(settings, needs_key=keys is not None))
        metrics.INGESTION_IN_FLIGHT.labels("http").set_function(lambda: intake.queued)

    def begin(self, head: Head, respond: Callable[[Answer], None]) -> TelemetryRequest | None:
        """Return what takes the request's body, or None where it is answered already. Raises Problem.

        None of the body has been read then: a device that asks before it sends (Expect) has its answer here.
        """
        if head.path == http_request.OPENAPI:
            http_request.check_method(head, "GET")
            respond(self._openapi)
            return None
        device = http_request.find_device(head.path)
        http_request.check_method(head, "POST")
        if self._at_work >= self._settings.max_requests:
            raise problems.overloaded(self._settings.retry_after_seconds)
        key = self._authorise(head, device)
        if key is not None and self._at_work_by_key[key.name] >= self._settings.max_requests_per_key:
            raise problems.too_many_requests(self._settings.retry_after_seconds)
        http_request.check_length(head, self._settings.max_body_bytes)
        request = TelemetryRequest(
            self._around, head, key, device, respond=respond, on_end=partial(self._note_end, key)
        )
        self._at_work += 1
        if key is not None:
            self._at_work_by_key[key.name] += 1
        return request

    def _authorise(self, head: Head, device: str | None) -> ApiKey | None:
        if self._keys is None:
            return None
        key = self._keys.current.find(http_request.find_presented_key(head))
        if key is None:
            raise problems.unknown_key()
        if device is not None and not key.allows(device):
            raise problems.device_not_allowed(
                f"This API key is not bound to the device {device!r}: use the key of that device."
            )
        return key

    def _note_end(self, key: ApiKey | None) -> None:
        self._at_work -= 1
        if key is not None:
            self._at_work_by_key[key.name] -= 1
            if not self._at_work_by_key[key.name]:
                del self._at_work_by_key[key.name]
