"""The users and cards of the team board, in SQLite.

Add a user with ``python -m examples.team_board.database NAME member`` or ``... NAME admin``.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import os
import secrets
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal

import anyio
import fastapi
from anyio.to_thread import run_sync
from pydantic import BaseModel

import wampasgi

PATH = os.environ.get("BOARD_DATABASE", "board.db")

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    name TEXT PRIMARY KEY, role TEXT NOT NULL, salt BLOB NOT NULL, password BLOB NOT NULL,
    blocked INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS cards (id INTEGER PRIMARY KEY, author TEXT NOT NULL, text TEXT NOT NULL);
"""


class User(BaseModel):
    name: str
    role: Literal["member", "admin"]


class Card(BaseModel):
    id: int
    author: str
    text: str


class Database:
    """One connection to the database. Its queries run in worker threads."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, path: str) -> Database:
        def connect() -> sqlite3.Connection:
            # Each query may run in another thread, but only one at a time.
            connection = sqlite3.connect(path, check_same_thread=False)
            connection.executescript(SCHEMA)
            return connection

        return cls(await run_sync(connect))

    async def close(self) -> None:
        await run_sync(self._connection.close)

    async def add_user(self, user: User, password: str) -> None:
        salt = secrets.token_bytes(16)
        values = (user.name, user.role, salt, await run_sync(hash_password, password, salt))
        await self._query("INSERT INTO users (name, role, salt, password) VALUES (?, ?, ?, ?)", values)

    async def find_user(self, name: str) -> User | None:
        """Return a user who is not blocked."""
        rows = await self._query("SELECT name, role FROM users WHERE name = ? AND NOT blocked", (name,))
        return User(name=rows[0][0], role=rows[0][1]) if rows else None

    async def check_password(self, name: str, password: str) -> bool:
        rows = await self._query("SELECT salt, password FROM users WHERE name = ?", (name,))
        # An unknown user takes as long as a known one.
        salt, expected = rows[0] if rows else (b"", b"")
        return hmac.compare_digest(await run_sync(hash_password, password, salt), expected)

    async def block_user(self, name: str) -> None:
        await self._query("UPDATE users SET blocked = 1 WHERE name = ?", (name,))

    async def add_card(self, author: str, text: str) -> Card:
        rows = await self._query(
            "INSERT INTO cards (author, text) VALUES (?, ?) RETURNING id, author, text", (author, text)
        )
        return Card(id=rows[0][0], author=rows[0][1], text=rows[0][2])

    async def find_card(self, card_id: int) -> Card | None:
        return next((card for card in await self.list_cards() if card.id == card_id), None)

    async def list_cards(self) -> list[Card]:
        rows = await self._query("SELECT id, author, text FROM cards ORDER BY id")
        return [Card(id=id, author=author, text=text) for id, author, text in rows]

    async def delete_card(self, card_id: int) -> None:
        await self._query("DELETE FROM cards WHERE id = ?", (card_id,))

    async def _query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        def run() -> list[Any]:
            with self._connection:  # a transaction
                return self._connection.execute(statement, values).fetchall()

        return await run_sync(run)


def hash_password(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


async def open_database() -> AsyncIterator[Database]:
    database = await Database.open(PATH)
    try:
        yield database
    finally:
        await database.close()


# One annotation serves HTTP and WAMP: each framework ignores the other's ``Depends``.
UsedDatabase = Annotated[Database, fastapi.Depends(open_database), wampasgi.Depends(open_database)]


async def add_user_from_terminal(name: str, role: str) -> None:
    user = User.model_validate({"name": name, "role": role})
    database = await Database.open(PATH)
    try:
        await database.add_user(user, getpass.getpass(f"password of {name}: "))
    finally:
        await database.close()


if __name__ == "__main__":
    anyio.run(add_user_from_terminal, sys.argv[1], sys.argv[2])
