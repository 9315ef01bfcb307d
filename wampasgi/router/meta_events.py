"""What happens to sessions, subscriptions and registrations, and the meta events that tell of it.

Broker and registrations report to a :class:`Lifecycle` each. The events wait until whoever has acted has its
answer; then they are taken and published. Of what nobody has subscribed to, no event is made.
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
    """What ``wamp.session.on_join`` and ``wamp.session.get`` tell of a session.

    Nothing of the transport: where a client connects from is not for everybody who may see that it does.
    """
    return {
        "session": session_id,
        "authid": session.authid,
        "authrole": session.authrole,
        "authmethod": session.authentication.authmethod,
        "authprovider": session.authentication.authprovider,
    }


def subscription_details(subscription: Subscription, created: str) -> dict[str, Any]:
    """SubscriptionDetails."""
    return {
        "id": subscription.subscription_id,
        "created": created,
        "uri": subscription.topic,
        "match": subscription.match,
    }


def registration_details(registration: Registration, created: str) -> dict[str, Any]:
    """RegistrationDetails."""
    return {
        "id": registration.registration_id,
        "created": created,
        "uri": registration.procedure,
        "match": registration.match,
        "invoke": registration.invoke,
    }


@dataclass(frozen=True, slots=True)
class MetaEvent:
    """One meta event that is to be published; ``excluded_id`` is the session ID of who is not told."""

    topic: str
    args: list[Any]
    excluded_id: int | None = None


class MetaEvents:
    """The meta events of one realm that wait to be published.

    ``has_subscribers`` tells whether anybody has subscribed to a topic, ``now`` gives the time, ISO 8601.
    """

    def __init__(self, *, has_subscribers: Callable[[str], bool], now: Callable[[], str]) -> None:
        self._has_subscribers = has_subscribers
        self._pending: list[MetaEvent] = []
        #: What the broker reports to.
        self.subscriptions: Lifecycle[Subscription] = Lifecycle(
            "subscription",
            added="on_subscribe",
            removed="on_unsubscribe",
            identify=lambda subscription: (subscription.subscription_id, subscription.topic),
            describe=subscription_details,
            events=self,
            now=now,
        )
        #: What registrations report to.
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
        """A session has joined the realm."""
        self.add("wamp.session.on_join", lambda: [session_details(session_id, session)])

    def left(self, session_id: int, session: MetaSession) -> None:
        """A session has left the realm, whichever way."""
        self.add("wamp.session.on_leave", lambda: [session_id, session.authid, session.authrole])

    def add(self, topic: str, payload: Callable[[], list[Any]], *, excluded_id: int | None = None) -> None:
        """Let an event wait, if anybody hears it."""
        if self._has_subscribers(topic):
            self._pending.append(MetaEvent(topic, payload(), excluded_id))

    def take(self) -> list[MetaEvent]:
        """The events that wait, in order; they wait no longer."""
        taken, self._pending = self._pending, []
        return taken


class Lifecycle(Generic[T]):
    """Reports what happens to subscriptions, or to registrations, and remembers when each was created.

    ``identify`` gives the ID and the URI of an entry, ``describe`` its details, given when it was created.
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
        """SubscriptionDetails or RegistrationDetails of one that there is."""
        return self._describe(entry, self._created[self._id(entry)])

    def created(self, session_id: int, entry: T) -> None:
        """A session's request has created it; that the session is added follows."""
        self._created[self._id(entry)] = self._now()
        self._add_event(self._on_create, session_id, entry, self.details)

    def kept(self, entry: T) -> None:
        """It was created by no session's request, so there is nobody to tell of."""
        self._created[self._identify(entry)[0]] = self._now()

    def added(self, session_id: int, entry: T) -> None:
        """A session was added to it."""
        self._add_event(self._on_add, session_id, entry, self._id)

    def removed(self, session_id: int, entry: T) -> None:
        """A session was removed from it."""
        self._add_event(self._on_remove, session_id, entry, self._id)

    def deleted(self, session_id: int, entry: T) -> None:
        """It is no more, because its last session was removed."""
        self._add_event(self._on_delete, session_id, entry, self._id)
        del self._created[self._id(entry)]

    def _id(self, entry: T) -> int:
        return self._identify(entry)[0]

    def _add_event(self, topic: str, session_id: int, entry: T, describe: Callable[[T], Any]) -> None:
        _, uri = self._identify(entry)
        # Whoever subscribes to meta events would first of all be told of itself.
        excluded_id = session_id if is_reserved(uri) else None
        self._events.add(topic, lambda: [session_id, describe(entry)], excluded_id=excluded_id)
