"""Share a database of users between FastAPI and WAMP: register over HTTP, log in by WAMP-CRA.

The database does not store passwords, only keys that are derived from them. Serve it with
``USERS_DB=users.sqlite uvicorn examples.database_users:api``. WAMP clients connect to
``ws://127.0.0.1:8000/ws``. Requires aiosqlite.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import aiosqlite
import anyio
import fastapi
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

import wampasgi
from wampasgi import CRAAuthRequirement, Identity, Session, WAMPRoute, derive_key

ITERATIONS = 100_000

TABLE = """
    CREATE TABLE IF NOT EXISTS users (
        name TEXT PRIMARY KEY,
        salt TEXT NOT NULL,
        derived_key TEXT NOT NULL,
        iterations INTEGER NOT NULL,
        role TEXT NOT NULL DEFAULT 'member',
        active INTEGER NOT NULL DEFAULT 1
    )
"""


class Registration(BaseModel):
    name: str = Field(min_length=1, max_length=50)
    password: str = Field(min_length=8, max_length=200)


async def connect() -> AsyncIterator[aiosqlite.Connection]:
    async with aiosqlite.connect(os.environ.get("USERS_DB", "users.sqlite")) as database:
        database.row_factory = aiosqlite.Row
        yield database


# One annotation serves both frameworks: each one looks for its own ``Depends``.
Database = Annotated[aiosqlite.Connection, fastapi.Depends(connect), wampasgi.Depends(connect)]


@asynccontextmanager
async def create_table(api: FastAPI) -> AsyncIterator[None]:
    async with asynccontextmanager(connect)() as database:
        await database.execute(TABLE)
        await database.commit()
    yield


wamp = wampasgi.Application()
api = FastAPI(routes=[WAMPRoute("/ws", wamp)], lifespan=create_table)


@api.post("/users", status_code=201)
async def register(user: Registration, database: Database) -> None:
    salt = secrets.token_hex(16)
    key = await anyio.to_thread.run_sync(derive_key, user.password, salt, ITERATIONS)
    try:
        await database.execute(
            "INSERT INTO users (name, salt, derived_key, iterations) VALUES (?, ?, ?, ?)",
            (user.name, salt, key, ITERATIONS),
        )
        await database.commit()
    except aiosqlite.IntegrityError:
        raise HTTPException(409, "this name is taken") from None


async def find_user(session: Session, database: Database) -> aiosqlite.Row | None:
    rows = await database.execute("SELECT * FROM users WHERE name = ?", (session.authid,))
    return await rows.fetchone()


User = Annotated[aiosqlite.Row | None, wampasgi.Depends(find_user)]


async def requirement(user: User) -> CRAAuthRequirement | None:
    if user is None:
        return None
    return CRAAuthRequirement(
        user["derived_key"], user["role"], "users", salt=user["salt"], iterations=user["iterations"]
    )


async def identity(user: User) -> Identity | None:
    """Return the identity of a user who has proven the password, or None if the account is locked."""
    return Identity(user=user["name"]) if user is not None and user["active"] else None


wamp.set_cra_handlers(
    requirement,
    identity,
    # A challenge must not reveal which names exist.
    unknown=CRAAuthRequirement("-", "member", "users", salt=secrets.token_hex(16), iterations=ITERATIONS),
)


@wamp.procedure("users.me")
async def me(session: Session) -> str:
    return f"{session.identity} is a {session.authrole}"
