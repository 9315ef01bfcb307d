"""Descriptions of procedures that clients have registered and described themselves.

A definition is the argument of ``wamp.reflection.define``: the JSON form of a ProcedureDescription without
its URI, with the ``$defs`` of its schemas, and with descriptions of its errors instead of their URIs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from wampasgi.configuration.route_details import check_json
from wampasgi.configuration.routes import RouteMatch
from wampasgi.description.interface import (
    ErrorDescription,
    ExampleDescription,
    Interface,
    ParameterDescription,
    ParameterKind,
    PayloadDescription,
    ProcedureDescription,
    Schema,
    foreign_references,
    references,
)
from wampasgi.errors import InvalidArgument
from wampasgi.protocol.uris import check_uri


def _checked_uri(uri: str) -> str:
    if not check_uri(uri):
        raise ValueError("it is not a valid URI")
    return uri


_MAX_ERRORS: Final = 10
#: The serializers carry messages of 254 levels, and a description adds some around those of a definition.
_MAX_LEVELS: Final = 100
#: The characters of URIs that names of definitions must not have.
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]")

#: The longest key, in characters, that the path of an error repeats.
_MAX_KEY: Final = 100

_Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_URI = Annotated[_Name, AfterValidator(_checked_uri)]
#: The names of definitions are a part of URI references, so they must not need escapes.
_DefinitionName = Annotated[_Name, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$")]


class _Part(BaseModel):
    # Strict, because a definition is passed on as it is.
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=False)


class _Parameter(_Part):
    name: _Name
    kind: ParameterKind = "positional_or_keyword"
    required: bool = True
    value: Schema = Field(default_factory=dict, alias="schema")
    aliases: list[_Name] = []

    def described(self) -> ParameterDescription:
        return ParameterDescription(self.name, self.kind, self.required, self.value, tuple(self.aliases))


class _Payload(_Part):
    args: Schema
    kwargs: Schema | None = None

    def described(self) -> PayloadDescription:
        return PayloadDescription(self.args, self.kwargs)


class _Error(_Part):
    uri: _URI
    description: str | None = None
    payload: _Payload | None = None

    def described(self) -> ErrorDescription:
        payload = None if self.payload is None else self.payload.described()
        return ErrorDescription(uri=self.uri, description=self.description, payload=payload)


class _Example(_Part):
    summary: str | None = None
    args: list[Any] = []
    kwargs: dict[str, Any] = {}

    def described(self) -> ExampleDescription:
        return ExampleDescription(self.summary, self.args, self.kwargs)


class _Definition(_Part):
    summary: str | None = None
    description: str | None = None
    tags: list[_Name] = []
    deprecated: bool = False
    parameters: list[_Parameter] | None = None
    result: _Payload | None = None
    progressive: bool = False
    progress: _Payload | None = None
    errors: list[_Error] = []
    examples: list[_Example] = []
    definitions: dict[_DefinitionName, Schema] = Field(default_factory=dict, alias="$defs")


def check_definition(definition: Mapping[str, Any]) -> None:
    """Raise InvalidArgument, ``wamp.error.invalid_argument``, for a definition that is not valid."""
    try:
        read = _Definition.model_validate(definition)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)[:_MAX_ERRORS]
        errors = [_error(detail["loc"], detail["msg"], detail["type"]) for detail in details]
        raise _invalid(errors) from None
    try:
        # Sessions with another serializer than JSON can send more.
        check_json(definition)
    except ValueError as error:
        raise _invalid([_error([], str(error), "value_error")]) from None
    if _is_deeper(definition, _MAX_LEVELS):
        reason = f"it has more than {_MAX_LEVELS} levels of lists and dicts"
        raise _invalid([_error([], reason, "value_error")])
    schemas = {**definition, "examples": []}
    foreign = sorted(set(foreign_references(schemas)))
    if foreign:
        reason = f"a schema refers to {_shown(foreign[0])!r}, which is not in $defs"
        raise _invalid([_error([], reason, "value_error")])
    missing = sorted(set(references(schemas)) - set(read.definitions))
    if missing:
        reason = f"a schema refers to {_shown(missing[0])!r}, which is not in $defs"
        raise _invalid([_error(["$defs"], reason, "missing")])


def _is_deeper(value: object, levels: int) -> bool:
    parts: list[Any] = [value]
    for _ in range(levels):
        parts = [
            inner
            for part in parts
            for inner in (part.values() if isinstance(part, dict) else part)
            if isinstance(inner, dict | list)
        ]
        if not parts:
            return False
    return True


def _error(path: Iterable[int | str], reason: str, kind: str) -> dict[str, Any]:
    keys = [_shown(key) if isinstance(key, str) else key for key in path]
    return {"argument": "definition", "path": keys, "reason": reason, "type": kind}


def _shown(text: str) -> str:
    return text if len(text) <= _MAX_KEY else f"{text[:_MAX_KEY]}..."


def _invalid(errors: list[dict[str, Any]]) -> InvalidArgument:
    first = errors[0]
    place = "".join(f"[{key!r}]" for key in first["path"])
    return InvalidArgument(f"argument 'definition'{place}: {first['reason']}", errors=errors)


class Definition:
    """A definition of a procedure, with its place in the description of a realm.

    Raises ValueError if it is not valid.
    """

    def __init__(self, match: RouteMatch, uri: str, definition: Mapping[str, Any]) -> None:
        read = _Definition.model_validate(definition)
        self.schemas = read.definitions
        self.errors = tuple(error.described() for error in read.errors)
        parameters = None
        if read.parameters is not None:
            parameters = tuple(parameter.described() for parameter in read.parameters)
        self.procedure = ProcedureDescription(
            uri=uri,
            match=match,
            provider="client",
            summary=read.summary,
            description=read.description,
            tags=tuple(read.tags),
            deprecated=read.deprecated,
            parameters=parameters,
            result=None if read.result is None else read.result.described(),
            progressive=read.progressive,
            progress=None if read.progress is None else read.progress.described(),
            errors=tuple(error.uri for error in read.errors),
            examples=tuple(example.described() for example in read.examples),
        )


class _Renaming:
    """Renames the definitions that the schemas of a client refer to."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = {f"#/$defs/{old}": f"#/$defs/{new}" for old, new in names.items()}

    def schema(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self.schema(part) for part in schema]
        if not isinstance(schema, dict):
            return schema
        return {key: self._part(key, part) for key, part in schema.items()}

    def _part(self, key: str, part: Any) -> Any:
        if key == "$ref" and isinstance(part, str):
            return self._names.get(part, part)
        if key == "mapping" and isinstance(part, dict):
            # Of a discriminator: references by the values of a property.
            return {
                value: self._names.get(ref, ref) if isinstance(ref, str) else self.schema(ref)
                for value, ref in part.items()
            }
        return self.schema(part)

    def payload(self, payload: PayloadDescription | None) -> PayloadDescription | None:
        if payload is None:
            return None
        return PayloadDescription(self.schema(payload.args), self.schema(payload.kwargs))

    def error(self, error: ErrorDescription) -> ErrorDescription:
        return replace(error, payload=self.payload(error.payload))

    def procedure(self, procedure: ProcedureDescription) -> ProcedureDescription:
        parameters = procedure.parameters
        if parameters is not None:
            parameters = tuple(replace(each, schema=self.schema(each.schema)) for each in parameters)
        return replace(
            procedure,
            parameters=parameters,
            result=self.payload(procedure.result),
            progress=self.payload(procedure.progress),
        )


