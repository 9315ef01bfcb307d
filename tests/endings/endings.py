"""The ways in which a session can end, and what the client sees of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, get_args

import anyio
from anyio.lowlevel import checkpoint

from tests.endings.moments import (
    BeforeHello,
    BetweenTwoReports,
    Challenged,
    Idle,
    IdleWithoutHandlers,
    InCall,
    InGatekeeper,
    InLifespanHandler,
    InOverflowHandler,
    InSubscriber,
    MessagesQueued,
    Moment,
    WelcomeIsSent,
)
from tests.endings.stage import NEWS, Stage
from tests.specification import ABORT, CALL, ERROR, GOODBYE, RESULT
from wampasgi import Session

OUT, CLOSED, KILLED = "wamp.close.goodbye_and_out", "wamp.close.close_realm", "wamp.close.killed"
SHUTDOWN, TIMEOUT = "wamp.close.system_shutdown", "wamp.error.timeout"
VIOLATION, TOO_LARGE = "wamp.error.protocol_violation", "wamp.error.payload_size_exceeded"
OVER = "com.example.error.over"

BROKE_BEFORE, BROKE = "a client from %s broke the protocol: %s", "%r broke the protocol and is aborted: %s"
LOGIN_FAILED = "authentication failed from %s on realm %s: authid %s, method %s, reason %s"
NOT_IN_TIME = "a client from %s did not open a session in time"
TOO_SLOW = "%s is ended: its client reads too slowly"

How = Literal["said goodbye", "closed", "gone"]
_HOW: tuple[How, ...] = get_args(How)


@dataclass(frozen=True)
class Outcome:
    """The end as the client sees it: the last message, if any, and whether the WebSocket is closed or ready.

    ``logged`` are the format strings of the warnings and errors that come with it.
    """

    how: How
    word: tuple[int, str] | None = None
    logged: tuple[str, ...] = ()


class Ending:
    """One way to end a session."""

    #: True if the client causes it. The server notices only when it reads the session.
    by_client: bool = False
    #: True if it interrupts whatever an open session waits for, even if the session is not being read.
    interrupts: bool = False
    #: The same for a session that is being opened.
    interrupts_handshake: bool = False
    #: True if it ends the partner's session, too.
    of_all: bool = False
    #: True if it closes the connection, so that no other session can follow.
    closes_connection: bool = False
    #: True if it shuts the gate of the stage.
    needs_gate: bool = False
    #: True if it applies only to sessions that have joined their realm, or only to those that have not.
    of_joined: ClassVar[bool] = False
    of_joining: ClassVar[bool] = False
    #: True if testaments are published.
    testaments: ClassVar[bool] = True
    #: True if it happens inside the application code that runs at the moment.
    is_inside: ClassVar[bool] = False
    limits: ClassVar[dict[str, Any]] = {}
    #: Further arguments of the Application.
    options: ClassVar[dict[str, Any]] = {}

    @property
    def parts(self) -> tuple[Ending, ...]:
        """The single endings that it consists of."""
        return (self,)

    def __str__(self) -> str:
        return type(self).__name__

    def prepare(self, stage: Stage) -> None:
        """Prepare the stage before anything is connected."""

    async def happen(self, stage: Stage) -> None:
        """End the session."""
        raise NotImplementedError

    async def inside(self, session: Session) -> None:
        """End the session from inside the application code."""

    def outcome(self, moment: type[Moment]) -> Outcome:
        """Return the expected outcome."""
        raise NotImplementedError

    def outcomes(self, moment: type[Moment]) -> list[Outcome]:
        """Return the possible outcomes; there are several if two endings race."""
        return [self.outcome(moment)]

    async def settled(self, stage: Stage) -> None:
        """Wait until the ending has answered everybody else."""


def _before_welcome(moment: type[Moment], reason: str, logged: str) -> Outcome:
    """Return the end of a session that the server does not open; a login that had begun has failed."""
    failed = (LOGIN_FAILED,) if moment is Challenged else ()
    return Outcome("closed", (ABORT, reason), (*failed, logged))


# By the client


class Disconnect(Ending):
    by_client = closes_connection = True

    async def happen(self, stage: Stage) -> None:
        stage.gate.lose()
        await stage.websocket.disconnect()

    def outcome(self, moment: type[Moment]) -> Outcome:
        return Outcome("gone")


class ClientGoodbye(Ending):
    by_client = True

    async def happen(self, stage: Stage) -> None:
        stage.said_goodbye = True
        await stage.websocket.send(GOODBYE, {}, CLOSED)

    def outcome(self, moment: type[Moment]) -> Outcome:
        if moment in (BeforeHello, Challenged) or moment.phase == "over":
            return _before_welcome(moment, VIOLATION, BROKE_BEFORE)
        return Outcome("said goodbye", (GOODBYE, OUT))


class ClientAbort(Ending):
    by_client = True

    async def happen(self, stage: Stage) -> None:
        await stage.websocket.send(ABORT, {}, OVER)

    def outcome(self, moment: type[Moment]) -> Outcome:
        return Outcome("closed")


class ProtocolViolation(Ending):
    by_client = True

    async def happen(self, stage: Stage) -> None:
        await stage.websocket.send(2, 1, {"roles": {}})

    def outcome(self, moment: type[Moment]) -> Outcome:
        before = moment in (BeforeHello, Challenged) or moment.phase == "over"
        if before:
            return _before_welcome(moment, VIOLATION, BROKE_BEFORE)
        return Outcome("closed", (ABORT, VIOLATION), (BROKE,))


# By the application


def _closed(moment: type[Moment], reason: str) -> Outcome:
    if moment.phase == "over":
        return Outcome("said goodbye")
    if moment.phase == "handshake":
        return Outcome("closed", (ABORT, reason))
    return Outcome("said goodbye", (GOODBYE, reason))


class SessionClose(Ending):
    async def happen(self, stage: Stage) -> None:
        assert stage.session is not None
        # Before WELCOME this waits until ABORT is written.
        stage.tasks.start_soon(stage.session.close)
        await checkpoint()

    def outcome(self, moment: type[Moment]) -> Outcome:
        return _closed(moment, CLOSED)


class SessionAbort(Ending):
    interrupts = True

    async def happen(self, stage: Stage) -> None:
        assert stage.session is not None
        stage.tasks.start_soon(stage.session.abort, OVER)
        await checkpoint()

    def outcome(self, moment: type[Moment]) -> Outcome:
        if moment.phase == "over":
            return Outcome("said goodbye")
        return Outcome("closed", (ABORT, OVER))


class SessionCloseInHandler(SessionClose):
    is_inside = True

    async def happen(self, stage: Stage) -> None: ...

    async def inside(self, session: Session) -> None:
        await session.close()


class SessionAbortInHandler(SessionAbort):
    is_inside = True

    async def happen(self, stage: Stage) -> None: ...

    async def inside(self, session: Session) -> None:
        await session.abort(OVER)


class CloseSessions(Ending):
    of_joined = of_all = True

    async def happen(self, stage: Stage) -> None:
        stage.tasks.start_soon(stage.app.default_realm.close_sessions)

    def outcome(self, moment: type[Moment]) -> Outcome:
        return _closed(moment, CLOSED)


class Shutdown(Ending):
    """The server ends the application's lifespan."""

    of_joined = of_all = interrupts = True

    async def happen(self, stage: Stage) -> None:
        stage.tasks.start_soon(self._shut_down, stage)

    async def _shut_down(self, stage: Stage) -> None:
        async with stage.app.lifespan():
            pass

    def outcome(self, moment: type[Moment]) -> Outcome:
        return Outcome("said goodbye" if moment.phase == "over" else "closed")

    async def settled(self, stage: Stage) -> None:
        await stage.partner.wait_served()


