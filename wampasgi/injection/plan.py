"""The plan of a handler: compiled from its signature at registration, and executed by each call."""

from __future__ import annotations

import inspect
from asyncio import CancelledError
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from anyio import CancelScope
from pydantic import ValidationError

from wampasgi.errors import ConfigurationError
from wampasgi.injection.arguments import MISSING, Payload, PayloadParameter, Rest
from wampasgi.injection.callables import EMPTY, Parameter, UserFunction, describe
from wampasgi.injection.cancellation import checked, close_iterator, without_errors
from wampasgi.injection.dependencies import (
    NO_CLASSES,
    NO_OVERRIDES,
    ClassArgument,
    DefaultArg,
    Wiring,
)
from wampasgi.injection.fields import read_field
from wampasgi.injection.markers import Dependency, refuse_foreign_markers
from wampasgi.injection.results import RPCProgressReport
from wampasgi.injection.steps import close, make_wires
from wampasgi.injection.worker_threads import run_in_thread
from wampasgi.types import Handler

__all__ = ["HandlerKind", "HandlerPlan", "describe"]

HandlerKind: TypeAlias = Literal["coroutine", "async_generator", "sync"]

NO_KEYWORDS: Final[Mapping[str, Any]] = MappingProxyType({})


class HandlerPlan:
    """The compiled signature of a handler: the sources of its arguments, and the dependencies to evaluate.

    ``kind`` is the type of object that ``function`` returns when called with bound arguments: a coroutine, an
    async generator or, for a function that blocks, the value itself. ``returns`` is its return annotation.
    ``name`` is the handler's dotted name. ``payload`` has the parameters that the payload fills; it is None
    if any payload is accepted. If ``needs_solving`` is set, only ``call`` and ``iterate`` can fill the
    arguments; otherwise ``bind`` can, too.
    """

    __slots__ = (
        "_closes",
        "_count",
        "_direct",
        "_provided",
        "_rest_slot",
        "_rest_slot_by_name",
        "_steps",
        "_template",
        "_validate",
        "_wires",
        "description",
        "function",
        "kind",
        "name",
        "needs_solving",
        "payload",
        "returns",
        "starts_at_once",
        "uses",
    )

    def __init__(
        self, function: UserFunction, wiring: Wiring, kind: HandlerKind, *, takes_payload: bool
    ) -> None:
        self.function: Callable[..., Any] = function.function
        self.kind: HandlerKind = kind
        self.name = function.name
        self.returns = function.returns
        self.description = function.description
        slots = _HandlerSlots(function, wiring, takes_payload=takes_payload)
        self.payload = slots.payload() if takes_payload else None
        self._rest_slot = slots.rest.slot if slots.rest is not None else None
        self._rest_slot_by_name = slots.rest_by_name.slot if slots.rest_by_name is not None else None
        # The arguments for *args must follow arguments that are passed by position.
        by_keyword = function.by_keyword and slots.rest is None
        self._wires = make_wires(slots.parameter_slots, by_keyword=by_keyword)
        self._template = wiring.template
        self._provided = tuple(wiring.provided)
        self._steps = tuple(wiring.steps)
        #: The names of the framework's arguments that the handler or its dependencies use.
        self.uses = frozenset(name for _, name in self._provided)
        self._closes = any(step.closes for step in self._steps)
        self._direct = self._wires.positional == tuple(range(len(self._template)))
        self.needs_solving = not all(step.is_inline for step in self._steps)
        #: True if ``start`` may be called.
        self.starts_at_once = kind == "coroutine" and not self.needs_solving
        # The number of arguments and their validators, if all of them come from the payload.
        self._count, self._validate = -1, None
        if self._direct and self.payload is not None and len(self.payload) == len(self._template):
            self._count, self._validate = len(self.payload), self.payload.converters

    @classmethod
    def read(
        cls,
        function: Callable[..., Any],
        *,
        provided: Mapping[str, type | None],
        default_args: Mapping[str, DefaultArg],
        takes_payload: bool,
        whole_payload_in: Collection[str] = (),
        dependencies: Sequence[Dependency] = (),
        overrides: Mapping[Callable[..., Any], Callable[..., Any]] = NO_OVERRIDES,
        by_class: Mapping[type, ClassArgument] = NO_CLASSES,
    ) -> HandlerPlan:
        """Compile a handler: a coroutine function, an async generator function or a plain function.

        ``provided`` has the framework's arguments that this kind of handler can get, with their classes; an
        argument whose class is None is matched by name only. The sources of a parameter are, in this order:
        the framework's argument of this name or class, its ``Depends``, the default arg of its name, the
        payload (if ``takes_payload``), and its own default. ``whole_payload_in`` names the framework's
        arguments that hold the whole payload. A handler that has one of them, and no parameter for the
        payload, accepts any payload. ``dependencies`` are evaluated before those of the parameters.
        ``overrides`` are the replacements of dependencies, and ``by_class`` the arguments that a parameter's
        class determines. Raises ConfigurationError for a parameter that nothing can fill and for a sync
        generator function.
        """
        read = UserFunction.read(function)
        if read.kind == "generator":
            raise ConfigurationError(
                f"{read.description} is a sync generator function, which cannot be a handler:"
                " make it async with `async def`"
            )
        wiring = Wiring(
            provided,
            default_args,
            takes_payload=takes_payload,
            whole_payload_in=whole_payload_in,
            overrides=overrides,
            by_class=by_class,
        )
        for marker in dependencies:
            wiring.evaluate_first(read, marker)
        return cls(read, wiring, read.kind, takes_payload=takes_payload)

    def bind(
        self,
        provided_values: Mapping[str, Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = NO_KEYWORDS,
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments for a call of ``function``; only for a plan without ``needs_solving``.

        Raises InvalidArgument, ``wamp.error.invalid_argument``, if the payload is invalid.
        """
        frame = self._frame(provided_values, args, kwargs)
        for step in self._steps:
            step.run_inline(frame)
        return (frame, {}) if self._direct else self._arguments(frame)

    def start(
        self, provided_values: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """Bind the arguments and return the handler's own coroutine; requires ``starts_at_once``.

        It saves the coroutine that ``call`` would add, which counts at thousands of calls per second.
        """
        if len(args) == self._count and not kwargs:
            if self._validate is None:
                return self.function(*args)  # type: ignore[no-any-return]
            try:
                converted = [validate(value) for validate, value in zip(self._validate, args)]  # noqa: B905
            except ValidationError:
                # The errors are collected below.
                pass
            else:
                return self.function(*converted)  # type: ignore[no-any-return]
        positional, by_name = self.bind(provided_values, args, kwargs)
        return self.function(*positional, **by_name)  # type: ignore[no-any-return]

    async def call(
        self,
        provided_values: Mapping[str, Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = NO_KEYWORDS,
    ) -> Any:
        """Run the handler once and return its value; a sync handler runs in a worker thread.

        ``provided_values`` are the framework's arguments for this run; ``args`` and ``kwargs`` are the
        payload. Dependencies are closed before the value is returned, shielded from cancellation. Raises
        InvalidArgument like ``bind``, and the errors of the handler.
        """
        if self.kind == "async_generator":
            raise TypeError(f"{self.name} is an async generator: use iterate")
        try:
            if self.starts_at_once:
                return await self.start(provided_values, args, kwargs)
            if not self.needs_solving:
                return await self._run(*self.bind(provided_values, args, kwargs))
            opened: list[AbstractAsyncContextManager[Any]] = []
            if not self._closes:
                positional, by_name = await self._solve(opened, provided_values, args, kwargs)
                if self.kind == "coroutine":
                    return await self.function(*positional, **by_name)
                return await self._run(positional, by_name)
            result = None
            # The scope encloses the dependencies, because they may hold scopes of their own.
            with CancelScope() as closing:
                try:
                    result = await self._run(*await self._solve(opened, provided_values, args, kwargs))
                except BaseException as error:
                    await close(opened, error, closing)
                    raise
                await close(opened, None, closing)
            return result
        except BaseExceptionGroup as group:
            raise without_errors(group, self.name, provided_values.get("session")) from None
        except CancelledError as error:
            raise checked(error, self.name)  # noqa: B904 - it is the same error, or has a cause

    async def iterate(
        self,
        provided_values: Mapping[str, Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = NO_KEYWORDS,
        *,
        closing: CancelScope,
    ) -> AsyncGenerator[Any, None]:
        """Run a handler that is an async generator function, and yield its values.

        Dependencies are open until this generator ends or is closed; the handler's generator is closed before
        them. Close this generator with ``aclose`` in the task that iterates over it. If the last value was an
        RPCProgressReport, ``aclose`` raises GeneratorExit in the dependencies; otherwise the handler had
        finished, and they close as after a success. ``athrow`` and cancellation inside the handler reach both
        the handler and the dependencies unchanged.

        ``closing`` is a cancel scope that encloses the whole iteration, because the handler and its
        dependencies may hold scopes of their own. It is shielded before anything is closed.
        """
        if self.kind != "async_generator":
            raise TypeError(f"{self.name} is not an async generator: use call")
        opened: list[AbstractAsyncContextManager[Any]] = []
        value: Any = None
        try:
            positional, by_name = await self._solve(opened, provided_values, args, kwargs)
            generator = self.function(*positional, **by_name)
            advance = generator.__anext__()
            try:
                while True:
                    try:
                        value = await advance
                    except StopAsyncIteration:
                        break
                    try:
                        yield value
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001 - passed to the handler
                        advance = generator.athrow(error)
                    else:
                        advance = generator.__anext__()
            finally:
                await close_iterator(generator, closing)
        except GeneratorExit as unfinished:
            await close(opened, unfinished if isinstance(value, RPCProgressReport) else None, closing)
            raise
        except BaseExceptionGroup as group:
            await close(opened, group, closing)
            raise without_errors(group, self.name, provided_values.get("session")) from None
        except CancelledError as cancelled:
            await close(opened, cancelled, closing)
            raise checked(cancelled, self.name)  # noqa: B904 - it is the same error, or has a cause
        except BaseException as error:
            await close(opened, error, closing)
            raise
        await close(opened, None, closing)

    async def _solve(
        self,
        opened: list[AbstractAsyncContextManager[Any]],
        provided_values: Mapping[str, Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of one call; the payload is validated before any dependency runs."""
        frame = self._frame(provided_values, args, kwargs)
        for step in self._steps:
            if step.is_coroutine:
                frame[step.slot] = await step.start(frame)
            else:
                await step.run(frame, opened)
        return (frame, {}) if self._direct else self._arguments(frame)

    def _frame(
        self, provided_values: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> list[Any]:
        frame = self._template.copy()
        for slot, name in self._provided:
            try:
                frame[slot] = provided_values[name]
            except KeyError:
                if frame[slot] is MISSING:
                    raise LookupError(
                        f"{self.description} requires {name!r}, which this call does not have"
                    ) from None
        if self.payload is not None:
            self.payload.fill(frame, args, kwargs)
        return frame

    def _arguments(self, frame: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        positional, by_name = self._wires.arguments(frame)
        if self._rest_slot is not None:
            positional += frame[self._rest_slot]
        if self._rest_slot_by_name is not None:
            by_name.update(frame[self._rest_slot_by_name])
        return positional, by_name

    async def _run(self, positional: list[Any], by_name: dict[str, Any]) -> Any:
        if self.kind == "sync":
            return await run_in_thread(self.function, positional, by_name)
        return await self.function(*positional, **by_name)


class _HandlerSlots:
    """The slots of a handler's parameters, and the parameters that the payload fills."""

    def __init__(self, function: UserFunction, wiring: Wiring, *, takes_payload: bool) -> None:
        self.parameter_slots: list[tuple[Parameter, int]] = []
        self.rest: Rest | None = None
        self.rest_by_name: Rest | None = None
        self._function = function
        self._wiring = wiring
        self._injected: list[str] = []
        self._payload_parameters: dict[inspect._ParameterKind, list[PayloadParameter]] = {}
        refuse_foreign_markers(function)
        for parameter in function.parameters:
            if not parameter.is_variadic:
                self.parameter_slots.append((parameter, self._read(parameter, takes_payload=takes_payload)))
            elif takes_payload:
                self._read_rest(parameter)

    def payload(self) -> Payload | None:
        """Return the object that fills the slots from a payload, or None if the payload is not checked."""
        if self._takes_whole_payload():
            return Payload(shared=self._wiring.shared, accepts_more=True) if self._wiring.shared else None
        return Payload(
            self._payload_parameters.get(inspect.Parameter.POSITIONAL_ONLY, ()),
            self._payload_parameters.get(inspect.Parameter.POSITIONAL_OR_KEYWORD, ()),
            self._payload_parameters.get(inspect.Parameter.KEYWORD_ONLY, ()),
            shared=self._wiring.shared,
            rest=self.rest,
            rest_by_name=self.rest_by_name,
            injected=self._injected,
        )

    def _takes_whole_payload(self) -> bool:
        """Return whether the handler itself, and not a dependency, takes the payload as a whole."""
        slots = {slot for _, slot in self.parameter_slots}
        return not (self._payload_parameters or self.rest or self.rest_by_name) and any(
            slot in slots and name in self._wiring.whole_payload_in for slot, name in self._wiring.provided
        )

    def _read(self, parameter: Parameter, *, takes_payload: bool) -> int:
        slot = self._wiring.inject(self._function, parameter)
        if slot is not None:
            self._injected.append(parameter.name)
            return slot
        field = read_field(self._function, parameter)
        slot = self._wiring.slot(MISSING if field.default is EMPTY else field.default)
        sent = None
        if takes_payload:
            sent = self._wiring.payload_parameter(self._function, parameter, field, slot)
        if sent is not None:
            self._add(parameter, sent)
        else:
            self._wiring.fill_with_default(self._function, parameter, field, slot)
            self._injected.append(parameter.name)
        return slot

    def _add(self, parameter: Parameter, sent: PayloadParameter) -> None:
        taken = {
            name for others in self._payload_parameters.values() for each in others for name in each.names
        }
        twice = taken.intersection(sent.names)
        if twice:
            raise ConfigurationError(
                f"{self._function.description}: two parameters get the argument {min(twice)!r}: change the"
                " alias of one of them"
            )
        self._payload_parameters.setdefault(parameter.kind, []).append(sent)
        if parameter.name not in sent.names:
            # A keyword argument of **kwargs must not have the name that the alias replaces.
            self._injected.append(parameter.name)

    def _read_rest(self, parameter: Parameter) -> None:
        if parameter.problem is not None:
            raise self._function.cannot_fill(parameter, parameter.problem)
        slot = self._wiring.slot()
        validator = self._wiring.validator(self._function, parameter)
        assert validator is not None
        rest = Rest(parameter.name, slot, validator, parameter.annotation)
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            self.rest = rest
        else:
            self.rest_by_name = rest


class Injection:
    """Compiles handlers into plans, with the framework's arguments and the default args of a realm.

    ``overrides`` maps dependencies to the functions that replace them. ``by_class`` has the arguments for
    parameters that are annotated with certain classes.
    """

    def __init__(
        self,
        provided: Mapping[str, type | None],
        default_args: Mapping[str, DefaultArg],
        overrides: Mapping[Callable[..., Any], Callable[..., Any]] = NO_OVERRIDES,
        by_class: Mapping[type, ClassArgument] = NO_CLASSES,
    ) -> None:
        #: The framework's arguments that every handler can get, with their classes.
        self.provided = dict(provided)
        self._default_args = dict(default_args)
        #: The replacements of dependencies.
        self.overrides = dict(overrides)
        self._by_class = by_class

    def read(
        self,
        handler: Handler,
        extra: Mapping[str, type | None] | None = None,
        *,
        takes_payload: bool = False,
        dependencies: Sequence[Dependency] = (),
    ) -> HandlerPlan:
        """Return the plan of a handler, which can get ``extra`` arguments besides those of every handler.

        With ``takes_payload``, the extra arguments are those that hold the message, such as the RPCRequest:
        see ``whole_payload_in`` of ``HandlerPlan.read``. ``dependencies`` are evaluated before the handler
        runs. Raises ConfigurationError if the handler cannot be called.
        """
        return HandlerPlan.read(
            handler,
            provided={**self.provided, **(extra or {})},
            default_args=self._default_args,
            takes_payload=takes_payload,
            whole_payload_in=tuple(extra or ()) if takes_payload else (),
            dependencies=dependencies,
            overrides=self.overrides,
            by_class=self._by_class,
        )
