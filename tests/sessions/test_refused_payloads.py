"""Messages whose payload cannot be passed on: they are refused, and their sessions continue."""

from __future__ import annotations

import json
import logging
from typing import Any

import anyio
import cbor2
import pytest
from starlette.middleware import Middleware

from tests.specification import (
    CALL,
    CANCEL,
    ERROR,
    EVENT,
    GOODBYE,
    HELLO,
    INTERRUPT,
    INVALID_ARGUMENT,
    INVOCATION,
    PUBLISH,
    REGISTER,
    RESULT,
    SUBSCRIBE,
    UNSUBSCRIBE,
    YIELD,
)
from tests.wamp_client import ALL_ROLES, announcing, clients, connect, open_app
from wampasgi import Application, Realm
from wampasgi.types import ASGIEvent, Receive, Scope, Send

pytestmark = pytest.mark.anyio

NAN = float("nan")
RUNTIME_ERROR = "wamp.error.runtime_error"
PROCEDURE, TOPIC = "com.myapp.procedure", "com.myapp.topic"
BASIC: dict[str, Any] = {"roles": ALL_ROLES}


def echo_app(**options: Any) -> Application:
    app = open_app(**options)

    @app.procedure("echo")
    async def echo(value: Any = None) -> Any:
        return value

    return app


