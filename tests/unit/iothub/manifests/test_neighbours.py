"""What is wrong with manifests together, and the ConfigMaps that handlers come from."""

from __future__ import annotations

from pathlib import Path

from iothub.manifests.config_maps import gather_config_maps, read_key
from iothub.manifests.documents import load_documents
from iothub.manifests.neighbours import check_all
from unit.iothub.manifests.files import HEAD, parse

LEAST = "spec: {topics: [a], handler: {name: logger}}\n"
FROM_FILE = "spec: {topics: [a], handler: {class: C, configMap: {name: code, key: handler.py}}}\n"
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: code}\n"


def told(text: str) -> list[str]:
    return [str(problem) for problem in check_all(parse(text))]


def test_a_name_twice_is_told_with_the_first_place() -> None:
    assert told(f"{HEAD}{LEAST}---\n{HEAD}{LEAST}") == [
        "a.yaml:8: metadata.name: TelemetryConsumer default/a is there twice, first in a.yaml:1"
    ]
    other = HEAD.replace("name: a", "name: a, namespace: plant")
    assert told(f"{HEAD}{LEAST}---\n{other}{LEAST}---\n{CONFIG_MAP.replace('code', 'a')}") == []


def test_two_of_one_group_with_other_topics_are_warned_about() -> None:
    one = "spec: {topics: [a, b], groupId: g, handler: {name: logger}}\n"
    second = HEAD.replace("name: a", "name: b")
    same = "spec:\n  topics: [b, a]\n  groupId: g\n  handler: {name: logger}\n"
    assert told(f"{HEAD}{one}---\n{second}{same}") == []
    assert told(f"{HEAD}{one}---\n{second}{same.replace('[b, a]', '[b]')}") == [
        "a.yaml:11: warning: spec.groupId: the group g is also that of a in a.yaml:1, with other topics (a, b): "
        "members of one group share all of its topics, so write a groupId of its own, or the same topics"
    ]


def test_a_default_group_counts_too() -> None:
    second = "spec: {topics: [b], groupId: default.a, handler: {name: logger}}\n"
    (problem,) = told(f"{HEAD}{LEAST}---\n{HEAD.replace('name: a', 'name: b')}{second}")
    assert "the group default.a is also that of a" in problem


def test_a_handler_whose_file_is_nowhere_is_warned_about() -> None:
    (problem,) = told(HEAD + FROM_FILE)
    assert problem == (
        "a.yaml:4: warning: spec.handler.configMap: ConfigMap code with the key handler.py is in none of these files, "
        "and no file handler.py is beside this one: its handler is not looked at"
    )
    assert told(f"{HEAD}{FROM_FILE}---\n{CONFIG_MAP}data: {{handler.py: 'x'}}\n") == []
    (problem,) = told(f"{HEAD}{FROM_FILE}---\n{CONFIG_MAP}data: {{other.py: 'x'}}\n")
    assert problem.endswith("is in none of these files: its handler is not looked at")


def test_a_config_map_of_another_namespace_is_another_one() -> None:
    elsewhere = CONFIG_MAP.replace("name: code", "name: code, namespace: plant")
    assert len(told(f"{HEAD}{FROM_FILE}---\n{elsewhere}data: {{handler.py: 'x'}}\n")) == 1


def test_helpers_that_can_not_be_are_told() -> None:
    assert told(
        "apiVersion: v1\nkind: ConfigMap\ndata: {a: 1, b: x}\n---\napiVersion: v1\nkind: Secret\ndata: [1]\n"
    ) == [
        "a.yaml:1: metadata.name: Required value: name or generateName is required",
        'a.yaml:3: data.a: Invalid value: "integer": data.a in body must be of type string: "integer"',
        "a.yaml:5: metadata.name: Required value: name or generateName is required",
        'a.yaml:7: data: Invalid value: "array": data in body must be of type object: "array"',
    ]


def test_the_file_beside_the_manifest_becomes_the_config_map(tmp_path: Path) -> None:
    """Given two consumers whose handlers lie beside them, then kubectl would make this ConfigMap."""
    (tmp_path / "a.yaml").write_text(HEAD + FROM_FILE)
    (tmp_path / "b.yaml").write_text((HEAD + FROM_FILE).replace("name: a}", "name: b}").replace("handler.py", "raw.py"))
    (tmp_path / "handler.py").write_text("class C: ...\n")
    (tmp_path / "raw.py").write_bytes(b"\xff\x00")
    (config_map,) = gather_config_maps(load_documents([tmp_path]))
    assert config_map == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "code", "namespace": "default"},
        "data": {"handler.py": "class C: ...\n"},
        "binaryData": {"raw.py": "/wA="},
    }
    assert read_key(config_map, "raw.py") == b"\xff\x00"
    assert read_key(config_map, "none.py") is None


def test_a_config_map_that_is_written_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{HEAD}{FROM_FILE}---\n{CONFIG_MAP}data: {{handler.py: written}}\n")
    (tmp_path / "handler.py").write_text("beside")
    (config_map,) = gather_config_maps(load_documents([tmp_path]))
    assert read_key(config_map, "handler.py") == b"written"


def test_a_key_leads_out_of_no_folder(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "secret.py").write_text("x")
    (tmp_path / "below" / "a.yaml").write_text(HEAD + FROM_FILE.replace("handler.py", "../secret.py"))
    assert gather_config_maps(load_documents([tmp_path / "below"])) == []
