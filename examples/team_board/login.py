"""The login of the team board: a JSON Web Token, which is a cookie or a WAMP ticket.

Browsers send the cookie with HTTP requests and with the WebSocket. Other clients send the token as the
ticket.
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

import fastapi
import jwt
from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel

import wampasgi
from examples.team_board.database import Database, UsedDatabase, User
from wampasgi import Identity, Session, WAMPError

KEY = os.environ.get("BOARD_KEY") or secrets.token_urlsafe(32)
AUDIENCE = "team-board"
LIFETIME = timedelta(hours=8)
COOKIE = "board_token"


class Login(BaseModel):
    name: str
    password: str


http = APIRouter()


@http.post("/login")
async def log_in(login: Login, response: Response, database: UsedDatabase) -> str:
    if not await database.check_password(login.name, login.password):
        raise HTTPException(401, "wrong name or password")
    claims = {"sub": login.name, "aud": AUDIENCE, "exp": datetime.now(UTC) + LIFETIME}
    token = jwt.encode(claims, KEY, algorithm="HS256")
    response.set_cookie(COOKIE, token, httponly=True, samesite="lax", max_age=int(LIFETIME.total_seconds()))
    return token


async def user_of_token(token: str, database: Database) -> User | None:
    """Return the token's user. The database decides: the user may have been blocked meanwhile."""
    try:
        claims = jwt.decode(
            token, KEY, algorithms=["HS256"], audience=AUDIENCE, options={"require": ["exp", "aud", "sub"]}
        )
    except jwt.InvalidTokenError:
        return None
    return await database.find_user(claims["sub"])


# The authenticators of the WAMP realm


async def identify_by_cookie(session: Session, database: UsedDatabase) -> Identity | None:
    token = session.connection.cookies.get(COOKIE)
    if token is None:
        return None  # the client may have a ticket
    identity = await identify_by_ticket(token, database)
    if identity is None:
        raise WAMPError("com.example.board.login_expired", "log in again")
    return identity


async def identify_by_ticket(ticket: str, database: UsedDatabase) -> Identity | None:
    user = await user_of_token(ticket, database)
    return Identity(user=user, authid=user.name, authrole=user.role) if user is not None else None


# The current user, for the handlers of both frameworks


async def user_of_request(request: Request, database: UsedDatabase) -> User:
    user = await user_of_token(request.cookies.get(COOKIE, ""), database)
    if user is None:
        raise HTTPException(401, "log in first")
    return user


def user_of_session(session: Session) -> User:
    user: User = session.identity  # the realm admits nobody without an identity
    return user


CurrentUser = Annotated[User, fastapi.Depends(user_of_request), wampasgi.Depends(user_of_session)]
