"""Validation and conversion of a call's payload into the arguments of a handler."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from wampasgi.errors import InvalidArgument
from wampasgi.injection.callables import EMPTY
from wampasgi.injection.validation import Validator, pass_unchanged

#: Marks a slot of a frame that has no value yet.
MISSING: Final[Any] = object()

#: The largest number of argument errors reported for one call. Without a limit, the answer to a long list of
#: invalid items would be longer than the list.
MAX_REPORTED_ERRORS: Final = 100

# An error is collected twice if a dependency and the handler read the same argument.
_MAX_COLLECTED_ERRORS: Final = 2 * MAX_REPORTED_ERRORS + 1

# If one argument has more errors, only their number is reported: pydantic formats all errors or none, which
# takes longer than finding them.
_MAX_ERRORS_PER_ARGUMENT: Final = 1000

# Longest part, in characters, of a name or key that is sent back to the caller.
_MAX_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class PayloadParameter:
    """A parameter that is filled from the call's payload; ``slot`` is its index in the frame.

    ``name`` is its name in the payload, and ``more_names`` are alternatives. If no argument fills it,
    ``make_default`` or ``default`` does. ``annotation`` is its type, for descriptions.
    """

    name: str
    slot: int
    validator: Validator
    required: bool
    more_names: tuple[str, ...] = ()
    make_default: Callable[[], Any] | None = None
    annotation: Any = EMPTY
    default: Any = EMPTY

    @property
    def names(self) -> tuple[str, ...]:
        """Return all names in the payload."""
        return (self.name, *self.more_names)


@dataclass(frozen=True, slots=True)
class Rest:
    """``*args`` or ``**kwargs``: ``slot`` gets the remaining arguments as a tuple or dict.

    ``annotation`` is the type of each of them, for descriptions.
    """

    name: str
    slot: int
    validator: Validator
    annotation: Any = EMPTY

    def convert(self, values: Collection[Any]) -> tuple[Any, ...]:
        """Return the converted values; raises ValidationError, also if a value is valid only in JSON."""
        validate = self.validator.validate
        # Without a visit to each value if there is nothing to validate.
        return tuple(values if validate is pass_unchanged else map(validate, values))


@dataclass(frozen=True, slots=True)
class _KeywordParameter:
    """A parameter that accepts a keyword argument; ``index`` is its position among the parameters."""

    index: int
    slot: int
    validate: Callable[[Any], Any]
    parameter: PayloadParameter


class Payload:
    """Fills the parameters of a handler and of its dependencies from payloads.

    Positional arguments go to ``positional_only`` and then to ``by_either``, in order; keyword arguments go
    to ``by_either`` and ``keyword_only``. ``shared`` are parameters of dependencies, which read arguments by
    name, including those of the handler. Callers must not send the names in ``injected``. With
    ``accepts_more``, arguments that fill no parameter are ignored instead of refused.
    """

    __slots__ = (
        "_by_name",
        "_enough",
        "_injected",
        "_made_defaults",
        "_parameters",
        "_plain",
        "_positional",
        "_positional_only",
        "_required",
        "_steps",
        "accepts_more",
        "by_either",
        "keyword_only",
        "positional_only",
        "rest",
        "rest_by_name",
        "shared",
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
        accepts_more: bool = False,
    ) -> None:
        self.accepts_more = accepts_more
        self.positional_only = tuple(positional_only)
        self.by_either = tuple(by_either)
        self.keyword_only = tuple(keyword_only)
        self._positional = (*positional_only, *by_either)
        self._positional_only = frozenset(parameter.name for parameter in positional_only)
        self._parameters = (*self._positional, *keyword_only)
        self.rest = rest
        self.rest_by_name = rest_by_name
        self.shared = tuple(shared)
        self._injected = frozenset(injected)
        self._made_defaults = tuple(
            (parameter.slot, parameter.make_default)
            for parameter in (*self._parameters, *self.shared)
            if parameter.make_default is not None
        )
        self._plain = not (shared or rest or rest_by_name or self._made_defaults) and not any(
            parameter.more_names for parameter in self._parameters
        )
        self._steps = tuple((parameter.slot, parameter.validator.validate) for parameter in self._positional)
        self._required = tuple(parameter.slot for parameter in self._parameters if parameter.required)
        # The number of positional arguments that fill all required parameters.
        self._enough = max(
            (index for index, parameter in enumerate(self._parameters, 1) if parameter.required), default=0
        )
        self._by_name = {
            name: _KeywordParameter(index, parameter.slot, parameter.validator.validate, parameter)
            for index, parameter in enumerate(self._parameters)
            if index >= len(positional_only)
            for name in parameter.names
        }

    def __len__(self) -> int:
        """Return the greatest number of positional arguments, without ``*args``."""
        return len(self._positional)

    @property
    def converters(self) -> tuple[Callable[[Any], Any], ...] | None:
        """The validators of the positional arguments, in order; None if all are passed unchanged."""
        validate = tuple(parameter.validator.validate for parameter in self._positional)
        return validate if any(each is not pass_unchanged for each in validate) else None

    def fill(self, frame: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Validate a call's payload and put the values into their slots.

        Raises InvalidArgument, ``wamp.error.invalid_argument``, if the payload is invalid; its ``errors``
        list the first 100 errors.
        """
        count = len(args)
        if self._plain and count <= len(self._steps):
            try:
                for (slot, validate), value in zip(self._steps, args):  # noqa: B905 - `strict=` costs 10 %
                    frame[slot] = validate(value)
                if self._try_by_name(frame, count, kwargs) if kwargs else count >= self._enough:
                    return
            except ValidationError:
                pass
        # An argument is invalid or needs more than the fast path: validate again and collect all errors.
        self._fill_or_report(frame, args, kwargs)

    def _try_by_name(self, frame: list[Any], count: int, kwargs: Mapping[str, Any]) -> bool:
        """Fill slots from keyword arguments, after ``count`` positional ones; return False if that fails."""
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

    def _fill_or_report(self, frame: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        found = chain(
            self._fill_positional(frame, args),
            self._fill_by_name(frame, args, kwargs),
            self._missing_arguments(args, kwargs),
            self._fill_shared(frame, args, kwargs),
        )
        errors = list(islice(found, _MAX_COLLECTED_ERRORS))
        if errors:
            raise _invalid_argument(errors)
        for slot, make_default in self._made_defaults:
            if frame[slot] is MISSING:
                frame[slot] = make_default()

    def _fill_positional(self, frame: list[Any], args: Sequence[Any]) -> Iterator[dict[str, Any]]:
        for parameter, value in zip(self._positional, args, strict=False):
            yield from _fill_slot(frame, parameter, value)
        extra = args[len(self._positional) :]
        if self.rest is not None:
            yield from self._fill_rest(frame, self.rest, extra)
        elif extra and not self.accepts_more:
            expected = len(self._positional)
            reason = (
                f"takes {expected or 'no'} positional argument{'' if expected == 1 else 's'}, got {len(args)}"
            )
            yield _argument_error(None, reason, "unexpected_positional_argument")

    def _fill_rest(self, frame: list[Any], rest: Rest, extra: Sequence[Any]) -> Iterator[dict[str, Any]]:
        try:
            frame[rest.slot] = rest.convert(extra)
        except ValidationError:
            values: list[Any] = [None] * len(extra)
            for index, value in enumerate(extra):
                yield from _convert_into(values, index, rest.validator, rest.name, value, (index,))
            frame[rest.slot] = tuple(values)

    def _fill_by_name(
        self, frame: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        count = min(len(args), len(self._positional))
        shared = {name for parameter in self.shared for name in parameter.names}
        rest: dict[str, Any] = {}
        filled: set[int] = set()
        for name, value in kwargs.items():
            found = self._by_name.get(name)
            if found is not None and found.index < count:
                reason = "given both as a positional and as a keyword argument"
                yield _argument_error(name, reason, "multiple_argument_values")
            elif found is not None and found.index in filled:
                reason = f"given under more than one of its names, {', '.join(found.parameter.names)}"
                yield _argument_error(name, reason, "multiple_argument_values")
            elif found is not None:
                filled.add(found.index)
                yield from _fill_slot(frame, found.parameter, value)
            elif name in shared or self.accepts_more:
                continue
            elif self.rest_by_name is not None and name not in self._injected:
                rest[name] = value
            elif name in self._positional_only:
                reason = "takes a positional argument only"
                yield _argument_error(name, reason, "unexpected_keyword_argument")
            else:
                yield _argument_error(name, "unexpected keyword argument", "unexpected_keyword_argument")
        if self.rest_by_name is not None:
            yield from self._fill_rest_by_name(frame, self.rest_by_name, rest)

    def _fill_rest_by_name(
        self, frame: list[Any], rest: Rest, named: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        try:
            frame[rest.slot] = dict(zip(named, rest.convert(named.values()), strict=True))
        except ValidationError:
            values: dict[str, Any] = {}
            frame[rest.slot] = values
            for name, value in named.items():
                yield from _convert_into(values, name, rest.validator, name, value)

    def _missing_arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        count = min(len(args), len(self._positional))
        for index, parameter in enumerate(self._parameters):
            given = index < count or any(name in kwargs and name in self._by_name for name in parameter.names)
            if parameter.required and not given:
                yield _argument_error(parameter.name, "missing argument", "missing_argument")

    def _fill_shared(
        self, frame: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        given = {
            name: value
            for parameter, value in zip(self._positional, args, strict=False)
            if parameter.name not in self._positional_only
            for name in parameter.names
        }
        given.update(kwargs)
        for parameter in self.shared:
            name = next((name for name in parameter.names if name in given), None)
            if name is not None:
                yield from _fill_slot(frame, parameter, given[name])
            elif parameter.required:
                yield _argument_error(
                    parameter.name, "missing keyword argument", "missing_keyword_only_argument"
                )


def _fill_slot(frame: list[Any], parameter: PayloadParameter, value: Any) -> Iterator[dict[str, Any]]:
    return _convert_into(frame, parameter.slot, parameter.validator, parameter.name, value)


def _convert_into(
    target: Any, key: Any, validator: Validator, argument: str, value: Any, path: tuple[int | str, ...] = ()
) -> Iterator[dict[str, Any]]:
    """Put the converted value at ``target[key]``, or yield the errors."""
    try:
        target[key] = validator.convert(value)
    except ValidationError as error:
        if error.error_count() > _MAX_ERRORS_PER_ARGUMENT:
            yield _argument_error(
                argument, f"{error.error_count()} values are invalid", "too_many_errors", path
            )
            return
        details = error.errors(include_url=False, include_context=False, include_input=False)
        for detail in islice(details, _MAX_COLLECTED_ERRORS):
            yield _argument_error(
                argument, detail["msg"], detail["type"], [*path, *_input_path(detail, value)]
            )


def _argument_error(name: Any, reason: str, kind: str, path: Sequence[int | str] = ()) -> dict[str, Any]:
    argument = None if name is None else _truncate(str(name))
    # A reason may quote the value that was sent.
    reason = _truncate(reason, 5 * _MAX_SHOWN)
    keys = [_truncate(key) if isinstance(key, str) else key for key in path]
    return {"argument": argument, "path": keys, "reason": reason, "type": kind}


def _truncate(text: str, limit: int = _MAX_SHOWN) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."


def _input_path(detail: ErrorDetails, value: Any) -> Iterator[int | str]:
    """Yield the path of an error through the value that was sent.

    Pydantic's own path also has union branches and validator functions, which are details of the handler.
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


def _invalid_argument(errors: Sequence[dict[str, Any]]) -> InvalidArgument:
    # Errors are repeated if a dependency and the handler read the same argument.
    distinct = list({json.dumps(error): error for error in errors}.values())
    shown = [_describe(error) for error in distinct[:3]]
    if len(distinct) > len(shown):
        about = "at least " if len(distinct) > MAX_REPORTED_ERRORS else ""
        shown.append(f"and {about}{len(distinct) - len(shown)} more")
    return InvalidArgument("; ".join(shown), errors=distinct[:MAX_REPORTED_ERRORS])


def _describe(error: Mapping[str, Any]) -> str:
    if error["argument"] is None:
        return str(error["reason"])
    place = "".join(f"[{key!r}]" for key in error["path"])
    return f"argument {error['argument']!r}{place}: {error['reason']}"
