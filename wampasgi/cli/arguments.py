"""Reads the arguments of calls and publications from words of the command line."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wampasgi.cli.data_forms import UnsupportedJSON, from_json
from wampasgi.cli.errors import UsageError, did_you_mean
from wampasgi.cli.options import expanded
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

    ``name`` is None for a positional one. ``data`` is text, or the content of a file or of standard input, or
    a word that is not text. ``source`` names it in messages. If it is ``literal``, it is text for certain. If
    it ``must_be_json``, it is JSON, unless the parameter takes text.
    """

    name: str | None
    data: str | bytes
    source: str
    literal: bool = False
    must_be_json: bool = False

    @property
    def text(self) -> str:
        """The data as text. Raises UsageError for bytes that are not text."""
        text = self.text_or_none
        if text is None:
            raise UsageError(f"{self.source} is not text in UTF-8, and the parameter takes no bytes")
        return text

    @property
    def text_or_none(self) -> str | None:
        """The data as text, or None for bytes that are not text."""
        if isinstance(self.data, str):
            return self.data
        if b"\0" in self.data:
            return None
        try:
            # Programs for Windows may write a mark of the encoding.
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError:
            return None


def read_arguments(words: Sequence[str]) -> list[Argument]:
    """Return the arguments of some words, with the contents of files and of standard input.

    Raises UsageError if a file cannot be read, and if two arguments have the same name or both read standard
    input.
    """
    # Before they are read, because a user may have to type the input.
    if sum(reads_input(word) for word in words) > 1:
        raise UsageError("only one argument can be read from standard input")
    arguments = [_argument(word) for word in words]
    names = [argument.name for argument in arguments if argument.name is not None]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"the keyword argument {name!r} is given twice")
    return arguments


def require_uri(argument: str, uri: str, match: Match = "exact") -> None:
    """Raise UsageError if an argument of a command is not a URI or pattern."""
    if isinstance(_data(uri), bytes):
        raise UsageError(f"{argument} is not text in UTF-8")
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
    if value == "-":
        return Argument(name, sys.stdin.buffer.read(), "standard input")
    if value.startswith("@"):
        file = expanded(value[1:])
        try:
            return Argument(name, file.read_bytes(), str(file), must_be_json=file.suffix.lower() == ".json")
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(
                f"{file} cannot be read: {reason}. To pass {value!r} as text, write '\\{value}'"
            ) from error
    literal = value.startswith("\\")
    return Argument(name, _data(value.removeprefix("\\")), f"the argument {value!r}", literal=literal)


def _data(word: str) -> str | bytes:
    """Return a word of the command line, which is bytes if the locale cannot decode it."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return os.fsencode(word)
    return word


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
            limit = f"at most {most}" if most else "no"
            noun = "argument" if most == 1 else "arguments"
            verb = "is" if count == 1 else "are"
            raise UsageError(f"{self._uri} takes {limit} positional {noun}, but {count} {verb} given")
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
    text = argument.text_or_none
    if text is None:
        return argument.data
    try:
        return _parsed(argument, text)
    except ValueError:
        return text


def _typed(argument: Argument, schema: Any, definitions: Mapping[str, Any]) -> Any:
    accepted = accepted_types(schema, definitions)
    if is_binary(schema, definitions):
        return _binary(argument, accepted)
    text = argument.text
    if argument.literal or (accepted == {"string"} and not _is_json_text(argument)):
        return text
    try:
        value = _parsed(argument, text)
    except ValueError as error:
        if "string" not in accepted and text.lstrip()[:1] in ("{", "["):
            raise UsageError(f"{argument.source} is not valid JSON: {error}") from error
        # The server knows more texts, such as dates, and says what is wrong with the others.
        return text
    return text if "string" in accepted and json_type(value) not in accepted else value


def _binary(argument: Argument, accepted: frozenset[str]) -> Any:
    """Return the value for a parameter that takes bytes, and perhaps others of ``accepted`` JSON types."""
    data = argument.data
    if isinstance(data, bytes):
        return data
    try:
        value = data if argument.literal else _parsed(argument, data)
    except ValueError:
        value = data
    if isinstance(value, str):
        return value.encode()
    is_accepted = isinstance(value, bytes) or json_type(value) in accepted
    return value if is_accepted else data.encode()


def _is_json_text(argument: Argument) -> bool:
    """Return whether a word is a text in JSON. The content of a file is the text itself."""
    return isinstance(argument.data, str) and _JSON_TEXT.fullmatch(argument.data) is not None


def _parsed(argument: Argument, text: str) -> Any:
    """Return the JSON value of an argument.

    Raises ValueError if it has none, and UsageError if it must have one, or if the value cannot be sent.
    """
    try:
        return from_json(text)
    except UnsupportedJSON as error:
        advice = "" if isinstance(argument.data, bytes) else f". To pass it as text, write '\\{text}'"
        raise UsageError(f"{argument.source} cannot be sent: {error}{advice}") from error
    except ValueError as error:
        if argument.must_be_json:
            raise UsageError(f"{argument.source} is not valid JSON: {error}") from error
        raise
