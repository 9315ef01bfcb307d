"""A short run of the soak test, to check the test itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import picows
import pytest

from tests.clients.server_process import start_server
from tests.soak.__main__ import leftovers, run_round, start_soak_server, state_of
from tests.soak.client import Client
from tests.soak.shutdown import shut_down
from tests.specification import CALL, ERROR, EVENT, PUBLISH, PUBLISHED, RESULT, SUBSCRIBE, SUBSCRIBED, WELCOME

#: With a short timeout for clients that do not answer at the shutdown.
QUICK_PICOWS = ("--ws", "tests.transports.quick_protocol:QuickProtocol")


@pytest.mark.parametrize(("kind", "options"), [("uvicorn-asyncio", ()), ("picows", QUICK_PICOWS)])
def test_short_soak_leaves_nothing_behind(kind: str, options: tuple[str, ...], tmp_path: Path) -> None:
    server = start_soak_server(kind, tmp_path, *options)
    try:
        problems: list[str] = []
        state = run_round(server, "short", 20, 2, state_of(server), problems)
        problems += shut_down(server)
    finally:
        server.kill()

    assert problems == []
    assert state["events"] > 0
    assert "Traceback" not in server.log


def test_message_that_the_protocol_does_not_allow_is_a_problem(tmp_path: Path) -> None:
    server = start_server("uvicorn-asyncio", "tests.soak.broken_app:twice", tmp_path)
    try:
        problems: list[str] = []
        run_round(server, "short", 4, 0.5, state_of(server), problems)
    finally:
        server.kill()

    assert any("RESULT.Request must be the ID of a pending CALL" in problem for problem in problems)


@asynccontextmanager
async def scripted_server(*messages: Any) -> AsyncIterator[str]:
    """Answer the first message with WELCOME, and each further one with the next of ``messages``.

    A bytes object is sent as it is. Yields the URL.
    """

    class Script(picows.WSListener):
        def __init__(self) -> None:
            self._answers = iter([[WELCOME, 1, {"roles": {"broker": {}, "dealer": {}}}], *messages])

        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            if frame.msg_type is picows.WSMsgType.TEXT:
                answer = next(self._answers)
                text = answer if isinstance(answer, bytes) else orjson.dumps(answer)
                transport.send(picows.WSMsgType.TEXT, text)

    server = await picows.ws_create_server(lambda _: Script(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/"


async def violations_of(*answers: Any) -> list[str]:
    """Return the violations that a client finds in the answers to SUBSCRIBE, CALL and CANCEL."""
    violations: list[str] = []
    async with scripted_server(*answers) as url:
        client = Client(lambda client, message: None, on_violation=violations.append)
        await client.connect(url)
        await client.join("healthy")
        answers = client.request(SUBSCRIBE, {}, "a.topic"), client.request(CALL, {}, "a.procedure")
        client.cancel(2, "kill")
        # The pong follows the answers.
        await asyncio.gather(*answers, client.ping())
        client.transport.disconnect()
    return violations


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ([SUBSCRIBED, 9, 1], "SUBSCRIBED.Request must be the ID of a pending SUBSCRIBE, got 9"),
        ([EVENT, 5, 1, {}], "EVENT.Subscription must be the ID of a subscription of this session, got 5"),
        ([RESULT, 2, {"progress": True}, [1]], "the call did not ask for progressive results"),
        ([ERROR, CALL, 1, {}, "an.error"], "ERROR.Request must be the ID of a pending CALL, got 1"),
        ([PUBLISHED, 2, 5], "PUBLISHED.Request must be the ID of a pending PUBLISH, got 2"),
        ([PUBLISH, 1, {}, "a.topic"], "a router must not send PUBLISH"),
        ([WELCOME, 1, {"roles": {"broker": {}}}], "a router must not send WELCOME"),
        (b"[36,", "unexpected end of data"),
    ],
)
def test_client_reports_a_message_that_a_router_must_not_send(answer: Any, problem: str) -> None:
    [violation] = asyncio.run(violations_of([SUBSCRIBED, 1, 1], answer, [RESULT, 2, {}]))
    assert problem in violation


def test_canceled_call_may_be_answered_twice() -> None:
    canceled = [ERROR, CALL, 2, {}, "wamp.error.canceled"]
    assert asyncio.run(violations_of([SUBSCRIBED, 1, 1], canceled, [RESULT, 2, {}])) == []


def test_leftovers_are_objects_that_did_not_exist_before() -> None:
    before = {"living": {"asyncio.Task": 2, "wampasgi.realm.Realm": 1}}
    after = {
        "left": {"sessions": 0, "subscriptions": 3},
        "living": {"asyncio.Task": 4, "wampasgi.realm.Realm": 1, "wampasgi.peers.peer.Peer": 1},
    }

    assert leftovers(after, before) == [
        "3 subscriptions left",
        "2 asyncio.Task left",
        "1 wampasgi.peers.peer.Peer left",
    ]
