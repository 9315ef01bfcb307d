"""Rate limits and idle timeouts of sessions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from starlette.middleware import Middleware

from tests.specification import CALL, ERROR, EVENT, GOODBYE, PUBLISH, RESULT, SUBSCRIBE
from tests.wamp_client import BASIC, WAMPClient, clients, connect, open_app
from wampasgi import Application, Limits, Realm, Session
from wampasgi.types import ASGIApp, Receive, Scope, Send

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
@pytest.mark.parametrize(
    "limits",
    [Limits(message_rate=0.001, message_burst=1), Limits(byte_rate=0.001, byte_burst=30)],
    ids=["messages", "bytes"],
)
async def test_end_of_a_session_that_is_read_slowly_needs_no_token(limits: Limits, end: str) -> None:
    app = echo_app(limits=limits)

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


# Bytes


async def send_text(websocket: WAMPClient, number: int, size: int) -> None:
    """Send a call whose message has ``size`` bytes."""
    head, tail = f'[48,{number},{{}},"echo",["', '"]]'
    await websocket.send_frame(head + "x" * (size - len(head) - len(tail)) + tail)


async def test_client_that_sends_too_many_bytes_is_read_more_slowly_and_loses_nothing() -> None:
    app = echo_app(limits=Limits(byte_rate=100_000, byte_burst=5000))

    async with connect(app) as websocket:
        await websocket.join()
        began = time.monotonic()
        for number in range(1, 21):
            await send_text(websocket, number, 1000)
        answers = [await websocket.receive() for _ in range(20)]
        took = time.monotonic() - began

    assert sorted(answer[1] for answer in answers) == list(range(1, 21))
    # 15,000 bytes had to be paid; 5 ms are the tolerance between the clocks.
    assert took >= 0.145


async def test_client_may_send_a_burst_of_bytes_at_once() -> None:
    app = echo_app(limits=Limits(byte_rate=1, byte_burst=500, close_timeout=0.05))

    async with connect(app) as websocket:
        await websocket.join()
        # Short messages count, too.
        for number in range(1, 8):
            await send_text(websocket, number, 100)
        answers = [await websocket.receive() for _ in range(5)]
        await anyio.wait_all_tasks_blocked()
        assert websocket.arrived() == 0
        await app.close_sessions()

    assert sorted(answer[1] for answer in answers) == [1, 2, 3, 4, 5]


async def test_message_that_is_larger_than_the_burst_passes_when_it_is_paid() -> None:
    app = echo_app(limits=Limits(byte_rate=100_000, byte_burst=1000))

    async with connect(app) as websocket:
        await websocket.join()
        began = time.monotonic()
        for number in (1, 2):
            await send_text(websocket, number, 8500)
            assert (await websocket.receive())[1] == number
        took = time.monotonic() - began

    assert 0.155 <= took < 2


async def test_size_counts_in_bytes_for_each_message_of_a_batch() -> None:
    burst = 2 * len('[48, 1, {}, "echo", ["€€"]]'.encode())
    app = echo_app(limits=Limits(byte_rate=1, byte_burst=burst, close_timeout=0.05))

    async with connect(app, subprotocols=["wamp.2.json.batched"]) as websocket:
        await websocket.send_frame('[1, "r", {"roles": {"caller": {}}}]\x1e')
        await websocket.receive_event()
        await websocket.send_frame("".join(f'[48, {n}, {{}}, "echo", ["€€"]]\x1e' for n in (1, 2, 3)))
        text = ""
        while text.count("\x1e") < 2:
            text += (await websocket.receive_event())["text"]
        await anyio.wait_all_tasks_blocked()
        assert websocket.arrived() == 0
        await app.close_sessions()

    assert sorted(text.split("\x1e")) == ["", '[50,1,{},["€€"]]', '[50,2,{},["€€"]]']


@pytest.mark.parametrize("call", [[48, 1, {}, "not a uri", ["x" * 80]], [48, 1, {}, "echo", None, "x" * 80]])
async def test_bytes_of_a_refused_request_are_paid(call: list[Any]) -> None:
    app = echo_app(limits=Limits(byte_rate=1, byte_burst=150, close_timeout=0.05))

    async with connect(app) as websocket:
        await websocket.join()
        for number in (1, 2):
            call[1] = number
            await websocket.send(*call)
        assert (await websocket.receive())[2] == 1
        await anyio.wait_all_tasks_blocked()
        assert websocket.arrived() == 0
        await app.close_sessions()


async def test_both_rates_apply_together() -> None:
    app = echo_app(
        limits=Limits(message_rate=0.1, message_burst=2, byte_rate=1, byte_burst=1000, close_timeout=0.05)
    )

    async with connect(app) as websocket:
        await websocket.join()
        for number in (1, 2, 3):
            await send_text(websocket, number, 100)
        assert sorted([(await websocket.receive())[1] for _ in range(2)]) == [1, 2]
        await anyio.wait_all_tasks_blocked()
        assert websocket.arrived() == 0
        await app.close_sessions()

    async with connect(app) as websocket:
        await websocket.join()
        for number in (1, 2):
            await send_text(websocket, number, 900)
        assert (await websocket.receive())[1] == 1
        await anyio.wait_all_tasks_blocked()
        assert websocket.arrived() == 0
        await app.close_sessions()


class Unchanged:
    """Middleware that the messages pass through."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_unchanged() -> Any:
            return await receive()

        await self.app(scope, receive_unchanged, send)


