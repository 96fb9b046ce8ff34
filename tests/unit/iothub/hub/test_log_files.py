"""Reading logs: of a part, a worker, all of a consumer's workers; and following them over restarts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iothub.hub import log_files
from iothub.hub.folder import Folder, begin_log, bound_log
from iothub.hub.log_files import Line, find_logs, follow_lines, list_names, read_lines


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "hub")
    made.prepare(fresh=True)
    made.part_log("kafka").write_text("kafka 1\nkafka 2\n")
    (made.logs / "kafka.previous.log").write_text("before\n")
    for pod in ("alarm-1", "alarm-2"):
        place = made.pod("default", "alarm", pod)
        place.mkdir(parents=True)
        (place / "preflight.log").write_text("tried\n")
        (place / "worker.log").write_text(f"{pod} works\n")
    new = made.pod("default", "new", "new-1")
    new.mkdir(parents=True)
    (new / "preflight.log").write_text("trying")
    return made


def texts(lines: Iterator[Line]) -> list[str]:
    return [f"{line.prefix}{line.text}" for line in lines]


def test_of_a_part(folder: Folder) -> None:
    assert texts(read_lines(find_logs(folder, "kafka"), tail=None)) == ["kafka 1", "kafka 2"]
    assert texts(read_lines(find_logs(folder, "kafka"), tail=1)) == ["kafka 2"]
    assert texts(read_lines(find_logs(folder, "kafka"), tail=0)) == []
    assert texts(read_lines(find_logs(folder, "kafka", previous=True), tail=None)) == ["before"]


@pytest.mark.parametrize("wanted", ["alarm", "default/alarm"])
def test_of_a_consumer_each_line_says_whose_it_is(folder: Folder, wanted: str) -> None:
    lines = texts(read_lines(find_logs(folder, wanted), tail=None))
    assert lines == ["[alarm-1] alarm-1 works", "[alarm-2] alarm-2 works"]


def test_of_a_worker(folder: Folder) -> None:
    assert texts(read_lines(find_logs(folder, "alarm-2"), tail=None)) == ["alarm-2 works"]


def test_a_worker_that_is_only_tried_shows_its_preflight(folder: Folder) -> None:
    assert texts(read_lines(find_logs(folder, "new"), tail=None)) == ["trying"]


def test_what_there_is_and_is_not(folder: Folder) -> None:
    assert find_logs(folder, "kafka.previous") == []
    assert find_logs(folder, "alarm", previous=True) == []
    assert list_names(folder) == ["alarm", "alarm-1", "alarm-2", "kafka", "new", "new-1"]


def test_following_goes_on_over_restarts_cuts_and_new_workers(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "LOOK_SECONDS", 0)
    log = folder.part_log("kafka")
    lines = follow_lines(lambda: find_logs(folder, "kafka"), tail=1)
    assert next(lines).text == "kafka 2"
    with log.open("a") as writer:
        writer.write("kafka 3\nhalf")
        writer.flush()
        assert next(lines).text == "kafka 3"
        writer.write(" a line\n")
        writer.flush()
        assert next(lines).text == "half a line"
        bound_log(log, limit=1)
        writer.write("cut\n")
    assert next(lines).text == "cut"
    begin_log(log)
    log.write_text("started again\n")
    assert next(lines).text == "started again"

    workers = follow_lines(lambda: find_logs(folder, "alarm"), tail=None)
    assert {next(workers).source for _ in range(2)} == {"alarm-1", "alarm-2"}
    third = folder.pod("default", "alarm", "alarm-3")
    third.mkdir()
    (third / "worker.log").write_text("late\n")
    assert next(workers) == Line("alarm-3", "late", "[alarm-3] ")


def test_a_hub_that_removes_its_workers_folders_meanwhile_has_no_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path)
    consumer = folder.pod("default", "validator", "validator-1").parent
    consumer.mkdir(parents=True)
    scan = os.scandir

    def remove_first(path: Path) -> Any:
        if Path(path) == consumer and consumer.exists():
            consumer.rmdir()
        return scan(path)

    monkeypatch.setattr(os, "scandir", remove_first)

    assert find_logs(folder, "validator") == []
    assert not consumer.exists()
