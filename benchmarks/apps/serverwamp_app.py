"""The app for serverwamp."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import serverwamp

wamp = serverwamp.Application()
procedures = serverwamp.RPCRouteSet()
topics = serverwamp.TopicRouteSet()
subscribers: dict[Any, None] = {}


@procedures.route("echo")
async def echo(value: Any) -> Any:
    return (value,)


@procedures.route("publish")
async def publish() -> None:
    for session in tuple(subscribers):
        await session.send_event("news", ["text"])


@topics.route("news")
async def news(session: Any) -> AsyncIterator[None]:
    subscribers[session] = None
    yield
    del subscribers[session]


wamp.add_rpc_routes(procedures)
wamp.add_topic_routes(topics)
app = wamp.asgi_application()
