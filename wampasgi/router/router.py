"""The sessions that have joined a realm, and carrying to them what its broker and dealer decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from random import randrange
from typing import Any, Final

import anyio

from wampasgi.errors import ConfigurationError
from wampasgi.limits import Limits
from wampasgi.metrics import Counts, Metrics
from wampasgi.peers.encoded import EncodedMessage
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.protocol.ids import SequentialIds, random_publication_id
from wampasgi.protocol.messages import Call, Error, Result
from wampasgi.protocol.uris import is_reserved
from wampasgi.router.admission import Admission
from wampasgi.router.broker import Broker, Publication
from wampasgi.router.dealer import Dealer, Outgoing
from wampasgi.router.event_history import EventHistory
from wampasgi.router.meta_events import MetaEvents
from wampasgi.router.meta_procedures import Closing, MetaAPI, Outcome
from wampasgi.router.registrations import Registrations
from wampasgi.router.retained_events import RetainedEvents
from wampasgi.router.testaments import Testaments
from wampasgi.sessions.listening import LocalSubscriptions
from wampasgi.sessions.server_session import ServerCaller
from wampasgi.types import Match


def utc_now() -> str:
    """The time as an RFC 3339 string, with milliseconds, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_ANSWERS: Final = frozenset((Result.code, Error.code))


