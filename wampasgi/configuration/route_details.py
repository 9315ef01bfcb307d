"""The details of a route that descriptions of its realm show: a summary, tags, errors and examples."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, is_dataclass, replace
from functools import partial
from math import isfinite
from typing import Any, Final, TypeAlias, TypedDict

from pydantic_core import to_jsonable_python

from wampasgi.errors import ConfigurationError, WAMPError
from wampasgi.injection.callables import EMPTY
from wampasgi.protocol.uris import check_uri
from wampasgi.types import Handler

_PARAGRAPH_END: Final = re.compile(r"\n\s*\n")
# The serializers can carry integers of 64 bits.
_SMALLEST_INT: Final = -(2**63)
_LARGEST_INT: Final = 2**64 - 1

#: An error that a procedure declares: a class with a URI, or the URI alone.
DeclaredError: TypeAlias = type[WAMPError] | str


class RouteDetails(TypedDict, total=False):
    """The keyword arguments that describe a procedure, a topic or a subscriber.

    ``summary`` is one line of text, and ``description`` is Markdown. Without them, the first line and the
    rest of the handler's docstring are used. ``tags``, one or several, group it in descriptions.
    ``deprecated`` marks it, and ``include_in_schema=False`` leaves it out. ``examples`` are example payloads,
    such as ``{"summary": "Add", "args": [1], "kwargs": {"b": 2}}``.
    """

    summary: str | None
    description: str | None
    tags: str | Collection[str]
    deprecated: bool
    include_in_schema: bool
    examples: Iterable[Mapping[str, Any]]


class ProcedureDetails(RouteDetails, total=False):
    """The keyword arguments that describe a procedure.

    ``errors`` are the errors that its calls can end with, apart from those of every procedure: subclasses of
    WAMPError with a URI, or URIs.
    """

    errors: Iterable[DeclaredError]


class TopicDetails(RouteDetails, total=False):
    """The keyword arguments that describe a topic.

    ``event`` is the type of its events: as with the result of a procedure, a value is one positional
    argument, None is no argument, and a tuple is as many as it has items.
    """

    event: Any


@dataclass(frozen=True, slots=True)
class Example:
    """The payload of an example in its JSON form, with a summary of one line."""

    summary: str | None
    args: list[Any]
    kwargs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Details:
    """The details of a route, checked. See RouteDetails, ProcedureDetails and TopicDetails."""

    summary: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    deprecated: bool = False
    include_in_schema: bool = True
    examples: tuple[Example, ...] = ()
    errors: tuple[DeclaredError, ...] = ()
    event: Any = EMPTY

    def within(self, tags: tuple[str, ...]) -> Details:
        """Return the details of the same route in a router, whose tags come first."""
        return replace(self, tags=tuple(dict.fromkeys((*tags, *self.tags))))

    def with_docstring(self, handler: Handler) -> Details:
        """Return the details with the handler's docstring as far as they have no texts of their own.

        A form feed ends the part of the docstring that is used. An empty text stands for none.
        """
        text = _docstring_of(handler).partition("\f")[0].strip()
        first, *rest = _PARAGRAPH_END.split(text, maxsplit=1)
        summary, description = self.summary, self.description
        if description is None:
            description = text if summary is not None else "".join(rest)
        if summary is None:
            summary = " ".join(first.split()).removesuffix(".")
        return replace(self, summary=summary or None, description=description or None)


def _docstring_of(handler: Handler) -> str:
    """Return the docstring of a handler's own function or class, without its indentation."""
    function: Any = handler
    while isinstance(function, partial):
        function = function.func
    if inspect.isclass(function):
        # Not that of a base class, such as pydantic's BaseModel, nor the signature that dataclasses write.
        text = vars(function).get("__doc__") or ""
        is_made = is_dataclass(function) and text.startswith(f"{function.__name__}(")
        return "" if is_made else inspect.cleandoc(text)
    if not inspect.isroutine(function):
        function = type(function).__call__
        if not inspect.isfunction(function):
            # Python's own docstring, "Call self as a function."
            return ""
    return inspect.getdoc(function) or ""


NO_DETAILS: Final = Details()


