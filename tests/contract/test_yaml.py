"""YAML means to us what it means to kubectl: the same text, read by both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contract.kubectl import Kubectl, Refusal
from iothub.errors import ManifestProblem
from iothub.manifests.documents import parse_documents
from iothub.manifests.scalars import to_json_number

pytestmark = pytest.mark.cluster

HEAD = "apiVersion: telemetry.iot-hub.io/v1alpha1\nkind: TelemetryConsumer\nmetadata: {name: a}\nspec:\n"

SCALARS = """
on On ON off Off OFF oN yes Yes YES yEs no No NO nO y Y n N true True TRUE tRUE false False FALSE ~ null Null NULL nULL
0 -0 +0 00 07 08 012 0o17 0O17 0x1F 0X1f 0x 0b11 -0b11 0b2 1_000 1__0 _1 1_ -1_0 +12 -12 12e3 12E-3 1.5 -1.5 +.5 .5 5.
. .. -.5 1.5e3 1e400 1e-400 1.e5 .e5 0.1.2 1:30 1:30:15 190:20:30.15 0x1p3 1,000 123456789012345678 9223372036854775807
9223372036854775808 18446744073709551615 18446744073709551616 -9223372036854775808 -9223372036854775809 1e20 1e21 1e22
2026-02-20 2026-2-3 2026-02-20T22:45:00Z 2026-02-20t22:45:00.5+01:00 2026-02-30 20260220 + -- 1a a1 0a é .5a 1.0
100000000000000000000 1.7976931348623157e308 4.9e-324 0.1 123.456 1e3 0e0 -0.0 007.5 0777_7
"""
TEXTS = [
    "a: 'on'\n  b: \"1\"\n  c: !!str 1\n  d: !!str on",
    "a: !!int '0x10'\n  b: !!float 1\n  c: !!bool yes\n  d: !!null ''",
    "a: |\n    two\n    lines\n  b: >-\n    one\n    line\n  c: |+\n    kept\n\n",
    "a: plain text\n    folded here\n  b: x # comment\n  c: a#b\n  d: 'it''s'",
    "a: &x [1, {b: 2}]\n  b: *x\n  c: {<<: {d: 1, e: 2}, e: 3}",
    "1: a\n  1.5: b\n  true: c\n  0x10: e\n  2026-02-20: f",
    'a: "\\u00e9\\x41\\t\\n\\\\"\n  b: "line one\n    line two"',
    "a: !!binary aGVsbG8=",
    "? a\n  : b\n  ? [1]\n  : c",
    "a: []\n  b: {}\n  c:\n  - x\n  -\n  - ~\n  d: [,]",
    "a: [1, 2,]\n  b: {x, y: 1}",
    "a: @x",
    "a: `x`",
    "a: %x",
    "a: b: c",
    "a: [",
    "~: x",
    "a: .inf",
    "a: !!int x",
    "a: *nowhere",
]


def read(kubectl: Kubectl, text: str) -> object:
    """What kubectl would send."""
    created = kubectl.run("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-", stdin=HEAD + text)
    return json.loads(created)["spec"]


def test_plain_scalars_mean_the_same(kubectl: Kubectl) -> None:
    names = SCALARS.split()
    text = "".join(f"  - {name}\n" for name in names)
    theirs = read(kubectl, f"  list:\n{text}")["list"]  # type: ignore[index]
    (document,) = parse_documents((HEAD + f"  list:\n{text}").encode(), Path("a.yaml"))
    ours = document.body["spec"]["list"]
    for name, mine, other in zip(names, ours, theirs, strict=True):
        sent = to_json_number(other) if isinstance(other, int | float) and not isinstance(other, bool) else other
        assert (name, type(mine), mine) == (name, type(sent), sent)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_means_the_same_or_is_refused_by_both(kubectl: Kubectl, text: str) -> None:
    try:
        theirs = read(kubectl, f"  {text}\n")
    except Refusal:
        with pytest.raises(ManifestProblem):
            parse_documents(f"{HEAD}  {text}\n".encode(), Path("a.yaml"))
        return
    (document,) = parse_documents(f"{HEAD}  {text}\n".encode(), Path("a.yaml"))
    assert document.body["spec"] == theirs
