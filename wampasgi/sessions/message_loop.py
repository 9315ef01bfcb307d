"""The message loop of an open session, with one method for each type of message."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import Any, ClassVar

import anyio
from anyio.abc import TaskGroup

from wampasgi.adapters import TaskOwner
from wampasgi.configuration.authorization import may_disclose, refusal
from wampasgi.configuration.handlers import Procedure, Topic
from wampasgi.configuration.plan import RealmPlan
from wampasgi.errors import (
    FEATURE_NOT_SUPPORTED,
    GOODBYE_AND_OUT,
    INVALID_ARGUMENT,
    RUNTIME_ERROR,
    UNAVAILABLE,
    InvalidRequest,
    WAMPError,
)
from wampasgi.logs import about, escaped, logger_named
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.protocol.messages import (
    MESSAGE_NAMES,
    Abort,
    Call,
    Cancel,
    Error,
    Goodbye,
    Message,
    Publish,
    Register,
    Subscribe,
    Unregister,
    Unsubscribe,
    Yield,
)
from wampasgi.protocol.refusals import readable_part
from wampasgi.protocol.uris import is_reserved
from wampasgi.router.permissions import Verdict
from wampasgi.router.registrations import Registration
from wampasgi.sessions.in_flight import NO_REQUESTS, CallsInFlight
from wampasgi.sessions.lifespan import LifespanHandlers
from wampasgi.sessions.meta_calls import MetaCaller, MetaCalls
from wampasgi.sessions.overflow import OverflowReports
from wampasgi.sessions.own_calls import OwnCalls
from wampasgi.sessions.publications import Publications
from wampasgi.sessions.reader import Handlers, MessageReader
from wampasgi.sessions.routed_calls import RoutedCalls
from wampasgi.sessions.server_session import ServerSession
from wampasgi.sessions.subscription_permissions import permit_history, permit_subscription
from wampasgi.sessions.subscriptions import Subscriptions, check_topic
from wampasgi.types import Match

logger = logger_named("wampasgi.session")


class MessageLoop:
    """Serves one session from WELCOME to its end.

    ``plan`` stays the same for the life of the session, and ``server`` is the realm's own session.
    ``writers`` owns the tasks that write messages, and the task that runs the realm's own event handlers.
    """

    __slots__ = (
        "_calls",
        "_handlers",
        "_in_flight",
        "_meta_calls",
        "_open_procedures",
        "_overflows",
        "_peer",
        "_plan",
        "_provided",
        "_publications",
        "_requests",
        "_routed",
        "_routed_session",
        "_server",
        "_session",
        "_subscriptions",
        "_waiting",
        "_writers",
    )

    def __init__(
        self,
        session: Session,
        peer: Peer,
        plan: RealmPlan,
        server: ServerSession,
        writers: TaskOwner,
    ) -> None:
        self._session = session
        self._peer = peer
        self._plan = plan
        self._server = server
        self._writers = writers
        self._provided = plan.provided_for(session)
        self._open_procedures = plan.open_procedures
        self._subscriptions: Subscriptions | None = None
        # Requests that wait in tasks of their own, for gatekeepers or for other workers.
        self._waiting = NO_REQUESTS
        self._meta_calls: MetaCalls | None = None
        self._publications: Publications | None = None
        self._overflows: OverflowReports | None = None
        if plan.overflow_handler is not None:
            self._overflows = OverflowReports(plan.overflow_handler, writers, self._provided)

    async def run(self, requests: TaskOwner, handlers: TaskGroup | None) -> None:
        """Serve the session.

        ``requests`` owns the tasks that are cancelled when the session ends. ``handlers`` owns the lifespan
        handlers and gatekeepers; it is None if the plan has no two-part handlers.
        """
        self._handlers = handlers
        plan, peer = self._plan, self._peer
        timeout = plan.limits.teardown_timeout
        lifespan = LifespanHandlers(plan.lifespan_handlers, self._provided, teardown_timeout=timeout)
        try:
            with peer.reading:
                self._routed_session = routed = plan.router.dealer.sessions[self._session.id]
                if not await lifespan.begin(handlers):
                    peer.say_goodbye(RUNTIME_ERROR, "the session could not be started")
                async with requests:
                    self._requests = requests
                    self._in_flight = in_flight = CallsInFlight(
                        peer, plan.router, routed, requests, plan.limits
                    )
                    self._routed = RoutedCalls(self._session, routed, in_flight, plan, self._provided)
                    self._calls = OwnCalls(self._session, peer, in_flight, requests, plan, self._provided)
                    reader = MessageReader(self._session, peer, plan, requests, in_flight, self)
                    try:
                        await reader.read()
                    finally:
                        # While its handlers are cancelled, a call to this client would never be answered.
                        peer.leave()
                        in_flight.drop_waiting()
        finally:
            peer.cut(GOODBYE_AND_OUT)
            try:
                with anyio.move_on_after(timeout, shield=True):
                    if self._publications is not None:
                        await self._publications.handled()
                    if self._overflows is not None:
                        await self._overflows.told()
            finally:
                # This must run even if the server cancels a second time: nothing else ends these.
                if self._publications is not None:
                    self._publications.end()
                if self._subscriptions is not None:
                    self._subscriptions.end()
                lifespan.end()

    # For the peer

    def send_event(
        self, topic: str, args: list[Any], kwargs: dict[str, Any], details: dict[str, Any]
    ) -> bool:
        """Send an event to this session alone if it is subscribed to the topic; return whether it is."""
        return self._subscriptions is not None and self._subscriptions.send_event(
            topic, args, kwargs, details
        )

    def revoke_subscription(self, subscription_id: int, reason: str | None) -> None:
        """Revoke a subscription of the session."""
        assert self._subscriptions is not None, "the session has this subscription"
        self._subscriptions.revoke(subscription_id, reason)

    def lost(self, dropped: int) -> None:
        """Report the number of messages that the client has lost in one overflow of its queue."""
        if self._overflows is not None:
            self._overflows.add(dropped)

    # For the reader

    @property
    def handlers(self) -> Handlers:
        """The method for each message code."""
        return self._on

    def refuse(self, error: InvalidRequest) -> None:
        """Answer an invalid request with ERROR. For the answer of a callee, its caller gets the ERROR."""
        code, request_id = error.request_type, error.request_id
        assert code is not None, "the request is known"
        assert request_id is not None, "the request is known"
        call = readable_part(error)
        if call is not None:
            self._routed.refuse_part(call, WAMPError(error.uri, error.message))
            return
        if code in (Yield.code, Error.code):
            self._routed.refuse_answer(error)
        elif error.expects_answer:
            self._peer.send_error(code, request_id, WAMPError(error.uri, error.message))
            return
        # The client gets no answer, so this is the only trace.
        name, text = MESSAGE_NAMES[code], escaped(error.message)
        logger.info(
            "%s %s of %r is dropped: %s", name, request_id, self._session, text, extra=about(self._session)
        )

    def lift_limits(self) -> None:
        """Let no limit delay the last requests of the session."""
        if self._publications is not None:
            self._publications.lift_limit()

    def outlasts_session(self, message: Message) -> bool:
        """Return whether a request has an effect beyond the session. Handlers end with the session."""
        if isinstance(message, Call):
            return not isinstance(self._plan.answering(message.procedure), Procedure)
        return isinstance(message, Publish)

    # Calls

    def _on_call(self, message: Call) -> Awaitable[None] | None:
        routed = self._routed_session
        procedure = self._open_procedures.get(message.procedure)
        if (
            procedure is None
            or message.options
            or message.request_id in self._in_flight.own
            or self._in_flight.at_limit
            or routed.calls
            or routed.ended_early
            or self._waiting
        ):
            return self._call(message)
        # Nothing is left to check: nearly all calls of the realm's own procedures go this way.
        self._calls.start(message, procedure)
        return None

    def _call(self, message: Call) -> Awaitable[None] | None:
        routed, options = self._routed, message.options
        if (message.request_id in self._routed_session.calls or self._routed_session.ended_early) and (
            routed.continues(message)
        ):
            return None
        if self._is_in_flight(message):
            return None
        if options:
            routed.check_announced(message)
        answering = self._plan.answering(message.procedure)
        roles = answering.roles if isinstance(answering, Procedure) else None
        authorization = self._plan.authorization
        if roles is None and "disclose_me" not in options and authorization.silent:
            return self._call_decided(message, answering, None)
        verdict = authorization.by_rules(self._session, "call", message.procedure, roles=roles)
        if verdict is None and authorization.authorizer is not None:
            # From now on, CANCEL refers to this call, even if the task for it has not begun yet.
            self._in_flight.deciding = message
            return self._ask_and_call(message)
        return self._call_decided(message, answering, verdict)

    async def _ask_and_call(self, message: Call) -> None:
        in_flight = self._in_flight
        if in_flight.deciding is not message:
            # It has been canceled before it began.
            return
        try:
            verdict = await self._plan.authorization.decide(
                self._session, "call", message.procedure, message.options, self._provided
            )
        except WAMPError as error:
            if in_flight.deciding is message:
                in_flight.deciding = None
                self._routed.refuse(message, error)
            return
        if in_flight.deciding is not message:
            # It has been canceled meanwhile.
            return
        in_flight.deciding = None
        # Looked up again, because registrations may have changed meanwhile.
        waiting = self._call_decided(message, self._plan.answering(message.procedure), verdict)
        if waiting is not None:
            await waiting

    def _call_decided(
        self, message: Call, answering: Procedure | Registration | None, verdict: Verdict | None
    ) -> Awaitable[None] | None:
        options = message.options
        try:
            if verdict is not None and not verdict.allowed:
                raise refusal("call", message.procedure)
            disclose = may_disclose(verdict, "call", message.procedure, options)
            if not isinstance(answering, Procedure):
                if is_reserved(message.procedure):
                    return self._start_meta(message, verdict)
                self._routed.call(message, answering, verdict, disclose=disclose)
                return None
            if options.get("progress", False):
                raise WAMPError(FEATURE_NOT_SUPPORTED, "this procedure does not support progressive calls")
        except WAMPError as error:
            self._routed.refuse(message, error)
            return None
        if self._plan.synchronize_requests:
            return self._calls.run(message, answering)
        if self._in_flight.at_limit:
            return self._calls.start_later(message, answering)
        self._calls.start(message, answering)
        return None

    def _start_meta(self, message: Call, verdict: Verdict | None) -> Awaitable[None] | None:
        """Call a meta procedure; in a task if it waits for other workers, so that the session goes on."""
        waits = self._plan.router.reads_elsewhere(message.procedure)
        if not waits or self._plan.synchronize_requests or self._has_many_waiting:
            return self._call_meta(message, verdict)
        self._waiting |= {message.request_id}
        self._requests.spawn(self._wait_for_meta, message, verdict)
        return None

    async def _wait_for_meta(self, message: Call, verdict: Verdict | None) -> None:
        try:
            await self._call_meta(message, verdict)
        finally:
            self._waiting -= {message.request_id}

    @property
    def _has_many_waiting(self) -> bool:
        """Return whether so many requests wait in tasks that a further one must keep the session busy."""
        return len(self._waiting) >= self._plan.limits.requests_in_flight

    async def _call_meta(self, message: Call, verdict: Verdict | None) -> None:
        if self._meta_calls is None:
            permit_testament = self._own_publications().permit_testament
            permit_listening = partial(permit_history, self._session, self._plan, self._provided)
            caller = MetaCaller(self._session, self._plan, permit_testament, permit_listening)
            self._meta_calls = MetaCalls(caller, self._peer)
        try:
            await self._meta_calls.answer(message, verdict)
        except WAMPError as error:
            self._routed.refuse(message, error)

    def _on_cancel(self, message: Cancel) -> None:
        self._in_flight.cancel(message)

    # Publications

    def _on_publish(self, message: Publish) -> Awaitable[None] | None:
        return self._own_publications().publish(message)

    def _own_publications(self) -> Publications:
        """Return the publications of the session, made on first use: many sessions publish nothing."""
        if self._publications is None:
            self._publications = Publications(
                self._session, self._peer, self._plan, self._server, self._provided, self._writers
            )
        return self._publications

    # Subscriptions

    def _own_subscriptions(self) -> Subscriptions:
        """Return the subscriptions of the session, made on first use: many sessions have none."""
        if self._subscriptions is None:
            plan = self._plan
            self._subscriptions = Subscriptions(
                self._session,
                self._peer,
                plan.router,
                self._handlers,
                self._provided,
                retained_limit=plan.limits.retained_per_subscribe,
                teardown_timeout=plan.limits.teardown_timeout,
                exceptions=plan.exception_handlers,
            )
        return self._subscriptions

    async def _on_subscribe(self, message: Subscribe) -> None:
        if self._is_in_flight(message):
            return
        match: Match = message.options.get("match", "exact")
        try:
            check_topic(message.topic, match)
            limit = self._plan.limits.subscriptions
            own = self._own_subscriptions()
            if len(own) >= limit and (match, message.topic) not in own:
                raise WAMPError(
                    UNAVAILABLE, f"this session has {limit} subscriptions, its limit subscriptions"
                )
            topic = await permit_subscription(
                self._session, self._plan, self._provided, message.topic, match, message.options
            )
        except WAMPError as error:
            self._peer.send_error(Subscribe.code, message.request_id, error)
            return
        if self._plan.synchronize_requests or topic is None or self._has_many_waiting:
            await self._own_subscriptions().subscribe(message, match, topic)
            self._plan.router.publish_meta_events()
        else:
            self._waiting |= {message.request_id}
            self._requests.spawn(self._subscribe, message, match, topic)

    async def _subscribe(self, message: Subscribe, match: Match, topic: Topic) -> None:
        try:
            await self._own_subscriptions().subscribe(message, match, topic)
            self._plan.router.publish_meta_events()
        finally:
            self._waiting -= {message.request_id}

    def _on_unsubscribe(self, message: Unsubscribe) -> None:
        try:
            self._own_subscriptions().unsubscribe(message)
        except WAMPError as error:
            self._peer.send_error(Unsubscribe.code, message.request_id, error)
        self._plan.router.publish_meta_events()

    # Registrations and invocations

    async def _on_register(self, message: Register) -> None:
        try:
            await self._routed.register(message)
        except WAMPError as error:
            self._peer.send_error(Register.code, message.request_id, error)

    def _on_unregister(self, message: Unregister) -> None:
        self._routed.unregister(message)

    def _on_yield(self, message: Yield) -> None:
        self._routed.yield_result(message)

    def _on_error(self, message: Error) -> None:
        self._routed.error(message)

    # The end

    def _on_goodbye(self, message: Goodbye) -> None:
        self._peer.answer_goodbye(message.reason, GOODBYE_AND_OUT)

    def _on_abort(self, message: Abort) -> None:
        self._peer.cut(message.reason, ended_by="client")

    # Answers

    def _is_in_flight(self, message: Message) -> bool:
        """Refuse a request that reuses the ID of a request in flight; return whether it was refused."""
        request_id: int = getattr(message, "request_id", 0)
        if not self._in_flight.includes(request_id) and request_id not in self._waiting:
            return False
        error = WAMPError(INVALID_ARGUMENT, f"request id {request_id} is still in flight")
        self._peer.send_error(message.code, request_id, error)
        return True

    _on: ClassVar[Handlers] = {
        Call.code: _on_call,
        Cancel.code: _on_cancel,
        Publish.code: _on_publish,
        Subscribe.code: _on_subscribe,
        Unsubscribe.code: _on_unsubscribe,
        Register.code: _on_register,
        Unregister.code: _on_unregister,
        Yield.code: _on_yield,
        Error.code: _on_error,
        Goodbye.code: _on_goodbye,
        Abort.code: _on_abort,
    }
