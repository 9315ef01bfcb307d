"""The meta events for changes to sessions, subscriptions and registrations.

The broker and the registrations each report their changes to a :class:`Lifecycle`. The events are queued
until the session that caused them has its answer, and then published. Events without subscribers are not
created.
Spec: Advanced Profile, "Session Meta API", "Registration Meta API", "Subscriptions Meta API".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from wampasgi.protocol.uris import is_reserved
from wampasgi.router.broker import Subscription
from wampasgi.router.interfaces import MetaSession
from wampasgi.router.registrations import Registration

T = TypeVar("T")


def session_details(session_id: int, session: MetaSession) -> dict[str, Any]:
    """Return the session details for ``wamp.session.on_join`` and ``wamp.session.get``.

    The transport is left out: not everybody who may see a session may also see its network address.
    """
    return {
        "session": session_id,
        "authid": session.authid,
        "authrole": session.authrole,
        "authmethod": session.authentication.authmethod,
        "authprovider": session.authentication.authprovider,
    }


def subscription_details(subscription: Subscription, created: str) -> dict[str, Any]:
    """Return SubscriptionDetails."""
    return {
        "id": subscription.subscription_id,
        "created": created,
        "uri": subscription.topic,
        "match": subscription.match,
    }


def registration_details(registration: Registration, created: str) -> dict[str, Any]:
    """Return RegistrationDetails."""
    return {
        "id": registration.registration_id,
        "created": created,
        "uri": registration.procedure,
        "match": registration.match,
        "invoke": registration.invoke,
    }


@dataclass(frozen=True, slots=True)
class MetaEvent:
    """A meta event to publish; ``excluded_id`` is the ID of a session that must not receive it."""

    topic: str
    args: list[Any]
    excluded_id: int | None = None


class MetaEvents:
    """The queue of meta events of one realm.

    ``has_subscribers`` tells whether a topic has any subscribers, and ``now`` returns the time as RFC 3339
    text.
    """

    def __init__(self, *, has_subscribers: Callable[[str], bool], now: Callable[[], str]) -> None:
        self._has_subscribers = has_subscribers
        self._pending: list[MetaEvent] = []
        #: The observer of the broker.
        self.subscriptions: Lifecycle[Subscription] = Lifecycle(
            "subscription",
            added="on_subscribe",
            removed="on_unsubscribe",
            identify=lambda subscription: (subscription.subscription_id, subscription.topic),
            describe=subscription_details,
            events=self,
            now=now,
        )
        #: The observer of the registrations.
        self.registrations: Lifecycle[Registration] = Lifecycle(
            "registration",
            added="on_register",
            removed="on_unregister",
            identify=lambda registration: (registration.registration_id, registration.procedure),
            describe=registration_details,
            events=self,
            now=now,
        )

    def joined(self, session_id: int, session: MetaSession) -> None:
        """Queue the event for a session that has joined the realm."""
        self.add("wamp.session.on_join", lambda: [session_details(session_id, session)])

    def left(self, session_id: int, session: MetaSession) -> None:
        """Queue the event for a session that has left the realm for any reason."""
        self.add("wamp.session.on_leave", lambda: [session_id, session.authid, session.authrole])

    def add(self, topic: str, payload: Callable[[], list[Any]], *, excluded_id: int | None = None) -> None:
        """Queue an event, if its topic has subscribers."""
        if self._has_subscribers(topic):
            self._pending.append(MetaEvent(topic, payload(), excluded_id))

    def take(self) -> list[MetaEvent]:
        """Return the queued events in order, and empty the queue."""
        taken, self._pending = self._pending, []
        return taken


class Lifecycle(Generic[T]):
    """Observes subscriptions or registrations, queues their meta events, and records when each was created.

    ``identify`` returns the ID and the URI of an entry, and ``describe`` returns its details for a time of
    creation.
    """

    def __init__(
        self,
        kind: str,
        *,
        added: str,
        removed: str,
        identify: Callable[[T], tuple[int, str]],
        describe: Callable[[T, str], dict[str, Any]],
        events: MetaEvents,
        now: Callable[[], str],
    ) -> None:
        self._on_create, self._on_delete = f"wamp.{kind}.on_create", f"wamp.{kind}.on_delete"
        self._on_add, self._on_remove = f"wamp.{kind}.{added}", f"wamp.{kind}.{removed}"
        self._identify = identify
        self._describe = describe
        self._events = events
        self._now = now
        self._created: dict[int, str] = {}

    def details(self, entry: T) -> dict[str, Any]:
        """Return SubscriptionDetails or RegistrationDetails of an existing entry."""
        return self._describe(entry, self._created[self._id(entry)])

    def created(self, session_id: int, entry: T, created: str | None = None) -> None:
        """Queue the event for the creation of an entry by a session's request.

        ``created`` is the time of creation if other workers know it already. The default is the present.
        """
        self._created[self._id(entry)] = self._now() if created is None else created
        self._add_event(self._on_create, session_id, entry, self.details)

    def appeared(self, entry: T, created: str) -> None:
        """Record an entry that another worker created, and that publishes the event."""
        self._created[self._id(entry)] = created

    def disappeared(self, entry: T) -> None:
        """Forget an entry that was deleted by another worker, which publishes the event."""
        self._created.pop(self._id(entry), None)

    def time_of_creation(self, entry: T) -> str:
        """Return the time at which an existing entry was created, as RFC 3339 text."""
        return self._created[self._id(entry)]

    def announce_creation(self, session_id: int, entry: T) -> None:
        """Queue the event for the creation of an entry that another worker has at the same time."""
        self._add_event(self._on_create, session_id, entry, self.details)

    def announce_deletion(self, session_id: int, entry: T) -> None:
        """Queue the event for an entry that another worker has deleted at the same time."""
        self._add_event(self._on_delete, session_id, entry, self._id)

    def announce_removal(self, session_id: int, entry: T) -> None:
        """Queue the event for the removal of a session whose worker has died."""
        self._add_event(self._on_remove, session_id, entry, self._id)

    def kept(self, entry: T) -> None:
        """Record the creation of an entry by the realm. There is no event, because no session caused it."""
        self._created[self._identify(entry)[0]] = self._now()

    def added(self, session_id: int, entry: T) -> None:
        """Queue the event for a session that was added to an entry."""
        self._add_event(self._on_add, session_id, entry, self._id)

    def removed(self, session_id: int, entry: T) -> None:
        """Queue the event for a session that was removed from an entry."""
        self._add_event(self._on_remove, session_id, entry, self._id)

    def deleted(self, session_id: int, entry: T) -> None:
        """Queue the event for an entry that was deleted with its last session."""
        self._add_event(self._on_delete, session_id, entry, self._id)
        del self._created[self._id(entry)]

    def _id(self, entry: T) -> int:
        return self._identify(entry)[0]

    def _add_event(self, topic: str, session_id: int, entry: T, describe: Callable[[T], Any]) -> None:
        _, uri = self._identify(entry)
        # Otherwise the first event that a subscriber of meta events gets would be about its own subscription.
        excluded_id = session_id if is_reserved(uri) else None
        self._events.add(topic, lambda: [session_id, describe(entry)], excluded_id=excluded_id)
