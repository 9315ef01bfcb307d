"""The reader of an open session, which keeps requests in order and always notices the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias, cast

from anyio.lowlevel import checkpoint

from wampasgi.adapters import TaskOwner
from wampasgi.configuration.plan import RealmPlan
from wampasgi.errors import (
    GOODBYE_AND_OUT,
    RUNTIME_ERROR,
    TIMEOUT,
    InvalidRequest,
    RemoteProtocolError,
    UnsupportedValue,
)
from wampasgi.logs import about, escaped, logger_named
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.peers.transport import Disconnected
from wampasgi.protocol.messages import (
    Abort,
    Call,
    Goodbye,
    Message,
    Publish,
    Register,
    Subscribe,
    Unregister,
    Unsubscribe,
)
from wampasgi.protocol.refusals import rejection
from wampasgi.sessions.backlog import Backlog
from wampasgi.sessions.in_flight import CallsInFlight
from wampasgi.sessions.pacing import Pace

logger = logger_named("wampasgi.session")

#: The function for each message code, called with the loop and the message. It may return an awaitable, to be
#: awaited before the next request is handled.
Handlers: TypeAlias = Mapping[int, Callable[[Any, Any], Awaitable[None] | None]]

#: The messages that wait while an earlier one keeps the session busy. All others are handled at once.
_REQUESTS: Final = frozenset(
    (Call.code, Publish.code, Subscribe.code, Unsubscribe.code, Register.code, Unregister.code)
)
_LAST: Final = (Goodbye.code, Abort.code)


class Loop(Protocol):
    """The message loop of a session, as its reader sees it."""

    @property
    def handlers(self) -> Handlers:
        """The functions that handle the messages."""

    def refuse(self, error: InvalidRequest) -> None:
        """Answer an invalid message, whose request or invocation is known, with ERROR."""

    def outlasts_session(self, message: Message) -> bool:
        """Return whether a request has an effect beyond the session."""

    def lift_limits(self) -> None:
        """Let no limit delay the last requests of the session."""


class MessageReader:
    """Reads the messages of one session and passes them to the handlers of ``loop``.

    While a request keeps the session busy, further requests are held in a queue, and the session is read on:
    CANCEL, the client's answers and the end of the session do not wait. Only when the queue is full, reading
    pauses. If the session ends meanwhile, the held requests that have an effect beyond it are still handled.
    """

    __slots__ = (
        "_backlog",
        "_busy",
        "_in_flight",
        "_loop",
        "_pace",
        "_peer",
        "_plan",
        "_requests",
        "_session",
    )

    def __init__(
        self,
        session: Session,
        peer: Peer,
        plan: RealmPlan,
        requests: TaskOwner,
        in_flight: CallsInFlight,
        loop: Loop,
    ) -> None:
        self._session = session
        self._peer = peer
        self._plan = plan
        self._requests = requests
        self._in_flight = in_flight
        self._loop = loop
        self._busy = False
        self._backlog: Backlog | None = None
        self._pace: Pace | None = None

    def read(self) -> Awaitable[None]:
        """Return an awaitable that reads until the session ends."""
        # Not a coroutine itself, because its frame would take memory as long as the session lasts. The idle
        # timeout starts here, because messages that came before have not been read.
        self._pace = pace = Pace.of(self._peer, self._plan.limits)
        return self._read_messages() if pace is None else self._read_until_idle(pace)

    async def _read_until_idle(self, pace: Pace) -> None:
        with pace.scope as idle:
            await self._read_messages()
        if not idle.cancelled_caught:
            return
        if self._peer.ending is None:
            text = f"no message within the limit idle_timeout of {self._plan.limits.idle_timeout} s"
            logger.info("%r is closed: %s", self._session, text, extra=about(self._session))
            self._peer.say_goodbye(TIMEOUT, text)
        # The wait for the client's GOODBYE has a timeout of its own.
        self._pace = None
        await self._read_messages()

    async def _read_messages(self) -> None:
        peer, on, loop, pace = self._peer, self._loop.handlers, self._loop, self._pace
        source = peer.source if pace is None else None
        receive_event, read, turn = peer.receive_event, peer.read, peer.turn
        while peer.ending is None or not peer.finished:
            turn.left -= 1
            if turn.left <= 0:
                await checkpoint()
                turn.begin()
            try:
                if source is not None:
                    message = self._left(await source.receive_with(self))
                else:
                    message = read(await receive_event()) if pace is None else await pace.receive()
                # Messages between our GOODBYE and the client's are ignored.
                if peer.ending is None or message.code in _LAST:
                    if self._busy:
                        await self._handle_while_busy(message)
                        continue
                    waiting = on[message.code](loop, message)
                    if waiting is not None:
                        self._begin_backlog(message, waiting)
            except Disconnected:
                await self._finish_backlog()
                peer.cut(GOODBYE_AND_OUT, ended_by="client")
            except Exception as error:  # noqa: BLE001 - answered, or logged
                failure = self._refuse(error)
                if failure is not None:
                    await self._finish_backlog()
                    self._fail(failure)

    # Messages that the transport passes on directly

    def begin_turn(self) -> None:
        """Begin the next turn of the session, because its transport was read again."""
        self._peer.turn.begin()

    def take(self, data: Any) -> object | None:
        """Handle a message while the reader waits; return what the reader has to handle itself.

        That is the data if it cannot be read now, the message if it ends the session, or an error.
        """
        peer, turn = self._peer, self._peer.turn
        turn.left -= 1
        if self._busy or turn.left <= 0 or peer.ending is not None:
            return data  # type: ignore[no-any-return]
        try:
            message = peer.read(data)
            if message.code in _LAST:
                return message
            waiting = self._loop.handlers[message.code](self._loop, message)
            if waiting is not None:
                self._begin_backlog(message, waiting)
        except Exception as error:  # noqa: BLE001 - the reader answers or logs it
            return error
        return None

    def _left(self, item: object) -> Message:
        """Return the message that ``take`` has left to the reader, or raise its error."""
        if isinstance(item, Exception):
            raise item
        return item if isinstance(item, Goodbye | Abort) else self._peer.read(cast("Any", item))

    def _refuse(self, error: Exception) -> Exception | None:
        """Answer an invalid request with ERROR; return the error if the session must end instead."""
        try:
            if isinstance(error, UnsupportedValue):
                error = rejection(error.head, error.message)
                if isinstance(error, InvalidRequest):
                    self._peer.skip(error)
            if not isinstance(error, InvalidRequest) or error.request_id is None:
                return error
            # Messages between our GOODBYE and the client's are ignored.
            if self._peer.ending is None:
                self._loop.refuse(error)
        except RemoteProtocolError as violation:
            return violation
        return None

    def _fail(self, error: Exception) -> None:
        """End the session, because a message could not be handled."""
        if isinstance(error, RemoteProtocolError):
            logger.warning(
                "%r broke the protocol and is aborted: %s",
                self._session,
                escaped(error.message),
                extra=about(self._session),
            )
            self._peer.abort(error.uri, error.message)
        else:
            logger.error(
                "%r is aborted: a message could not be handled",
                self._session,
                exc_info=error,
                extra=about(self._session),
            )
            self._peer.abort(RUNTIME_ERROR)

    # Requests that wait for an earlier one

    def _begin_backlog(self, message: Message, waiting: Awaitable[None]) -> None:
        """Hold further requests while ``waiting`` finishes the work for a message."""
        if self._backlog is None:
            self._backlog = Backlog(
                self._peer,
                self._requests,
                self._in_flight.hold_requests(),
                self._in_flight.changes,
                handle=self._handle,
                fail=self._fail,
                on_done=self._end_backlog,
            )
        self._busy = True
        if self._pace is not None:
            self._pace.set_busy(True)
        self._backlog.begin(message, waiting)

    def _handle(self, message: Message) -> Awaitable[None] | None:
        return self._loop.handlers[message.code](self._loop, message)

    async def _handle_while_busy(self, message: Message) -> None:
        if message.code in _LAST:
            await self._finish_backlog()
        elif message.code in _REQUESTS:
            pause = self._in_flight.hold(message)
            if pause is not None:
                await pause
            return
        self._handle(message)

    def _end_backlog(self) -> None:
        self._busy = False
        if self._pace is not None:
            self._pace.set_busy(False)

    async def _finish_backlog(self) -> None:
        """Handle the held requests that have an effect beyond the session, because it ends."""
        if self._busy and self._backlog is not None and self._peer.ending is None:
            self._loop.lift_limits()
            await self._backlog.finish(self._loop.outlasts_session, self._plan.limits.teardown_timeout)
