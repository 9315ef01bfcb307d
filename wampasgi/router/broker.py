"""The broker of a realm: who is subscribed to what, and who receives a publication.

State and decisions only. The broker neither sends nor awaits: it returns the EVENTs with their recipients,
and who may subscribe or publish was decided before it is asked.
Spec: Basic Profile, "Publish and Subscribe"; Advanced Profile, "Advanced PubSub".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import filterfalse
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from wampasgi.errors import NO_SUCH_SUBSCRIPTION, WAMPError
from wampasgi.messages import PAYLOAD_OPTIONS, Event
from wampasgi.router.matching import URIMap
from wampasgi.router.observing import Observer

if TYPE_CHECKING:
    from wampasgi.types import Match


class SessionDetails(Protocol):
    """What the broker asks of a session: as whom it was authenticated."""

    @property
    def authid(self) -> str | None:
        """The authid that WELCOME gave it."""

    @property
    def authrole(self) -> str | None:
        """The authrole that WELCOME gave it."""


@dataclass(slots=True, eq=False)
class Subscription:
    """All subscribers of one topic, or pattern of topics, under one match policy; they share its ID.

    ``subscribers`` holds their session IDs as keys, in the order in which they subscribed. Only the broker
    changes it.
    """

    subscription_id: int
    topic: str
    match: Match
    subscribers: dict[int, None] = field(default_factory=dict)


@dataclass(slots=True)
class Delivery:
    """One EVENT and the session IDs that it goes to, at least one, each of them once."""

    event: Event
    recipients: list[int]


@dataclass(slots=True)
class Publication:
    """What one PUBLISH comes to: the ID for PUBLISHED and one delivery for each subscription that gets it.

    A session with several matching subscriptions stands in several deliveries: it gets the event once for
    each.
    """

    publication_id: int
    deliveries: list[Delivery]


# Lets through those of the session IDs that fulfil it.
_Condition: TypeAlias = Callable[[list[int]], Iterable[int]]


class Broker:
    """The subscriptions of one realm.

    ``next_subscription_id`` and ``random_publication_id`` give the IDs. ``sessions`` tells of a session ID
    who it is; it is read while an event is published and never changed here. A subscriber that it does not
    know counts as one without authid and authrole. ``observer`` can be given once the broker is there.
    """

    observer: Observer[Subscription] | None = None

    def __init__(
        self,
        *,
        next_subscription_id: Callable[[], int],
        random_publication_id: Callable[[], int],
        sessions: Mapping[int, SessionDetails],
    ) -> None:
        self._next_subscription_id = next_subscription_id
        self._random_publication_id = random_publication_id
        self._sessions = sessions
        self._by_topic: URIMap[Subscription] = URIMap()
        self._by_id: dict[int, Subscription] = {}
        # For each session that has a subscription: these, by ID.
        self._by_session: dict[int, dict[int, Subscription]] = {}

    @property
    def subscriptions(self) -> Mapping[int, Subscription]:
        """All subscriptions by ID, oldest first, as a read-only view of the present state."""
        return MappingProxyType(self._by_id)

    def find(self, session_id: int, topic: str, match: Match) -> Subscription | None:
        """Return the subscription of a session to a topic under a match policy, None where it has none."""
        subscription = self._by_topic.get(match, topic)
        if subscription is None or session_id not in subscription.subscribers:
            return None
        return subscription

    def get(self, topic: str, match: Match) -> Subscription | None:
        """Return the subscription to a topic under a match policy, whoever has it, None where nobody has."""
        return self._by_topic.get(match, topic)

    def matches(self, topic: str) -> list[Subscription]:
        """Return all subscriptions that an event of a topic goes to, whatever their match policies."""
        return self._by_topic.matches(topic)

    def subscribe(self, session_id: int, topic: str, match: Match) -> Subscription:
        """Add a session to the subscription of a topic under a match policy, which is created where needed.

        A session that is subscribed already stays so and gets the same subscription again.
        Spec: Basic Profile, "Subscribing and Unsubscribing".
        """
        subscription = self._by_topic.get(match, topic)
        if subscription is None:
            subscription = Subscription(self._next_subscription_id(), topic, match)
            self._by_topic.add(match, topic, subscription)
            self._by_id[subscription.subscription_id] = subscription
            if self.observer is not None:
                self.observer.created(session_id, subscription)
        if session_id not in subscription.subscribers:
            subscription.subscribers[session_id] = None
            self._by_session.setdefault(session_id, {})[subscription.subscription_id] = subscription
            if self.observer is not None:
                self.observer.added(session_id, subscription)
        return subscription

    def unsubscribe(self, session_id: int, subscription_id: int) -> Subscription:
        """Remove a session from a subscription, which is forgotten when that was its last subscriber.

        Raises WAMPError ``wamp.error.no_such_subscription`` for an ID that is unknown or not the session's.
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

    def remove_session(self, session_id: int) -> list[Subscription]:
        """Remove a session from all its subscriptions and return these, in the order it subscribed."""
        left = list(self._by_session.pop(session_id, {}).values())
        for subscription in left:
            self._leave(session_id, subscription)
        return left

    def _leave(self, session_id: int, subscription: Subscription) -> None:
        del subscription.subscribers[session_id]
        if self.observer is not None:
            self.observer.removed(session_id, subscription)
        if not subscription.subscribers:
            self._by_topic.remove(subscription.match, subscription.topic)
            del self._by_id[subscription.subscription_id]
            if self.observer is not None:
                self.observer.deleted(session_id, subscription)

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
        only: Container[int] | None = None,
    ) -> Publication:
        """Work out who receives a publication, and as which EVENT.

        ``options`` is PUBLISH.Options, its types checked; ``args``, ``kwargs`` and ``payload`` are passed on
        as they are. A publisher is not among the recipients unless it sets ``exclude_me`` to false;
        ``publisher_id`` is None for a publication by no session. ``disclose`` tells subscribers who the
        publisher is: whether it asked and whether it may is for the caller to decide. ``only``, where given,
        holds the session IDs beside which nobody receives anything.

        A subscription nobody of which is to receive the event has no delivery.
        Spec: Basic Profile, "Publishing and Events"; Advanced Profile, "Publisher Exclusion", "Subscriber
        Black- and Whitelisting", "Publisher Identification", "Pattern-based Subscription".
        """
        publication = Publication(self._random_publication_id(), [])
        subscriptions = self._by_topic.matches(topic)
        if not subscriptions:
            return publication
        details = self._event_details(publisher_id if disclose else None, options)
        excluded = publisher_id if options.get("exclude_me", True) else None
        # Most publications have no conditions, and then nobody has to be looked at one by one.
        conditions = self._conditions(options, only)
        for subscription in subscriptions:
            recipients = list(subscription.subscribers)
            if excluded is not None and excluded in subscription.subscribers:
                recipients.remove(excluded)
            for fulfilling in conditions:
                recipients = list(fulfilling(recipients))
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
        return publication

    def _event_details(self, disclosed_id: int | None, options: Mapping[str, Any]) -> dict[str, Any]:
        details = {name: value for name, value in options.items() if name in PAYLOAD_OPTIONS}
        if disclosed_id is not None:
            details["publisher"] = disclosed_id
            if (authid := self._authid(disclosed_id)) is not None:
                details["publisher_authid"] = authid
            if (authrole := self._authrole(disclosed_id)) is not None:
                details["publisher_authrole"] = authrole
        return details

    def _conditions(self, options: Mapping[str, Any], only: Container[int] | None) -> list[_Condition]:
        """All that ``only`` and the black- and whitelists ask of a recipient."""
        conditions: list[_Condition] = [] if only is None else [partial(filter, only.__contains__)]
        for name, values in options.items():
            if name in ("eligible", "eligible_authid", "eligible_authrole"):
                conditions.append(partial(filter, self._is_listed(name.removeprefix("eligible"), values)))
            elif name in ("exclude", "exclude_authid", "exclude_authrole"):
                conditions.append(partial(filterfalse, self._is_listed(name.removeprefix("exclude"), values)))
        return conditions

    def _is_listed(self, suffix: str, values: Collection[object]) -> Callable[[int], bool]:
        # As a set: a long list would be looked through once for each subscriber.
        listed = frozenset(values)
        if suffix == "_authid":
            return lambda session_id: self._authid(session_id) in listed
        if suffix == "_authrole":
            return lambda session_id: self._authrole(session_id) in listed
        return listed.__contains__

    def _authid(self, session_id: int) -> str | None:
        session = self._sessions.get(session_id)
        return None if session is None else session.authid

    def _authrole(self, session_id: int) -> str | None:
        session = self._sessions.get(session_id)
        return None if session is None else session.authrole
