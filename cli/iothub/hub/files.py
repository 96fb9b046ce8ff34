"""The files of ``iothub up -f``: what they say is applied, and applied again whenever they change.

A file is taken as a whole: where anything in it can't work, all that it said before goes on, and the error is told with
file and line. What a file no longer holds goes, as with ``kubectl apply --prune``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import NamedTuple

from watchfiles import Change, awatch

from iothub.errors import CliError, ManifestProblem
from iothub.hub.containers import SECRETS
from iothub.hub.events import Event, Report
from iothub.hub.objects import ObjectStore
from iothub.hub.workloads import apply_object, delete_consumer
from iothub.manifests.checks import Problem, check_document, parse_document
from iothub.manifests.config_maps import gather_config_maps
from iothub.manifests.defaults import apply_defaults
from iothub.manifests.documents import STDIN, SUFFIXES, Document, find_files, load_documents
from iothub.manifests.neighbours import check_documents, check_helper
from telemetry.names import TOPIC_CLEAN
from telemetry_operator.api import CONFIG_MAPS, CONSUMERS, Manifest
from telemetry_operator.naming import KIND, Key

QUIET_MS = 100
"""How long the files have to be quiet: an editor writes in several steps."""
GONE_SECONDS = 1.0
"""How long a file may be away while an editor puts another in its place."""
FOLDER_LOOK_MS = 1000
"""How often to look whether a folder is still the one that is watched: its watch ends with it, without a word."""

_RESOURCES = {KIND: CONSUMERS, "ConfigMap": CONFIG_MAPS, "Secret": SECRETS}


class ObjectId(NamedTuple):
    """What tells an object of the files from all others."""

    kind: str
    namespace: str
    name: str


class Changes(NamedTuple):
    """Names of the objects that came or changed, and of those that went."""

    applied: tuple[str, ...]
    deleted: tuple[str, ...]


class Files:
    """What the files say, and what of it was applied to ``store``."""

    def __init__(
        self, paths: Sequence[Path], store: ObjectStore, report: Report, *, validator: Path | None = None
    ) -> None:
        """``validator`` is the file of the one that runs for as long as no other consumer fills telemetry.clean."""
        self._paths = tuple(paths)
        self._validator = validator
        self._usual: list[Document] = []
        self._folders = frozenset(path for path in self._paths if path.is_dir())
        self._store = store
        self._report = report
        self._good: dict[Path, list[Document]] = {}
        self._problems: dict[Path, tuple[str, ...]] = {}
        self._applied: dict[ObjectId, Manifest] = {}
        self._warnings: tuple[str, ...] = ()
        self._told: frozenset[str] = frozenset()
        self._make_topics: Callable[[Iterable[str]], None] | None = None
        self._refreshing = asyncio.Lock()

    def load(self) -> None:
        """Read and check everything for the first time. Raises ManifestProblem with the first thing that can't work."""
        for path in find_files(self._paths):
            documents = load_documents([path])
            problems = self._check(documents)
            if problems:
                more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
                raise ManifestProblem(problems[0] + more)
            self._good[path] = documents
        if self._validator is not None:
            self._usual = load_documents([self._validator])
        self._collect()
        self._warnings = self._find_warnings()
        if self._usual and not self._fill_clean():
            sentence = (
                f"none of the files fills {TOPIC_CLEAN}, so the usual validator runs too; --no-validator leaves it out"
            )
            self._tell(sentence, "validator", self._paths[0])

    async def make_topics_with(self, make: Callable[[Iterable[str]], None]) -> None:
        """Have ``make`` (which may block) make what the files read and write, now and before each later change.

        For a Kafka that makes topics by their first use only: on any other a missing topic is the operator's to tell.
        """
        self._make_topics = make
        await asyncio.to_thread(make, self.find_topics())

    def apply(self) -> Changes:
        """Bring the store to what the files say, and return what that changed."""
        wanted = self._collect()
        for warning in (warning for warning in self._warnings if warning not in self._told):
            self._tell(warning, "warning", self._paths[0])
        self._told = frozenset(self._warnings)
        changed = [one for one, body in wanted.items() if self._applied.get(one) != body]
        gone = [one for one in self._applied if one not in wanted]
        # What consumers refer to comes before them, and goes after them.
        for one in sorted(changed, key=lambda one: one.kind == KIND):
            self._apply_one(one, wanted[one])
        for one in sorted(gone, key=lambda one: one.kind != KIND):
            self._remove(one)
        return Changes(_name_all(changed), _name_all(gone))

    def find_topics(self) -> tuple[str, ...]:
        """Return the topics that the loaded TelemetryConsumers read and write."""
        topics: list[str] = []
        for document in self._documents():
            if document.is_consumer:
                consumer = parse_document(document)
                topics += [*consumer.spec.topics, consumer.output_topic or "", consumer.dead_letter_topic or ""]
        return tuple(dict.fromkeys(filter(None, topics)))

    async def watch(self) -> None:
        """Follow the files until cancelled."""
        folders = {path.resolve() for path in self._folders}
        files = {path.resolve() for path in self._paths if path != STDIN and path not in self._folders}
        # A file is watched through its folder: an editor may put a new one in its place.
        parents = {path.parent for path in files} - folders
        async with asyncio.TaskGroup() as group:
            for folder in folders:
                group.create_task(self._follow(folder, recursive=True))
            for folder in parents:
                group.create_task(self._follow(folder, recursive=False))

    async def _follow(self, folder: Path, *, recursive: bool) -> None:
        """Follow what is in ``folder``, also once it was removed, or another was put in its place."""
        was_there = True
        while True:
            identity = _identify(folder)
            if identity is not None:
                with suppress(FileNotFoundError):
                    await self._follow_one(folder, identity, recursive=recursive)
            if was_there:
                await self.refresh()
            was_there = identity is not None
            await asyncio.sleep(FOLDER_LOOK_MS / 1000)

    async def _follow_one(self, folder: Path, identity: tuple[int, int], *, recursive: bool) -> None:
        """Follow what is in ``folder`` until it is another one, or none."""

        def is_of_interest(change: Change, path: str) -> bool:
            return Path(path).suffix in {*SUFFIXES, ".py"} or is_end(change, path)

        def is_end(change: Change, path: str) -> bool:
            return change is Change.deleted and Path(path) == folder

        looks = awatch(
            folder,
            watch_filter=is_of_interest,
            step=QUIET_MS,
            recursive=recursive,
            rust_timeout=FOLDER_LOOK_MS,
            yield_on_timeout=True,
        )
        # What changed before the watch began is in none of its events.
        is_first = True
        async with aclosing(looks):
            async for changes in looks:
                # A new folder may have the old one's inode: the event of its end counts too.
                if _identify(folder) != identity or any(is_end(change, path) for change, path in changes):
                    return
                if changes or is_first:
                    await self.refresh()
                is_first = False

    async def refresh(self) -> None:
        """Look at the files, and apply what changed."""
        async with self._refreshing:
            await self._refresh()

    async def _refresh(self) -> None:
        if await asyncio.to_thread(self._look_for_gone):
            await asyncio.sleep(GONE_SECONDS)
        before = dict(self._problems)
        await asyncio.to_thread(self._reload)
        try:
            if self._make_topics is not None:
                await self.make_topics_with(self._make_topics)
            changed = self.apply()
        except (CliError, OSError) as error:
            self._tell(str(error), "error", self._paths[0])
            return
        for path, problems in self._problems.items():
            if before.get(path) != problems:
                for problem in problems:
                    self._tell(f"{problem}; what was there before goes on", "error", path)
        for path in before.keys() - self._problems.keys():
            self._tell(f"{path} is right again" if path in self._good else f"{path} is gone", "mended", path)
        if changed.applied:
            self._tell(f"applied: {', '.join(changed.applied)}", "applied", self._paths[0])
        if changed.deleted:
            self._tell(f"deleted: {', '.join(changed.deleted)}", "deleted", self._paths[0])

    def _look_for_gone(self) -> bool:
        return any(path != STDIN and not path.exists() for path in self._good)

    def _reload(self) -> None:
        try:
            found = find_files(self._paths)
        except ManifestProblem:
            # A path that is gone altogether: what it held goes, the others stay.
            found = [file for path in self._paths if path.exists() for file in _find_below(path)]
        self._problems = {path: problems for path, problems in self._problems.items() if path in found}
        self._good = {path: known for path, known in self._good.items() if path in found or path == STDIN}
        for path in found:
            if path == STDIN:
                continue  # read once
            try:
                documents = load_documents([path])
                problems = self._check(documents)
            except ManifestProblem as error:
                problems, documents = (str(error),), []
            if problems:
                self._problems[path] = problems
            else:
                self._problems.pop(path, None)
                self._good[path] = documents
        self._warnings = self._find_warnings()

    def _check(self, documents: Iterable[Document]) -> tuple[str, ...]:
        found: list[Problem] = []
        for document in documents:
            if document.is_consumer:
                old = self._store.get(CONSUMERS, document.namespace, document.name)
                found += check_document(document, old=old)
            else:
                found += check_helper(document)
        return tuple(str(problem) for problem in found if not problem.warning)

    def _find_warnings(self) -> tuple[str, ...]:
        # Where a handler's file is missing, the operator says so itself.
        problems = check_documents(self._documents())
        return tuple(str(one) for one in problems if one.warning and one.field == "spec.groupId")

    def _documents(self) -> list[Document]:
        """Return what the files hold, and the usual validator where nothing else would fill telemetry.clean."""
        own = self._own_documents()
        return own if self._fill_clean() else [*own, *self._usual]

    def _own_documents(self) -> list[Document]:
        return [document for documents in self._good.values() for document in documents]

    def _fill_clean(self) -> bool:
        """Return whether a consumer of the files writes to telemetry.clean, or has the usual validator's name."""
        usual = {(document.namespace, document.name) for document in self._usual}
        return any(
            (document.namespace, document.name) in usual or parse_document(document).output_topic == TOPIC_CLEAN
            for document in self._own_documents()
            if document.is_consumer
        )

    def _collect(self) -> dict[ObjectId, Manifest]:
        """Return the objects of all good files, those included that are made of files beside them.

        Raises ManifestProblem where two files have the same object.
        """
        documents = self._documents()
        for problem in check_documents(documents):
            if not problem.warning:
                raise ManifestProblem(f"{problem}; remove one of the two")
        wanted = {
            ObjectId(document.kind, document.namespace, document.name): _place(document.body, document.namespace)
            for document in documents
        }
        for body in gather_config_maps(documents):
            wanted[ObjectId("ConfigMap", body["metadata"]["namespace"], body["metadata"]["name"])] = body
        return wanted

    def _apply_one(self, one: ObjectId, body: Manifest) -> None:
        last = self._applied.get(one)
        self._applied[one] = body
        if one.kind == KIND:
            body = _keep_scale(apply_defaults(body), body, last, self._store.get(CONSUMERS, one.namespace, one.name))
        apply_object(self._store, _RESOURCES[one.kind], body)

    def _remove(self, one: ObjectId) -> None:
        del self._applied[one]
        if one.kind == KIND:
            delete_consumer(self._store, Key(one.namespace, one.name))
        else:
            self._store.remove(_RESOURCES[one.kind], one.namespace, one.name)

    def _tell(self, sentence: str, kind: str, path: Path) -> None:
        self._report(Event(sentence, kind=kind, subject=str(path)))


def _name_all(objects: Iterable[ObjectId]) -> tuple[str, ...]:
    """Return their names, once each: a handler's ConfigMap mostly has its consumer's."""
    return tuple(dict.fromkeys(one.name for one in objects))


def _place(body: Manifest, namespace: str) -> Manifest:
    return {**body, "metadata": {**body["metadata"], "namespace": namespace}}


def _keep_scale(new: Manifest, written: Manifest, last: Manifest | None, live: Manifest | None) -> Manifest:
    """Keep the replicas of ``iothub scale`` where the files never named any, as ``kubectl apply`` does."""
    named = "replicas" in written["spec"] or (last is not None and "replicas" in last["spec"])
    if named or live is None:
        return new
    return {**new, "spec": {**new["spec"], "replicas": live["spec"]["replicas"]}}


def _find_below(path: Path) -> list[Path]:
    try:
        return find_files([path])
    except ManifestProblem:
        return []


def _identify(folder: Path) -> tuple[int, int] | None:
    """Return what tells ``folder`` from another at its place, None where there is none."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
