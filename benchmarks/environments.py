"""Where the peers run: Python environments of their own, made once from peers/NAME.txt, and the jar of the Java one.

.peers/NAME/           a virtual environment
.peers/NAME/.made      the requirements that it was made from
kafka-streams/target/  what Maven has built
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.child import BenchmarkFailed
from iothub.servers.jars import kafka_version
from iothub.servers.java import Missing, find_java

_HERE = Path(__file__).parent
_SECONDS = 900
_JVM = ("-Xmx1g", "-XX:+UseParallelGC")
"""Of the JVM's collectors the one with which the peer is fastest and uses the least CPU time."""
_VERSIONS = "from importlib.metadata import version; import sys; print(*map(version, sys.argv[1:]))"


class PeerEnvironment:
    """An environment of Python peers: ``asyncio`` or ``quixstreams``. Made when its ``python`` is first asked for."""

    def __init__(self, name: str) -> None:
        self._requirements = _HERE / "peers" / f"{name}.txt"
        self._folder = _HERE / ".peers" / name

    @property
    def python(self) -> Path:
        """The interpreter. Raises BenchmarkFailed where the environment can't be made."""
        python, made = self._folder / "bin" / "python", self._folder / ".made"
        wanted = self._requirements.read_text("utf-8")
        if made.is_file() and made.read_text("utf-8") == wanted:
            return python
        shutil.rmtree(self._folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(self._folder)])
        _run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(self._requirements)])
        made.write_text(wanted, "utf-8")
        return python

    def find_versions(self, *packages: str) -> dict[str, str]:
        """Return the versions of installed packages."""
        found = _run([str(self.python), "-c", _VERSIONS, *packages]).split()
        return dict(zip(packages, found, strict=True))


ASYNCIO = PeerEnvironment("asyncio")
QUIX = PeerEnvironment("quixstreams")


def build_kafka_streams() -> list[str]:
    """Build the Java peer where its sources are newer, and return its call up to the arguments.

    Raises BenchmarkFailed.
    """
    project = _HERE / "kafka-streams"
    target = project / "target"
    java, jar = find_java(), target / "validator.jar"
    if isinstance(java, Missing):
        raise BenchmarkFailed(f"Kafka Streams can't run here: {java.sentence}")
    sources = [project / "pom.xml", *project.glob("src/**/*.java")]
    if not jar.is_file() or jar.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        maven = shutil.which("mvn")
        if maven is None:
            raise BenchmarkFailed("Kafka Streams can't be built here: Maven is not installed")
        _run([maven, "-q", "-B", "-f", str(project / "pom.xml"), f"-Dkafka.version={kafka_version()}", "package"])
    return [str(java.path), *_JVM, "-cp", f"{jar}:{target}/jars/*", "io.iothub.bench.Validator"]


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise BenchmarkFailed(f"{' '.join(command)} took longer than {_SECONDS} s") from error
    if done.returncode != 0:
        raise BenchmarkFailed(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout
