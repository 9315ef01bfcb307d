"""Serve a chat with rooms: a page in a single file, and the realm that it connects to.

Serve it with ``make chat``, or with ``uvicorn examples.chat.app:app``, and open http://127.0.0.1:8000/ in
two windows.
"""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from wampasgi import Application, Limits, Realm, Session, WAMPRoute

FOLDER = Path(__file__).parent
ROOMS = ("lobby", "games", "music")

chat = Realm("chat")
wamp = Application([chat], allow_default_realm=False, limits=Limits(message_size=16 * 1024))

# Clients publish to the rooms directly. The router adds their authids, so nobody can use another name.
for room in ROOMS:
    chat.allow(f"chat.room.{room}", "publish", "subscribe", disclose=True)
    chat.keep_history(f"chat.room.{room}", limit=100)

# The page needs only this part of the meta API. The rest can close sessions and locate people.
for procedure in ("session.get", "subscription.get_events", "subscription.list_subscribers"):
    chat.allow(f"wamp.{procedure}", "call")
for event in ("on_subscribe", "on_unsubscribe"):
    chat.allow(f"wamp.subscription.{event}", "subscribe")


@chat.procedure("chat.rooms")
async def rooms() -> list[str]:
    return list(ROOMS)


async def enter(session: Session) -> None:
    """Admit a client with a valid, unused name. This is enough among people who know each other."""
    name = (session.authid or "").strip()
    if not 0 < len(name) <= 30:
        await session.abort("chat.error.bad_name", "A name must have 1 to 30 characters.")
    elif any(other.authid == name for other in chat.sessions.values()):
        await session.abort("chat.error.name_taken", f"Somebody here is called {name} already.")
    else:
        await session.mark_authenticated(authid=name, authrole="guest")


chat.set_authentication_handler(enter)


async def page(request: Request) -> FileResponse:
    return FileResponse(FOLDER / "index.html")


app = Starlette(
    routes=[
        Route("/", page),
        Mount("/vendor", StaticFiles(directory=FOLDER / "vendor")),
        WAMPRoute("/ws", wamp),
    ],
    lifespan=lambda _: wamp.lifespan(),
)
