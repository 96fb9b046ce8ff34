"""``iothub render``."""

from __future__ import annotations

from typing import Annotated

import typer

from iothub.errors import ManifestProblem
from iothub.options import FilesOption, OutputOption
from iothub.terminal import OutputFormat, Terminal


def render(
    *,
    files: FilesOption,
    worker_image: Annotated[
        str | None,
        typer.Option(
            "--worker-image",
            help="The operator's worker image, for those that name none of their own.",
            show_default="iot-hub/worker of this version",
        ),
    ] = None,
    pull_policy: Annotated[
        str | None,
        typer.Option(
            "--pull-policy", help="When it is pulled: Always, IfNotPresent, Never.", show_default="IfNotPresent"
        ),
    ] = None,
    pull_secrets: Annotated[
        list[str] | None, typer.Option("--pull-secret", help="A Secret for pulling it; repeatable.")
    ] = None,
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(
            "--bootstrap-servers", help="The workers' Kafka, host:port.", show_default="iot-hub-kafka.default.svc:9092"
        ),
    ] = None,
    security_protocol: Annotated[
        str | None, typer.Option("--security-protocol", help="How they talk to it: PLAINTEXT, SSL, SASL_SSL …")
    ] = None,
    kafka_properties: Annotated[
        str | None, typer.Option("--kafka-properties", help="Further librdkafka properties: a JSON object.")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option("--log-level", help="How much the workers log: DEBUG, INFO …", show_default="INFO")
    ] = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show the Kubernetes objects that the operator would make, with no cluster.

    YAML, ready for `kubectl diff -f -`; with --output json one List. The options are the operator's settings, with the
    chart's defaults. What the API server or the operator would refuse is refused here, in the same words.
    """
    from iothub.manifests.documents import load_manifests  # noqa: PLC0415  # only when it runs
    from iothub.manifests.neighbours import check_all, has_errors  # noqa: PLC0415
    from iothub.manifests.render import build_settings, render_documents  # noqa: PLC0415
    from iothub.manifests.yaml_writing import write_yaml  # noqa: PLC0415
    from telemetry.logs import configure_logging  # noqa: PLC0415

    configure_logging("ERROR")
    terminal = Terminal(output)
    settings = build_settings(
        {
            "OPERATOR_WORKER_IMAGE": worker_image,
            "OPERATOR_WORKER_IMAGE_PULL_POLICY": pull_policy,
            "OPERATOR_WORKER_IMAGE_PULL_SECRETS": ",".join(pull_secrets or ()),
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            "KAFKA_SECURITY_PROTOCOL": security_protocol,
            "KAFKA_PROPERTIES": kafka_properties,
            "LOG_LEVEL": log_level,
        }
    )
    manifests = load_manifests(files)
    problems = check_all(manifests.documents)
    if has_errors(problems):
        for problem in problems:
            terminal.say(str(problem))
        raise ManifestProblem("nothing is rendered: put right what is named above")
    objects = render_documents(manifests.documents, settings)
    if not objects:
        raise ManifestProblem("there is no TelemetryConsumer in these files")
    if terminal.is_json:
        terminal.show({"apiVersion": "v1", "kind": "List", "items": objects}, str)
    else:
        typer.echo(write_yaml(objects), nl=False)
