"""The plan of a handler: its signature is read once, at registration, and each call only follows the plan."""

from __future__ import annotations

import inspect
from asyncio import CancelledError
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from anyio import CancelScope
from pydantic import ValidationError

from wampasgi.errors import ConfigurationError
from wampasgi.injection.arguments import MISSING, Payload, PayloadParameter, Rest
from wampasgi.injection.callables import EMPTY, Parameter, UserFunction, describe
from wampasgi.injection.cancellation import checked, without_errors
from wampasgi.injection.dependencies import DefaultArg, Wiring, close, make_wires, run_in_thread
from wampasgi.injection.results import RPCProgressReport
from wampasgi.types import Handler

__all__ = ["HandlerKind", "HandlerPlan", "describe"]

HandlerKind: TypeAlias = Literal["coroutine", "async_generator", "sync"]

NO_KEYWORDS: Final[Mapping[str, Any]] = MappingProxyType({})


class HandlerPlan:
    """How to call one handler: where its arguments come from, and what has to be evaluated for them.

    ``kind`` says what calling ``function`` with bound arguments gives: a coroutine, an async generator, or
    the value itself, blocking meanwhile. ``name`` is the handler's dotted name. With ``needs_solving`` only
    ``call`` and ``iterate`` can fill its arguments, without it ``bind`` can too.
    """

    __slots__ = (
        "_closes",
        "_count",
        "_direct",
        "_payload",
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
        "starts_at_once",
        "uses",
    )

    def __init__(
        self, function: UserFunction, wiring: Wiring, kind: HandlerKind, *, takes_payload: bool
    ) -> None:
        self.function: Callable[..., Any] = function.function
        self.kind: HandlerKind = kind
        self.name = function.name
        self.description = function.description
        slots = _HandlerSlots(function, wiring, takes_payload=takes_payload)
        self._payload = slots.payload() if takes_payload else None
        self._rest_slot = slots.rest.slot if slots.rest is not None else None
        self._rest_slot_by_name = slots.rest_by_name.slot if slots.rest_by_name is not None else None
        # What *args takes follows arguments that are given by position.
        by_keyword = function.by_keyword and slots.rest is None
        self._wires = make_wires(slots.wired, by_keyword=by_keyword)
        self._template = wiring.template
        self._provided = tuple(wiring.provided)
        self._steps = tuple(wiring.steps)
        #: The framework's own arguments that the handler or its dependencies ask for.
        self.uses = frozenset(name for _, name in self._provided)
        self._closes = any(step.closes for step in self._steps)
        self._direct = self._wires.positional == tuple(range(len(self._template)))
        self.needs_solving = not all(step.is_inline for step in self._steps)
        #: Whether ``start`` can be used.
        self.starts_at_once = kind == "coroutine" and not self.needs_solving
        # Of a handler whose arguments all come from the payload: how many, and what converts them.
        self._count, self._validate = -1, None
        if self._direct and self._payload is not None and len(self._payload) == len(self._template):
            self._count, self._validate = len(self._payload), self._payload.converters

    @classmethod
    def read(
        cls,
        function: Callable[..., Any],
        *,
        provided: Mapping[str, type | None],
        default_args: Mapping[str, DefaultArg],
        takes_payload: bool,
    ) -> HandlerPlan:
        """Read a handler: a coroutine function, an async generator function or a plain function.

        ``provided`` are the framework's own arguments that this kind of handler can get, with their classes;
        None is matched by name alone. A parameter gets, in this order, one of these, by name or class, what
        its ``Depends`` gives, the default arg of its name, what the payload has for it, where
        ``takes_payload``, and its own default. ConfigurationError names a parameter that nothing can fill,
        and a handler that is a sync generator function.
        """
        read = UserFunction.read(function)
        if read.kind == "generator":
            raise ConfigurationError(
                f"{read.description} is a sync generator function, which cannot be a handler:"
                " make it async, `async def`"
            )
        wiring = Wiring(provided, default_args, takes_payload=takes_payload)
        return cls(read, wiring, read.kind, takes_payload=takes_payload)

    def bind(
        self,
        provided_values: Mapping[str, Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = NO_KEYWORDS,
    ) -> tuple[list[Any], dict[str, Any]]:
        """Make the arguments of one call of ``function``; only for a plan that needs no solving.

        A payload that does not fit raises InvalidArgument, ``wamp.error.invalid_argument``.
        """
        frame = self._frame(provided_values, args, kwargs)
        for step in self._steps:
            step.run_inline(frame)
        return (frame, {}) if self._direct else self._arguments(frame)

    def start(
        self, provided_values: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """Bind the arguments and return the handler's own coroutine; only where the plan ``starts_at_once``.

        It is what ``call`` awaits, without a coroutine around it, for there are many calls a second.
        """
        if len(args) == self._count and not kwargs:
            if self._validate is None:
                return self.function(*args)  # type: ignore[no-any-return]
            try:
                converted = [validate(value) for validate, value in zip(self._validate, args)]  # noqa: B905
            except ValidationError:
                # What is wrong with them is found below.
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
        """Run the handler once and return what it returns; a sync one runs in a worker thread.

        ``provided_values`` are the framework's own arguments of this run, ``args`` and ``kwargs`` the
        payload. Dependencies are closed before the value is returned, also when the call is cancelled: from
        there on they are shielded. Raises InvalidArgument like ``bind``, and what the handler raises.
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
            # The scope is around dependencies that may hold scopes of their own, and so nests with them.
            with CancelScope() as closing:
                try:
                    result = await self._run(*await self._solve(opened, provided_values, args, kwargs))
                except BaseException as error:
                    closing.shield = True
                    await close(opened, error)
                    raise
                closing.shield = True
                await close(opened, None)
            return result
        except BaseExceptionGroup as group:
            raise without_errors(group, self.name, provided_values.get("session")) from None
        except CancelledError as error:
            raise checked(error, self.name)  # noqa: B904 - it is itself, or has its cause

    async def iterate(
        self,
        provided_values: Mapping[str, Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = NO_KEYWORDS,
    ) -> AsyncGenerator[Any, None]:
        """Run a handler that is an async generator function, and give on what it yields.

        Dependencies are open until this generator ends or is closed; then the handler's generator is closed
        first. Close it with ``aclose`` in the task that iterates. ``aclose`` ends a handler that has said
        all, so dependencies end as after a success, unless its last value was an RPCProgressReport;
        ``athrow`` and cancellation inside the handler reach handler and dependencies as what they are.
        """
        if self.kind != "async_generator":
            raise TypeError(f"{self.name} is no async generator: use call")
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
                    except BaseException as error:  # noqa: BLE001 - it is the handler's to see
                        advance = generator.athrow(error)
                    else:
                        advance = generator.__anext__()
            finally:
                await generator.aclose()
        except GeneratorExit as unfinished:
            await close(opened, unfinished if isinstance(value, RPCProgressReport) else None)
            raise
        except BaseExceptionGroup as group:
            await close(opened, group)
            raise without_errors(group, self.name, provided_values.get("session")) from None
        except CancelledError as cancelled:
            await close(opened, cancelled)
            raise checked(cancelled, self.name)  # noqa: B904 - it is itself, or has its cause
        except BaseException as error:
            await close(opened, error)
            raise
        await close(opened, None)

    async def _solve(
        self,
        opened: list[AbstractAsyncContextManager[Any]],
        provided_values: Mapping[str, Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> tuple[list[Any], dict[str, Any]]:
        """Make the arguments of one call; the payload is validated before any dependency runs."""
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
                        f"{self.description} asks for {name!r}, which there is none of in this call"
                    ) from None
        if self._payload is not None:
            self._payload.fill(frame, args, kwargs)
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
    """Gives each parameter of a handler its slot, and sorts those that the payload fills."""

    def __init__(self, function: UserFunction, wiring: Wiring, *, takes_payload: bool) -> None:
        self.wired: list[tuple[Parameter, int]] = []
        self.rest: Rest | None = None
        self.rest_by_name: Rest | None = None
        self._function = function
        self._wiring = wiring
        self._injected: list[str] = []
        self._sent: dict[inspect._ParameterKind, list[PayloadParameter]] = {}
        for parameter in function.parameters:
            if not parameter.is_variadic:
                self.wired.append((parameter, self._read(parameter, takes_payload=takes_payload)))
            elif takes_payload:
                self._read_rest(parameter)

    def payload(self) -> Payload:
        """Make what fills the slots from a payload."""
        return Payload(
            self._sent.get(inspect.Parameter.POSITIONAL_ONLY, ()),
            self._sent.get(inspect.Parameter.POSITIONAL_OR_KEYWORD, ()),
            self._sent.get(inspect.Parameter.KEYWORD_ONLY, ()),
            shared=self._wiring.shared,
            rest=self.rest,
            rest_by_name=self.rest_by_name,
            injected=self._injected,
        )

    def _read(self, parameter: Parameter, *, takes_payload: bool) -> int:
        slot = self._wiring.inject(self._function, parameter)
        if slot is not None:
            self._injected.append(parameter.name)
            return slot
        required = parameter.default is EMPTY
        slot = self._wiring.slot(MISSING if required else parameter.default)
        validator = self._wiring.validator(self._function, parameter) if takes_payload else None
        if validator is not None:
            sent = PayloadParameter(parameter.name, slot, validator, required)
            self._sent.setdefault(parameter.kind, []).append(sent)
        elif required:
            raise self._function.cannot_fill(parameter, "the framework has no argument of this name here")
        else:
            self._injected.append(parameter.name)
        return slot

    def _read_rest(self, parameter: Parameter) -> None:
        if parameter.problem is not None:
            raise self._function.cannot_fill(parameter, parameter.problem)
        slot = self._wiring.slot()
        validator = self._wiring.validator(self._function, parameter)
        assert validator is not None
        rest = Rest(parameter.name, slot, validator)
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            self.rest = rest
        else:
            self.rest_by_name = rest


class Injection:
    """Reads handlers into plans, with the framework's arguments and the default args of one realm."""

    def __init__(self, provided: Mapping[str, type | None], default_args: Mapping[str, DefaultArg]) -> None:
        #: The framework's own arguments that every handler can get, with their classes.
        self.provided = dict(provided)
        self._default_args = dict(default_args)

    def read(
        self, handler: Handler, extra: Mapping[str, type | None] | None = None, *, takes_payload: bool = False
    ) -> HandlerPlan:
        """The plan of a handler that can get ``extra`` arguments beside those of every handler.

        Raises ConfigurationError for a handler that cannot be called.
        """
        return HandlerPlan.read(
            handler,
            provided={**self.provided, **(extra or {})},
            default_args=self._default_args,
            takes_payload=takes_payload,
        )
