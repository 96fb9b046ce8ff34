"""``iothub simulate``."""

from __future__ import annotations

import os
import uuid
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr

from iothub.errors import UsageError
from iothub.locate import open_target
from iothub.options import (
    DEFAULT_NAME,
    DEFAULT_RELEASE,
    ContextOption,
    NameOption,
    NamespaceOption,
    OutputOption,
    ReleaseOption,
)
from iothub.target import HttpTarget, MqttTarget, Where
from iothub.terminal import OutputFormat, Terminal, make_table

if TYPE_CHECKING:
    from rich.table import Table

    from iothub.devices.simulation import Replay, SimulationSummary

_DEVICES, _RATE = 20, 10.0
_MQTT_PORT = 1883
_HTTP_URL, _HTTP_KEY = "http://localhost:8000", "INGESTION_API_KEY"


def simulate(
    *,
    devices: Annotated[
        int | None, typer.Option("--devices", min=1, max=100_000, help="How many devices.", show_default=str(_DEVICES))
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=0.001, help="Messages a second, of all together.", show_default=str(_RATE)),
    ] = None,
    damaged: Annotated[
        float, typer.Option("--damaged", min=0, max=1, help="Share of damaged messages: 0.02 is one in fifty.")
    ] = 0.0,
    messages: Annotated[int | None, typer.Option("--messages", min=1, help="End after so many messages.")] = None,
    duration: Annotated[float | None, typer.Option("--duration", min=0.001, help="End after so many seconds.")] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="Send a file's readings: a column for the time, one for the device, and numbers."),
    ] = None,
    speed: Annotated[
        str, typer.Option("--speed", help="With --csv: so many times faster than they were taken, or max.")
    ] = "1",
    ts_column: Annotated[
        str | None, typer.Option("--ts-column", help="With --csv: the column with the time, else ts, timestamp, …")
    ] = None,
    device_column: Annotated[
        str | None,
        typer.Option("--device-column", help="With --csv: the column with the device, else device, sensor, …"),
    ] = None,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="With --csv: leave out rows that can't be sent, and count them.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same devices, values and damage.")] = 0,
    acknowledged: Annotated[
        Path | None, typer.Option("--acknowledged", help="Write the ids of acknowledged messages here, one a line.")
    ] = None,
    mqtt_host: Annotated[
        str | None,
        typer.Option(
            "--mqtt-host",
            envvar="MQTT_HOST",
            help="The broker. Left out: that of the hub that runs on this machine or on --context, else localhost.",
        ),
    ] = None,
    mqtt_port: Annotated[
        int | None,
        typer.Option("--mqtt-port", envvar="MQTT_PORT", min=1, max=65_535, help="Its port.", show_default="1883"),
    ] = None,
    mqtt_username: Annotated[
        str | None,
        typer.Option("--mqtt-username", envvar="MQTT_USERNAME", help="Its user; the password is MQTT_PASSWORD's."),
    ] = None,
    http: Annotated[bool, typer.Option("--http", help="Send over HTTP.")] = False,
    http_url: Annotated[
        str | None,
        typer.Option(
            "--http-url",
            metavar="URL",
            help="Send over HTTP, to that ingestion, such as http://localhost:8000; the key is INGESTION_API_KEY's.",
        ),
    ] = None,
    context: ContextOption = None,
    namespace: NamespaceOption = None,
    release: ReleaseOption = DEFAULT_RELEASE,
    name: NameOption = DEFAULT_NAME,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Send as many devices would, over MQTT or HTTP.

    Made-up readings, or those of a CSV file; some of them damaged, if you like. Ends with what was sent and what was
    acknowledged, and with exit code 1 where that is less. Without --messages and --duration it goes on until Ctrl-C,
    or to the file's end.
    """
    from iothub.devices.simulation import SimulationOptions, run_simulation  # noqa: PLC0415  # only when it runs

    if csv is not None and (devices is not None or rate is not None):
        raise UsageError("--csv brings its own devices and its own pace: leave --devices and --rate out, see --speed")
    options = SimulationOptions(
        run=uuid.uuid4().hex[:8],
        devices=devices or _DEVICES,
        rate=rate or _RATE,
        damaged=damaged,
        messages=messages,
        seconds=duration,
        seed=seed,
        replay=_make_replay(csv, speed, ts_column, device_column, skip_bad_rows=skip_bad_rows),
        acknowledged=acknowledged,
    )
    terminal = Terminal(output)
    where = Where(context=context, namespace=namespace, release=release, name=name)
    with ExitStack() as stack:
        target: MqttTarget | HttpTarget
        if http_url is not None:
            target = HttpTarget(_check_url(http_url))
        elif http:
            at = stack.enter_context(open_target(where, terminal, kafka=False, http=True))
            target = at.http or HttpTarget(_HTTP_URL)
        elif mqtt_host is not None or mqtt_port is not None:
            target = MqttTarget(mqtt_host or "localhost", mqtt_port or _MQTT_PORT)
        else:
            found = stack.enter_context(open_target(where, terminal, kafka=False, mqtt=True))
            target = found.mqtt or MqttTarget("localhost", _MQTT_PORT)
        if isinstance(target, MqttTarget) and mqtt_username is not None:
            target = replace(target, username=mqtt_username, password=_read_secret("MQTT_PASSWORD"))
        elif isinstance(target, HttpTarget) and _HTTP_KEY in os.environ:
            target = replace(target, api_key=_read_secret(_HTTP_KEY))
        summary = run_simulation(options, target, terminal)
    terminal.show(summary.to_document(), lambda: _render(summary))
    if summary.problem is not None:
        terminal.say(summary.problem)
    if not summary.is_good:
        raise typer.Exit(1)


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise UsageError(f"--http-url is {url!r}: write the address alone, such as {_HTTP_URL}")
    return f"{parts.scheme}://{parts.netloc}"


def _read_secret(variable: str) -> SecretStr | None:
    value = os.environ.get(variable)
    return None if value is None else SecretStr(value)


def _make_replay(
    csv: Path | None, speed: str, ts_column: str | None, device_column: str | None, *, skip_bad_rows: bool
) -> Replay | None:
    from iothub.devices.readings import CsvFile  # noqa: PLC0415  # only when it runs
    from iothub.devices.simulation import Replay  # noqa: PLC0415

    if csv is None:
        if speed != "1" or ts_column or device_column or skip_bad_rows:
            raise UsageError("--speed, --ts-column, --device-column and --skip-bad-rows belong to --csv: name a file")
        return None
    try:
        times = None if speed == "max" else float(speed)
    except ValueError:
        times = 0.0
    if times is not None and not 0 < times < float("inf"):
        raise UsageError(f"--speed is {speed!r}: write a number above 0, such as 60, or max")
    return Replay(CsvFile(csv, ts_column, device_column), times, skip_bad_rows)


def _render(summary: SimulationSummary) -> Table:
    counts = summary.counts
    rate = counts.acknowledged / summary.seconds if summary.seconds else 0.0
    table = make_table("what", "messages", "about")
    table.columns[1].justify = "right"
    table.columns[2].no_wrap = False
    table.add_row("sent", str(counts.sent), f"in {summary.seconds:.1f} s")
    table.add_row("acknowledged", str(counts.acknowledged), f"{rate:.1f} a second")
    if counts.unheard:
        table.add_row("  nobody subscribes", str(counts.unheard), "the broker acknowledged and dropped them")
    codes = ", ".join(f"{code} {number} times" for code, number in counts.refusals.most_common())
    table.add_row("refused", str(counts.refused), codes and f"by code: {codes}")
    table.add_row("not acknowledged", str(counts.unanswered), "")
    kinds = ", ".join(f"{kind} {number}" for kind, number in counts.damaged.most_common())
    table.add_row("damaged", str(counts.damaged.total()), kinds)
    if summary.skipped_rows:
        table.add_row("rows left out", str(summary.skipped_rows), "")
    return table
