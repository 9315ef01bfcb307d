"""The details of a route that descriptions of its realm show: a summary, tags, errors and examples."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, TypedDict

from wampasgi.errors import ConfigurationError, WAMPError
from wampasgi.injection.callables import EMPTY
from wampasgi.types import Handler

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
    """The payload of an example, with a summary of one line."""

    summary: str | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] | None = None


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
        """Return the details with the handler's docstring as far as they have no texts of their own."""
        if self.summary is not None and self.description is not None:
            return self
        # Not of a class's instance or a partial, whose docstring is that of their class.
        is_documented = inspect.isroutine(handler) or inspect.isclass(handler)
        docstring = (inspect.getdoc(handler) or "") if is_documented else ""
        text = docstring.partition("\f")[0].strip()
        if self.summary is not None:
            return replace(self, description=text or None)
        first, _, rest = text.partition("\n\n")
        summary = " ".join(first.split()).removesuffix(".")
        description = self.description if self.description is not None else rest.strip() or None
        return replace(self, summary=summary or None, description=description)


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
        examples=tuple(_example(where, example) for example in details.get("examples", ())),
        errors=tuple(_error(where, error) for error in details.get("errors", ())),
        event=details.get("event", EMPTY),
    )


def tags_of(where: str, tags: object) -> tuple[str, ...]:
    """Return one tag or several as a tuple. Raises ConfigurationError for anything but non-empty strings."""
    given = (tags,) if isinstance(tags, str) else tags
    named = tuple(given) if isinstance(given, Collection) else (None,)
    if not all(isinstance(tag, str) and tag for tag in named):
        raise ConfigurationError(f"{where}: tags is {tags!r}: give a non-empty str or several")
    return named


def _example(where: str, example: object) -> Example:
    if not isinstance(example, Mapping) or not set(example) <= {"summary", "args", "kwargs"}:
        raise ConfigurationError(
            f"{where}: examples has {example!r}: write a dict with the keys 'args' and 'kwargs', and maybe "
            f"'summary'"
        )
    args, kwargs = example.get("args", ()), example.get("kwargs", {})
    if isinstance(args, str | bytes) or not isinstance(args, Collection) or not isinstance(kwargs, Mapping):
        raise ConfigurationError(f"{where}: the example {example!r} needs a list 'args' and a dict 'kwargs'")
    return Example(example.get("summary"), tuple(args), dict(kwargs))


def _error(where: str, error: object) -> DeclaredError:
    if isinstance(error, str) and error:
        return error
    if isinstance(error, type) and issubclass(error, WAMPError) and hasattr(error, "uri"):
        return error
    raise ConfigurationError(
        f"{where}: errors has {error!r}: give a subclass of WAMPError that declares its URI, as in "
        f"class LimitExceeded(WAMPError, uri='com.bank.limit'), or a URI"
    )
