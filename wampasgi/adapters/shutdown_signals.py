"""Notice of the server's shutdown while sessions can still send GOODBYE.

ASGI servers close every WebSocket before they send ``lifespan.shutdown``, which is too late for GOODBYE. The
signal itself comes early enough, if the server's own handler for it is held back.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import anyio

from wampasgi.adapters import running_library

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """The shutdown of the process: sets ``signalled``, and holds the server's handlers until ``pass_on``.

    A server begins to close its WebSockets within one iteration of its event loop, so sessions must send
    their last messages before its signal handlers run.
    """

    def __init__(self) -> None:
        self.signalled = anyio.Event()
        self._handlers: list[Callable[[], object]] = []
        self._passed_on = False

    def pass_on(self) -> None:
        """Run the server's handlers for the signals received so far; for later signals they run at once."""
        self._passed_on = True
        while self._handlers:
            self._handlers.pop(0)()

    def take(self, handler: Callable[[], object]) -> None:
        """Hold a handler of the server back until ``pass_on``; a second signal runs all of them at once."""
        self._handlers.append(handler)
        if self._passed_on or len(self._handlers) > 1:
            self.pass_on()


@contextmanager
def shutdown_signalled() -> Iterator[Shutdown]:
    """Intercept the signals that stop the process, before the server handles them.

    The signal handlers that the server installed run at ``pass_on``, or at the latest on exit. If it
    installed none, or the event loop isn't in the main thread, no signal is intercepted.
    """
    shutdown = Shutdown()
    if threading.current_thread() is not threading.main_thread():
        yield shutdown
        return
    wake = _waker(shutdown.signalled.set)
    replaced = {number: _replace(number, shutdown, wake) for number in _SIGNALS}
    try:
        yield shutdown
    finally:
        for number, (ours, previous) in replaced.items():
            if ours is not None and signal.getsignal(number) is ours:
                signal.signal(number, previous)
        shutdown.pass_on()


def _replace(number: signal.Signals, shutdown: Shutdown, wake: Callable[[], object]) -> tuple[Any, Any]:
    previous = signal.getsignal(number)
    if not callable(previous) or previous is signal.default_int_handler:
        return None, previous

    def ours(signal_number: int, frame: FrameType | None) -> None:
        shutdown.take(partial(previous, signal_number, frame))
        wake()

    signal.signal(number, ours)
    return ours, previous


def _waker(function: Callable[[], None]) -> Callable[[], object]:
    """Return a function for signal handlers that schedules ``function`` on the event loop."""
    if running_library() == "asyncio":
        return partial(asyncio.get_running_loop().call_soon_threadsafe, function)
    token = sys.modules["trio"].lowlevel.current_trio_token()
    return partial(token.run_sync_soon, function)