class ShutdownWithGoodbye(Shutdown):
    interrupts = False
    options: ClassVar[dict[str, Any]] = {"on_shutdown": "goodbye"}

    def outcome(self, moment: type[Moment]) -> Outcome:
        return Outcome("said goodbye") if moment.phase == "over" else Outcome("closed", (GOODBYE, SHUTDOWN))

    async def settled(self, stage: Stage) -> None:
        """Do nothing: the partner does not answer GOODBYE."""


# By another session


class Kill(Ending):
    of_joined = True
    procedure: ClassVar[str] = "wamp.session.kill"

    async def happen(self, stage: Stage) -> None:
        await stage.partner_calls(99, self.procedure, self.arguments(stage))

    def arguments(self, stage: Stage) -> list[Any]:
        assert stage.session is not None
        return [stage.session.id]

    def outcome(self, moment: type[Moment]) -> Outcome:
        return _closed(moment, KILLED)

    async def settled(self, stage: Stage) -> None:
        while not any(
            message[1:2] == [99] or message[1:3] == [CALL, 99] for message in stage.partner_messages
        ):
            await stage.partner_receives()
        answered = [message[0] for message in stage.partner_messages if 99 in message[1:3]]
        assert answered in ([RESULT], [ERROR])


class KillAll(Kill):
    testaments = False
    procedure = "wamp.session.kill_all"

    def arguments(self, stage: Stage) -> list[Any]:
        return []


