"""Names and labels: what Kubernetes takes, and what a Deployment's selector can be."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from telemetry_operator import naming
from telemetry_operator.naming import Key

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


@given(namespace=names, name=names)
def test_labels_are_legal_and_the_selector_is_among_them(namespace: str, name: str) -> None:
    key = Key(namespace, name)
    labels = naming.object_labels(key)
    for value in labels.values():
        assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", value)
    assert naming.selector_labels(key).items() <= labels.items()


@given(one=names, other=names)
def test_two_consumers_never_select_each_others_pods(one: str, other: str) -> None:
    same = naming.selector_labels(Key("n", one)) == naming.selector_labels(Key("n", other))
    assert same == (one == other)


def test_the_selector_is_a_string_that_kubectl_takes() -> None:
    assert naming.selector_string(Key("plant", "raw")) == (
        "app.kubernetes.io/name=telemetry-consumer,telemetry.iot-hub.io/consumer=raw"
    )


def test_the_default_group_tells_namespaces_apart() -> None:
    assert naming.default_group_id(Key("plant", "raw")) == "plant.raw"
    assert str(Key("plant", "raw")) == "plant/raw"
