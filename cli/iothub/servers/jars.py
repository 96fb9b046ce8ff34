"""Apache Kafka's jars: fetched once through Maven into the user's cache folder, and checked against a list of ours.

    $XDG_CACHE_HOME/iot-hub/kafka/VERSION/    (~/.cache/iot-hub/kafka/VERSION)
      *.jar         exactly those of apache/jars.sha256
      .checked      sizes and times of the jars when their sums were last compared

The folder appears in one rename, complete or not at all, and a lock lets two hubs that start at once wait for one
download in place of making two. A folder that is damaged is fetched anew.

``python -m iothub.servers.jars`` prints the list for the version that apache/pom.xml names.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import orjson

from iothub.errors import StartFailed

FILES = Path(__file__).parent / "apache"
POM = FILES / "pom.xml"
SUMS = FILES / "jars.sha256"

# Named with its version: the one a distribution's Maven defaults to differs from machine to machine.
_COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_CHECKED = ".checked"
_FETCH_SECONDS = 900


def kafka_version() -> str:
    """Return the version of Apache Kafka that we run, as the pom has it."""
    found = re.search(r"<kafka\.version>([^<]+)</kafka\.version>", POM.read_text("utf-8"))
    if found is None:
        raise ValueError(f"{POM} names no kafka.version")
    return found[1]


def read_sums() -> dict[str, str]:
    """Return the SHA-256 sum of every jar, by its name."""
    lines = (line.split() for line in SUMS.read_text("utf-8").splitlines() if line)
    return {name: digest for digest, name in lines}


def jars_folder() -> Path:
    """Return where the jars of our version are kept, whether they are there or not."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "iot-hub" / "kafka" / kafka_version()


def find_fetch_problem() -> str | None:
    """Return why the jars can't be had here, or None: they are cached whole, or Maven can fetch them."""
    if shutil.which("mvn") is not None or find_damage(jars_folder(), read_sums()) is None:
        return None
    return f"Maven, which fetches Apache Kafka {kafka_version()}, is not installed (Debian: apt-get install maven)"


def prepare_jars() -> Path:
    """Return the folder that holds Kafka's jars and nothing else, fetching them where they are not there.

    Raises StartFailed that says what is wrong and where to look.
    """
    folder, sums = jars_folder(), read_sums()
    if find_damage(folder, sums) is None:
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f".{folder.name}.lock")):
            damage = find_damage(folder, sums)  # whoever had the lock before may have mended it
            if damage is not None:
                _replace(folder, sums, damage)
    except OSError as error:
        raise StartFailed(f"Apache Kafka can't be kept in {folder}: {error.strerror or error}") from error
    return folder


def find_damage(folder: Path, sums: Mapping[str, str]) -> str | None:
    """Return what distinguishes the jars in ``folder`` from those of the list, or None.

    All bytes are read where a jar's size or time is not what it was when they were last read.
    """
    if not folder.is_dir():
        return "they are not there"
    names = {path.name for path in folder.glob("*.jar")}
    for name in sorted(sums.keys() - names):
        return f"{name} is missing"
    for name in sorted(names - sums.keys()):
        return f"{name} does not belong there"
    if _read_checked(folder) == _describe(folder, sums):
        return None
    for name, expected in sums.items():
        with (folder / name).open("rb") as jar:
            if hashlib.file_digest(jar, "sha256").hexdigest() != expected:
                return f"{name} is damaged"
    _write_checked(folder, sums)
    return None


def fetch_jars(folder: Path) -> None:
    """Have Maven put the jars that the pom asks for into ``folder``, unchecked. Raises StartFailed."""
    version = kafka_version()
    maven = shutil.which("mvn")
    if maven is None:
        raise StartFailed(
            f"Apache Kafka {version} can't be fetched: {find_fetch_problem() or 'mvn is not on the PATH'}"
        )
    call = [maven, "-q", "-B", "-f", str(POM), _COPY_GOAL, f"-DoutputDirectory={folder}"]
    log = jars_folder().with_name(f"maven-{version}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        try:
            code = subprocess.run(  # noqa: S603  # the user's own Maven
                call, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, timeout=_FETCH_SECONDS
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise StartFailed(
                f"Maven has not fetched Apache Kafka {version} in {_FETCH_SECONDS} s; what it says is in {log}"
            ) from error
    if code != 0:
        raise StartFailed(
            f"Maven could not fetch Apache Kafka {version} (is this machine online?); what it says is in {log}"
        )
    log.unlink()


def _replace(folder: Path, sums: Mapping[str, str], damage: str) -> None:
    there = folder.is_dir()
    if there and shutil.which("mvn") is None:
        raise StartFailed(
            f"the jars of Apache Kafka in {folder} can't be used: {damage}, and there is no Maven to fetch them anew; "
            "install it (Debian: apt-get install maven)"
        )
    # Beside the target, so that the rename stays within one file system.
    with _work_folder(folder) as work:
        new, old = work / "new", work / "old"
        new.mkdir(mode=0o755)
        fetch_jars(new)
        problem = find_damage(new, sums)
        if problem is not None:
            raise StartFailed(
                f"what Maven fetched is not Apache Kafka {kafka_version()} as we know it: {problem}; "
                "check Maven's mirror and its cache (~/.m2)"
            )
        if there:
            folder.rename(old)
        new.rename(folder)


@contextmanager
def _work_folder(folder: Path) -> Iterator[Path]:
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _describe(folder: Path, sums: Mapping[str, str]) -> dict[str, list[object]]:
    stats = {name: (folder / name).stat() for name in sums}
    return {name: [digest, stats[name].st_size, stats[name].st_mtime_ns] for name, digest in sums.items()}


def _read_checked(folder: Path) -> object:
    try:
        return orjson.loads((folder / _CHECKED).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None


def _write_checked(folder: Path, sums: Mapping[str, str]) -> None:
    new = folder / f"{_CHECKED}.{os.getpid()}"
    try:
        new.write_bytes(orjson.dumps(_describe(folder, sums)))
        new.replace(folder / _CHECKED)
    except OSError:
        pass  # a folder that we may only read: its jars are read whole at each start


def main() -> None:
    """Print the sums of the jars that Maven fetches for the pom, as apache/jars.sha256 holds them."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "jars"
        folder.mkdir()
        fetch_jars(folder)
        for jar in sorted(folder.glob("*.jar")):
            sys.stdout.write(f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n")


if __name__ == "__main__":
    main()
