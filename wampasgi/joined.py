"""The sessions that have joined a realm, and carrying publications to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import anyio

from wampasgi.ids import SequentialIds, random_publication_id
from wampasgi.peer import EncodedMessage, Peer
from wampasgi.router.broker import Broker
from wampasgi.session import Session


class JoinedSessions(Mapping[int, Session]):
    """The open sessions of one realm by session id, and the broker that knows what they subscribed to."""

    def __init__(self) -> None:
        self._sessions: dict[int, Session] = {}
        self._peers: dict[int, Peer] = {}
        self._emptied: anyio.Event | None = None
        self.broker = Broker(
            next_subscription_id=SequentialIds().next,
            random_publication_id=random_publication_id,
            sessions=self._sessions,
        )

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

    def leave(self, session: Session) -> None:
        """Forget a session and all its subscriptions."""
        del self._sessions[session.id]
        del self._peers[session.id]
        self.broker.remove_session(session.id)
        if not self._sessions and self._emptied is not None:
            self._emptied.set()
            self._emptied = None

    async def emptied(self) -> None:
        """Wait until no session is left."""
        if self._sessions:
            if self._emptied is None:
                self._emptied = anyio.Event()
            await self._emptied.wait()

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
    ) -> int:
        """Send a publication to all who are to receive it, and return its id.

        Never waits for a subscriber. An event is encoded once for each serializer among them.
        """
        publication = self.broker.publish(
            publisher_id, topic, options, args, kwargs, payload=payload, disclose=disclose
        )
        for delivery in publication.deliveries:
            event = EncodedMessage(delivery.event)
            for session_id in delivery.recipients:
                self._peers[session_id].send_encoded(event)
        return publication.publication_id
