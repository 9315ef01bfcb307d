"""Checks of the results that the application's authentication functions return.

An annotation that allows a wrong result is an error at startup, and a wrong result refuses the session.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any, Literal, NewType

from wampasgi.errors import ConfigurationError
from wampasgi.injection.annotations import alias_value, is_union
from wampasgi.injection.callables import return_annotation
from wampasgi.peers.identity import description_of


class WrongResult(TypeError):
    """A result that an authentication function must not return; the session is refused.

    ``source`` is the description of the function, ``returned`` that of the result, and ``expected`` the right
    one. The message contains nothing else, because the result may be secret.
    """

    def __init__(self, source: str, returned: str, expected: str) -> None:
        super().__init__(f"{source} returned {returned}: it must return {expected}")


def check_annotation(
    function: Callable[..., Any], description: str, *, wrong: tuple[type, ...], expected: str
) -> None:
    """Raise ConfigurationError if a function's return annotation contains one of the ``wrong`` classes."""
    annotation = return_annotation(function)
    for kind in _kinds(annotation):
        if issubclass(kind, wrong):
            raise ConfigurationError(
                f"{description} is annotated to return {inspect.formatannotation(annotation)}:"
                f" it must return {expected}"
            )


def wrong_result(source: str, result: object, expected: str) -> WrongResult:
    """Return the error for a result of another class than expected."""
    return WrongResult(source, description_of(result), expected)


def _kinds(annotation: Any) -> Iterator[type]:
    """Yield the classes that an annotation names, also in a union or as the result of an awaitable."""
    annotation = alias_value(annotation)
    if isinstance(annotation, NewType):
        annotation = annotation.__supertype__
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    kind = origin or annotation
    if origin is Annotated:
        yield from _kinds(arguments[0])
    elif is_union(annotation):
        for argument in arguments:
            yield from _kinds(argument)
    elif origin is Literal:
        yield from map(type, arguments)
    elif isinstance(kind, type) and issubclass(kind, Awaitable):
        # The result of a Coroutine is its last argument, that of other awaitables the only one.
        for argument in arguments[-1:]:
            yield from _kinds(argument)
    elif isinstance(kind, type):
        yield kind
