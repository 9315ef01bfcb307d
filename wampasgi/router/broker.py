"""The broker of a realm: the subscriptions, and the recipients of each publication.

The broker holds state and makes decisions. It does not send or await anything: it returns the EVENTs with
their recipients. Its caller has checked before that the session may subscribe or publish.
Spec: Basic Profile, "Publish and Subscribe"; Advanced Profile, "Advanced PubSub".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from wampasgi.errors import NO_SUCH_SUBSCRIPTION, UNAVAILABLE, WAMPError
from wampasgi.protocol.features import announced
from wampasgi.protocol.messages import Event, Unsubscribed
from wampasgi.router.event_history import EventHistory, Filters, Record
from wampasgi.router.interfaces import Observer, SessionDetails
from wampasgi.router.matching import URIMap
from wampasgi.router.publish_options import conditions, event_details, select
from wampasgi.router.retained_events import RetainedEvents
from wampasgi.router.stamps import Stamp
from wampasgi.router.stored_events import StoredEvent, store
from wampasgi.types import Match

#: The args, kwargs and encoded payload of an event.
_Payload: TypeAlias = tuple[list[Any] | None, dict[str, Any] | None, bytes | None]


@dataclass(slots=True, eq=False)
class Subscription:
    """A topic or topic pattern under one match policy, with all its subscribers, which share its ID.

    The keys of ``subscribers`` are session IDs, in the order of subscribing. Only the broker changes it. A
    ``kept`` subscription outlives its last subscriber. ``nodes`` are the other workers with subscribers.
    """

    subscription_id: int
    topic: str
    match: Match
    subscribers: dict[int, None] = field(default_factory=dict)
    kept: bool = False
    nodes: frozenset[int] = frozenset()


@dataclass(slots=True)
class Delivery:
    """One EVENT and the session IDs of its recipients: at least one, and no duplicates."""

    event: Event
    recipients: list[int]


@dataclass(slots=True)
class Publication:
    """The result of one PUBLISH: the ID for PUBLISHED, and a delivery for each subscription with recipients.

    A session with several matching subscriptions is in several deliveries and gets the event once for each.
    ``stored`` is the event if it was stored. ``forwarded`` says that it also goes to other workers.
    """

    publication_id: int
    deliveries: list[Delivery]
    stored: StoredEvent | None = None
    forwarded: bool = False

    @property
    def events(self) -> int:
        """The number of EVENTs to send: one for each recipient of each delivery."""
        return sum([len(delivery.recipients) for delivery in self.deliveries])

    def events_for(self, session_id: int) -> int:
        """Return the number of EVENTs to send to one session."""
        return sum([session_id in delivery.recipients for delivery in self.deliveries])


class Broker:
    """The subscriptions of one realm.

    ``next_subscription_id`` and ``random_publication_id`` return new IDs. ``sessions`` maps session IDs to
    identities; the broker only reads it. A subscriber that is missing there is treated as a session without
    authid and authrole. ``retained`` stores the events published with ``retain``; if it is None, the broker
    ignores that option.
    """

    #: Called for each change to the subscriptions.
    observer: Observer[Subscription] | None = None
    #: Stores the events of the topics that it is configured for.
    history: EventHistory | None = None
    #: Returns the stamps of stored events, if other workers store events of the realm, too.
    next_stamp: Callable[[], Stamp] | None = None

    def __init__(
        self,
        *,
        next_subscription_id: Callable[[Match, str], int],
        random_publication_id: Callable[[], int],
        sessions: Mapping[int, SessionDetails],
        retained: RetainedEvents | None = None,
    ) -> None:
        self._next_subscription_id = next_subscription_id
        self._random_publication_id = random_publication_id
        self._sessions = sessions
        self._retained = retained
        self._by_topic: URIMap[Subscription] = URIMap()
        self._by_id: dict[int, Subscription] = {}
        # The subscriptions of each session that has any, by ID.
        self._by_session: dict[int, dict[int, Subscription]] = {}
        self._kept: list[Subscription] = []

    @property
    def subscriptions(self) -> Mapping[int, Subscription]:
        """A live read-only view of all subscriptions by ID, oldest first."""
        return MappingProxyType(self._by_id)

    @property
    def kept(self) -> Sequence[Subscription]:
        """The subscriptions that remain even without subscribers, oldest first."""
        return tuple(self._kept)

    def of_session(self, session_id: int) -> Mapping[int, Subscription]:
        """Return the subscriptions of one session by ID, oldest first."""
        return MappingProxyType(self._by_session.get(session_id, {}))

    def find(self, session_id: int, topic: str, match: Match) -> Subscription | None:
        """Return a session's subscription to a topic under a match policy, or None if it has none."""
        subscription = self._by_topic.get(match, topic)
        if subscription is None or session_id not in subscription.subscribers:
            return None
        return subscription

    def get(self, topic: str, match: Match) -> Subscription | None:
        """Return the subscription to a topic under a match policy, or None if it does not exist."""
        return self._by_topic.get(match, topic)

    def matches(self, topic: str) -> list[Subscription]:
        """Return all subscriptions that match a topic, under any policy."""
        return self._by_topic.matches(topic)

    def subscribe(self, session_id: int, topic: str, match: Match) -> Subscription:
        """Add a session to the subscription of a topic under a match policy, and create it if necessary.

        A session that is already subscribed gets the same subscription again.
        Spec: Basic Profile, "Subscribing and Unsubscribing".
        """
        subscription = self._by_topic.get(match, topic)
        if subscription is None:
            subscription = self._add(topic, match)
            if self.observer is not None:
                self.observer.created(session_id, subscription)
        if session_id not in subscription.subscribers:
            subscription.subscribers[session_id] = None
            self._by_session.setdefault(session_id, {})[subscription.subscription_id] = subscription
            if self.observer is not None:
                self.observer.added(session_id, subscription)
        return subscription

    def keep(self, topic: str, match: Match) -> Subscription:
        """Create the subscription of a topic if necessary, and keep it even without subscribers.

        Clients need its ID to ask for the event history.
        Spec: Advanced Profile, "Event History".
        """
        subscription = self._by_topic.get(match, topic)
        if subscription is None:
            subscription = self._add(topic, match)
            if self.observer is not None:
                self.observer.kept(subscription)
        if not subscription.kept:
            subscription.kept = True
            self._kept.append(subscription)
        return subscription

    def _add(self, topic: str, match: Match) -> Subscription:
        subscription = Subscription(self._next_subscription_id(match, topic), topic, match)
        if subscription.subscription_id in self._by_id:
            raise WAMPError(UNAVAILABLE, f"the ID of {topic!r} is the ID of another subscription")
        self._by_topic.add(match, topic, subscription)
        self._by_id[subscription.subscription_id] = subscription
        return subscription

    def unsubscribe(self, session_id: int, subscription_id: int) -> Subscription:
        """Remove a session from a subscription.

        The subscription is deleted with its last subscriber, unless it is kept. Raises WAMPError
        ``wamp.error.no_such_subscription`` if the session has no subscription with this ID.
        Spec: Basic Profile, "Subscribing and Unsubscribing".
        """
        own = self._by_session.get(session_id, {})
        if subscription_id not in own:
            raise WAMPError(NO_SUCH_SUBSCRIPTION, f"this session has no subscription {subscription_id}")
        subscription = own.pop(subscription_id)
        if not own:
            del self._by_session[session_id]
        self._leave(session_id, subscription)
        return subscription

    def revoke(self, session_id: int, subscription_id: int, reason: str | None = None) -> Unsubscribed | None:
        """Revoke a subscription of a session.

        Returns the UNSUBSCRIBED for the session, or None if it has not announced ``subscription_revocation``.
        Raises WAMPError ``wamp.error.no_such_subscription``.
        Spec: Advanced Profile, "Subscription Revocation".
        """
        self.unsubscribe(session_id, subscription_id)
        session = self._sessions.get(session_id)
        if session is None or "subscription_revocation" not in announced(session.details, "subscriber"):
            return None
        details: dict[str, Any] = {"subscription": subscription_id}
        if reason is not None:
            details["reason"] = reason
        return Unsubscribed(0, details)

    def remove_session(self, session_id: int) -> list[Subscription]:
        """Remove a session from all its subscriptions and return them, in the order of subscribing."""
        left = list(self._by_session.pop(session_id, {}).values())
        for subscription in left:
            self._leave(session_id, subscription)
        return left

    def _leave(self, session_id: int, subscription: Subscription) -> None:
        del subscription.subscribers[session_id]
        if self.observer is not None:
            self.observer.removed(session_id, subscription)
        if self._is_unused(subscription):
            self._delete(subscription)
            if self.observer is not None:
                self.observer.deleted(session_id, subscription)

    @staticmethod
    def _is_unused(subscription: Subscription) -> bool:
        return not (subscription.subscribers or subscription.kept or subscription.nodes)

    def _delete(self, subscription: Subscription) -> None:
        self._by_topic.remove(subscription.match, subscription.topic)
        del self._by_id[subscription.subscription_id]

    # Other workers

    def add_node(self, node: int, topic: str, match: Match) -> tuple[Subscription, bool]:
        """Add another worker to the subscription of a topic; return whether that creates the subscription.

        The observer is not called, because the worker publishes the meta events.
        """
        subscription = self._by_topic.get(match, topic)
        is_new = subscription is None
        if subscription is None:
            subscription = self._add(topic, match)
        subscription.nodes |= {node}
        return subscription, is_new

    def remove_node(self, node: int, topic: str, match: Match) -> tuple[Subscription, bool]:
        """Remove another worker from a subscription that it has; return whether that deletes the latter."""
        subscription = self._by_topic.get(match, topic)
        assert subscription is not None, "the worker has the subscription"
        subscription.nodes -= {node}
        is_unused = self._is_unused(subscription)
        if is_unused:
            self._delete(subscription)
        return subscription, is_unused

    def publish(
        self,
        publisher_id: int | None,
        topic: str,
        options: Mapping[str, Any],
        args: list[Any] | None,
        kwargs: dict[str, Any] | None,
        *,
        payload: bytes | None = None,
        disclose: bool = False,
        only: Collection[int] | None = None,
    ) -> Publication:
        """Determine the recipients of a publication and their EVENTs, and store the event if necessary.

        ``options`` is PUBLISH.Options, whose types have been checked. ``args``, ``kwargs`` and ``payload``
        are passed on as they are. ``publisher_id`` is None if no session publishes. The publisher is excluded
        unless it sets ``exclude_me`` to false. ``disclose`` discloses the publisher to subscribers; the
        caller checks that the publisher asked for it and may be disclosed. ``only`` restricts the recipients
        to these session IDs; such an event is not stored.

        A subscription without recipients has no delivery.
        Spec: Basic Profile, "Publishing and Events"; Advanced Profile, "Publisher Exclusion", "Subscriber
        Black- and Whitelisting", "Publisher Identification", "Pattern-based Subscription", "Event Retention",
        "Event History".
        """
        publication = Publication(self._random_publication_id(), [])
        subscriptions = self._by_topic.matches(topic)
        retain = options.get("retain", False) and only is None and self._retained is not None
        log = self.history is not None and only is None and self.history.wants(topic, options)
        if not subscriptions and not retain and not log:
            return publication
        details = event_details(options, publisher_id if disclose else None, self._sessions)
        excluded = publisher_id if options.get("exclude_me", True) else None
        if retain or log:
            event = Event(0, publication.publication_id, details, args, kwargs, payload)
            publication.stored = stored = store(event, topic, options, excluded_id=excluded)
            stored.retained, stored.logged = retain, log
            if self.next_stamp is not None:
                stored.stamp = self.next_stamp()
            self.store(stored)
        self._deliver(
            publication, subscriptions, topic, details, (args, kwargs, payload), options, excluded, only
        )
        return publication

    def distribute(
        self,
        publication_id: int,
        topic: str,
        details: dict[str, Any],
        options: Mapping[str, Any],
        payload: _Payload,
        *,
        excluded: int | None,
        only: Collection[int] | None,
    ) -> Publication:
        """Determine the recipients of another worker's publication on this worker.

        ``details`` is EVENT.Details without the topic, ``options`` has the black- and whitelists, and
        ``excluded`` is the publisher if it is excluded.
        """
        publication = Publication(publication_id, [])
        subscriptions = self._by_topic.matches(topic)
        self._deliver(publication, subscriptions, topic, details, payload, options, excluded, only)
        return publication

    def _deliver(
        self,
        publication: Publication,
        subscriptions: list[Subscription],
        topic: str,
        details: dict[str, Any],
        contents: _Payload,
        options: Mapping[str, Any],
        excluded: int | None,
        only: Collection[int] | None,
    ) -> None:
        args, kwargs, payload = contents
        # Most publications have no conditions, so that recipients need not be checked one by one.
        asked = conditions(options, self._sessions) if options else []
        for subscription in subscriptions:
            subscribers = subscription.subscribers
            recipients = list(subscribers if only is None else filter(subscribers.__contains__, only))
            if excluded is not None and excluded in subscribers and (only is None or excluded in only):
                recipients.remove(excluded)
            recipients = select(recipients, asked)
            if recipients:
                event = Event(
                    subscription.subscription_id,
                    publication.publication_id,
                    details if subscription.match == "exact" else {**details, "topic": topic},
                    args,
                    kwargs,
                    payload,
                )
                publication.deliveries.append(Delivery(event, recipients))

    def stores(self, topic: str, options: Mapping[str, Any]) -> bool:
        """Return whether a publication would be stored, as a retained event or in the history."""
        retain: bool = options.get("retain", False) and self._retained is not None
        return retain or (self.history is not None and self.history.wants(topic, options))

    def store(self, event: StoredEvent) -> None:
        """Store an event that is to be retained or logged."""
        if event.retained and self._retained is not None:
            self._retained.retain(event)
        if event.logged and self.history is not None:
            self.history.store(event)

    def events(
        self, session_id: int | None, subscription: Subscription, filters: Filters
    ) -> tuple[list[Record], bool]:
        """Return the history of a subscription for a session, and whether the limit cut it off.

        A session gets the events whose lists of authids and authroles admit it; the session ID None gets all.
        That an event excluded its own publisher does not matter here, because session IDs do not last.
        Spec: Advanced Profile, "Event History".
        """
        if self.history is None:
            return [], False
        return self.history.find(
            subscription.topic,
            subscription.match,
            filters,
            lambda event: session_id is None or event.admits(session_id, self._sessions),
        )

    def retained_events(self, session_id: int, subscription: Subscription, *, most: int) -> list[Event]:
        """Return the retained events for a session that has just subscribed, in the order of publication.

        For each topic of the subscription, this is the most recent event that the session would have received
        if it had been subscribed. If there are more than ``most`` of them, the newest are returned.
        Spec: Advanced Profile, "Event Retention".
        """
        if self._retained is None:
            return []
        found = self._retained.find(
            subscription.topic,
            subscription.match,
            lambda event: session_id != event.excluded_id and event.admits(session_id, self._sessions),
            most=most,
        )
        return [
            Event(
                subscription.subscription_id,
                event.publication_id,
                {**event.details_for(subscription.match), "retained": True},
                event.args,
                event.kwargs,
                event.payload,
            )
            for event in found
        ]
