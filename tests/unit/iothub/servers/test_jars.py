"""Kafka's jars: exactly those of the list, byte for byte, or fetched anew, or a sentence."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from iothub.errors import StartFailed
from iothub.servers import jars
from iothub.servers.jars import find_damage, find_fetch_problem, kafka_version, prepare_jars, read_sums

CONTENT = {"a.jar": b"jar a", "b.jar": b"jar b"}
SUMS = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "jars"
    found.mkdir()
    for name, content in CONTENT.items():
        (found / name).write_bytes(content)
    return found


class TestDamage:
    def test_whole_ones_are_read_once(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        read: list[Any] = []
        real = hashlib.file_digest

        def note(file: Any, name: str) -> Any:
            read.append(file.name)
            return real(file, name)

        monkeypatch.setattr(hashlib, "file_digest", note)
        assert find_damage(folder, SUMS) is None
        assert len(read) == 2
        assert find_damage(folder, SUMS) is None
        assert len(read) == 2

    def test_none_are_there(self, tmp_path: Path) -> None:
        assert find_damage(tmp_path / "nothing", SUMS) == "they are not there"

    def test_one_is_missing(self, folder: Path) -> None:
        assert find_damage(folder, SUMS) is None
        (folder / "b.jar").unlink()
        assert find_damage(folder, SUMS) == "b.jar is missing"

    def test_one_does_not_belong_there(self, folder: Path) -> None:
        assert find_damage(folder, SUMS) is None
        (folder / "evil.jar").write_bytes(b"")
        assert find_damage(folder, SUMS) == "evil.jar does not belong there"

    @pytest.mark.parametrize("content", [b"jar X", b"jar"], ids=["changed", "cut off"])
    def test_one_is_damaged(self, folder: Path, content: bytes) -> None:
        assert find_damage(folder, SUMS) is None
        (folder / "b.jar").write_bytes(content)
        assert find_damage(folder, SUMS) == "b.jar is damaged"

    def test_a_list_that_changed_is_compared_anew(self, folder: Path) -> None:
        assert find_damage(folder, SUMS) is None
        assert find_damage(folder, SUMS | {"b.jar": "0" * 64}) == "b.jar is damaged"

    def test_a_note_of_the_check_that_is_no_note_only_costs_another(self, folder: Path) -> None:
        assert find_damage(folder, SUMS) is None
        (folder / ".checked").write_bytes(b"\x00{")
        assert find_damage(folder, SUMS) is None
        assert orjson.loads((folder / ".checked").read_bytes()).keys() == SUMS.keys()


class TestPrepare:
    """With a Maven of our own: a script that copies what lies in `repository`."""

    @pytest.fixture(autouse=True)
    def machine(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        monkeypatch.setattr(jars, "SUMS", tmp_path / "sums")
        (tmp_path / "sums").write_text("".join(f"{digest}  {name}\n" for name, digest in SUMS.items()))

    def install_maven(self, tmp_path: Path, content: dict[str, bytes], *, code: int = 0) -> None:
        repository = tmp_path / "repository"
        repository.mkdir(exist_ok=True)
        for name, body in content.items():
            (repository / name).write_bytes(body)
        (tmp_path / "bin").mkdir(exist_ok=True)
        maven = tmp_path / "bin" / "mvn"
        maven.write_text(
            "#!/bin/sh\nfor word; do case $word in -DoutputDirectory=*) out=${word#*=};; esac; done\n"
            f"echo called >>{tmp_path}/calls\necho 'Could not transfer artifact'\n"
            f"/bin/cp {repository}/*.jar $out/\nexit {code}\n"
        )
        maven.chmod(0o755)

    def calls(self, tmp_path: Path) -> int:
        return len((tmp_path / "calls").read_text().splitlines())

    def test_they_are_fetched_once(self, tmp_path: Path) -> None:
        self.install_maven(tmp_path, CONTENT)
        folder = prepare_jars()
        assert folder == tmp_path / "cache" / "iot-hub" / "kafka" / kafka_version()
        assert {path.name: path.read_bytes() for path in folder.glob("*.jar")} == CONTENT
        assert prepare_jars() == folder
        assert self.calls(tmp_path) == 1
        assert {path.name for path in folder.parent.iterdir()} == {folder.name, f".{folder.name}.lock"}

    def test_damaged_ones_are_fetched_anew(self, tmp_path: Path) -> None:
        self.install_maven(tmp_path, CONTENT)
        folder = prepare_jars()
        (folder / "a.jar").write_bytes(b"")
        (folder / "stranger.jar").write_bytes(b"")
        prepare_jars()
        assert {path.name: path.read_bytes() for path in folder.glob("*.jar")} == CONTENT
        assert self.calls(tmp_path) == 2

    def test_without_maven_whole_ones_do(self, tmp_path: Path) -> None:
        self.install_maven(tmp_path, CONTENT)
        folder = prepare_jars()
        (tmp_path / "bin" / "mvn").unlink()
        assert find_fetch_problem() is None
        assert prepare_jars() == folder

    def test_without_maven_damaged_ones_are_a_sentence(self, tmp_path: Path) -> None:
        self.install_maven(tmp_path, CONTENT)
        folder = prepare_jars()
        (tmp_path / "bin" / "mvn").unlink()
        (folder / "a.jar").write_bytes(b"")
        assert "Maven" in (find_fetch_problem() or "")
        with pytest.raises(StartFailed, match=rf"in {folder} can't be used: a\.jar is damaged, .* no Maven"):
            prepare_jars()

    def test_without_maven_and_jars_it_is_a_sentence(self) -> None:
        assert find_fetch_problem() == (
            f"Maven, which fetches Apache Kafka {kafka_version()}, is not installed (Debian: apt-get install maven)"
        )
        with pytest.raises(StartFailed, match=r"can't be fetched: Maven, which fetches .* is not installed"):
            prepare_jars()

    def test_a_maven_that_fails_leaves_its_log_and_no_folder(self, tmp_path: Path) -> None:
        self.install_maven(tmp_path, CONTENT, code=1)
        with pytest.raises(StartFailed, match=r"is this machine online") as caught:
            prepare_jars()
        log = Path(str(caught.value).rpartition(" ")[2])
        assert "Could not transfer artifact" in log.read_text()
        assert not (tmp_path / "cache" / "iot-hub" / "kafka" / kafka_version()).exists()

    def test_other_bytes_than_those_of_the_list_are_refused(self, tmp_path: Path) -> None:
        self.install_maven(tmp_path, CONTENT | {"b.jar": b"from elsewhere"})
        with pytest.raises(StartFailed, match=r"not Apache Kafka .* as we know it: b\.jar is damaged; check Maven's"):
            prepare_jars()
        assert not (tmp_path / "cache" / "iot-hub" / "kafka" / kafka_version()).exists()

    def test_a_cache_that_can_t_be_written_is_a_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file where the folder should be")
        with pytest.raises(StartFailed, match=r"can't be kept in .*: Not a directory"):
            prepare_jars()


def test_the_packaged_list_is_that_of_the_packaged_version() -> None:
    sums = read_sums()
    assert f"kafka_2.13-{kafka_version()}.jar" in sums
    assert all(len(digest) == 64 and name.endswith(".jar") for name, digest in sums.items())
    assert any(name.startswith("log4j-slf4j-impl-") for name in sums)
