"""Types of the arguments, results and events of a description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wampasgi.typescript.names import element_name
from wampasgi.typescript.schemas import SchemaConverter, comment_of, index_type
from wampasgi.typescript.types import (
    EMPTY,
    NULL,
    UNKNOWN,
    Array,
    Element,
    Name,
    Object,
    Property,
    Tuple,
    Type,
    union,
)

_BY_POSITION: Final = ("positional_only", "positional_or_keyword")
_ANY_KWARGS: Final = Name("Record<string, unknown>")
_ANY_ARGS: Final = Array(UNKNOWN)

#: The shapes of payloads: how a typed session converts them. ``AUTO`` depends on the received values.
AUTO: Final = "auto"
ARGS: Final = "args"
ARGS_AND_KWARGS: Final = "args and kwargs"


@dataclass(frozen=True, slots=True)
class Payload:
    """The types of a result, progressive result, event or error.

    ``value`` is the type after the conversion by the typed session, and ``shape`` the kind of conversion.
    """

    args: Type
    kwargs: Type
    value: Type
    shape: str = AUTO


UNDESCRIBED: Final = Payload(_ANY_ARGS, _ANY_KWARGS, UNKNOWN)


@dataclass(frozen=True, slots=True)
class Arguments:
    """The types of the arguments of a call or publication.

    ``named`` is the type of an object with all arguments by name, or None if not all have a name.
    """

    args: Type
    kwargs: Type
    named: Type | None


UNDESCRIBED_ARGUMENTS: Final = Arguments(_ANY_ARGS, _ANY_KWARGS, None)


def payload(description: Mapping[str, Any] | None, converter: SchemaConverter, place: str) -> Payload:
    """Return the types of a payload; ``place`` names it in warnings."""
    if description is None:
        return UNDESCRIBED
    args = converter.array(_without_any_items(description["args"]), place)
    schema = description["kwargs"]
    kwargs = EMPTY if schema is None else converter.object(schema, place)
    if kwargs != EMPTY:
        value = Object((Property("args", args), Property("kwargs", kwargs)))
        sure = isinstance(kwargs, Object) and not all(prop.optional for prop in kwargs.properties)
        return Payload(args, kwargs, value, AUTO if sure else ARGS_AND_KWARGS)
    if isinstance(args, Tuple) and not any(element.rest for element in args.elements):
        if not args.elements:
            return Payload(args, EMPTY, Name("void"))
        if len(args.elements) == 1:
            [element] = args.elements
            only = union([element.type, NULL]) if element.optional else element.type
            return Payload(args, EMPTY, only)
    several = isinstance(args, Tuple) and sum(not e.optional and not e.rest for e in args.elements) > 1
    return Payload(args, EMPTY, args, AUTO if several else ARGS)


def _without_any_items(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of positional values, without ``items`` if further ones may have any type.

    Their type is not missing, so they need no warning.
    """
    prefixed = {"prefixItems": [], **schema}
    return {key: value for key, value in prefixed.items() if (key, value) != ("items", {})}


def arguments(
    parameters: Sequence[Mapping[str, Any]] | None, converter: SchemaConverter, place: str
) -> Arguments:
    """Return the types of the arguments that parameters accept; ``place`` names them in warnings."""
    if parameters is None:
        return UNDESCRIBED_ARGUMENTS
    types = [converter.convert(each["schema"], f"{place}, parameter {each['name']!r}") for each in parameters]
    pairs = list(zip(parameters, types, strict=True))
    others = [type for each, type in pairs if each["kind"] == "keyword_rest"]

    def with_names(*kinds: str) -> Type:
        properties = tuple(_property(each, type) for each, type in pairs if each["kind"] in kinds)
        if others:
            return Object(properties, index_type(properties, union(others)))
        return Object(properties) if properties else EMPTY

    nameless = any(each["kind"] in ("positional_only", "rest") for each in parameters)
    named = None if nameless else with_names("positional_or_keyword", "keyword_only")
    return Arguments(_positional(pairs), with_names("keyword_only"), named)


def _property(parameter: Mapping[str, Any], type: Type) -> Property:
    comment = comment_of(parameter["schema"])
    return Property(parameter["name"], type, not parameter["required"], comment)


def _positional(pairs: Sequence[tuple[Mapping[str, Any], Type]]) -> Type:
    by_position = [(each, type) for each, type in pairs if each["kind"] in _BY_POSITION]
    # TypeScript allows no required element after an optional one.
    required = max((index + 1 for index, (each, _) in enumerate(by_position) if each["required"]), default=0)
    elements = [
        Element(type, element_name(each["name"]), optional=index >= required)
        for index, (each, type) in enumerate(by_position)
    ]
    for each, type in pairs:
        if each["kind"] == "rest":
            elements.append(Element(type, element_name(each["name"]), rest=True))
    return Tuple(tuple(elements))
