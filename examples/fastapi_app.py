"""Publish events to WAMP subscribers from the HTTP handlers of a FastAPI application.

Serve it with ``uvicorn examples.fastapi_app:api``. WAMP clients connect to ``ws://127.0.0.1:8000/ws``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID, uuid4

import fastapi
from pydantic import BaseModel, Field, PositiveInt

import wampasgi
from wampasgi import WAMPError, WAMPRoute


class Draft(BaseModel):
    item: str
    quantity: PositiveInt = 1


class Order(Draft):
    id: UUID = Field(default_factory=uuid4)


orders: dict[UUID, Order] = {}


def get_orders() -> dict[UUID, Order]:
    return orders


# One annotation serves both frameworks: each one looks for its own ``Depends``.
Orders = Annotated[dict[UUID, Order], fastapi.Depends(get_orders), wampasgi.Depends(get_orders)]

wamp = wampasgi.Application()
api = fastapi.FastAPI(routes=[WAMPRoute("/ws", wamp)])


@api.post("/orders", status_code=201)
async def create_order(draft: Draft, orders: Orders) -> Order:
    order = Order(**draft.model_dump())
    orders[order.id] = order
    await wamp.publish("orders.created", order)
    return order


@wamp.procedure("orders.get")
async def get_order(order_id: UUID, orders: Orders) -> Order:
    if order_id not in orders:
        raise WAMPError("com.example.no_such_order", str(order_id))
    return orders[order_id]


@wamp.procedure("orders.cancel")
async def cancel_order(order_id: UUID, orders: Orders) -> bool:
    if orders.pop(order_id, None) is None:
        return False
    await wamp.publish("orders.cancelled", order_id)
    return True


@wamp.topic("orders.", match="prefix")
async def order_topics() -> AsyncIterator[None]:
    yield
