"""An ASGI application that tells its clients about their connection, and its log about the end of it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from wampasgi.types import Receive, Scope, Send

#: In seconds, the longest time for which the event loop is blocked.
BLOCKED = 10.0


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve everything."""
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"plain"})
    else:
        await serve_websocket(scope, receive, send)


async def serve_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Send what is known about the connection, then return each message to the client."""
    await receive()
    if scope["path"].endswith("/closed"):
        await send({"type": "websocket.close"})
        return
    if scope["path"].endswith("/denied"):
        await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"denied"})
        return
    await send({"type": "websocket.accept"})
    known = {"pid": os.getpid(), **{key: scope[key] for key in ("root_path", "path", "client", "scheme")}}
    await send({"type": "websocket.send", "text": json.dumps(known)})
    while (event := await receive())["type"] == "websocket.receive":
        if event["text"].startswith("block until "):
            block_until_created(Path(event["text"].removeprefix("block until ")))
        while scope["path"].endswith("/flood"):
            await send({"type": "websocket.send", "bytes": bytes(1000)})
        await send({**event, "type": "websocket.send"})
    os.write(1, f"disconnected with {event['code']}\n".encode())


def block_until_created(file: Path) -> None:
    """Block the event loop until a file exists, so that another worker accepts the next connection."""
    os.write(1, b"blocked\n")
    deadline = time.monotonic() + BLOCKED
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
