"""Realms that admit users with a ticket, for attacks that guess it."""

from __future__ import annotations

from hmac import compare_digest
from typing import Any

from tests.auth.peers import SECRET
from wampasgi import Application, AuthenticationFailure, Identity, Limits, Realm, Session

USERS = ("joe", "ann", "bob")


async def check(session: Session, ticket: str) -> Identity | None:
    right = compare_digest(ticket.encode(), SECRET.encode())
    return Identity(authid=session.authid) if right and session.authid in USERS else None


def add_guarded_realms(app: Application) -> None:
    """Add realms with different limits, and a procedure that returns the metrics and reported failures."""
    reported: dict[str, int] = {}

    async def count(failure: AuthenticationFailure) -> None:
        reported[failure.reason] = reported.get(failure.reason, 0) + 1

    for uri, limits in {
        "office": None,
        "home": None,
        "unlimited": Limits(authentication_failures=None),
        "strict": Limits(authentication_failures=1),
    }.items():
        realm = Realm(uri, limits=limits)
        realm.set_ticket_authenticator(check)
        realm.on_authentication_failed(count)

        @realm.procedure("math.add")
        async def add(a: int, b: int) -> int:
            return a + b

        app.add_realm(realm)

    @app.procedure("failures")
    async def failures() -> dict[str, Any]:
        return {"metrics": app.metrics(), "reported": reported}
