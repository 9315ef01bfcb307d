"""Conversion of results and events to the types that callers ask for, with pydantic.

pydantic is imported when the first type is used, because it takes longer to import than the client.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final, TypeAlias, get_origin

from wampasgi.client.errors import InvalidResult
from wampasgi.injection.results import RPCResult, unwrap

#: Converts a payload to the value that the caller gets. Its text argument names the payload in errors.
Converter: TypeAlias = Callable[[Sequence[Any], Mapping[str, Any], str], Any]

_MAX_CACHED: Final = 1000
_converters: dict[Hashable, Converter] = {}


def converter_for(annotation: Any, parameter: str) -> Converter:
    """Return the converter for a type. Raises TypeError, which names ``parameter``, for an unusable type."""
    key = (annotation, parameter)
    try:
        found = _converters.get(key)
    except TypeError:  # a type with metadata that is not hashable
        return _make(annotation, parameter)
    if found is None:
        found = _make(annotation, parameter)
        if len(_converters) >= _MAX_CACHED:
            _converters.clear()
        _converters[key] = found
    return found


def _make(annotation: Any, parameter: str) -> Converter:
    if annotation is Any:
        return lambda args, kwargs, _: unwrap(args, kwargs)
    if annotation is RPCResult:
        return lambda args, kwargs, _: RPCResult(tuple(args), kwargs)
    from pydantic import ValidationError

    from wampasgi.injection.validation import LazyAnnotation, UnusableAnnotation, Validator

    try:
        convert = Validator(annotation).convert
    except (UnusableAnnotation, LazyAnnotation) as error:
        raise TypeError(
            f"{parameter}={annotation!r} is no type that pydantic can validate: {error}"
        ) from error
    takes_tuple = get_origin(annotation) is tuple or annotation is tuple

    def converted(args: Sequence[Any], kwargs: Mapping[str, Any], what: str) -> Any:
        value = _value(args, kwargs, is_tuple=takes_tuple)
        try:
            return convert(value)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or 'the value'}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_context=False)[:3]
            )
            raise InvalidResult(
                f"{what} does not fit {parameter}={_name(annotation)}: {problems}", unwrap(args, kwargs)
            ) from error

    return converted


def _value(args: Sequence[Any], kwargs: Mapping[str, Any], *, is_tuple: bool) -> Any:
    if kwargs and not args:
        return dict(kwargs)
    if is_tuple and not kwargs and (len(args) != 1 or not isinstance(args[0], list)):
        return tuple(args)
    return unwrap(args, kwargs)


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
