"""JSON Schemas of the types in a realm's handlers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import PydanticSerializationError, core_schema, to_jsonable_python

from wampasgi.description.interface import PayloadDescription, Schema
from wampasgi.errors import ConfigurationError
from wampasgi.injection.annotations import is_union, plain_annotation
from wampasgi.injection.callables import EMPTY
from wampasgi.injection.validation import UnusableAnnotation, adapter_for
from wampasgi.logs import fields, logger_named

logger = logger_named("wampasgi.router")

#: The key of a schema that accepts any value, because its Python type has no JSON Schema.
PYTHON_TYPE: Final = "x-python-type"

_NONE: Final = type(None)


class SchemaCollection:
    """Collects the types of a realm, and generates their JSON Schemas together.

    Models of the same name get their modules' names, and a model whose JSON form differs from what it accepts
    gets two schemas. All schemas are empty until ``generate`` fills them.
    """

    def __init__(self) -> None:
        self._wanted: list[tuple[int, JsonSchemaMode, TypeAdapter[Any]]] = []
        self._schemas: list[tuple[Schema, str]] = []

    def accepted(self, annotation: Any, where: str) -> Schema:
        """Return the schema of the values that a type accepts. ``where`` begins the message about it."""
        return self._add(annotation, "validation", where)

    def sent(self, annotation: Any, where: str) -> Schema:
        """Return the schema of the JSON form of a type's values."""
        return self._add(annotation, "serialization", where)

    def payload(self, declared: Any, where: str) -> PayloadDescription | None:
        """Return the payload of values of a type, as results and events have it, or None if it is unknown.

        None is no argument, and a tuple is as many as it has items.
        """
        members = _members(declared)
        tuples = [member for member in members if _is_tuple(member)]
        if not members or any(member is Any or member is object for member in members):
            return None
        if not tuples:
            if all(member is _NONE for member in members):
                return PayloadDescription(_array([]))
            least = 0 if _NONE in members else 1
            return PayloadDescription(_array([self.sent(declared, where)], least=least))
        others = [member for member in members if member is not _NONE]
        if len(others) > 1:
            return None
        items, rest = _items_of(others[0])
        return PayloadDescription(
            _array(
                [self.sent(item, where) for item in items],
                least=0 if _NONE in members else len(items),
                rest=None if rest is EMPTY else self.sent(rest, where),
            )
        )

    def _add(self, annotation: Any, mode: JsonSchemaMode, where: str) -> Schema:
        schema: Schema = {}
        if annotation is EMPTY or annotation is Any:
            return schema
        try:
            adapter = adapter_for(annotation)
        except UnusableAnnotation:
            schema[PYTHON_TYPE] = type_name(annotation)
            adapter = TypeAdapter(Any)
        self._wanted.append((len(self._schemas), mode, adapter))
        self._schemas.append((schema, where))
        return schema

    def generate(self, *, strict: bool = False) -> dict[str, Schema]:
        """Fill all schemas, and return the definitions that they refer to, by name.

        A type without a JSON Schema is logged, or raises ConfigurationError if ``strict`` is set.
        """
        found, shared = TypeAdapter.json_schemas(
            self._wanted, ref_template="#/$defs/{model}", schema_generator=_Generator
        )
        definitions: dict[str, Schema] = shared.get("$defs", {})
        for number, mode, _ in self._wanted:
            self._schemas[number][0].update(found[number, mode])
        places = [(name, where) for schema, where in self._schemas for name in _python_types(schema)]
        places += [
            (found, f"model {name}")
            for name, schema in definitions.items()
            for found in _python_types(schema)
        ]
        _report(places, strict=strict)
        return definitions


class _Generator(GenerateJsonSchema):
    """Describes types without a JSON Schema by their names, instead of raising an error."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - pydantic's own form

    def handle_invalid_for_json_schema(
        self, schema: core_schema.CoreSchema, error_info: str
    ) -> JsonSchemaValue:
        return {PYTHON_TYPE: type_name(schema.get("cls", schema["type"]))}


def _report(places: Sequence[tuple[str, str]], *, strict: bool) -> None:
    by_type: dict[str, list[str]] = {}
    for name, where in places:
        by_type.setdefault(name, []).append(where)
    for name, found in by_type.items():
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        problem = (
            f"{found[0]}{more}: the type {name} has no JSON Schema: give it __get_pydantic_json_schema__, or "
            f"annotate it with pydantic.WithJsonSchema({{...}})"
        )
        if strict:
            raise ConfigurationError(problem)
        logger.warning(
            "%s; descriptions of the realm accept any value for it", problem, extra=fields(None, None)
        )


def _python_types(schema: object) -> Iterator[str]:
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            name = part.get(PYTHON_TYPE)
            if isinstance(name, str):
                yield name
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def json_form(value: Any) -> Any:
    """Return the JSON form of a default or an example. Raises ValueError if it has none."""
    try:
        return to_jsonable_python(value, by_alias=True)
    except (PydanticSerializationError, PydanticInvalidForJsonSchema, RecursionError) as error:
        raise ValueError(str(error)) from error


def type_name(annotation: Any) -> str:
    """Return the dotted name of a type."""
    if isinstance(annotation, str):
        return annotation
    name = getattr(annotation, "__qualname__", None)
    return str(annotation) if name is None else f"{annotation.__module__}.{name}"


def _members(declared: Any) -> list[Any]:
    """Return the members of a union, or the type alone."""
    plain = plain_annotation(declared)
    if is_union(plain):
        return [member for each in get_args(plain) for member in _members(each)]
    return [_NONE if plain is None else plain]


def _is_tuple(annotation: Any) -> bool:
    kind = get_origin(annotation) or annotation
    return isinstance(kind, type) and issubclass(kind, tuple)


def _items_of(annotation: Any) -> tuple[list[Any], Any]:
    """Return the types of a tuple's items, and the type of the items that follow them, or EMPTY."""
    if get_origin(annotation) is None and hasattr(annotation, "_fields"):
        hints = get_type_hints(annotation, include_extras=True)
        return [hints.get(name, Any) for name in annotation._fields], EMPTY
    arguments = get_args(annotation)
    if get_origin(annotation) is None:
        return [], Any
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return [], arguments[0]
    return list(arguments), EMPTY


def _array(items: list[Schema], *, least: int = 0, rest: Schema | None = None) -> Schema:
    schema: Schema = {"type": "array", "prefixItems": items, "minItems": least}
    return {**schema, "maxItems": len(items)} if rest is None else {**schema, "items": rest}
