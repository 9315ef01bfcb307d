"""The application that the tests of the page explore, with a realm for each way to log in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal

import anyio
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.auth import peers
from wampasgi import Application, Identity, Progress, Realm, Session, WAMPError, WAMPRoute
from wampasgi.explorer import Explorer

MANY = 500


class SoldOut(WAMPError, uri="com.shop.sold_out"):
    """An item is sold out."""

    sku: str
    left: int


class Line(BaseModel):
    sku: str = Field(min_length=1)
    quantity: int = Field(default=1, gt=0)


class Address(BaseModel):
    city: str
    country: Literal["DE", "FR", "CH"] = "DE"


shop = Application()


@shop.procedure("math.add", tags="math")
async def add(a: int, b: int = 0) -> int:
    """Add two numbers."""
    return a + b


@shop.procedure("text.repeat", tags="text")
async def repeat(text: str, times: int = 1) -> str:
    return text * times


@shop.procedure(
    "shop.order",
    tags="shop",
    errors=[SoldOut],
    examples=[{"summary": "Two cups", "args": [[{"sku": "cup", "quantity": 2}], {"city": "Ulm"}]}],
)
async def order(lines: list[Line], address: Address, *, voucher: str | None = None) -> dict[str, int]:
    """Place an order.

    The **customer** pays when it is shipped. <b>No</b> [script](javascript:alert(1)).
    """
    if lines[0].sku == "rare":
        raise SoldOut("Too late", sku="rare", left=0)
    total = sum(line.quantity for line in lines)
    await shop.publish("shop.ordered", address.city, total)
    return {"items": total}


@shop.procedure("shop.count", tags="shop")
async def count(shelves: Annotated[int, Field(ge=1, le=1000)] = 4) -> AsyncIterator[Progress[float] | int]:
    """Count the stock."""
    for shelf in range(shelves):
        yield Progress(shelf / shelves)
        await anyio.sleep(0.02)
    yield 42


@shop.procedure("shop.list", tags="shop")
async def list_shelves() -> AsyncIterator[Progress[str] | int]:
    for name in "left", "right":
        yield Progress(name)
    yield 2


@shop.procedure("shop.wait")
async def wait() -> None:
    await anyio.sleep_forever()


@shop.procedure("shop.old", deprecated=True)
async def old() -> None: ...


@shop.procedure("shop.report.", match="prefix")
async def report() -> str:
    """Return a report.

    Its name follows `shop.report.`, as in `shop.report.weekly`.
    """
    return "a report"


@shop.procedure("shop.reset", roles={"clerk"})
async def reset() -> None: ...


@shop.procedure("events.publish")
async def publish_events(events: int, per_second: int = 1000) -> int:
    """Publish numbers."""
    batch = max(1, per_second // 50)
    for start in range(0, events, batch):
        for number in range(start, min(events, start + batch)):
            await shop.publish("events.number", number)
        await anyio.sleep(batch / per_second)
    return events


@shop.topic("shop.ordered", event=tuple[str, int])
async def ordered() -> AsyncIterator[None]:
    """Orders: the city and the number of items."""
    yield


@shop.topic("events.number", event=int)
async def numbers() -> AsyncIterator[None]:
    yield


@shop.topic("sensors.", match="prefix", patterns=True)
async def sensors() -> AsyncIterator[None]:
    yield


@shop.topic("shop.shelves.", match="prefix")
async def shelves() -> AsyncIterator[None]:
    """Changes of a shelf, such as `shop.shelves.left`."""
    yield


@shop.subscriber("sensors.", match="prefix")
async def on_reading(value: float) -> None:
    """Readings of a sensor."""


shop.allow("sensors.", "publish", "subscribe", match="prefix")
shop.allow("clients.", "register", "call", match="prefix")
shop.allow("wamp.reflection.define", "call")
shop.allow("wamp.registration.on_create", "subscribe")
shop.allow("wamp.registration.on_delete", "subscribe")


async def whoami(session: Session) -> str | None:
    return session.authid


async def manage() -> None: ...


for name, use in {
    "ticket": peers.use_ticket,
    "wampcra": peers.use_cra,
    "salted": peers.use_salted_cra,
    "scram": peers.use_scram_pbkdf2,
    "argon2": peers.use_scram_argon2,
    "cryptosign": peers.use_cryptosign,
}.items():
    realm = Realm(name)
    use(realm)
    realm.procedure("whoami")(whoami)
    realm.procedure("manage", roles={"clerk"})(manage)
    realm.allow("wamp.", "call", "subscribe", match="prefix", role="clerk")
    shop.add_realm(realm)

cookie = Realm("cookie", allow_anonymous=False)
shop.add_realm(cookie)
cookie.procedure("whoami")(whoami)


@cookie.add_transport_authenticator
async def by_cookie(session: Session) -> Identity | None:
    user = session.connection.cookies.get("user")
    return None if user is None else Identity(user=user, authid=user, authrole="customer")


plain = Realm("plain")
plain.procedure("math.add")(add)
plain.allow_all()
shop.add_realm(plain)

closed = Realm("closed")


@closed.procedure("echo")
async def echo(text: str) -> str:
    return text


@closed.authorizer
async def may(action: str, uri: str) -> bool:
    return not uri.startswith("wamp.")


shop.add_realm(closed)

many = Realm("many")
for number in range(MANY):
    many.procedure(f"group{number % 20}.procedure{number}", tags=f"group {number % 20}")(add)
shop.add_realm(many)

private_realm = Realm("private")
peers.use_ticket(private_realm)
private = Application([private_realm], allow_default_realm=False)


class UnknownPrefix:
    """A proxy that removes ``/proxy`` from the path, of which the application does not know."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and scope["path"].startswith("/proxy/"):
            scope = {**scope, "path": scope["path"].removeprefix("/proxy")}
        await self.app(scope, receive, send)


async def log_in(request: object) -> Response:
    response = Response("logged in")
    response.set_cookie("user", "cleo", httponly=True)
    return response


for application in shop, private:
    application.check()

explorer = Explorer(
    shop, ws_url="/ws", title="Shop <API>", version="1.2.3", description="Sells **tea** & <b>cups</b>."
)
app = UnknownPrefix(
    Starlette(
        routes=[
            Route("/login", log_in),
            WAMPRoute("/ws", shop),
            WAMPRoute("/private/ws", private),
            Mount("/docs", explorer),
            Mount("/inner/area", routes=[Mount("/docs", explorer)]),
            Mount("/private/docs", Explorer(private, ws_url="/private/ws")),
            Mount("/own", Application(docs_url="/docs")),
        ]
    )
)
