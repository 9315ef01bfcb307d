"""Dependencies and default args: declared by the user, wired to parameters once, evaluated once a call."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Coroutine, Hashable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from types import CoroutineType, TracebackType
from typing import Annotated, Any

from anyio import CancelScope, CapacityLimiter, to_thread
from pydantic.fields import FieldInfo

from wampasgi.errors import ConfigurationError
from wampasgi.injection.arguments import MISSING, PayloadParameter, UnusableAnnotation, Validator
from wampasgi.injection.callables import EMPTY, Parameter, UserFunction

__all__ = ["DefaultArg", "Dependency", "Depends", "Step", "Wires", "Wiring", "close", "run_in_thread"]


@dataclass(frozen=True, slots=True)
class Dependency:
    """What ``Depends`` leaves at a parameter: what to call for its value; None is the annotated class."""

    dependency: Callable[..., Any] | None
    use_cache: bool


def Depends(dependency: Callable[..., Any] | None = None, *, use_cache: bool = True) -> Any:
    """Let a parameter be filled by what ``dependency`` returns or yields.

    It stands as the default of a parameter or in ``Annotated``; without ``dependency`` the annotated class is
    called. A dependency is a function, class or callable object, sync (run in a worker thread) or async; what
    a generator does after its ``yield`` runs when the call ends, in reverse order, and a failure of the
    handler is raised at the ``yield``. Its own parameters are filled like those of a handler, from the
    payload by name. It is evaluated once a call, or once a use with ``use_cache=False``.
    """
    return Dependency(dependency, use_cache)


class DefaultArg:
    """What a realm gives a parameter of a certain name: one value for all calls, or what ``factory`` makes.

    A factory runs once for each run of a handler. A sync one is called right there and not in a thread, an
    async one is awaited, and a generator is closed when the call ends, as dependencies are.
    """

    __slots__ = ("factory", "value")

    def __init__(self, value: Any = None, factory: Callable[..., Any] | None = None) -> None:
        if factory is not None and value is not None:
            raise ConfigurationError("a default arg has a value or a factory, not both: leave one out")
        if factory is not None and not callable(factory):
            raise ConfigurationError(f"the factory of a default arg must be callable, not {factory!r}")
        self.value = value
        self.factory = factory


@dataclass(frozen=True, slots=True)
class Wires:
    """From which slots of a frame a function gets its arguments."""

    positional: tuple[int, ...]
    by_name: tuple[tuple[str, int], ...]

    def arguments(self, frame: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Take a function's arguments from the frame of one call; what nothing filled is left out."""
        if not self.by_name:
            return [frame[slot] for slot in self.positional], {}
        by_name = {name: frame[slot] for name, slot in self.by_name if frame[slot] is not MISSING}
        return [frame[slot] for slot in self.positional], by_name


class Step:
    """One dependency or factory to evaluate; its value goes to ``slot`` of the frame."""

    __slots__ = ("_call", "_function", "_wires", "closes", "is_coroutine", "is_inline", "slot")

    def __init__(self, function: UserFunction, wires: Wires, slot: int, *, in_thread: bool) -> None:
        self._function = function
        self._wires = wires
        self.slot = slot
        #: Whether there is something to close when the call ends.
        self.closes = function.kind in ("async_generator", "generator")
        #: Whether it needs no event loop.
        self.is_inline = function.kind == "sync" and not in_thread
        #: Whether it is a coroutine function, so that ``start`` can be used.
        self.is_coroutine = function.kind == "coroutine"
        self._call: Callable[..., Any] = function.function
        if self.closes:
            self._call = _managed(function, in_thread=in_thread)

    def run_inline(self, frame: list[Any]) -> None:
        """Evaluate a step that needs no event loop."""
        positional, by_name = self._wires.arguments(frame)
        value = self._call(*positional, **by_name)
        if isinstance(value, CoroutineType):
            value.close()
            raise TypeError(
                f"{self._function.description} returned a coroutine:"
                " give the async function itself as the factory"
            )
        frame[self.slot] = value

    def start(self, frame: list[Any]) -> Coroutine[Any, Any, Any]:
        """Call a coroutine function: what its coroutine returns is to be put in the slot."""
        positional, by_name = self._wires.arguments(frame)
        return self._call(*positional, **by_name)  # type: ignore[no-any-return]

    async def run(self, frame: list[Any], opened: list[AbstractAsyncContextManager[Any]]) -> None:
        """Evaluate the step; what has to be closed is added to ``opened``."""
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