def read_details(where: str, details: Mapping[str, Any], allowed: type = ProcedureDetails) -> Details:
    """Check the keyword arguments that describe a route.

    ``allowed`` is the TypedDict of the arguments. Raises ConfigurationError, prefixed with ``where``.
    """
    unknown = sorted(set(details) - set(allowed.__annotations__) - set(RouteDetails.__annotations__))
    if unknown:
        # As Python does for a function that has no such parameter.
        raise TypeError(f"{where} got an unexpected keyword argument {unknown[0]!r}")
    for name in ("summary", "description"):
        text = details.get(name)
        if text is not None and not isinstance(text, str):
            raise ConfigurationError(f"{where}: {name} is {text!r}, it must be a str")
    summary = details.get("summary")
    if summary is not None and "\n" in summary:
        raise ConfigurationError(f"{where}: summary has several lines: put the rest into description")
    for name in ("deprecated", "include_in_schema"):
        if not isinstance(details.get(name, False), bool):
            raise ConfigurationError(f"{where}: {name} is {details[name]!r}, it must be True or False")
    return Details(
        summary=summary,
        description=details.get("description"),
        tags=tags_of(where, details.get("tags", ())),
        deprecated=details.get("deprecated", False),
        include_in_schema=details.get("include_in_schema", True),
        examples=tuple(_example(where, example) for example in _several(where, details, "examples")),
        errors=tuple(_error(where, error) for error in _several(where, details, "errors")),
        event=details.get("event", EMPTY),
    )


def tags_of(where: str, tags: object) -> tuple[str, ...]:
    """Return one tag or several as a tuple. Raises ConfigurationError for anything but non-empty strings."""
    given = (tags,) if isinstance(tags, str) else tags
    named = tuple(given) if isinstance(given, Collection) else (None,)
    if not all(isinstance(tag, str) and tag for tag in named):
        raise ConfigurationError(f"{where}: tags is {tags!r}: give a non-empty str or several")
    return named


def _several(where: str, details: Mapping[str, Any], name: str) -> Iterable[Any]:
    given = details.get(name, ())
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise ConfigurationError(f"{where}: {name} is {given!r}: give a list, [{given!r}]")
    return given


def _example(where: str, example: object) -> Example:
    if not isinstance(example, Mapping) or not set(example) <= {"summary", "args", "kwargs"}:
        raise ConfigurationError(
            f"{where}: examples has {example!r}: write a dict with the keys 'args' and 'kwargs', and maybe "
            f"'summary'"
        )
    summary, args, kwargs = example.get("summary"), example.get("args", ()), example.get("kwargs", {})
    if summary is not None and not isinstance(summary, str):
        raise ConfigurationError(f"{where}: the summary of the example {example!r} must be a str")
    if not (isinstance(args, list | tuple) and isinstance(kwargs, Mapping)) or not all(
        isinstance(name, str) for name in kwargs
    ):
        raise ConfigurationError(
            f"{where}: the example {example!r} needs a list 'args' and a dict 'kwargs' with str keys"
        )
    try:
        return Example(summary, json_form(list(args)), json_form(dict(kwargs)))
    except ValueError as error:
        raise ConfigurationError(f"{where}: the example {example!r} has no JSON form: {error}") from error


def json_form(value: Any) -> Any:
    """Return the JSON form of a default or an example. Raises ValueError if it has none."""
    form = to_jsonable_python(value, by_alias=True, inf_nan_mode="constants")
    check_json(form)
    return form


def check_json(value: object) -> None:
    """Raise ValueError for a value with a part that JSON cannot represent, or that WAMP does not allow."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if not all(isinstance(key, str) for key in part):
                raise ValueError("the keys of JSON objects are strings")
            waiting += part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
        elif isinstance(part, str):
            if part.startswith("\0"):
                raise ValueError("a string begins with U+0000, which marks binary data in JSON")
        elif isinstance(part, float):
            if not isfinite(part):
                raise ValueError(f"JSON has no number {part}")
        elif isinstance(part, int):
            if not _SMALLEST_INT <= part <= _LARGEST_INT:
                raise ValueError("an integer has more than 64 bits")
        elif part is not None:
            raise ValueError(f"JSON cannot represent a value of the type {type(part).__name__}")


def _error(where: str, error: object) -> DeclaredError:
    if isinstance(error, str) and check_uri(error):
        return error
    if isinstance(error, type) and issubclass(error, WAMPError) and hasattr(error, "uri"):
        return error
    raise ConfigurationError(
        f"{where}: errors has {error!r}: give a subclass of WAMPError that declares its URI, as in "
        f"class LimitExceeded(WAMPError, uri='com.bank.limit'), or a URI"
    )
