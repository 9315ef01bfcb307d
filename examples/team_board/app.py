"""A board of cards for a team: FastAPI and wampasgi with one login, one database and shared handlers.

Serve it with ``BOARD_KEY=... uvicorn examples.team_board.app:api``. The key needs at least 32 random
characters. WAMP clients join the realm ``board`` at ``ws://127.0.0.1:8000/ws``. Requires PyJWT.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from examples.team_board import board, login, presence
from wampasgi import Application, WAMPRoute

realm = board.realm
realm.include_router(board.wamp)
realm.include_router(presence.wamp)
realm.add_session_lifespan_handler(presence.track_presence)
realm.add_transport_authenticator(login.identify_by_cookie)
realm.set_ticket_authenticator(login.identify_by_ticket)

wamp = Application([realm], allow_default_realm=False)


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[None]:
    async with wamp.lifespan(api):
        yield


api = FastAPI(title="Team board", lifespan=lifespan, routes=[WAMPRoute("/ws", wamp)])
api.include_router(login.http)
api.include_router(board.http)
