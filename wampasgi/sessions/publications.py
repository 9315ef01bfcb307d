"""The publications of one session, and the queue of its events for the realm's own handlers."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from anyio.lowlevel import checkpoint

from wampasgi.adapters import TaskOwner
from wampasgi.configuration.authorization import may_disclose, refusal
from wampasgi.configuration.handlers import Subscriber
from wampasgi.configuration.plan import RealmPlan
from wampasgi.errors import INVALID_URI, NETWORK_FAILURE, WAMPError
from wampasgi.event import Event
from wampasgi.limits import Limits
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.peers.turn import BURST
from wampasgi.protocol.messages import Publish, Published
from wampasgi.protocol.uris import check_uri, is_reserved
from wampasgi.router.broker import Publication, Subscription
from wampasgi.router.permissions import Verdict
from wampasgi.router.publish_options import check_announced
from wampasgi.router.testaments import Testament
from wampasgi.sessions.changes import Changes
from wampasgi.sessions.server_session import ServerSession

#: The verdict of the rules, None if no rule applies, and whether the publisher is disclosed.
_Permission: TypeAlias = tuple[Verdict | None, bool]

#: The number of EVENTs to other sessions that ``message_rate`` counts as a message. Sending one takes about a
#: tenth of the time of handling a message, and a publisher cannot choose its subscribers.
_EVENTS_PER_MESSAGE: Final = 100


class Publications:
    """The publications of one session, to clients and to the realm's own handlers.

    ``owner`` owns the task that runs the handlers. The handlers are those of the session's plan.
    """

    __slots__ = ("_events", "_peer", "_plan", "_provided", "_server", "_session", "_size")

    def __init__(
        self,
        session: Session,
        peer: Peer,
        plan: RealmPlan,
        server: ServerSession,
        provided: Mapping[str, Any],
        owner: TaskOwner,
    ) -> None:
        self._session = session
        self._peer = peer
        self._plan = plan
        self._server = server
        self._provided = provided
        self._events = EventQueue(owner, provided, plan.limits)
        # The size in bytes of the current publication if its message is long, else 0.
        self._size = 0
        server.add_publisher(session.id, self._handle)

    def publish(self, message: Publish) -> Awaitable[None] | None:
        """Handle PUBLISH; return an awaitable if the next message must wait for it.

        Raises RemoteProtocolError for options that the client has not announced.
        Spec: Basic Profile, "Publishing and Events".
        """
        topic, authorization = message.topic, self._plan.authorization
        if message.options:
            check_announced(self._session, message.options)
        verdict = authorization.by_rules(self._session, "publish", topic)
        if verdict is None and authorization.authorizer is not None and not is_reserved(topic):
            return self._ask_and_publish(message)
        return self._publish(message, verdict)

    async def permit_testament(self, message: Publish) -> Testament:
        """Return the testament that a message describes; raises WAMPError if it is not permitted."""
        topic = message.topic
        if not check_uri(topic, policy=self._peer.uri_check):
            raise WAMPError(INVALID_URI, "argument 'topic': is not a valid URI")
        check_announced(self._session, message.options)
        verdict = None
        if not is_reserved(topic):
            verdict = await self._decide(message)
        permission = self._permit(message, verdict)
        allowed, disclose = permission
        publish = partial(self._carry, message, permission)
        return Testament(message, disclose, to_server=allowed is None, publish=publish)

    def lift_limit(self) -> None:
        """Accept the last publications of the session, even if too many events wait for handlers."""
        self._events.lift_limit()

    async def handled(self) -> None:
        """Wait until the realm's own handlers have handled all events of the session."""
        await self._events.empty()

    def end(self) -> None:
        """Stop handling publications, because the session has ended."""
        self._server.remove_publisher(self._session.id)

    def _decide(self, message: Publish) -> Awaitable[Verdict | None]:
        return self._plan.authorization.decide(
            self._session, "publish", message.topic, message.options, self._provided
        )

    async def _ask_and_publish(self, message: Publish) -> None:
        try:
            verdict = await self._decide(message)
        except WAMPError as error:
            self._refuse(message, error)
            return
        waiting = self._publish(message, verdict)
        if waiting is not None:
            await waiting

    def _publish(self, message: Publish, verdict: Verdict | None) -> Awaitable[None] | None:
        try:
            permission = self._permit(message, verdict)
        except WAMPError as error:
            self._refuse(message, error)
            return None
        publication = self._carry(message, permission)
        if message.options.get("acknowledge", False):
            if publication.forwarded and self._plan.router.flushed is not None:
                return self._acknowledge(message, publication, self._plan.router.flushed)
            self._peer.send(Published(message.request_id, publication.publication_id))
        return self._events.room() if self._events.full else None

    async def _acknowledge(
        self, message: Publish, publication: Publication, flushed: Callable[[], Awaitable[bool]]
    ) -> None:
        """Answer when the engine has the frames for other workers, or may have lost them."""
        if await flushed():
            self._peer.send(Published(message.request_id, publication.publication_id))
        else:
            self._refuse(message, WAMPError(NETWORK_FAILURE, "the event may not have reached all workers"))
        await self._events.room()

    def _permit(self, message: Publish, verdict: Verdict | None) -> _Permission:
        """Return the permission to publish a message; raises WAMPError if it is not permitted."""
        topic = message.topic
        if is_reserved(topic):
            raise WAMPError(INVALID_URI, "topics that begin with 'wamp.' are reserved for the router")
        if verdict is None:
            allowed = self._plan.permitting_subscribers(topic, self._session.authrole)
        else:
            allowed = verdict.allowed
        if not allowed:
            raise refusal("publish", topic)
        return verdict, may_disclose(verdict, "publish", topic, message.options)

    def _carry(self, message: Publish, permission: _Permission) -> Publication:
        """Publish a message within its permission."""
        verdict, disclose = permission
        self._size = self._peer.turn.size_of(message)
        publication = self._plan.router.publish(
            self._session.id,
            message.topic,
            message.options,
            message.args,
            message.kwargs,
            payload=message.payload,
            disclose=disclose,
            # Unless a rule lets clients reach each other, the event is for the server alone.
            only=None if verdict is not None else (self._server.id,),
        )
        events = publication.events
        if events > BURST:
            self._peer.turn.end()
        if events and self._plan.limits.message_rate is not None:
            receives_own = not message.options.get("exclude_me", True)
            own = publication.events_for(self._session.id) if receives_own else 0
            self._peer.turn.uncharged_messages += own + (events - own) / _EVENTS_PER_MESSAGE
        return publication

    def _handle(self, subscription: Subscription, event: Event) -> None:
        """Queue an event of this session for the handlers of one of the realm's own subscriptions."""
        role = self._session.authrole
        for subscriber in self._plan.subscribers.get((subscription.match, subscription.topic), ()):
            if subscriber.takes_from(role):
                self._events.put(subscriber, event, self._size)

    def _refuse(self, message: Publish, error: WAMPError) -> None:
        if message.options.get("acknowledge", False):
            self._peer.send_error(Publish.code, message.request_id, error)


