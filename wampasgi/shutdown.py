"""Learning of the server's shutdown while sessions can still be told.

ASGI servers close every WebSocket before they send ``lifespan.shutdown``, so then it is too late for GOODBYE.
What comes early enough is the signal itself.
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


@contextmanager
def shutdown_signalled() -> Iterator[anyio.Event]:
    """An event that is set when the process is told to stop.

    Signal handlers that the server installed run as before, after ours; where it installed none, or the
    event loop isn't in the main thread, the event is never set.
    """
    signalled = anyio.Event()
    if threading.current_thread() is not threading.main_thread():
        yield signalled
        return
    wake = _waker(signalled.set)
    replaced = {number: _chain(number, wake) for number in _SIGNALS}
    try:
        yield signalled
    finally:
        for number, (ours, previous) in replaced.items():
            if ours is not None and signal.getsignal(number) is ours:
                signal.signal(number, previous)


def _chain(number: signal.Signals, wake: Callable[[], object]) -> tuple[Any, Any]:
    previous = signal.getsignal(number)
    if not callable(previous) or previous is signal.default_int_handler:
        return None, previous

    def ours(signal_number: int, frame: FrameType | None) -> None:
        wake()
        previous(signal_number, frame)

    signal.signal(number, ours)
    return ours, previous


def _waker(function: Callable[[], None]) -> Callable[[], object]:
    """A function for signal handlers that has ``function`` run by the event loop soon."""
    if running_library() == "asyncio":
        return partial(asyncio.get_running_loop().call_soon_threadsafe, function)
    token = sys.modules["trio"].lowlevel.current_trio_token()
    return partial(token.run_sync_soon, function)
