"""The apps that the benchmarks load."""

from __future__ import annotations

from typing import Any

import orjson

from wampasgi import Application
from wampasgi.types import Receive, Scope, Send

wampasgi = Application()


@wampasgi.procedure("echo")
async def echo(value: Any) -> Any:
    return value


@wampasgi.procedure("typed_echo")
async def typed_echo(value: int) -> int:
    return value


async def ceiling(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer CALL with RESULT and nothing else: no framework does it with less."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept", "subprotocol": "wamp.2.json"})
    while (event := await receive())["type"] == "websocket.receive":
        message = orjson.loads(event["text"])
        if message[0] == 1:
            answer: list[Any] = [2, 1, {"roles": {"dealer": {}}}]
        else:
            answer = [50, message[1], {}, message[4]]
        await send({"type": "websocket.send", "text": orjson.dumps(answer).decode()})