# By a limit


class Overflow(Ending):
    of_joined = True
    interrupts = True
    needs_gate = True

    async def happen(self, stage: Stage) -> None:
        assert stage.session is not None
        stage.shut_gate()
        while stage.session.is_open:
            await stage.app.publish(NEWS)

    def outcome(self, moment: type[Moment]) -> Outcome:
        return Outcome("closed", (ABORT, TOO_LARGE), (TOO_SLOW,))


class IdleTimeout(Ending):
    of_joined = True
    limits: ClassVar[dict[str, Any]] = {"idle_timeout": 0.4}

    async def happen(self, stage: Stage) -> None: ...

    def outcome(self, moment: type[Moment]) -> Outcome:
        return _closed(moment, TIMEOUT)


class HandshakeTimeout(Ending):
    of_joining = True
    interrupts_handshake = True
    limits: ClassVar[dict[str, Any]] = {"handshake_timeout": 0.4}

    async def happen(self, stage: Stage) -> None:
        # The timeout has passed for the session, but the partner has joined already.
        await anyio.sleep(0.45)

    def outcome(self, moment: type[Moment]) -> Outcome:
        return _before_welcome(moment, TIMEOUT, NOT_IN_TIME)


# By the server


class Cancellation(Ending):
    """The server cancels the scope that the connection runs in."""

    interrupts = interrupts_handshake = closes_connection = True

    async def happen(self, stage: Stage) -> None:
        stage.connection.cancel()

    def outcome(self, moment: type[Moment]) -> Outcome:
        return Outcome("gone")


class NativeCancellation(Cancellation):
    """The server cancels the connection's task, as uvicorn does."""

    def prepare(self, stage: Stage) -> None:
        stage.runs_in_a_task_of_its_own = True

    async def happen(self, stage: Stage) -> None:
        assert stage.native is not None
        stage.native.cancel()


class TwoNativeCancellations(NativeCancellation):
    """The second cancellation comes while the first one is being handled."""

    async def happen(self, stage: Stage) -> None:
        await super().happen(stage)
        await anyio.wait_all_tasks_blocked()
        await super().happen(stage)


