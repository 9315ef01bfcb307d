"""Dependencies and default args: wired to parameters at registration, and evaluated once per call."""

from __future__ import annotations

import inspect
from asyncio import CancelledError
from collections import abc
from collections.abc import Callable, Collection, Coroutine, Hashable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType, MethodType, TracebackType
from typing import Any, Final

from anyio import CancelScope, CapacityLimiter
from pydantic import ValidationError

from wampasgi.errors import ConfigurationError
from wampasgi.injection.annotations import classes_of, generic_classes_of
from wampasgi.injection.arguments import MISSING, PayloadParameter
from wampasgi.injection.callables import EMPTY, Parameter, UserFunction, describe, require_function
from wampasgi.injection.cancellation import shielded
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
from wampasgi.injection.validation import LazyAnnotation, UnusableAnnotation, Validator
from wampasgi.injection.worker_threads import call_in_thread, run_in_thread, run_sync

__all__ = ["DefaultArg", "Dependency", "Depends", "Step", "Wires", "Wiring", "close"]

# Types without a schema in pydantic. A list can replace them.
_ITERABLES: Final = frozenset(
    {abc.AsyncGenerator, abc.AsyncIterable, abc.AsyncIterator, abc.Collection, abc.Iterator, abc.Reversible}
)


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
class Wires:
    """The slots of a frame that hold the arguments of a function."""

    positional: tuple[int, ...]
    by_name: tuple[tuple[str, int], ...]

    def arguments(self, frame: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return a function's arguments from the frame of a call; empty slots are left out."""
        if not self.by_name:
            return [frame[slot] for slot in self.positional], {}
        by_name = {name: frame[slot] for name, slot in self.by_name if frame[slot] is not MISSING}
        return [frame[slot] for slot in self.positional], by_name


class Step:
    """One dependency or factory to evaluate; its value goes into ``slot`` of the frame."""

    __slots__ = ("_call", "_function", "_wires", "closes", "is_coroutine", "is_inline", "slot")

    def __init__(self, function: UserFunction, wires: Wires, slot: int, *, in_thread: bool) -> None:
        self._function = function
        self._wires = wires
        self.slot = slot
        #: True if it must be closed when the call ends.
        self.closes = function.kind in ("async_generator", "generator")
        #: True if it can run without an event loop.
        self.is_inline = function.kind == "sync" and not in_thread
        #: True if it is a coroutine function; ``start`` requires that.
        self.is_coroutine = function.kind == "coroutine"
        self._call: Callable[..., Any] = function.function
        if self.closes:
            self._call = _as_context_manager(function, in_thread=in_thread)

    def run_inline(self, frame: list[Any]) -> None:
        """Evaluate a step without an event loop; requires ``is_inline``."""
        positional, by_name = self._wires.arguments(frame)
        value = self._call(*positional, **by_name)
        if isinstance(value, CoroutineType):
            value.close()
            raise TypeError(
                f"{self._function.description} returned a coroutine:"
                " pass the async function itself as the factory"
            )
        frame[self.slot] = value

    def start(self, frame: list[Any]) -> Coroutine[Any, Any, Any]:
        """Return the coroutine of a step; the caller awaits it and puts the result into ``slot``."""
        positional, by_name = self._wires.arguments(frame)
        return self._call(*positional, **by_name)  # type: ignore[no-any-return]

    async def run(self, frame: list[Any], opened: list[AbstractAsyncContextManager[Any]]) -> None:
        """Evaluate the step, and add to ``opened`` what must be closed."""
        if self.is_inline:
            self.run_inline(frame)
            return
        if self.is_coroutine:
            frame[self.slot] = await self.start(frame)
            return
        positional, by_name = self._wires.arguments(frame)
        if self.closes:
            manager = self._call(*positional, **by_name)
            frame[self.slot] = await manager.__aenter__()
            opened.append(manager)
        else:
            frame[self.slot] = await run_in_thread(self._call, positional, by_name)


def _as_context_manager(
    function: UserFunction, *, in_thread: bool
) -> Callable[..., AbstractAsyncContextManager[Any]]:
    if function.kind == "async_generator":
        return asynccontextmanager(function.function)
    manager = contextmanager(function.function)
    kind = _ThreadManager if in_thread else _InlineManager
    return lambda *args, **kwargs: kind(manager(*args, **kwargs))


class _InlineManager(AbstractAsyncContextManager[Any]):
    """An async wrapper of a sync context manager that runs in the event loop's thread."""

    def __init__(self, manager: AbstractContextManager[Any]) -> None:
        self._manager = manager

    async def __aenter__(self) -> Any:
        return self._manager.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._manager.__exit__(kind, error, traceback)


class _ThreadManager(AbstractAsyncContextManager[Any]):
    """An async wrapper of a sync context manager that runs in worker threads, in a single context.

    A context variable that is set on entry therefore still has its value on exit, and a token can reset it.
    """

    def __init__(self, manager: AbstractContextManager[Any]) -> None:
        self._manager = manager
        self._context = Context()
        self._entered = False

    async def __aenter__(self) -> Any:
        try:
            return await call_in_thread(self._enter)
        except CancelledError as error:
            # On asyncio, the thread may have entered nevertheless.
            if self._entered:
                await self.__aexit__(type(error), error, error.__traceback__)
            raise

    def _enter(self) -> Any:
        # Copied in the worker thread, because its context does not claim to run in an event loop.
        self._context = copy_context()
        value = self._context.run(self._manager.__enter__)
        self._entered = True
        return value

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        leave = partial(self._context.run, self._manager.__exit__, kind, error, traceback)
        # A cancelled call must close, too. It has a limiter of its own, because the calls that occupy all
        # threads may be waiting for the resource that this one holds.
        with CancelScope() as closing, shielded(closing):
            await run_sync(leave, CapacityLimiter(1))


async def close(
    opened: Sequence[AbstractAsyncContextManager[Any]], failure: BaseException | None, closing: CancelScope
) -> None:
    """Close the context managers of a call in reverse order; ``failure`` is raised at the ``yield`` of each.

    ``closing`` is the cancel scope that encloses all of them. Nothing cancels the code that closes them: it
    may have to roll back a transaction.

    If one raises another error, that replaces the failure for the remaining ones and is raised in the end. A
    context manager cannot suppress the failure: the call remains failed, and a transaction that was opened
    earlier must not be committed.
    """
    if not opened:
        return
    last = failure
    with shielded(closing):
        for manager in reversed(opened):
            try:
                if last is None:
                    await manager.__aexit__(None, None, None)
                else:
                    await manager.__aexit__(type(last), last, last.__traceback__)
            except BaseException as error:  # noqa: BLE001 - raised below, after the others are closed, too
                last = error
    if last is not None and last is not failure:
        try:
            raise last
        finally:
            del last, failure  # otherwise the traceback refers to itself


class Wiring:
    """Assigns a source of values to each parameter of a handler and of its dependencies.

    The values of a call are stored in a frame, a list in which each parameter has a slot. ``template`` is the
    initial frame of a call. ``provided`` has the slots that the framework fills, by name, and ``shared`` the
    parameters of dependencies that the payload fills. ``steps`` fill the other slots, in order.
    """

    def __init__(
        self,
        provided: Mapping[str, type | None],
        default_args: Mapping[str, DefaultArg],
        *,
        takes_payload: bool,
        whole_payload_in: Collection[str] = (),
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
        self._cached_slots: dict[Hashable, int] = {}
        self._in_progress: dict[Hashable, str] = {}

    def slot(self, value: Any = MISSING) -> int:
        """Add a slot, which holds ``value`` unless a call fills it, and return its index."""
        self.template.append(value)
        return len(self.template) - 1

    def inject(self, function: UserFunction, parameter: Parameter) -> int | None:
        """Return the slot of a parameter that is injected, or None if the payload may fill it.

        The sources are, in this order: the framework's arguments, by name or class; a dependency; a default
        arg. Raises ConfigurationError for a class of another framework, which a payload must not fill.
        """
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
            name, slot, validator, field.is_required, tuple(more_names), field.make_default
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
        key: Hashable = dependency if is_hashable(dependency) else id(dependency)
        if use_cache and key in self._cached_slots:
            return self._cached_slots[key]
        read = UserFunction.read(dependency)
        slot = self._read_step(key, read, in_thread=True, payload=self._takes_payload)
        if use_cache:
            self._cached_slots[key] = slot
        return slot

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
            slot = self.inject(function, parameter)
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


def make_wires(slots: Sequence[tuple[Parameter, int]], *, by_keyword: bool) -> Wires:
    """Split the parameters into those passed by position and those passed by name, in order."""
    by_position: list[inspect._ParameterKind] = [inspect.Parameter.POSITIONAL_ONLY]
    if not by_keyword:
        by_position.append(inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return Wires(
        tuple(slot for parameter, slot in slots if parameter.kind in by_position),
        tuple((parameter.name, slot) for parameter, slot in slots if parameter.kind not in by_position),
    )


def _is_compatible(annotated: type, own: type) -> bool:
    """Return True if an object of the framework's class can be an instance of the annotated class."""
    if getattr(annotated, "_is_protocol", False):
        return True
    return issubclass(annotated, own) or issubclass(own, annotated)
