"""Finding a Java runtime that Apache Kafka runs on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

MINIMUM_JAVA = 17

_REMEDY = f"install Java {MINIMUM_JAVA} or later (Debian: apt-get install openjdk-17-jre-headless)"
_VERSION = re.compile(r'version "((?:1\.)?(\d+)[^"]*)"')
_ANSWER_SECONDS = 30


@dataclass(frozen=True)
class Java:
    """A Java runtime."""

    path: Path
    version: str
    """As it says itself: ``17.0.15``."""


@dataclass(frozen=True)
class Missing:
    """Something is not there, or can't be used; ``sentence`` says what, and what to do."""

    sentence: str


def find_java() -> Java | Missing:
    """Return the Java of JAVA_HOME, else that of the PATH, where it is recent enough for Kafka."""
    home = os.environ.get("JAVA_HOME")
    named = Path(home, "bin", "java") if home else None
    if named is not None and not named.exists():
        return Missing(f"JAVA_HOME is {home}, but there is no bin/java in it; unset it, or {_REMEDY}")
    found = named or shutil.which("java")
    if found is None:
        return Missing(f"there is no java on the PATH; {_REMEDY}")
    path = Path(found)
    try:
        done = subprocess.run(  # noqa: S603  # the user's own java
            [path, "-version"], capture_output=True, text=True, check=False, timeout=_ANSWER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Missing(f"{path} can't be run ({error}); {_REMEDY}")
    said = done.stderr + done.stdout
    version = _VERSION.search(said)
    if version is None:
        first = said.strip().partition("\n")[0]
        return Missing(f"{path} does not tell its version (it says {first!r}); {_REMEDY}")
    if int(version[2]) < MINIMUM_JAVA:
        return Missing(f"{path} is Java {version[1]}, Apache Kafka needs {MINIMUM_JAVA} or later; {_REMEDY}")
    return Java(path, version[1])
