"""`iothub scale`: the CRD's bounds, and nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest

from iothub.errors import UsageError
from iothub.hub.objects import ObjectStore
from iothub.hub.scaling import scale
from telemetry_operator.api import CONSUMERS
from unit.operator.samples import KEY, consumer_body


@pytest.fixture
def store() -> ObjectStore:
    made = ObjectStore()
    body = made.put(CONSUMERS, consumer_body({"replicas": 1}))
    made.put_status(CONSUMERS, body, {"groupId": "g"})
    return made


@pytest.mark.parametrize("replicas", [0, 3, 1000])
def test_only_the_replicas_change(store: ObjectStore, replicas: int) -> None:
    before = store.get(CONSUMERS, *KEY)
    assert before is not None
    answer = scale(store, {"name": KEY.name, "replicas": replicas})
    assert answer == {"name": KEY.name, "namespace": KEY.namespace, "replicas": replicas}
    after = store.get(CONSUMERS, *KEY)
    assert after is not None
    assert after["spec"] == {**before["spec"], "replicas": replicas}
    assert (after["status"], after["metadata"]["uid"]) == (before["status"], before["metadata"]["uid"])


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"name": KEY.name, "replicas": -1}, "spec.replicas"),
        ({"name": KEY.name, "replicas": 1001}, "1000"),
        ({"name": KEY.name, "replicas": "two"}, "spec.replicas"),
        ({"name": "none", "replicas": 1}, f"there is no TelemetryConsumer 'none' in this hub; there are: {KEY.name}"),
    ],
)
def test_what_can_not_be(store: ObjectStore, request_: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as raised:
        scale(store, request_)
    assert sentence in str(raised.value)
    found = store.get(CONSUMERS, *KEY)
    assert found is not None
    assert found["spec"]["replicas"] == 1


def test_one_name_in_two_namespaces_has_to_be_written_out(store: ObjectStore) -> None:
    store.put(CONSUMERS, consumer_body(namespace="other", uid="2"))
    with pytest.raises(UsageError, match=f"other/{KEY.name}"):
        scale(store, {"name": KEY.name, "replicas": 2})
    assert scale(store, {"name": f"other/{KEY.name}", "replicas": 2})["namespace"] == "other"
