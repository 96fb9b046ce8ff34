"""The files of `iothub up -f`, applied to a store: what comes, changes, goes, and what can't be taken."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from iothub.errors import ManifestProblem
from iothub.hub import files as module
from iothub.hub.containers import SECRETS
from iothub.hub.events import Event
from iothub.hub.files import Files
from iothub.hub.objects import ObjectStore
from iothub.hub.scaling import scale
from iothub.resources import find_resource
from telemetry_operator.api import CONFIG_MAPS, CONSUMERS, Manifest

CONSUMER = """\
apiVersion: telemetry.iot-hub.io/v1alpha1
kind: TelemetryConsumer
metadata: {{name: {name}}}
spec:
  topics: [telemetry.raw]
  groupId: {name}
  handler: {handler}
{more}"""


WATCHED_SECONDS = 10.0


class Bench:
    """A folder of manifests, a store, and what was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = ObjectStore()
        self.events: list[Event] = []
        self.files = Files((folder,), self.store, self.events.append)

    def write(self, name: str, more: str = "", *, handler: str = "{name: logger}") -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(CONSUMER.format(name=name, handler=handler, more=more))
        return path

    def start(self) -> None:
        self.files.load()
        self.files.apply()

    def consumer(self, name: str) -> Manifest:
        found = self.store.get(CONSUMERS, "default", name)
        assert found is not None
        return found

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.files.watch())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @property
    def names(self) -> list[str]:
        return sorted(body["metadata"]["name"] for body in self.store.find(CONSUMERS))


async def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WATCHED_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(module, "GONE_SECONDS", 0)
    monkeypatch.setattr(module, "FOLDER_LOOK_MS", 50)
    (tmp_path / "manifests").mkdir()
    return Bench(tmp_path / "manifests")


def test_what_is_applied_has_the_crds_defaults(bench: Bench) -> None:
    bench.write("a")
    bench.start()
    assert bench.consumer("a")["spec"]["replicas"] == 1
    assert bench.files.find_topics() == ("telemetry.raw", "telemetry.dlq")


async def test_only_what_changed_is_applied(bench: Bench) -> None:
    bench.write("a")
    bench.write("b")
    bench.start()
    before = bench.consumer("a")["metadata"]["resourceVersion"]
    bench.write("b", "  replicas: 3\n")
    await bench.files.refresh()
    assert (bench.consumer("b")["spec"]["replicas"], bench.consumer("b")["metadata"]["generation"]) == (3, 2)
    assert bench.consumer("a")["metadata"]["resourceVersion"] == before
    assert [str(event) for event in bench.events] == ["applied: b"]
    await bench.files.refresh()
    assert len(bench.events) == 1


async def test_files_come_and_go_and_so_do_consumers(bench: Bench) -> None:
    first = bench.write("a")
    bench.start()
    bench.write("b")
    await bench.files.refresh()
    assert bench.names == ["a", "b"]
    first.unlink()
    await bench.files.refresh()
    assert bench.names == ["b"]


async def test_a_file_that_can_not_be_taken_changes_nothing_until_it_is_right_again(bench: Bench) -> None:
    path = bench.write("a", "  replicas: 2\n")
    bench.start()
    right = path.read_text()
    for wrong in (right.replace("2\n", "two\n"), right + "x: [", right.replace("groupId: a", "groupId: b"), ""):
        path.write_text(wrong)
        await bench.files.refresh()
        if wrong:
            assert bench.events[-1].kind == "error"
            assert str(bench.events[-1]).startswith(f"{path}:")
            assert str(bench.events[-1]).endswith("; what was there before goes on")
            assert (bench.consumer("a")["spec"]["replicas"], bench.consumer("a")["spec"]["groupId"]) == (2, "a")
    path.write_text(right)
    await bench.files.refresh()
    assert bench.names == ["a"]


