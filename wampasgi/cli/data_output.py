"""Writes the data of a command: for people in a terminal, and for programs in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from wampasgi.cli.data_forms import to_json, visible
from wampasgi.cli.output import messages, say, write_data

if TYPE_CHECKING:
    from rich.console import Console

#: A table with more columns is not readable.
_MOST_COLUMNS = 12


class Format(Enum):
    """The form of the data on standard output."""

    #: One JSON value, on several lines.
    json = "json"
    #: One JSON value a line.
    jsonl = "jsonl"
    #: Text and bytes as they are, and other values as JSON.
    raw = "raw"


FormatOption: TypeAlias = Annotated[
    Format | None,
    typer.Option(
        "--output",
        "-o",
        help="The form of the output. The default is text for people in a terminal, and JSON in a pipe.",
        show_default=False,
    ),
]


class DataOutput:
    """Standard output for data, and standard error for messages.

    ``format`` None is text for people if standard output is a terminal, and ``in_pipe`` if not. ``is_text``
    tells whether people read it.
    """

    def __init__(self, format: Format | None, *, in_pipe: Format = Format.json) -> None:
        # Apps that are run in memory get another standard output.
        self._stream = sys.stdout
        self.is_text = format is None and self._stream.isatty()
        self._format = format or in_pipe

    @property
    def is_raw(self) -> bool:
        """Return whether values are written as they are."""
        return not self.is_text and self._format is Format.raw

    @property
    def is_json(self) -> bool:
        """Return whether values are written as JSON."""
        return not self.is_text and self._format is not Format.raw

    @property
    def shows_progress(self) -> bool:
        """Return whether a progress bar may be shown, on standard error."""
        return self.is_text and self.messages.is_interactive

    @cached_property
    def console(self) -> Console:
        """The terminal, for text with colours."""
        from rich.console import Console

        return Console(file=self._stream, soft_wrap=True, emoji=False, markup=False)

    @cached_property
    def messages(self) -> Console:
        """The terminal of standard error."""
        return messages()

    def note(self, text: str) -> None:
        """Write a message for people on standard error. Programs do not get it."""
        if self.is_text:
            say(visible(text))

    def value(self, value: Any) -> None:
        """Write a value: the only one, or one of several in the formats ``jsonl`` and ``raw``.

        Raises OutputClosed and OutputFailed.
        """
        if self.is_text:
            self._show(value)
        elif self._format is Format.raw:
            self._write_raw(value)
        else:
            self.write(to_json(value, indent=2 if self._format is Format.json else None) + "\n")

    def rows(self, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows: a table for people, and otherwise a list, or one line a row. Raises OutputClosed."""
        if self.is_text:
            self._show_table(columns, rows)
        elif self._format is Format.json:
            self.value(list(rows))
        else:
            for row in rows:
                self.value(row)

    def write(self, data: str | bytes) -> None:
        """Write data at once, in UTF-8. Raises OutputClosed and OutputFailed."""
        encoded = data if isinstance(data, bytes) else data.encode(errors="backslashreplace")
        write_data(self._stream, encoded)

    def _write_raw(self, value: Any) -> None:
        if isinstance(value, bytes):
            self.write(value)
        elif value is not None:
            self.write((value if isinstance(value, str) else to_json(value)) + "\n")

    # For people

    def _show(self, value: Any) -> None:
        if value is None:
            self.messages.print("(no value)", style="dim")
        elif isinstance(value, str):
            self.console.print(visible(value), highlight=False)
        elif _is_table(value):
            self._show_table(list(value[0]), value)
        else:
            from rich.highlighter import JSONHighlighter
            from rich.text import Text

            text = Text(visible(to_json(value, indent=2)))
            JSONHighlighter().highlight(text)
            self.console.print(text)

    def _show_table(self, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for column in columns:
            is_number = bool(rows) and all(type(row.get(column)) in (int, float) for row in rows)
            table.add_column(Text(visible(column)), justify="right" if is_number else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(_cell(row.get(column))) for column in columns))
        self.console.print(table, soft_wrap=False)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return visible(value if isinstance(value, str) else to_json(value))


def _is_table(value: Any) -> bool:
    """Return whether a value is a list of dicts with the same keys, and with values that fit into a cell."""
    if not isinstance(value, list) or not value or not all(isinstance(row, dict) for row in value):
        return False
    columns = value[0].keys()
    return 0 < len(columns) <= _MOST_COLUMNS and all(
        row.keys() == columns and not any(isinstance(cell, dict | list) for cell in row.values())
        for row in value
    )
