"""An app whose threads use its realm: worker threads of its handlers, and a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from anyio import from_thread, to_thread
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI

from wampasgi import Application, WAMPRoute

wamp = Application()
wamp.allow("jobs.", "subscribe", match="prefix")
wamp.allow("clients.", "register", match="prefix")

jobs: queue.Queue[str | None] = queue.Queue()


async def run_time_procedure() -> str:
    return "registered from a thread"


def work(portal: BlockingPortal) -> None:
    """Register, call and publish as the jobs demand; runs in the application's own thread."""
    while (job := jobs.get()) is not None:
        if job == "register":
            portal.call(wamp.register, "run.time", run_time_procedure)
        answer = portal.call(partial(wamp.call, "shout", job, timeout=5))
        portal.call(partial(wamp.publish, "jobs.done", answer, thread=threading.current_thread().name))


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[None]:
    async with BlockingPortal() as portal:
        thread = threading.Thread(target=work, args=(portal,), name="worker")
        thread.start()
        yield
        jobs.put(None)
        await to_thread.run_sync(thread.join)


app = FastAPI(lifespan=lifespan, routes=[WAMPRoute("/", wamp)])


@wamp.procedure("shout")
def shout(text: str) -> str:
    from_thread.run(partial(wamp.publish, "jobs.shouted", text, thread="of a procedure"))
    return text.upper()


@wamp.procedure("jobs.put")
async def put(job: str) -> None:
    jobs.put(job)


@app.get("/call/{procedure}")
def call(procedure: str) -> Any:
    """Call a procedure from a sync route, which runs in a worker thread."""
    return from_thread.run(wamp.call, procedure)
