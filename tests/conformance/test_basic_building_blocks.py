"""Basic Profile, "Building Blocks": URIs, IDs, serializers, transports, protocol errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import cbor2
import ormsgpack
import pytest

from tests.conformance.clients import (
    ABORT,
    BASIC_ROLES,
    CALL,
    CANCEL,
    CANCELED,
    ERROR,
    EVENT,
    HELLO,
    INVALID_URI,
    INVOCATION,
    MAX_ID,
    NO_SUCH_PROCEDURE,
    PROCEDURE,
    PROTOCOL_VIOLATION,
    PUBLISH,
    PUBLISHED,
    REGISTER,
    REGISTERED,
    SUBSCRIBE,
    SUBSCRIBED,
    TOPIC,
    UNREGISTER,
    UNSUBSCRIBE,
    YIELD,
    assert_aborted,
    assert_error,
    assert_nothing_came,
    asyncio_only,
    basic_clients,
    open_router,
    register,
    subscribe,
)
from tests.websocket import WebSocket, connect, open_websocket
from wampasgi import Application

pytestmark = pytest.mark.anyio

# URIs

VALID = ["com.myapp.mytopic1", "a", "A.B", "1.2.3", "ärger.öl", "com.my-app.a/b?c=d", "com.myapp.日本", "_._"]
INVALID = [
    "",
    ".",
    "..",
    ".a",
    "a.",
    "a..b",
    "a b",
    " a",
    "a ",
    "a.b\n",
    "a\tb",
    "a\u00a0b",
    "a\u2003b",
    "#",
    "a.#b",
]

REQUESTS: dict[int, dict[str, Any]] = {CALL: {}, SUBSCRIBE: {}, REGISTER: {}, PUBLISH: {"acknowledge": True}}


@asyncio_only
@pytest.mark.parametrize("code", REQUESTS)
async def test_components_must_not_be_empty_or_contain_dots_hashes_or_white_space(code: int) -> None:
    async with basic_clients(1) as [client]:
        for request_id, uri in enumerate(INVALID, 1):
            answer = await client.ask(code, request_id, REQUESTS[code], uri)
            assert_error(answer, code, request_id, INVALID_URI)


@asyncio_only
@pytest.mark.parametrize("code", REQUESTS)
async def test_components_may_contain_everything_else(code: int) -> None:
    async with basic_clients(1) as [client]:
        for request_id, uri in enumerate(VALID, 1):
            answer = await client.ask(code, request_id, REQUESTS[code], uri)
            assert answer[0] == code + 1 or answer[4] == NO_SUCH_PROCEDURE, answer


@asyncio_only
@pytest.mark.parametrize("code", REQUESTS)
async def test_strict_uris_contain_only_lower_case_letters_digits_and_underscores(code: int) -> None:
    async with basic_clients(1, open_router(uri_check="strict")) as [client]:
        for request_id, uri in enumerate([*VALID, *INVALID], 1):
            answer = await client.ask(code, request_id, REQUESTS[code], uri)
            allowed = uri in ("com.myapp.mytopic1", "a", "1.2.3", "_._")
            assert (answer[0] != ERROR or answer[4] != INVALID_URI) is allowed, uri


@asyncio_only
@pytest.mark.parametrize("code", REQUESTS)
@pytest.mark.parametrize("uri", [5, None, ["a"], {"a": 1}, True], ids=str)
async def test_uris_must_be_strings(code: int, uri: object) -> None:
    async with basic_clients(1) as [client]:
        await client.send(code, 1, {}, uri)
        await assert_aborted(client)


async def test_incorrect_uri_of_an_unacknowledged_publication_is_not_answered() -> None:
    async with basic_clients(1) as [client]:
        await client.send(PUBLISH, 1, {}, "not a uri")
        await assert_nothing_came(client)


async def test_topics_procedures_and_errors_form_a_single_namespace() -> None:
    async with basic_clients(2) as [one, other]:
        await subscribe(one, PROCEDURE)
        await register(one, PROCEDURE)
        await other.send(PUBLISH, 1, {}, PROCEDURE)
        assert (await one.receive())[0] == EVENT
        await other.send(CALL, 2, {}, PROCEDURE)
        assert (await one.receive())[0] == INVOCATION
        await one.send(ERROR, INVOCATION, 1, {}, PROCEDURE)
        assert await other.receive() == [ERROR, CALL, 2, {}, PROCEDURE]


@asyncio_only
@pytest.mark.parametrize("uri", ["wamp", "wamp.myapp", "wamp.error.not_authorized", "wamp.session.on_join"])
async def test_application_uris_must_not_use_wamp_as_the_first_component(uri: str) -> None:
    async with basic_clients(1) as [client]:
        assert_error(await client.ask(REGISTER, 1, {}, uri), REGISTER, 1, INVALID_URI)
        assert_error(await client.ask(PUBLISH, 2, {"acknowledge": True}, uri), PUBLISH, 2, INVALID_URI)
        await client.send(PUBLISH, 3, {}, uri)
        await assert_nothing_came(client)


@asyncio_only
@pytest.mark.parametrize("uri", ["wampum", "wampum.a", "com.wamp", "com.wamp.a", "WAMP.a"])
async def test_uris_that_only_resemble_the_reserved_ones_are_the_applications(uri: str) -> None:
    async with basic_clients(1) as [client]:
        assert (await client.ask(REGISTER, 1, {}, uri))[0] == REGISTERED
        assert (await client.ask(PUBLISH, 2, {"acknowledge": True}, uri))[0] == PUBLISHED


async def test_pattern_of_a_client_takes_no_call_of_a_reserved_uri() -> None:
    async with basic_clients(2) as [caller, callee]:
        await register(callee, "wam", match="prefix")
        await register(callee, "", 101, match="prefix")
        await register(callee, "..", 102, match="wildcard")
        assert_error(await caller.ask(CALL, 1, {}, "wamp.no.such"), CALL, 1, NO_SUCH_PROCEDURE)
        await assert_nothing_came(callee)


# IDs

NO_IDS: list[object] = [0, -1, MAX_ID + 1, 2**63, 1.0, 1.5, True, "1", None, [1], {}]


@asyncio_only
@pytest.mark.parametrize("bad", NO_IDS, ids=str)
@pytest.mark.parametrize(
    "message",
    [
        [PUBLISH, "ID", {}, TOPIC],
        [SUBSCRIBE, "ID", {}, TOPIC],
        [UNSUBSCRIBE, "ID", 1],
        [UNSUBSCRIBE, 1, "ID"],
        [CALL, "ID", {}, PROCEDURE],
        [CANCEL, "ID", {}],
        [REGISTER, "ID", {}, PROCEDURE],
        [UNREGISTER, "ID", 1],
        [UNREGISTER, 1, "ID"],
        [YIELD, "ID", {}],
        [ERROR, INVOCATION, "ID", {}, "com.myapp.error"],
    ],
    ids=str,
)
async def test_ids_are_integers_from_1_to_2_to_the_53(message: list[Any], bad: object) -> None:
    async with basic_clients(1) as [client]:
        await client.send(*[bad if element == "ID" else element for element in message])
        await assert_aborted(client)


async def test_ids_may_be_as_great_as_2_to_the_53() -> None:
    async with basic_clients(1) as [client]:
        assert (await client.ask(SUBSCRIBE, MAX_ID, {}, TOPIC))[:2] == [SUBSCRIBED, MAX_ID]
        answer = await client.ask(UNSUBSCRIBE, 1, MAX_ID)
        assert_error(answer, UNSUBSCRIBE, 1, "wamp.error.no_such_subscription")


async def test_publication_ids_are_random_over_the_complete_range() -> None:
    async with basic_clients(1) as [client]:
        ids = [(await client.ask(PUBLISH, n, {"acknowledge": True}, TOPIC))[2] for n in range(1, 41)]

    assert all(type(publication_id) is int and 1 <= publication_id <= MAX_ID for publication_id in ids)
    assert len(set(ids)) == len(ids)
    assert min(ids) < MAX_ID // 2 < max(ids)


async def test_router_scope_ids_are_ids() -> None:
    async with basic_clients(1) as [client]:
        assert 1 <= await subscribe(client) <= MAX_ID
        assert 1 <= await register(client) <= MAX_ID


async def test_invocation_ids_are_incremented_by_1_beginning_with_1_for_each_callee() -> None:
    async with basic_clients(3) as [caller, one, other]:
        for client, procedure in (one, "a.one"), (one, "b.one"), (other, "a.other"):
            await register(client, procedure)
        for request_id, procedure in enumerate(["a.one", "a.other", "b.one", "a.one", "a.other"], 7):
            await caller.send(CALL, request_id, {}, procedure)

        assert [(await one.receive())[1] for _ in range(3)] == [1, 2, 3]
        assert [(await other.receive())[1] for _ in range(2)] == [1, 2]


@asyncio_only
@pytest.mark.parametrize(
    "messages",
    [
        [[SUBSCRIBE, 2, {}, TOPIC]],
        [[SUBSCRIBE, 713845233, {}, TOPIC]],
        [[SUBSCRIBE, 1, {}, TOPIC], [CALL, 1, {}, PROCEDURE]],
        [[SUBSCRIBE, 1, {}, TOPIC], [PUBLISH, 3, {}, TOPIC]],
        [[SUBSCRIBE, 1, {}, TOPIC], [UNSUBSCRIBE, 1, 1]],
        [[SUBSCRIBE, 1, {}, TOPIC], [REGISTER, 5, {}, PROCEDURE]],
        [[REGISTER, 1, {}, PROCEDURE], [UNREGISTER, 1, 1]],
        [[PUBLISH, 1, {"acknowledge": True}, TOPIC], [PUBLISH, 3, {"acknowledge": True}, TOPIC]],
        [[CALL, 1, {}, "nobody"], [CALL, MAX_ID, {}, "nobody"]],
    ],
    ids=str,
)
async def test_non_sequential_request_id_is_a_protocol_error_where_ids_are_checked(
    messages: list[list[Any]],
) -> None:
    async with basic_clients(1, open_router(check_request_ids=True)) as [client]:
        for message in messages[:-1]:
            await client.ask(*message)
        await client.send(*messages[-1])
        await assert_aborted(client)


async def test_all_requests_of_a_client_share_one_sequence() -> None:
    async with basic_clients(2, open_router(check_request_ids=True)) as [client, other]:
        subscription_id = (await client.ask(SUBSCRIBE, 1, {}, TOPIC))[2]
        registration_id = (await client.ask(REGISTER, 2, {}, PROCEDURE))[2]
        await client.send(PUBLISH, 3, {}, TOPIC)
        await other.send(CALL, 1, {}, PROCEDURE)
        assert (await client.receive())[0] == INVOCATION
        # These have mirrored IDs, not ones of the sequence.
        await client.send(YIELD, 1, {})
        await client.send(CANCEL, 17, {})
        assert_error(await client.ask(CALL, 4, {}, "nobody"), CALL, 4, NO_SUCH_PROCEDURE)
        assert await client.ask(UNSUBSCRIBE, 5, subscription_id) == [35, 5]
        assert await client.ask(UNREGISTER, 6, registration_id) == [67, 6]


# Serializers and transports

Encode = Callable[[Any], bytes]

BINARY: dict[str, tuple[Encode, Callable[[bytes], Any]]] = {
    "wamp.2.msgpack": (ormsgpack.packb, ormsgpack.unpackb),
    "wamp.2.cbor": (cbor2.dumps, cbor2.loads),
}


async def receive_binary(client: WebSocket, subprotocol: str) -> Any:
    event = await client.receive_event()
    assert event["type"] == "websocket.send"
    assert event.get("text") is None
    return BINARY[subprotocol][1](event["bytes"])


async def send_binary(client: WebSocket, subprotocol: str, *message: Any) -> None:
    await client.send_frame(BINARY[subprotocol][0](list(message)))


@pytest.mark.parametrize("subprotocol", BINARY)
async def test_binary_subprotocols_send_binary_messages_only(subprotocol: str) -> None:
    async with connect(open_router(), subprotocols=[subprotocol]) as client:
        await send_binary(client, subprotocol, HELLO, "realm", {"roles": BASIC_ROLES})
        assert (await receive_binary(client, subprotocol))[0] == 2
        await send_binary(client, subprotocol, CALL, 1, {}, "nobody")
        assert (await receive_binary(client, subprotocol))[4] == NO_SUCH_PROCEDURE


@asyncio_only
@pytest.mark.parametrize("subprotocol", BINARY)
async def test_text_message_on_a_binary_subprotocol_is_a_protocol_error(subprotocol: str) -> None:
    async with connect(open_router(), subprotocols=[subprotocol]) as client:
        await client.send(HELLO, "realm", {"roles": BASIC_ROLES})
        answer = await receive_binary(client, subprotocol)
        await client.closed()

    assert (answer[0], answer[2]) == (ABORT, PROTOCOL_VIOLATION)


async def test_binary_message_on_the_json_subprotocol_is_a_protocol_error() -> None:
    async with connect(open_router()) as client:
        await client.send_frame(json.dumps([HELLO, "realm", {"roles": BASIC_ROLES}]).encode())
        await assert_aborted(client)


async def test_json_is_sent_as_text_in_utf_8() -> None:
    async with connect(open_router()) as client:
        await client.join()
        await client.send(CALL, 1, {}, "com.myapp.日本")
        event = await client.receive_event()

    assert event.get("bytes") is None
    assert json.loads(event["text"])[4] == NO_SUCH_PROCEDURE


@asyncio_only
@pytest.mark.parametrize("subprotocol", BINARY)
@pytest.mark.parametrize("frame", [b"", b"\xc1", b"\x93\x01", b"\xff\xff\xff"], ids=str)
async def test_error_of_binary_decoding_is_a_protocol_error(subprotocol: str, frame: bytes) -> None:
    async with connect(open_router(), subprotocols=[subprotocol]) as client:
        await client.send_frame(frame)
        answer = await receive_binary(client, subprotocol)
        await client.closed()

    assert (answer[0], answer[2]) == (ABORT, PROTOCOL_VIOLATION)


@asyncio_only
@pytest.mark.parametrize("subprotocol", BINARY)
@pytest.mark.parametrize(
    "message", [[CALL, 1, {5: 1}, "a"], [CALL, 1, {}, "a", [], {5: 1}], [CALL, 1, {}, b"a"]], ids=str
)
async def test_dicts_have_strings_as_keys_and_uris_are_no_bytes(subprotocol: str, message: list[Any]) -> None:
    async with connect(open_router(), subprotocols=[subprotocol]) as client:
        await send_binary(client, subprotocol, HELLO, "realm", {"roles": BASIC_ROLES})
        await receive_binary(client, subprotocol)
        pack = {"option": ormsgpack.OPT_NON_STR_KEYS} if subprotocol == "wamp.2.msgpack" else {}
        await client.send_frame(BINARY[subprotocol][0](message, **pack))
        answer = await receive_binary(client, subprotocol)

    assert (answer[0], answer[2]) == (ABORT, PROTOCOL_VIOLATION)


async def test_components_using_different_serializations_connect_to_each_other() -> None:
    app = open_router()
    payload = {"null": None, "float": 1.5, "list": [1, "zwei", True], "nested": {"a": {"b": -1}}}
    async with (
        connect(app) as json_client,
        connect(app, subprotocols=["wamp.2.msgpack"]) as msgpack_client,
        connect(app, subprotocols=["wamp.2.cbor"]) as cbor_client,
    ):
        await json_client.join()
        for client, subprotocol in (msgpack_client, "wamp.2.msgpack"), (cbor_client, "wamp.2.cbor"):
            await send_binary(client, subprotocol, HELLO, "default", {"roles": BASIC_ROLES})
            await receive_binary(client, subprotocol)
            await send_binary(client, subprotocol, SUBSCRIBE, 1, {}, TOPIC)
            await receive_binary(client, subprotocol)
        await json_client.send(PUBLISH, 1, {}, TOPIC, [payload])
        for client, subprotocol in (msgpack_client, "wamp.2.msgpack"), (cbor_client, "wamp.2.cbor"):
            assert (await receive_binary(client, subprotocol))[4] == [payload]
        await subscribe(json_client)
        await send_binary(cbor_client, "wamp.2.cbor", PUBLISH, 2, {}, TOPIC, [b"\x00\xff"])
        # Appendix "Binary conversion of JSON strings": U+0000 and Base64.
        assert (await json_client.receive())[4] == ["\x00AP8="]
        assert (await receive_binary(msgpack_client, "wamp.2.msgpack"))[4] == [b"\x00\xff"]


@asyncio_only
@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["wamp.2.json"], "wamp.2.json"),
        (["wamp.2.msgpack"], "wamp.2.msgpack"),
        (["wamp.2.cbor"], "wamp.2.cbor"),
        (["wamp.9.morse", "wamp.2.cbor", "wamp.2.json"], "wamp.2.cbor"),
        (["chat", "wamp.2.json"], "wamp.2.json"),
    ],
)
async def test_protocol_is_negotiated_as_a_websocket_subprotocol(offered: list[str], chosen: str) -> None:
    async with open_websocket(Application(), subprotocols=offered) as client:
        accepted = await client.receive_event()

    assert (accepted["type"], accepted["subprotocol"]) == ("websocket.accept", chosen)


@asyncio_only
@pytest.mark.parametrize("offered", [[], ["chat"], ["wamp.2.morse"], ["WAMP.2.JSON"]], ids=str)
async def test_websocket_without_a_wamp_subprotocol_is_not_accepted(offered: list[str]) -> None:
    async with open_websocket(Application(), subprotocols=offered) as client:
        assert (await client.receive_event())["type"] == "websocket.close"


# Protocol errors


@asyncio_only
@pytest.mark.parametrize(
    "message",
    [
        [2, 1, {}],
        [HELLO, "default", {"roles": BASIC_ROLES}],
        [4, "ticket", {}],
        [5, "secret", {}],
        [PUBLISHED, 1, 1],
        [SUBSCRIBED, 1, 1],
        [35, 1],
        [EVENT, 1, 1, {}],
        [50, 1, {}],
        [REGISTERED, 1, 1],
        [67, 1],
        [INVOCATION, 1, 1, {}],
        [69, 1, {}],
    ],
    ids=str,
)
async def test_message_that_no_client_sends_in_a_session_is_a_protocol_error(message: list[Any]) -> None:
    async with basic_clients(1) as [client]:
        await client.send(*message)
        await assert_aborted(client)


@asyncio_only
@pytest.mark.parametrize(
    "request_type", [0, 1, 8, 16, 32, 34, 48, 49, 64, 66, 69, 70, 4711, "68", 68.0, None]
)
async def test_error_with_an_invalid_request_type_is_a_protocol_error(request_type: object) -> None:
    async with basic_clients(2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await callee.receive()
        await callee.send(ERROR, request_type, 1, {}, "com.myapp.error")
        await assert_aborted(callee)


@asyncio_only
@pytest.mark.parametrize("answer", [[YIELD, 2, {}], [ERROR, INVOCATION, 2, {}, "com.myapp.error"]], ids=str)
async def test_answer_with_an_invalid_invocation_id_is_a_protocol_error(answer: list[Any]) -> None:
    async with basic_clients(2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await callee.receive()
        await callee.send(*answer)
        await assert_aborted(callee)


async def test_second_yield_for_an_invocation_is_a_protocol_error() -> None:
    async with basic_clients(2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await callee.receive()
        await callee.send(YIELD, 1, {})
        await callee.send(YIELD, 1, {})
        await assert_aborted(callee)
        assert (await caller.receive())[0] == 50
        await assert_nothing_came(caller)


async def test_yield_for_the_invocation_of_another_callee_is_a_protocol_error() -> None:
    async with basic_clients(3) as [caller, callee, thief]:
        await register(callee)
        await caller.send(CALL, 1, {}, PROCEDURE)
        invocation_id = (await callee.receive())[1]
        await thief.send(YIELD, invocation_id, {}, ["stolen"])
        await assert_aborted(thief)
        await callee.send(YIELD, invocation_id, {}, ["own"])
        assert await caller.receive() == [50, 1, {}, ["own"]]


@asyncio_only
@pytest.mark.parametrize(
    "frame",
    [
        "[]",
        "{}",
        "null",
        "5",
        '"text"',
        "[null]",
        '["48", 1, {}, "a"]',
        "[true]",
        "[[48]]",
        "[0]",
        "[-1]",
        "[7]",
        "[255]",
        "[256, {}]",
        "[1023]",
        "[1024]",
        '[48.0, 1, {}, "a"]',
        '[1e400, 1, {}, "a"]',
        f"[{10**30}]",
        "",
        "[",
        "[48, 1, {}, 'a']",
        '[48, 1, {}, "a"',
        '[48, 1, {}, "a"] [48, 2, {}, "a"]',
        '[48, 1, {}, "\\ud800"]',
        '[48, 1, {}, "a", [NaN]]',
    ],
)
async def test_incompatible_or_undecodable_message_is_a_protocol_error(frame: str) -> None:
    async with basic_clients(1) as [client]:
        await client.send_frame(frame)
        await assert_aborted(client)


async def test_offending_session_is_disposed_of_at_once() -> None:
    async with basic_clients(3) as [offender, caller, publisher]:
        await subscribe(offender)
        await register(offender)
        await caller.send(CALL, 1, {}, PROCEDURE)
        assert (await offender.receive())[0] == INVOCATION
        await offender.send_frame("[]")
        details = await assert_aborted(offender)
        assert isinstance(details["message"], str)

        assert_error(await caller.receive(), CALL, 1, CANCELED)
        assert_error(await caller.ask(CALL, 2, {}, PROCEDURE), CALL, 2, NO_SUCH_PROCEDURE)
        await register(caller)
        await publisher.ask(PUBLISH, 1, {"acknowledge": True}, TOPIC)


async def test_connection_is_dropped_after_a_protocol_error() -> None:
    async with basic_clients(1) as [client]:
        await client.send_frame("[]")
        await client.receive()

        assert (await client.closed())["code"] == 1002
        await client.wait_served()