class Transparent:
    """A middleware that receives and sends every message itself."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_on() -> ASGIEvent:
            return await receive()

        async def send_on(event: ASGIEvent) -> None:
            await send(event)

        await self._app(scope, receive_on, send_on)


# Requests


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("[NaN]", "unsupported value in JSON: JSON has no NaN"),
        ("[-Infinity]", "unsupported value in JSON: JSON has no -Infinity"),
        ('[{"a":["\\ud800"]}]', "unsupported value in JSON: "),
        ('["\\u0000no base64"]', "must continue with valid Base64"),
        ("null", "CALL.Arguments must be a list, got NoneType"),
        ("[],null", "CALL.ArgumentsKw must be a dict with strings as keys, got NoneType"),
    ],
)
async def test_call_with_an_invalid_payload_is_refused_alone(payload: str, reason: str) -> None:
    async with clients(echo_app(), BASIC) as [client]:
        await client.send_frame(f'[48,7,{{}},"echo",{payload}]')

        answer = await client.expect_error(CALL, 7, INVALID_ARGUMENT)
        assert reason in answer[5][0]
        assert await client.call("echo", "still here") == "still here"


@pytest.mark.parametrize(
    ("subprotocol", "frame", "reason"),
    [
        ("wamp.2.msgpack", b"\x95\x30\x07\x80\xa4echo\x91\x81\xc0\x01", "a map key must be text"),
        ("wamp.2.msgpack", b"\x95\x30\x07\x80\xa4echo\x91\xa1\xff", "a string is not valid UTF-8"),
        ("wamp.2.msgpack", b"\x96\x30\x07\x80\xa4echo\x90\x81\x01\x01", "dict with strings as keys"),
        ("wamp.2.cbor", cbor2.dumps([48, 7, {}, "echo", [cbor2.CBORTag(999, 1)]]), "tag 999"),
        ("wamp.2.cbor", cbor2.dumps([48, 7, {}, "echo", [{(1, 2): 3}]]), "a map key must be text"),
        ("wamp.2.cbor", cbor2.dumps([48, 7, {}, "echo", [2**9000]]), "an integer with at most 8192 bits"),
    ],
)
async def test_call_in_a_binary_format_with_an_invalid_payload_is_refused_alone(
    subprotocol: str, frame: bytes, reason: str
) -> None:
    async with connect(echo_app(), subprotocols=[subprotocol]) as client:
        await client.join()
        await client.send_frame(frame)

        answer = await client.expect_error(CALL, 7, INVALID_ARGUMENT)
        assert reason in answer[5][0]
        assert await client.call("echo", "still here") == "still here"


@pytest.mark.parametrize(
    "request_message",
    [
        [PUBLISH, 7, {"acknowledge": True}, TOPIC, [NAN]],
        [SUBSCRIBE, 7, {"unknown": NAN}, TOPIC],
        [REGISTER, 7, {"unknown": NAN}, PROCEDURE],
        [UNSUBSCRIBE, 7, NAN],
    ],
    ids=str,
)
async def test_other_requests_are_refused_alone(request_message: list[Any]) -> None:
    async with clients(echo_app(), BASIC) as [client]:
        await client.send(*request_message)

        await client.expect_error(request_message[0], 7, INVALID_ARGUMENT)
        await client.expect_nothing()


@pytest.mark.parametrize(
    "message",
    [
        [PUBLISH, 7, {}, TOPIC, [NAN]],
        [PUBLISH, 7, {}, TOPIC, None],
        [PUBLISH, 7, NAN, TOPIC],
    ],
    ids=str,
)
async def test_publication_without_acknowledgment_is_dropped(
    message: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wampasgi")
    async with clients(echo_app(), BASIC, BASIC) as [client, subscriber]:
        await subscriber.subscribe(TOPIC)
        await client.send(*message)

        await client.expect_nothing()
        await subscriber.expect_nothing()
    assert "PUBLISH 7 of " in caplog.text


@pytest.mark.parametrize("middleware", [[], [Middleware(Transparent)]], ids=["direct", "middleware"])
async def test_refused_requests_count_in_the_sequence_of_request_ids(middleware: list[Middleware]) -> None:
    realm = Realm("checked", middleware=middleware)
    realm.allow_all()
    app = Application([realm], check_request_ids=True)
    async with clients(app, BASIC, realm="checked") as [client]:
        for request_id, payload in ((1, [NAN]), (2, None), (3, [NAN])):
            await client.send(PUBLISH, request_id, {"acknowledge": True}, TOPIC, payload)
            await client.expect_error(PUBLISH, request_id, INVALID_ARGUMENT)
        await client.send(PUBLISH, 3, {"acknowledge": True}, TOPIC, [NAN])
        assert "out of sequence" in (await client.expect_abort())["message"]


@pytest.mark.parametrize("subprotocol", ["wamp.2.json.batched", "wamp.2.cbor.batched"])
async def test_only_the_invalid_message_of_a_batch_is_refused(subprotocol: str) -> None:
    is_json = "json" in subprotocol

    def frame(*messages: list[Any]) -> str | bytes:
        if is_json:
            return "".join(json.dumps(message) + "\x1e" for message in messages)
        encoded = [cbor2.dumps(message) for message in messages]
        return b"".join(len(one).to_bytes(4, "big") + one for one in encoded)

    bad = NAN if is_json else cbor2.CBORTag(999, 1)
    async with connect(echo_app(), subprotocols=[subprotocol]) as client:
        await client.send_frame(frame([HELLO, "default", BASIC]))
        await client.receive_event()
        await client.send_frame(
            frame([CALL, 1, {}, "echo", ["a"]], [CALL, 2, {}, "echo", [bad]], [CALL, 3, {}, "echo", ["c"]])
        )
        answers: list[list[Any]] = []
        while len(answers) < 3:
            event = await client.receive_event()
            if is_json:
                answers += [json.loads(one) for one in event["text"].split("\x1e")[:-1]]
                continue
            data = event["bytes"]
            while data:
                length = int.from_bytes(data[:4], "big")
                answers.append(cbor2.loads(data[4 : 4 + length]))
                data = data[4 + length :]

    assert sorted(answer[:5] for answer in answers)[1:] == [[RESULT, 1, {}, ["a"]], [RESULT, 3, {}, ["c"]]]
    assert min(answers)[:5] == [ERROR, CALL, 2, {}, INVALID_ARGUMENT]


@pytest.mark.parametrize("message", [[CALL, 7, {}, "echo", [NAN]], [CALL, 7, {}, "echo", None]], ids=str)
async def test_invalid_request_after_the_goodbye_of_the_server_is_ignored(message: list[Any]) -> None:
    app = echo_app()
    async with clients(app, BASIC) as [client]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app.close_sessions)
            await client.expect(GOODBYE)
            await client.send(*message)
            await client.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
        # Without an answer or ABORT before it.
        await client.join()


# Messages that cannot be refused alone


@pytest.mark.parametrize(
    "message",
    [
        [CANCEL, 1, {"unknown": NAN}],
        [CALL, NAN, {}, PROCEDURE],
        [CALL, 0, {}, PROCEDURE, [NAN]],
        [EVENT, 1, 1, {}, [NAN]],
        [YIELD, 1, {}, [NAN]],
        [ERROR, INVOCATION, 1, {}, "com.error", [NAN]],
        [ERROR, CALL, 1, {}, "com.error", [NAN]],
        [NAN],
        [INVOCATION, 1, 1, {}, [NAN]],
    ],
    ids=str,
)
async def test_invalid_message_without_a_request_aborts(message: list[Any]) -> None:
    async with clients(echo_app(), BASIC) as [client]:
        await client.send(*message)
        await client.expect_abort()


async def test_invalid_request_before_hello_aborts() -> None:
    async with connect(echo_app()) as client:
        await client.send(CALL, 1, {}, "echo", [NAN])
        await client.expect_abort()


async def test_hello_with_an_invalid_value_aborts() -> None:
    async with connect(echo_app()) as client:
        await client.send(HELLO, "default", {"roles": ALL_ROLES, "authextra": NAN})
        assert "JSON has no NaN" in (await client.expect_abort())["message"]


# Answers of callees

PROGRESSIVE = announcing(
    "call_canceling", "progressive_call_results", "progressive_call_invocations", "payload_passthru_mode"
)


@pytest.mark.parametrize("payload", [[NAN], None], ids=str)
@pytest.mark.parametrize("kind", ["YIELD", "ERROR"])
async def test_caller_gets_an_error_for_an_invalid_answer(kind: str, payload: Any) -> None:
    async with clients(echo_app(), BASIC, BASIC) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        invocation_id = (await callee.expect(INVOCATION))[1]
        if kind == "YIELD":
            await callee.send(YIELD, invocation_id, {}, payload)
        else:
            await callee.send(ERROR, INVOCATION, invocation_id, {}, "com.error", payload)

        answer = await caller.expect_error(CALL, 1, RUNTIME_ERROR)
        assert answer[5][0].startswith("the answer of the callee is invalid: ")
        # The invocation is answered, so that a second answer is a violation.
        await caller.send(CALL, 2, {}, PROCEDURE)
        await callee.answer_invocation(["fine"])
        assert await caller.receive() == [RESULT, 2, {}, ["fine"]]
        await callee.send(YIELD, invocation_id, {}, payload)
        await callee.expect_abort()


async def test_invalid_progressive_result_ends_the_call() -> None:
    async with clients(echo_app(), PROGRESSIVE, PROGRESSIVE) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {"receive_progress": True}, PROCEDURE)
        invocation_id = (await callee.expect(INVOCATION))[1]
        await callee.send(YIELD, invocation_id, {"progress": True}, [1])
        await caller.expect(RESULT)
        await callee.send(YIELD, invocation_id, {"progress": True}, [NAN])

        await caller.expect_error(CALL, 1, RUNTIME_ERROR)
        assert (await callee.expect(INTERRUPT))[1] == invocation_id
        # Later answers of the callee are discarded, be they valid or not.
        await callee.send(YIELD, invocation_id, {"progress": True}, [2])
        await callee.send(YIELD, invocation_id, {"progress": True}, [NAN])
        await callee.send(YIELD, invocation_id, {}, [NAN])
        await callee.expect_nothing()
        await caller.expect_nothing()


# Progressive calls


@pytest.mark.parametrize("more", [True, False])
@pytest.mark.parametrize("payload", [[NAN], None], ids=str)
async def test_invalid_part_ends_a_progressive_call(payload: Any, more: bool) -> None:
    async with clients(echo_app(), PROGRESSIVE, PROGRESSIVE) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {"progress": True}, PROCEDURE, ["a"])
        invocation_id = (await callee.expect(INVOCATION))[1]
        await caller.send(CALL, 1, {"progress": more}, PROCEDURE, payload)

        await caller.expect_error(CALL, 1, INVALID_ARGUMENT)
        assert (await callee.expect(INTERRUPT))[1] == invocation_id
        if more:
            # Further parts of it are discarded.
            await caller.send(CALL, 1, {"progress": True}, PROCEDURE, payload)
            await caller.send(CALL, 1, {}, PROCEDURE, ["c"])
        await caller.expect_nothing()
        await callee.expect_nothing()
        await caller.send(CALL, 1, {}, PROCEDURE, ["another call"])
        assert (await callee.expect(INVOCATION))[4] == ["another call"]


async def test_parts_after_an_invalid_first_one_are_discarded() -> None:
    async with clients(echo_app(), PROGRESSIVE, PROGRESSIVE) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {"progress": True}, PROCEDURE, [NAN])
        await caller.send(CALL, 1, {"progress": True}, PROCEDURE, ["b"])
        await caller.send(CALL, 1, {}, PROCEDURE, ["c"])

        await caller.expect_error(CALL, 1, INVALID_ARGUMENT)
        await caller.expect_nothing()
        await callee.expect_nothing()
