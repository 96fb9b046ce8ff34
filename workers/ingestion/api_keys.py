"""Who may send: API keys, of which only hashes are kept.

A key is random and long, so its SHA-256 tells nothing about it; salts and slow hashes are for what people make up. The
file, a mounted Secret in a cluster, is JSON:

    {"keys": [{"name": "gateway-7", "sha256": "64 hex digits", "devices": ["DEV-01", "DEV-02"]}]}

``devices`` binds a key to them; left out, it may send for any. ``python -m ingestion.new_api_key`` makes an entry.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import structlog
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from telemetry.errors import ConfigurationError
from telemetry.schema.v1 import find_device_problem

log = structlog.get_logger(__name__)


def _checked_device(device: str) -> str:
    problem = find_device_problem(device)
    if problem is not None:
        raise ValueError(problem)
    return device


class ApiKey(BaseModel):
    """One key: whose it is, its hash, and the devices that it may send for (None: any)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=128)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    devices: frozenset[Annotated[str, AfterValidator(_checked_device)]] | None = Field(default=None, min_length=1)

    @property
    def only_device(self) -> str | None:
        """The device that it speaks for by itself: the one that it is bound to."""
        return next(iter(self.devices)) if self.devices is not None and len(self.devices) == 1 else None

    def allows(self, device: str) -> bool:
        """Return whether it may send for ``device``."""
        return self.devices is None or device in self.devices


class _KeyFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[ApiKey] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_and_hashes_differ(self) -> _KeyFile:
        for what in ("name", "sha256"):
            values = [getattr(key, what) for key in self.keys]
            if len(set(values)) < len(values):
                raise ValueError(f"two keys have the same {what}")
        return self


class ApiKeys:
    """The keys of one file, found by what a request presents."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        # Found by a hash that nobody outside can compute, so that the time which it takes says nothing about a key.
        self._secret = secrets.token_bytes(32)
        self._keys = {self._tag(bytes.fromhex(key.sha256)): (bytes.fromhex(key.sha256), key) for key in keys}

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, presented: bytes) -> ApiKey | None:
        """Return the key that ``presented`` is, or None."""
        digest = hashlib.sha256(presented).digest()
        expected, key = self._keys.get(self._tag(digest), (bytes(32), None))
        return key if hmac.compare_digest(expected, digest) else None

    def _tag(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, key=self._secret, digest_size=16).digest()


def parse_api_keys(text: bytes) -> ApiKeys:
    """Return the keys of a file. Raises ValueError, which names what is wrong and never shows a hash."""
    try:
        return ApiKeys(_KeyFile.model_validate_json(text).keys)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        where = "; ".join(f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}" for problem in problems)
        raise ValueError(where) from None


class WatchedKeys:
    """The keys as their file has them now; one that can't be read any more leaves those in force that were."""

    def __init__(self, path: Path) -> None:
        """Read ``path``. Raises ConfigurationError where that is no file of keys."""
        self._path = path
        self._version: tuple[int, ...] | None = None
        self.problem: str | None = None
        """Why the file as it is now is not in force, or None."""
        try:
            self._version = self._look()
            self.current = parse_api_keys(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"INGESTION_API_KEYS_FILE: {path}: {_explain(error)}") from error

    def refresh(self) -> None:
        """Read the file again if it has changed."""
        try:
            version = self._look()
            if version == self._version:
                return
            self._version = version
            self.current = parse_api_keys(self._path.read_bytes())
        except (OSError, ValueError) as error:
            problem = f"{self._path}: {_explain(error)}; the keys that were read before are in force"
            if problem != self.problem:
                log.error("API keys not read", problem=problem)  # noqa: TRY400  # the sentence says it all
            self.problem = problem
        else:
            self.problem = None
            log.info("API keys read", keys=len(self.current))

    def _look(self) -> tuple[int, ...]:
        # Kubernetes changes a mounted Secret by changing the link that its files lie behind: the inode is another one.
        found = os.stat(self._path)
        return found.st_ino, found.st_mtime_ns, found.st_size


def _explain(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
