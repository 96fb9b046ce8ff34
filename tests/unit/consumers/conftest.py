"""A failing handler logs its traceback: the tests of this folder look at events, and don't render them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from structlog.typing import EventDict


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[EventDict]]:
    """The events that were logged in the test."""
    with capture_logs() as events:
        yield events
