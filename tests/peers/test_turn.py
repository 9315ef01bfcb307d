"""Turns: a burst of messages from one client does not block the others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.wamp_client import ALL_ROLES
from wampasgi import Application
from wampasgi.peers.turn import BURST
from wampasgi.serializers import SUBPROTOCOLS
from wampasgi.types import ASGIEvent, RawMessage, Scope

HELLO: RawMessage = [1, "default", {"roles": ALL_ROLES}]


async def most_in_a_turn(
    app: Application, done: Callable[[], int], expected: int, subprotocol: str, frames: Iterable[str]
) -> int:
    """Serve a client whose messages have all arrived already.

    Returns the largest growth of ``done()`` in one turn, until it reaches ``expected``.
    """
    events: Iterator[ASGIEvent] = iter(
        [
            {"type": "websocket.connect"},
            *[{"type": "websocket.receive", "text": frame} for frame in frames],
        ]
    )
    growth = [0]

    async def receive() -> ASGIEvent:
        for event in events:
            return event
        while done() < expected:
            await checkpoint()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(event: ASGIEvent) -> None:
        pass

    async def watch() -> None:
        before = done()
        while True:
            await checkpoint()
            growth.append(done() - before)
            before = done()

    scope: Scope = {
        "type": "websocket",
        "path": "/",
        "headers": [],
        "subprotocols": [subprotocol],
        "client": ("192.0.2.1", 50000),
    }
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        await app(scope, receive, send)
        tasks.cancel_scope.cancel()
    return max(growth)


def frame(subprotocol: str, *messages: RawMessage) -> str:
    codec = SUBPROTOCOLS[subprotocol]
    framed = codec.frame([codec.serializer.encode(message) for message in messages])
    assert isinstance(framed, str)
    return framed


@pytest.mark.anyio
@pytest.mark.parametrize("batched", [False, True])
async def test_burst_of_messages_is_handled_in_parts(batched: bool) -> None:
    noted: list[int] = []
    app = Application()

    @app.procedure("note")
    async def note(number: int) -> None:
        noted.append(number)

    calls: list[RawMessage] = [[48, number, {}, "note", [number]] for number in range(1, 1001)]
    name = "wamp.2.json.batched" if batched else "wamp.2.json"
    frames = [frame(name, *calls)] if batched else [frame(name, call) for call in calls]
    most = await most_in_a_turn(app, noted.__len__, 1000, name, [frame(name, HELLO), *frames])

    assert sorted(noted) == list(range(1, 1001))
    assert most <= 2 * BURST


@pytest.mark.anyio
async def test_each_long_message_is_handled_alone() -> None:
    noted: list[int] = []
    app = Application()

    @app.procedure("note")
    async def note(text: str) -> None:
        noted.append(len(text))

    calls: list[RawMessage] = [[48, number, {}, "note", ["x" * 50_000]] for number in range(1, 50)]
    name = "wamp.2.json"
    frames = [frame(name, call) for call in calls]
    most = await most_in_a_turn(app, noted.__len__, 49, name, [frame(name, HELLO), *frames])

    assert len(noted) == 49
    assert most <= 2


@pytest.mark.anyio
async def test_each_publication_to_many_subscriptions_is_handled_alone() -> None:
    app = Application()
    app.allow_all()
    patterns = [".".join("a" if number >> bit & 1 else "" for bit in range(7)) for number in range(100)]
    subscribe: list[RawMessage] = [
        [32, number, {"match": "wildcard"}, pattern] for number, pattern in enumerate(patterns, 1)
    ]
    publish: list[RawMessage] = [[16, 1, {"exclude_me": False}, "a.a.a.a.a.a.a"]] * 50
    name = "wamp.2.json.batched"
    most = await most_in_a_turn(
        app,
        lambda: app.metrics()["default"]["events"]["sent"],
        5000,
        name,
        [frame(name, HELLO), frame(name, *subscribe), frame(name, *publish)],
    )

    # If two tasks are ready, either may run first.
    assert most <= 200


@pytest.mark.anyio
async def test_each_call_of_a_meta_procedure_is_answered_alone() -> None:
    app = Application()
    app.allow_all()
    calls: list[RawMessage] = [[48, number, {}, "wamp.session.list"] for number in range(1, 51)]
    name = "wamp.2.json.batched"

    def done() -> int:
        return app.metrics()["default"]["calls"]["results"]

    most = await most_in_a_turn(app, done, 50, name, [frame(name, HELLO), frame(name, *calls)])

    assert most <= 2


@pytest.mark.anyio
async def test_each_call_with_invalid_arguments_is_answered_alone(anyio_backend_name: str) -> None:
    app = Application()

    @app.procedure("note")
    async def note(numbers: list[int]) -> None: ...

    calls: list[RawMessage] = [[48, number, {}, "note", [[None]]] for number in range(1, 101)]
    name = "wamp.2.json.batched"

    def done() -> int:
        return app.metrics()["default"]["calls"]["errors"]

    most = await most_in_a_turn(app, done, 100, name, [frame(name, HELLO), frame(name, *calls)])

    # Without eager tasks, the calls of a turn have been started before one of them is refused.
    is_eager = anyio_backend_name == "asyncio" and sys.version_info >= (3, 12)
    assert most <= (2 if is_eager else 2 * BURST)