def _managed(function: UserFunction, *, in_thread: bool) -> Callable[..., AbstractAsyncContextManager[Any]]:
    if function.kind == "async_generator":
        return asynccontextmanager(function.function)
    manager = contextmanager(function.function)
    kind = _ThreadManager if in_thread else _InlineManager
    return lambda *args, **kwargs: kind(manager(*args, **kwargs))


class _InlineManager(AbstractAsyncContextManager[Any]):
    """A sync context manager that needs no thread."""

    def __init__(self, manager: AbstractContextManager[Any]) -> None:
        self._manager = manager

    async def __aenter__(self) -> Any:
        return self._manager.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._manager.__exit__(kind, error, traceback)


class _ThreadManager(AbstractAsyncContextManager[Any]):
    """A sync context manager that is entered and left in worker threads, in one and the same context.

    So what it sets in a context variable is still there when it is left, and a token resets it.
    """

    def __init__(self, manager: AbstractContextManager[Any]) -> None:
        self._manager = manager
        self._context = Context()

    async def __aenter__(self) -> Any:
        return await to_thread.run_sync(self._enter)

    def _enter(self) -> Any:
        # Copied here: the worker's context does not claim to be in an event loop.
        self._context = copy_context()
        return self._context.run(self._manager.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        leave = partial(self._context.run, self._manager.__exit__, kind, error, traceback)
        # A cancelled call has to close too. The limiter is its own, because the calls that hold all threads
        # may be waiting for what this one holds.
        with CancelScope(shield=True):
            await to_thread.run_sync(leave, limiter=CapacityLimiter(1))


async def run_in_thread(
    function: Callable[..., Any], positional: Sequence[Any], by_name: Mapping[str, Any]
) -> Any:
    """Call a sync function in a worker thread; where it returns an awaitable, await that here."""

    def run() -> tuple[Any]:
        # In a tuple, because Trio refuses a coroutine from a thread.
        return (function(*positional, **by_name),)

    (value,) = await to_thread.run_sync(run)
    return await value if inspect.isawaitable(value) else value


async def close(opened: Sequence[AbstractAsyncContextManager[Any]], failure: BaseException | None) -> None:
    """Close what a call opened, the last opened first; each sees ``failure`` raised at its ``yield``.

    An error that one raises takes the failure's place for the rest, and is raised here in the end. One that
    swallows the failure does not change it: the call stays failed, and a transaction that was opened before
    must not be committed.
    """
    last = failure
    for manager in reversed(opened):
        try:
            if last is None:
                await manager.__aexit__(None, None, None)
            else:
                await manager.__aexit__(type(last), last, last.__traceback__)
        except BaseException as error:  # noqa: BLE001 - raised below, after the others are closed too
            last = error
    if last is not None and last is not failure:
        try:
            raise last
        finally:
            del last, failure  # or the traceback refers to itself


class Wiring:
    """Finds out where each parameter gets its value, while a handler and all it depends on are read.

    The values of one call stand in a frame, a list; each parameter has a slot there. ``template`` is the
    frame of a call that nothing has filled yet, ``provided`` the slots that the framework fills, by name,
    ``shared`` those of dependencies that the payload fills, and ``steps`` what fills the others, in order.
    """

    def __init__(
        self,
        provided: Mapping[str, type | None],
        default_args: Mapping[str, DefaultArg],
        *,
        takes_payload: bool,
    ) -> None:
        self.template: list[Any] = []
        self.provided: list[tuple[int, str]] = []
        self.shared: list[PayloadParameter] = []
        self.steps: list[Step] = []
        self._provided_types = provided
        self._default_args = default_args
        self._takes_payload = takes_payload
        self._evaluated: dict[Hashable, int] = {}
        self._being_read: dict[Hashable, str] = {}

    def slot(self, value: Any = MISSING) -> int:
        """Make a slot, which holds ``value`` unless a call fills it."""
        self.template.append(value)
        return len(self.template) - 1

    def inject(self, function: UserFunction, parameter: Parameter) -> int | None:
        """Find the slot of a parameter that no payload may fill; None if it is none of these.

        In this order: the framework's own, by name or type; a dependency; a default arg.
        """
        name = self._provided_name(function, parameter)
        if name is not None:
            has_default = parameter.default is not EMPTY and not isinstance(parameter.default, Dependency)
            slot = self.slot(parameter.default if has_default else MISSING)
            self.provided.append((slot, name))
            return slot
        marker = _dependency_of(parameter)
        default_arg = self._default_args.get(parameter.name)
        if parameter.problem is not None and marker is None and default_arg is None:
            raise function.cannot_fill(parameter, parameter.problem)
        if marker is not None:
            return self._depend(function, parameter, marker)
        if default_arg is not None:
            return self._default(parameter.name, default_arg)
        return None

    def validator(self, function: UserFunction, parameter: Parameter) -> Validator | None:
        """Make what validates a parameter that the payload fills, None where only its default can."""
        if isinstance(parameter.default, FieldInfo):
            raise ConfigurationError(
                f"{function.description}: the parameter {parameter.name!r} has a Field as its default: put"
                " it into the annotation, Annotated[..., Field(...)], and give the default itself"
            )
        try:
            return Validator(parameter.annotation)
        except UnusableAnnotation as error:
            if parameter.default is not EMPTY and error.has_no_schema:
                return None
            reason = f"no payload can be validated by its annotation ({error})"
            raise function.cannot_fill(parameter, reason) from error

    def _provided_name(self, function: UserFunction, parameter: Parameter) -> str | None:
        classes = _classes(parameter.annotation)
        if parameter.name not in self._provided_types:
            matching = (name for name, kind in self._provided_types.items() if kind and classes == [kind])
            return next(matching, None)
        own = self._provided_types[parameter.name]
        if own is not None and len(classes) == 1 and not _related(classes[0], own):
            raise ConfigurationError(
                f"{function.description}: the name {parameter.name!r} stands for the framework's own"
                f" {own.__name__}, but the parameter is annotated {classes[0].__name__}: rename the parameter"
            )
        return parameter.name

    def _depend(self, function: UserFunction, parameter: Parameter, marker: Dependency) -> int:
        dependency = marker.dependency
        if dependency is None:
            classes = _classes(parameter.annotation)
            if len(classes) != 1:
                raise function.cannot_fill(parameter, "Depends() needs a dependency or an annotated class")
            dependency = classes[0]
        key: Hashable = dependency if _is_hashable(dependency) else id(dependency)
        if marker.use_cache and key in self._evaluated:
            return self._evaluated[key]
        read = UserFunction.read(dependency)
        slot = self._read_step(key, read, in_thread=True, payload=self._takes_payload)
        if marker.use_cache:
            self._evaluated[key] = slot
        return slot

    def _default(self, name: str, default_arg: DefaultArg) -> int:
        if default_arg.factory is None:
            return self.slot(default_arg.value)
        key = ("default arg", name)
        if key not in self._evaluated:
            factory = UserFunction.read(default_arg.factory)
            self._evaluated[key] = self._read_step(key, factory, in_thread=False, payload=False)
        return self._evaluated[key]

    def _read_step(self, key: Hashable, function: UserFunction, *, in_thread: bool, payload: bool) -> int:
        if key in self._being_read:
            names = [*self._being_read.values(), function.description]
            chain = " -> ".join(names[list(self._being_read).index(key) :])
            raise ConfigurationError(f"dependencies go round in a circle: {chain}: cut it at one place")
        self._being_read[key] = function.description
        wires = self._wire(function, payload=payload)
        del self._being_read[key]
        slot = self.slot()
        self.steps.append(Step(function, wires, slot, in_thread=in_thread))
        return slot

    def _wire(self, function: UserFunction, *, payload: bool) -> Wires:
        slots: list[tuple[Parameter, int]] = []
        for parameter in function.parameters:
            if parameter.is_variadic:
                continue
            slot = self.inject(function, parameter)
            if slot is None and payload:
                slot = self._share(function, parameter)
            if slot is None and parameter.default is EMPTY:
                raise function.cannot_fill(parameter, "the framework has no argument of this name here")
            slots.append((parameter, self._unsent(parameter) if slot is None else slot))
        return make_wires(slots, by_keyword=True)

    def _share(self, function: UserFunction, parameter: Parameter) -> int | None:
        validator = self.validator(function, parameter)
        if validator is None:
            return None
        slot = self._unsent(parameter)
        required = parameter.default is EMPTY
        self.shared.append(PayloadParameter(parameter.name, slot, validator, required))
        return slot

    def _unsent(self, parameter: Parameter) -> int:
        """Make a slot for what may be left out, so that a class's own default factory makes the value."""
        by_position = parameter.kind is inspect.Parameter.POSITIONAL_ONLY
        return self.slot(parameter.default if by_position and parameter.default is not EMPTY else MISSING)


def make_wires(slots: Sequence[tuple[Parameter, int]], *, by_keyword: bool) -> Wires:
    """Decide which arguments go by position and which by name, in the order of the parameters."""
    by_position: list[inspect._ParameterKind] = [inspect.Parameter.POSITIONAL_ONLY]
    if not by_keyword:
        by_position.append(inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return Wires(
        tuple(slot for parameter, slot in slots if parameter.kind in by_position),
        tuple((parameter.name, slot) for parameter, slot in slots if parameter.kind not in by_position),
    )


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _dependency_of(parameter: Parameter) -> Dependency | None:
    if isinstance(parameter.default, Dependency):
        return parameter.default
    return next(_markers(parameter.annotation), None)


def _markers(annotation: Any) -> Iterator[Dependency]:
    """Every ``Depends`` of an annotation, also in a branch of a union: no payload may take its place."""
    annotation = _alias_value(annotation)
    if typing.get_origin(annotation) is Annotated:
        yield from (extra for extra in annotation.__metadata__ if isinstance(extra, Dependency))
        yield from _markers(annotation.__origin__)
    elif _is_union(annotation):
        for branch in typing.get_args(annotation):
            yield from _markers(branch)


def _classes(annotation: Any) -> list[type]:
    """Give the classes an annotation names, without ``Annotated`` and None; [] if not all are classes."""
    annotation = _alias_value(annotation)
    if typing.get_origin(annotation) is Annotated:
        return _classes(annotation.__origin__)
    if _is_union(annotation):
        branches = [
            _classes(branch) for branch in typing.get_args(annotation) if branch is not types.NoneType
        ]
        return [branch[0] for branch in branches if branch] if all(branches) else []
    if annotation in (EMPTY, Any) or not isinstance(annotation, type):
        return []
    return [annotation]


def _alias_value(annotation: Any) -> Any:
    """What a ``type`` statement, or TypeAliasType where there is none, stands for."""
    while type(annotation).__name__ == "TypeAliasType":
        annotation = annotation.__value__
    return annotation


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _related(annotated: type, own: type) -> bool:
    """Whether an object of the framework's class can be what is annotated."""
    if getattr(annotated, "_is_protocol", False):
        return True
    return issubclass(annotated, own) or issubclass(own, annotated)
