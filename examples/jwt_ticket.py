"""Authenticate by JSON Web Tokens: HTTP issues them, and WAMP accepts them as tickets.

Serve it with ``JWT_KEY=... uvicorn examples.jwt_ticket:api``. The key needs at least 32 random characters.
WAMP clients connect to ``ws://127.0.0.1:8000/ws``. Requires PyJWT.
"""

from __future__ import annotations

import hmac
import os
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

import wampasgi
from wampasgi import Identity, Session, WAMPRoute

KEY = os.environ.get("JWT_KEY") or secrets.token_urlsafe(32)
AUDIENCE = "wamp"
LIFETIME = timedelta(minutes=5)


class Login(BaseModel):
    name: str
    password: str


passwords = {"alice": "secret-of-alice", "bob": "secret-of-bob"}
roles = {"alice": "admin", "bob": "member"}

wamp = wampasgi.Application()
api = FastAPI(routes=[WAMPRoute("/ws", wamp)])


@api.post("/token")
async def give_token(login: Login) -> str:
    expected = passwords.get(login.name, "")
    if not hmac.compare_digest(login.password.encode(), expected.encode()) or not expected:
        raise HTTPException(401, "wrong name or password")
    expires = datetime.now(UTC) + LIFETIME
    claims = {"sub": login.name, "role": roles[login.name], "aud": AUDIENCE, "exp": expires}
    return jwt.encode(claims, KEY, algorithm="HS256")


async def check_token(ticket: str) -> Identity | None:
    try:
        claims = jwt.decode(
            ticket,
            KEY,
            algorithms=["HS256"],
            audience=AUDIENCE,
            options={"require": ["exp", "aud", "sub"]},
        )
    except jwt.InvalidTokenError:
        return None
    # The token names the client, whatever authid HELLO claims.
    return Identity(user=claims, authid=claims["sub"], authrole=claims["role"])


wamp.set_ticket_authenticator(check_token)


@wamp.procedure("whoami")
async def whoami(session: Session) -> dict[str, Any]:
    return {"name": session.authid, "role": session.authrole}


@wamp.procedure("users.count", roles="admin")
async def count_users() -> int:
    return len(passwords)
