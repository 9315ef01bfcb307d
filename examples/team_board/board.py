"""The cards of the team board. The same functions serve HTTP and WAMP."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, StringConstraints

from examples.team_board.database import Card, UsedDatabase
from examples.team_board.login import CurrentUser
from wampasgi import Realm, RPCProgressReport, WAMPRouter

http = APIRouter(prefix="/cards")
wamp = WAMPRouter(prefix="board.cards.")
realm = Realm("board")


class Draft(BaseModel):
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


@http.get("")
@wamp.procedure("list")
async def list_cards(database: UsedDatabase, user: CurrentUser) -> list[Card]:
    return await database.list_cards()


@http.post("", status_code=201)
@wamp.procedure("add")
async def add_card(draft: Draft, database: UsedDatabase, user: CurrentUser) -> Card:
    card = await database.add_card(user.name, draft.text)
    await realm.publish("board.cards.added", card)
    return card


@http.delete("/{card_id}", status_code=204)
@wamp.procedure("delete")
async def delete_card(card_id: int, database: UsedDatabase, user: CurrentUser) -> None:
    card = await database.find_card(card_id)
    if card is None:
        raise HTTPException(404, "no such card")
    if card.author != user.name and user.role != "admin":
        raise HTTPException(403, "this card belongs to someone else")
    await database.delete_card(card_id)
    await realm.publish("board.cards.deleted", card_id)


@wamp.procedure("export")
async def export_cards(database: UsedDatabase) -> AsyncIterator[RPCProgressReport | str]:
    """Return all cards as CSV, and report the number of written cards."""
    cards = await database.list_cards()
    text = io.StringIO()
    writer = csv.writer(text)
    for done, card in enumerate(cards, 1):
        writer.writerow([card.id, card.author, card.text])
        yield RPCProgressReport(kwargs={"done": done, "total": len(cards)})
    yield text.getvalue()


@wamp.topic("added")
@wamp.topic("deleted")
async def cards_changed() -> AsyncIterator[None]:
    yield
