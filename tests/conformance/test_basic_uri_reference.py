"""Basic Profile, "Basic Profile URIs": a situation for each predefined URI."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.conformance.vocabulary import PROCEDURE, TOPIC, asyncio_only, one_worker
from tests.specification import (
    ABORT,
    CALL,
    ERROR,
    GOODBYE,
    HELLO,
    PUBLISH,
    REGISTER,
    RESULT,
    SUBSCRIBE,
    UNREGISTER,
    UNSUBSCRIBE,
)
from tests.wamp_client import BASIC, clients, connect, open_app
from wampasgi import Application, Limits, RPCErrorResult, Session, SubscribeError, WAMPError

pytestmark = pytest.mark.anyio


@asyncio_only
@pytest.mark.parametrize(
    ("message", "error"),
    [
        ([CALL, 1, {}, "a..b"], "wamp.error.invalid_uri"),
        ([SUBSCRIBE, 1, {}, "a..b"], "wamp.error.invalid_uri"),
        ([REGISTER, 1, {}, "a..b"], "wamp.error.invalid_uri"),
        ([PUBLISH, 1, {"acknowledge": True}, "a..b"], "wamp.error.invalid_uri"),
        ([CALL, 1, {}, "com.nobody"], "wamp.error.no_such_procedure"),
        ([REGISTER, 1, {}, "com.myapp.add"], "wamp.error.procedure_already_exists"),
        ([UNREGISTER, 1, 4711], "wamp.error.no_such_registration"),
        ([UNSUBSCRIBE, 1, 4711], "wamp.error.no_such_subscription"),
        ([CALL, 1, {}, "com.myapp.add", ["two", 3]], "wamp.error.invalid_argument"),
        ([CALL, 1, {}, "com.myapp.add", [2]], "wamp.error.invalid_argument"),
        ([CALL, 1, {}, "com.myapp.add", [2, 3, 4]], "wamp.error.invalid_argument"),
        ([CALL, 1, {}, "com.myapp.add", [2, 3], {"c": 4}], "wamp.error.invalid_argument"),
    ],
    ids=str,
)
async def test_failed_request_is_answered_with_the_predefined_error(message: list[Any], error: str) -> None:
    app = open_app()

    @app.procedure("com.myapp.add")
    async def add(a: int, b: int) -> int:
        return a + b

    async with clients(app, BASIC) as [client]:
        await client.send(*message)
        await client.expect_error(message[0], 1, error)
        # Only the request has failed, not the session.
        assert await client.ask(CALL, 2, {}, "com.myapp.add", [2, 3]) == [RESULT, 2, {}, [5]]


@asyncio_only
@pytest.mark.parametrize(
    "message",
    [
        [CALL, 1, {}, PROCEDURE],
        [REGISTER, 1, {}, PROCEDURE],
        [SUBSCRIBE, 1, {}, TOPIC],
        [PUBLISH, 1, {"acknowledge": True}, TOPIC],
    ],
    ids=str,
)
@pytest.mark.parametrize("fails", [False, True])
async def test_error_tells_a_refusal_from_a_failed_authorization(message: list[Any], fails: bool) -> None:
    app = Application()
    may_register = True

    @app.authorizer
    async def may(action: str) -> bool:
        if may_register:
            return True
        if fails:
            raise RuntimeError("the database is down")
        return False

    async with clients(app, BASIC, BASIC) as [client, callee]:
        await callee.register(PROCEDURE)
        may_register = False
        error = "wamp.error.authorization_failed" if fails else "wamp.error.not_authorized"
        await client.send(*message)
        answer = await client.expect_error(message[0], 1, error)
        assert "database" not in str(answer)


async def test_message_over_the_size_limit_is_aborted_with_payload_size_exceeded() -> None:
    async with clients(open_app(limits=Limits(message_size=1000)), BASIC) as [client]:
        await client.send(PUBLISH, 1, {}, TOPIC, ["x" * 1000])
        await client.expect_abort("wamp.error.payload_size_exceeded")


# It runs the lifespan of its application itself.
@one_worker
async def test_router_that_shuts_down_closes_sessions_with_system_shutdown() -> None:
    app = open_app(on_shutdown="goodbye")
    stop = anyio.Event()

    async def serve() -> None:
        async with app.lifespan():
            await stop.wait()

    async with anyio.create_task_group() as tasks, clients(app, BASIC) as [client]:
        tasks.start_soon(serve)
        stop.set()
        goodbye = await client.expect(GOODBYE)
        await client.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
        await client.closed()

    assert goodbye[2] == "wamp.close.system_shutdown"


async def test_application_closes_a_session_with_close_realm() -> None:
    app = open_app()

    @app.procedure("leave")
    async def leave(session: Session) -> None:
        await session.close()

    async with clients(app, BASIC) as [client]:
        assert await client.ask(CALL, 1, {}, "leave") == [GOODBYE, {}, "wamp.close.close_realm"]


async def test_abort_for_a_protocol_violation_has_a_message_in_its_details() -> None:
    async with clients(open_app(), BASIC) as [client]:
        answer = await client.ask(CALL, 1)

    assert answer == [ABORT, {"message": answer[1]["message"]}, "wamp.error.protocol_violation"]
    assert "CALL" in answer[1]["message"]


async def test_hello_for_a_realm_that_does_not_exist_is_aborted_with_no_such_realm() -> None:
    async with connect(Application(allow_default_realm=False)) as client:
        await client.send(HELLO, "com.nowhere", BASIC)
        await client.expect_abort("wamp.error.no_such_realm")


@asyncio_only
@pytest.mark.parametrize("uri", ["not a uri", "", "a..b", "a#b"])
async def test_server_procedure_that_uses_an_invalid_uri_as_error_or_reason_fails(uri: str) -> None:
    app = open_app()

    @app.procedure("raise")
    async def raise_error() -> None:
        raise WAMPError(uri, "text")

    @app.procedure("return")
    async def return_error() -> RPCErrorResult:
        return RPCErrorResult(uri, ["text"])

    @app.procedure("close")
    async def close(session: Session) -> None:
        await session.close(uri)

    @app.procedure("abort")
    async def abort(session: Session) -> None:
        await session.abort(uri)

    @app.topic(TOPIC)
    async def gatekeeper() -> None:
        raise SubscribeError(uri)

    async with clients(app, BASIC) as [client]:
        for request_id, procedure in enumerate(["raise", "return", "close", "abort"], 1):
            answer = await client.ask(CALL, request_id, {}, procedure)
            assert answer == [ERROR, CALL, request_id, {}, "wamp.error.runtime_error"]
        answer = await client.ask(SUBSCRIBE, 5, {}, TOPIC)
        assert answer == [ERROR, SUBSCRIBE, 5, {}, "wamp.error.runtime_error"]