async def test_bytes_of_messages_that_pass_a_middleware_are_paid() -> None:
    limits = Limits(byte_rate=1, byte_burst=150, close_timeout=0.05)
    app = Application([Realm("r", middleware=[Middleware(Unchanged)], limits=limits)])

    async with connect(app) as websocket:
        await websocket.join("r")
        for number in (1, 2):
            await send_text(websocket, number, 100)
        assert (await websocket.receive())[2] == 1
        await anyio.wait_all_tasks_blocked()
        assert websocket.arrived() == 0
        await app.close_sessions()


# Publications


async def test_event_to_its_own_publisher_counts_as_a_message() -> None:
    app = open_app(limits=Limits(message_rate=0.1, message_burst=8, close_timeout=0.05))

    async with connect(app) as websocket:
        await websocket.join()
        for number, pattern in enumerate(["a", "a.", "a.b"], 1):
            await websocket.ask(SUBSCRIBE, number, {"match": "prefix"}, pattern)
        # Five tokens are left. The publication and its events take four.
        await websocket.send(PUBLISH, 4, {"exclude_me": False}, "a.b.c")
        assert [(await websocket.receive())[0] for _ in range(3)] == [EVENT] * 3
        for number in (5, 6):
            await websocket.send(CALL, number, {}, "nothing")
        assert (await websocket.receive())[:3] == [ERROR, CALL, 5]
        await anyio.wait_all_tasks_blocked()
        assert websocket.arrived() == 0
        await app.close_sessions()


async def test_publication_that_costs_more_than_the_burst_delays_only_the_next_message() -> None:
    app = open_app(limits=Limits(message_rate=100, message_burst=4))

    async with connect(app) as websocket:
        await websocket.join()
        for number in range(1, 21):
            await websocket.ask(SUBSCRIBE, number, {"match": "prefix"}, "a" * number)
        began = time.monotonic()
        await websocket.send(PUBLISH, 21, {"exclude_me": False}, "a" * 20)
        assert [(await websocket.receive())[0] for _ in range(20)] == [EVENT] * 20
        await websocket.ask(CALL, 22, {}, "nothing")
        took = time.monotonic() - began

    assert took >= 0.195


async def test_event_to_another_session_counts_as_a_hundredth_of_a_message() -> None:
    app = open_app(limits=Limits(message_rate=0.01, message_burst=3, close_timeout=0.05))

    async with clients(app, *[BASIC] * 11) as [publisher, *subscribers]:
        for subscriber in subscribers:
            await subscriber.ask(SUBSCRIBE, 1, {}, "a")
        # Each publication counts as 1.1 messages, so that the third one waits.
        for number in (1, 2, 3):
            await publisher.send(PUBLISH, number, {}, "a", [number])
        for subscriber in subscribers:
            assert [(await subscriber.receive())[4] for _ in range(2)] == [[1], [2]]
        await anyio.wait_all_tasks_blocked()
        assert subscribers[0].arrived() == 0
        await app.close_sessions()


async def test_publication_that_excludes_its_publisher_does_not_count_its_subscriptions() -> None:
    app = open_app(limits=Limits(message_rate=0.1, message_burst=5))

    async with connect(app) as websocket:
        await websocket.join()
        for number, pattern in enumerate(["a", "a."], 1):
            await websocket.ask(SUBSCRIBE, number, {"match": "prefix"}, pattern)
        for number in (3, 4):
            assert (await websocket.ask(PUBLISH, number, {"acknowledge": True}, "a.b"))[1] == number
        assert (await websocket.ask(CALL, 5, {}, "nothing"))[:3] == [ERROR, CALL, 5]


async def test_retained_event_counts_as_a_message_of_its_subscriber() -> None:
    app = open_app(limits=Limits(message_rate=0.1, message_burst=4, close_timeout=0.05))
    for number in range(5):
        await app.publish(f"a.{number}", options={"retain": True})

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.ask(SUBSCRIBE, 1, {"match": "prefix", "get_retained": True}, "a.")
        assert [(await websocket.receive())[0] for _ in range(5)] == [EVENT] * 5
        await websocket.send(CALL, 2, {}, "nothing")
        await anyio.wait_all_tasks_blocked()
        assert websocket.arrived() == 0
        await app.close_sessions()


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
