"""Limits, and the answers to clients that exceed them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.middleware import Middleware

from tests.specification import ABORT, CALL, ERROR, GOODBYE, HELLO, PUBLISH, REGISTER, RESULT, SUBSCRIBE
from tests.wamp_client import ALL_ROLES, connect
from wampasgi import Application, ConfigurationError, Limits, Realm, RPCProgressReport
from wampasgi.types import ASGIApp, Receive, Scope, Send

NUMBERS = [field.name for field in fields(Limits) if field.name != "overflow"]
OPTIONAL = {
    "arguments",
    "authentication_failures",
    "byte_rate",
    "containers",
    "handler_timeout",
    "idle_timeout",
    "message_rate",
    "nesting_depth",
    "pending_connections",
    "pending_connections_per_address",
    "sessions",
    "sessions_per_address",
    "uri_length",
    "values",
    "write_timeout",
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1, "10", math.nan, True])
def test_limit_must_be_a_number_above_zero(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"Limits\.{name} is {value!r}"):
        Limits(**{name: value})


@pytest.mark.parametrize("name", NUMBERS)
def test_none_turns_off_the_optional_limits(name: str) -> None:
    none: dict[str, Any] = {name: None}
    if name in OPTIONAL:
        assert getattr(Limits(**none), name) is None
    else:
        with pytest.raises(ConfigurationError, match=rf"Limits\.{name} is None"):
            Limits(**none)


def test_unknown_overflow_policy_is_refused() -> None:
    policy: Any = "wait"
    with pytest.raises(
        ConfigurationError, match=r"Limits\.overflow is 'wait': it must be disconnect or drop_"
    ):
        Limits(overflow=policy)


def test_nesting_depth_below_that_of_hello_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"Limits\.nesting_depth is 4: it must be at least 5"):
        Limits(nesting_depth=4)


def test_limits_are_compared_by_value() -> None:
    assert Limits(message_size=5) == Limits(message_size=5)
    assert Limits() != Limits(message_size=5)


def test_commands_for_production_have_the_default_message_size() -> None:
    page = Path(__file__).resolve().parent.parent / "docs" / "serving.md"

    assert re.findall(r"--ws-max-size (\d+)", page.read_text()) == [str(Limits().message_size)] * 2


# Sessions


@pytest.mark.anyio
async def test_session_over_the_limit_is_aborted_and_can_join_when_another_leaves() -> None:
    app = Application([Realm("small", limits=Limits(sessions=1))])

    async with connect(app) as second:
        async with connect(app) as first:
            await first.join("small")
            async with connect(app) as third:
                refused = await third.ask(HELLO, "small", {"roles": ALL_ROLES})
                assert (await third.closed())["reason"] == "wamp.error.unavailable"
            await second.join("another")
            await second.ask(GOODBYE, {}, "wamp.close.close_realm")
        await second.join("small")

    text = "this realm has reached the limit sessions of 1"
    assert refused == [ABORT, {"message": text}, "wamp.error.unavailable"]


@pytest.mark.anyio
async def test_session_that_is_authenticating_counts_toward_the_limit() -> None:
    app = Application(limits=Limits(sessions=1))

    async def identify(ticket: str) -> None:
        return None

    app.set_ticket_authenticator(identify)
    hello = [HELLO, "r", {"roles": ALL_ROLES, "authmethods": ["ticket"], "authid": "joe"}]

    async with connect(app) as first, connect(app) as second:
        assert (await first.ask(*hello))[0] == 4
        assert (await second.ask(*hello))[2] == "wamp.error.unavailable"


@pytest.mark.anyio
async def test_sessions_per_address_are_limited_except_without_an_address() -> None:
    app = Application(limits=Limits(sessions_per_address=1))
    local: list[Any] = [("198.51.100.1", 1), ("198.51.100.2", 1), None, None, ("", 0), ("", 0)]

    async with anyio.create_task_group() as tasks:
        release = anyio.Event()

        async def stay(client: Any, joined: anyio.Event) -> None:
            async with connect(app, client=client) as websocket:
                await websocket.join()
                joined.set()
                await release.wait()

        for client in local:
            joined = anyio.Event()
            tasks.start_soon(stay, client, joined)
            with anyio.fail_after(5):
                await joined.wait()
        async with connect(app, client=("198.51.100.1", 2)) as websocket:
            refused = await websocket.ask(HELLO, "r", {"roles": ALL_ROLES})
        release.set()
    async with connect(app, client=("198.51.100.1", 3)) as websocket:
        await websocket.join()

    text = "this realm has reached the limit sessions_per_address of 1 for this address"
    assert refused == [ABORT, {"message": text}, "wamp.error.unavailable"]


# Messages


class Unchanged:
    """Middleware that disables the fast path for messages."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_unchanged() -> Any:
            return await receive()

        await self.app(scope, receive_unchanged, send)


