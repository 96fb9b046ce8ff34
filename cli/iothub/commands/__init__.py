"""One file a command: what is typed in, which room does it, what is shown."""

from __future__ import annotations

from collections.abc import Callable

import typer


def add_command(app: typer.Typer, command: Callable[..., None], name: str | None = None) -> None:
    """Make ``command`` one of ``app``. Its docstring is its help, whose first line is shown whole in every list."""
    app.command(name, short_help=(command.__doc__ or "").partition("\n")[0])(command)
