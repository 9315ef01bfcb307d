"""Where a session is brought to a moment of its life and ended there: an app, the session, and a partner."""

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
#: What both clients announce.
ROLES: dict[str, Any] = {"publisher": {}, "subscriber": {}, "caller": _PROGRESSIVE, "callee": _PROGRESSIVE}

Inside = Callable[[Session], Awaitable[None]]


class Gate:
    """What the server's ``send`` waits at while the client does not read."""

    def __init__(self) -> None:
        self._open = anyio.Event()
        self._open.set()
        self._gone = False
        #: Set when something waits at the gate.
        self.blocked = anyio.Event()

    def shut(self) -> None:
        if self._open.is_set():
            self._open = anyio.Event()

    def open(self) -> None:
        self._open.set()

    def lose(self) -> None:
        """The client is gone: what waits fails, as with every ASGI server."""
        self._gone = True
        self._open.set()

    async def passed(self) -> None:
        if not self._open.is_set():
            self.blocked.set()
            await self._open.wait()
            if self._gone:
                raise OSError("the client is gone")


class Stage:
    """An app with one session that is to end, and another one beside it.

    What the application's code has ``begun`` it has to have ``ended`` as often, by name, when all is over.
    ``inside`` is what happens in the code that runs at the moment.
    """

    def __init__(self, limits: dict[str, Any], *, inside: Inside) -> None:
        self.app = Application(limits=Limits(**{"outbound_messages": 10, "close_timeout": 3.0, **limits}))
        self.begun: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.testaments: list[Any] = []
        self.gate = Gate()
        #: The app's code is at the moment; it goes on when it is ``released``.
        self.reached = anyio.Event()
        self.released = anyio.Event()
        self._inside = inside
        #: The session that is to end, as soon as the app has seen it.
        self.session: Session | None = None
        #: Cancels what the server runs the connection in.
        self.connection = anyio.CancelScope()
        self.native: asyncio.Task[None] | None = None
        self.runs_in_a_task_of_its_own = False
        self.shut_down = anyio.Event()
        self.tasks: TaskGroup
        self.websocket: WAMPClient
        self.partner: WAMPClient
        #: What the client got after the moment, in order, without EVENTs.
        self.messages: list[list[Any]] = []
        #: What the partner got.
        self.partner_messages: list[list[Any]] = []
        self.request_id = 0
        #: The calls that the two clients have made.
        self.calls = 0
        #: Whose testament is to be published.
        self.left_testament: str | None = None

    # What the application's code does

    async def here(self, session: Session) -> None:
        """Tell that the moment has come, and stay in it."""
        if self.reached.is_set() or session.authid != SUBJECT:
            return
        self.session = session
        self.reached.set()
        await self._inside(session)
        await self.released.wait()

    async def identify(self, session: Session) -> Identity | None:
        """Take the word of both clients."""
        if session.authid == SUBJECT:
            self.session = session
        return Identity(authid=session.authid, authrole="user")

    def furnish(self) -> None:
        """Give every session something that has to be ended with it."""
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
        """Look among the realm's for the session that is to end, where the app's code has not seen it."""
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

    def release(self) -> None:
        """Let go on whatever waits at the moment."""
        self.gate.open()
        self.released.set()

    # The end

    async def follow(self) -> Literal["closed", "said goodbye", "gone"]:
        """Behave as a client does until the session is over, and tell how it came to be so."""
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
        """What comes next, None where the app has returned and nothing does."""
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

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be the ASGI server of the subject's connection."""

        async def send_through_gate(event: ASGIEvent) -> None:
            await self.gate.passed()
            await send(event)

        if self.runs_in_a_task_of_its_own:
            self.native = asyncio.create_task(self._served(scope, receive, send_through_gate))
            await asyncio.wait([self.native])
            if not self.native.cancelled():
                self.native.result()
        else:
            with self.connection:
                await self.app(scope, receive, send_through_gate)

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Both clients are connected, and the partner has joined."""
        self.app.subscriber("com.example.gone")(self._take_testament)
        async with anyio.create_task_group() as self.tasks, connect(self.app) as self.partner:
            await self.partner.join(authid="partner", roles=ROLES)
            async with connect(self.serve) as self.websocket:
                try:
                    yield
                finally:
                    # The shield of its own is for tests that fail.
                    self.release()
                    self.shut_down.set()

    async def _take_testament(self, session: Session) -> None:
        self.testaments.append(session.authid)

    async def partner_calls(self, request_id: int, procedure: str, args: list[Any]) -> None:
        """Let the partner call something."""
        self.calls += 1
        await self.partner.send(CALL, request_id, {}, procedure, args)

    async def partner_receives(self, *beginning: Any) -> list[Any]:
        """The next message of the partner that begins like this; the others are kept."""
        while True:
            message = await self.partner.receive()
            self.partner_messages.append(message)
            if message[: len(beginning)] == list(beginning):
                return message
