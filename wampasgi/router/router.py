"""The router of one realm: broker, dealer, sessions and stored events, behind one entry point.

No method blocks. A session joins with a :class:`Recipient`, to which the router sends. The router does not
distinguish between clients' connections and the server itself.
"""

from __future__ import annotations

from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    ItemsView,
    Iterable,
    Iterator,
    Mapping,
    ValuesView,
)
from random import randrange
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from wampasgi.errors import ConfigurationError
from wampasgi.limits import Limits
from wampasgi.metrics import Counts, Metrics
from wampasgi.protocol.ids import SequentialIds, random_publication_id, random_secret
from wampasgi.protocol.messages import Call, Event, Invocation, Register
from wampasgi.router.admission import Admission
from wampasgi.router.broker import Broker, Publication
from wampasgi.router.call_messages import Outgoing
from wampasgi.router.completion import Completion, PendingRead
from wampasgi.router.dealer import Dealer
from wampasgi.router.event_history import EventHistory
from wampasgi.router.interfaces import JoinedSession, MetaSession, Recipient, SessionDetails, SharedEvent
from wampasgi.router.meta_events import MetaEvents
from wampasgi.router.meta_procedures import MetaAPI, MetaResult, SessionsToClose
from wampasgi.router.reflection import Reflection
from wampasgi.router.retained_events import RetainedEvents
from wampasgi.router.testaments import Testaments
from wampasgi.types import Match, RawMessage

S = TypeVar("S", bound=JoinedSession)


class OpenSessions(Mapping[int, S]):
    """A live view of sessions that may change while it is iterated over, as when each of them is closed."""

    def __init__(self, sessions: dict[int, S]) -> None:
        self._sessions = sessions

    def __getitem__(self, session_id: int) -> S:
        return self._sessions[session_id]

    def __iter__(self) -> Iterator[int]:
        return iter(tuple(self._sessions))

    def __len__(self) -> int:
        return len(self._sessions)

    def __repr__(self) -> str:
        return repr(self._sessions)

    def values(self) -> ValuesView[S]:
        """Return the sessions as they are now."""
        return self._sessions.copy().values()

    def items(self) -> ItemsView[int, S]:
        """Return session IDs and sessions as they are now."""
        return self._sessions.copy().items()


