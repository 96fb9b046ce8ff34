"""From a container's manifest to what a process gets, as the kubelet would give it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from iothub.hub.containers import (
    SECRETS,
    ConfigProblem,
    build_environment,
    build_volume,
    expand,
    find_mounts,
)
from telemetry_operator.api import CONFIG_MAPS, Manifest, Resource
from telemetry_operator.objects.deployment import build_deployment
from unit.operator.samples import DEFAULTS, consumer

OBJECTS: dict[tuple[Resource, str], Manifest] = {
    (SECRETS, "own"): {
        "kind": "Secret",
        "metadata": {"name": "own"},
        "data": {"encoded": base64.b64encode(b"from data").decode(), "broken": "!"},
        "stringData": {"plain": "as written"},
    },
    (CONFIG_MAPS, "code"): {
        "kind": "ConfigMap",
        "metadata": {"name": "code"},
        "data": {"handler.py": "print()"},
        "binaryData": {"raw.py": base64.b64encode(b"\xff").decode()},
    },
}


def read(resource: Resource, name: str) -> Manifest | None:
    return OBJECTS.get((resource, name))


def environment(*variables: dict[str, Any], mounts: dict[str, Path] | None = None) -> dict[str, str]:
    return build_environment(
        {"env": list(variables)}, pod_name="pod-1", namespace="plant", mounts=mounts or {}, read=read
    )


def reference(kind: str, name: str, key: str, **more: object) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {kind: {"name": name, "key": key, **more}}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("a$$b", "a$b"),
        ("$$(A)", "$(A)"),
        ("$(A)/x", "1/x"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$", "$"),
        ("$$$$", "$$"),
    ],
)
def test_dollars(value: str, expected: str) -> None:
    assert expand(value, {"A": "1"}) == expected


def test_what_the_operator_writes_comes_out_as_it_went_in() -> None:
    """Given an option with dollars, when the operator has written it and it is read here, then it is the same."""
    written = consumer({"topics": ["t"], "handler": {"name": "logger", "options": {"x": "$(HOME) $$ costs $5"}}})
    template = build_deployment(written, DEFAULTS, None)["spec"]["template"]["spec"]["containers"][0]
    found = build_environment(template, pod_name="pod-1", namespace="plant", mounts={}, read=read)
    assert found["CONSUMER_HANDLER_OPTIONS"] == '{"x": "$(HOME) $$ costs $5"}'
    assert found["KAFKA_CLIENT_ID"] == "pod-1"


def test_values_from_elsewhere() -> None:
    assert environment(reference("secretKeyRef", "own", "plain")) == {"X": "as written"}
    assert environment(reference("secretKeyRef", "own", "encoded")) == {"X": "from data"}
    assert environment(reference("configMapKeyRef", "code", "handler.py")) == {"X": "print()"}
    assert environment(reference("secretKeyRef", "none", "x", optional=True)) == {}
    assert environment(reference("secretKeyRef", "own", "none", optional=True)) == {}


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        (reference("secretKeyRef", "none", "x"), 'secret "none" not found'),
        (reference("configMapKeyRef", "none", "x"), 'configmap "none" not found'),
        (reference("secretKeyRef", "own", "x"), "couldn't find key x in Secret plant/own"),
        (reference("configMapKeyRef", "code", "x"), "couldn't find key x in ConfigMap plant/code"),
        (reference("secretKeyRef", "own", "broken"), "broken of own is not base64"),
    ],
)
def test_what_is_missing_is_said_as_the_kubelet_says_it(variable: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigProblem) as raised:
        environment(variable)
    assert sentence in str(raised.value)


def test_variables_of_whole_objects_come_first_and_give_way() -> None:
    sources = [
        {"configMapRef": {"name": "some"}, "prefix": "P_"},
        {"secretRef": {"name": "none", "optional": True}},
    ]
    objects = {(CONFIG_MAPS, "some"): {"kind": "ConfigMap", "data": {"A": "1", "B": "2"}}}
    container = {"envFrom": sources, "env": [{"name": "P_B", "value": "$(P_A)!"}]}
    found = build_environment(
        container, pod_name="p", namespace="plant", mounts={}, read=lambda kind, name: objects.get((kind, name))
    )
    assert found == {"P_A": "1", "P_B": "1!"}
    with pytest.raises(ConfigProblem, match='secret "none" not found'):
        build_environment(
            {"envFrom": [{"secretRef": {"name": "none"}}]}, pod_name="p", namespace="plant", mounts={}, read=read
        )


def test_a_path_below_a_mount_is_the_pods_own(tmp_path: Path) -> None:
    container = {"volumeMounts": [{"name": "handler", "mountPath": "/etc/h"}, {"name": "tmp", "mountPath": "/tmp"}]}
    mounts = find_mounts(container, tmp_path)
    found = environment(
        {"name": "A", "value": "/etc/h/code.py"},
        {"name": "B", "value": "/etc/hosts"},
        {"name": "C", "value": "/tmp"},
        mounts=mounts,
    )
    folder = tmp_path / "volumes"
    assert found == {"A": f"{folder}/handler/code.py", "B": "/etc/hosts", "C": f"{folder}/tmp"}


def test_volumes() -> None:
    items = [{"key": "handler.py", "path": "handler.py"}]
    assert build_volume({"emptyDir": {}}, "plant", read) == {}
    assert build_volume({"configMap": {"name": "code", "items": items}}, "plant", read) == {"handler.py": b"print()"}
    raw = [{"key": "raw.py", "path": "raw.py"}]
    assert build_volume({"configMap": {"name": "code", "items": raw}}, "plant", read) == {"raw.py": b"\xff"}
    assert build_volume({"hostPath": {}}, "plant", read) is None
    assert build_volume({"configMap": {"name": "none", "optional": True}}, "plant", read) == {}
    whole = build_volume({"configMap": {"name": "code"}}, "plant", read)
    assert whole == {"handler.py": b"print()", "raw.py": b"\xff"}
    secret = {"secretName": "own", "items": [{"key": "plain", "path": "a"}, {"key": "none", "path": "b"}]}
    assert build_volume({"secret": secret | {"optional": True}}, "plant", read) == {"a": b"as written"}
    with pytest.raises(ConfigProblem, match="couldn't find key none in Secret plant/own"):
        build_volume({"secret": secret}, "plant", read)
    with pytest.raises(ConfigProblem, match='configmap "none" not found'):
        build_volume({"configMap": {"name": "none", "items": items}}, "plant", read)
    with pytest.raises(ConfigProblem, match="couldn't find key x in ConfigMap plant/code"):
        build_volume({"configMap": {"name": "code", "items": [{"key": "x", "path": "x"}]}}, "plant", read)
