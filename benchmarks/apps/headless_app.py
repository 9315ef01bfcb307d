"""The app for fastapi-headless-wamp."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi_headless_wamp import WampHub, WampSession

wamp = WampHub(realm="default")


@wamp.register("echo")
async def echo(session: WampSession, value: Any) -> Any:
    return value


@wamp.register("publish")
async def publish(session: WampSession) -> None:
    await wamp.publish_to_all("news", args=["text"])


app = FastAPI()
app.include_router(wamp.get_router(path="/"))
