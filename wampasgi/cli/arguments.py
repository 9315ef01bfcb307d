"""Reads the arguments of calls and publications from words of the command line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wampasgi.cli.errors import UsageError, did_you_mean
from wampasgi.cli.schema_types import accepted_types, is_binary, json_type
from wampasgi.errors import ConfigurationError
from wampasgi.payload import Payload
from wampasgi.protocol.uris import require_pattern
from wampasgi.types import Match

_NAMED: Final = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)

_JSON_TEXT: Final = re.compile(r'".*"')

#: The explanation that the help of commands has.
ARGUMENTS_HELP: Final = (
    "JSON values or text; name=value is a keyword argument. @FILE reads a value from a file, and - from "
    "standard input. A word that begins with a backslash is text."
)


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument before its type is known.

    ``name`` is None for a positional one. ``data`` is text, or the content of a file. If it is ``literal``,
    it is text for certain.
    """

    name: str | None
    data: str | bytes
    literal: bool = False

    @property
    def text(self) -> str:
        """The data as text. Raises UsageError if a file has none."""
        if isinstance(self.data, str):
            return self.data
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            raise UsageError(
                "a file contains no text, and the argument that it is for takes no bytes"
            ) from error


def read_arguments(words: Sequence[str]) -> list[Argument]:
    """Return the arguments of some words, with the contents of files and of standard input.

    Raises UsageError if a file cannot be read, and if two arguments have the same name or both read standard
    input.
    """
    arguments = [_argument(word) for word in words]
    names = [argument.name for argument in arguments if argument.name is not None]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"the keyword argument {name!r} is given twice")
    if sum(reads_input(word) for word in words) > 1:
        raise UsageError("only one argument can be read from standard input")
    return arguments


def require_uri(argument: str, uri: str, match: Match = "exact") -> None:
    """Raise UsageError if an argument of a command is not a URI or pattern."""
    try:
        require_pattern(argument, uri, match)
    except ConfigurationError as error:
        raise UsageError(str(error)) from error


def reads_input(word: str) -> bool:
    """Return whether a word stands for an argument on standard input."""
    named = _NAMED.fullmatch(word)
    return (word if named is None else named[2]) == "-"


def _argument(word: str) -> Argument:
    named = _NAMED.fullmatch(word)
    name, value = (None, word) if named is None else (named[1], named[2])
    if value.startswith("\\"):
        return Argument(name, value[1:], literal=True)
    if value == "-":
        return Argument(name, sys.stdin.buffer.read())
    if value.startswith("@"):
        file = Path(value[1:]).expanduser()
        try:
            return Argument(name, file.read_bytes())
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(
                f"{file} cannot be read: {reason}. To pass {value!r} as text, write '\\{value}'"
            ) from error
    return Argument(name, value)


def typed_payload(arguments: Sequence[Argument], uri: str, description: Mapping[str, Any] | None) -> Payload:
    """Return the payload with values of the types that a procedure or topic takes.

    ``description`` is its entry in the description of the realm, None if it is not known. Without it, an
    argument is JSON, or text if it is not JSON. Raises UsageError if an argument is missing or superfluous
    according to the description.
    """
    parameters = None if description is None else description.get("parameters")
    if description is None or parameters is None:
        values = [(argument.name, _untyped(argument)) for argument in arguments]
    else:
        definitions = description.get("$defs") or {}
        typed = _Parameters(uri, parameters)
        typed.check(arguments)
        values = [
            (argument.name, _typed(argument, schema, definitions))
            for argument, schema in zip(arguments, typed.schemas(arguments), strict=True)
        ]
    return Payload(
        [value for name, value in values if name is None],
        {name: value for name, value in values if name is not None},
    )


class _Parameters:
    """The parameters of a procedure or topic."""

    def __init__(self, uri: str, parameters: Sequence[Mapping[str, Any]]) -> None:
        self._uri = uri
        kinds = ("positional_only", "positional_or_keyword")
        self._positional = [entry for entry in parameters if entry["kind"] in kinds]
        self._by_name = {
            name: entry
            for entry in parameters
            if entry["kind"] in ("positional_or_keyword", "keyword_only")
            for name in (entry["name"], *entry["aliases"])
        }
        self._rest = next((entry for entry in parameters if entry["kind"] == "rest"), None)
        self._keyword_rest = next((entry for entry in parameters if entry["kind"] == "keyword_rest"), None)
        self._required = [entry for entry in parameters if entry["required"]]

    def check(self, arguments: Sequence[Argument]) -> None:
        """Raise UsageError if an argument is missing or superfluous."""
        count = sum(argument.name is None for argument in arguments)
        if count > len(self._positional) and self._rest is None:
            most = len(self._positional)
            noun = "argument" if most == 1 else "arguments"
            raise UsageError(f"{self._uri} takes at most {most} positional {noun}, but {count} are given")
        names = [argument.name for argument in arguments if argument.name is not None]
        for name in names:
            if name not in self._by_name and self._keyword_rest is None:
                raise UsageError(
                    f"{self._uri} has no parameter {name!r}."
                    + did_you_mean(name, self._by_name)
                    + f" To pass a text with an equals sign, write '\\{name}=...'."
                )
        by_position = [entry["name"] for entry in self._positional[:count]]
        missing = [
            entry["name"]
            for entry in self._required
            if entry["name"] not in by_position and not {entry["name"], *entry["aliases"]} & {*names}
        ]
        if missing:
            raise UsageError(f"{self._uri} needs the argument {' and '.join(map(repr, missing))}")

    def schemas(self, arguments: Sequence[Argument]) -> Iterator[Any]:
        """Yield the JSON Schema of each argument."""
        positional = iter(self._positional)
        for argument in arguments:
            if argument.name is None:
                entry = next(positional, self._rest)
            else:
                entry = self._by_name.get(argument.name, self._keyword_rest)
            yield {} if entry is None else entry["schema"]


def _untyped(argument: Argument) -> Any:
    if argument.literal:
        return argument.text
    try:
        return _parsed(argument.text)
    except ValueError:
        return argument.text
    except UsageError:
        return argument.data


def _typed(argument: Argument, schema: Any, definitions: Mapping[str, Any]) -> Any:
    if is_binary(schema, definitions):
        return argument.data if isinstance(argument.data, bytes) else argument.data.encode()
    accepted = accepted_types(schema, definitions)
    text = argument.text
    if argument.literal or (accepted == {"string"} and not _is_json_text(argument)):
        return text
    try:
        value = _parsed(text)
    except ValueError as error:
        if "string" not in accepted and text.lstrip()[:1] in ("{", "["):
            raise UsageError(f"{text!r} is not valid JSON: {error}") from error
        # The server knows more texts, such as dates, and says what is wrong with the others.
        return text
    return text if "string" in accepted and json_type(value) not in accepted else value


def _is_json_text(argument: Argument) -> bool:
    """Return whether a word is a text in JSON. The content of a file is the text itself."""
    return isinstance(argument.data, str) and _JSON_TEXT.fullmatch(argument.data) is not None


def _parsed(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not valid JSON")
