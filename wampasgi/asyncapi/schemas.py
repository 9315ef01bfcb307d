"""JSON Schemas of a description, converted to those of an AsyncAPI document.

Descriptions contain JSON Schema 2020-12. AsyncAPI's Schema Object extends draft-07, which spells tuples
differently and ignores all keywords beside ``$ref``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

from wampasgi.asyncapi.keys import component_keys

JSONObject = dict[str, Any]

_DEFINITIONS: Final = "#/$defs/"

# Keywords whose values are schemas, lists of schemas, and schemas by name.
_SCHEMAS: Final = frozenset(
    ("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then")
)
_SCHEMA_LISTS: Final = frozenset(("allOf", "anyOf", "oneOf"))
_SCHEMA_MAPS: Final = frozenset(("patternProperties", "properties"))
# `$id` would change the base of all references, and definitions are only at the top of a description.
_OMITTED: Final = frozenset(("$anchor", "$comment", "$defs", "$dynamicAnchor", "$id", "$schema"))


class SchemaComponents:
    """The ``components.schemas`` of a document: the definitions of all realms.

    ``definitions`` are the ``$defs`` of each realm, by realm URI. Definitions with the same name that differ
    between realms have the realm's URI as the prefix of their keys.
    """

    def __init__(self, definitions: Mapping[str, Mapping[str, Any]]) -> None:
        self._definitions = definitions
        self._keys = component_keys(_contents(definitions))

    def to_dict(self) -> JSONObject:
        """Return the converted definitions, sorted by key."""
        components = {
            key: self.convert(realm, self._definitions[realm][name])
            for (realm, name), key in self._keys.items()
        }
        return dict(sorted(components.items()))

    def convert(self, realm: str, schema: Any) -> Any:
        """Return a schema of a realm's description as an AsyncAPI Schema Object."""
        return _converted(schema, partial(self._reference, realm))

    def _reference(self, realm: str, reference: str) -> str | None:
        """Return the reference of the document for one of the description, or None if it has no target."""
        name, _, rest = reference.removeprefix(_DEFINITIONS).partition("/")
        key = self._keys.get((realm, _unescaped(name)))
        if key is None or not reference.startswith(_DEFINITIONS):
            return None
        return f"#/components/schemas/{key}" + (f"/{rest}" if rest else "")


def _unescaped(part: str) -> str:
    """Return a part of a JSON pointer in a URI fragment without its escapes."""
    return unquote(part).replace("~1", "/").replace("~0", "~")


def _contents(definitions: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Return a text for each definition of each realm, by realm and name.

    Two definitions have the same text if they, and all definitions that they refer to, are equal.
    """
    items = [(realm, name) for realm, named in definitions.items() for name in named]
    targets = {
        (realm, name): sorted(_targets(definitions[realm][name]) & definitions[realm].keys())
        for realm, name in items
    }
    contents = _numbered(
        {(realm, name): json.dumps(definitions[realm][name], sort_keys=True) for realm, name in items}
    )

    def with_targets(realm: str, name: str) -> str:
        return f"{contents[realm, name]} {[contents[realm, target] for target in targets[realm, name]]}"

    # Definitions that are equal so far are told apart by the definitions that they refer to, until nothing
    # changes. Definitions may refer to each other in circles.
    while True:
        refined = _numbered({(realm, name): with_targets(realm, name) for realm, name in items})
        if len(set(refined.values())) == len(set(contents.values())):
            return refined
        contents = refined


def _numbered(texts: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Return short texts that are equal if the given ones are."""
    numbers: dict[str, str] = {}
    return {item: numbers.setdefault(text, str(len(numbers))) for item, text in texts.items()}


def _targets(schema: Any) -> set[str]:
    """Return the names of the definitions that a schema refers to."""
    found: set[str] = set()

    def note(reference: str) -> str:
        found.add(_unescaped(reference.removeprefix(_DEFINITIONS).partition("/")[0]))
        return reference

    _converted(schema, note)
    return found


def _converted(schema: Any, reference: Callable[[str], str | None]) -> Any:
    """Return a schema in draft-07 whose references are replaced by the results of ``reference``."""
    if not isinstance(schema, Mapping):
        return schema
    result: JSONObject = {}
    for keyword, value in schema.items():
        if keyword in _SCHEMAS:
            result[keyword] = _converted(value, reference)
        elif keyword in _SCHEMA_LISTS and isinstance(value, list):
            result[keyword] = [_converted(item, reference) for item in value]
        elif keyword in _SCHEMA_MAPS and isinstance(value, Mapping):
            result[keyword] = {name: _converted(item, reference) for name, item in value.items()}
        elif keyword == "discriminator" and isinstance(value, Mapping):
            result["x-discriminator"] = _discriminator(value, reference)
        elif keyword not in _OMITTED:
            result[keyword] = value
    _convert_tuple(result, reference)
    _convert_dependencies(result, reference)
    return _convert_reference(result, reference)


def _convert_tuple(schema: JSONObject, reference: Callable[[str], str | None]) -> None:
    prefix = schema.pop("prefixItems", None)
    if not prefix:
        return
    if "items" in schema:
        schema["additionalItems"] = schema.pop("items")
    schema["items"] = [_converted(item, reference) for item in prefix]


def _convert_dependencies(schema: JSONObject, reference: Callable[[str], str | None]) -> None:
    required = schema.pop("dependentRequired", {})
    schemas = schema.pop("dependentSchemas", {})
    dependencies = {**required, **{name: _converted(value, reference) for name, value in schemas.items()}}
    if dependencies:
        schema["dependencies"] = dependencies


def _discriminator(value: Mapping[str, Any], reference: Callable[[str], str | None]) -> JSONObject:
    """Return a discriminator with new references.

    AsyncAPI's own ``discriminator`` is a property whose value is the name of a schema, which it need not be.
    """
    mapping = {name: reference(target) for name, target in value.get("mapping", {}).items()}
    return {**value, "mapping": {name: target for name, target in mapping.items() if target is not None}}


def _convert_reference(schema: JSONObject, reference: Callable[[str], str | None]) -> JSONObject:
    if "$ref" not in schema:
        return schema
    named = schema.pop("$ref")
    # A client may have defined a schema whose reference has no target: any value is allowed.
    target = reference(named) if isinstance(named, str) else None
    if target is None:
        return schema
    if not schema:
        return {"$ref": target}
    return {"allOf": [{"$ref": target}, *schema.pop("allOf", ())], **schema}
