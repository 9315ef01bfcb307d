"""The JSON form of pydantic's types, except that bytes stay bytes.

Pydantic's mode ``"json"`` turns bytes into text, although every serializer here can carry bytes. Its mode
``"python"`` keeps them, but ignores serializers for JSON and the ``ser_json_*`` settings, and does not
convert the keys of dicts. So this module changes the schema of a type: bytes become marked text in mode
``"json"``, and are restored in the result. Types whose values cannot contain bytes use pydantic's own
serializer.
"""

from __future__ import annotations

import base64
import dataclasses
import secrets
from collections import deque
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache, partial
from typing import Any, Final, Literal, TypeAlias

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationUnexpectedValue, SchemaSerializer, to_jsonable_python

_Schema: TypeAlias = dict[str, Any]
_BytesMode: TypeAlias = Literal["utf8", "base64", "hex"]

#: The beginning of text that represents bytes. It is random, so that no other text begins with it.
_MARK: Final = f"\0bytes {secrets.token_hex(16)} "

_BYTES: Final = (bytes, bytearray, memoryview)
_LEAVES: Final = frozenset((str, int, float, bool, type(None)))
_SEQUENCES: Final = (list, tuple, set, frozenset, deque)


class JSONForm:
    """Converts the values of one type to dicts with text keys, lists, scalars and bytes.

    Aliases, excluded fields, serializers and the ``ser_json_*`` settings apply. Bytes stay bytes, unless
    their model sets ``ser_json_bytes``.
    """

    __slots__ = ("_has_marks", "_serializer")

    def __init__(self, adapter: TypeAdapter[Any]) -> None:
        if not isinstance(adapter.core_schema, dict):  # of a model with ``defer_build``
            adapter.rebuild()
        schema: Any = adapter.core_schema
        marking = _Marking().schema(schema)
        self._has_marks = marking is not schema
        self._serializer: Any = adapter.serializer
        if self._has_marks:
            # By default, pydantic would use the serializers that the models have already, without marks.
            self._serializer = SchemaSerializer(marking, None, _use_prebuilt=False)

    def convert(self, value: object, *, strict: bool = False) -> Any:
        """Return the JSON form of ``value``.

        Raises PydanticSerializationError. If a part of the value does not have the type that was declared for
        it, this is an error if ``strict``, and otherwise a warning.
        """
        converted = self.convert_with_marks(value, strict=strict)
        return _restore(converted) if self._has_marks else converted

    def convert_with_marks(self, value: object, *, strict: bool = False) -> Any:
        """Convert a value that is part of another one, whose JSONForm restores the bytes."""
        warnings: bool | Literal["error"] = "error" if strict else True
        return self._serializer.to_python(value, mode="json", by_alias=True, warnings=warnings)


def json_form_of(cls: type) -> JSONForm | None:
    """Return the JSON form of a model or pydantic dataclass, or None for any other class."""
    return _json_form_of(cls)


@lru_cache(maxsize=1024)
def _json_form_of(cls: Any) -> JSONForm | None:
    # A class without a decorator that inherits from a pydantic dataclass counts, too.
    return JSONForm(TypeAdapter(cls)) if hasattr(cls, "__pydantic_serializer__") else None


