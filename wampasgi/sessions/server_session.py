"""The realm's own session: a member of the router that calls, offers procedures, publishes and subscribes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import anyio
from anyio.lowlevel import checkpoint

from wampasgi.configuration.plan import RealmPlan
from wampasgi.errors import NO_SUCH_PROCEDURE, PROCEDURE_ALREADY_EXISTS, TIMEOUT, WAMPError
from wampasgi.event import Event
from wampasgi.injection.results import unwrap
from wampasgi.injection.worker_threads import in_process_call
from wampasgi.peers.session import Session
from wampasgi.protocol.ids import SequentialIds
from wampasgi.protocol.messages import Call, Cancel, Error, Invocation, Message, Result
from wampasgi.protocol.uris import is_reserved
from wampasgi.router.broker import Subscription
from wampasgi.router.interfaces import SharedEvent
from wampasgi.router.router import Router
from wampasgi.sessions.listening import ServerSubscriptions
from wampasgi.types import Match

#: Passes an event to the handlers of one of the realm's own subscriptions.
HandleEvent: TypeAlias = Callable[[Subscription, Event], None]


class _Answer:
    """The answer to a pending call, once it has arrived."""

    __slots__ = ("arrived", "message")

    def __init__(self) -> None:
        self.arrived = anyio.Event()
        self.message: Result | Error | None = None


class ServerSession:
    """The realm's own session, as a recipient of the router.

    It registers the procedures of the realm and of the router, and subscribes to the topics of
    ``@subscriber`` handlers. ``session`` is the object that handlers see.
    """

    #: Always false, because the session handles everything at once.
    overloaded = False

    def __init__(self, session: Session, router: Router[Session]) -> None:
        self.session = session
        self.id = session.id
        self._router = router
        self._ids = SequentialIds()
        self._pending: dict[int, _Answer] = {}
        # By session ID, the functions that pass events of a session to the handlers of its plan.
        self._publishers: dict[int, HandleEvent] = {}
        # The events of the server's current publication, for its handlers.
        self._events: list[tuple[Subscription, Event]] = []
        router.attach(session.id, session, self)
        #: The subscriptions of the session.
        self.subscriptions = ServerSubscriptions(
            session.id, router.broker, changed=router.publish_meta_events, interests=router
        )
        for procedure in router.meta.procedures:
            router.dealer.registrations.add(session.id, procedure, {}, of_realm=True)

    # As a recipient

    def send(self, message: Message) -> None:
        """Accept the answer to a call, or refuse an INVOCATION.

        The handlers of a session's plan answer its calls without an INVOCATION. An INVOCATION comes only for
        a procedure that was configured after the calling session had opened.
        """
        if isinstance(message, Invocation):
            unknown = WAMPError(NO_SUCH_PROCEDURE, "this procedure was added after the session was opened")
            answer = Error.answering(Invocation.code, message.request_id, unknown)
            self._router.deliver(self._router.dealer.error(self.id, answer))
        elif isinstance(message, Result | Error):
            waiting = self._pending.get(message.request_id)
            # A call that was given up may still get an answer.
            if waiting is not None:
                waiting.message = message
                waiting.arrived.set()

    def send_event(self, event: SharedEvent) -> None:
        """Pass an EVENT to listeners and handlers."""
        self._router.counts.own_events += 1
        received = self.subscriptions.take(event.message)
        subscription = self.subscriptions.handled(event.message.subscription_id)
        # Handlers get no meta events, because there may be no task to run them. The handlers of the realm run
        # once, on the worker of the publisher.
        if subscription is None or event.relayed or is_reserved(received.topic):
            return
        handle = self._publishers.get(event.publisher_id or 0)
        if handle is None:
            self._events.append((subscription, received))
        else:
            handle(subscription, received)

    def revoke_subscription(self, subscription_id: int, reason: str | None) -> None:
        """Do nothing: the realm's own subscriptions are not revoked."""

    def say_goodbye(self, reason: str, message: str | None = None) -> None:
        """Do nothing: the session lasts as long as its realm."""

    # As caller

    async def call(
        self,
        procedure: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        timeout: float | None,
        only: int | None = None,
    ) -> Any:
        """Call a client's procedure and return its result, as ``Realm.call`` does.

        ``only`` restricts the call to the registrations of one session. If ``timeout`` seconds have passed,
        or the waiting task is cancelled, the call is cancelled at its callee, too.
        """
        request_id = self._ids.next()
        answer = self._pending[request_id] = _Answer()
        call = Call(request_id, {}, procedure, list(args), dict(kwargs))
        dealer, deliver = self._router.dealer, self._router.deliver
        try:
            deliver(dealer.call(self.id, call, now=0, only=only))
            with anyio.move_on_after(timeout):
                await answer.arrived.wait()
        finally:
            del self._pending[request_id]
            if answer.message is None:
                deliver(dealer.cancel(self.id, Cancel(request_id, {})))
        message = answer.message
        if message is None:
            raise WAMPError(TIMEOUT, f"the call gave no result within {timeout} s")
        if isinstance(message, Error):
            raise WAMPError(message.error, *(message.args or ()), **(message.kwargs or {}))
        return unwrap(message.args or (), message.kwargs or {})

    # As callee

    def offer(self, procedures: Iterable[tuple[Match, str]], plan: RealmPlan | None) -> None:
        """Register procedures of the realm, and revoke clients' registrations of the same procedures.

        ``plan`` is given if there may be new procedures with roles. Clients' registrations that would get
        calls of such procedures are revoked, too.
        """
        registrations = self._router.dealer.registrations
        for match, procedure in procedures:
            registration = registrations.get(match, procedure)
            if registration is not None:
                if self.id in registration.callees:
                    continue
                self._router.revoke_registration(procedure, match, PROCEDURE_ALREADY_EXISTS)
            registrations.add(self.id, procedure, {"match": match}, of_realm=True)
        for registration in [] if plan is None else plan.taking_restricted_calls():
            self._router.revoke_registration(
                registration.procedure, registration.match, PROCEDURE_ALREADY_EXISTS
            )
        self._router.publish_meta_events()

    def withdraw(self, match: Match, procedure: str) -> None:
        """Unregister a procedure of the realm."""
        registration = self._router.dealer.registrations.get(match, procedure)
        assert registration is not None, "the procedure was offered"
        self._router.dealer.registrations.remove(self.id, registration.registration_id)
        self._router.publish_meta_events()

    # As publisher

    async def publish(
        self, plan: RealmPlan, topic: str, options: Mapping[str, Any], args: list[Any], kwargs: dict[str, Any]
    ) -> int:
        """Publish an event, run the realm's own handlers for it, and return the publication ID."""
        publication = self._router.publish(None, topic, options, args, kwargs)
        await self.handle_events(plan)
        return publication.publication_id

    async def handle_events(self, plan: RealmPlan) -> None:
        """Run the handlers for the events that no session has published."""
        published, self._events = self._events, []
        # Let the writers run: otherwise a loop of publications would fill the queues of subscribers that read
        # as fast as they can.
        await checkpoint()
        provided = plan.provided_for(self.session) if published else {}
        for subscription, event in published:
            for subscriber in plan.subscribers.get((subscription.match, subscription.topic), ()):
                with in_process_call():
                    await subscriber.handle(event, provided, self.session)

    # As subscriber

    def subscribe_handlers(self, topics: Iterable[tuple[Match, str]]) -> None:
        """Subscribe to the topics of ``@subscriber`` handlers."""
        for match, topic in topics:
            self.subscriptions.keep(topic, match)

    def add_publisher(self, session_id: int, handle: HandleEvent) -> None:
        """Pass the events of a session's publications to ``handle`` from now on."""
        self._publishers[session_id] = handle

    def remove_publisher(self, session_id: int) -> None:
        """Remove a publisher whose session has ended."""
        self._publishers.pop(session_id, None)
