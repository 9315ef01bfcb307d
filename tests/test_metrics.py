"""The metrics of an application."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from tests.specification import (
    ABORT,
    CALL,
    CANCEL,
    ERROR,
    EVENT,
    HELLO,
    PUBLISH,
    REGISTER,
    RESULT,
    SUBSCRIBE,
    YIELD,
)
from tests.wamp_client import ALL_ROLES, connect
from wampasgi import Application, Limits, Realm, RPCProgressReport, Session, WAMPError
from wampasgi.metrics import Metrics

pytestmark = pytest.mark.anyio


def default_metrics(app: Application) -> Metrics:
    return app.metrics()["default"]


async def test_realms_have_separate_counters() -> None:
    app = Application([Realm("admins"), Realm("default")])

    async with connect(app) as admin, connect(app) as other:
        await admin.join("admins")
        await other.join("somewhere")
        metrics = app.metrics()

    assert {uri: groups["sessions"]["open"] for uri, groups in metrics.items()} == {
        "admins": 1,
        "default": 0,
        "*": 1,
    }


async def test_metrics_without_a_default_realm_have_only_the_named_realms() -> None:
    assert list(Application([Realm("r")], allow_default_realm=False).metrics()) == ["r"]


async def test_sessions_are_counted_from_hello_to_their_end() -> None:
    app = Application(limits=Limits(sessions=2))

    async def identify(ticket: str) -> str | None:
        return "somebody" if ticket == "right" else None

    app.set_ticket_authenticator(identify)
    hello = [HELLO, "r", {"roles": ALL_ROLES, "authmethods": ["ticket"], "authid": "joe"}]
    async with connect(app) as one, connect(app) as other, connect(app) as third:
        await one.ask(*hello)
        assert default_metrics(app)["sessions"]["opening"] == 1
        await one.ask(5, "right", {})
        await other.ask(*hello)
        await third.ask(*hello)
        assert default_metrics(app)["sessions"] == {
            "open": 1,
            "opening": 1,
            "joined": 1,
            "refused": 1,
            "aborted": 1,
        }
        await other.ask(5, "wrong", {})
        await other.closed()
        await one.send_frame("nonsense")
        assert (await one.receive())[0] == ABORT
        await one.closed()

    assert default_metrics(app)["sessions"] == {
        "open": 0,
        "opening": 0,
        "joined": 1,
        "refused": 1,
        "aborted": 3,
    }


async def test_calls_are_counted_by_outcome() -> None:
    app = Application()

    @app.procedure("echo")
    async def echo(value: Any) -> Any:
        yield RPCProgressReport((value,))
        yield value

    @app.procedure("fail")
    async def fail() -> None:
        raise WAMPError("com.app.error")

    @app.procedure("wait")
    async def wait() -> None:
        await anyio.sleep_forever()

    async with connect(app) as websocket:
        await websocket.join()
        for request_id in range(1, 4):
            await websocket.ask(CALL, request_id, {}, "echo", [1])
        await websocket.ask(CALL, 4, {}, "fail")
        await websocket.ask(CALL, 5, {}, "nothing")
        for request_id, mode in (6, "kill"), (7, "killnowait"), (8, "skip"):
            await websocket.send(CALL, request_id, {}, "wait")
            await anyio.wait_all_tasks_blocked()
            await websocket.ask(CANCEL, request_id, {"mode": mode})
        await websocket.ask(SUBSCRIBE, 9, {}, "forbidden")
        metrics = default_metrics(app)

    assert metrics["calls"] == {"results": 3, "errors": 2, "canceled": 3}
    assert metrics["errors"] == {"sent": 6}


async def test_calls_and_events_between_clients_are_counted() -> None:
    app = Application()
    app.allow_all()

    async with connect(app) as caller, connect(app) as callee:
        features = {"features": {"progressive_call_results": True, "call_canceling": True}}
        roles = {**ALL_ROLES, "caller": features, "callee": features}
        await caller.join(roles=roles)
        await callee.join(roles=roles)
        await callee.ask(REGISTER, 1, {}, "com.app.work")
        await callee.ask(SUBSCRIBE, 2, {}, "com.app.done")
        await caller.ask(SUBSCRIBE, 1, {}, "com.app.done")
        await caller.send(CALL, 2, {"receive_progress": True}, "com.app.work")
        invocation = await callee.receive()
        await callee.send(YIELD, invocation[1], {"progress": True}, [1])
        await callee.send(YIELD, invocation[1], {}, [2])
        for _ in range(2):
            await caller.receive()
        await app.publish("com.app.done")
        assert (await caller.receive())[0] == EVENT
        await caller.ask(PUBLISH, 3, {"acknowledge": True}, "com.app.done")
        metrics = default_metrics(app)

    assert metrics["calls"] == {"results": 1, "errors": 0, "canceled": 0}
    assert metrics["events"] == {"published": 2, "sent": 3}
    assert metrics["router"] == {"subscriptions": 1, "registrations": 1}
    assert default_metrics(app)["router"] == {"subscriptions": 0, "registrations": 0}


async def test_calls_of_meta_procedures_are_counted() -> None:
    app = Application()
    app.allow("wamp.session.count", "call")

    async with connect(app) as websocket:
        await websocket.join()
        assert await websocket.ask(CALL, 1, {}, "wamp.session.count") == [RESULT, 1, {}, [1]]
        assert (await websocket.ask(CALL, 2, {}, "wamp.session.list"))[0] == ERROR

    assert default_metrics(app)["calls"] == {"results": 1, "errors": 1, "canceled": 0}


async def test_events_sent_to_a_single_session_are_counted() -> None:
    app = Application()

    @app.topic("mine")
    async def mine(session: Session) -> None:
        await session.send_event("mine", (1,))

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.ask(SUBSCRIBE, 1, {}, "mine")
        assert (await websocket.receive())[0] == EVENT

    assert default_metrics(app)["events"] == {"published": 0, "sent": 1}


@pytest.mark.parametrize("subprotocol", ["wamp.2.json", "wamp.2.json.batched"])
async def test_bytes_count_serialized_messages(subprotocol: str) -> None:
    app = Application()
    end = "\x1e" if subprotocol.endswith("batched") else ""

    @app.procedure("echo")
    async def echo(value: Any) -> Any:
        return value

    async with connect(app, subprotocols=[subprotocol]) as websocket:
        await websocket.send_frame(json.dumps([HELLO, "r", {"roles": ALL_ROLES}]) + end)
        await websocket.receive_event()
        before = default_metrics(app)["bytes"]
        frames = [json.dumps([CALL, 1, {}, "echo", [text]], ensure_ascii=False) + end for text in ("x", "é")]
        received = 0
        for frame in frames:
            await websocket.send_frame(frame)
            received += len((await websocket.receive_event())["text"].encode())
        after = default_metrics(app)["bytes"]

    assert after["received"] - before["received"] == sum(len(frame.encode()) for frame in frames)
    assert after["sent"] - before["sent"] == received