class Router(Generic[S]):
    """The router of one realm.

    With ``private_registrations``, each client registers for itself alone. ``now`` returns the time as
    RFC 3339 text, for the meta API and the event history.
    """

    def __init__(self, *, now: Callable[[], str], private_registrations: bool = False) -> None:
        self._sessions: dict[int, S] = {}
        # The sessions that have not begun to end.
        self._attached: dict[int, S] = {}
        self._open_sessions = OpenSessions(self._attached)
        # The recipients of all members: clients, and the realm's own session.
        self._recipients: dict[int, Recipient] = {}
        # Sessions whose end publishes no meta event and no testaments.
        self._silenced: set[int] = set()
        self._publishing_meta_events = False
        self._mock_secret = random_secret()
        #: Waits until other workers have all publications, and returns False if some may be lost. None if no
        #: other worker serves the realm.
        self.flushed: Callable[[], Awaitable[bool]] | None = None
        #: The counters of the realm's metrics.
        self.counts = Counts()
        #: Counts the sessions that have joined or are being opened.
        self.admission = Admission()
        limits = Limits()
        self.retained = RetainedEvents(max_events=limits.retained_events, max_size=limits.retained_bytes)
        self.history = EventHistory(now=now, max_size=limits.history_bytes)
        self.broker = Broker(
            next_subscription_id=self._subscription_ids(),
            random_publication_id=random_publication_id,
            sessions=self._sessions,
            retained=self.retained,
        )
        self.dealer = Dealer(
            next_registration_id=self._registration_ids(),
            random_index=randrange,
            overloaded=lambda session_id: self._recipients[session_id].overloaded,
            private_registrations=private_registrations,
        )
        self._testaments = self._make_testaments()
        self._events = MetaEvents(has_subscribers=lambda topic: bool(self.broker.matches(topic)), now=now)
        self.broker.observer = self._events.subscriptions
        self.dealer.registrations.observer = self._events.registrations
        #: The descriptions that clients give to their procedures.
        self.reflection = Reflection(self.dealer, self.metrics)
        #: The router's own procedures.
        self.meta = MetaAPI(
            sessions=self._all_sessions(),
            broker=self.broker,
            dealer=self.dealer,
            testaments=self._testaments,
            subscriptions=self._events.subscriptions,
            registrations=self._events.registrations,
            revoke=self.revoke_callee,
            further=self.reflection.procedures,
        )

    # The parts that differ if several workers serve the realm

    def _subscription_ids(self) -> Callable[[Match, str], int]:
        return SequentialIds().for_entry

    def _registration_ids(self) -> Callable[[Match, str], int]:
        return SequentialIds().for_entry

    def _make_testaments(self) -> Testaments:
        return Testaments()

    def _all_sessions(self) -> Mapping[int, MetaSession]:
        """Return the sessions that the meta API shows."""
        return self._attached

    @property
    def mock_secret(self) -> bytes:
        """The key for mock challenges. Workers that serve the realm together share it."""
        return self._mock_secret

    @property
    def sessions(self) -> Mapping[int, S]:
        """A live read-only view of the clients' open sessions by session ID.

        Sessions that have begun to end are not among them: their handlers may take long, or never end.
        """
        return self._open_sessions

    @property
    def served(self) -> Mapping[int, S]:
        """A live read-only view of the open sessions and of those whose handlers have not ended yet."""
        return MappingProxyType(self._sessions)

    # Configuration

    def set_limits(self, limits: Limits) -> None:
        """Set the limits for stored events."""
        self.retained.set_bounds(max_events=limits.retained_events, max_size=limits.retained_bytes)
        self.history.set_max_size(limits.history_bytes)

    def keep_history(self, topic: str, match: Match, limit: int) -> None:
        """Store the latest events of a topic or pattern.

        Raises ConfigurationError if it has a history already.
        """
        if self.history.keeps(topic, match):
            raise ConfigurationError(
                f"keep_history({topic!r}, match={match!r}) was called before: call it once for each topic"
            )
        self.history.keep(topic, match, limit=limit)
        self.broker.keep(topic, match)
        # Without a history, the broker can skip the check of each publication.
        self.broker.history = self.history

    # Members

    def attach(self, session_id: int, session: SessionDetails, recipient: Recipient) -> None:
        """Add the realm's own session: a member like clients, but not listed among the sessions."""
        self._recipients[session_id] = recipient
        self.dealer.add_session(session_id, session)

    def join(self, session: S, recipient: Recipient) -> None:
        """Add the session of a client, which is a recipient from now on."""
        self._sessions[session.id] = self._attached[session.id] = session
        self._recipients[session.id] = recipient
        self.counts.joined += 1
        self.dealer.add_session(session.id, session)
        self._events.joined(session.id, session)
        self.publish_meta_events()

    def leaving(self, session_id: int) -> None:
        """Remove the subscriptions, registrations and calls of a session that begins to end."""
        leaving = self._attached.pop(session_id, None)
        self.broker.remove_session(session_id)
        self.deliver(self.dealer.remove_session(session_id))
        testaments = self._testaments.take(session_id)
        if leaving is not None and session_id not in self._silenced:
            for publish in testaments:
                publish()
            self._events.left(session_id, leaving)
        self.publish_meta_events()

    def leave(self, session_id: int) -> None:
        """Remove a session completely."""
        self.leaving(session_id)
        self._silenced.discard(session_id)
        del self._sessions[session_id]
        del self._recipients[session_id]

    # Waiting for other workers

    def register(self, session_id: int, message: Register) -> Completion[bool] | None:
        """Register a session for a procedure, and answer; see :meth:`Dealer.register`.

        The result is None, or completes with the answer if other workers must agree first.
        """
        self.deliver(self.dealer.register(session_id, message))
        return None

    def hold_interest(self, topic: str, match: Match) -> Completion[bool] | None:
        """Prepare for subscribers of a topic or pattern, until ``release_interest``.

        The result is None, or completes when all other workers know of it. From then on they send its events.
        """
        return None

    def release_interest(self, topic: str, match: Match) -> None:
        """End a ``hold_interest``. Subscribers keep the interest of the worker alive."""

    def read(self, procedure: str, values: list[Any]) -> PendingRead | None:
        """Prepare the computation of a meta procedure; None if other workers need not be asked."""
        return None

    def reads_elsewhere(self, procedure: str) -> bool:
        """Return whether a meta procedure changes nothing and waits for other workers."""
        return False

    # Calls

    def undeliverable(self, session_id: int, invocation_id: int, text: str) -> None:
        """Answer the caller with ERROR: the INVOCATION cannot be serialized for its callee."""
        self.deliver(self.dealer.undeliverable(session_id, invocation_id, text))

    def uri_of(self, raw: RawMessage) -> str | None:
        """Return the topic of an EVENT or the procedure of an INVOCATION; None for other messages."""
        if raw[0] == Event.code:
            subscription = self.broker.subscriptions.get(raw[1])
            topic: str | None = raw[3].get("topic")
            return topic or (None if subscription is None else subscription.topic)
        if raw[0] == Invocation.code:
            registration = self.dealer.registrations.by_id.get(raw[2])
            procedure: str | None = raw[3].get("procedure")
            return procedure or (None if registration is None else registration.procedure)
        return None

    def may_continue(self, session_id: int, call: Call) -> bool:
        """Return whether a CALL whose request ID was used before can be part of a progressive call."""
        session = self.dealer.sessions.get(session_id)
        return session is not None and session.may_continue(call)

    def deliver(self, outgoing: Iterable[Outgoing]) -> None:
        """Send the messages that the dealer returned."""
        for session_id, message in outgoing:
            self._recipients[session_id].send(message)

    # Publications

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
        """Publish an event and send it to all its recipients; see :meth:`Broker.publish`."""
        publication = self.broker.publish(
            publisher_id, topic, options, args, kwargs, payload=payload, disclose=disclose, only=only
        )
        self.counts.publications += 1
        self._send_events(publication, publisher_id)
        return publication

    def _send_events(self, publication: Publication, publisher_id: int | None, relayed: bool = False) -> None:
        """Send the events of a publication to their recipients, which are sessions of this worker."""
        recipients = self._recipients
        for delivery in publication.deliveries:
            event = SharedEvent(delivery.event, publisher_id, relayed=relayed)
            self.counts.events += len(delivery.recipients)
            for session_id in delivery.recipients:
                recipients[session_id].send_event(event)

    # The meta API

    def publish_meta_events(self) -> None:
        """Publish the queued meta events. Call it when the session that caused them has its answer.

        Publishing can cause further events, for example by the end of a session that reads too slowly. They
        are published, too.
        """
        if self._publishing_meta_events:
            return
        self._publishing_meta_events = True
        try:
            while events := self._events.take():
                for event in events:
                    options = {} if event.excluded_id is None else {"exclude": [event.excluded_id]}
                    self.publish(None, event.topic, options, event.args, None)
        finally:
            self._publishing_meta_events = False

    def carry_out(self, result: MetaResult) -> None:
        """Carry out the actions of a meta procedure's result. Call it when the caller has its answer."""
        self.deliver(result.outgoing)
        self.publish_meta_events()
        if result.to_close is not None:
            self._close(result.to_close)

    def _close(self, sessions: SessionsToClose) -> None:
        if sessions.silent:
            self._silenced.update(sessions.session_ids)
        for session_id in sessions.session_ids:
            self._recipients[session_id].say_goodbye(sessions.reason, sessions.message)

    # Revocation

    def revoke_callee(self, session_id: int, registration_id: int, reason: str | None) -> list[Outgoing]:
        """Revoke a client's registration; see :meth:`Dealer.revoke`."""
        return self.dealer.revoke(session_id, registration_id, reason)

    def revoke_registration(self, procedure: str, match: Match, reason: str | None) -> int:
        """Revoke the registrations of a procedure by clients, and return their number."""
        registration = self.dealer.registrations.get(match, procedure)
        if registration is None:
            return 0
        own = self._own_members()
        revoked = [session_id for session_id in registration.callees if session_id not in own]
        for session_id in revoked:
            self.deliver(self.revoke_callee(session_id, registration.registration_id, reason))
        self.publish_meta_events()
        return len(revoked)

    def revoke_subscription(
        self, topic: str, match: Match, session_id: int | None, reason: str | None
    ) -> int:
        """Revoke a subscription of one client or of all clients, and return the number of clients."""
        subscription = self.broker.get(topic, match)
        if subscription is None:
            return 0
        revoked = [
            subscriber
            for subscriber in subscription.subscribers
            if subscriber in self._sessions and session_id in (None, subscriber)
        ]
        for subscriber in revoked:
            self._recipients[subscriber].revoke_subscription(subscription.subscription_id, reason)
        self.publish_meta_events()
        return len(revoked)

    def clear_retained(self, topic: str, match: Match) -> int:
        """Delete the retained events of a topic or a pattern of topics, and return their number."""
        return self.retained.clear(topic, match)

    # Metrics

    def metrics(self) -> Metrics:
        """Return the counters of the realm, in groups; see ``Realm.metrics``."""
        counts = self.counts
        return {
            "sessions": {
                "open": len(self._attached),
                "opening": self.admission.admitted - len(self._attached),
                "joined": counts.joined,
                "refused": self.admission.refused,
                "aborted": counts.aborted,
            },
            "authentication": {
                "delayed": counts.delayed_logins,
                "unreported": counts.unreported_failures,
            },
            "authentication_failures": {
                f"{method}:{reason}": count
                for (method, reason), count in counts.authentication_failures.items()
            },
            "calls": {
                "results": counts.results,
                "errors": counts.call_errors,
                "canceled": counts.canceled,
            },
            "errors": {"sent": counts.call_errors + counts.canceled + counts.other_errors},
            "events": {"published": counts.publications, "sent": counts.events - counts.own_events},
            "overflows": {"stretches": counts.overflows, "dropped": counts.dropped},
            "bytes": {"received": counts.bytes_received, "sent": counts.bytes_sent},
            "router": {
                "subscriptions": self._client_subscriptions(),
                "registrations": self._client_registrations(),
            },
        }

    def _own_members(self) -> list[int]:
        return [session_id for session_id in self._recipients if session_id not in self._sessions]

    def _client_subscriptions(self) -> int:
        # Only kept subscriptions and the realm's own can lack a client among their subscribers.
        candidates = {subscription.subscription_id: subscription for subscription in self.broker.kept}
        for session_id in self._own_members():
            candidates.update(self.broker.of_session(session_id))
        without = [
            subscription
            for subscription in candidates.values()
            if self._sessions.keys().isdisjoint(subscription.subscribers)
        ]
        return len(self.broker.subscriptions) - len(without)

    def _client_registrations(self) -> int:
        registrations = self.dealer.registrations
        own = sum(len(registrations.of_session(session_id)) for session_id in self._own_members())
        return len(registrations.by_id) - own
