"""One connection of a client, from HELLO to its end."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio
from anyio import to_thread

from wampasgi.adapters import TaskOwner
from wampasgi.client.core import Recipient, SessionCore, features_of, hello_details
from wampasgi.client.credentials import SLOW_METHODS, Credentials, Login, checked
from wampasgi.client.errors import ConnectFailed, JoinRefused
from wampasgi.client.waiting import Sendable
from wampasgi.client.wire import Wire, WireClosed
from wampasgi.errors import (
    GOODBYE_AND_OUT,
    PROTOCOL_VIOLATION,
    UNAVAILABLE,
    ConfigurationError,
    ConnectionClosed,
    RemoteProtocolError,
    UnserializableValue,
)
from wampasgi.logs import logger_named
from wampasgi.protocol.messages import Abort, Challenge, Goodbye, Interrupt, Invocation, Message, Welcome
from wampasgi.protocol.requests import Request
from wampasgi.protocol.states import SessionState
from wampasgi.types import RawMessage

if TYPE_CHECKING:
    from wampasgi.serializers.base import Encoded

logger = logger_named("wampasgi.client")


class Running(Protocol):
    """An invocation that is running."""

    def cancel(self) -> None:
        """Cancel its handler."""

    def add(self, message: Invocation) -> None:
        """Take further arguments."""


class Link:
    """One connection. ``owner`` runs its tasks, which end with it.

    ``core`` makes the messages that ``send`` and ``send_nowait`` take.
    """

    def __init__(self, wire: Wire, owner: TaskOwner) -> None:
        self.core: SessionCore[Recipient] = SessionCore()
        self.owner = owner
        #: The running invocations, by INVOCATION.Request.
        self.running: dict[int, Running] = {}
        self.welcome: Welcome
        #: Set when the router has answered HELLO with a challenge.
        self.challenged = False
        #: The features that the router has announced.
        self.dealer_features: frozenset[str] = frozenset()
        self.broker_features: frozenset[str] = frozenset()
        self._wire = wire
        subprotocol = wire.subprotocol
        self._encode = subprotocol.serializer.encode
        self._decode = subprotocol.serializer.decode
        self._split: Callable[[Encoded], Sequence[Encoded]] | None = (
            subprotocol.split if subprotocol.batched else None
        )
        self._put = wire.put
        # Messages that came in one frame with the last one of the opening handshake.
        self._unread: Sequence[Encoded] = ()
        #: The reason of the router's GOODBYE or ABORT, or of this side's GOODBYE.
        self.reason: str | None = None
        self.closed_by_client = False
        #: Set when no message can be sent any more.
        self.ended = False

    # Sending

    def put(self, raw: RawMessage, request: Sendable | None = None) -> Awaitable[None] | None:
        """Serialize and send a message. See ``Wire.put``.

        ``request`` must be given for a request that waits for an answer. Raises UnserializableValue, after
        withdrawing the request, and WireClosed.
        """
        try:
            encoded = self._encode(raw)
        except UnserializableValue:
            if request is not None:
                self.core.withdraw(raw[1])
            raise
        return self._put(encoded, request)

    def put_nowait(self, raw: RawMessage) -> None:
        """Send a message without waiting. Raises UnserializableValue."""
        self._wire.put_nowait(self._encode(raw))

    async def _send(self, raw: RawMessage) -> None:
        waiting = self.put(raw)
        if waiting is not None:
            await waiting

    # The opening handshake

    async def join(
        self, realm: str, credentials: Credentials, details: dict[str, Any], timeout: float | None
    ) -> Welcome:
        """Open the session and return WELCOME.

        Raises JoinRefused, WireClosed, TimeoutError without text, RemoteProtocolError, ConnectFailed if
        ``on_challenge`` fails, and ConfigurationError if the router demands other credentials.
        """
        login = Login(credentials)
        hello = hello_details({**login.details(), **details})
        try:
            with anyio.fail_after(timeout):
                await self._send(self.core.hello(realm, hello))
                while True:
                    message = await self._next()
                    if isinstance(message, Welcome):
                        login.check(message)
                        self.welcome = message
                        self.dealer_features = features_of(message, "dealer")
                        self.broker_features = features_of(message, "broker")
                        return message
                    if isinstance(message, Abort):
                        text = message.details.get("message") or ""
                        raise JoinRefused(message.reason, str(text), realm=realm, details=message.details)
                    assert isinstance(message, Challenge)
                    self.challenged = True
                    signature, extra = await _answer(login, message)
                    await self._send(self.core.authenticate(signature, extra))
        except RemoteProtocolError as error:
            await self._abort(error)
            raise

    async def _next(self) -> Message:
        """Return the next message of the opening handshake."""
        if not self._unread:
            frame = await self._wire.receive()
            self._unread = (frame,) if self._split is None else self._split(frame)
        encoded, *self._unread = self._unread
        _, message = self.core.receive(self._decode(encoded))
        return message

    # The session

    async def run(self) -> None:
        """Handle the router's messages until the connection or the session ends.

        Returns after GOODBYE or ABORT, with ``reason``; then call ``close``. Raises WireClosed,
        RemoteProtocolError after this side has aborted the session, and any exception of a recipient, which
        would be a bug.
        """
        try:
            unread, self._unread = self._unread, ()
            for encoded in unread:
                self._received(encoded)
            await self._wire.run(self._received if self._split is None else self._received_batch)
        except _Over:
            pass
        except RemoteProtocolError as error:
            await self._abort(error)
            raise

    def _received_batch(self, frame: Encoded) -> None:
        assert self._split is not None
        for encoded in self._split(frame):
            self._received(encoded)

    def _received(self, encoded: Encoded) -> None:
        recipient, message = self.core.receive(self._decode(encoded))
        if recipient is not None:
            recipient.receive(message)
        elif isinstance(message, Invocation):
            text = "the callee has ended the registration"
            self.put_nowait(self.core.error(message.request_id, UNAVAILABLE, [text], {}))
        elif isinstance(message, Interrupt):
            running = self.running.get(message.request_id)
            if running is not None:
                running.cancel()
        elif isinstance(message, Goodbye):
            self._take_goodbye(message)
            raise _Over
        elif isinstance(message, Abort):
            self.reason = message.reason
            raise _Over

    def _take_goodbye(self, message: Goodbye) -> None:
        if self.core.state is SessionState.SHUTTING_DOWN:
            self.reason = message.reason
            self.put_nowait(self.core.goodbye(GOODBYE_AND_OUT))

    def say_goodbye(self, reason: str) -> None:
        """Send GOODBYE. ``run`` returns when the router has answered it."""
        if self.core.state is SessionState.ESTABLISHED:
            self.closed_by_client = True
            self.reason = reason
            self.put_nowait(self.core.goodbye(reason))

    async def _abort(self, error: RemoteProtocolError) -> None:
        """Tell the router what it has done wrong, and close the connection."""
        abort = self.core.abort(PROTOCOL_VIOLATION, error.message)
        with anyio.move_on_after(_CLOSE_TIMEOUT):
            try:
                await self._send(abort)
                await self._wire.close()
            except WireClosed:
                return

    async def close(self) -> None:
        """Close the connection of a session that is over."""
        with anyio.move_on_after(_CLOSE_TIMEOUT):
            await self._wire.close()

    async def abandon(self) -> None:
        """Close the connection without GOODBYE, because the router does not answer."""
        with anyio.move_on_after(_CLOSE_TIMEOUT):
            await self._wire.close(_ABANDONED)

    def end(self) -> list[Request[Recipient]]:
        """Let all further messages fail, cancel the handlers, and return the unanswered requests."""
        self._put, self.ended = _put_nothing, True
        for running in self.running.values():
            running.cancel()
        return self.core.end()

    def closed(self) -> ConnectionClosed:
        """Return the error for requests that the end of the session has left unanswered."""
        return ConnectionClosed(self.reason or "", closed_by="client" if self.closed_by_client else "server")


class _Over(Exception):
    """Raised to stop reading after the last message of a session."""


_CLOSE_TIMEOUT: Final = 2.0
#: The WebSocket close code for an endpoint that cannot go on (RFC 6455, section 7.4.1).
_ABANDONED: Final = 1011


def _put_nothing(message: Encoded, request: Sendable | None = None) -> Awaitable[None] | None:
    raise WireClosed("the connection has ended")


async def _answer(login: Login, challenge: Challenge) -> tuple[str, dict[str, Any]]:
    answering = partial(login.answer, challenge)
    try:
        if challenge.method in SLOW_METHODS:
            answer = await to_thread.run_sync(answering, abandon_on_cancel=True)
        else:
            answer = answering()
        if isinstance(answer, tuple):
            return answer
        assert inspect.isawaitable(answer)
        return checked(await answer)
    except (RemoteProtocolError, ConfigurationError):
        raise
    except Exception as error:
        # Of the application's function, which may need another service.
        logger.exception("on_challenge failed for %r", challenge.method)
        raise ConnectFailed(f"on_challenge failed: {type(error).__name__}: {error}") from error
