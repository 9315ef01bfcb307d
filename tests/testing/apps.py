"""Applications without wampasgi for the test client to connect to, and constants of its tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from starlette.types import Receive, Scope, Send

from wampasgi.types import ASGIApp

Backend = Literal["asyncio", "trio"]

#: A short timeout, in seconds, for messages that must not arrive.
SOON = 0.1

WELCOME = '[2, 7, {"roles": {"broker": {}, "dealer": {}}}]'


def scripted(*answers: str | None, close: int | None = None) -> ASGIApp:
    """Return an app that answers each message with the next text, or not at all for None.

    Then it closes the WebSocket with the code ``close``, or returns.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "wamp.2.json"})
        for answer in answers:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                return
            if answer is not None:
                await send({"type": "websocket.send", "text": answer})
        if close is not None:
            await send({"type": "websocket.close", "code": close, "reason": "that was all"})

    return app


@contextmanager
def no_threads_left(patience: float = 5) -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + patience
    # A thread can start another one before it ends.
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        left.pop().join(max(deadline - time.monotonic(), 0))
    assert not left
