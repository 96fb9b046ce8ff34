"""The programs of this machine that the hub can use, each with what it does without."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from iothub.doctor import remedies
from iothub.doctor.finding import Check, Finding
from iothub.servers.jars import find_damage, jars_folder, kafka_version, read_sums
from iothub.servers.java import Missing, find_java
from iothub.servers.mosquitto import find_limits, find_mosquitto

DISTRIBUTION = "iot-hub-telemetry"
EXTRA = "cli"
MINIMUM_PYTHON = (3, 11)
MINIMUM_HELM = (3, 14)
_ANSWER_SECONDS = 15
_MEMORY = "`iothub up` uses the Kafka in memory: what it holds is gone when it ends"
_NO_KIND = "`make kind-up` needs it; `iothub up` does not"


def program_checks() -> list[Check]:
    """Return the checks of this machine's programs."""
    return [
        Check("Python", check_python),
        Check("packages", check_packages),
        Check("Java", check_java),
        Check("Maven", check_maven),
        Check("Kafka's jars", check_jars, 60),
        Check("mosquitto", check_mosquitto),
        Check("Docker", check_docker),
        Check("Docker Compose", check_compose),
        Check("kind", check_kind),
        Check("kubectl", check_kubectl),
        Check("Helm", check_helm),
    ]


def check_python() -> Finding:
    """Whether Python is recent enough."""
    found = f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}"
    if sys.version_info < MINIMUM_PYTHON:
        return Finding.wrong("Python", found, f"{'.'.join(map(str, MINIMUM_PYTHON))} or later is needed")
    return Finding.ok("Python", found)


def check_packages() -> Finding:
    """Whether the packages of the extra are there, all of them."""
    name = f"packages of [{EXTRA}]"
    try:
        absent = sorted(filter(_is_absent, _find_wanted(EXTRA)))
    except PackageNotFoundError:
        return Finding.ok(name, "not installed as a package, so nothing says which are needed")
    if absent:
        names = ", ".join(absent)
        return Finding.wrong(name, f"missing: {names}", advice=f"pip install '{DISTRIBUTION}[{EXTRA}]'")
    return Finding.ok(name, f"all of {DISTRIBUTION} {version(DISTRIBUTION)}")


def _find_wanted(extra: str) -> Iterator[str]:
    """Yield the names of the packages that ``extra`` needs on this machine, with those of extras that it includes."""
    for line in requires(DISTRIBUTION) or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        if requirement.name == DISTRIBUTION:
            for included in requirement.extras:
                yield from _find_wanted(included)
        else:
            yield requirement.name


def _is_absent(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return True
    return False


def check_java() -> Finding:
    """Whether there is a Java that Apache Kafka runs on."""
    java = find_java()
    if not isinstance(java, Missing):
        return Finding.ok("Java", f"{java.version} at {java.path}")
    if shutil.which("java") is None and "JAVA_HOME" not in java.sentence:
        return Finding.missing("Java", "there is none on the PATH", _MEMORY, remedies.JAVA.advice)
    return Finding.wrong("Java", java.sentence.partition(";")[0], _MEMORY, remedies.JAVA.advice)


def check_maven() -> Finding:
    """Whether Maven can fetch Kafka's jars."""
    found = shutil.which("mvn")
    if found is not None:
        return Finding.ok("Maven", found)
    means = f"Apache Kafka {kafka_version()} can't be fetched, so without its jars {_MEMORY}"
    return Finding.missing("Maven", "there is no mvn on the PATH", means, remedies.MAVEN.advice)


def check_jars() -> Finding:
    """Whether Kafka's jars are cached, and whole."""
    name, folder = "Kafka's jars", jars_folder()
    if not folder.is_dir():
        return Finding.missing(name, f"not fetched yet ({folder})", "the first `iothub up` with Java and Maven does it")
    damage = find_damage(folder, read_sums())
    if damage is not None:
        means = "the next `iothub up` fetches them anew, for which it needs Maven"
        return Finding.wrong(name, f"{folder}: {damage}", means, f"rm -r {folder}")
    return Finding.ok(name, f"Apache Kafka {kafka_version()} in {folder}")


def check_mosquitto() -> Finding:
    """Whether there is a mosquitto, and how much it promises."""
    mosquitto = find_mosquitto()
    if mosquitto is None:
        means = "`iothub up` uses amqtt: MQTT 3.1.1, and what is on its way is lost when it is killed"
        return Finding.missing("mosquitto", "there is none", means, remedies.MOSQUITTO.advice)
    return Finding.ok("mosquitto", f"{mosquitto} at {mosquitto.path}", " ".join(find_limits(mosquitto)))


def check_docker() -> Finding:
    """Whether a Docker engine answers."""
    if shutil.which("docker") is None:
        means = "`docker compose up`, `make images` and kind need it; `iothub up` does not"
        return Finding.missing("Docker", "there is no docker on the PATH", means, remedies.DOCKER.advice)
    said = _ask("docker", "version", "--format", "{{.Server.Version}}")
    if said is None:
        advice = (
            "start it, and see that your user may reach it: https://docs.docker.com/engine/install/linux-postinstall/"
        )
        return Finding.missing("Docker", "docker is there, but no engine answers it", "", advice)
    return Finding.ok("Docker", f"engine {said}")


def check_compose() -> Finding:
    """Whether compose.yaml can be started."""
    for words in (("docker", "compose"), ("docker-compose",)):
        said = _ask(*words, "version", "--short")
        if said is not None:
            return Finding.ok("Docker Compose", f"{said} ({' '.join(words)})")
    return Finding.missing("Docker Compose", "there is none", "compose.yaml needs it", remedies.COMPOSE.advice)


def check_kind() -> Finding:
    """Whether there is kind."""
    found = shutil.which("kind")
    if found is None:
        return Finding.missing("kind", "there is none on the PATH", _NO_KIND, remedies.KIND.advice)
    return Finding.ok("kind", _ask("kind", "version") or found)


def check_kubectl() -> Finding:
    """Whether there is kubectl."""
    found = shutil.which("kubectl")
    if found is None:
        means = "`--context` and `make kind-up` need it; `iothub up` does not"
        return Finding.missing("kubectl", "there is none on the PATH", means, remedies.KUBECTL.advice)
    return Finding.ok("kubectl", found)


def check_helm() -> Finding:
    """Whether there is a Helm that the chart can be installed with."""
    if shutil.which("helm") is None:
        means = "installing the chart needs it; `iothub up` does not"
        return Finding.missing("Helm", "there is none on the PATH", means, remedies.HELM.advice)
    said = _ask("helm", "version", "--short") or ""
    numbers = re.search(r"v(\d+)\.(\d+)", said)
    if numbers is None:
        return Finding.wrong("Helm", f"it does not tell its version (it says {said!r})", advice=remedies.HELM.advice)
    if (int(numbers[1]), int(numbers[2])) < MINIMUM_HELM:
        least = ".".join(map(str, MINIMUM_HELM))
        return Finding.wrong("Helm", said, f"the chart needs {least} or later", remedies.HELM.advice)
    return Finding.ok("Helm", said)


def _ask(*words: str) -> str | None:
    """Return the first line that a program answers; None where it fails."""
    if shutil.which(words[0]) is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603  # programs of the user's own PATH
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_ANSWER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    line = done.stdout.strip().partition("\n")[0]
    return line if done.returncode == 0 and line else None
