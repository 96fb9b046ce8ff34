"""Which Java is found, and what is said where it can't be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from iothub.servers.java import Java, Missing, find_java

RECENT = 'openjdk version "21.0.2" 2024-01-16'
OLD = 'openjdk version "11.0.22" 2024-01-16'
ANCIENT = 'java version "1.8.0_392"'


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A PATH that holds nothing but what a test puts there."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def install(folder: Path, says: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    java = folder / "java"
    java.write_text(f"#!/bin/sh\necho 'Picked up JAVA_TOOL_OPTIONS: -Dx=1' >&2\necho '{says}' >&2\n")
    java.chmod(0o755)
    return java


def sentence(found: Java | Missing) -> str:
    assert isinstance(found, Missing)
    return found.sentence


def test_a_recent_java_of_the_path_is_taken(machine: Path) -> None:
    path = install(machine, RECENT)
    assert find_java() == Java(path, "21.0.2")


def test_java_home_comes_first(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(machine, OLD)
    monkeypatch.setenv("JAVA_HOME", str(machine / "jdk"))
    path = install(machine / "jdk" / "bin", RECENT)
    assert find_java() == Java(path, "21.0.2")


@pytest.mark.parametrize(("says", "version"), [(OLD, "11.0.22"), (ANCIENT, "1.8.0_392")])
def test_one_that_is_too_old_is_named_with_path_and_version(machine: Path, says: str, version: str) -> None:
    path = install(machine, says)
    said = sentence(find_java())
    assert said.startswith(f"{path} is Java {version}, Apache Kafka needs 17 or later; install Java 17")


def test_none_at_all(machine: Path) -> None:
    assert sentence(find_java()).startswith("there is no java on the PATH; install Java 17")


def test_a_java_home_without_java_is_not_passed_over(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(machine, RECENT)
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    assert sentence(find_java()).startswith("JAVA_HOME is /nowhere, but there is no bin/java in it")


def test_one_that_can_t_be_run_or_says_nothing(machine: Path) -> None:
    path = install(machine, "no version here")
    assert f"{path} does not tell its version" in sentence(find_java())
    path.write_bytes(b"\x7fELF nonsense")
    assert f"{path} can't be run" in sentence(find_java())
