"""Serve two realms on one endpoint: the default realm is open, and ``admins`` requires a ticket.

Serve it with ``make run``, or with ``uvicorn examples.two_realms:app``.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator

from wampasgi import Application, Identity, Realm, Session

app = Application()
admins = Realm("admins")
app.add_realm(admins)

tickets = {"alice": os.environ.get("ALICE_TICKET", secrets.token_hex())}


@app.procedure("math.add")
async def add(a: int, b: int = 0) -> int:
    return a + b


@app.topic("news.posted")
async def news_posted() -> AsyncIterator[None]:
    yield


async def identify(session: Session, ticket: str) -> Identity | None:
    expected = tickets.get(session.authid or "")
    if expected is None or not secrets.compare_digest(ticket.encode(), expected.encode()):
        return None
    # The ticket belongs to the authid that the client claims.
    return Identity(authid=session.authid, authrole="admin")


admins.set_ticket_authenticator(identify)


@admins.procedure("news.post")
async def post_news(text: str, session: Session) -> None:
    await app.publish("news.posted", text, author=session.authid)


@admins.procedure("sessions.count")
async def count_sessions() -> dict[str, int]:
    return {"default": len(app.default_realm.sessions), "admins": len(admins.sessions)}
