"""Learning of the server's shutdown while sessions can still be told.

ASGI servers close every WebSocket before they send ``lifespan.shutdown``, so then it is too late for GOODBYE.
What comes early enough is the signal itself, as long as the server does not hear of it first.
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
    """That the process is told to stop: ``signalled`` is set, and the server learns of it by ``pass_on``.

    A server begins to close its WebSockets within one turn of its event loop, so what is to be said before
    has to be said before its signal handlers run.
    """

    def __init__(self) -> None:
        self.signalled = anyio.Event()
        self._waiting: list[Callable[[], object]] = []
        self._passed_on = False

    def pass_on(self) -> None:
        """Run the server's handlers for the signals that have come; those that come later run at once."""
        self._passed_on = True
        while self._waiting:
            self._waiting.pop(0)()

    def take(self, handler: Callable[[], object]) -> None:
        """Let the server's handler wait for ``pass_on``; at a second signal nobody wants to wait."""
        self._waiting.append(handler)
        if self._passed_on or len(self._waiting) > 1:
            self.pass_on()


@contextmanager
def shutdown_signalled() -> Iterator[Shutdown]:
    """Tell when the process is told to stop, before the server knows.

    The signal handlers that the server installed run at ``pass_on``, or on leaving; where it installed none,
    or the event loop isn't in the main thread, nothing is ever signalled.
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
    """A function for signal handlers that has ``function`` run by the event loop soon."""
    if running_library() == "asyncio":
        return partial(asyncio.get_running_loop().call_soon_threadsafe, function)
    token = sys.modules["trio"].lowlevel.current_trio_token()
    return partial(token.run_sync_soon, function)
