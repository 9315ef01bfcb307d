"""Validation of single values with pydantic.

Clients choose how many values are invalid, and pydantic describes each of them, which takes fifty times as
long as validating a valid one. So validation stops at the first invalid item of a list, dict or set. Only if
a value is small, it is validated again for all its errors.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic_core import PydanticCustomError, SchemaError, SchemaValidator

from wampasgi.injection.callables import EMPTY

#: The number of values in an argument up to which all its errors are reported. In a larger one, validation
#: stops at the first invalid value.
MAX_VALUES_WITH_ALL_ERRORS: Final = 1000

_Schema: TypeAlias = dict[str, Any]

_NO_SCHEMA = (PydanticUserError, PydanticUndefinedAnnotation, SchemaError, NameError, TypeError)


class UnusableAnnotation(Exception):
    """Raised for an annotation that pydantic cannot validate with; its text gives the reason.

    ``has_no_schema`` is set if the annotation names a class that pydantic does not know. Such a parameter was
    not meant for a payload.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error).partition("\n")[0].partition(". Set ")[0])
        self.has_no_schema = isinstance(error, PydanticSchemaGenerationError)


class LazyAnnotation(Exception):
    """Raised for an annotation whose values pydantic validates only when the handler reads them."""


def adapter_for(annotation: Any) -> TypeAdapter[Any]:
    """Return pydantic's adapter for an annotation. Raises UnusableAnnotation if pydantic cannot make one."""
    try:
        with warnings.catch_warnings():
            # An alias has no effect on the validation of the value, but the payload honours it.
            warnings.filterwarnings("ignore", message="The '(validation_)?alias' attribute")
            adapter = TypeAdapter(annotation)
        _ = adapter.validator.title  # built only now for some types, such as models with ``defer_build``
    except _NO_SCHEMA as error:
        raise UnusableAnnotation(error) from error
    return adapter


def pass_unchanged(value: Any) -> Any:
    """Return the value: the ``validate`` of a Validator without an annotation."""
    return value


class Validator:
    """Validates and converts one argument according to its annotation.

    ``validate`` takes the value that was received and returns the one for the handler, or raises pydantic's
    ValidationError. If there is no annotation, or the annotation is ``Any``, it is ``pass_unchanged``.
    ``validate`` may stop at the first error.
    """

    __slots__ = ("_is_strict", "_validate_all", "_validate_json", "_validate_json_all", "validate")

    def __init__(self, annotation: Any) -> None:
        self.validate: Callable[[Any], Any] = pass_unchanged
        self._validate_all: Callable[[Any], Any] = pass_unchanged
        self._validate_json: Callable[[str], Any] = json.loads
        self._validate_json_all: Callable[[str], Any] = json.loads
        self._is_strict = False
        if annotation is not EMPTY and annotation is not Any:
            adapter = adapter_for(annotation)
            if _contains(adapter.core_schema, _is_lazy):
                raise LazyAnnotation
            self.validate = quick_validator(adapter).validate_python
            self._validate_all = adapter.validator.validate_python
            self._validate_json_all = adapter.validator.validate_json
            self._is_strict = _contains(adapter.core_schema, _is_strict)
            if self._is_strict:
                self._validate_json = quick_validator(adapter, for_json=True).validate_json

    def convert(self, value: Any) -> Any:
        """Validate like ``validate``, but also accept what strict types accept only from JSON.

        A strict UUID, datetime or tuple accepts a str or list in JSON text but not as a Python object. The
        errors of JSON validation are worded for callers that send JSON, so they are raised if both fail.
        """
        is_large = has_many_values(value)
        validate, validate_json = (
            (self.validate, self._validate_json)
            if is_large
            else (self._validate_all, self._validate_json_all)
        )
        try:
            return validate(value)
        except ValidationError as error:
            # Writing and reading JSON takes much longer than validating a large value.
            text = None if is_large and not self._is_strict else _json_text(value)
            if text is None:
                raise
            try:
                return validate_json(text)
            except ValidationError as json_error:
                raise (error if _is_invalid_json(json_error) else json_error) from None


def has_many_values(value: object) -> bool:
    """Return whether so many values are in a value that not all errors are reported."""
    waiting, count = [value], 0
    while waiting:
        item = waiting.pop()
        if isinstance(item, list | tuple | dict):
            count += len(item)
            if count > MAX_VALUES_WITH_ALL_ERRORS:
                return True
            waiting += item.values() if isinstance(item, dict) else item
    return False


# Schemas. Their format is public: see ``pydantic_core.core_schema``.

_COLLECTIONS: Final = frozenset(("dict", "frozenset", "generator", "list", "set", "tuple"))
_WITH_FIELDS: Final = frozenset(("dataclass-args", "model-fields", "typed-dict"))
# Keys with values of the application, or with what serializes a value.
_NO_PART_OF_VALIDATION: Final = frozenset({"default", "expected", "members", "metadata", "serialization"})