class EventQueue:
    """The queue of one session's events for the realm's own handlers, which get them in order.

    One task runs the handlers while there are events. The publishing session owns the task, and waits for it
    when it ends.
    """

    __slots__ = ("_bytes", "_limited", "_limits", "_owner", "_provided", "_queue", "_running", "_taken")

    def __init__(self, owner: TaskOwner, provided: Mapping[str, Any], limits: Limits) -> None:
        self._owner = owner
        self._provided = provided
        self._limits = limits
        # The total size of the events from long messages, including the one that is being handled.
        self._bytes = 0
        # Created for the first event, because most sessions publish nothing.
        self._queue: deque[tuple[Subscriber, Event, int]] | None = None
        # Notified when a handler has taken an event, and when the queue has no limits any more.
        self._taken = Changes()
        self._running = False
        self._limited = True

    def put(self, subscriber: Subscriber, event: Event, size: int) -> None:
        """Add an event for ``subscriber``. ``size`` is the size in bytes of a long message, else 0."""
        if self._queue is None:
            self._queue = deque()
        self._queue.append((subscriber, event, size))
        self._bytes += size
        if not self._running:
            self._running = True
            self._owner.spawn(self._handle)

    @property
    def full(self) -> bool:
        """Return whether the queue is at its limits."""
        limits = self._limits
        return (
            self._limited
            and self._queue is not None
            and (len(self._queue) >= limits.events_waiting or self._bytes > limits.requests_bytes)
        )

    def lift_limit(self) -> None:
        """Never be ``full`` from now on."""
        self._limited = False
        self._taken.notify()

    async def room(self) -> None:
        """Wait while the queue is ``full``."""
        while self.full:
            await self._taken.wait()

    async def empty(self) -> None:
        """Wait until all events are handled."""
        while self._running:
            await self._taken.wait()

    async def _handle(self) -> None:
        try:
            # The task may start at once, but handlers run after the event has reached everybody else.
            await checkpoint()
            while self._queue:
                subscriber, event, size = self._queue.popleft()
                await subscriber.handle(event, self._provided, self._provided["session"])
                self._bytes -= size
                self._taken.notify()
        finally:
            self._running = False
            self._taken.notify()
