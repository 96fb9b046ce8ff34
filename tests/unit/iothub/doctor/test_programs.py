"""The programs of a machine: what is there, what is too old, what one can do without."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from iothub.doctor import programs
from iothub.doctor.finding import Check, Finding, State
from iothub.doctor.remedies import Remedy
from iothub.servers.jars import kafka_version
from unit.iothub.doctor.conftest import Install

JAVA = 'echo "openjdk version \\"{version}\\" 2025-01-01" >&2'


@pytest.fixture(autouse=True)
def _no_mosquitto_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    # Debian keeps it in a folder that is looked into besides the PATH.
    monkeypatch.setattr("iothub.servers.mosquitto._SBIN", "/nowhere")


def run(check: Check) -> Finding:
    finding = check.run()
    assert isinstance(finding, Finding)
    return finding


def test_on_a_bare_machine_everything_is_missing_and_nothing_is_wrong(install: Install) -> None:
    states = {check.name: run(check).state for check in programs.program_checks()}
    assert states.pop("Python") is State.OK
    assert states.pop("packages") is State.OK
    assert set(states.values()) == {State.MISSING}
    assert len(states) == 9


def test_each_missing_program_says_what_follows_and_what_to_type(install: Install) -> None:
    for check in programs.program_checks()[2:]:
        finding = run(check)
        assert finding.means, finding
        if check.name != "Kafka's jars":
            assert "https://" in finding.advice, finding
    assert "in memory" in programs.check_java().means
    assert "amqtt" in programs.check_mosquitto().means


@pytest.mark.parametrize(("version", "state"), [("17.0.15", State.OK), ("21", State.OK), ("11.0.2", State.WRONG)])
def test_java(version: str, state: State, install: Install) -> None:
    install("java", JAVA.format(version=version))
    finding = programs.check_java()
    assert finding.state is state
    assert version in finding.found
    assert ("in memory" in finding.means) is (state is State.WRONG)


def test_a_java_home_that_leads_nowhere_is_wrong(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere/java")
    finding = programs.check_java()
    assert finding.state is State.WRONG
    assert "/nowhere/java" in finding.found


def test_java_that_does_not_start_is_wrong(install: Install) -> None:
    install("java", "exit 1")
    assert programs.check_java().state is State.WRONG


@pytest.mark.parametrize(
    ("version", "means"), [("2.0.11", "as every version before 2.1 does"), ("2.1.2", "without its SQLite plugin")]
)
def test_mosquitto_says_what_it_does_not_promise(version: str, means: str, install: Install) -> None:
    install("mosquitto", f"echo mosquitto version {version}")
    finding = programs.check_mosquitto()
    assert finding.state is State.OK
    assert version in finding.found
    if not list(Path("/usr/lib").glob("**/mosquitto_persist_sqlite.so")):
        assert means in finding.means


def test_maven_and_the_jars(install: Install, tmp_path: Path) -> None:
    assert programs.check_maven().state is State.MISSING
    install("mvn", "exit 0")
    assert programs.check_maven().state is State.OK
    assert programs.check_jars().state is State.MISSING
    folder = tmp_path / "c" / "iot-hub" / "kafka" / kafka_version()
    folder.mkdir(parents=True)
    (folder / "strange.jar").touch()
    finding = programs.check_jars()
    assert finding.state is State.WRONG
    assert finding.advice == f"rm -r {folder}"


def test_docker_without_an_engine_is_not_there(install: Install) -> None:
    install("docker", "exit 1")
    finding = programs.check_docker()
    assert finding.state is State.MISSING
    assert "no engine answers" in finding.found
    assert programs.check_compose().state is State.MISSING


def test_docker_with_an_engine_and_compose(install: Install) -> None:
    install("docker", 'case "$1" in version) echo 27.0.1 ;; compose) echo 2.30.0 ;; esac')
    assert programs.check_docker().found == "engine 27.0.1"
    assert programs.check_compose().found == "2.30.0 (docker compose)"


def test_the_older_compose_counts(install: Install) -> None:
    install("docker", 'case "$1" in version) echo 20.10.24 ;; *) exit 1 ;; esac')
    install("docker-compose", "echo 1.29.2")
    assert programs.check_compose().found == "1.29.2 (docker-compose)"


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("v3.19.0+g3d8990f", State.OK),
        ("v4.0.1", State.OK),
        ("v3.14.0", State.OK),
        ("v3.13.3", State.WRONG),
        ("v2.17.0", State.WRONG),
        ("what?", State.WRONG),
    ],
)
def test_helm(said: str, state: State, install: Install) -> None:
    install("helm", f"echo '{said}'")
    assert programs.check_helm().state is state


@pytest.mark.parametrize("package", ["amqtt", "pydantic", "uvloop"])
def test_a_package_of_the_extra_that_is_missing_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own, everybody's, and one of those that ``iothub up`` needs for ingestion."""

    def version(name: str) -> str:
        if name == package:
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(programs, "version", version)
    finding = programs.check_packages()
    assert finding.state is State.WRONG
    assert finding.found == f"missing: {package}"
    assert finding.advice == "pip install 'iot-hub-telemetry[cli]'"


def test_packages_of_the_other_extras_are_nobodys_business(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name in {"kopf", "aiohttp"}:
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(programs, "version", version)
    assert programs.check_packages().state is State.OK


class TestRemedy:
    """What to type, as the system at hand has it."""

    REMEDY = Remedy("https://example.com/x", "x-debian", "x-brew")

    def test_debian(self, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
        install("apt-get", "exit 0")
        monkeypatch.setattr("os.geteuid", lambda: 0)
        assert self.REMEDY.advice == "apt-get install x-debian"
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        assert self.REMEDY.advice == "sudo apt-get install x-debian"

    def test_homebrew(self, install: Install) -> None:
        install("brew", "exit 0")
        assert self.REMEDY.advice == "brew install x-brew"

    def test_anything_else(self, install: Install) -> None:
        assert shutil.which("apt-get") is None
        assert self.REMEDY.advice == "see https://example.com/x"
        install("apt-get", "exit 0")
        assert Remedy("https://example.com/x").advice == "see https://example.com/x"
