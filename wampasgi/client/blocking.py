"""Detection of handlers that block the event loop."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from time import perf_counter
from typing import Any, Final, TypeVar

from wampasgi.logs import logger_named

logger = logger_named("wampasgi.client")

T = TypeVar("T")

#: The longest time in seconds that a handler may run between two suspensions.
LIMIT: Final = 1.0


class BlockingWatch:
    """Logs a warning the first time that a handler blocks the event loop. ``name`` is the handler's name."""

    __slots__ = ("_name", "_warned")

    def __init__(self, name: str) -> None:
        self._name = name
        self._warned = False

    @types.coroutine
    def run(self, coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Await a coroutine of the handler, and measure each of its steps between two suspensions.

        Everything that passes in between is the same as in ``await coroutine``.
        """
        if self._warned:
            awaited: T = yield from coroutine
            return awaited
        step: Callable[[Any], Any] = coroutine.send
        value: Any = None
        while True:
            started = perf_counter()
            try:
                waiting = step(value)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                # An exception would form a reference cycle with this frame.
                value = None
                if perf_counter() - started > LIMIT:
                    self._warn(perf_counter() - started)
            try:
                value = yield waiting
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:  # noqa: BLE001 - it is the coroutine's
                step, value = coroutine.throw, error
            else:
                step = coroutine.send

    def _warn(self, seconds: float) -> None:
        if self._warned:
            return
        self._warned = True
        logger.warning(
            "%s or one of its dependencies blocked the event loop for %.1f s, so no other handler ran and no"
            " ping was answered: await what takes long, or use def instead of async def for a function that"
            " blocks, which then runs in a worker thread",
            self._name,
            seconds,
        )
