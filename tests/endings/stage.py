"""The stage on which a session is brought to a moment and ended: an app, the session, and a partner."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
from anyio.abc import TaskGroup

from tests.specification import CALL, EVENT, GOODBYE, REGISTER, RESULT, SUBSCRIBE
from tests.wamp_client import WAMPClient, connect
from wampasgi import Application, Identity, Limits, Session
from wampasgi.types import ASGIEvent, Receive, Scope, Send

SUBJECT = "subject"
NEWS, GUARDED, OWN_PROCEDURE = "com.example.news", "com.example.guarded", "com.example.client.own"

_PROGRESSIVE = {
    "features": {
        "progressive_call_results": True,
        "progressive_call_invocations": True,
        "call_canceling": True,
    }
}
#: The roles that both clients announce.
ROLES: dict[str, Any] = {"publisher": {}, "subscriber": {}, "caller": _PROGRESSIVE, "callee": _PROGRESSIVE}

Inside = Callable[[Session], Awaitable[None]]


class Gate:
    """A gate in the server's ``send``, which is shut while the client does not read."""

    def __init__(self) -> None:
        self._open = anyio.Event()
        self._open.set()
        self._gone = False
        #: Set when a message waits at the gate.
        self.blocked = anyio.Event()

    def shut(self) -> None:
        if self._open.is_set():
            self._open = anyio.Event()

    def open(self) -> None:
        self._open.set()

    def lose(self) -> None:
        """Lose the client: waiting sends fail, as with every ASGI server."""
        self._gone = True
        self._open.set()

    async def passed(self) -> None:
        if not self._open.is_set():
            self.blocked.set()
            await self._open.wait()
            if self._gone:
                raise OSError("the client is gone")