class JoinedSessions(Mapping[int, Session]):
    """The open sessions of one realm by session id, with its broker and its dealer.

    ``server`` is the realm's own session, which calls and subscribes in the server's name. With
    ``private_registrations`` each session registers for itself alone. ``now`` gives the time, RFC 3339, for
    the meta API and the event history.
    """

    def __init__(
        self, server: Session, *, private_registrations: bool = False, now: Callable[[], str] = utc_now
    ) -> None:
        self._sessions: dict[int, Session] = {}
        # Those of the sessions that have not begun to end.
        self._attached: dict[int, Session] = {}
        self._peers: dict[int, Peer] = {}
        # Nobody is told of the end of these.
        self._silenced: set[int] = set()
        self._reporting = False
        self._emptied: anyio.Event | None = None
        #: What has happened on the realm so far.
        self.counts = Counts()
        #: Counts the sessions that are to join or have joined.
        self.admission = Admission()
        limits = Limits()
        #: The events that publishers want retained, and those that the realm keeps by itself.
        self.retained = RetainedEvents(max_events=limits.retained_events, max_size=limits.retained_bytes)
        self.history = EventHistory(now=now, max_size=limits.history_bytes)
        self.broker = Broker(
            next_subscription_id=SequentialIds().next,
            random_publication_id=random_publication_id,
            sessions=self._sessions,
            retained=self.retained,
        )
        #: What the server itself has subscribed to.
        self.local = LocalSubscriptions(server.id, self.broker, changed=self.report)
        next_registration_id = SequentialIds().next
        self.dealer = Dealer(
            next_registration_id=next_registration_id,
            random_index=randrange,
            overloaded=lambda session_id: self._peers[session_id].overloaded,
            private_registrations=private_registrations,
        )
        self.dealer.add_session(server.id, server)
        #: Calls clients' procedures in the server's name.
        self.caller = ServerCaller(server.id, self.dealer, self.deliver)
        #: What the server itself offers, for the meta API.
        self._own = Registrations(next_registration_id)
        self._testaments = Testaments()
        self._events = MetaEvents(is_heard=lambda topic: bool(self.broker.matches(topic)), now=now)
        self.broker.observer = self._events.subscriptions
        self.dealer.registrations.observer = self._own.observer = self._events.registrations
        #: The router's own procedures.
        self.meta = MetaAPI(
            sessions=self._attached,
            broker=self.broker,
            dealer=self.dealer,
            own=self._own,
            testaments=self._testaments,
            subscriptions=self._events.subscriptions,
            registrations=self._events.registrations,
        )
        for procedure in self.meta.procedures:
            self._own.add(server.id, procedure, {})

    def __getitem__(self, session_id: int) -> Session:
        return self._sessions[session_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._sessions)

    def __len__(self) -> int:
        return len(self._sessions)

    def set_limits(self, limits: Limits) -> None:
        """Bound what the realm keeps by its limits."""
        self.retained.set_bounds(max_events=limits.retained_events, max_size=limits.retained_bytes)
        self.history.set_max_size(limits.history_bytes)

    def keep_history(self, topic: str, match: Match, limit: int) -> None:
        """Keep the latest events of a topic or pattern; raises ConfigurationError where they are kept."""
        if self.history.keeps(topic, match):
            raise ConfigurationError(f"keep_history({topic!r}, match={match!r}) was called before")
        self.history.keep(topic, match, limit=limit)
        self.broker.keep(topic, match)
        # Only from now on is every publication looked at.
        self.broker.history = self.history

    def join(self, session: Session, peer: Peer) -> None:
        """Deliver to ``session`` from now on."""
        self._sessions[session.id] = self._attached[session.id] = session
        self._peers[session.id] = peer
        self.counts.joined += 1
        self.dealer.add_session(session.id, session)
        peer.session_id, peer.router = session.id, self
        self._events.joined(session.id, session)
        self.report()

    def leaving(self, session_id: int) -> None:
        """End subscriptions, registrations and calls of a session that is about to end; nobody need wait."""
        leaving = self._attached.pop(session_id, None)
        self.broker.remove_session(session_id)
        self.deliver(self.dealer.remove_session(session_id))
        testaments = self._testaments.take(session_id)
        if leaving is not None and session_id not in self._silenced:
            for publish in testaments:
                publish()
            self._events.left(session_id, leaving)
        self.report()

    def undeliverable(self, session_id: int, invocation_id: int, text: str) -> None:
        """Answer the caller of an INVOCATION that cannot be sent."""
        self.deliver(self.dealer.undeliverable(session_id, invocation_id, text))

    def may_continue(self, session_id: int, call: Call) -> bool:
        """Whether a CALL with an id that was there before can be part of a progressive call."""
        session = self.dealer.sessions.get(session_id)
        return session is not None and session.may_continue(call)

    async def call_client(
        self,
        session_id: int,
        procedure: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        timeout: float | None,
    ) -> Any:
        """Call a procedure that this very session has registered, in the server's name."""
        return await self.caller.call(procedure, args, kwargs, timeout=timeout, only=session_id)

    def leave(self, session: Session) -> None:
        """Forget a session and all its subscriptions and registrations."""
        self.leaving(session.id)
        self._silenced.discard(session.id)
        del self._sessions[session.id]
        del self._peers[session.id]
        if not self._sessions and self._emptied is not None:
            self._emptied.set()
            self._emptied = None

    def say_goodbye(self, reason: str, text: str | None) -> None:
        """Begin to close all sessions that have not begun to end; never waits."""
        for peer in list(self._peers.values()):
            peer.say_goodbye(reason, text)

    async def written(self) -> None:
        """Wait until every session has been written what it was sent; one may never read it."""
        for peer in list(self._peers.values()):
            await peer.written()

    async def emptied(self) -> None:
        """Wait until no session is left."""
        if self._sessions:
            if self._emptied is None:
                self._emptied = anyio.Event()
            await self._emptied.wait()

    def revoke_registration(self, procedure: str, match: Match, reason: str | None) -> int:
        """Take a procedure away from all its callees, and return how many they were."""
        registration = self.dealer.registrations.get(match, procedure)
        callees = [] if registration is None else list(registration.callees)
        for session_id in callees:
            assert registration is not None
            self.deliver(self.dealer.revoke(session_id, registration.registration_id, reason))
        self.report()
        return len(callees)

    def revoke_subscription(
        self, topic: str, match: Match, session_id: int | None, reason: str | None
    ) -> int:
        """Take a subscription away from one session or from all clients, and return how many had it."""
        subscription = self.broker.get(topic, match)
        subscribers = [] if subscription is None else list(subscription.subscribers)
        revoked = [
            subscriber
            for subscriber in subscribers
            # The server keeps what it listens to itself.
            if subscriber != self.local.session_id and session_id in (None, subscriber)
        ]
        for subscriber in revoked:
            assert subscription is not None
            own = self._peers[subscriber].subscriptions
            assert own is not None, "it has this subscription"
            own.revoke(subscription.subscription_id, reason)
        self.report()
        return len(revoked)

    def offer(self, procedures: Iterable[tuple[Match, str]]) -> None:
        """Let the meta API show these as the server's own procedures, beside the router's."""
        wanted = dict.fromkeys(procedures)
        present = [own for own in self._own.by_id.values() if not is_reserved(own.procedure)]
        for own in present:
            if wanted.pop((own.match, own.procedure), wanted) is wanted:
                self._own.remove(self.caller.session_id, own.registration_id)
        for match, procedure in wanted:
            self._own.add(self.caller.session_id, procedure, {"match": match})
        self.report()

    def report(self) -> None:
        """Publish the meta events of what has happened, once those who brought it about have their answers.

        Never waits. What is brought about by publishing them, such as the end of a session that reads too
        slowly, is reported after them.
        """
        if self._reporting:
            return
        self._reporting = True
        try:
            while events := self._events.take():
                for event in events:
                    options = {} if event.not_to is None else {"exclude": [event.not_to]}
                    self.distribute(self.broker.publish(None, event.topic, options, event.args, None))
        finally:
            self._reporting = False

    def conclude(self, outcome: Outcome) -> None:
        """Let what follows from a call of a meta procedure happen, once its caller has the answer."""
        self.deliver(outcome.outgoing)
        self.report()
        if outcome.closing is not None:
            self._close(outcome.closing)

    def _close(self, closing: Closing) -> None:
        if closing.silent:
            self._silenced.update(closing.session_ids)
        for session_id in closing.session_ids:
            self._peers[session_id].say_goodbye(closing.reason, closing.message)

    def deliver(self, outgoing: Iterable[Outgoing]) -> None:
        """Send what the dealer decided; never waits."""
        for session_id, message in outgoing:
            if session_id == self.caller.session_id:
                self.caller.send(message)
            else:
                if message.code in _ANSWERS:
                    self.counts.count_answer(message)
                self._peers[session_id].send(message)

    def distribute(self, publication: Publication) -> int:
        """Send a publication to all who the broker decided are to receive it; returns how many events it is.

        Never waits for a subscriber. An event is encoded once for each serializer among them.
        """
        server_id, counts = self.local.session_id, self.counts
        counts.publications += 1
        before = counts.events
        for delivery in publication.deliveries:
            recipients = delivery.recipients
            if delivery.event.subscription_id in self.local and server_id in recipients:
                self.local.take(delivery.event)
                recipients = [session_id for session_id in recipients if session_id != server_id]
            counts.events += len(recipients)
            event = EncodedMessage(delivery.event)
            for session_id in recipients:
                self._peers[session_id].send_event(event)
        return counts.events - before

    def metrics(self) -> Metrics:
        """See Realm.metrics."""
        counts, registrations = self.counts, self.dealer.registrations
        return {
            "sessions": {
                "open": len(self._sessions),
                "opening": self.admission.sessions - len(self._sessions),
                "joined": counts.joined,
                "refused": self.admission.refused,
                "aborted": counts.aborted,
            },
            "calls": {
                "results": counts.results,
                "errors": counts.call_errors,
                "canceled": counts.canceled,
            },
            "errors": {"sent": counts.call_errors + counts.canceled + counts.other_errors},
            "events": {"published": counts.publications, "sent": counts.events},
            "overflows": {"stretches": counts.overflows, "dropped": counts.dropped},
            "bytes": {"received": counts.bytes_received, "sent": counts.bytes_sent},
            "router": {
                "subscriptions": len(self.broker.subscriptions),
                "registrations": len(registrations.by_id),
            },
        }
