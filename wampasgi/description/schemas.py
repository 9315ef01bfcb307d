"""JSON Schemas of the types in a realm's handlers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, ForwardRef, Unpack, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import PydanticSerializationError, core_schema

from wampasgi.configuration.route_details import json_form
from wampasgi.description.hints import hints_of
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
        self._schemas: list[tuple[Schema, str, str]] = []
        # The errors of types whose own code for their JSON Schema fails, by the names of the types.
        self._failures: dict[str, Exception] = {}

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
        if annotation is EMPTY:
            return schema
        try:
            adapter = adapter_for(annotation)
        except UnusableAnnotation:
            schema[PYTHON_TYPE] = type_name(annotation)
            adapter = TypeAdapter(Any)
        self._wanted.append((len(self._schemas), mode, adapter))
        self._schemas.append((schema, type_name(annotation), where))
        return schema

    def generate(self, reported: set[str], *, strict: bool = False) -> dict[str, Schema]:
        """Fill all schemas, and return the definitions that they refer to, by name.

        A type without a JSON Schema is logged, unless its name is in ``reported``, and then added to it. If
        ``strict`` is set, it raises ConfigurationError.
        """
        try:
            found, shared = self._generate()
        except Exception:  # noqa: BLE001 - it is reported for the type that causes it
            self._replace_failing()
            found, shared = self._generate()
        definitions: dict[str, Schema] = shared.get("$defs", {})
        for number, mode, _ in self._wanted:
            self._schemas[number][0].update(found[number, mode])
        places = [(name, where) for schema, _, where in self._schemas for name in _python_types(schema)]
        places += [
            (found, f"model {name}")
            for name, schema in definitions.items()
            for found in _python_types(schema)
        ]
        self._report(places, reported, strict=strict)
        return definitions

    def _generate(self) -> tuple[dict[tuple[int, JsonSchemaMode], JsonSchemaValue], JsonSchemaValue]:
        return TypeAdapter.json_schemas(
            self._wanted, ref_template="#/$defs/{model}", schema_generator=_Generator
        )

    def _replace_failing(self) -> None:
        """Accept any value for the types whose own code for their JSON Schema fails."""
        for index, (number, mode, adapter) in enumerate(self._wanted):
            schema, name, _ = self._schemas[number]
            try:
                adapter.json_schema(mode=mode, schema_generator=_Generator)
            except Exception as error:  # noqa: BLE001 - reported
                self._failures[name] = error
                schema[PYTHON_TYPE] = name
                self._wanted[index] = number, mode, TypeAdapter(Any)

    def _report(self, places: Sequence[tuple[str, str]], reported: set[str], *, strict: bool) -> None:
        by_type: dict[str, list[str]] = {}
        for name, where in places:
            if strict or name not in reported:
                by_type.setdefault(name, []).append(where)
        if not strict:
            reported.update(by_type)
        for name, found in by_type.items():
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            failure = self._failures.get(name)
            reason = "" if failure is None else f", because its own code for it fails with {failure!r}"
            problem = (
                f"{found[0]}{more}: the type {name} has no JSON Schema{reason}: give it "
                f"__get_pydantic_json_schema__, or annotate it with pydantic.WithJsonSchema({{...}})"
            )
            if strict:
                raise ConfigurationError(problem) from failure
            logger.warning(
                "%s; descriptions of the realm accept any value for it", problem, extra=fields(None, None)
            )


class _Generator(GenerateJsonSchema):
    """Describes types without a JSON Schema by their names, instead of raising an error."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - pydantic's own form

    def handle_invalid_for_json_schema(
        self, schema: core_schema.CoreSchema, error_info: str
    ) -> JsonSchemaValue:
        return {PYTHON_TYPE: _name_in(schema)}

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        """Return whether a field is always there. What is sent also has the fields with a default."""
        if self.mode == "serialization" and field["type"] != "typed-dict-field":
            return field.get("serialization_exclude_if") is None
        return super().field_is_required(field, total)

    def encode_default(self, dft: Any) -> Any:
        """Return the JSON form of a default. Without one, the schema does not show the default."""
        try:
            return json_form(dft)
        except ValueError as error:
            raise PydanticSerializationError(str(error)) from error


def _name_in(schema: Mapping[str, Any]) -> str:
    """Return the name of the type, or of the function that validates it, in one of pydantic's schemas."""
    if schema["type"] == "callable":
        return "collections.abc.Callable"
    function = schema.get("function")
    function = function.get("function") if isinstance(function, Mapping) else function
    return type_name(schema.get("cls") or function or schema["type"])


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


def type_name(annotation: Any) -> str:
    """Return the dotted name of a type."""
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, ForwardRef):
        return annotation.__forward_arg__
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
    origin, arguments = get_origin(annotation), get_args(annotation)
    names = getattr(origin or annotation, "_fields", None)
    if names is not None:
        # The parameters of a generic named tuple need not be those of its items, in this order.
        hints = hints_of(annotation) if origin is None else {}
        return [hints.get(name, Any) for name in names], EMPTY
    if origin is None:
        return [], Any
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return [], arguments[0]
    for index, each in enumerate(arguments):
        if get_origin(each) is Unpack or getattr(each, "__unpacked__", False):
            # *tuple[...]: only the items before it have fixed places.
            return list(arguments[:index]), Any
    return list(arguments), EMPTY


def _array(items: list[Schema], *, least: int = 0, rest: Schema | None = None) -> Schema:
    schema: Schema = {"type": "array", "prefixItems": items, "minItems": least}
    return {**schema, "maxItems": len(items)} if rest is None else {**schema, "items": rest}