@pytest.mark.anyio
@pytest.mark.parametrize("middleware", [[], [Middleware(Unchanged)]], ids=["direct", "middleware"])
@pytest.mark.parametrize(
    ("message", "field"),
    [
        ([SUBSCRIBE, 1, {}], "topic"),
        ([PUBLISH, 1, {"acknowledge": True}], "topic"),
        ([CALL, 1, {}], "procedure"),
        ([REGISTER, 1, {}], "procedure"),
    ],
)
async def test_request_with_too_long_uri_is_refused(
    message: list[Any], field: str, middleware: list[Middleware]
) -> None:
    app = Application([Realm("r", middleware=middleware, limits=Limits(uri_length=50))])

    async with connect(app) as websocket:
        await websocket.join("r")
        short = await websocket.ask(*message, "u" * 50)
        refused = await websocket.ask(*message, "u" * 51)

    assert short[4] != "wamp.error.invalid_uri"
    assert refused[:3] == [ERROR, message[0], 1]
    assert refused[4:] == [
        "wamp.error.invalid_uri",
        [f"the {field} has 51 characters, over the limit uri_length of 50"],
    ]


@pytest.mark.anyio
async def test_unacknowledged_publication_with_too_long_topic_is_dropped() -> None:
    app = Application(limits=Limits(uri_length=50))

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(PUBLISH, 1, {}, "u" * 51)
        answer = await websocket.ask(CALL, 2, {}, "nothing")

    assert answer[:3] == [ERROR, CALL, 2]


@pytest.mark.anyio
async def test_hello_with_too_long_realm_is_aborted() -> None:
    async with connect(Application()) as websocket:
        answer = await websocket.ask(HELLO, "r" * 1025, {"roles": ALL_ROLES})

    text = "the realm has 1025 characters, over the limit uri_length of 1024"
    assert answer == [ABORT, {"message": text}, "wamp.error.invalid_uri"]


@pytest.mark.anyio
async def test_uri_length_of_none_allows_long_uris() -> None:
    async with connect(Application(limits=Limits(uri_length=None))) as websocket:
        await websocket.join()
        answer = await websocket.ask(CALL, 1, {}, "u" * 5000)

    assert answer[4] == "wamp.error.no_such_procedure"


@pytest.mark.anyio
async def test_hello_over_the_handshake_size_aborts_the_session() -> None:
    app = Application(limits=Limits(handshake_size=1000))
    details = {"roles": ALL_ROLES, "authextra": {"x": "y" * 1000}}
    size = len(json.dumps([HELLO, "r", details]))

    async with connect(app) as websocket:
        refused = await websocket.ask(HELLO, "r", details)
        assert (await websocket.closed())["code"] == 1009

    text = f"a message before WELCOME of {size} bytes is over the limit handshake_size of 1000"
    assert refused == [ABORT, {"message": text}, "wamp.error.payload_size_exceeded"]


