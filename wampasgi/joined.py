"""The sessions that have joined a realm, and carrying to them what its broker and dealer decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from random import randrange

import anyio

from wampasgi.adapters import Start
from wampasgi.ids import SequentialIds, random_publication_id
from wampasgi.peer import EncodedMessage, Peer
from wampasgi.router.broker import Broker, Publication
from wampasgi.router.dealer import Dealer, Outgoing
from wampasgi.router.lifecycles import MetaEvents
from wampasgi.router.meta import Closing, MetaAPI, Outcome
from wampasgi.router.registrations import Registrations
from wampasgi.router.testaments import Testaments
from wampasgi.server_caller import ServerCaller
from wampasgi.session import Session
from wampasgi.types import Match
from wampasgi.uris import is_reserved


def utc_now() -> str:
    """The time as an ISO 8601 string, with milliseconds, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JoinedSessions(Mapping[int, Session]):
    """The open sessions of one realm by session id, with its broker and its dealer.

    ``server`` is the realm's own session, which calls in the server's name. With ``private_registrations``
    each session registers for itself alone. ``now`` gives the time, ISO 8601, for the meta API.
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
        self.broker = Broker(
            next_subscription_id=SequentialIds().next,
            random_publication_id=random_publication_id,
            sessions=self._sessions,
        )
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

    def join(self, session: Session, peer: Peer) -> None:
        """Deliver to ``session`` from now on."""
        self._sessions[session.id] = self._attached[session.id] = session
        self._peers[session.id] = peer
        peer.may_continue = self.dealer.add_session(session.id, session).may_continue
        peer.on_leave = partial(self._leave_router, session.id)
        peer.undeliverable = partial(self._undeliverable, session.id)
        peer.call = partial(self.caller.call, only=session.id)
        self._events.joined(session.id, session)
        self.report()

    def _leave_router(self, session_id: int) -> None:
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

    def _undeliverable(self, session_id: int, invocation_id: int, text: str) -> None:
        self.deliver(self.dealer.undeliverable(session_id, invocation_id, text))

    def leave(self, session: Session) -> None:
        """Forget a session and all its subscriptions and registrations."""
        self._leave_router(session.id)
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

    def revoke(self, procedure: str, match: Match, reason: str | None) -> int:
        """Take a procedure away from all its callees, and return how many they were."""
        registration = self.dealer.registrations.get(match, procedure)
        callees = [] if registration is None else list(registration.callees)
        for session_id in callees:
            assert registration is not None
            self.deliver(self.dealer.revoke(session_id, registration.registration_id, reason))
        self.report()
        return len(callees)

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
                self._peers[session_id].send(message)

    def distribute(self, publication: Publication) -> None:
        """Send a publication to all who the broker decided are to receive it.

        Never waits for a subscriber. An event is encoded once for each serializer among them.
        """
        for delivery in publication.deliveries:
            writes = self._writes(EncodedMessage(delivery.event), delivery.recipients)
            first = next(writes, None)
            if first is not None:
                first[0].spawn_each(chain((first,), writes))

    def _writes(self, event: EncodedMessage, recipients: Iterable[int]) -> Iterator[Start]:
        peers = self._peers
        for session_id in recipients:
            write = peers[session_id].writing(event)
            if write is not None:
                yield write
