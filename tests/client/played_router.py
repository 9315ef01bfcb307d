"""A router that a test plays with one script for each connection, and the states of the client's session."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio

from tests.client.scripted_router import Peer, ScriptedRouter
from tests.specification import (
    GOODBYE,
    GOODBYE_AND_OUT,
    UNREGISTER,
    UNREGISTERED,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
)
from wampasgi.client import Client, Retry, connect

QUICK = Retry(initial=0.01, maximum=0.05)


class States:
    """Records the states of a session, as its ``on_state``."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._changed = anyio.Event()

    def __call__(self, state: str) -> None:
        self.seen.append(state)
        self._changed.set()
        self._changed = anyio.Event()

    async def wait_for(self, count: int, state: str) -> None:
        """Wait until a state was entered for the n-th time."""
        with anyio.fail_after(20):
            while self.seen.count(state) < count:
                await self._changed.wait()


class Play:
    """A router that plays one script for each connection in turn."""

    def __init__(self, *scripts: Callable[[Peer], Awaitable[None]]) -> None:
        self._scripts = scripts
        self.router = ScriptedRouter(self._play)
        self.states = States()
        #: Set at the end of the last script.
        self.done = anyio.Event()
        # The messages of the client after the end of each script, except those that are answered here.
        self._rest: list[list[Any]] = []

    async def _play(self, peer: Peer) -> None:
        await peer.welcome(peer.number)
        await self._scripts[peer.number - 1](peer)
        if peer.number == len(self._scripts):
            self.done.set()
        while True:
            message = await peer.receive()
            if message[0] == UNSUBSCRIBE:
                await peer.send(UNSUBSCRIBED, message[1])
            elif message[0] == UNREGISTER:
                await peer.send(UNREGISTERED, message[1])
            elif message[0] == GOODBYE:
                await peer.send(GOODBYE, {}, GOODBYE_AND_OUT)
            else:
                self._rest.append(message)

    def connect(self, **options: Any) -> Client:
        """Return a client of this router that reconnects quickly."""
        return connect(app=self.router, retry=QUICK, on_state=self.states, **options)

    async def finish(self) -> None:
        """Wait for the end of the last script."""
        with anyio.fail_after(5):
            await self.done.wait()

    def check(self) -> None:
        """Check that the client has sent what the scripts expected, and nothing else."""
        assert not self.router.failures
        assert self._rest == []


@contextmanager
def warning_event() -> Iterator[anyio.Event]:
    """Return an event that is set when the client logs a warning."""
    event, logger = anyio.Event(), logging.getLogger("wampasgi.client")

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            event.set()

    handler = Handler(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield event
    finally:
        logger.removeHandler(handler)
