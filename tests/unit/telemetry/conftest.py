"""Logging is the whole process's: a test that configures it gives it back as it was."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Puts the process's logging back after the test."""
    root = logging.getLogger()
    before = structlog.get_config(), list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    structlog.configure(**before[0])
    root.handlers[:] = before[1]
    root.setLevel(before[2])
    logging.captureWarnings(False)
