"""Provide handlers with values that live as long as the application, a session, or a call."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from wampasgi import Application, Depends, Session


# Lives as long as the application. The yielded values are in `session.connection.state`.
@asynccontextmanager
async def lifespan(app: Application) -> AsyncIterator[dict[str, Any]]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "notes.db")
        with closing(sqlite3.connect(path)) as database:
            database.execute("create table notes (author text, text text)")
        yield {"database": path}


app = Application(lifespan=lifespan)
app.set_default_arg("metrics", {"sessions": 0})


# Lives as long as a session.
async def count_session(metrics: dict[str, int]) -> AsyncIterator[None]:
    metrics["sessions"] += 1
    yield
    metrics["sessions"] -= 1


app.add_session_lifespan_handler(count_session)


# Lives as long as a call. Commits if the call succeeds, and rolls back if it fails.
def transaction(session: Session) -> Iterator[sqlite3.Connection]:
    # The dependency and the handler run in worker threads, possibly in different ones.
    connect = sqlite3.connect(session.connection.state.database, check_same_thread=False)
    with closing(connect) as database, database:
        yield database


Database = Annotated[sqlite3.Connection, Depends(transaction)]


@app.procedure("me.rename")
async def rename(name: str, session: Session) -> None:
    session["name"] = name


@app.procedure("notes.add")
def add_notes(texts: list[str], session: Session, database: Database) -> int:
    for text in texts:
        if not text:
            raise ValueError("a note needs a text")
        database.execute("insert into notes values (?, ?)", (session.get("name", "somebody"), text))
    return len(texts)


@app.procedure("notes.all")
def all_notes(database: Database) -> dict[str, list[tuple[str, str]]]:
    return {"notes": database.execute("select author, text from notes order by rowid").fetchall()}


@app.procedure("metrics")
async def get_metrics(metrics: dict[str, int]) -> dict[str, int]:
    return metrics
