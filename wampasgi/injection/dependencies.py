"""Dependencies and default args, wired to the parameters of functions at registration."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from types import (
    AsyncGeneratorType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    MappingProxyType,
    MethodType,
)
from typing import Any, Final

from pydantic import ValidationError

from wampasgi.errors import ConfigurationError
from wampasgi.injection.annotations import classes_of, generic_classes_of
from wampasgi.injection.arguments import MISSING, PayloadParameter
from wampasgi.injection.callables import EMPTY, Parameter, UserFunction, describe, require_function
from wampasgi.injection.fields import ParameterField, is_hashable, read_field
from wampasgi.injection.markers import (
    Dependency,
    Depends,
    advice_for,
    dependency_of,
    foreign_class,
    refuse_foreign_class,
    refuse_foreign_markers,
)
from wampasgi.injection.steps import Step, Wires, make_wires
from wampasgi.injection.validation import LazyAnnotation, UnusableAnnotation, Validator

__all__ = ["ClassArgument", "DefaultArg", "Dependency", "Depends", "Wiring"]

# Types without a schema in pydantic. A list can replace them.
_ITERABLES: Final = frozenset(
    {abc.AsyncGenerator, abc.AsyncIterable, abc.AsyncIterator, abc.Collection, abc.Iterator, abc.Reversible}
)

#: No replacements of dependencies.
NO_OVERRIDES: Final[Mapping[Callable[..., Any], Callable[..., Any]]] = MappingProxyType({})


class DefaultArg:
    """A realm's value for parameters of a certain name: the same for all calls, or made by ``factory``.

    A factory runs once for each run of a handler. A sync factory runs in the event loop's thread, an async
    one is awaited, and a generator is closed when the call ends, as dependencies are.
    """

    __slots__ = ("factory", "value")

    def __init__(self, value: Any = None, factory: Callable[..., Any] | None = None) -> None:
        if factory is not None and value is not None:
            raise ConfigurationError("a default arg takes a value or a factory, not both: leave one out")
        if factory is not None:
            require_function("the factory of a default arg", factory)
        # A coroutine can be awaited, and a generator iterated over, by only one call.
        if isinstance(value, CoroutineType | GeneratorType | AsyncGeneratorType):
            require_function("a default arg", value, "pass the function itself, as factory=")
        self.value = value
        self.factory = factory


@dataclass(frozen=True, slots=True)
class ClassArgument:
    """The argument for all parameters that are annotated with a certain class.

    ``function`` makes it. It must be sync and not block, because it runs in the event loop's thread.
    """

    function: Callable[..., Any]
    only_in_dependencies: bool = False


#: No arguments that are determined by a class.
NO_CLASSES: Final[Mapping[type, ClassArgument]] = MappingProxyType({})


class Wiring:
    """Assigns a source of values to each parameter of a handler and of its dependencies.

    The values of a call are stored in a frame, a list in which each parameter has a slot. ``template`` is the
    initial frame of a call. ``overrides`` are the replacements of dependencies, and ``by_class`` the
    arguments that a parameter's class determines. ``provided`` has the slots that the framework fills, by
    name, and ``shared`` the parameters of dependencies that the payload fills. ``steps`` fill the other
    slots, in order.
    """

    def __init__(
        self,
        provided: Mapping[str, type | None],
        default_args: Mapping[str, DefaultArg],
        *,
        takes_payload: bool,
        whole_payload_in: Collection[str] = (),
        overrides: Mapping[Callable[..., Any], Callable[..., Any]] = NO_OVERRIDES,
        by_class: Mapping[type, ClassArgument] = NO_CLASSES,
    ) -> None:
        self.template: list[Any] = []
        self.provided: list[tuple[int, str]] = []
        self.shared: list[PayloadParameter] = []
        self.steps: list[Step] = []
        #: The names of the framework's arguments that hold the whole payload.
        self.whole_payload_in = whole_payload_in
        self._provided_types = provided
        self._default_args = default_args
        self._takes_payload = takes_payload
        self._overrides = overrides
        self._by_class = by_class
        self._cached_slots: dict[Hashable, int] = {}
        self._in_progress: dict[Hashable, str] = {}

    def slot(self, value: Any = MISSING) -> int:
        """Add a slot, which holds ``value`` unless a call fills it, and return its index."""
        self.template.append(value)
        return len(self.template) - 1

    def inject(
        self, function: UserFunction, parameter: Parameter, *, of_dependency: bool = False
    ) -> int | None:
        """Return the slot of a parameter that is injected, or None if the payload may fill it.

        The sources are, in this order: the framework's arguments, by name or class; a dependency; a default
        arg. The last two precede an argument of ``by_class``. Raises ConfigurationError for a class of
        another framework, which a payload must not fill.
        """
        slot = self._class_argument(parameter, of_dependency=of_dependency)
        if slot is not None:
            return slot
        name = self._provided_name(function, parameter)
        if name is not None:
            has_default = parameter.default is not EMPTY and not isinstance(parameter.default, Dependency)
            slot = self.slot(parameter.default if has_default else MISSING)
            self.provided.append((slot, name))
            return slot
        marker = dependency_of(parameter)
        default_arg = self._default_args.get(parameter.name)
        if parameter.problem is not None and marker is None and default_arg is None:
            raise function.cannot_fill(parameter, parameter.problem)
        if marker is not None:
            return self._depend(function, parameter, marker)
        if default_arg is not None:
            return self._default(parameter.name, default_arg)
        refuse_foreign_class(function, parameter)
        return None

    def payload_parameter(
        self, function: UserFunction, parameter: Parameter, field: ParameterField, slot: int
    ) -> PayloadParameter | None:
        """Return the parameter as a part of the payload, or None if only its default can fill it."""
        validator = self.validator(function, parameter, required=field.is_required)
        if validator is None:
            return None
        name, *more_names = field.names
        return PayloadParameter(
            name,
            slot,
            validator,
            field.is_required,
            tuple(more_names),
            field.make_default,
            parameter.annotation,
            field.default,
        )

    def validator(
        self, function: UserFunction, parameter: Parameter, *, required: bool = True
    ) -> Validator | None:
        """Return the validator of a parameter, or None if it has no schema and is not required."""
        try:
            validator = Validator(parameter.annotation)
            self._refuse_function(function, parameter, validator)
            return validator
        except LazyAnnotation as error:
            raise ConfigurationError(
                f"{function.description}: the annotation of the parameter {parameter.name!r} has an Iterable"
                " or Generator, which pydantic validates only when the handler reads it: write list[...] or"
                " Sequence[...], so that the caller gets the error"
            ) from error
        except UnusableAnnotation as error:
            if error.has_no_schema and not required:
                return None
            reason = f"its annotation cannot validate a payload ({error})"
            if not _ITERABLES.isdisjoint(generic_classes_of(parameter.annotation)):
                reason += ": write list[...] or Sequence[...] instead"
            raise function.cannot_fill(parameter, reason) from error

    @staticmethod
    def _refuse_function(function: UserFunction, parameter: Parameter, validator: Validator) -> None:
        """Raise ConfigurationError if the default is a function that does not fit the annotation."""
        default = parameter.default
        if isinstance(default, FunctionType | MethodType):
            try:
                validator.validate(default)
            except ValidationError as error:
                raise ConfigurationError(
                    f"{function.description}: the parameter {parameter.name!r} has the function"
                    f" {describe(default)} as its default, which nothing calls: write"
                    f" Depends({default.__name__})"
                ) from error

    def _class_argument(self, parameter: Parameter, *, of_dependency: bool) -> int | None:
        """Return the slot of an argument that only the class of the parameter determines."""
        classes = classes_of(parameter.annotation) if self._by_class else []
        argument = self._by_class.get(classes[0]) if len(classes) == 1 else None
        if argument is None or (argument.only_in_dependencies and not of_dependency):
            return None
        if parameter.name in self._default_args or dependency_of(parameter) is not None:
            return None
        key = ("class", argument.function)
        if key not in self._cached_slots:
            maker = UserFunction.read(argument.function)
            self._cached_slots[key] = self._read_step(key, maker, in_thread=False, payload=False)
        return self._cached_slots[key]

    def _provided_name(self, function: UserFunction, parameter: Parameter) -> str | None:
        classes = classes_of(parameter.annotation)
        if parameter.name not in self._provided_types:
            matching = (name for name, kind in self._provided_types.items() if kind and classes == [kind])
            return next(matching, None)
        own = self._provided_types[parameter.name]
        if own is not None and len(classes) == 1 and not _is_compatible(classes[0], own):
            foreign = foreign_class(classes[0])
            advice = f"; {advice_for(foreign)}" if foreign is not None else ""
            raise ConfigurationError(
                f"{function.description}: the name {parameter.name!r} is reserved for the framework's"
                f" {own.__name__}, but the parameter is annotated {classes[0].__name__}: rename the parameter"
                f"{advice}"
            )
        return parameter.name

    def _depend(self, function: UserFunction, parameter: Parameter, marker: Dependency) -> int:
        dependency = marker.dependency
        if dependency is None:
            classes = classes_of(parameter.annotation)
            if len(classes) != 1:
                raise function.cannot_fill(parameter, "Depends() needs a dependency or an annotated class")
            dependency = classes[0]
        where = f"{function.description}: Depends of the parameter {parameter.name!r}"
        return self._evaluate(where, dependency, use_cache=marker.use_cache)

    def evaluate_first(self, function: UserFunction, marker: Dependency) -> None:
        """Evaluate a dependency of ``function`` whose value no parameter gets.

        Call this before the parameters are read, because dependencies run in the order of their steps.
        """
        assert marker.dependency is not None  # checked_dependencies has refused it
        where = f"{function.description}: Depends of its dependencies"
        self._evaluate(where, marker.dependency, use_cache=marker.use_cache)

    def _evaluate(self, where: str, dependency: Callable[..., Any], *, use_cache: bool) -> int:
        """Return the slot of a dependency, and add its step unless it is cached."""
        require_function(where, dependency)
        dependency = self._replaced(dependency)
        key: Hashable = dependency if is_hashable(dependency) else id(dependency)
        if use_cache and key in self._cached_slots:
            return self._cached_slots[key]
        read = UserFunction.read(dependency)
        slot = self._read_step(key, read, in_thread=True, payload=self._takes_payload)
        if use_cache:
            self._cached_slots[key] = slot
        return slot

    def _replaced(self, dependency: Callable[..., Any]) -> Callable[..., Any]:
        """Return the override of a dependency, or the dependency itself if it has none."""
        if not self._overrides or not is_hashable(dependency) or dependency not in self._overrides:
            return dependency
        replacement = self._overrides[dependency]
        require_function(f"the override of the dependency {describe(dependency)}", replacement)
        return replacement

    def _default(self, name: str, default_arg: DefaultArg) -> int:
        if default_arg.factory is None:
            return self.slot(default_arg.value)
        key = ("default arg", name)
        if key not in self._cached_slots:
            factory = UserFunction.read(default_arg.factory)
            self._cached_slots[key] = self._read_step(key, factory, in_thread=False, payload=False)
        return self._cached_slots[key]

    def _read_step(self, key: Hashable, function: UserFunction, *, in_thread: bool, payload: bool) -> int:
        if key in self._in_progress:
            names = [*self._in_progress.values(), function.description]
            chain = " -> ".join(names[list(self._in_progress).index(key) :])
            raise ConfigurationError(f"circular dependency: {chain}: remove one of these references")
        self._in_progress[key] = function.description
        wires = self._wire(function, payload=payload)
        del self._in_progress[key]
        slot = self.slot()
        self.steps.append(Step(function, wires, slot, in_thread=in_thread))
        return slot

    def _wire(self, function: UserFunction, *, payload: bool) -> Wires:
        refuse_foreign_markers(function)
        slots: list[tuple[Parameter, int]] = []
        for parameter in function.parameters:
            if parameter.is_variadic:
                continue
            slot = self.inject(function, parameter, of_dependency=True)
            if slot is None:
                slot = self._share(function, parameter, payload=payload)
            slots.append((parameter, slot))
        return make_wires(slots, by_keyword=True)

    def _share(self, function: UserFunction, parameter: Parameter, *, payload: bool) -> int:
        """Return the slot of a parameter that the payload, if there is one, or a default fills."""
        field = read_field(function, parameter)
        slot = self._optional_slot(parameter, field)
        sent = self.payload_parameter(function, parameter, field, slot) if payload else None
        if sent is not None:
            self.shared.append(sent)
        else:
            self.fill_with_default(function, parameter, field, slot)
        return slot

    def fill_with_default(
        self, function: UserFunction, parameter: Parameter, field: ParameterField, slot: int
    ) -> None:
        """Let only the default fill a slot. Raises ConfigurationError if there is no default."""
        if field.is_required:
            raise function.cannot_fill(parameter, "the framework has no argument of this name here")
        if field.make_default is not None:
            factory = UserFunction(field.make_default, "sync", (), function.name, function.description, False)
            self.steps.append(Step(factory, Wires((), ()), slot, in_thread=False))

    def _optional_slot(self, parameter: Parameter, field: ParameterField) -> int:
        """Add a slot that may stay empty, so that the function's own default, or default factory, applies."""
        own_default = parameter.default is not EMPTY and not parameter.is_positional_only
        return self.slot(MISSING if own_default or field.default is EMPTY else field.default)


def _is_compatible(annotated: type, own: type) -> bool:
    """Return True if an object of the framework's class can be an instance of the annotated class."""
    if getattr(annotated, "_is_protocol", False):
        return True
    return issubclass(annotated, own) or issubclass(own, annotated)
