"""A WebSocket on asyncio whose messages are handled as they arrive, without a task in between.

A task that reads would be woken for each message, and then wake the task that waits for the answer. Each of
them takes a turn of the event loop, which costs more than handling the message.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from wampasgi.adapters import TaskOwner
from wampasgi.client.waiting import Sendable
from wampasgi.client.websocket_errors import closed
from wampasgi.client.wire import WireClosed
from wampasgi.serializers.base import Encoded
from wampasgi.serializers.subprotocols import Subprotocol

_WHOLE: Final = frozenset({Opcode.TEXT, Opcode.BINARY})
_DATA: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


class DispatchingConnection(ClientConnection):
    """A connection that can pass messages to a function instead of queueing them for ``recv``.

    If websockets does not call ``process_event`` any more, all messages are queued, which is only slower.
    """

    _received: Callable[[Encoded], None] | None = None
    _failed: asyncio.Future[None] | None = None
    # The number of messages that are queued, or are being assembled from fragments. Later ones must not
    # overtake them.
    _queued = 0

    def dispatch(self, received: Callable[[Encoded], None]) -> asyncio.Future[None]:
        """Pass all further messages to ``received``, unless some are queued.

        Returns a future that gets the exception of ``received``, after which messages are ignored.
        """
        self._received = received
        self._failed = self.loop.create_future()
        return self._failed

    def process_event(self, event: Any) -> None:
        """Handle a frame of the server."""
        if isinstance(event, Frame) and event.opcode in _DATA:
            if self._received is not None and not self._queued and event.fin and event.opcode in _WHOLE:
                try:
                    data = bytes(event.data)
                    self._pass_on(data.decode() if event.opcode is Opcode.TEXT else data)
                except UnicodeDecodeError:
                    # ``recv`` fails the connection as the specification says.
                    super().process_event(event)
                return
            if event.opcode is not Opcode.CONT:
                self._queued += 1
        super().process_event(event)

    def taken(self) -> None:
        """Note that a message from the queue was handled."""
        self._queued -= 1

    def _pass_on(self, message: Encoded) -> None:
        assert self._received is not None
        assert self._failed is not None
        if self._failed.done():
            return
        try:
            self._received(message)
        except Exception as error:  # noqa: BLE001 - raised by the wire
            self._failed.set_exception(error)
            # asyncio logs exceptions that nobody retrieves, and the wire may be cancelled before.
            self._failed.exception()


async def _ignoring_end(waiting: Awaitable[None]) -> None:
    with suppress(WireClosed):
        await waiting


async def _rest(sending: Coroutine[Any, Any, None], waiting: Any) -> None:
    """Wait for the end of a coroutine that has been started."""
    try:
        await _continued(sending, waiting)
    except ConnectionClosed as error:
        raise closed(error) from error


@types.coroutine
def _continued(sending: Coroutine[Any, Any, None], waiting: Any) -> Generator[Any, Any, None]:
    try:
        while True:
            try:
                sent = yield waiting
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - it is the coroutine's
                waiting = sending.throw(error)
            else:
                waiting = sending.send(sent)
    except StopIteration:
        return
    finally:
        sending.close()


class DirectWire:
    """A WebSocket on asyncio. Sending writes to the buffer of the transport before it waits for anything."""

    def __init__(self, socket: DispatchingConnection, subprotocol: Subprotocol, owner: TaskOwner) -> None:
        self._socket = socket
        self._owner = owner
        self.subprotocol = subprotocol

    def put(self, message: Encoded, request: Sendable | None = None) -> Awaitable[None] | None:
        """Send a message, and return an awaitable if the transport's buffer is full."""
        if request is not None:
            request.sent = self._socket.state is State.OPEN
        sending = self._socket.send(message)
        try:
            waiting = sending.send(None)
        except StopIteration:
            return None
        except ConnectionClosed as error:
            raise closed(error) from error
        # The transport has the message. What it waits for now is a future of asyncio.
        return _rest(sending, waiting)

    def put_nowait(self, message: Encoded) -> None:
        """Send a message without waiting."""
        with suppress(WireClosed):
            waiting = self.put(message)
            if waiting is not None:
                # It must not be dropped, because websockets waits in an async generator.
                self._owner.spawn(_ignoring_end, waiting)

    async def receive(self) -> Encoded:
        """Return the next frame."""
        frame = await self._queued()
        self._socket.taken()
        return frame

    async def _queued(self) -> Encoded:
        try:
            frame: Encoded = await self._socket.recv()
        except ConnectionClosed as error:
            raise closed(error) from error
        return frame

    async def run(self, received: Callable[[Encoded], None]) -> None:
        """Pass all frames to ``received``."""
        failed = self._socket.dispatch(received)
        while True:
            # Only fragmented messages are received this way, and the end of the connection.
            receiving = asyncio.ensure_future(self._queued())
            try:
                await asyncio.wait((receiving, failed), return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not receiving.done():
                    receiving.cancel()
                    await asyncio.wait((receiving,))
            if failed.done():
                failed.result()
            received(await receiving)
            # Only now, because a message that arrived before this one was handled would overtake it.
            self._socket.taken()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close with a closing handshake."""
        await self._socket.close(code, reason)
