"""The moments of a session's life at which it can end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, ClassVar, Literal

import anyio
from anyio.lowlevel import checkpoint

from tests.endings.stage import NEWS, OWN_PROCEDURE, ROLES, SUBJECT, Stage
from tests.specification import CALL, CHALLENGE, GOODBYE, INVOCATION, REGISTER, SUBSCRIBE
from wampasgi import Depends, Identity, RPCProgressReport, Session

PROCEDURE, TOPIC = "com.example.procedure", "com.example.topic"


class Moment:
    """A moment in the life of a session, with an app that lets a session get there.

    ``phase`` is the phase of the session: before its WELCOME, open, or over.
    """

    phase: ClassVar[Literal["handshake", "open", "over"]] = "open"
    #: True if the session is being read. If not, actions of the client take effect only afterwards.
    reads: ClassVar[bool] = True
    #: True if the application code runs on when the session ends, because the work was accepted before.
    outlives: ClassVar[bool] = False
    #: True if application code runs at the moment, and could end the session itself.
    in_code: ClassVar[bool] = False
    #: True if the sessions have lifespan handlers and gatekeepers.
    with_handlers: ClassVar[bool] = True
    #: True if the partner is involved.
    with_partner: ClassVar[bool] = False
    #: True if it shuts the gate of the stage.
    needs_gate: ClassVar[bool] = False
    #: True if a call of the realm's own procedure is in flight.
    in_own_call: ClassVar[bool] = False
    limits: ClassVar[dict[str, Any]] = {}

    def configure(self, stage: Stage) -> None:
        """Add to the app what the moment needs."""

    async def arrive(self, stage: Stage) -> None:
        """Bring the session to the moment."""

    def prepare(self, stage: Stage) -> None:
        """Prepare the app: all clients may do everything, and get the authid that they claim."""
        if self.with_handlers:
            stage.add_handlers()
        self.authenticate(stage)
        self.authorize(stage)
        self.configure(stage)

    def authenticate(self, stage: Stage) -> None:
        stage.app.add_transport_authenticator(stage.identify)

    def authorize(self, stage: Stage) -> None:
        stage.app.allow_all()


# Before WELCOME


class BeforeHello(Moment):
    phase = "handshake"


class _Handshake(Moment):
    phase = "handshake"
    reads = False
    in_code = True

    async def arrive(self, stage: Stage) -> None:
        await stage.websocket.send(
            1, "default", {"roles": ROLES, "authid": SUBJECT, "authmethods": ["ticket"]}
        )
        await self.answer_challenge(stage)
        await stage.wait_reached()

    async def answer_challenge(self, stage: Stage) -> None:
        """Send AUTHENTICATE if there is a challenge."""


class _WithTicket(_Handshake):
    def authenticate(self, stage: Stage) -> None:
        async def partner_alone(session: Session) -> Identity | None:
            if session.authid == SUBJECT:
                stage.session = session
                return None
            return Identity(authid=session.authid)

        async def check(session: Session, ticket: str) -> Identity:
            await self.check(stage, session)
            return Identity(authid=session.authid)

        stage.app.add_transport_authenticator(partner_alone)
        stage.app.set_ticket_authenticator(check)

    async def check(self, stage: Stage, session: Session) -> None:
        """Check a ticket."""


class Challenged(_WithTicket):
    """CHALLENGE has been sent, and not been answered."""

    reads = True
    in_code = False

    async def arrive(self, stage: Stage) -> None:
        await stage.websocket.send(
            1, "default", {"roles": ROLES, "authid": SUBJECT, "authmethods": ["ticket"]}
        )
        assert (await stage.websocket.receive())[0] == CHALLENGE


class InTicketAuthenticator(_WithTicket):
    async def answer_challenge(self, stage: Stage) -> None:
        assert (await stage.websocket.receive())[0] == CHALLENGE
        await stage.websocket.send(5, "ticket", {})

    async def check(self, stage: Stage, session: Session) -> None:
        await stage.pause(session)


class InTransportAuthenticator(_Handshake):
    def authenticate(self, stage: Stage) -> None:
        async def identify(session: Session) -> Identity | None:
            await stage.pause(session)
            return await stage.identify(session)

        stage.app.add_transport_authenticator(identify)


class InAuthenticationHandler(_Handshake):
    def authenticate(self, stage: Stage) -> None:
        async def decide(session: Session) -> None:
            await stage.pause(session)
            await session.mark_authenticated(authid=session.authid)

        stage.app.set_authentication_handler(decide)


class InEarlyLifespanHandler(_Handshake):
    def configure(self, stage: Stage) -> None:
        async def early(session: Session) -> AsyncIterator[None]:
            await stage.pause(session)
            stage.begun["early"] += 1
            yield
            stage.ended["early"] += 1

        stage.app.add_session_lifespan_handler(early, authenticated_only=False)


class WelcomeIsBeingSent(_Handshake):
    """The client does not read its WELCOME."""

    needs_gate = True

    in_code = False

    async def arrive(self, stage: Stage) -> None:
        stage.shut_gate()
        await stage.websocket.send(1, "default", {"roles": ROLES, "authid": SUBJECT})
        with anyio.fail_after(5):
            await stage.gate.blocked.wait()


# The session is open


class WelcomeIsSent(Moment):
    """WELCOME has been sent, and nothing has followed it."""

    async def arrive(self, stage: Stage) -> None:
        await stage.websocket.send(1, "default", {"roles": ROLES, "authid": SUBJECT})
        assert (await stage.websocket.receive())[0] == 2


class Idle(Moment):
    async def arrive(self, stage: Stage) -> None:
        await stage.join()


class IdleWithoutHandlers(Idle):
    with_handlers = False


class InLifespanHandler(Moment):
    reads = False
    in_code = True

    def configure(self, stage: Stage) -> None:
        async def slow(session: Session) -> AsyncIterator[None]:
            await stage.pause(session)
            stage.begun["slow lifespan"] += 1
            yield
            stage.ended["slow lifespan"] += 1

        stage.app.add_session_lifespan_handler(slow)

    async def arrive(self, stage: Stage) -> None:
        await stage.websocket.join(authid=SUBJECT, roles=ROLES)
        await stage.wait_reached()


class _Joined(Moment):
    """The client has joined, and sends a request."""

    in_code = True

    async def arrive(self, stage: Stage) -> None:
        await stage.join()
        await self.request(stage)
        await stage.wait_reached()

    async def request(self, stage: Stage) -> None:
        """Send the request that leads to the moment."""
        await stage.request(CALL, {}, PROCEDURE)


class InGatekeeper(_Joined):
    def configure(self, stage: Stage) -> None:
        @stage.app.topic(TOPIC)
        async def gatekeeper(session: Session) -> AsyncIterator[None]:
            stage.begun["first part"] += 1
            try:
                await stage.pause(session)
            finally:
                stage.ended["first part"] += 1
            stage.begun["slow gatekeeper"] += 1
            yield
            stage.ended["slow gatekeeper"] += 1

    async def request(self, stage: Stage) -> None:
        await stage.request(SUBSCRIBE, {}, TOPIC)


class InGatekeeperWithoutYield(InGatekeeper):
    with_handlers = False

    def configure(self, stage: Stage) -> None:
        @stage.app.topic(TOPIC)
        async def gatekeeper(session: Session) -> None:
            stage.begun["gatekeeper"] += 1
            try:
                await stage.pause(session)
            finally:
                stage.ended["gatekeeper"] += 1


class InCall(_Joined):
    """In a handler that has not suspended before."""

    in_own_call = True

    def configure(self, stage: Stage) -> None:
        @stage.app.procedure(PROCEDURE)
        async def handler(session: Session) -> None:
            stage.begun["call"] += 1
            try:
                await self.before(session)
                await stage.pause(session)
            finally:
                stage.ended["call"] += 1

    async def before(self, session: Session) -> None:
        """Run code before the moment."""


class InCallWithoutRules(InCall):
    """A typical call: no authorizer is asked, and the sessions have no handlers."""

    with_handlers = False

    def authorize(self, stage: Stage) -> None:
        stage.app.allow("wamp.", "call", match="prefix")
        stage.app.allow(NEWS, "subscribe")
        stage.app.allow(OWN_PROCEDURE, "register", "call")
        stage.app.allow("com.example.gone", "publish")


class InCallAfterASuspension(InCall):
    async def before(self, session: Session) -> None:
        await checkpoint()


class InSessionCall(InCall):
    """The handler waits for an answer of the same client."""

    in_code = False

    async def before(self, session: Session) -> None:
        await session.call(OWN_PROCEDURE)

    async def arrive(self, stage: Stage) -> None:
        await stage.join()
        assert (await stage.ask(CALL, {}, PROCEDURE))[0] == INVOCATION


class BetweenTwoReports(_Joined):
    in_own_call = True

    def configure(self, stage: Stage) -> None:
        @stage.app.procedure(PROCEDURE)
        async def handler(session: Session) -> AsyncIterator[RPCProgressReport]:
            stage.begun["call"] += 1
            try:
                yield RPCProgressReport()
                await stage.pause(session)
                yield RPCProgressReport()
            finally:
                stage.ended["call"] += 1

    async def request(self, stage: Stage) -> None:
        await stage.request(CALL, {"receive_progress": True}, PROCEDURE)


class InDependency(_Joined):
    in_own_call = True

    def configure(self, stage: Stage) -> None:
        async def first(session: Session) -> AsyncIterator[None]:
            stage.begun["first dependency"] += 1
            try:
                yield
            finally:
                stage.ended["first dependency"] += 1

        async def second(session: Session, first: None = Depends(first)) -> AsyncIterator[None]:
            await self.before(stage, session)
            stage.begun["second dependency"] += 1
            try:
                yield
            finally:
                stage.ended["second dependency"] += 1
                await self.after(stage, session)

        @stage.app.procedure(PROCEDURE)
        async def handler(session: Session, second: None = Depends(second)) -> None:
            await self.inside(stage, session)

    async def before(self, stage: Stage, session: Session) -> None:
        await stage.pause(session)

    async def inside(self, stage: Stage, session: Session) -> None: ...

    async def after(self, stage: Stage, session: Session) -> None: ...


class InCallWithDependency(InDependency):
    async def before(self, stage: Stage, session: Session) -> None: ...

    async def inside(self, stage: Stage, session: Session) -> None:
        await stage.pause(session)


class InDependencyTeardown(InDependency):
    outlives = True

    async def before(self, stage: Stage, session: Session) -> None: ...

    async def after(self, stage: Stage, session: Session) -> None:
        await stage.pause(session)


class InSubscriber(_Joined):
    outlives = True

    def configure(self, stage: Stage) -> None:
        @stage.app.subscriber(TOPIC)
        async def handler(session: Session) -> None:
            stage.begun["subscriber"] += 1
            await stage.pause(session)
            stage.ended["subscriber"] += 1

    async def request(self, stage: Stage) -> None:
        await stage.request(16, {}, TOPIC)
        await stage.request(16, {}, TOPIC)


class InLocalSubscription(_Joined):
    """A handler that the server has subscribed at run time does not belong to a session."""

    outlives = True
    in_code = False

    def configure(self, stage: Stage) -> None:
        self._entered = anyio.Event()

    async def arrive(self, stage: Stage) -> None:
        stage.tasks.start_soon(self._subscribe, stage)
        await self._entered.wait()
        await super().arrive(stage)

    async def _subscribe(self, stage: Stage) -> None:
        async def handle() -> None:
            stage.begun["local subscription"] += 1
            stage.reached.set()
            await stage.released.wait()
            stage.ended["local subscription"] += 1

        async with stage.app.subscribe(TOPIC, handle):
            self._entered.set()
            await stage.shut_down.wait()

    async def request(self, stage: Stage) -> None:
        await stage.request(16, {}, TOPIC)


# Calls between clients


class CallerWaits(Moment):
    with_partner = True
    options: ClassVar[dict[str, Any]] = {}

    async def arrive(self, stage: Stage) -> None:
        await stage.partner.send(REGISTER, 1, {}, "com.example.partners")
        await stage.partner_receives(REGISTER + 1)
        await stage.join()
        await stage.request(CALL, self.options, "com.example.partners")
        await stage.partner_receives(INVOCATION)


class CallerWaitsForADeadline(CallerWaits):
    options: ClassVar[dict[str, Any]] = {"timeout": 60_000}


class ProgressiveCallerWaits(CallerWaits):
    options: ClassVar[dict[str, Any]] = {"progress": True, "receive_progress": True}


class CalleeIsInvoked(Moment):
    """The client has an INVOCATION of the partner's call to answer."""

    with_partner = True

    async def arrive(self, stage: Stage) -> None:
        await stage.join()
        await stage.partner_calls(1, OWN_PROCEDURE, [])
        assert (await stage.websocket.receive())[0] == INVOCATION


