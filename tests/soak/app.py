"""The app under test, with a page that reports remaining objects: `/state`."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from wampasgi import Application, Event, Limits, RPCProgressReport, RPCResult, Session, WAMPRoute

logging.basicConfig(format="%(levelname)s: %(name)s: %(message)s")
#: Errors of clients that uvicorn logs as its own, if it uses its own WebSocket transport.
_CLIENT_ERRORS = ("Invalid UTF-8 sequence", "timeout graceful shutdown exceeded")


def is_error_of_the_server(record: logging.LogRecord) -> bool:
    """Return whether a log message is not about an error of a client."""
    return not any(text in record.getMessage() for text in _CLIENT_ERRORS)


logging.getLogger("uvicorn.error").addFilter(is_error_of_the_server)

wamp = Application(
    limits=Limits(outbound_messages=5000, outbound_bytes=512 * 1024, close_timeout=2, handshake_timeout=3)
)
wamp.allow_all()
#: Lifespan handlers and gatekeepers before their teardown, and events from clients that were handled.
counts = Counter({"sessions begun": 0, "gatekeepers begun": 0, "events handled": 0})


@wamp.add_session_lifespan_handler
async def count_session(session: Session) -> AsyncIterator[None]:
    counts["sessions begun"] += 1
    yield
    counts["sessions begun"] -= 1


@wamp.procedure("math.add")
async def add(a: int, b: int = 0) -> int:
    return a + b


@wamp.procedure("never")
async def never() -> None:
    await anyio.sleep_forever()


@wamp.procedure("count.down")
async def count_down(start: int) -> AsyncIterator[RPCProgressReport | RPCResult]:
    for left in range(start, 0, -1):
        await anyio.sleep(0.01)
        yield RPCProgressReport((left,))
    yield RPCResult((0,))


@wamp.procedure("ask.me")
async def ask_me(session: Session) -> Any:
    return await session.call("visitors.any", 1, timeout=1)


@wamp.topic("visitors.guarded")
async def guarded(session: Session) -> AsyncIterator[None]:
    counts["gatekeepers begun"] += 1
    yield
    counts["gatekeepers begun"] -= 1


@wamp.subscriber("visitors.", match="prefix")
async def on_event(event: Event, *args: Any) -> None:
    await anyio.lowlevel.checkpoint()
    counts["events handled"] += 1


def resident_bytes() -> int:
    """Return the resident memory of the process after releasing freed memory."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


#: How many objects of a type remain by design.
_LASTING = {
    # One for each logged text.
    "wampasgi.logs._LineCounts": 100,
    # One for each event loop.
    "wampasgi.adapters._next_turn.NextTurn": 1,
    "wampasgi.transports.frame_writer._Due": 1,
    # One for each subprotocol, and one for its frames.
    "wampasgi.peers.encoding.Encoding": 2,
}


def living() -> dict[str, int]:
    """Count the tasks, the timers and the objects of the framework's types."""
    found = Counter[str]()
    for thing in gc.get_objects():
        kind = type(thing)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if isinstance(thing, asyncio.Task):
            found["asyncio.Task"] += not thing.done()
        elif isinstance(thing, asyncio.TimerHandle):
            found["asyncio.TimerHandle"] += not thing.cancelled()
        elif name.startswith("wampasgi."):
            found[name] += 1
    for name, number in _LASTING.items():
        found[name] = max(0, found[name] - number)
    return found


async def state(request: Request) -> JSONResponse:
    """Report the current state. Without sessions, all numbers under `left` should be 0."""
    size = resident_bytes()
    realm = wamp.default_realm
    registrations = await realm.call("wamp.registration.list")
    uris = [
        (await realm.call("wamp.registration.get", registration_id))["uri"]
        for registration_ids in registrations.values()
        for registration_id in registration_ids
    ]
    left = {
        "sessions": len(realm.sessions),
        "subscriptions": realm.metrics()["router"]["subscriptions"],
        "registrations": sum(uri.startswith(("healthy.", "visitors.")) for uri in uris),
        "sessions begun": counts["sessions begun"],
        "gatekeepers begun": counts["gatekeepers begun"],
    }
    return JSONResponse({"left": left, "living": living(), "bytes": size, "events": counts["events handled"]})


app = Starlette(routes=[WAMPRoute("/", wamp), Route("/state", state)], lifespan=lambda _: wamp.lifespan())
