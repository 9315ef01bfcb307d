"""The payload of a call and the parameters it fills: validation, conversion, and what to answer a misfit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic_core import ErrorDetails, SchemaError

from wampasgi.errors import InvalidArgument
from wampasgi.injection.callables import EMPTY

#: Stands in a frame for a value that is still to come.
MISSING: Final[Any] = object()

#: Of one call, so that a long list of wrong items is not answered with a longer one.
MAX_MISFITS: Final = 100

# Of one argument: pydantic tells all its errors or none, and that takes longer than finding them.
_MOST_ERRORS: Final = 1000

# Characters of a name or key that the caller gets back.
_SHOWN: Final = 100

_NO_SCHEMA = (PydanticUserError, PydanticUndefinedAnnotation, SchemaError, NameError, TypeError)


class UnusableAnnotation(Exception):
    """An annotation that nothing can be validated by; its text says why.

    ``has_no_schema``: it names a class that pydantic knows nothing of, so it was not meant for a payload.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error).partition("\n")[0].partition(". Set ")[0])
        self.has_no_schema = isinstance(error, PydanticSchemaGenerationError)


class Validator:
    """Validates and converts one argument, by its annotation.

    ``validate`` takes the value from the wire and gives that of the handler, or raises pydantic's
    ValidationError. Without annotation, or with ``Any``, values pass as they are.
    """

    __slots__ = ("_from_json", "validate")

    def __init__(self, annotation: Any) -> None:
        self.validate: Callable[[Any], Any] = _as_is
        self._from_json: Callable[[str], Any] = json.loads
        if annotation is not EMPTY and annotation is not Any:
            try:
                schema_validator = TypeAdapter(annotation).validator
                self.validate = schema_validator.validate_python
                self._from_json = schema_validator.validate_json
            except _NO_SCHEMA as error:
                raise UnusableAnnotation(error) from error

    def convert(self, value: Any) -> Any:
        """Do what ``validate`` does, also for types that read only JSON as a caller sends it.

        A strict UUID, datetime or tuple takes a str or list from JSON text and not from Python objects. Its
        errors are also worded for who sends JSON, so where both ways fail, those of JSON are raised.
        """
        try:
            return self.validate(value)
        except ValidationError as error:
            text = _json_text(value)
            if text is None:
                raise
            try:
                return self._from_json(text)
            except ValidationError as json_error:
                raise (error if _is_unreadable(json_error) else json_error) from None


@dataclass(frozen=True, slots=True)
class PayloadParameter:
    """A parameter that the call's payload fills; its value goes to ``slot`` of the frame."""

    name: str
    slot: int
    validator: Validator
    required: bool


@dataclass(frozen=True, slots=True)
class Rest:
    """``*args`` or ``**kwargs``: the tuple or dict of what no other parameter takes goes to ``slot``."""

    name: str
    slot: int
    validator: Validator


@dataclass(frozen=True, slots=True)
class _Named:
    """A parameter that a keyword argument may fill; ``index`` positional arguments come before it."""

    index: int
    slot: int
    validate: Callable[[Any], Any]
    parameter: PayloadParameter


