"""Pydantic's ``Field`` in the annotation of a parameter: its alias, default and default factory."""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from pydantic import AliasChoices, AliasPath
from pydantic.fields import FieldInfo

from wampasgi.errors import ConfigurationError
from wampasgi.injection.annotations import alias_value
from wampasgi.injection.callables import EMPTY, Parameter, UserFunction


@dataclass(frozen=True, slots=True)
class ParameterField:
    """The names of a parameter in the payload, and its default.

    Callers send it by one of ``names``; errors show the first one. ``make_default`` returns a default that
    each call needs anew. ``default`` is any other default, or ``EMPTY``.
    """

    names: tuple[str, ...]
    default: Any
    make_default: Callable[[], Any] | None = None

    @property
    def is_required(self) -> bool:
        """Return whether the parameter has no default."""
        return self.default is EMPTY and self.make_default is None


def read_field(function: UserFunction, parameter: Parameter) -> ParameterField:
    """Return the names and the default of a parameter, from its ``Field`` and its own default.

    As in pydantic's ``validate_call``, an alias replaces the name, and the parameter's own default precedes
    the one of ``Field``. Raises ConfigurationError for a ``Field`` outside of ``Annotated``, for an alias
    that is a path into an argument, and for a default factory that takes the other arguments.
    """
    if isinstance(parameter.default, FieldInfo):
        raise ConfigurationError(
            f"{function.description}: the parameter {parameter.name!r} has a Field as its default: put it"
            " into the annotation, Annotated[..., Field(...)]"
        )
    field = _field_of(parameter.annotation)
    if field is None:
        return ParameterField((parameter.name,), parameter.default)
    where = f"{function.description}: the Field of the parameter {parameter.name!r}"
    names = _names(where, parameter, field)
    if parameter.default is not EMPTY or field.is_required():
        return ParameterField(names, parameter.default)
    if field.default_factory is None and is_hashable(field.default):
        return ParameterField(names, field.default)
    if getattr(field, "default_factory_takes_validated_data", False):
        raise ConfigurationError(
            f"{where} has a default_factory that takes the other arguments: write one without parameters, or"
            " use Depends"
        )
    return ParameterField(names, EMPTY, partial(field.get_default, call_default_factory=True))


def _field_of(annotation: Any) -> FieldInfo | None:
    annotation = alias_value(annotation)
    if typing.get_origin(annotation) is Annotated and any(
        isinstance(extra, FieldInfo) for extra in annotation.__metadata__
    ):
        return FieldInfo.from_annotation(annotation)
    return None


def _names(where: str, parameter: Parameter, field: FieldInfo) -> tuple[str, ...]:
    alias = field.validation_alias
    if alias is None or parameter.is_positional_only:
        return (parameter.name,)
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    names: list[str] = []
    for choice in choices:
        path = choice.path if isinstance(choice, AliasPath) else [choice]
        if len(path) != 1 or not isinstance(path[0], str):
            raise ConfigurationError(
                f"{where} has the alias {choice!r}, which is a part of an argument: use the name of an"
                " argument, and annotate the parameter with a model for its parts"
            )
        names.append(path[0])
    return tuple(names)


def is_hashable(value: object) -> bool:
    """Return whether a value can be a key, so that nothing can change it."""
    try:
        hash(value)
    except TypeError:
        return False
    return True
