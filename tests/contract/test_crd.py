"""The CRD as a document: every field described, every list and string bounded, every rule with advice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from contract.samples import ROOT
from telemetry_operator import naming
from telemetry_operator.crds import load_crds
from telemetry_operator.errors import SettingsError

CRD = yaml.safe_load((ROOT / "crds" / "telemetryconsumer.yaml").read_text())
VERSION = CRD["spec"]["versions"][0]
Schema = dict[str, Any]


def walk(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every schema below ``schema``, with its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield from walk(schema[keyword], f"{path}[]")


ROOT_SCHEMA = VERSION["schema"]["openAPIV3Schema"]
BELOW = [
    *walk(ROOT_SCHEMA["properties"]["spec"], "spec"),
    *walk(ROOT_SCHEMA["properties"]["status"], "status"),
]


def test_names_are_those_that_the_operator_uses() -> None:
    assert CRD["metadata"]["name"] == naming.CRD_NAME
    assert CRD["spec"]["group"] == naming.GROUP
    assert VERSION["name"] == naming.VERSION
    names = CRD["spec"]["names"]
    assert (names["kind"], names["plural"], names["shortNames"], names["categories"]) == (
        naming.KIND,
        naming.PLURAL,
        ["tc", "telcon"],
        ["telemetry"],
    )


def test_every_field_is_described() -> None:
    undescribed = [path for path, schema in BELOW if not path.endswith("[]") and not schema.get("description")]
    assert undescribed == []


def test_every_list_string_and_map_is_bounded() -> None:
    """Given no bound, the API server has to reckon with the largest request, and rules soon cost too much."""
    unbounded = [
        path
        for path, schema in BELOW
        if (schema.get("type") == "array" and "maxItems" not in schema)
        or (schema.get("type") == "string" and not {"maxLength", "enum", "format"} & set(schema))
        or ("additionalProperties" in schema and "maxProperties" not in schema)
        or ("x-kubernetes-preserve-unknown-fields" in schema and "maxProperties" not in schema)
    ]
    assert unbounded == []


def test_every_rule_says_what_to_write() -> None:
    rules = [rule for _, schema in [("", ROOT_SCHEMA), *BELOW] for rule in schema.get("x-kubernetes-validations", ())]
    assert len(rules) > 20
    for rule in rules:
        assert any(word in rule["message"] for word in ("write", "only", "either", "leave")), rule["message"]


def test_scale_and_columns() -> None:
    assert VERSION["subresources"] == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    columns = VERSION["additionalPrinterColumns"]
    assert [c["name"] for c in columns if not c.get("priority")] == [
        "Topics",
        "Group",
        "Desired",
        "Ready",
        "Lag",
        "Dead",
        "Status",
        "Age",
    ]
    assert [c["name"] for c in columns if c.get("priority")] == ["Reason", "Image"]


def test_the_reference_is_what_the_crd_says() -> None:
    command = [sys.executable, str(ROOT / "hack" / "crd-docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr


def test_the_repositorys_crds_load() -> None:
    assert [crd["metadata"]["name"] for crd in load_crds(ROOT / "crds")] == [naming.CRD_NAME]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no CustomResourceDefinition is in"),
        ("kind: Secret", "is no CustomResourceDefinition"),
        ("a: [", "can't be read"),
    ],
)
def test_a_folder_that_holds_something_else_is_refused(tmp_path: Any, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(SettingsError, match=said):
        load_crds(tmp_path)
