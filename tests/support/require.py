"""What a test needs from its machine: skipped by name on a laptop, a failure in CI.

A skip in CI would be a test that can't fail, so there (environment variable ``CI``) what is missing fails the test.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

__all__ = ["command", "in_ci", "missing"]


def in_ci() -> bool:
    """Tell whether the tests run in CI, where nothing may be skipped for want of a server."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false", "no"}


def missing(what: str, remedy: str) -> NoReturn:
    """Skip the calling test on a laptop, fail it in CI, naming what is missing and what to do about it."""
    message = f"{what} is missing: {remedy}"
    if in_ci():
        pytest.fail(f"{message} (skipped outside CI; in CI nothing is)", pytrace=False)
    pytest.skip(message)


def command(name: str, remedy: str) -> Path:
    """Return the path of a program, or skip (CI: fail) by its name."""
    # Debian keeps servers in sbin, which an ordinary user's PATH leaves out.
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
    if found is None:
        missing(name, remedy)
    return Path(found)