async def test_the_same_error_is_told_once_and_its_mending_too(bench: Bench) -> None:
    path = bench.write("a")
    bench.start()
    right = path.read_text()
    path.write_text(right + "  startFrom: yesterday\n")
    await bench.files.refresh()
    await bench.files.refresh()
    assert [event.kind for event in bench.events] == ["error"]
    path.write_text(right)
    await bench.files.refresh()
    assert [event.kind for event in bench.events] == ["error", "mended"]
    assert str(bench.events[-1]) == f"{path} is right again"


async def test_an_error_in_one_file_does_not_hold_up_another(bench: Bench) -> None:
    path = bench.write("a")
    bench.write("b")
    bench.start()
    path.write_text("nonsense")
    bench.write("b", "  replicas: 4\n")
    await bench.files.refresh()
    assert bench.consumer("b")["spec"]["replicas"] == 4
    assert bench.names == ["a", "b"]


async def test_scaled_by_hand_it_stays_so_until_the_file_names_replicas(bench: Bench) -> None:
    bench.write("a")
    bench.start()
    scale(bench.store, {"name": "a", "replicas": 5})
    bench.write("a", "  startFrom: latest\n")
    await bench.files.refresh()
    assert (bench.consumer("a")["spec"]["replicas"], bench.consumer("a")["spec"]["startFrom"]) == (5, "latest")
    bench.write("a", "  replicas: 2\n")
    await bench.files.refresh()
    assert bench.consumer("a")["spec"]["replicas"] == 2


async def test_a_handlers_file_beside_its_manifest_becomes_its_config_map(bench: Bench) -> None:
    code = bench.folder / "code.py"
    code.write_text("first")
    bench.write("a", handler="{configMap: {name: code, key: code.py}, class: X}")
    bench.start()
    found = bench.store.get(CONFIG_MAPS, "default", "code")
    assert found is not None
    assert found["data"] == {"code.py": "first"}
    code.write_text("second")
    await bench.files.refresh()
    found = bench.store.get(CONFIG_MAPS, "default", "code")
    assert found is not None
    assert found["data"] == {"code.py": "second"}
    code.unlink()
    await bench.files.refresh()
    assert bench.store.get(CONFIG_MAPS, "default", "code") is None
    assert bench.names == ["a"]


def test_secrets_and_config_maps_come_before_the_consumers(bench: Bench) -> None:
    seen: list[str] = []
    for resource in (CONSUMERS, CONFIG_MAPS, SECRETS):
        bench.store.watch(resource, lambda body, gone: seen.append(body["kind"]))
    bench.write("a")
    (bench.folder / "z.yaml").write_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: b}\n"
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n"
    )
    bench.start()
    assert sorted(seen[:2]) == ["ConfigMap", "Secret"]
    assert seen[2:] == ["TelemetryConsumer"]


def test_at_the_start_what_is_wrong_ends_it(bench: Bench) -> None:
    path = bench.write("a", "  replicas: one\n")
    with pytest.raises(ManifestProblem, match=f"{path}:8: spec.replicas"):
        bench.files.load()


def test_the_same_object_twice_ends_it_too(bench: Bench) -> None:
    bench.write("a")
    (bench.folder / "b.yaml").write_text((bench.folder / "a.yaml").read_text())
    with pytest.raises(ManifestProblem, match=r"is there twice, first in .*a\.yaml"):
        bench.files.load()


async def test_twice_while_it_runs_is_told_and_the_first_goes_on(bench: Bench) -> None:
    bench.write("a")
    bench.start()
    (bench.folder / "b.yaml").write_text((bench.folder / "a.yaml").read_text())
    await bench.files.refresh()
    assert [event.kind for event in bench.events] == ["error"]
    assert bench.names == ["a"]


async def test_topics_are_made_before_what_reads_them(bench: Bench) -> None:
    bench.write("a")
    bench.files.load()
    made: list[str] = []
    await bench.files.make_topics_with(made.extend)
    bench.files.apply()
    assert made == ["telemetry.raw", "telemetry.dlq"]
    bench.store.watch(CONSUMERS, lambda body, gone: made.append(body["metadata"]["name"]))
    bench.write("b", "  deadLetter: {topic: own}\n")
    await bench.files.refresh()
    assert made.index("own") < made.index("b")