def quick_validator(adapter: TypeAdapter[Any], *, for_json: bool = False) -> SchemaValidator:
    """Return a validator that stops at the first invalid item of a list, dict or set.

    It is the adapter's own if there is nothing to stop at, or if it is a plugin's, which wants to see each
    validation. Unless it is made ``for_json``, it also stops at a model that refuses its many extra fields.
    """
    own: Any = adapter.validator
    quick = _Stopping(limits_fields=not for_json).part(adapter.core_schema)
    if quick is adapter.core_schema or type(own) is not SchemaValidator:
        return own  # type: ignore[no-any-return]
    # By default, pydantic would use the validators that the models have already.
    make: Any = SchemaValidator
    return make(quick, None, _use_prebuilt=False)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class _Stopping:
    """Makes schemas stop at an error. A schema that cannot have many is returned as it is, the same object.

    ``refuses_extras`` is set within a model that refuses extra fields. With ``limits_fields``, the number of
    its fields is checked first.
    """

    limits_fields: bool
    refuses_extras: bool = False

    def part(self, part: Any) -> Any:
        """Return a part of a schema: another schema, or several in a list or, by name, in a dict."""
        if isinstance(part, list | tuple):
            parts = list(map(self.part, part))
            changed = any(new is not old for new, old in zip(parts, part, strict=True))
            return type(part)(parts) if changed else part
        if not isinstance(part, dict):
            return part
        if isinstance(part.get("type"), str):
            return self._schema(part)
        return self._with_changed_parts(part)

    def _schema(self, schema: _Schema) -> _Schema:
        if schema.get("config"):
            refuses_extras = schema["config"].get("extra_fields_behavior") == "forbid"
            inside = _Stopping(self.limits_fields, refuses_extras)
            return inside._within(schema)
        return self._within(schema)

    def _within(self, schema: _Schema) -> _Schema:
        kind = schema["type"]
        stopping = self._with_changed_parts(schema)
        if kind in _COLLECTIONS:
            return {**stopping, "fail_fast": True}
        if kind in _WITH_FIELDS and self.limits_fields:
            extras = schema.get("extra_behavior", "forbid" if self.refuses_extras else "ignore")
            return _with_limited_fields(stopping) if extras == "forbid" else stopping
        return stopping

    def _with_changed_parts(self, schema: _Schema) -> _Schema:
        changes = {
            key: new
            for key, part in schema.items()
            if key not in _NO_PART_OF_VALIDATION and (new := self.part(part)) is not part
        }
        return {**schema, **changes} if changes else schema


def _with_limited_fields(schema: _Schema) -> _Schema:
    """Return the schema of a model's fields with a check of their number before all others."""
    inner = {key: part for key, part in schema.items() if key != "ref"}
    fields = schema["fields"].values() if isinstance(schema["fields"], dict) else schema["fields"]
    known = sum(map(_count_names, fields))
    outer = {
        "type": "function-before",
        "function": {"type": "no-info", "function": partial(_check_fields, known)},
        "schema": inner,
    }
    return {**outer, "ref": schema["ref"]} if "ref" in schema else outer


def _count_names(field: _Schema) -> int:
    """Return the number of names that a field may have, or a larger one."""
    alias = field.get("validation_alias", ())
    return 1 + (1 if isinstance(alias, str) else len(alias))


def _check_fields(known: int, value: object) -> object:
    if isinstance(value, dict) and len(value) > known + MAX_VALUES_WITH_ALL_ERRORS:
        raise PydanticCustomError(
            "too_many_fields", "Object has {count} fields, far more than it may have", {"count": len(value)}
        )
    return value


def _contains(schema: Any, test: Callable[[_Schema], bool]) -> bool:
    """Return whether a schema has a part that meets a test, also inside of a model."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if test(part):
                return True
            waiting += [value for key, value in part.items() if key not in _NO_PART_OF_VALIDATION]
        elif isinstance(part, list | tuple):
            waiting += part
    return False


def _is_lazy(part: _Schema) -> bool:
    return part.get("type") == "generator"


def _is_strict(part: _Schema) -> bool:
    """Return whether a schema may accept values from JSON that it does not accept from Python."""
    return part.get("strict") is True or part.get("type") == "json-or-python"


# Errors


def _json_text(value: Any) -> str | None:
    """Return a value as JSON text, or None if JSON cannot represent it."""
    try:
        return json.dumps(value)
    except (RecursionError, TypeError, ValueError):
        return None


def _is_invalid_json(error: ValidationError) -> bool:
    return error.error_count() == 1 and error.errors(include_input=False)[0]["type"] == "json_invalid"
