"""The command line: which commands there are, and how a command ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from iothub.commands import add_command
from iothub.commands.check import check
from iothub.commands.demo import demo
from iothub.commands.dlq import dlq
from iothub.commands.doctor import doctor
from iothub.commands.down import down
from iothub.commands.get import get
from iothub.commands.groups import groups
from iothub.commands.lag import lag
from iothub.commands.logs import logs
from iothub.commands.render import render
from iothub.commands.scale import scale
from iothub.commands.simulate import simulate
from iothub.commands.tail import tail
from iothub.commands.topics import topics
from iothub.commands.up import up
from iothub.errors import CliError
from iothub.terminal import Terminal
from telemetry.errors import IotHubError
from telemetry.process import find_version

EX_INTERRUPTED = 130
"""The shell's word for an end by Ctrl-C."""


class _Alphabetical(TyperGroup):
    """Lists its commands by name: typer puts those that have commands of their own last."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the commands' names in the order of the help."""
        return sorted(self.commands)


app = typer.Typer(
    name="iothub",
    cls=_Alphabetical,
    help="Device telemetry through Kafka: the whole pipeline on this machine, and a look into any Kafka it runs on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"iothub {find_version()}")
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    pass


_COMMANDS: tuple[Callable[..., None], ...] = (
    check,
    demo,
    doctor,
    down,
    get,
    groups,
    lag,
    logs,
    render,
    scale,
    simulate,
    tail,
    topics,
    up,
)
for _command in _COMMANDS:
    add_command(app, _command)
app.add_typer(dlq, name="dlq", short_help=dlq.info.help)


def run() -> int:
    """Run the command that was typed and return its exit code."""
    try:
        # Not standalone: typer would draw a box of several lines around what it can't understand, into a pipe too.
        code = app(standalone_mode=False)
    except TyperException as error:
        return _fail_usage(error)
    except CliError as error:
        return _fail(str(error), error.exit_code)
    except IotHubError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return code if isinstance(code, int) else 0


def _fail_usage(error: TyperException) -> int:
    """Say in one sentence what typer did not understand, and where the right words are."""
    # typer hands on what pydantic says of a value: a sentence of its own behind a colon.
    message = error.format_message().replace("Value error, ", "").replace(": Input should", ": it should").rstrip(".")
    if not message:
        return error.exit_code  # no arguments at all: the help is printed already
    context = getattr(error, "ctx", None)
    program = context.command_path if context is not None else "iothub"
    return _fail(f"{message[0].lower()}{message[1:]}; see {program} --help", error.exit_code)


def _fail(sentence: str, code: int) -> int:
    Terminal().say(f"iothub: {sentence}")
    return code