def test_two_with_one_group_and_different_topics_are_warned_of(bench: Bench) -> None:
    bench.write("a")
    path = bench.write("b")
    path.write_text(path.read_text().replace("groupId: b", "groupId: a").replace("telemetry.raw", "telemetry.clean"))
    bench.start()
    assert [event.kind for event in bench.events] == ["warning"]
    bench.files.apply()
    assert len(bench.events) == 1


async def test_an_edit_before_the_watch_began_is_not_missed(bench: Bench) -> None:
    bench.write("a")
    bench.start()
    bench.write("b")
    async with bench.watching():
        await wait_until(lambda: bench.names == ["a", "b"])


async def test_a_folder_that_was_removed_and_is_back_is_followed_on(bench: Bench) -> None:
    bench.write("a")
    bench.start()
    async with bench.watching():
        shutil.rmtree(bench.folder)
        await wait_until(lambda: bench.names == [])
        bench.folder.mkdir()
        bench.write("b")
        await wait_until(lambda: bench.names == ["b"])
        bench.write("c")
        await wait_until(lambda: bench.names == ["b", "c"])


async def test_a_folder_that_another_takes_the_place_of_is_followed_on(bench: Bench) -> None:
    bench.write("a")
    bench.start()
    async with bench.watching():
        bench.folder.rename(bench.folder.with_name("old"))
        bench.folder.mkdir()
        bench.write("b")
        await wait_until(lambda: bench.names == ["b"])


async def test_two_looks_at_the_same_time_do_not_meet(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write("a")
    bench.start()
    looks: list[str] = []
    reload = bench.files._reload

    def slow_reload() -> None:
        looks.append("begins")
        time.sleep(0.05)
        reload()
        looks.append("ends")

    monkeypatch.setattr(bench.files, "_reload", slow_reload)
    await asyncio.gather(bench.files.refresh(), bench.files.refresh())
    assert looks == ["begins", "ends"] * 2


class TestUsualValidator:
    """The validator that runs where none of the files fills telemetry.clean."""

    NAME = "telemetry-validator"
    OWN = "{name: validator}\n  decodeJson: false"

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        bench = Bench(tmp_path)
        validator = find_resource("examples") / "telemetry-validator.yaml"
        bench.files = Files((tmp_path,), bench.store, bench.events.append, validator=validator)
        return bench

    def test_it_runs_beside_what_only_reads(self, bench: Bench) -> None:
        bench.write("hot")
        bench.start()
        assert sorted(bench.names) == ["hot", self.NAME]
        assert [event.kind for event in bench.events] == ["validator"]
        assert "--no-validator leaves it out" in bench.events[0]
        assert "telemetry.clean" in bench.files.find_topics()

    def test_whoever_fills_the_topic_is_alone(self, bench: Bench) -> None:
        bench.write("mine", handler=self.OWN)
        bench.start()
        assert (bench.names, bench.events) == (["mine"], [])

    def test_one_of_its_name_takes_its_place(self, bench: Bench) -> None:
        bench.write(self.NAME)
        bench.start()
        assert (bench.names, bench.events) == ([self.NAME], [])

    async def test_it_goes_and_comes_with_one_of_the_files(self, bench: Bench) -> None:
        bench.write("hot")
        bench.start()
        path = bench.write("mine", handler=self.OWN)
        await bench.files.refresh()
        assert sorted(bench.names) == ["hot", "mine"]
        path.unlink()
        await bench.files.refresh()
        assert sorted(bench.names) == ["hot", self.NAME]
        assert [str(event) for event in bench.events[1:]] == [
            "applied: mine",
            f"deleted: {self.NAME}",
            f"applied: {self.NAME}",
            "deleted: mine",
        ]

    async def test_a_file_with_an_error_that_is_removed_is_gone_not_right(self, bench: Bench) -> None:
        path = bench.write("hot")
        bench.start()
        path.write_text("a: [\n")
        await bench.files.refresh()
        path.unlink()
        await bench.files.refresh()
        assert [str(event) for event in bench.events[-2:]] == [f"{path} is gone", "deleted: hot"]
