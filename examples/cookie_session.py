"""Share one login between HTTP and WAMP through Starlette's signed session cookie.

Serve it with ``SESSION_KEY=... uvicorn examples.cookie_session:site``. WAMP clients connect to
``ws://127.0.0.1:8000/ws`` and send the cookie that ``POST /login`` has set. Requires itsdangerous.
"""

from __future__ import annotations

import hmac
import os
import secrets

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wampasgi import Application, Identity, Session, WAMPRoute

passwords = {"alice": "secret-of-alice"}

# A browser sends the cookie with a WebSocket that any site opens, so other sites are refused.
wamp = Application(allowed_origins=["same-origin", "https://shop.example.com"])


async def log_in(request: Request) -> Response:
    login = await request.json()
    expected = passwords.get(login["name"], "")
    if not hmac.compare_digest(login["password"].encode(), expected.encode()) or not expected:
        return JSONResponse({"error": "wrong name or password"}, status_code=401)
    request.session["user"] = login["name"]
    return Response(status_code=204)


async def log_out(request: Request) -> Response:
    user = request.session.pop("user", None)
    for session in list(wamp.default_realm.sessions.values()):
        if session.authid == user:
            await session.close("com.example.logged_out")
    return Response(status_code=204)


async def by_session_cookie(session: Session) -> Identity | None:
    user = session.connection.session.get("user")
    return Identity(user=user, authid=user, authrole="customer") if user is not None else None


wamp.add_transport_authenticator(by_session_cookie)


@wamp.procedure("cart.owner")
async def owner_of_cart(session: Session) -> str:
    return f"cart of {session.identity}"


site = Starlette(
    routes=[
        Route("/login", log_in, methods=["POST"]),
        Route("/logout", log_out, methods=["POST"]),
        WAMPRoute("/ws", wamp),
    ],
    # The middleware wraps both, so that the WebSocket has the session as well.
    middleware=[
        Middleware(SessionMiddleware, secret_key=os.environ.get("SESSION_KEY") or secrets.token_urlsafe(32))
    ],
)