def with_definitions(interface: Interface, procedures: Sequence[Definition]) -> Interface:
    """Return a description with the procedures of clients added to those of the realm.

    The realm's own errors and schemas take precedence. A client's schema of the same name as another one gets
    the URI of its procedure as a prefix, and a number if that is not enough.
    """
    schemas = dict(interface.definitions)
    errors = {error.uri: error for error in interface.errors}
    described = list(interface.procedures)
    for definition in procedures:
        procedure, own_errors, own_schemas = definition.procedure, definition.errors, definition.schemas
        names = _new_names(definition, schemas)
        if names:
            renaming = _Renaming(names)
            procedure = renaming.procedure(procedure)
            own_errors = tuple(map(renaming.error, own_errors))
            own_schemas = {names[name]: renaming.schema(schema) for name, schema in own_schemas.items()}
        described.append(procedure)
        schemas.update(own_schemas)
        for error in own_errors:
            errors.setdefault(error.uri, error)
    return Interface(
        realm=interface.realm,
        procedures=tuple(described),
        topics=interface.topics,
        errors=tuple(errors.values()),
        definitions=schemas,
    )


def _new_names(definition: Definition, schemas: Mapping[str, Schema]) -> dict[str, str]:
    """Return new names for the schemas of a definition, next to those that the description has.

    It is empty if they can keep their names. Schemas that are equal share one. That is decided for all of a
    definition, because equal schemas can refer to others that are not.
    """
    if all(schemas.get(name, schema) == schema for name, schema in definition.schemas.items()):
        return {}
    prefix = _UNFIT.sub("_", definition.procedure.uri)
    taken = {*schemas, *definition.schemas}
    names = {}
    for name in definition.schemas:
        new, number = f"{prefix}.{name}", 2
        while new in taken:
            new, number = f"{prefix}.{name}.{number}", number + 1
        taken.add(new)
        names[name] = new
    return names
