"""The API server in memory, where the operator's own tests don't look: watchers, owners, what an apply drops."""

from __future__ import annotations

from typing import Any

import pytest

from iothub.hub.objects import ObjectStore
from iothub.hub.workloads import apply_object, delete_consumer, find_consumers, list_groups
from telemetry_operator.api import CONSUMERS, DEPLOYMENTS, EVENTS, Manifest
from telemetry_operator.errors import Conflict
from telemetry_operator.naming import Key


def body(name: str, spec: Any = None, **metadata: Any) -> Manifest:
    return {"metadata": {"name": name, "namespace": "plant", **metadata}, "spec": spec or {}}


@pytest.fixture
def store() -> ObjectStore:
    return ObjectStore()


def test_watchers_are_told_what_comes_changes_and_goes(store: ObjectStore) -> None:
    seen: list[tuple[str, int, bool]] = []
    store.watch(
        CONSUMERS, lambda found, gone: seen.append((found["metadata"]["name"], found["metadata"]["generation"], gone))
    )
    store.put(CONSUMERS, body("a", {"x": 1}))
    store.put(CONSUMERS, body("a", {"x": 2}))
    store.put(DEPLOYMENTS, body("b"))
    store.remove(CONSUMERS, "plant", "a")
    assert seen == [("a", 1, False), ("a", 2, False), ("a", 2, True)]


def test_versions_grow_also_at_the_end(store: ObjectStore) -> None:
    versions: list[int] = []
    store.watch(CONSUMERS, lambda found, gone: versions.append(int(found["metadata"]["resourceVersion"])))
    store.put(CONSUMERS, body("a"))
    store.remove(CONSUMERS, "plant", "a")
    assert versions == sorted(set(versions))
    assert len(versions) == 2


def test_an_object_of_the_same_name_is_another_one(store: ObjectStore) -> None:
    first = store.put(CONSUMERS, body("a"))
    store.remove(CONSUMERS, "plant", "a")
    second = store.put(CONSUMERS, body("a"))
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


def test_what_is_given_out_can_be_changed_without_harm(store: ObjectStore) -> None:
    store.put(CONSUMERS, body("a", {"x": [1]}))["spec"]["x"].append(2)
    found = store.get(CONSUMERS, "plant", "a")
    assert found is not None
    assert found["spec"] == {"x": [1]}


async def test_an_apply_drops_what_it_no_longer_names(store: ObjectStore) -> None:
    """Given annotations of two hands, when ours is left out of the next apply, then theirs stays."""
    await store.apply(DEPLOYMENTS, body("d", {"template": {"annotations": {"ours": "1"}, "n": 1}}), force=True)
    found = await store.read(DEPLOYMENTS, "plant", "d")
    assert found is not None
    found["spec"]["template"]["annotations"]["theirs"] = "2"
    store.put(DEPLOYMENTS, found)
    after = await store.apply(DEPLOYMENTS, body("d", {"template": {"annotations": {}, "n": 1}}), force=True)
    assert after["spec"]["template"] == {"annotations": {"theirs": "2"}, "n": 1}


async def test_an_apply_that_changes_nothing_tells_nobody(store: ObjectStore) -> None:
    await store.apply(DEPLOYMENTS, body("d", {"n": 1}), force=True)
    seen: list[Manifest] = []
    store.watch(DEPLOYMENTS, lambda found, gone: seen.append(found))
    await store.apply(DEPLOYMENTS, body("d", {"n": 1}), force=True)
    assert seen == []


async def test_without_force_another_hands_object_is_a_conflict(store: ObjectStore) -> None:
    store.put(DEPLOYMENTS, body("d"))
    with pytest.raises(Conflict):
        await store.apply(DEPLOYMENTS, body("d", {"n": 1}), force=False)


async def test_names_are_made_where_only_the_beginning_is_given(store: ObjectStore) -> None:
    event = {"metadata": {"generateName": "a-", "namespace": "plant"}}
    names = {(await store.create(EVENTS, event))["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3


def test_an_edit_keeps_the_status(store: ObjectStore) -> None:
    made = store.put(CONSUMERS, body("a", {"n": 1}))
    store.put_status(CONSUMERS, made, {"groupId": "g"})
    apply_object(store, CONSUMERS, body("a", {"n": 2}))
    found = store.get(CONSUMERS, "plant", "a")
    assert found is not None
    assert (found["status"], found["spec"], found["metadata"]["generation"]) == ({"groupId": "g"}, {"n": 2}, 2)
    assert list_groups(store) == ("g",)


def test_a_deployment_goes_with_its_owner_and_no_other(store: ObjectStore) -> None:
    owner = store.put(CONSUMERS, body("a"))["metadata"]
    store.put(DEPLOYMENTS, body("a", ownerReferences=[{"uid": owner["uid"], "name": "a"}]))
    store.put(DEPLOYMENTS, body("foreign"))
    delete_consumer(store, Key("plant", "a"))
    delete_consumer(store, Key("plant", "a"))
    assert [found["metadata"]["name"] for found in store.find(DEPLOYMENTS)] == ["foreign"]


def test_names_find_consumers_with_and_without_their_namespace(store: ObjectStore) -> None:
    store.put(CONSUMERS, body("a"))
    store.put(CONSUMERS, {"metadata": {"name": "a", "namespace": "other"}, "spec": {}})
    assert find_consumers(store, "a") == [Key("plant", "a"), Key("other", "a")]
    assert find_consumers(store, "other/a") == [Key("other", "a")]
    assert find_consumers(store, "b") == []