@pytest.mark.anyio
async def test_handshake_size_applies_only_to_handshakes_including_later_ones() -> None:
    app = Application(limits=Limits(handshake_size=1000))

    @app.procedure("length")
    async def length(text: str) -> int:
        return len(text)

    async with connect(app) as websocket:
        await websocket.join()
        assert await websocket.ask(CALL, 1, {}, "length", ["x" * 5000]) == [RESULT, 1, {}, [5000]]
        await websocket.ask(GOODBYE, {}, "wamp.close.close_realm")
        refused = await websocket.ask(HELLO, "r", {"roles": ALL_ROLES, "x": "y" * 1000})
        assert refused[2] == "wamp.error.payload_size_exceeded"


@pytest.mark.anyio
async def test_handshake_size_does_not_apply_to_messages_after_hello_in_a_batch() -> None:
    app = Application(limits=Limits(handshake_size=1000))
    batch = [[HELLO, "r", {"roles": ALL_ROLES}], [CALL, 1, {}, "nobody", ["x" * 5000]]]

    async with connect(app, subprotocols=["wamp.2.json.batched"]) as websocket:
        await websocket.send_frame("".join(f"{json.dumps(message)}\x1e" for message in batch))
        answers = [json.loads((await websocket.receive_event())["text"].rstrip("\x1e"))[0] for _ in range(2)]

    assert answers == [2, ERROR]


@pytest.mark.anyio
async def test_handshake_size_applies_to_authenticate() -> None:
    realm = Realm("r", limits=Limits(handshake_size=2000))
    realm.set_ticket_authenticator(lambda ticket: None)

    async with connect(Application([realm])) as websocket:
        hello = {"roles": ALL_ROLES, "authmethods": ["ticket"], "authid": "joe"}
        assert (await websocket.ask(HELLO, "r", hello))[0] == 4
        refused = await websocket.ask(5, "x" * 2000, {})

    assert "over the limit handshake_size of 2000" in refused[1]["message"]


@pytest.mark.anyio
async def test_limits_apply_to_every_message_of_a_batch() -> None:
    app = Application(limits=Limits(uri_length=50))

    async with connect(app, subprotocols=["wamp.2.json.batched"]) as websocket:
        await websocket.send_frame('[1, "r", {"roles": {"caller": {}}}]\x1e')
        await websocket.receive_event()
        calls = [
            f'[48, {number}, {{}}, "{"u" * length}"]\x1e' for number, length in enumerate((51, 5, 52), 1)
        ]
        await websocket.send_frame("".join(calls))
        text = ""
        while text.count("\x1e") < 3:
            text += (await websocket.receive_event())["text"]

    assert [part.count("uri_length") for part in text.split("\x1e")] == [1, 0, 1, 0]


@pytest.mark.anyio
@pytest.mark.parametrize("subprotocol", ["wamp.2.json", "wamp.2.json.batched"])
async def test_too_deeply_nested_message_aborts_the_session(subprotocol: str) -> None:
    app = Application(limits=Limits(nesting_depth=10))
    end = "\x1e" if subprotocol.endswith("batched") else ""

    async with connect(app, subprotocols=[subprotocol]) as websocket:
        await websocket.send_frame('[1, "r", {"roles": {"caller": {}}}]' + end)
        await websocket.receive_event()
        await websocket.send_frame('[48, 1, {}, "nothing", ' + "[" * 9 + "]" * 9 + "]" + end)
        kept = (await websocket.receive_event())["text"]
        await websocket.send_frame('[48, 2, {}, "nothing", ' + "[" * 10 + "]" * 10 + "]" + end)
        refused = (await websocket.receive_event())["text"]

    assert "no_such_procedure" in kept
    assert "over the limit nesting_depth of 10" in refused
    assert "wamp.error.protocol_violation" in refused


