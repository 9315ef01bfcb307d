"""The sessions that have joined a realm, and carrying to them what its broker and dealer decide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from random import randrange

import anyio

from wampasgi.ids import SequentialIds, random_publication_id
from wampasgi.local_events import LocalSubscriptions
from wampasgi.peer import EncodedMessage, Peer
from wampasgi.router.broker import Broker, Publication
from wampasgi.router.dealer import Dealer, Outgoing
from wampasgi.server_caller import ServerCaller
from wampasgi.session import Session
from wampasgi.types import Match


class JoinedSessions(Mapping[int, Session]):
    """The open sessions of one realm by session id, with its broker and its dealer.

    ``server`` is the realm's own session, which calls and subscribes in the server's name. With
    ``private_registrations`` each session registers for itself alone.
    """

    def __init__(self, server: Session, *, private_registrations: bool = False) -> None:
        self._sessions: dict[int, Session] = {}
        self._peers: dict[int, Peer] = {}
        self._emptied: anyio.Event | None = None
        self.broker = Broker(
            next_subscription_id=SequentialIds().next,
            random_publication_id=random_publication_id,
            sessions=self._sessions,
        )
        #: What the server itself has subscribed to.
        self.local = LocalSubscriptions(server.id, self.broker)
        self.dealer = Dealer(
            next_registration_id=SequentialIds().next,
            random_index=randrange,
            overloaded=lambda session_id: self._peers[session_id].overloaded,
            private_registrations=private_registrations,
        )
        self.dealer.add_session(server.id, server)
        #: Calls clients' procedures in the server's name.
        self.caller = ServerCaller(server.id, self.dealer, self.deliver)

    def __getitem__(self, session_id: int) -> Session:
        return self._sessions[session_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._sessions)

    def __len__(self) -> int:
        return len(self._sessions)

    def join(self, session: Session, peer: Peer) -> None:
        """Deliver to ``session`` from now on."""
        self._sessions[session.id] = session
        self._peers[session.id] = peer
        peer.may_continue = self.dealer.add_session(session.id, session).may_continue
        peer.on_leave = partial(self._leave_router, session.id)
        peer.undeliverable = partial(self._undeliverable, session.id)
        peer.call = partial(self.caller.call, only=session.id)

    def _leave_router(self, session_id: int) -> None:
        """End subscriptions, registrations and calls of a session that is about to end; nobody need wait."""
        self.broker.remove_session(session_id)
        self.deliver(self.dealer.remove_session(session_id))

    def _undeliverable(self, session_id: int, invocation_id: int, text: str) -> None:
        self.deliver(self.dealer.undeliverable(session_id, invocation_id, text))

    def leave(self, session: Session) -> None:
        """Forget a session and all its subscriptions and registrations."""
        # Once more: a gatekeeper may have let a subscription in after the session began to end.
        self._leave_router(session.id)
        del self._sessions[session.id]
        del self._peers[session.id]
        if not self._sessions and self._emptied is not None:
            self._emptied.set()
            self._emptied = None

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
        return len(callees)

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
            event = EncodedMessage(delivery.event)
            for session_id in delivery.recipients:
                if session_id == self.local.session_id:
                    self.local.take(delivery.event)
                else:
                    self._peers[session_id].send_encoded(event)
