"""The vocabulary of the conformance tests: URIs, messages, a pending call and a marker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.specification import (
    CALL,
    CHALLENGE,
    EVENT,
    INTERRUPT,
    INVOCATION,
    PUBLISHED,
    REGISTERED,
    RESULT,
    SUBSCRIBED,
    UNREGISTERED,
    UNSUBSCRIBED,
    WELCOME,
)
from tests.wamp_client import BASIC, WAMPClient, clients, open_app

TOPIC = "com.myapp.mytopic1"
PROCEDURE = "com.myapp.myprocedure1"

#: A message of each type that only routers send.
MESSAGES_OF_ROUTERS: list[list[Any]] = [
    [WELCOME, 1, {}],
    [CHALLENGE, "ticket", {}],
    [PUBLISHED, 1, 1],
    [SUBSCRIBED, 1, 1],
    [UNSUBSCRIBED, 1],
    [EVENT, 1, 1, {}],
    [RESULT, 1, {}],
    [REGISTERED, 1, 1],
    [UNREGISTERED, 1],
    [INVOCATION, 1, 1, {}],
    [INTERRUPT, 1, {}],
]

#: For large tables of cases, which would show the same on trio. They run over uvicorn, too.
asyncio_only = pytest.mark.parametrize("anyio_backend", ["asyncio", "picows"], indirect=True)

#: For tables of cases between two clients, which also run with a client on each of two workers.
between_workers = pytest.mark.parametrize(
    "anyio_backend", ["asyncio", "picows", "workers-unix"], indirect=True
)

#: For tests that cannot mean the same with several workers; each says why.
one_worker = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio", "picows"], indirect=True)


@asynccontextmanager
async def pending_call(
    caller_details: Mapping[str, Any] = BASIC, callee_details: Mapping[str, Any] = BASIC, **options: Any
) -> AsyncIterator[tuple[WAMPClient, WAMPClient]]:
    """A caller that has sent CALL 1 with these options, and a callee that has received it as INVOCATION 1."""
    async with clients(open_app(), caller_details, callee_details) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, options, PROCEDURE)
        invocation = await callee.expect(INVOCATION)
        assert invocation[1] == 1
        yield caller, callee


async def busy(callees: Sequence[WAMPClient]) -> WAMPClient:
    """Return the only one of these callees that has a message to read."""
    # In the first round the server handles what they have sent, which may cause a message for another one.
    for callee in callees:
        await callee.settled()
    [callee] = [callee for callee in callees if await callee.settled()]
    return callee