class Stage:
    """An app with one session that is to end, and a second one, the partner's.

    The application code counts by name the parts that it has ``begun`` and ``ended``; at the end the counts
    must be equal. ``inside`` is called by the application code that runs at the moment. If it is not
    ``gated``, the app gets the server's own ``send``, and the gate must not be shut.
    """

    def __init__(self, limits: dict[str, Any], *, inside: Inside, gated: bool = True, **options: Any) -> None:
        limits = {"outbound_messages": 10, "close_timeout": 3.0, **limits}
        self.app = Application(limits=Limits(**limits), **options)
        self.begun: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.testaments: list[Any] = []
        self.gate = Gate()
        self._gated = gated
        #: Set when the application code has reached the moment; it continues when ``released`` is set.
        self.reached = anyio.Event()
        self.released = anyio.Event()
        self._inside = inside
        #: The session that is to end, once the application code has seen it.
        self.session: Session | None = None
        #: The cancel scope in which the server runs the connection.
        self.connection = anyio.CancelScope()
        self.native: asyncio.Task[None] | None = None
        self.runs_in_a_task_of_its_own = False
        self.shut_down = anyio.Event()
        self.tasks: TaskGroup
        self.websocket: WAMPClient
        self.partner: WAMPClient
        #: The messages that the client received after the moment, in order, without EVENTs.
        self.messages: list[list[Any]] = []
        #: The messages that the partner received.
        self.partner_messages: list[list[Any]] = []
        self.request_id = 0
        #: The number of calls that the two clients have made.
        self.calls = 0
        #: The authid of the session whose testament must be published.
        self.left_testament: str | None = None

    # Application code

    async def pause(self, session: Session) -> None:
        """Report that the moment has come, and wait until it is over."""
        if self.reached.is_set() or session.authid != SUBJECT:
            return
        self.session = session
        self.reached.set()
        await self._inside(session)
        await self.released.wait()

    async def identify(self, session: Session) -> Identity | None:
        """Accept the authid that the client claims."""
        if session.authid == SUBJECT:
            self.session = session
        return Identity(authid=session.authid, authrole="user")

    def add_handlers(self) -> None:
        """Give every session handlers that must end with it."""
        app = self.app

        async def lifespan(session: Session) -> AsyncIterator[None]:
            self.begun["lifespan"] += 1
            yield
            self.ended["lifespan"] += 1

        async def guarded(session: Session) -> AsyncIterator[None]:
            self.begun["gatekeeper"] += 1
            yield
            self.ended["gatekeeper"] += 1

        app.add_session_lifespan_handler(lifespan)
        app.topic(GUARDED)(guarded)

    # The client

    async def join(self, **details: Any) -> None:
        """Join, subscribe, register, and leave a testament."""
        await self.websocket.join(authid=SUBJECT, roles=ROLES, **details)
        assert (await self.ask(SUBSCRIBE, {}, NEWS))[0] == SUBSCRIBE + 1
        if self.begun["lifespan"]:
            assert (await self.ask(SUBSCRIBE, {}, GUARDED))[0] == SUBSCRIBE + 1
        assert (await self.ask(REGISTER, {}, OWN_PROCEDURE))[0] == REGISTER + 1
        gone = ["com.example.gone", [], {}]
        assert (await self.ask(CALL, {}, "wamp.session.add_testament", gone))[0] == RESULT
        self.left_testament = SUBJECT

    def find_session(self) -> None:
        """Find the session that is to end among the realm's, if the application code has not seen it."""
        for session in self.app.default_realm.sessions.values():
            if session.authid == SUBJECT:
                self.session = session

    async def ask(self, code: int, *rest: Any) -> list[Any]:
        await self.request(code, *rest)
        return await self.websocket.receive()

    async def request(self, code: int, *rest: Any) -> None:
        self.request_id += 1
        self.calls += code == CALL
        await self.websocket.send(code, self.request_id, *rest)

    async def wait_reached(self) -> None:
        with anyio.fail_after(5):
            await self.reached.wait()

    def shut_gate(self) -> None:
        """Behave like a client that does not read."""
        assert self._gated, "the app has the server's own send"
        self.gate.shut()

    def release(self) -> None:
        """Release everything that waits at the moment."""
        self.gate.open()
        self.released.set()

    # The end

    async def follow(self) -> Literal["closed", "said goodbye", "gone"]:
        """Behave like a client until the session is over, and return how it ended."""
        goodbye_sent = self.said_goodbye
        while True:
            event = await self._next_event()
            if event is None:
                return "gone"
            if event["type"] == "websocket.close":
                return "closed"
            message: list[Any] = json.loads(event["text"])
            if message[0] == EVENT:
                continue
            self.messages.append(message)
            if message[0] == GOODBYE:
                if not goodbye_sent:
                    await self.websocket.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
                if message[2] != "wamp.close.system_shutdown":
                    return "said goodbye"

    said_goodbye = False

    async def _next_event(self) -> ASGIEvent | None:
        """Return the next event, or None if the app has returned without sending one."""
        event: ASGIEvent | None = None
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:

                async def until_served() -> None:
                    await self.websocket.served.wait()
                    if not self.websocket.arrived():
                        tasks.cancel_scope.cancel()

                tasks.start_soon(until_served)
                event = await self.websocket.receive_event()
                tasks.cancel_scope.cancel()
        return event

    async def serve(self, scope: Scope, receive: Receive, own_send: Send) -> None:
        """Act as the ASGI server of the client's connection."""

        async def send_through_gate(event: ASGIEvent) -> None:
            await self.gate.passed()
            await own_send(event)

        send = send_through_gate if self._gated else own_send
        if self.runs_in_a_task_of_its_own:
            self.native = asyncio.create_task(self._served(scope, receive, send))
            await asyncio.wait([self.native])
            if not self.native.cancelled():
                self.native.result()
        else:
            with self.connection:
                await self.app(scope, receive, send)

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Connect both clients, and let the partner join."""
        self.app.subscriber("com.example.gone")(self._take_testament)
        async with anyio.create_task_group() as self.tasks, connect(self.app) as self.partner:
            await self.partner.join(authid="partner", roles=ROLES)
            async with connect(self.serve) as self.websocket:
                try:
                    yield
                finally:
                    # For tests that fail: otherwise the handlers would wait for ever.
                    self.release()
                    self.shut_down.set()

    async def _take_testament(self, session: Session) -> None:
        self.testaments.append(session.authid)

    async def partner_calls(self, request_id: int, procedure: str, args: list[Any]) -> None:
        """Let the partner call a procedure."""
        self.calls += 1
        await self.partner.send(CALL, request_id, {}, procedure, args)

    async def partner_receives(self, *beginning: Any) -> list[Any]:
        """Return the partner's next message with this beginning; the others are stored."""
        while True:
            message = await self.partner.receive()
            self.partner_messages.append(message)
            if message[: len(beginning)] == list(beginning):
                return message