class TwoAtOnce(Ending):
    """Two endings, without an iteration of the event loop between them."""

    def __init__(self, *endings: Ending) -> None:
        self._parts = endings
        self.interrupts = any(ending.interrupts for ending in endings)
        self.interrupts_handshake = any(ending.interrupts_handshake for ending in endings)
        self.of_all = any(ending.of_all for ending in endings)
        self.closes_connection = any(ending.closes_connection for ending in endings)
        self.by_client = any(ending.by_client for ending in endings)
        self.needs_gate = any(ending.needs_gate for ending in endings)

    @property
    def parts(self) -> tuple[Ending, ...]:
        return self._parts

    def __str__(self) -> str:
        return "-and-".join(map(str, self.parts))

    async def happen(self, stage: Stage) -> None:
        for ending in self.parts:
            await ending.happen(stage)

    def outcomes(self, moment: type[Moment]) -> list[Outcome]:
        # Whichever came first, the client gets at most one of the messages.
        found = [outcome for ending in self.parts for outcome in ending.outcomes(moment)]
        words = [outcome.word for outcome in found] + [None]
        logged = [outcome.logged for outcome in found] + [()]
        return [Outcome(how, word, texts) for how in _HOW for word in words for texts in logged]

    async def settled(self, stage: Stage) -> None:
        for ending in self.parts:
            await ending.settled(stage)


ENDINGS: tuple[Ending, ...] = (
    Disconnect(),
    ClientGoodbye(),
    ClientAbort(),
    ProtocolViolation(),
    SessionClose(),
    SessionAbort(),
    SessionCloseInHandler(),
    SessionAbortInHandler(),
    CloseSessions(),
    Shutdown(),
    ShutdownWithGoodbye(),
    Kill(),
    KillAll(),
    Overflow(),
    IdleTimeout(),
    HandshakeTimeout(),
    Cancellation(),
)

#: For asyncio only.
NATIVE_CANCELLATIONS: tuple[Ending, ...] = (NativeCancellation(), TwoNativeCancellations())

PAIRS: tuple[Ending, ...] = (
    TwoAtOnce(SessionClose(), Disconnect()),
    TwoAtOnce(SessionClose(), ClientGoodbye()),
    TwoAtOnce(SessionClose(), ProtocolViolation()),
    TwoAtOnce(SessionClose(), Cancellation()),
    TwoAtOnce(SessionAbort(), ClientGoodbye()),
    TwoAtOnce(Kill(), Disconnect()),
    TwoAtOnce(Overflow(), SessionClose()),
    TwoAtOnce(Shutdown(), ClientAbort()),
    TwoAtOnce(ClientGoodbye(), Disconnect()),
    TwoAtOnce(Cancellation(), Disconnect()),
)


#: Moments that last long enough for the idle timeout.
_IDLE_MOMENTS: Final = (
    WelcomeIsSent,
    Idle,
    IdleWithoutHandlers,
    InGatekeeper,
    InCall,
    BetweenTwoReports,
    InSubscriber,
    MessagesQueued,
)


def why_not(moment: type[Moment], ending: Ending) -> str | None:
    """Return the reason why this ending is impossible at this moment, or None if it is possible."""
    if ending.of_joined and moment.phase == "handshake":
        return "the session has not joined the realm yet"
    if ending.of_joining and moment.phase != "handshake":
        return "the handshake is over"
    if ending.is_inside and not moment.in_code:
        return "no code of the application runs for the session"
    if moment is BeforeHello and isinstance(ending, SessionClose | SessionAbort):
        return "there is no session"
    if isinstance(ending, Overflow):
        if moment.phase == "over":
            return "nothing is sent to the session any more"
        if moment is InOverflowHandler:
            return "events are dropped"
        if moment in (InLifespanHandler, WelcomeIsSent):
            return "the session has no subscriptions"
    if isinstance(ending, IdleTimeout):
        if moment.phase == "over":
            return "the session is not read"
        if not moment.reads:
            return "the session is not being read, so it does not count as idle"
        if moment.with_partner:
            return "the partner would be idle, too"
        if moment not in _IDLE_MOMENTS:
            return "the timeout is long, and the moment makes no difference to it"
    return None
