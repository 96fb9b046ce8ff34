"""The HTTP side's settings: where it listens, who may send, and what one request or all together may cost."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_MIB = 1024 * 1024


class HttpSettings(BaseSettings):
    """How devices reach us over HTTP, and how much of us one of them can take (``INGESTION_*``)."""

    model_config = SettingsConfigDict(
        env_prefix="INGESTION_", extra="ignore", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    http_host: str = ""
    """Address to listen on; left out, all of the machine's."""
    http_port: int = Field(default=8000, ge=0, le=65_535)
    """Port for devices; 0 takes a free one."""
    api_keys_file: Path | None = None
    """File of the API keys' hashes, read again when it changes; without one, anyone may send."""
    max_body_bytes: int = Field(default=10 * _MIB, ge=1024, le=64 * _MIB)
    """Largest body, in bytes, as it comes and also once it is decompressed."""
    max_items: int = Field(default=10_000, ge=1, le=100_000)
    """Most messages in one body."""
    max_header_bytes: int = Field(default=16_384, ge=1024, le=65_536)
    """Largest request line and headers together, in bytes."""
    max_connections: int = Field(default=5000, ge=1, le=1_000_000)
    """Most connections open at a time; for the next one the longest idle one goes, and where none is idle, it is
    answered 503."""
    max_requests: int = Field(default=1000, ge=1, le=100_000)
    """Most requests at work at a time; the next one is answered 503."""
    max_requests_per_key: int = Field(default=500, ge=1, le=100_000)
    """Most requests of one API key at work at a time; the next one is answered 429."""
    max_buffered_bytes: int = Field(default=64 * _MIB, ge=_MIB)
    """Most bytes of bodies in memory at a time, without what waits in the producer; what exceeds it is answered 503."""
    body_timeout_seconds: float = Field(default=30, gt=0, le=3600)
    """How long, in seconds, a request may take to come in; then it is answered 408."""
    ack_timeout_seconds: float = Field(default=10, ge=0.1, le=3600)
    """How long, in seconds, a request waits for Kafka; then it is answered 503."""
    keepalive_seconds: int = Field(default=75, ge=1, le=3600)
    """How long, in seconds, a connection may be idle between two requests."""
    retry_after_seconds: int = Field(default=5, ge=1, le=3600)
    """What Retry-After tells a device that comes at a bad time, in seconds."""

    @model_validator(mode="after")
    def _body_fits_the_buffer(self) -> HttpSettings:
        if self.max_buffered_bytes < self.max_body_bytes:
            raise ValueError(
                f"INGESTION_MAX_BUFFERED_BYTES is {self.max_buffered_bytes}, less than one body "
                f"(INGESTION_MAX_BODY_BYTES, {self.max_body_bytes}): raise it"
            )
        return self
