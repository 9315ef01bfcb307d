"""Ticket authentication."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wampasgi.auth.handlers import IdentityHandler
from wampasgi.auth.method import Accepted
from wampasgi.injection.plan import HandlerPlan
from wampasgi.peers.session import Session
from wampasgi.protocol.messages import Authenticate
from wampasgi.types import Handler


class TicketMethod:
    """Requests a ticket and passes it to ``authenticator``, ``async fn(session, ticket)``.

    The authenticator returns an identity, or None for an invalid ticket. ``session.authid`` is the authid
    that the client claims, or None, for example if the ticket contains it. The session gets the authid of the
    returned ``Identity``, otherwise a random one: only the authenticator knows if the ticket belongs to the
    claimed authid. Compare tickets in constant time (``hmac.compare_digest``).
    Spec: Advanced Profile, "Ticket-based Authentication".
    """

    name = "ticket"

    def __init__(self, authenticator: Handler | HandlerPlan) -> None:
        self._authenticator = IdentityHandler(authenticator, "ticket")

    async def begin(self, session: Session) -> TicketExchange:
        """Create the request for a ticket."""
        return TicketExchange(session, self._authenticator)


class TicketExchange:
    """The request for the ticket of one session."""

    #: CHALLENGE.Extra.
    extra: Mapping[str, Any] = {}

    def __init__(self, session: Session, authenticator: IdentityHandler) -> None:
        self._session = session
        self._authenticator = authenticator

    async def verify(self, answer: Authenticate) -> Accepted | None:
        """Return the identity that belongs to the ticket, or None."""
        identity = await self._authenticator.find(self._session, ticket=answer.signature)
        return None if identity is None else Accepted(identity=identity)
