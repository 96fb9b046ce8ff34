"""Apache Kafka's jars, fetched once through Maven into the user's cache folder.

The folder appears in one rename, complete or not at all, and a lock lets concurrent test runs wait for one download
in place of making two. Nothing outside the cache folder (and Maven's own) is touched.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from support import require

__all__ = ["POM", "kafka_jars", "kafka_version"]

POM = Path(__file__).parent / "kafka" / "pom.xml"
# Named with its version: the one a distribution's Maven defaults to differs from machine to machine.
COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def kafka_version() -> str:
    """Return the version of Kafka that the tests run against, as the pom has it."""
    found = re.search(r"<kafka\.version>([^<]+)</kafka\.version>", POM.read_text("utf-8"))
    assert found is not None, f"no kafka.version in {POM}"
    return found[1]


def cache_folder() -> Path:
    """Return where the jars of this version are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "iot-hub" / "kafka" / kafka_version()


def kafka_jars() -> Path:
    """Return the folder that holds Kafka's jars, fetching them where they are not there yet."""
    folder = cache_folder()
    if folder.is_dir():
        return folder
    maven = require.command("mvn", "install Maven to fetch Apache Kafka's jars (Debian: apt-get install maven)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _fetch(maven, folder)
    return folder


def _fetch(maven: Path, folder: Path) -> None:
    # Beside the target, so that the rename stays within one file system.
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        call = [str(maven), "-q", "-B", "-f", str(POM), COPY_GOAL, f"-DoutputDirectory={work}"]
        done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode != 0:
            output = (done.stdout + done.stderr)[-3000:]
            require.missing(
                f"Apache Kafka {kafka_version()} from Maven",
                f"`{' '.join(call)}` ended with {done.returncode}:\n{output}",
            )
        # An mkdtemp folder is for its owner alone; so are caches, but a shared one may be read by others.
        work.chmod(0o755)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