# Authorizers


class _InAuthorizer(_Joined):
    reads = False
    uri: ClassVar[str] = TOPIC
    message: ClassVar[tuple[Any, ...]]

    def authorize(self, stage: Stage) -> None:
        @stage.app.authorizer
        async def may(session: Session, uri: str) -> bool:
            if uri == self.uri:
                await stage.pause(session)
            return True

    async def request(self, stage: Stage) -> None:
        await stage.request(*self.message)


class InAuthorizerOfACall(_InAuthorizer):
    message = (CALL, {}, TOPIC)


class InAuthorizerOfASubscription(_InAuthorizer):
    message = (SUBSCRIBE, {}, TOPIC)


class InAuthorizerOfARegistration(_InAuthorizer):
    message = (REGISTER, {}, TOPIC)


class InAuthorizerOfAPublication(_InAuthorizer):
    message = (16, {"acknowledge": True}, TOPIC)


class InAuthorizerOfAMetaProcedure(_InAuthorizer):
    uri = "wamp.session.count"
    message = (CALL, {}, "wamp.session.count")


class InAuthorizerOfATestament(_InAuthorizer):
    message = (CALL, {}, "wamp.session.add_testament", [TOPIC, [], {}])


# A client that does not read


class MessagesQueued(Moment):
    needs_gate = True

    async def arrive(self, stage: Stage) -> None:
        await stage.join()
        stage.shut_gate()
        for _ in range(5):
            await stage.app.publish(NEWS)
        with anyio.fail_after(5):
            await stage.gate.blocked.wait()


