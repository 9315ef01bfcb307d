"""The ceiling: the minimum that the protocol requires, and thus the upper limit for any framework."""

from __future__ import annotations

from typing import Any

import cbor2
import orjson
import ormsgpack

from wampasgi.types import Receive, Scope, Send

CODECS: dict[str, tuple[str, Any, Any]] = {
    "wamp.2.json": ("text", orjson.loads, lambda message: orjson.dumps(message).decode()),
    "wamp.2.msgpack": ("bytes", ormsgpack.unpackb, ormsgpack.packb),
    "wamp.2.cbor": ("bytes", cbor2.loads, cbor2.dumps),
}

# The same EVENT for all subscribers. Its publication ID has 16 digits, as a router's usually has.
EVENT = {"type": "websocket.send", "text": '[36,1,4503599627370496,{},["text"]]'}

subscribers: set[Send] = set()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer CALL with RESULT; a CALL of ``publish`` first sends EVENT to all subscribers."""
    if scope["type"] != "websocket":
        return
    subprotocol = scope["subprotocols"][0]
    kind, decode, encode = CODECS[subprotocol]
    await receive()
    await send({"type": "websocket.accept", "subprotocol": subprotocol})
    while (received := await receive())["type"] == "websocket.receive":
        message = decode(received[kind])
        if message[0] == 48:
            if message[3] == "publish":
                for subscriber in subscribers:
                    await subscriber(EVENT)
                answer: list[Any] = [50, message[1], {}]
            else:
                answer = [50, message[1], {}, message[4]]
        elif message[0] == 1:
            answer = [2, 1, {"roles": {"broker": {}, "dealer": {}}}]
        else:
            subscribers.add(send)
            answer = [33, message[1], 1]
        await send({"type": "websocket.send", kind: encode(answer)})
    subscribers.discard(send)
