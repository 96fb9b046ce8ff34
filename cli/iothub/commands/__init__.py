"""One file a command: what is typed in, which room does it, what is shown."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import typer

from iothub.options import (
    DEFAULT_NAME,
    DEFAULT_RELEASE,
    BootstrapOption,
    ContextOption,
    NameOption,
    NamespaceOption,
    ReleaseOption,
)
from iothub.target import Where

_WHERE_OPTIONS: dict[str, tuple[Any, str | None]] = {
    "bootstrap_servers": (BootstrapOption, None),
    "context": (ContextOption, None),
    "namespace": (NamespaceOption, None),
    "release": (ReleaseOption, DEFAULT_RELEASE),
    "name": (NameOption, DEFAULT_NAME),
}
"""The fields of `Where`, each with the option that sets it and its default."""


def add_command(app: typer.Typer, command: Callable[..., None], name: str | None = None) -> None:
    """Make ``command`` one of ``app``. Its docstring is its help, whose first line is shown whole in every list.

    One that takes a keyword ``where: Where`` has the options that say where to look in its place.
    """
    app.command(name, short_help=(command.__doc__ or "").partition("\n")[0])(_spread_where(command))


def _spread_where(command: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(command, eval_str=True)
    if "where" not in signature.parameters:
        return command

    @wraps(command)
    def call(**given: Any) -> None:
        where = Where(**{field: given.pop(field) for field in _WHERE_OPTIONS})
        command(**given, where=where)

    options = [
        inspect.Parameter(field, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for field, (annotation, default) in _WHERE_OPTIONS.items()
    ]
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        parameters += options if parameter.name == "where" else [parameter]
    # What typer reads: the signature, and the annotations by themselves.
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del call.__wrapped__
    return call