@pytest.mark.anyio
@pytest.mark.parametrize("subprotocol", ["wamp.2.json", "wamp.2.json.batched"])
@pytest.mark.parametrize(
    ("limits", "payload", "text"),
    [
        (
            {"containers": 10},
            "[], " * 9 + "[]",
            "a message has more lists and dicts than the limit containers of 10",
        ),
        (
            {"values": 20},
            "[1, 2, 3, 4, 5], " * 2 + "[1, 2, 3, 4]",
            "a message has more values than the limit values of 20",
        ),
        (
            {"arguments": 10},
            "1, " * 10 + "1",
            "a message has more arguments than the limit arguments of 10",
        ),
    ],
)
async def test_message_with_too_many_parts_aborts_the_session(
    subprotocol: str, limits: dict[str, Any], payload: str, text: str
) -> None:
    app = Application(limits=Limits(**limits))
    end = "\x1e" if subprotocol.endswith("batched") else ""

    async with connect(app, subprotocols=[subprotocol]) as websocket:
        await websocket.send_frame('[1, "r", {"roles": {"caller": {}}}]' + end)
        await websocket.receive_event()
        await websocket.send_frame('[48, 1, {}, "nothing", [1]]' + end)
        kept = (await websocket.receive_event())["text"]
        await websocket.send_frame(f'[48, 2, {{}}, "nothing", [{payload}]]{end}')
        refused = (await websocket.receive_event())["text"]

    assert "no_such_procedure" in kept
    expected = [ABORT, {"message": text}, "wamp.error.payload_size_exceeded"]
    assert json.loads(refused.rstrip("\x1e")) == expected


@pytest.mark.anyio
async def test_hello_with_too_many_parts_is_aborted() -> None:
    async with connect(Application(limits=Limits(containers=5))) as websocket:
        refused = await websocket.ask(HELLO, "r", {"roles": ALL_ROLES})

    text = "a message has more lists and dicts than the limit containers of 5"
    assert refused == [ABORT, {"message": text}, "wamp.error.payload_size_exceeded"]


# Handlers


@pytest.mark.anyio
async def test_handler_over_its_timeout_is_cancelled_and_the_caller_gets_an_error() -> None:
    app = Application(limits=Limits(handler_timeout=0.02))
    cancelled = anyio.Event()

    @app.procedure("stuck")
    async def stuck() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    @app.procedure("quick")
    async def quick() -> str:
        return "done"

    async with connect(app) as websocket:
        await websocket.join()
        late = await websocket.ask(CALL, 1, {}, "stuck")
        asked = await websocket.ask(CALL, 2, {"timeout": 1}, "stuck")
        assert cancelled.is_set()
        assert await websocket.ask(CALL, 3, {}, "quick") == [RESULT, 3, {}, ["done"]]
        app.register("late", stuck)
        assert (await websocket.ask(CALL, 4, {}, "late"))[4] == "wamp.error.timeout"

    text = "the handler gave no result within the limit handler_timeout of 0.02 s"
    assert late[4:] == ["wamp.error.timeout", [text]]
    assert asked[4:] == ["wamp.error.timeout", ["the call gave no result within 0.001 s"]]


@pytest.mark.anyio
async def test_handler_timeout_restarts_with_every_progressive_result() -> None:
    app = Application(limits=Limits(handler_timeout=0.3))

    @app.procedure("steps")
    async def steps() -> AsyncIterator[Any]:
        for step in range(5):
            await anyio.sleep(0.1)
            yield RPCProgressReport((step,))
        yield "done"

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(CALL, 1, {"receive_progress": True}, "steps")
        answers = [await websocket.receive() for _ in range(6)]

    assert answers[-1] == [RESULT, 1, {}, ["done"]]


@pytest.mark.anyio
async def test_handler_timeout_does_not_apply_to_in_process_calls() -> None:
    app = Application(limits=Limits(handler_timeout=0.01))

    @app.procedure("slow")
    async def slow() -> str:
        await anyio.sleep(0.05)
        return "done"

    assert await app.call("slow") == "done"


@pytest.mark.anyio
async def test_handler_timeout_applies_to_the_rpc_handler() -> None:
    app = Application(limits=Limits(handler_timeout=0.01))

    async def answer(request: Any) -> None:
        await anyio.sleep_forever()

    app.set_rpc_handler(answer)
    async with connect(app) as websocket:
        await websocket.join()
        assert (await websocket.ask(CALL, 1, {}, "any"))[4] == "wamp.error.timeout"
