"""The schema's versions as pydantic models: for people who read or build messages, and for JSON Schema.

    message = TelemetryV1.model_validate(payload)
    producer.produce(TelemetryV1(schema_version=1, device="DEV-01", metrics={"humidity": 20}, ts=datetime.now(UTC)))

The pipeline itself takes the parsers in `telemetry.schema`, at a third of the time; a test holds that both agree. What
no model can see is in the text alone, and `telemetry.codec.decode_strict_json` refuses it: a name that comes twice in
an object, and nesting beyond its limit.
"""

from __future__ import annotations

from datetime import datetime
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from telemetry.schema.message import Telemetry
from telemetry.schema.v1 import (
    MAX_DEVICE_CHARACTERS,
    MAX_METRIC_NAME_CHARACTERS,
    MAX_METRICS,
    collect_extra,
    find_device_problem,
)
from telemetry.timestamps import parse_timestamp

_LEAST_INTEGER, _FIRST_TOO_LARGE = -(2**63), 2**64


def _check_integer(value: object) -> object:
    if type(value) is not int:
        raise ValueError("must be an integer")
    return value


def _check_device(value: object) -> object:
    problem = find_device_problem(value)
    if problem is not None:
        raise ValueError(problem)
    return value


def _fit(value: Any) -> Any:
    """Return what readers make of a value's numbers: an integer beyond 64 bits becomes a float."""
    if type(value) is int and not _LEAST_INTEGER <= value < _FIRST_TOO_LARGE:
        try:
            return float(value)
        except OverflowError as error:
            raise ValueError("must be a finite number") from error
    if type(value) is float and not isfinite(value):
        raise ValueError("must be a finite number")
    if type(value) is dict:
        return {name: _fit(child) for name, child in value.items()}
    if type(value) is list:
        return [_fit(child) for child in value]
    return value


def _read_time(value: object) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    return parse_timestamp(value)


def _leave_out_default(schema: dict[str, Any]) -> None:
    # The field may be missing, which is not to say that null may stand there.
    schema.pop("default")


Device = Annotated[
    str | None,
    BeforeValidator(_check_device),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_DEVICE_CHARACTERS,
            "not": {"pattern": "[\\u0000-\\u001f\\u007f-\\u009f]"},
        }
    ),
]
"""A device's id: no control characters."""

MetricName = Annotated[str, Field(min_length=1, max_length=MAX_METRIC_NAME_CHARACTERS)]
MetricValue = Annotated[bool | int | float, AfterValidator(_fit)]

Moment = Annotated[
    datetime,
    BeforeValidator(_read_time),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "string",
                    "pattern": (
                        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}"
                        r"(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:[0-5][0-9])?$"
                    ),
                },
                {"type": "number", "minimum": 0},
            ]
        }
    ),
]


class TelemetryV1(BaseModel):
    """What a device measured at one moment. Fields that are not described here are kept, under 'extra'."""

    model_config = ConfigDict(
        title="Telemetry, schema version 1",
        extra="allow",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "schema_version": 1,
                    "device": "DEV-01",
                    "metrics": {"humidity": 20, "temperature": 20},
                    "ts": "2026-02-20 22:45",
                }
            ]
        },
    )

    schema_version: Annotated[Literal[1], BeforeValidator(_check_integer)] = Field(
        title="Schema version", description="The version of this schema."
    )
    device: Device = Field(
        default=None,
        title="Device",
        description="The device's id. It may be missing where the MQTT topic, the path or the API key names the "
        "device, and has to be the same one where both do.",
        json_schema_extra=_leave_out_default,
    )
    metrics: dict[MetricName, MetricValue] = Field(
        min_length=1, max_length=MAX_METRICS, title="Metrics", description="What was measured: names and their values."
    )
    ts: Moment = Field(
        title="Time",
        description="When it was measured: RFC 3339, or 'YYYY-MM-DD HH:MM[:SS[.ffffff]]', UTC where no zone is named; "
        "or seconds since 1970, which from 100000000000 on are milliseconds.",
    )

    def normalise(self, device: str | None = None) -> Telemetry:
        """Return the message in its normal form; ``device`` is who sent it, where that is known from elsewhere.

        Raises ValueError where no device is named, and where two different ones are.
        """
        said = device if self.device is None else self.device
        if said is None:
            raise ValueError("'device' is missing, and nothing else names the device")
        _check_device(said)
        if device is not None and said != device:
            raise ValueError(f"'device' is {said!r}, but {device!r} sent the message")
        return Telemetry(1, said, dict(self.metrics), self.ts, collect_extra(self.model_extra or {}))

    @model_validator(mode="after")
    def _fit_unknown_fields(self) -> TelemetryV1:
        if self.__pydantic_extra__:
            self.__pydantic_extra__ = _fit(self.__pydantic_extra__)
        return self

    @model_serializer(mode="wrap")
    def _leave_out_device(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        if self.device is None:
            del written["device"]
        return written


MODELS: dict[int, type[BaseModel]] = {1: TelemetryV1}
"""From schema version to its model."""
