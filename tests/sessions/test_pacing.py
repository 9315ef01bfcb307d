"""Rate limits and idle timeouts of sessions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.specification import CALL, GOODBYE, RESULT
from tests.wamp_client import connect
from wampasgi import Application, Limits, Session

pytestmark = pytest.mark.anyio


def echo_app(**options: Any) -> Application:
    app = Application(**options)

    @app.procedure("echo")
    async def echo(value: Any) -> Any:
        return value

    return app


async def test_client_that_sends_too_fast_is_read_more_slowly_and_loses_nothing() -> None:
    app = echo_app(limits=Limits(message_rate=100, message_burst=5))

    async with connect(app) as websocket:
        await websocket.join()
        began = time.monotonic()
        for number in range(1, 21):
            await websocket.send(CALL, number, {}, "echo", [number])
        answers = [await websocket.receive() for _ in range(20)]
        took = time.monotonic() - began

    assert sorted(answer[3] for answer in answers) == [[number] for number in range(1, 21)]
    # 15 messages had to wait for a token; 5 ms are the tolerance between the clocks.
    assert took >= 0.145


async def test_client_may_send_a_burst_at_once() -> None:
    app = echo_app(limits=Limits(message_rate=4, message_burst=5))

    async with connect(app) as websocket:
        await websocket.join()
        for number in range(1, 8):
            await websocket.send(CALL, number, {}, "echo", [number])
        answers = [await websocket.receive() for _ in range(5)]
        await anyio.wait_all_tasks_blocked()
        assert websocket.arrived() == 0

    assert sorted(answer[1] for answer in answers) == [1, 2, 3, 4, 5]


async def test_messages_of_one_batch_take_a_token_each() -> None:
    app = echo_app(limits=Limits(message_rate=4, message_burst=2))

    async with connect(app, subprotocols=["wamp.2.json.batched"]) as websocket:
        await websocket.send_frame('[1, "r", {"roles": {"caller": {}}}]\x1e')
        await websocket.receive_event()
        await websocket.send_frame("".join(f'[48, {n}, {{}}, "echo", [{n}]]\x1e' for n in (1, 2, 3)))
        text = ""
        while text.count("\x1e") < 2:
            text += (await websocket.receive_event())["text"]
        await anyio.wait_all_tasks_blocked()
        assert websocket.arrived() == 0

    # Tasks may end in any order.
    assert sorted(text.split("\x1e")) == ["", "[50,1,{},[1]]", "[50,2,{},[2]]"]


@pytest.mark.parametrize("end", ["GOODBYE", "disconnect"])
async def test_end_of_a_session_that_is_read_slowly_needs_no_token(end: str) -> None:
    app = echo_app(limits=Limits(message_rate=0.001, message_burst=1))

    async with connect(app) as websocket:
        await websocket.join()
        assert await websocket.ask(CALL, 1, {}, "echo", [1]) == [RESULT, 1, {}, [1]]
        if end == "GOODBYE":
            assert (await websocket.ask(GOODBYE, {}, "wamp.close.close_realm"))[0] == GOODBYE
        else:
            await websocket.disconnect()
            await websocket.wait_served()


async def test_request_with_an_incorrect_uri_takes_a_token() -> None:
    app = echo_app(limits=Limits(message_rate=4, message_burst=1))

    async with connect(app) as websocket:
        await websocket.join()
        for number in (1, 2):
            await websocket.send(CALL, number, {}, "not a uri", [number])
        assert (await websocket.receive())[2] == 1
        await anyio.wait_all_tasks_blocked()
        assert websocket.arrived() == 0


async def test_session_that_reads_slowly_can_still_be_closed() -> None:
    app = echo_app(limits=Limits(message_rate=4, message_burst=1, close_timeout=0.05))

    async with connect(app) as websocket:
        await websocket.join()
        for number in (1, 2):
            await websocket.send(CALL, number, {}, "echo", [number])
        await websocket.receive()
        await app.close_sessions()
        assert (await websocket.receive())[0] == GOODBYE
        await websocket.wait_served()


async def test_idle_client_gets_goodbye_and_its_answer_is_read() -> None:
    app = echo_app(limits=Limits(idle_timeout=0.05))

    async with connect(app) as websocket:
        await websocket.join()
        goodbye = await websocket.receive()
        await websocket.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
        await websocket.join()

    text = "no message within the limit idle_timeout of 0.05 s"
    assert goodbye == [GOODBYE, {"message": text}, "wamp.error.timeout"]


async def test_idle_client_that_does_not_answer_goodbye_is_closed() -> None:
    app = echo_app(limits=Limits(idle_timeout=0.02, close_timeout=0.02))

    async with connect(app) as websocket:
        await websocket.join()
        assert (await websocket.receive())[0] == GOODBYE
        assert (await websocket.closed())["reason"] == "wamp.error.timeout"


async def test_client_that_sends_a_message_now_and_then_is_not_idle() -> None:
    app = echo_app(limits=Limits(idle_timeout=0.5))

    async with connect(app) as websocket:
        await websocket.join()
        for number in range(1, 8):
            await anyio.sleep(0.12)
            assert await websocket.ask(CALL, number, {}, "echo", [number]) == [RESULT, number, {}, [number]]


async def test_client_is_not_idle_while_it_is_not_read() -> None:
    app = echo_app(limits=Limits(idle_timeout=0.3), synchronize_requests=True)

    @app.procedure("slow")
    async def slow() -> str:
        await anyio.sleep(0.7)
        return "done"

    async with connect(app) as websocket:
        await websocket.join()
        assert await websocket.ask(CALL, 1, {}, "slow") == [RESULT, 1, {}, ["done"]]


async def test_client_is_not_idle_while_too_many_of_its_calls_wait() -> None:
    app = echo_app(limits=Limits(idle_timeout=0.3, requests_bytes=1000))

    @app.procedure("slow")
    async def slow(text: str) -> str:
        await anyio.sleep(0.7)
        return "done"

    async with connect(app) as websocket:
        await websocket.join()
        # The first call runs, the second waits, and the third is over the limits of the queue.
        for number in (1, 2, 3):
            await websocket.send(CALL, number, {}, "slow", ["x" * 2000])
        assert await websocket.receive() == [RESULT, 1, {}, ["done"]]


async def test_client_is_not_idle_while_its_lifespan_handlers_begin() -> None:
    app = echo_app(limits=Limits(idle_timeout=0.2))

    async def slow(session: Session) -> AsyncIterator[None]:
        await anyio.sleep(0.4)
        yield

    app.add_session_lifespan_handler(slow)

    async with connect(app) as websocket:
        await websocket.join()
        assert await websocket.ask(CALL, 1, {}, "echo", ["sent meanwhile"]) == [
            RESULT,
            1,
            {},
            ["sent meanwhile"],
        ]
