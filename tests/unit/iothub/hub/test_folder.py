"""A hub's folder: its paths, its lock, and what its logs may grow to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from iothub.errors import UsageError
from iothub.hub.folder import Folder, Lock, begin_log, bound_log, find_holder, previous_log, read_tail


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return Folder.of("hub")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\nb", "x" * 101])
def test_what_can_not_be_a_name(name: str) -> None:
    with pytest.raises(UsageError, match="can't be a hub's name"):
        Folder.of(name)


def test_it_is_its_users_alone(folder: Folder) -> None:
    folder.prepare(fresh=False)
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_the_next_run_keeps_the_data_and_drops_the_pods(folder: Folder) -> None:
    folder.prepare(fresh=False)
    (folder.data / "kafka").mkdir()
    folder.pod("default", "c", "c-1").mkdir(parents=True)
    folder.prepare(fresh=False)
    assert (folder.data / "kafka").exists()
    assert list(folder.pods.iterdir()) == []
    folder.prepare(fresh=True)
    assert list(folder.data.iterdir()) == []


def test_a_socket_fits_wherever_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Folder(Path("/s/hub")).socket == Path("/s/hub/control.sock")
    monkeypatch.setenv("TMPDIR", "/tmp")
    long, other = (Folder(tmp_path / (letter * 100)) for letter in "ab")
    assert len(os.fsencode(long.socket)) <= 100
    assert long.socket == Folder(long.path).socket
    assert long.socket != other.socket


def test_one_holds_it_at_a_time_and_says_who(folder: Folder) -> None:
    first, second = Lock(folder), Lock(folder)
    assert find_holder(folder) is None
    assert first.take()
    assert not second.take()
    holder = find_holder(folder)
    assert holder is not None
    assert (holder.pid, holder.is_there) == (os.getpid(), True)
    first.release()
    assert find_holder(folder) is None
    assert second.take()
    second.release()


def test_a_killed_one_holds_it_no_more(folder: Folder) -> None:
    code = (
        "import sys, pathlib, time; from iothub.hub.folder import Folder, Lock; "
        "lock = Lock(Folder(pathlib.Path(sys.argv[1]))); print(lock.take(), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(folder.path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        assert not Lock(folder).take()
        process.kill()
    assert find_holder(folder) is None
    lock = Lock(folder)
    assert lock.take()
    lock.release()


def test_a_pid_that_was_given_out_again_holds_nothing(folder: Folder) -> None:
    folder.path.mkdir(parents=True)
    created = psutil.Process().create_time()
    folder.lock.write_text(f'{{"pid": {os.getpid()}, "created": {created - 100}}}')
    assert find_holder(folder) is None
    folder.lock.write_text("half of")
    assert find_holder(folder) is None


def test_a_new_run_keeps_the_last_ones_log(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    begin_log(log)
    log.write_text("first")
    begin_log(log)
    assert (log.exists(), previous_log(log).read_text()) == (False, "first")
    log.write_text("second")
    begin_log(log)
    assert previous_log(log).read_text() == "second"


def test_a_log_that_grows_is_moved_aside_while_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 100)
        bound_log(log, limit=100)
        assert log.stat().st_size == 100
        writer.write(b"y")
        bound_log(log, limit=100)
        writer.write(b"z")
    assert log.read_bytes() == b"z"
    assert previous_log(log).read_bytes() == b"x" * 100 + b"y"
    bound_log(tmp_path / "none.log")


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert read_tail(log) == ""
    log.write_text("\n".join(str(number) for number in range(1000)))
    assert read_tail(log, lines=2) == "998\n999"
    assert len(read_tail(log, lines=1000, most=100)) == 100
