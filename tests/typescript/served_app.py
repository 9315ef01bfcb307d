"""The application that the generated types are used with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID, uuid4

import anyio
from pydantic import BaseModel, Field

from wampasgi import Application, Event, Progress, Realm, RPCResult, Topic, WAMPError

shop = Realm("shop")
app = Application([shop])


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class OrderLine(BaseModel):
    sku: str
    quantity: Annotated[int, Field(gt=0)] = 1
    size: Size = Size.SMALL


class Order(BaseModel):
    """An order of a customer."""

    id: UUID
    lines: list[OrderLine]
    state: Literal["open", "sent"] = "open"
    parent: Order | None = None


class SoldOut(WAMPError, uri="com.shop.sold_out"):
    """An item is sold out."""

    sku: str
    left: int


orders: dict[UUID, Order] = {}
changed = Topic("shop.orders.changed", Order)
readings = Topic("shop.readings", tuple[str, float])
shop.add_topic(changed)
shop.add_topic(readings)


@shop.procedure("shop.orders.create", errors=[SoldOut])
async def create(lines: list[OrderLine], *, parent: UUID | None = None) -> Order:
    """Place an order."""
    for line in lines:
        if line.sku == "tea":
            raise SoldOut(sku=line.sku, left=0)
    order = Order(id=uuid4(), lines=lines, parent=None if parent is None else orders[parent])
    orders[order.id] = order
    await changed.publish(order)
    return order


@shop.procedure("shop.orders.find")
async def find(order_id: UUID) -> Order | None:
    return orders.get(order_id)


@shop.procedure("shop.orders.forget")
async def forget(order_id: UUID) -> None:
    orders.pop(order_id, None)


@shop.procedure("shop.stock.count")
async def count(shelves: int = 2) -> AsyncIterator[Progress[float] | int]:
    for shelf in range(shelves):
        yield Progress(shelf / shelves)
    yield 10 * shelves


@shop.procedure("shop.stock.range")
async def stock_range() -> tuple[int, int]:
    return 1, 20


@shop.procedure("shop.stock.skus")
async def skus(first: int) -> tuple[str, ...]:
    return ("cup", "pot", "tea")[:first]


@shop.procedure("shop.stock.audit")
async def audit() -> None:
    await anyio.sleep_forever()


@shop.procedure("shop.labels.", match="prefix")
async def label(copies: int, size: Size = Size.SMALL) -> dict[str, int]:
    return {size.value: copies}


@shop.topic("shop.notices")
async def notices() -> None:
    """Announce changes of the opening hours."""


@shop.procedure("shop.announce")
async def announce(text: str) -> None:
    await shop.publish("shop.notices", text, until="noon")


@shop.procedure("shop.echo")
async def echo(*args: object, **kwargs: object) -> RPCResult:
    return RPCResult(args, kwargs)


@shop.subscriber("shop.sensors.", match="prefix")
async def on_reading(value: float, event: Event) -> None:
    await readings.publish((event.topic, value))
