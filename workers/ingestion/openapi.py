"""The OpenAPI document of the HTTP side, as it is configured. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from ingestion import problems
from ingestion.http_record import MAX_ID_CHARACTERS
from ingestion.http_request import JSON, NDJSON
from ingestion.http_settings import HttpSettings
from telemetry.schema.v1 import MAX_DEVICE_CHARACTERS

_EXAMPLE = {
    "schema_version": 1,
    "device": "DEV-01",
    "metrics": {"humidity": 20, "temperature": 20.5},
    "ts": "2026-02-20 22:45",
}
_REFUSALS = {
    "400": "What was sent can't be understood, or not be told apart into messages.",
    "408": "The request did not come in time.",
    "413": "The body has too many bytes or messages.",
    "415": "The media type or the coding of the body is not taken.",
    "431": "The headers are too large.",
}
_KEY_REFUSALS = {
    "401": "There is no API key, or one that is not known.",
    "403": "The API key is bound to other devices.",
    "429": "The API key has too many requests at work.",
}
_WAITS = {
    "500": "A fault of the hub.",
    "503": "Kafka does not take what comes in, or not in time: some of the messages may have been taken.",
}


def build_openapi(settings: HttpSettings, *, needs_key: bool) -> bytes:
    """Return the document as JSON; ``needs_key`` says whether requests need an API key."""
    device = {
        "name": "device",
        "in": "path",
        "required": True,
        "description": "The device that the messages are of, percent-encoded.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_DEVICE_CHARACTERS,
            "pattern": "^[A-Za-z0-9._-]+$",
        },
    }
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "IoT Hub Telemetry",
            "version": "1",
            "description": "Telemetry over HTTP. 202 means that the hub has all of the body on disk; after any other "
            "answer, and after none, send it again: with the same Idempotency-Key, or the same bytes, it has the same "
            "ids.",
        },
        "paths": {
            "/v1/telemetry": {"post": _build_post("sendTelemetry", "Send telemetry", settings, needs_key=needs_key)},
            "/v1/devices/{device}/telemetry": {
                "parameters": [device],
                "post": _build_post(
                    "sendDeviceTelemetry", "Send one device's telemetry", settings, needs_key=needs_key
                ),
            },
        },
        "components": {
            "schemas": {"Message": _MESSAGE, "Accepted": _ACCEPTED, "Problem": _PROBLEM},
            "parameters": {"IdempotencyKey": _IDEMPOTENCY_KEY},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }
    if needs_key:
        document["security"] = [{"bearer": []}, {"apiKey": []}]
    return orjson.dumps(document)


def _build_post(operation: str, summary: str, settings: HttpSettings, *, needs_key: bool) -> dict[str, Any]:
    refusals = _REFUSALS | (_KEY_REFUSALS if needs_key else {}) | _WAITS
    message = {"$ref": "#/components/schemas/Message"}
    return {
        "operationId": operation,
        "summary": summary,
        "description": f"At most {settings.max_body_bytes} bytes, gzip and zstd unpacked, and {settings.max_items} "
        "messages. Whether a message is valid is judged later: one that is not lies in telemetry.dlq with the reason.",
        "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {
                    "schema": {"anyOf": [message, {"type": "array", "items": message}]},
                    "examples": {"one": {"value": _EXAMPLE}, "several": {"value": [_EXAMPLE]}},
                },
                NDJSON[0]: {"schema": {"type": "string", "description": "One message a line."}},
            },
        },
        "responses": {
            "202": {
                "description": "Kafka has all of the body's messages.",
                "content": {JSON: {"schema": {"$ref": "#/components/schemas/Accepted"}}},
            },
            **{status: _build_refusal(status, refusals[status]) for status in sorted(refusals)},
        },
    }


def _build_refusal(status: str, description: str) -> dict[str, Any]:
    refusal: dict[str, Any] = {
        "description": description,
        "content": {problems.CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in {"429", "503"}:
        wait = {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer", "minimum": 1}}
        refusal["headers"] = {"Retry-After": wait}
    return refusal


_MESSAGE: dict[str, Any] = {
    "description": "A telemetry message; see the JSON Schema that `python -m telemetry.schema` prints. What is inside "
    "is not looked at before the answer.",
    "type": "object",
    "examples": [_EXAMPLE],
}
_COUNT = {"type": "integer", "minimum": 0}
_ACCEPTED: dict[str, Any] = {
    "type": "object",
    "required": ["accepted"],
    "additionalProperties": False,
    "properties": {"accepted": {**_COUNT, "description": "How many messages the body had."}},
}
_TAG = {"type": "string", "pattern": "^tag:iot-hub\\.io,2026:[a-z-]+$"}
_PROBLEM: dict[str, Any] = {
    "description": "RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "additionalProperties": False,
    "properties": {
        "type": {**_TAG, "description": "What went wrong, for programs."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What to do, for a person."},
        "accepted": {**_COUNT, "description": "How many messages of the body were taken."},
        "refused": {
            "type": "array",
            "description": "The messages that were not.",
            "items": {
                "type": "object",
                "required": ["index", "status", "type", "detail"],
                "additionalProperties": False,
                "properties": {
                    "index": {**_COUNT, "description": "Its place in the body, from 0."},
                    "status": {"type": "integer", "description": "What it would be answered alone."},
                    "type": _TAG,
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
_IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Becomes the message's id; in a batch each has it with `#` and its place behind it. Without one, "
    "the id is a hash of device and message.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_ID_CHARACTERS, "pattern": "^[!-~]+$"},
}
