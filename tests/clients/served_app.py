"""The application for these tests: an open default realm, `office` with tickets, and `watched`."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
from pydantic import BaseModel

from wampasgi import (
    Application,
    Event,
    Identity,
    Realm,
    RPCErrorResult,
    RPCProgressReport,
    RPCResult,
    Session,
    SubscribeError,
    WAMPError,
)

app = Application()
office = Realm("office")
app.add_realm(office)
watched = Realm("watched")
watched.allow_all()
watched.keep_history("com.example.log.", match="prefix", limit=3)
app.add_realm(watched)


def note(line: str) -> None:
    """Add a line to the journal, which tests read after the session or the server has ended."""
    with Path(os.environ["WAMPASGI_TEST_JOURNAL"]).open("a") as journal:
        journal.write(f"{line}\n")


class Item(BaseModel):
    name: str
    price: int
    amount: int = 1


@app.add_session_lifespan_handler
async def note_session(session: Session) -> AsyncIterator[None]:
    note(f"opened {session.id}")
    yield
    note(f"closed {session.id}")


@app.procedure("math.add")
async def add(a: int, b: int = 0) -> int:
    return a + b


@app.procedure("echo")
async def echo(*args: Any, **kwargs: Any) -> RPCResult:
    return RPCResult(args, kwargs)


@app.procedure("subprotocol")
async def subprotocol(session: Session) -> str:
    return session.connection.subprotocol


@app.procedure("order.double")
async def double(item: Item) -> Item:
    return item.model_copy(update={"amount": item.amount * 2})


@app.procedure("thread.name")
def thread_name() -> str:
    return threading.current_thread().name


@app.procedure("stock.take")
async def take(name: str) -> None:
    raise WAMPError("com.example.out_of_stock", name, left=0)


@app.procedure("stock.refuse")
async def refuse() -> RPCErrorResult:
    return RPCErrorResult("com.example.refused", ("no",), {"code": 7})


@app.procedure("fail")
async def fail() -> None:
    raise ValueError("the password is swordfish")


@app.procedure("count.down")
async def count_down(start: int) -> AsyncIterator[RPCProgressReport | RPCResult]:
    for left in range(start, 0, -1):
        yield RPCProgressReport((left,), {"done": start - left})
    yield RPCResult(("lift-off",))


@app.procedure("slow")
async def slow(session: Session) -> None:
    note(f"slow begun {session.id}")
    try:
        await anyio.sleep_forever()
    finally:
        note(f"slow ended {session.id}")


@app.procedure("announce")
async def announce(topic: str, *args: Any, **kwargs: Any) -> int:
    return await app.publish(topic, *args, **kwargs)


@app.topic("news")
async def news(session: Session) -> AsyncIterator[None]:
    yield
    note(f"unsubscribed {session.id}")


@app.topic("news.greeted")
async def greeted(session: Session, topic_uri: str) -> AsyncIterator[None]:
    await session.send_event(topic_uri, ["welcome"], {"topic": topic_uri})
    yield


@app.topic("news.staff")
async def staff_only() -> None:
    raise SubscribeError("com.example.staff_only", "for staff")


@app.subscriber("sensors.", match="prefix")
async def on_reading(value: float, event: Event, unit: str = "C") -> None:
    await app.publish("news", event.topic, value, unit=unit)


app.allow("clients.", "register", "call", "publish", "subscribe", match="prefix", disclose=True)
app.allow("clients.restarted", "takeover")


@app.procedure("ask.caller")
async def ask_caller(question: str, session: Session) -> Any:
    return await session.call("clients.answer", question, timeout=5)


@app.procedure("revoke.client")
async def revoke(uri: str) -> int:
    return app.revoke_registration(uri, reason="moved")


@watched.procedure("revoke.subscription")
async def revoke_subscription(topic: str, session: Session) -> int:
    return watched.revoke_subscription(topic, session=session, reason="moved")


@office.procedure("whoami")
async def whoami(session: Session) -> dict[str, Any]:
    return {"authid": session.authid, "role": session.authrole, "user": session.identity}


async def check_ticket(session: Session, ticket: str) -> Identity | None:
    if ticket != "open sesame":
        return None
    return Identity(user="Joe Doe", authid=session.authid, authrole="clerk")


office.set_ticket_authenticator(check_ticket)
