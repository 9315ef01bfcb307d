"""Conversion of JSON Schemas to types of TypeScript."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from wampasgi.typescript.types import (
    EMPTY,
    NEVER,
    NULL,
    UNKNOWN,
    Array,
    Element,
    Mapped,
    Name,
    Object,
    Property,
    Tuple,
    Type,
    intersection,
    union,
)

_PRIMITIVES: Final = {
    "boolean": Name("boolean"),
    "integer": Name("number"),
    "null": NULL,
    "number": Name("number"),
    "string": Name("string"),
}

# Clients get bytes as text from JSON, and as an array of bytes from other serializers.
_BYTES: Final = union([Name("string"), Name("Uint8Array")])

_OBJECT_KEYWORDS: Final = frozenset(
    {"properties", "required", "additionalProperties", "patternProperties", "propertyNames"}
)
_ARRAY_KEYWORDS: Final = frozenset({"items", "prefixItems"})

_LONGEST_DEFAULT: Final = 60


class SchemaConverter:
    """Converts the schemas of one description.

    ``models`` has the name in TypeScript of each schema in ``$defs``. ``warn`` is called with a sentence for
    each value whose type is unknown. Of a schema that is not valid, the invalid parts are ignored.
    """

    def __init__(self, models: Mapping[str, str], warn: Callable[[str], None]) -> None:
        self._models = models
        self._warn = warn

    def convert(self, schema: Any, place: str) -> Type:
        """Return the type of the values that a schema describes; ``place`` names them in warnings."""
        if schema is False:
            return NEVER
        if not isinstance(schema, Mapping):
            schema = {}
        if "const" in schema:
            return literal(schema["const"])
        if isinstance(schema.get("enum"), Sequence):
            return union(map(literal, schema["enum"]))
        types = self._types_of(schema, place)
        parts = [union(types)] if types else []
        if "$ref" in schema:
            parts.append(self._reference(schema["$ref"], place))
        parts += [self.convert(part, place) for part in schema.get("allOf", ())]
        for keyword in ("anyOf", "oneOf"):
            if schema.get(keyword):
                parts.append(union([self.convert(choice, place) for choice in schema[keyword]]))
        if not parts:
            self._warn_untyped(schema, place)
        return intersection(parts)

    def _types_of(self, schema: Mapping[str, Any], place: str) -> list[Type]:
        named = schema.get("type", ())
        types = [named] if isinstance(named, str) else list(named)
        if not types and not schema.keys().isdisjoint(_OBJECT_KEYWORDS):
            types = ["object"]
        elif not types and not schema.keys().isdisjoint(_ARRAY_KEYWORDS):
            types = ["array"]
        return [self._type(name, schema, place) for name in types]

    def _type(self, name: str, schema: Mapping[str, Any], place: str) -> Type:
        if name == "object":
            return self.object(schema, place)
        if name == "array":
            return self.array(schema, place)
        if name == "string" and schema.get("format") == "binary":
            return _BYTES
        return _PRIMITIVES.get(name, UNKNOWN)

    def _reference(self, reference: str, place: str) -> Type:
        name = unquote(reference.removeprefix("#/$defs/")).replace("~1", "/").replace("~0", "~")
        if reference.startswith("#/$defs/") and name in self._models:
            return Name(self._models[name])
        self._warn(f"{place}: the schema {reference!r} does not exist, so the type is unknown")
        return UNKNOWN

    def array(self, schema: Mapping[str, Any], place: str) -> Type:
        """Return the type of an array or tuple."""
        first = schema.get("prefixItems", ())
        if not first and "items" in schema:
            if schema["items"] is False:
                return Tuple(())
            return Array(self.convert(schema["items"], place))
        required = schema.get("minItems", 0)
        elements = [
            Element(self.convert(item, place), optional=index >= required) for index, item in enumerate(first)
        ]
        items = schema.get("items", True)
        if items is not False and schema.get("maxItems", len(first) + 1) > len(first):
            rest = UNKNOWN if items is True else self.convert(items, place)
            if not elements:
                return Array(rest)
            elements.append(Element(rest, rest=True))
        return Tuple(tuple(elements))

    def object(self, schema: Mapping[str, Any], place: str) -> Type:
        """Return the type of an object: an :class:`Object`, unless its keys have a type of their own."""
        properties: Mapping[str, Any] = schema.get("properties", {})
        required: Sequence[str] = schema.get("required", ())
        found = [
            Property(key, self.convert(part, f"{place}.{key}"), key not in required, comment_of(part))
            for key, part in properties.items()
        ]
        found += [Property(key, UNKNOWN) for key in required if key not in properties]
        others: list[Type] = []
        patterns = schema.get("patternProperties", {}).values()
        others += [self.convert(part, f"{place}[key]") for part in patterns]
        additional = schema.get("additionalProperties", not found and not others)
        if additional is True:
            others.append(UNKNOWN)
        elif additional is not False:
            others.append(self.convert(additional, f"{place}[key]"))
        if not others:
            return Object(tuple(found)) if found else EMPTY
        keys = schema.get("propertyNames", {})
        if not found and ("$ref" in keys or "enum" in keys or "const" in keys):
            return Mapped(self.convert(keys, f"{place}[key]"), union(others))
        return Object(tuple(found), index_type(found, union(others)))

    def _warn_untyped(self, schema: Mapping[str, Any], place: str) -> None:
        python_type = schema.get("x-python-type")
        reason = "it accepts any value" if python_type is None else f"{python_type} has no JSON Schema"
        self._warn(f"{place}: {reason}, so the type is unknown")


def index_type(properties: Sequence[Property], others: Type) -> Type:
    """Return the type of an index signature, which has to cover the types of the properties, too."""
    if not properties:
        return others
    optional = [Name("undefined")] if any(prop.optional for prop in properties) else []
    return union([others, *(prop.type for prop in properties), *optional])


def literal(value: Any) -> Type:
    """Return the type that has only this value."""
    if isinstance(value, Mapping):
        properties = tuple(Property(key, literal(member)) for key, member in value.items())
        return Object(properties) if properties else EMPTY
    if isinstance(value, list | tuple):
        return Tuple(tuple(Element(literal(item)) for item in value))
    return Name(json.dumps(value, ensure_ascii=False))


def comment_of(schema: Any) -> tuple[str, ...]:
    """Return the lines of the JSDoc of a value: its description, and tags for what its type does not say."""
    if not isinstance(schema, Mapping):
        return ()
    lines = [*str(schema.get("description") or "").strip().splitlines()]
    if isinstance(schema.get("format"), str):
        lines.append(f"@format {schema['format']}")
    # A null default says no more than the question mark.
    if schema.get("default") is not None:
        default = json.dumps(schema["default"], ensure_ascii=False)
        if len(default) <= _LONGEST_DEFAULT:
            lines.append(f"@default {default}")
    if schema.get("deprecated") is True:
        lines.append("@deprecated")
    return tuple(lines)
