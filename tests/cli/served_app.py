"""The application for the tests of commands: an open realm, one with logins, and a closed one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import anyio
from pydantic import BaseModel, Field

from wampasgi import (
    Application,
    CRAAuthRequirement,
    Event,
    Identity,
    Realm,
    RPCProgressReport,
    RPCResult,
    Session,
    WAMPError,
)

TICKET = "a ticket with spaces"
SECRET = "correct horse"
# The key pair of 32 octets of 1.
PUBLIC_KEY = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"

app = Application(docs_url="/docs")
members = Realm("members")
closed = Realm("closed")
app.add_realm(members)
app.add_realm(closed)


def note(line: str) -> None:
    with Path(os.environ["WAMPASGI_TEST_JOURNAL"]).open("a") as journal:
        journal.write(f"{line}\n")


class Item(BaseModel):
    name: str
    price: float


for procedure_prefix in ("tools.", "wamp.session."):
    app.allow(procedure_prefix, "call", match="prefix")
app.allow("tools.", "register", match="prefix")
app.allow("news.", "publish", "subscribe", match="prefix")


@app.procedure("math.add")
async def add(a: int, b: int = 0) -> int:
    return a + b


@app.procedure("text.join")
async def join(*parts: str, separator: str = "-") -> str:
    return separator.join(parts)


@app.procedure("types.show")
async def show(
    value: Any = None,
    *,
    text: str = "",
    number: float | None = None,
    either: int | str = 0,
    data: bytes = b"",
    item: Item | None = None,
    flag: bool = False,
) -> dict[str, Any]:
    found = {
        "value": value,
        "text": text,
        "number": number,
        "either": either,
        "data": len(data),
        "item": None if item is None else item.model_dump(),
        "flag": flag,
    }
    return {name: given for name, given in found.items() if given}


@app.procedure("types.restricted")
async def restricted(count: Annotated[int, Field(ge=1)]) -> int:
    return count


@app.procedure("values.bytes")
async def give_bytes() -> bytes:
    return b"\x00\xff"


@app.procedure("values.several")
async def give_several() -> RPCResult:
    return RPCResult([1, 2], {"three": 3})


@app.procedure("values.nothing")
async def give_nothing() -> None:
    return


@app.procedure("values.control")
async def give_control_characters() -> str:
    return "red \x1b[31m\u202e"


@app.procedure("values.items")
async def give_items() -> list[Item]:
    return [Item(name="tea", price=2.5), Item(name="cake", price=3)]


@app.procedure("session.identity")
async def identity(session: Session) -> dict[str, Any]:
    headers = session.connection.headers
    return {
        "authid": session.authid,
        "subprotocol": session.connection.subprotocol,
        "cookie": session.connection.cookies.get("flavour"),
        "header": headers.get("x-test"),
    }


@app.procedure("error.raise")
async def fail(text: str) -> None:
    raise WAMPError("com.example.failed", text, code=7)


@app.procedure("work.steps")
async def work(steps: int) -> AsyncIterator[RPCProgressReport | str]:
    for step in range(steps):
        yield RPCProgressReport([step + 1, steps])
    yield "done"


@app.procedure("work.endless")
async def work_endlessly() -> AsyncIterator[RPCProgressReport]:
    note("begun")
    try:
        yield RPCProgressReport([1, 4])
        await anyio.sleep_forever()
    finally:
        note("ended")


@app.procedure("news.tell")
async def tell(text: str, times: int = 1) -> None:
    for number in range(times):
        await app.publish("news.said", text, number=number)


@app.topic("news.", match="prefix", patterns=True)
async def news(topic_uri: str) -> AsyncIterator[None]:
    note(f"subscribed {topic_uri}")
    yield
    note(f"unsubscribed {topic_uri}")


@app.subscriber("news.received")
async def on_news(text: str, event: Event) -> None:
    note(f"received {text!r} {event.details.get('retained', False)}")


@members.procedure("whoami")
async def whoami(session: Session) -> str | None:
    return session.authid


async def check_ticket(session: Session, ticket: str) -> Identity | None:
    return Identity(authid=session.authid, authrole="member") if ticket == TICKET else None


async def require_cra(session: Session) -> CRAAuthRequirement | None:
    return CRAAuthRequirement(SECRET, "member", "test") if session.authid == "ann" else None


async def identify(session: Session) -> Identity:
    return Identity(authid=session.authid, authrole="member")


async def find_keys(session: Session) -> list[str]:
    return [PUBLIC_KEY] if session.authid == "ann" else []


members.set_ticket_authenticator(check_ticket)
members.set_cra_handlers(require_cra, identify)
members.set_cryptosign_handlers(find_keys, identify)


@closed.procedure("secret", roles="nobody")
async def secret() -> None: ...
