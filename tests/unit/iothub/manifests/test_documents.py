"""Reading manifests: which documents there are, in which lines, and what is told where a file can't be read."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from iothub.errors import ManifestProblem
from iothub.manifests.documents import load_documents, load_manifests
from unit.iothub.manifests.files import HEAD, consumer, parse


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb:\n\tc: 1\n", "a.yaml:3: a tab: write blanks"),
        ("a: b: c\n", "a.yaml:1: a ':' where none can stand"),
        ("a:\n  b: 1\n c: 2\n", "a.yaml:3: the indentation does not fit the lines above"),
        ("a: 1\nb: 2\na: 3\n", "a.yaml:3: 'a' is there twice in one object, first in line 1"),
        ("a:\n  - x: 1\n    y: 1\n    'x': 2\n", "a.yaml:4: 'x' is there twice in one object, first in line 2"),
        ("a: 1\nb: !handler 1\n", "a.yaml:2: the tag !handler means nothing here"),
        ("a: !!int x\n", "a.yaml:1: 'x' is no !!int"),
        ("a: !!set {x}\n", "a.yaml:1: the tag !!set means nothing here"),
        ("a: *b\n", "a.yaml:1: an alias (*) of an anchor (&) that is not in this document"),
        ("a: &a [*a]\n", "a.yaml:1: an alias (*) inside of what it stands for"),
        ('a: 1\nb: "x\n\nc: 1\n', "a.yaml:5: a quote or bracket is opened and never closed"),
        ("- a\n- b\n", "a.yaml:1: here is a list, not an object with apiVersion, kind and metadata"),
        ("a: 1\n---\njust text\n", "a.yaml:3: here is a text, not an object"),
        ("a: .nan\n", "a.yaml:1: .nan is no number that JSON has"),
        ("{a: 1}: 2\n", "a.yaml:1: a field's name is a list or an object"),
        ("~: 2\n", "a.yaml:1: a field has no name"),
        ("a: 1\nb: \x07\n", "a.yaml:2: a character that YAML can't hold"),
        ('a: "\\ud800"\n', "a.yaml:1: half a character"),
        ("a: {<<: [1]}\n", "a.yaml:1: '<<' takes an object"),
        ("kind: List\nitems:\n  - 1\n", "a.yaml:3: items[0] is a number, not an object"),
        ("[" * 3000, "a.yaml:1: it is nested too deeply"),
    ],
)
def test_a_text_that_is_no_manifest_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(ManifestProblem) as caught:
        parse(text)
    assert str(caught.value).startswith(told)


def test_a_character_that_is_no_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: 1\nb: ä\n".encode("latin-1"))
    with pytest.raises(ManifestProblem, match=r"latin\.yaml:2: a character that YAML can't hold"):
        load_documents([path])


def test_aliases_of_aliases_are_bounded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    with pytest.raises(ManifestProblem, match="its aliases make more than"):
        parse("\n".join(lines))


def test_every_field_has_its_line() -> None:
    document = consumer(
        """\
        spec:
          topics:
            - telemetry.raw
            - other
          handler:
            {name: logger,
             options: {a: 1}}
        """
    )
    assert document.line == 1
    assert document.line_of(("spec",)) == 4
    assert document.line_of(("spec", "topics", 1)) == 7
    assert document.line_of(("spec", "handler")) == 8
    assert document.line_of(("spec", "handler", "options", "a")) == 10
    assert document.line_of(("spec", "handler", "class")) == 8, "what is not there stands where it would stand"
    assert document.line_of(("nowhere", "at", "all")) == 1


def test_documents_are_told_apart_and_empty_ones_left_out() -> None:
    found = parse(f"# nothing\n---\n---\n{HEAD}---\n# only a comment\n---\n{HEAD}")
    assert [document.line for document in found] == [4, 10]


def test_merged_and_aliased_values_are_those_of_kubectl() -> None:
    (document,) = parse("a: &base {x: 1, v: [1]}\nb: {<<: *base, v: 2}\nc: *base\nd: {<<: [{z: 1}, {z: 2, w: 3}]}\n")
    assert document.body == {
        "a": {"x": 1, "v": [1]},
        "b": {"x": 1, "v": 2},
        "c": {"x": 1, "v": [1]},
        "d": {"z": 1, "w": 3},
    }


def test_the_items_of_a_list_are_documents_of_their_own() -> None:
    found = parse(
        f"apiVersion: v1\nkind: List\nitems:\n  - apiVersion: v1\n    kind: ConfigMap\n    metadata: {{name: c}}\n"
        f"    data:\n      k: v\n---\n{HEAD}"
    )
    assert [document.kind for document in found] == ["ConfigMap", "TelemetryConsumer"]
    assert (found[0].line, found[0].line_of(("data", "k")), found[0].line_of(("data",))) == (4, 8, 7)


def test_a_typed_list_gives_its_items_what_they_are() -> None:
    (document,) = parse(
        "apiVersion: telemetry.iot-hub.io/v1alpha1\nkind: TelemetryConsumerList\nitems:\n  - metadata: {name: a}\n"
    )
    assert (document.kind, document.body["apiVersion"]) == ("TelemetryConsumer", "telemetry.iot-hub.io/v1alpha1")


def test_a_folder_is_read_with_all_below_it_in_order(tmp_path: Path) -> None:
    for name in ("b.yaml", "a/z.yml", "a/b/c.yaml", "not.txt", "handler.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD)
    found = load_documents([tmp_path, tmp_path / "b.yaml"])
    assert [str(document.path.relative_to(tmp_path)) for document in found] == ["a/b/c.yaml", "a/z.yml", "b.yaml"]


def test_other_kinds_are_skipped_and_named(tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\n---\n{HEAD}---\n"
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: plant}\n---\n"
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n---\napiVersion: apps/v1\nkind: Deployment\n"
    )
    manifests = load_manifests([path])
    assert [(one.kind, one.line) for one in manifests.skipped] == [("v1 Service", 1), ("apps/v1 Deployment", 17)]
    assert [(one.kind, one.namespace) for one in manifests.documents] == [
        ("TelemetryConsumer", "default"),
        ("ConfigMap", "plant"),
        ("Secret", "default"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        "kind: TelemetryConsumr\napiVersion: telemetry.iot-hub.io/v1alpha1\n",
        "kind: telemetryconsumer\napiVersion: telemetry.iothub.io/v1\n",
        "kind: Telemetryconsumers\napiVersion: v1\n",
        "kind: Anything\napiVersion: telemetry.iot-hub.io/v2\n",
        "metadata: {name: a}\n",
    ],
)
def test_a_misspelt_one_is_no_other_kind(tmp_path: Path, body: str) -> None:
    (tmp_path / "a.yaml").write_text(body)
    manifests = load_manifests([tmp_path])
    assert [document.is_consumer for document in manifests.documents] == [True]
    assert manifests.skipped == ()


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(HEAD.encode() + b"---\n- x\n")))
    with pytest.raises(ManifestProblem, match=r"^standard input:5: here is a list"):
        load_documents([Path("-")])


@pytest.mark.parametrize(
    ("name", "told"), [("none.yaml", "there is no such file or folder"), ("", r"there is no file \*")]
)
def test_what_is_not_there_is_told(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(ManifestProblem, match=told):
        load_documents([tmp_path / name])
