"""``iothub render`` as it is typed."""

from __future__ import annotations

import json

import pytest
import yaml

from contract.samples import ROOT
from unit.iothub.command import iothub
from unit.iothub.manifests.files import HEAD

LEAST = f"{HEAD}spec: {{topics: [a], handler: {{name: logger}}}}\n"
EXAMPLES = ROOT / "examples"


def test_help_reads_well() -> None:
    done = iothub("render", "--help")
    assert done.returncode == 0
    assert "Show the Kubernetes objects that the operator would make, with no cluster." in done.stdout
    assert "--worker-image" in done.stdout


def test_the_examples_become_documents_for_kubectl() -> None:
    done = iothub("render", "-f", EXAMPLES, "--worker-image", "registry.example.com/worker:7")
    assert (done.returncode, done.stderr) == (0, "")
    found = list(yaml.safe_load_all(done.stdout))
    assert [one["metadata"]["name"] for one in found] == [
        "telemetry-clean-logger",
        "telemetry-raw-logger",
        "telemetry-validator",
        "temperature-alarm",
    ]
    assert "\x1b" not in done.stdout
    assert {c["image"] for one in found for c in one["spec"]["template"]["spec"]["containers"]} == {
        "registry.example.com/worker:7"
    }


def test_as_json_it_is_one_list() -> None:
    done = iothub("render", "-f", "-", "--output", "json", stdin=LEAST)
    document = json.loads(done.stdout)
    assert (document["kind"], [one["kind"] for one in document["items"]]) == ("List", ["Deployment"])


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "told"),
    [
        (["-f", "nowhere.yaml"], "", 1, "iothub: nowhere.yaml: there is no such file or folder\n"),
        (["-f", "-"], "a: [", 1, "iothub: standard input:1: while parsing a flow node"),
        (
            ["-f", "-"],
            LEAST.replace("[a]", "[a, a]"),
            1,
            'standard input:4: spec.topics[1]: Duplicate value: "a"\n'
            "iothub: nothing is rendered: put right what is named above\n",
        ),
        (["-f", "-", "--worker-image", "a b"], LEAST, 2, "iothub: OPERATOR_WORKER_IMAGE: must hold no blanks"),
        (
            ["-f", "-"],
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n",
            1,
            "iothub: there is no TelemetryConsumer in these files\n",
        ),
        (
            ["-f", "-"],
            LEAST.replace("name: logger", "class: C, configMap: {name: code, key: h.py}"),
            1,
            "iothub: standard input:1: ConfigMap code with the key h.py is not in namespace default: make it, ",
        ),
    ],
)
def test_what_can_not_be_rendered_is_told_in_a_sentence(arguments: list[str], stdin: str, code: int, told: str) -> None:
    done = iothub("render", *arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(told)
    assert "Traceback" not in done.stderr