class InOverflowHandler(Moment):
    needs_gate = True
    outlives = True
    in_code = True
    limits: ClassVar[dict[str, Any]] = {"overflow": "drop_oldest_events"}

    def configure(self, stage: Stage) -> None:
        @stage.app.on_overflow
        async def lost(session: Session) -> None:
            stage.begun["on_overflow"] += 1
            await stage.pause(session)
            stage.ended["on_overflow"] += 1

    async def arrive(self, stage: Stage) -> None:
        await stage.join()
        stage.shut_gate()
        for _ in range(30):
            await stage.app.publish(NEWS)
        stage.gate.open()
        await stage.wait_reached()


# The session is over


class InSecondPart(Moment):
    """Both sides have sent GOODBYE, and a lifespan handler has not ended yet."""

    phase = "over"
    reads = False
    outlives = True
    in_code = True

    def configure(self, stage: Stage) -> None:
        async def slow(session: Session) -> AsyncIterator[None]:
            stage.begun["slow lifespan"] += 1
            yield
            await stage.pause(session)
            stage.ended["slow lifespan"] += 1

        stage.app.add_session_lifespan_handler(slow)

    async def arrive(self, stage: Stage) -> None:
        await stage.join()
        assert (await stage.websocket.ask(GOODBYE, {}, "wamp.close.close_realm"))[0] == GOODBYE
        await stage.wait_reached()


MOMENTS: tuple[type[Moment], ...] = (
    BeforeHello,
    Challenged,
    InTicketAuthenticator,
    InTransportAuthenticator,
    InAuthenticationHandler,
    InEarlyLifespanHandler,
    WelcomeIsBeingSent,
    WelcomeIsSent,
    InLifespanHandler,
    InGatekeeper,
    InGatekeeperWithoutYield,
    Idle,
    IdleWithoutHandlers,
    InCall,
    InCallWithoutRules,
    InCallAfterASuspension,
    InSessionCall,
    BetweenTwoReports,
    InDependency,
    InCallWithDependency,
    InDependencyTeardown,
    InSubscriber,
    InLocalSubscription,
    CallerWaits,
    CallerWaitsForADeadline,
    ProgressiveCallerWaits,
    CalleeIsInvoked,
    InAuthorizerOfACall,
    InAuthorizerOfASubscription,
    InAuthorizerOfARegistration,
    InAuthorizerOfAPublication,
    InAuthorizerOfAMetaProcedure,
    InAuthorizerOfATestament,
    MessagesQueued,
    InOverflowHandler,
    InSecondPart,
)
