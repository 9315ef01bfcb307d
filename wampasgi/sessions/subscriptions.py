"""The subscriptions of one session, and the gatekeepers that run around them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias

import anyio
from anyio.abc import TaskGroup

from wampasgi.configuration.exception_handlers import ExceptionHandlers
from wampasgi.configuration.handlers import Topic
from wampasgi.errors import CANCELED, INVALID_ARGUMENT, RUNTIME_ERROR, ConnectionClosed, WAMPError
from wampasgi.logs import about, escaped, logger_named, shown
from wampasgi.peers.http_errors import wamp_error_of
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.protocol.ids import random_publication_id
from wampasgi.protocol.messages import Event, Subscribe, Subscribed, Unsubscribe, Unsubscribed
from wampasgi.protocol.uri_limits import check_components
from wampasgi.protocol.uris import MATCH_POLICIES, check_uri
from wampasgi.router.interfaces import SharedEvent
from wampasgi.router.router import Router
from wampasgi.sessions.lifespan import TwoPartHandler
from wampasgi.sessions.waiting import completed
from wampasgi.types import Match

logger = logger_named("wampasgi.router")


def check_topic(uri: str, match: str) -> None:
    """Raise WAMPError for an unknown match policy, or a pattern with too many components."""
    if match not in MATCH_POLICIES:
        raise WAMPError(INVALID_ARGUMENT, f"match must be one of {', '.join(MATCH_POLICIES)}")
    check_components(uri, match)


#: Details, args and kwargs of an event.
_Payload: TypeAlias = tuple[dict[str, Any], list[Any], dict[str, Any]]


class _Subscription:
    """One subscription of the session, pending until ``decided`` is set."""

    __slots__ = ("decided", "gatekeeper", "held_events", "id", "refusal")

    def __init__(self) -> None:
        self.decided = anyio.Event()
        self.gatekeeper: TwoPartHandler | None = None
        #: Events that the gatekeeper sends before the client can know the subscription ID.
        self.held_events: list[_Payload] = []
        self.id = 0
        self.refusal: WAMPError | None = None


class Subscriptions:
    """The subscriptions of one session.

    ``tasks`` owns the gatekeepers that have a yield; they end with the subscription or the session.
    ``retained_limit`` is the maximum number of retained events for one SUBSCRIBE. ``exceptions`` handles the
    exceptions of gatekeepers.
    """

    __slots__ = (
        "_broker",
        "_by_id",
        "_by_topic",
        "_exceptions",
        "_peer",
        "_provided",
        "_retained_limit",
        "_router",
        "_session",
        "_tasks",
        "_teardown_timeout",
    )

    def __init__(
        self,
        session: Session,
        peer: Peer,
        router: Router[Session],
        tasks: TaskGroup | None,
        provided: Mapping[str, Any],
        *,
        retained_limit: int,
        teardown_timeout: float,
        exceptions: ExceptionHandlers | None,
    ) -> None:
        self._exceptions = exceptions
        self._retained_limit = retained_limit
        self._session = session
        self._peer = peer
        self._router = router
        self._broker = router.broker
        self._tasks = tasks
        self._provided = provided
        self._teardown_timeout = teardown_timeout
        self._by_topic: dict[tuple[Match, str], _Subscription] = {}
        self._by_id: dict[int, tuple[Match, str]] = {}

    def __len__(self) -> int:
        """Return the number of subscriptions, including pending ones."""
        return len(self._by_topic)

    def __contains__(self, key: tuple[Match, str]) -> bool:
        """Return whether the session has a subscription for a match policy and topic, pending or not."""
        return key in self._by_topic

    async def subscribe(self, message: Subscribe, match: Match, topic: Topic | None) -> None:
        """Subscribe, after running the topic's gatekeeper if it has one, and answer.

        Subscribing again returns the existing subscription ID. The answer is followed by the retained events,
        if the client asks for them, and then by the events that the gatekeeper has sent meanwhile.
        Spec: Basic Profile, "Subscribing and Unsubscribing"; Advanced Profile, "Event Retention".
        """
        key = (match, message.topic)
        subscription = self._by_topic.get(key)
        if subscription is None:
            subscription = self._by_topic[key] = _Subscription()
            try:
                await self._pass_gatekeeper(subscription, message.topic, topic)
                known = self._router.hold_interest(message.topic, match)
                try:
                    if known is not None:
                        await completed(known)
                    self._join(subscription, key)
                finally:
                    self._router.release_interest(message.topic, match)
            except WAMPError as error:
                subscription.refusal = error
                del self._by_topic[key]
            finally:
                subscription.decided.set()
        else:
            await subscription.decided.wait()
        if subscription.refusal is not None:
            self._peer.send_error(Subscribe.code, message.request_id, subscription.refusal)
            return
        self._peer.send(Subscribed(message.request_id, subscription.id))
        asks_retained = message.options.get("get_retained", False)
        if asks_retained:
            self._send_retained(message.topic, match)
        for payload in subscription.held_events:
            self._send_event(subscription.id, payload)
        subscription.held_events.clear()
        if asks_retained:
            # The client may repeat this short request, and get a thousand events each time.
            self._peer.turn.end()
            await self._peer.uncongested()

    def _join(self, subscription: _Subscription, key: tuple[Match, str]) -> None:
        """Subscribe at the broker. Raises WAMPError if the session has ended meanwhile."""
        if self._peer.ending is not None:
            # The session has left the router, and must not subscribe any more.
            if subscription.gatekeeper is not None:
                subscription.gatekeeper.end()
            raise WAMPError(CANCELED, "the session has ended meanwhile")
        match, topic = key
        subscription.id = self._broker.subscribe(self._session.id, topic, match).subscription_id
        self._by_id[subscription.id] = key

    def unsubscribe(self, message: Unsubscribe) -> None:
        """End a subscription and answer; its gatekeeper's second part runs meanwhile.

        Raises WAMPError ``wamp.error.no_such_subscription`` for an ID that is not the session's.
        """
        self._broker.unsubscribe(self._session.id, message.subscription_id)
        self._end_one(message.subscription_id, Unsubscribed(message.request_id))

    def revoke(self, subscription_id: int, reason: str | None) -> None:
        """End a subscription of the session; the client is notified if it has announced support for that.

        Spec: Advanced Profile, "Subscription Revocation".
        """
        self._end_one(subscription_id, self._broker.revoke(self._session.id, subscription_id, reason))

    def _end_one(self, subscription_id: int, message: Unsubscribed | None) -> None:
        subscription = self._by_topic.pop(self._by_id.pop(subscription_id))
        if message is not None:
            self._peer.send(message)
        if subscription.gatekeeper is not None:
            subscription.gatekeeper.end()

    def send_event(
        self, topic: str, args: list[Any], kwargs: dict[str, Any], details: dict[str, Any]
    ) -> bool:
        """Send an event to this session alone.

        Returns False if it is neither subscribed nor about to be, and if the event cannot be serialized.
        """
        subscription = self._by_topic.get(("exact", topic))
        if subscription is None:
            return False
        payload = (details, args, kwargs)
        if subscription.id:
            return self._send_event(subscription.id, payload)
        subscription.held_events.append(payload)
        return True

    def _send_retained(self, topic: str, match: Match) -> None:
        found = self._broker.find(self._session.id, topic, match)
        # The subscription may have ended while this request waited for the gatekeeper.
        if found is not None:
            for event in self._broker.retained_events(self._session.id, found, most=self._retained_limit):
                self._peer.counts.events += 1
                self._peer.turn.uncharged_messages += 1
                self._peer.send_event(SharedEvent(event))

    def _send_event(self, subscription_id: int, payload: _Payload) -> bool:
        event = SharedEvent(Event(subscription_id, random_publication_id(), *payload))
        sent = self._peer.send_event(event)
        self._peer.counts.events += sent
        return sent

    def end(self) -> None:
        """End all gatekeepers, because the session ends."""
        for subscription in self._by_topic.values():
            if subscription.gatekeeper is not None:
                subscription.gatekeeper.end()
        self._by_topic.clear()
        self._by_id.clear()

    async def _pass_gatekeeper(
        self, subscription: _Subscription, topic_uri: str, topic: Topic | None
    ) -> None:
        """Run the gatekeeper's first part; raises WAMPError if it refuses or fails.

        A gatekeeper that returns or yields a value fails, because its author expects that the value counts.
        """
        if topic is None:
            return
        provided = {**self._provided, "topic_uri": topic_uri}
        log = partial(self._log_failure, topic, topic_uri)
        failure = await self._failure_of(subscription, topic, provided)
        if failure is not None and self._exceptions is not None:
            failure = await self._exceptions.handle(failure, self._provided, log=log, topic_uri=topic_uri)
        if failure is None:
            return
        refusal = wamp_error_of(failure)
        if refusal is not None and check_uri(refusal.uri):
            raise refusal
        if isinstance(failure, ConnectionClosed) and not self._session.is_open:
            # The gatekeeper has not failed: it has used its session just after the end.
            raise WAMPError(RUNTIME_ERROR) from failure
        log(failure)
        raise WAMPError(RUNTIME_ERROR) from failure

    async def _failure_of(
        self, subscription: _Subscription, topic: Topic, provided: Mapping[str, Any]
    ) -> Exception | None:
        """Run the gatekeeper's first part, and return its exception."""
        failure: Exception | None = None
        if topic.plan.kind == "async_generator":
            gatekeeper = TwoPartHandler(topic.plan, provided, teardown_timeout=self._teardown_timeout)
            subscription.gatekeeper = gatekeeper
            assert self._tasks is not None
            self._tasks.start_soon(gatekeeper.run)
            await gatekeeper.begun.wait()
            failure = gatekeeper.failure
            if gatekeeper.yielded is not None:
                failure = _unexpected_value(topic, "yielded", gatekeeper.yielded)
                gatekeeper.end()
        else:
            try:
                value = await topic.plan.call(provided)
            except Exception as error:  # noqa: BLE001 - handled below
                failure = error
            else:
                failure = None if value is None else _unexpected_value(topic, "returned", value)
        return failure

    def _log_failure(self, topic: Topic, topic_uri: str, failure: Exception) -> None:
        logger.error(
            "gatekeeper %s failed for topic %s and %r",
            topic.plan.name,
            shown(topic_uri),
            self._session,
            exc_info=failure,
            extra=about(self._session, topic_uri),
        )


def _unexpected_value(topic: Topic, verb: str, value: object) -> TypeError:
    try:
        text = escaped(repr(value))
    except Exception:  # noqa: BLE001 - a broken __repr__ must not end the session
        text = f"a {type(value).__name__}"
    return TypeError(
        f"{topic.plan.description} {verb} {text}: a gatekeeper returns and yields nothing; "
        f"to refuse a subscription, raise SubscribeError"
    )
