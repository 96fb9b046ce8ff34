"""What a command shows: results on standard output, as a table or as JSON; everything else on standard error.

Nothing that goes into a pipe or a file has colour codes or is cut to a terminal's width.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import orjson
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table

_NO_WIDTH = 10_000


class OutputFormat(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"


class Terminal:
    """Where one command writes. ``is_json`` tells whether results are for a program."""

    def __init__(self, output: OutputFormat = OutputFormat.TABLE) -> None:
        self.is_json = output is OutputFormat.JSON
        self.out = _make_console(stderr=False)
        self.err = _make_console(stderr=True)

    def show(self, document: object, render: Callable[[], RenderableType]) -> None:
        """Write a command's whole result: ``document`` as JSON, or what ``render`` makes of it."""
        if self.is_json:
            _write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())
        elif self.out.is_terminal:
            self.out.print(render(), crop=False)
        else:
            # A table fills its last column up with blanks, which a pager would wrap.
            with self.out.capture() as text:
                self.out.print(render())
            _write("\n".join(line.rstrip() for line in text.get().splitlines()))

    def emit(self, document: object, text: str) -> None:
        """Write one item of a stream at once: a line of JSON, or ``text``."""
        _write(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS).decode() if self.is_json else text)

    def fold(self, sentence: str) -> str:
        """Return ``sentence`` in lines of the terminal's width, which would cut words in two; in a pipe as it is."""
        if not self.out.is_terminal:
            return sentence
        # A path or an address stays in one piece, to be copied.
        return textwrap.fill(sentence, self.out.width, break_long_words=False, break_on_hyphens=False)

    def say(self, sentence: str) -> None:
        """Tell the person something that is no result."""
        self.err.print(sentence, markup=False, highlight=False)

    @contextmanager
    def waiting(self, for_what: str) -> Iterator[None]:
        """Say what is waited for, for as long as it takes."""
        if self.err.is_terminal:
            with self.err.status(f"waiting for {for_what} …"):
                yield
        else:
            self.say(f"waiting for {for_what} …")
            yield


def find_program() -> str:
    """Return how iothub is called here: by its name where the PATH has this one, else as it was typed."""
    typed = Path(sys.argv[0])
    if typed.name != "iothub":
        return "iothub"
    found = shutil.which(typed.name)
    return typed.name if found is not None and Path(found).samefile(typed) else str(typed)


class _WholeTable(Table):
    """Is as wide as its cells, as kubectl's tables are: a narrow terminal wraps rows, and nothing is cut.

    One with a column that wraps (``no_wrap = False``) keeps to the terminal's width.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        whole = all(column.no_wrap for column in self.columns)
        yield from super().__rich_console__(console, options.update(max_width=_NO_WIDTH) if whole else options)


def make_table(*headers: str) -> Table:
    """Return an empty table as kubectl prints them: no lines, a header in capitals, cells not wrapped."""
    table = _WholeTable(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(header.upper(), no_wrap=True)
    return table


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """End a command in peace where the reader of its pipe has gone (``| head``)."""
    try:
        yield
    except BrokenPipeError:
        # What is still buffered would raise again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _make_console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _NO_WIDTH
    # What devices and people call things is shown as it is: [bold] and :smile: are names like any other.
    return Console(file=stream, soft_wrap=False, highlight=False, markup=False, emoji=False, width=width)


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