class Payload:
    """The parameters of a handler and its dependencies that payloads fill, ready to fill them.

    ``positional_only``, then ``by_either``, take positional arguments in their order; ``by_either`` and
    ``keyword_only`` take keyword arguments. ``shared`` are parameters of dependencies, which read arguments
    by name, those of the handler's included. ``injected`` are names that no caller may send.
    """

    __slots__ = (
        "_by_name",
        "_enough",
        "_injected",
        "_parameters",
        "_plain",
        "_positional",
        "_positional_only",
        "_required",
        "_rest",
        "_rest_by_name",
        "_shared",
        "_steps",
    )

    def __init__(
        self,
        positional_only: Sequence[PayloadParameter] = (),
        by_either: Sequence[PayloadParameter] = (),
        keyword_only: Sequence[PayloadParameter] = (),
        *,
        shared: Sequence[PayloadParameter] = (),
        rest: Rest | None = None,
        rest_by_name: Rest | None = None,
        injected: Iterable[str] = (),
    ) -> None:
        self._positional = (*positional_only, *by_either)
        self._positional_only = frozenset(parameter.name for parameter in positional_only)
        self._parameters = (*self._positional, *keyword_only)
        self._rest = rest
        self._rest_by_name = rest_by_name
        self._shared = tuple(shared)
        self._injected = frozenset(injected)
        self._plain = not shared and rest is None and rest_by_name is None
        self._steps = tuple((parameter.slot, parameter.validator.validate) for parameter in self._positional)
        self._required = tuple(parameter.slot for parameter in self._parameters if parameter.required)
        #: With so many positional arguments no required parameter is left empty.
        self._enough = max(
            (index for index, parameter in enumerate(self._parameters, 1) if parameter.required), default=0
        )
        self._by_name = {
            parameter.name: _Named(index, parameter.slot, parameter.validator.validate, parameter)
            for index, parameter in enumerate(self._parameters)
            if parameter.name not in self._positional_only
        }

    def __len__(self) -> int:
        """How many positional arguments there can be."""
        return len(self._positional)

    @property
    def converters(self) -> tuple[Callable[[Any], Any], ...] | None:
        """What validates the positional arguments, in their order; None where all pass as they are."""
        validate = tuple(parameter.validator.validate for parameter in self._positional)
        return validate if any(each is not _as_is for each in validate) else None

    def fill(self, frame: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Validate a call's payload and put the values into their slots.

        A payload that does not fit raises InvalidArgument, ``wamp.error.invalid_argument``, whose
        ``errors`` tell all misfits.
        """
        count = len(args)
        if self._plain and count <= len(self._steps):
            try:
                for (slot, validate), value in zip(self._steps, args):  # noqa: B905 - `strict=` costs 10 %
                    frame[slot] = validate(value)
                if self._filled_by_name(frame, count, kwargs) if kwargs else count >= self._enough:
                    return
            except ValidationError:
                pass
        # Some argument does not fit, or takes more than this quick way: all of them are looked at again.
        self._fill_carefully(frame, args, kwargs)

    def _filled_by_name(self, frame: list[Any], count: int, kwargs: Mapping[str, Any]) -> bool:
        """Fill slots from keyword arguments that all fit, after ``count`` positional ones; False if not."""
        for name, value in kwargs.items():
            found = self._by_name.get(name)
            if found is None or found.index < count:
                return False
            frame[found.slot] = found.validate(value)
        if count < self._enough:
            for slot in self._required:
                if frame[slot] is MISSING:
                    return False
        return True

    def _fill_carefully(self, frame: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        found = chain(
            self._fill_positional(frame, args),
            self._fill_by_name(frame, args, kwargs),
            self._missing(args, kwargs),
            self._fill_shared(frame, args, kwargs),
        )
        misfits = list(islice(found, _MOST_ERRORS))
        if misfits:
            raise _invalid_argument(misfits)

    def _fill_positional(self, frame: list[Any], args: Sequence[Any]) -> Iterator[dict[str, Any]]:
        for parameter, value in zip(self._positional, args, strict=False):
            yield from _fill_slot(frame, parameter, value)
        extra = args[len(self._positional) :]
        if self._rest is not None:
            values: list[Any] = [None] * len(extra)
            rest = self._rest
            for index, value in enumerate(extra):
                yield from _convert_into(values, index, rest.validator, rest.name, value, (index,))
            frame[self._rest.slot] = tuple(values)
        elif extra:
            expected = len(self._positional)
            reason = (
                f"takes {expected or 'no'} positional argument{'' if expected == 1 else 's'}, got {len(args)}"
            )
            yield _misfit(None, reason, "unexpected_positional_argument")

    def _fill_by_name(
        self, frame: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        count = min(len(args), len(self._positional))
        shared = {parameter.name for parameter in self._shared}
        rest: dict[str, Any] = {}
        for name, value in kwargs.items():
            found = self._by_name.get(name)
            if found is not None and found.index < count:
                reason = "given both as a positional and as a keyword argument"
                yield _misfit(name, reason, "multiple_argument_values")
            elif found is not None:
                yield from _fill_slot(frame, found.parameter, value)
            elif name in shared:
                continue
            elif self._rest_by_name is not None and name not in self._injected:
                yield from _convert_into(rest, name, self._rest_by_name.validator, name, value)
            elif name in self._positional_only:
                reason = "takes a positional argument only"
                yield _misfit(name, reason, "unexpected_keyword_argument")
            else:
                yield _misfit(name, "unexpected keyword argument", "unexpected_keyword_argument")
        if self._rest_by_name is not None:
            frame[self._rest_by_name.slot] = rest

    def _missing(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        count = min(len(args), len(self._positional))
        for index, parameter in enumerate(self._parameters):
            given = index < count or (parameter.name in kwargs and parameter.name in self._by_name)
            if parameter.required and not given:
                yield _misfit(parameter.name, "missing argument", "missing_argument")

    def _fill_shared(
        self, frame: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        given = {
            parameter.name: value
            for parameter, value in zip(self._positional, args, strict=False)
            if parameter.name not in self._positional_only
        }
        given.update(kwargs)
        for parameter in self._shared:
            if parameter.name in given:
                yield from _fill_slot(frame, parameter, given[parameter.name])
            elif parameter.required:
                yield _misfit(parameter.name, "missing keyword argument", "missing_keyword_only_argument")


def _as_is(value: Any) -> Any:
    return value


def _json_text(value: Any) -> str | None:
    """Give the JSON of a value that JSON carries whole, None for any other."""
    try:
        return json.dumps(value)
    except (RecursionError, TypeError, ValueError):
        return None


def _is_unreadable(error: ValidationError) -> bool:
    return error.error_count() == 1 and error.errors(include_input=False)[0]["type"] == "json_invalid"


def _fill_slot(frame: list[Any], parameter: PayloadParameter, value: Any) -> Iterator[dict[str, Any]]:
    return _convert_into(frame, parameter.slot, parameter.validator, parameter.name, value)


def _convert_into(
    target: Any, key: Any, validator: Validator, argument: str, value: Any, path: tuple[int | str, ...] = ()
) -> Iterator[dict[str, Any]]:
    """Put the converted value at ``target[key]``, or tell its misfits."""
    try:
        target[key] = validator.convert(value)
    except ValidationError as error:
        if error.error_count() > _MOST_ERRORS:
            yield _misfit(argument, f"{error.error_count()} values do not fit", "too_many_errors", path)
            return
        for detail in error.errors(include_url=False, include_context=False, include_input=False):
            yield _misfit(argument, detail["msg"], detail["type"], [*path, *_input_path(detail, value)])


def _misfit(name: Any, reason: str, kind: str, path: Sequence[int | str] = ()) -> dict[str, Any]:
    argument = None if name is None else _shortened(str(name))
    # Some reasons repeat what was sent.
    reason = _shortened(reason, most=5 * _SHOWN)
    where = [_shortened(key) if isinstance(key, str) else key for key in path]
    return {"argument": argument, "path": where, "reason": reason, "type": kind}


def _shortened(text: str, most: int = _SHOWN) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _input_path(detail: ErrorDetails, value: Any) -> Iterator[int | str]:
    """The path of an error through the value that was sent.

    Pydantic's own path also names branches of unions and validator functions, which are the handler's.
    """
    location = detail["loc"]
    for depth, key in enumerate(location, 1):
        is_key = isinstance(value, Mapping) and key in value
        is_index = isinstance(value, Sequence) and isinstance(key, int) and key < len(value)
        if is_key or is_index:
            value = value[key]
            yield key
        elif depth == len(location) and detail["type"] == "missing":
            yield key


def _invalid_argument(misfits: Sequence[dict[str, Any]]) -> InvalidArgument:
    # A dependency and the handler may have read the same argument.
    different = list({json.dumps(misfit): misfit for misfit in misfits}.values())
    shown = [_sentence(misfit) for misfit in different[:3]]
    if len(different) > len(shown):
        shown.append(f"and {len(different) - len(shown)} more")
    return InvalidArgument("; ".join(shown), errors=different[:MAX_MISFITS])


def _sentence(misfit: Mapping[str, Any]) -> str:
    if misfit["argument"] is None:
        return str(misfit["reason"])
    place = "".join(f"[{key!r}]" for key in misfit["path"])
    return f"argument {misfit['argument']!r}{place}: {misfit['reason']}"
