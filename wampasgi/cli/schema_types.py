"""The JSON types that a JSON Schema accepts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: All types. An integer is a number, too.
ALL: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})

_MAX_DEPTH: Final = 50


def accepted_types(schema: Any, definitions: Mapping[str, Any], depth: int = 0) -> frozenset[str]:
    """Return the JSON types of the values that a schema may accept.

    ``definitions`` are its ``$defs``. Keywords that say nothing about types are ignored, so the result may
    have too many types, but not too few.
    """
    if schema is False:
        return frozenset()
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return ALL
    accepted = _own_types(schema)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            branches = [accepted_types(branch, definitions, depth + 1) for branch in schema[keyword]]
            accepted &= frozenset().union(*branches)
    parts = list(schema.get("allOf", ()))
    if "$ref" in schema:
        parts.append(_referenced(schema, definitions))
    for part in parts:
        accepted &= accepted_types(part, definitions, depth + 1)
    return accepted


def _own_types(schema: Mapping[str, Any]) -> frozenset[str]:
    accepted = ALL
    if "type" in schema:
        named = schema["type"]
        accepted = frozenset([named] if isinstance(named, str) else named)
        if "number" in accepted:
            accepted |= {"integer"}
    if "const" in schema:
        accepted &= {json_type(schema["const"])}
    if "enum" in schema:
        accepted &= frozenset(map(json_type, schema["enum"]))
    return accepted


def is_binary(schema: Any, definitions: Mapping[str, Any], depth: int = 0) -> bool:
    """Return whether a schema is that of bytes, perhaps among others."""
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return False
    if schema.get("format") == "binary":
        return True
    branches = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    if "$ref" in schema:
        branches.append(_referenced(schema, definitions))
    return any(is_binary(branch, definitions, depth + 1) for branch in branches)


def _referenced(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    return definitions.get(str(schema["$ref"]).removeprefix("#/$defs/"), {})


def json_type(value: Any) -> str:
    """Return the JSON type of a value, ``"integer"`` for integers."""
    if value is None:
        return "null"
    # bool is a subclass of int.
    for kind, name in (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
    ):
        if isinstance(value, kind):
            return name
    return "object"
