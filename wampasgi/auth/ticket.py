"""Ticket authentication."""

from __future__ import annotations

from typing import Any

from wampasgi.handlers import HandlerPlan
from wampasgi.messages import Authenticate
from wampasgi.session import Session


class TicketMethod:
    """Asks for a ticket and gives it to ``authenticator``, which returns an identity or None.

    Spec: Advanced Profile, "Ticket-based Authentication".
    """

    name = "ticket"

    def __init__(self, authenticator: HandlerPlan) -> None:
        self._authenticator = authenticator

    async def challenge(self, session: Session) -> dict[str, Any]:
        """CHALLENGE.Extra: a ticket needs none."""
        return {}

    async def verify(self, session: Session, extra: dict[str, Any], answer: Authenticate) -> Any:
        """The identity that the ticket stands for, or None."""
        return await self._authenticator.call(
            {
                "session": session,
                "ticket": answer.signature,
                "realm": session.realm,
                "app": session.realm.app,
            }
        )
