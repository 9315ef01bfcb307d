"""The parts of a type annotation: aliases, unions, classes, and the types inside others."""

from __future__ import annotations

import types
import typing
from collections import abc
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from wampasgi.injection.callables import EMPTY

#: The generic types of an async generator's annotation; the first parameter is the type of its values.
ASYNC_ITERATORS: Final = (abc.AsyncGenerator, abc.AsyncIterable, abc.AsyncIterator)
#: The generic types of an awaitable; the last parameter is the type of its result.
AWAITABLES: Final = (abc.Awaitable, abc.Coroutine)


def alias_value(annotation: Any) -> Any:
    """Return the value of a type alias made by a ``type`` statement or TypeAliasType."""
    while type(annotation).__name__ == "TypeAliasType":
        annotation = annotation.__value__
    return annotation


def is_union(annotation: Any) -> bool:
    """Return whether an annotation is ``Union[...]``, ``Optional[...]`` or ``... | ...``."""
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def plain_annotation(annotation: Any) -> Any:
    """Return an annotation without the metadata of ``Annotated``, and the value of a type alias."""
    while True:
        annotation = alias_value(annotation)
        if typing.get_origin(annotation) is not Annotated:
            return annotation
        annotation = annotation.__origin__


def classes_of(annotation: Any) -> list[type]:
    """Return the classes in an annotation, without ``Annotated`` and None; [] if one is not a class."""
    annotation = plain_annotation(annotation)
    if is_union(annotation):
        branches = [
            classes_of(branch) for branch in typing.get_args(annotation) if branch is not types.NoneType
        ]
        return [branch[0] for branch in branches if branch] if all(branches) else []
    if annotation in (EMPTY, Any) or not isinstance(annotation, type):
        return []
    return [annotation]


def generic_classes_of(annotation: Any) -> set[Any]:
    """Return the classes of all generic types in an annotation, such as ``list`` for ``list[int]``."""
    return {typing.get_origin(node) or node for node in nodes_of(annotation) if node.__hash__}


def nodes_of(annotation: Any, aliases: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Yield an annotation and all types that it consists of. ``aliases`` are the enclosing type aliases."""
    origin = typing.get_origin(annotation)
    alias = annotation if origin is None else origin
    if type(alias).__name__ == "TypeAliasType":
        if alias not in aliases:  # an alias may refer to itself
            yield from nodes_of(alias.__value__, (*aliases, alias))
    else:
        yield annotation
    if origin is Annotated:
        yield from nodes_of(annotation.__origin__, aliases)
    elif origin is not Literal:
        for argument in typing.get_args(annotation):
            # The parameters of a Callable are a list.
            for each in argument if isinstance(argument, list) else (argument,):
                yield from nodes_of(each, aliases)
