"""The steps that evaluate the dependencies of one call, and the context managers that close them."""

from __future__ import annotations

import inspect
from asyncio import CancelledError
from collections.abc import Callable, Coroutine, Sequence
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
from typing import Any

from anyio import CancelScope, CapacityLimiter

from wampasgi.injection.arguments import MISSING
from wampasgi.injection.callables import Parameter, UserFunction
from wampasgi.injection.cancellation import shielded
from wampasgi.injection.worker_threads import call_in_thread, run_in_thread, run_sync


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


def make_wires(slots: Sequence[tuple[Parameter, int]], *, by_keyword: bool) -> Wires:
    """Split the parameters into those passed by position and those passed by name, in order."""
    by_position: list[inspect._ParameterKind] = [inspect.Parameter.POSITIONAL_ONLY]
    if not by_keyword:
        by_position.append(inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return Wires(
        tuple(slot for parameter, slot in slots if parameter.kind in by_position),
        tuple((parameter.name, slot) for parameter, slot in slots if parameter.kind not in by_position),
    )
