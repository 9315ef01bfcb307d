"""Marks for methods that handle procedures, topics or events, and the search for them in an object."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, Unpack

from wampasgi.configuration.response_types import FROM_ANNOTATION
from wampasgi.configuration.route_details import ProcedureDetails, RouteDetails, TopicDetails
from wampasgi.configuration.routes import H, RouteMatch, require_uri
from wampasgi.configuration.topics import Topic
from wampasgi.errors import ConfigurationError
from wampasgi.injection.callables import require_function
from wampasgi.injection.plan import describe
from wampasgi.types import Handler, Match

HandlerKind: TypeAlias = Literal["procedure", "topic", "subscriber"]

# The attribute of a function that holds its marks.
_ATTRIBUTE: Final = "__wampasgi_marks__"


@dataclass(frozen=True, slots=True)
class Mark:
    """The arguments of the decorator that registers a marked method."""

    kind: HandlerKind
    uri: str | Topic[Any]
    options: Mapping[str, Any]


def procedure(
    uri: str,
    *,
    match: RouteMatch = "exact",
    roles: str | Collection[str] | None = None,
    response_type: Any = FROM_ANNOTATION,
    dependencies: Iterable[Any] = (),
    **details: Unpack[ProcedureDetails],
) -> Callable[[H], H]:
    """Mark a method in a class body as the handler of a procedure.

    ``add_handlers(object)`` of an application, a realm or a WAMPRouter registers it. The arguments are the
    same as for ``Realm.procedure``.
    """
    options = {
        "match": match,
        "roles": roles,
        "response_type": response_type,
        "dependencies": dependencies,
        **details,
    }
    return _marker("procedure", uri, options)


def topic(
    topic: str | Topic[Any],
    *,
    match: RouteMatch = "exact",
    roles: str | Collection[str] | None = None,
    patterns: bool | None = None,
    dependencies: Iterable[Any] = (),
    **details: Unpack[TopicDetails],
) -> Callable[[H], H]:
    """Mark a method in a class body as the gatekeeper of a topic.

    ``add_handlers(object)`` of an application, a realm or a WAMPRouter registers it. The arguments are the
    same as for ``Realm.topic``.
    """
    options = {
        "match": match,
        "roles": roles,
        "patterns": patterns,
        "dependencies": dependencies,
        **details,
    }
    return _marker("topic", topic, options)


def subscriber(
    topic: str | Topic[Any],
    *,
    match: Match = "exact",
    roles: str | Collection[str] | None = None,
    dependencies: Iterable[Any] = (),
    **details: Unpack[RouteDetails],
) -> Callable[[H], H]:
    """Mark a method in a class body as a handler of the events that clients publish.

    ``add_handlers(object)`` of an application, a realm or a WAMPRouter registers it. The arguments are the
    same as for ``Realm.subscriber``.
    """
    options = {"match": match, "roles": roles, "dependencies": dependencies, **details}
    return _marker("subscriber", topic, options)


def _marker(kind: HandlerKind, uri: str | Topic[Any], options: Mapping[str, Any]) -> Callable[[H], H]:
    if not isinstance(uri, Topic):
        require_uri(f"@{kind}", uri)
    # Each object of the class reads them.
    read = {
        name: tuple(option) if isinstance(option, Iterator) else option for name, option in options.items()
    }

    def mark(method: H) -> H:
        if not isinstance(method, classmethod):
            require_function(f"@{kind}", method)
        if inspect.isfunction(method) and method.__qualname__ == method.__name__:
            raise ConfigurationError(
                f"wampasgi.{kind} marks methods in a class body, but {describe(method)} is a function: "
                f"decorate it with {kind}(uri) of the application, a realm or a WAMPRouter"
            )
        # Decorators run from the bottom up.
        setattr(method, _ATTRIBUTE, (Mark(kind, uri, read), *_marks_of(method)))
        return method

    return mark


def _marks_of(attribute: Any) -> tuple[Mark, ...]:
    """Return the marks of an attribute of a class, without running any code of it.

    The attribute can be a lazy object of another library, which would be evaluated.
    """
    holders: list[object] = [attribute]
    if issubclass(type(attribute), staticmethod | classmethod):
        holders.append(attribute.__func__)
    for holder in holders:
        marks = inspect.getattr_static(holder, _ATTRIBUTE, None)
        if isinstance(marks, tuple):
            return marks
    return ()


def marked_methods(where: str, instance: object) -> Iterator[tuple[Mark, Handler]]:
    """Yield the marks of an object's methods, with the bound methods, in the order of definition.

    The methods of base classes come first. A method that overrides a marked one has its marks, unless it has
    marks of its own. Raises ConfigurationError, prefixed with ``where``, for a class, and for an object that
    has no marked methods.
    """
    if isinstance(instance, type):
        raise ConfigurationError(
            f"{where} got the class {instance.__module__}.{instance.__qualname__}: it takes an object,"
            f" {instance.__qualname__}(...)"
        )
    marks: dict[str, tuple[Mark, ...]] = {}
    for base in reversed(type(instance).__mro__):
        for name, attribute in vars(base).items():
            marks[name] = _marks_of(attribute) or marks.get(name, ())
    # An attribute that is None removes a method of a base class, as in Python's own protocols.
    found = [
        (mark, name)
        for name, given in marks.items()
        for mark in given
        if inspect.getattr_static(instance, name, None) is not None
    ]
    if not found:
        raise ConfigurationError(
            f"{where} got {instance!r}, whose class has no marked method: mark methods with "
            f"@wampasgi.procedure(uri), @wampasgi.topic(uri) or @wampasgi.subscriber(topic)"
        )
    for mark, name in found:
        yield mark, getattr(instance, name)
