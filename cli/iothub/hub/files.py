"""The files of ``iothub up -f``: what they say is applied, and applied again whenever they change.

A file is taken as a whole: where anything in it can't work, all that it said before goes on, and the error is told with
file and line. What a file no longer holds goes, as with ``kubectl apply --prune``.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from watchfiles import Change, awatch

from iothub.errors import ManifestProblem
from iothub.hub.containers import SECRETS
from iothub.hub.events import Event, Report
from iothub.hub.objects import ObjectStore
from iothub.hub.workloads import apply_object, delete_consumer
from iothub.manifests.checks import check_document, parse_document
from iothub.manifests.defaults import apply_defaults
from iothub.manifests.documents import STDIN, SUFFIXES, Document, find_files, load_documents
from telemetry_operator.api import CONFIG_MAPS, CONSUMERS, Manifest
from telemetry_operator.naming import KIND, Key

QUIET_MS = 100
"""How long the files have to be quiet: an editor writes in several steps."""
GONE_SECONDS = 1.0
"""How long a file may be away while an editor puts another in its place."""

_RESOURCES = {KIND: CONSUMERS, "ConfigMap": CONFIG_MAPS, "Secret": SECRETS}


class ObjectId(NamedTuple):
    """What tells an object of the files from all others."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True)
class _Entry:
    document: Document
    body: Manifest
    """As the files have it, in its namespace; for a handler's file beside the manifest, the ConfigMap made of it."""


class Files:
    """What the files say, and what of it was applied to ``store``."""

    def __init__(self, paths: Sequence[Path], store: ObjectStore, report: Report) -> None:
        self._paths = tuple(paths)
        self._store = store
        self._report = report
        self._good: dict[Path, list[Document]] = {}
        self._problems: dict[Path, tuple[str, ...]] = {}
        self._applied: dict[ObjectId, Manifest] = {}

    def load(self) -> None:
        """Read and check everything for the first time. Raises ManifestProblem with the first thing that can't work."""
        for path in find_files(self._paths):
            documents = load_documents([path])
            problems = self._check(documents)
            if problems:
                more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
                raise ManifestProblem(problems[0] + more)
            self._good[path] = documents
        self._collect()

    def apply(self) -> list[str]:
        """Bring the store to what the files say. Returns the names of the objects that came, changed or went."""
        wanted = self._collect()
        changed = [one for one, entry in wanted.items() if self._applied.get(one) != entry.body]
        gone = [one for one in self._applied if one not in wanted]
        # What consumers refer to comes before them, and goes after them.
        for one in sorted(changed, key=lambda one: one.kind == KIND):
            self._apply_one(one, wanted[one].body)
        for one in sorted(gone, key=lambda one: one.kind != KIND):
            self._remove(one)
        return [*(one.name for one in changed), *(one.name for one in gone)]

    def find_topics(self) -> tuple[str, ...]:
        """Return the topics that the loaded TelemetryConsumers read and write."""
        topics: list[str] = []
        for document in (document for documents in self._good.values() for document in documents):
            if document.is_consumer:
                consumer = parse_document(document)
                topics += [*consumer.spec.topics, consumer.output_topic or "", consumer.dead_letter_topic or ""]
        return tuple(dict.fromkeys(filter(None, topics)))

    async def watch(self) -> None:
        """Follow the files until cancelled."""
        folders = {path.resolve() for path in self._paths if path.is_dir()}
        files = {path.resolve() for path in self._paths if path != STDIN and not path.is_dir()}
        # A file is watched through its folder: an editor may put a new one in its place.
        parents = {path.parent for path in files} - folders
        async with asyncio.TaskGroup() as group:
            if folders:
                group.create_task(self._follow(folders, recursive=True))
            if parents:
                group.create_task(self._follow(parents, recursive=False))

    async def _follow(self, folders: Iterable[Path], *, recursive: bool) -> None:
        async for _ in awatch(
            *folders, watch_filter=_is_of_interest, step=QUIET_MS, recursive=recursive, yield_on_timeout=False
        ):
            await self.refresh()

    async def refresh(self) -> None:
        """Look at the files, and apply what changed."""
        if await asyncio.to_thread(self._look_for_gone):
            await asyncio.sleep(GONE_SECONDS)
        before = dict(self._problems)
        await asyncio.to_thread(self._reload)
        try:
            changed = self.apply()
        except ManifestProblem as error:
            self._tell(str(error), "error", self._paths[0])
            return
        for path, problems in self._problems.items():
            if before.get(path) != problems:
                for problem in problems:
                    self._tell(f"{problem}; what was there before goes on", "error", path)
        for path in before.keys() - self._problems.keys():
            self._tell(f"{path} is right again", "mended", path)
        if changed:
            self._tell(f"applied: {', '.join(dict.fromkeys(changed))}", "applied", self._paths[0])

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

    def _check(self, documents: Iterable[Document]) -> tuple[str, ...]:
        found: list[str] = []
        for document in documents:
            if document.is_consumer:
                old = self._store.get(CONSUMERS, document.namespace, document.name)
                found += [str(problem) for problem in check_document(document, old=old) if not problem.warning]
            elif not document.name:
                found.append(f"{document.path}:{document.line}: metadata.name: Required value: write the object's name")
        return tuple(found)

    def _collect(self) -> dict[ObjectId, _Entry]:
        """Return the objects of all good files. Raises ManifestProblem where two files have the same."""
        wanted: dict[ObjectId, _Entry] = {}
        for documents in self._good.values():
            for document in documents:
                one = ObjectId(document.kind, document.namespace, document.name)
                if one in wanted:
                    first = wanted[one].document
                    raise ManifestProblem(
                        f"{document.path}:{document.line}: {one.kind} {one.name} is also in {first.path}:{first.line}; "
                        "remove one of the two"
                    )
                wanted[one] = _Entry(document, _place(document.body, document.namespace))
        for entry in list(wanted.values()):
            built = build_handler_config_map(entry.document)
            if built is not None:
                wanted.setdefault(
                    ObjectId("ConfigMap", entry.document.namespace, built["metadata"]["name"]),
                    _Entry(entry.document, built),
                )
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


def build_handler_config_map(document: Document) -> Manifest | None:
    """Return the ConfigMap of a handler whose file lies beside its manifest, None where there is no such file."""
    spec = document.body.get("spec")
    handler = spec.get("handler") if isinstance(spec, dict) else None
    source = handler.get("configMap") if isinstance(handler, dict) else None
    if not document.is_consumer or not isinstance(source, dict):
        return None
    key = str(source.get("key", ""))
    try:
        content = (document.path.parent / key).read_bytes()
    except OSError:
        return None
    metadata = {"name": source["name"], "namespace": document.namespace}
    body: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    try:
        return body | {"data": {key: content.decode()}}
    except UnicodeDecodeError:
        return body | {"binaryData": {key: base64.b64encode(content).decode()}}


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


def _is_of_interest(change: Change, path: str) -> bool:
    return Path(path).suffix in {*SUFFIXES, ".py"}
