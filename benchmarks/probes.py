"""A worker's own word on whether it is at work."""

from __future__ import annotations

from urllib.error import URLError
from urllib.request import urlopen


def is_ready(port: int) -> bool:
    """Return whether the worker whose ``HTTP_PORT`` is ``port`` answers that it is ready."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
