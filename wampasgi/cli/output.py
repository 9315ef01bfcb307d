"""Writes generated files, and compares them with those that exist."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import typer

from wampasgi.cli.errors import CommandError, UsageError

if TYPE_CHECKING:
    from rich.console import Console


class OutputClosed(Exception):
    """The program that reads the output has ended."""


class OutputFailed(CommandError):
    """The output cannot be written, for example because the disk is full."""

    status = 1


def messages() -> Console:
    """Return the terminal of standard error, for text with colours."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, emoji=False, markup=False, highlight=False)


def write_data(stream: TextIO, data: bytes) -> None:
    """Write data to standard output at once. Raises OutputClosed and OutputFailed."""
    try:
        stream.buffer.write(data)
        stream.flush()
    except OSError as error:
        # Python would complain about it again when it flushes the stream at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(error, BrokenPipeError):
            raise OutputClosed from error
        raise OutputFailed(f"standard output cannot be written: {error.strerror or error}") from error


def say(text: str) -> None:
    """Write a message for people, on standard error."""
    typer.echo(text, err=True)


def write_output(text: str, file: Path | None) -> None:
    """Write a generated text to a file, or to standard output if ``file`` is None.

    The file has either its old or its new content, even if the program is interrupted.
    Raises UsageError if the file cannot be written, and OutputClosed and OutputFailed for standard output.
    """
    if file is None:
        # UTF-8 in every locale: the text may be redirected to a file.
        write_data(sys.stdout, text.encode())
        return
    try:
        _replace(file.resolve(), text)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror or error}") from error
    say(f"{file} was written.")


def _replace(file: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        temporary.chmod(_mode(file))
        temporary.replace(file)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


def _mode(file: Path) -> int:
    """Return the permissions of a file, or those that a new file would have."""
    with suppress(FileNotFoundError):
        return file.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def read_existing(file: Path) -> str | None:
    """Return the content of a file, or None if it does not exist. Raises UsageError if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error


def report_missing(file: Path) -> NoReturn:
    """Say that a file that should be up to date does not exist, and exit with the status 1."""
    say(f"{file} does not exist. To write it, run the command without --check.")
    raise typer.Exit(1)


def report_outdated(file: Path, before: str, after: str, differences: Sequence[str]) -> NoReturn:
    """Show the differences between a file and its new content, and exit with the status 1."""
    lines = unified_diff(
        before.splitlines(), after.splitlines(), fromfile=str(file), tofile="generated now", lineterm=""
    )
    console = messages()
    for line in lines:
        console.print(line, style=_color(line))
    say("")
    for difference in differences:
        say(difference)
    say(f"{file} is out of date. To write it, run the command without --check.")
    raise typer.Exit(1)


def report_up_to_date(file: Path) -> None:
    """Say that a file has the content that it should have."""
    say(f"{file} is up to date.")


def _color(line: str) -> str | None:
    if line.startswith("@@"):
        return "cyan"
    if line.startswith(("+++", "---")):
        return None
    return {"+": "green", "-": "red"}.get(line[:1])
