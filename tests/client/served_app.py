"""The application that the tests of the client use: open to all, with procedures of all kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio

from wampasgi import Application, RPCErrorResult, RPCProgressReport, RPCResult, Session, WAMPError

app = Application()
app.allow_all()
app.keep_history("logged.", match="prefix", limit=200)
app.keep_history("stored.", match="prefix", limit=5000)

#: The procedures that were canceled while they ran.
canceled: list[str] = []


@app.procedure("math.add")
async def add(a: int, b: int = 0) -> int:
    return a + b


@app.procedure("echo")
async def echo(*args: Any, **kwargs: Any) -> RPCResult:
    return RPCResult(args, kwargs)


@app.procedure("fail")
async def fail(reason: str) -> None:
    raise WAMPError("com.example.failed", reason, code=7)


@app.procedure("count")
async def count(until: int, then: str = "done") -> AsyncIterator[RPCProgressReport | RPCErrorResult | str]:
    for number in range(until):
        yield RPCProgressReport(number)
        await anyio.lowlevel.checkpoint()
    yield RPCErrorResult("com.example.failed", [then]) if then == "fail" else then


@app.procedure("wait")
async def wait(name: str) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        canceled.append(name)


@app.procedure("forever")
async def report_forever(name: str) -> AsyncIterator[RPCProgressReport]:
    try:
        while True:
            yield RPCProgressReport(name)
            await anyio.sleep(0.005)
    finally:
        canceled.append(name)


@app.procedure("canceled")
async def list_canceled() -> list[str]:
    return canceled


@app.procedure("disconnect")
async def disconnect(session: Session) -> None:
    """Close the caller's session with a reason after which clients connect again."""
    await session.close("wamp.close.system_shutdown")


@app.procedure("kick")
async def kick(session: Session) -> None:
    await session.close("wamp.close.killed")