def public_fields(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass instance whose names do not begin with an underscore."""
    names = [field.name for field in dataclasses.fields(value)]
    return {name: getattr(value, name) for name in names if not name.startswith("_")}


# Schemas. Their format is public: see ``pydantic_core.core_schema``.

# Schemas that say nothing about the parts of a value, so that pydantic inspects it.
_INSPECTED: Final = frozenset(("any", "call", "callable", "function-plain", "is-instance", "is-subclass"))
# The key for the schema of the items, which these containers may lack.
_ITEMS: Final = {
    "dict": "values_schema",
    "frozenset": "items_schema",
    "generator": "items_schema",
    "list": "items_schema",
    "set": "items_schema",
}
# Keys that hold one schema. (``keys_schema`` is not among them, because keys become text in any case.)
_ONE: Final = (
    "extras_schema",
    "items_schema",
    "json_schema",
    "lax_schema",
    "python_schema",
    "return_schema",
    "schema",
    "strict_schema",
    "values_schema",
)
# Keys that hold schemas in a list or, by name, in a dict.
_MANY: Final = ("choices", "computed_fields", "definitions", "fields", "items_schema", "steps")


@dataclasses.dataclass(frozen=True, slots=True)
class _Marking:
    """Adds marks for bytes to schemas. A schema that needs none is returned unchanged, as the same object.

    ``bytes_mode`` is the ``ser_json_bytes`` that the innermost model sets: its bytes become text. ``extras``
    is set within a model that allows extra fields.
    """

    bytes_mode: _BytesMode | None = None
    extras: bool = False

    def schema(self, schema: _Schema) -> _Schema:
        """Return a schema with marks."""
        if schema.get("config"):
            config = schema["config"]
            inside = _Marking(config.get("ser_json_bytes"), config.get("extra_fields_behavior") == "allow")
            return inside._within(schema)
        return self._within(schema)

    def _within(self, schema: _Schema) -> _Schema:
        if "serialization" in schema:
            return _updated(schema, {"serialization": self._serialization(schema)})
        kind = schema["type"]
        if kind == "bytes":
            return schema if self.bytes_mode else {**schema, "serialization": _function(_mark)}
        if (kind in _INSPECTED and "return_schema" not in schema) or self._has_bytes_members(schema):
            return {**schema, "serialization": self._inspection()}
        changes: _Schema = {}
        for key in _MANY:
            if isinstance(schema.get(key), dict) and key == "items_schema":
                continue  # a single schema
            if key in schema:
                changes[key] = self._many(schema[key])
        for key in _ONE:
            if isinstance(schema.get(key), dict):
                changes[key] = self.schema(schema[key])
        if kind in _ITEMS and _ITEMS[kind] not in schema:
            changes[_ITEMS[kind]] = self._any()
        if kind in ("model-fields", "typed-dict") and self._allows_extras(schema):
            changes.setdefault("extras_schema", self._any())
        return _updated(schema, changes)

    def _many(self, schemas: Any) -> Any:
        if isinstance(schemas, dict):
            return _updated(schemas, {name: self._choice(schema) for name, schema in schemas.items()})
        marked = [self._choice(schema) for schema in schemas]
        return schemas if all(new is old for new, old in zip(marked, schemas, strict=True)) else marked

    def _choice(self, choice: Any) -> Any:
        if isinstance(choice, tuple):  # a schema and its label
            marked = self.schema(choice[0])
            return choice if marked is choice[0] else (marked, *choice[1:])
        return self.schema(choice) if isinstance(choice, dict) else choice

    def _serialization(self, schema: _Schema) -> _Schema:
        """Return the serialization of a schema that declares one."""
        serialization: _Schema = schema["serialization"]
        if serialization["type"] == "any":  # SerializeAsAny
            return self._inspection()
        if serialization["type"] not in ("function-plain", "function-wrap"):
            return serialization
        changes = {"return_schema": self.schema(serialization.get("return_schema", {"type": "any"}))}
        if serialization["type"] == "function-wrap" and not _is_bytes(schema):
            own = {key: value for key, value in schema.items() if key not in ("serialization", "ref")}
            changes["schema"] = self.schema(serialization.get("schema", own))
        return _updated(serialization, changes)

    def _allows_extras(self, schema: _Schema) -> bool:
        if "extra_behavior" in schema:
            return bool(schema["extra_behavior"] == "allow")
        return self.extras

    def _has_bytes_members(self, schema: _Schema) -> bool:
        members = {"enum": "members", "literal": "expected"}.get(schema["type"])
        if members is None or self.bytes_mode is not None:
            return False
        return any(isinstance(getattr(member, "value", member), bytes) for member in schema[members])

    def _any(self) -> _Schema:
        return {"type": "any", "serialization": self._inspection()}

    def _inspection(self) -> _Schema:
        mode = self.bytes_mode
        return _function(_inspect if mode is None else partial(_inspect, bytes_mode=mode))


def _updated(schema: _Schema, changes: _Schema) -> _Schema:
    changed = any(value is not schema.get(key) for key, value in changes.items())
    return {**schema, **changes} if changed else schema


def _function(function: Any) -> _Schema:
    return {"type": "function-plain", "function": function}


def _is_bytes(schema: _Schema) -> bool:
    while schema["type"] in ("default", "nullable"):
        schema = schema["schema"]
    return bool(schema["type"] == "bytes")


# Values


def _mark(value: object) -> str:
    if not isinstance(value, _BYTES):
        # A union tries its next member.
        raise PydanticSerializationUnexpectedValue(f"expected bytes, got {type(value).__name__}")
    return _MARK + base64.b64encode(value).decode("ascii")


def _inspect(value: Any, bytes_mode: _BytesMode | None = None) -> Any:
    """Mark the bytes in a value without a declared type. Pydantic converts the rest of the result."""
    kind = type(value)
    if kind in _LEAVES:
        return value
    # Most containers have leaves only, which need no call for each.
    if kind is list or kind is dict:
        items = value.values() if kind is dict else value
        if _LEAVES.issuperset(map(type, items)):
            return value
        if kind is list:
            return [_inspect(item, bytes_mode) for item in value]
        return {key: _inspect(item, bytes_mode) for key, item in value.items()}
    if isinstance(value, _BYTES):
        if bytes_mode is not None:
            return to_jsonable_python(bytes(value), bytes_mode=bytes_mode)
        return _mark(value)
    form = json_form_of(kind)
    if form is not None:
        return form.convert_with_marks(value)
    if isinstance(value, Mapping):
        return {key: _inspect(item, bytes_mode) for key, item in value.items()}
    if isinstance(value, _SEQUENCES):
        return [_inspect(item, bytes_mode) for item in value]
    if isinstance(value, Enum):
        return _inspect(value.value, bytes_mode)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: _inspect(item, bytes_mode) for name, item in public_fields(value).items()}
    return value


def _restore(converted: Any) -> Any:
    """Replace marked text by bytes."""
    kind = type(converted)
    if kind is str:
        return base64.b64decode(converted[len(_MARK) :]) if converted.startswith(_MARK) else converted
    if kind is dict:
        return {key: _restore(value) for key, value in converted.items()}
    if kind is list:
        return [_restore(value) for value in converted]
    return converted
