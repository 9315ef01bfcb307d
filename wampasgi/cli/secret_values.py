"""Reads secrets from files, from the terminal and from standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from string import hexdigits
from typing import Final

import typer

from wampasgi.cli.errors import UsageError
from wampasgi.cli.options import expanded
from wampasgi.cli.output import say
from wampasgi.cli.profiles import is_hex_key, readable_by_others

#: A text of so many hexadecimal digits is a part of a key, and not the name of a file.
_DIGITS_OF_A_KEY: Final = 40


def secret_value(name: str, given: str | None) -> str | None:
    """Return the secret that an option stands for: ``-`` asks for it, and ``@FILE`` reads a file.

    In a terminal, the secret is not shown while it is typed. If standard input is no terminal, its first line
    is the secret. Raises UsageError.
    """
    if given == "-":
        if sys.stdin.isatty():
            text: str = typer.prompt(name.capitalize().replace("_", " "), hide_input=True, err=True)
            return text
        try:
            line = sys.stdin.buffer.readline().decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError:
            # Without the exception, which has the secret.
            raise UsageError(f"{_option(name)} - reads a text in UTF-8 from standard input") from None
        if not line:
            raise UsageError(f"{_option(name)} - reads a line from standard input, which is empty")
        return line
    if given is not None and given.startswith("@"):
        return _content(name, expanded(given[1:]))
    return given


def private_key(given: str | None) -> str | None:
    """Return a private key in hex. ``given`` is the name of its file, or the key itself.

    Raises UsageError.
    """
    if given is None or is_hex_key(given):
        return given
    if len(given) >= _DIGITS_OF_A_KEY and not given.strip(hexdigits):
        # A key that is not complete must not be shown, as the name of a file is.
        raise UsageError(f"--private-key: a key has 64 hexadecimal digits, but {len(given)} are given")
    file = expanded(given.removeprefix("@"))
    key = _content("private_key", file)
    if not is_hex_key(key):
        raise UsageError(
            f"{file} has no private key: it must contain 32 octets in hex, as `keygen` writes them"
        )
    return key


def _content(name: str, file: Path) -> str:
    try:
        # Programs for Windows may write a mark of the encoding.
        text = file.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise UsageError(f"{_option(name)}: {file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        # Without the exception, which has the secret.
        raise UsageError(f"{_option(name)}: {file} contains no text") from None
    if not text:
        raise UsageError(f"{_option(name)}: {file} is empty")
    if readable_by_others(file):
        say(
            f"warning: other users can read {file}, which contains a secret. To change that: chmod 600 {file}"
        )
    return text


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
