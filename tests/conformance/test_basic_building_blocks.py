"""Basic Profile, "Building Blocks": URIs, IDs, serializers, transports, protocol errors."""

from __future__ import annotations

import json
from typing import Any

import ormsgpack
import pytest

from tests.conformance.vocabulary import MESSAGES_OF_ROUTERS, PROCEDURE, TOPIC, asyncio_only, pending_call
from tests.specification import (
    ABORT,
    AUTHENTICATE,
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
    NO_SUCH_SUBSCRIPTION,
    PUBLISH,
    REGISTER,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    UNREGISTER,
    UNREGISTERED,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
    YIELD,
)
from tests.wamp_client import BASIC, FORMATS, clients, connect, open_app
from tests.websocket import open_websocket
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
    async with clients(open_app(), BASIC) as [client]:
        for uri in INVALID:
            assert await client.request_error(code, REQUESTS[code], uri) == INVALID_URI


@asyncio_only
@pytest.mark.parametrize("code", REQUESTS)
async def test_components_may_contain_all_other_characters(code: int) -> None:
    async with clients(open_app(), BASIC) as [client]:
        for uri in VALID:
            answer = await client.request(code, REQUESTS[code], uri)
            assert answer[0] == code + 1 or answer[4] == NO_SUCH_PROCEDURE, answer


@asyncio_only
@pytest.mark.parametrize("code", REQUESTS)
async def test_strict_uris_contain_only_lower_case_letters_digits_and_underscores(code: int) -> None:
    async with clients(open_app(uri_check="strict"), BASIC) as [client]:
        for uri in [*VALID, *INVALID]:
            answer = await client.request(code, REQUESTS[code], uri)
            allowed = uri in ("com.myapp.mytopic1", "a", "1.2.3", "_._")
            assert (answer[0] != ERROR or answer[4] != INVALID_URI) is allowed, uri


@asyncio_only
@pytest.mark.parametrize("code", REQUESTS)
@pytest.mark.parametrize("uri", [5, None, ["a"], {"a": 1}, True], ids=str)
async def test_uris_must_be_strings(code: int, uri: object) -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.send(code, 1, {}, uri)
        await client.expect_abort()


async def test_unacknowledged_publication_to_an_invalid_uri_is_not_answered() -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.send(PUBLISH, 1, {}, "not a uri")
        await client.expect_nothing()


async def test_topics_procedures_and_errors_form_a_single_namespace() -> None:
    async with clients(open_app(), BASIC, BASIC) as [one, other]:
        await one.subscribe(PROCEDURE)
        await one.register(PROCEDURE)
        await other.send(PUBLISH, 1, {}, PROCEDURE)
        await one.expect(EVENT)
        await other.send(CALL, 2, {}, PROCEDURE)
        await one.expect(INVOCATION)
        await one.send(ERROR, INVOCATION, 1, {}, PROCEDURE)
        assert await other.receive() == [ERROR, CALL, 2, {}, PROCEDURE]


@asyncio_only
@pytest.mark.parametrize("uri", ["wamp", "wamp.myapp", "wamp.error.not_authorized", "wamp.session.on_join"])
async def test_application_uris_must_not_use_wamp_as_the_first_component(uri: str) -> None:
    async with clients(open_app(), BASIC) as [client]:
        assert await client.request_error(REGISTER, {}, uri) == INVALID_URI
        assert await client.request_error(PUBLISH, {"acknowledge": True}, uri) == INVALID_URI
        await client.send(PUBLISH, 3, {}, uri)
        await client.expect_nothing()


@asyncio_only
@pytest.mark.parametrize("uri", ["wampum", "wampum.a", "com.wamp", "com.wamp.a", "WAMP.a"])
async def test_applications_may_use_uris_that_only_resemble_reserved_ones(uri: str) -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.register(uri)
        await client.publish(uri)


async def test_calls_to_reserved_uris_are_not_routed_to_patterns_of_clients() -> None:
    async with clients(open_app(), BASIC, BASIC) as [caller, callee]:
        await callee.register("wam", match="prefix")
        await callee.register("", match="prefix")
        await callee.register("..", match="wildcard")
        assert await caller.request_error(CALL, {}, "wamp.no.such") == NO_SUCH_PROCEDURE
        await callee.expect_nothing()


# IDs

INVALID_IDS: list[object] = [0, -1, MAX_ID + 1, 2**63, 1.0, 1.5, True, "1", None, [1], {}]


@asyncio_only
@pytest.mark.parametrize("bad", INVALID_IDS, ids=str)
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
async def test_ids_are_integers_from_1_to_2_to_the_power_of_53(message: list[Any], bad: object) -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.send(*[bad if element == "ID" else element for element in message])
        await client.expect_abort()


async def test_ids_may_be_as_great_as_2_to_the_power_of_53() -> None:
    async with clients(open_app(), BASIC) as [client]:
        assert (await client.ask(SUBSCRIBE, MAX_ID, {}, TOPIC))[:2] == [SUBSCRIBED, MAX_ID]
        assert await client.request_error(UNSUBSCRIBE, MAX_ID) == NO_SUCH_SUBSCRIPTION


async def test_publication_ids_are_random_over_the_complete_range() -> None:
    async with clients(open_app(), BASIC) as [client]:
        ids = [await client.publish(TOPIC) for _ in range(40)]

    assert all(type(publication_id) is int and 1 <= publication_id <= MAX_ID for publication_id in ids)
    assert len(set(ids)) == len(ids)
    assert min(ids) < MAX_ID // 2 < max(ids)


async def test_subscription_and_registration_ids_are_valid_ids() -> None:
    async with clients(open_app(), BASIC) as [client]:
        assert 1 <= await client.subscribe(TOPIC) <= MAX_ID
        assert 1 <= await client.register(PROCEDURE) <= MAX_ID


async def test_invocation_ids_are_incremented_by_1_beginning_with_1_for_each_callee() -> None:
    async with clients(open_app(), BASIC, BASIC, BASIC) as [caller, one, other]:
        for client, procedure in (one, "a.one"), (one, "b.one"), (other, "a.other"):
            await client.register(procedure)
        for request_id, procedure in enumerate(["a.one", "a.other", "b.one", "a.one", "a.other"], 7):
            await caller.send(CALL, request_id, {}, procedure)

        assert [(await one.expect(INVOCATION))[1] for _ in range(3)] == [1, 2, 3]
        assert [(await other.expect(INVOCATION))[1] for _ in range(2)] == [1, 2]


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
async def test_non_sequential_request_id_is_a_protocol_error_if_ids_are_checked(
    messages: list[list[Any]],
) -> None:
    async with clients(open_app(check_request_ids=True), BASIC) as [client]:
        for message in messages[:-1]:
            await client.ask(*message)
        await client.send(*messages[-1])
        await client.expect_abort()


async def test_all_requests_of_a_client_share_one_sequence() -> None:
    async with clients(open_app(check_request_ids=True), BASIC, BASIC) as [client, other]:
        subscription_id = (await client.ask(SUBSCRIBE, 1, {}, TOPIC))[2]
        registration_id = (await client.ask(REGISTER, 2, {}, PROCEDURE))[2]
        await client.send(PUBLISH, 3, {}, TOPIC)
        await other.send(CALL, 1, {}, PROCEDURE)
        await client.expect(INVOCATION)
        # The IDs of these messages are those of other requests and do not count in the sequence.
        await client.send(YIELD, 1, {})
        await client.send(CANCEL, 17, {})
        await client.send(CALL, 4, {}, "nobody")
        await client.expect_error(CALL, 4, NO_SUCH_PROCEDURE)
        assert await client.ask(UNSUBSCRIBE, 5, subscription_id) == [UNSUBSCRIBED, 5]
        assert await client.ask(UNREGISTER, 6, registration_id) == [UNREGISTERED, 6]


# Serializers and transports

BINARY = ["wamp.2.msgpack", "wamp.2.cbor"]


@pytest.mark.parametrize("subprotocol", BINARY)
async def test_binary_subprotocols_send_only_binary_messages(subprotocol: str) -> None:
    async with connect(open_app(), subprotocols=[subprotocol]) as client:
        await client.join()
        await client.send(CALL, 1, {}, "nobody")
        event = await client.receive_event()

    assert event.get("text") is None
    assert FORMATS[subprotocol].decode(event["bytes"])[4] == NO_SUCH_PROCEDURE


@asyncio_only
@pytest.mark.parametrize("subprotocol", BINARY)
async def test_text_message_on_a_binary_subprotocol_is_a_protocol_error(subprotocol: str) -> None:
    async with connect(open_app(), subprotocols=[subprotocol]) as client:
        await client.send_frame(json.dumps([HELLO, "realm", BASIC]))
        await client.expect_abort()


async def test_binary_message_on_the_json_subprotocol_is_a_protocol_error() -> None:
    async with connect(open_app()) as client:
        await client.send_frame(json.dumps([HELLO, "realm", BASIC]).encode())
        await client.expect_abort()


async def test_json_is_sent_as_text_in_utf_8() -> None:
    async with connect(open_app()) as client:
        await client.join()
        await client.send(CALL, 1, {}, "com.myapp.日本")
        event = await client.receive_event()

    assert event.get("bytes") is None
    assert json.loads(event["text"])[4] == NO_SUCH_PROCEDURE


@asyncio_only
@pytest.mark.parametrize("subprotocol", BINARY)
@pytest.mark.parametrize("frame", [b"", b"\xc1", b"\x93\x01", b"\xff\xff\xff"], ids=str)
async def test_undecodable_binary_message_is_a_protocol_error(subprotocol: str, frame: bytes) -> None:
    async with connect(open_app(), subprotocols=[subprotocol]) as client:
        await client.send_frame(frame)
        await client.expect_abort()


@asyncio_only
@pytest.mark.parametrize("subprotocol", BINARY)
@pytest.mark.parametrize(
    "message", [[CALL, 1, {5: 1}, "a"], [CALL, {5: 1}, {}, "a"], [CALL, 1, {}, b"a"]], ids=str
)
async def test_keys_of_dicts_and_uris_must_be_strings_not_integers_or_bytes(
    subprotocol: str, message: list[Any]
) -> None:
    async with connect(open_app(), subprotocols=[subprotocol]) as client:
        await client.join()
        if subprotocol == "wamp.2.msgpack":
            await client.send_frame(ormsgpack.packb(message, option=ormsgpack.OPT_NON_STR_KEYS))
        else:
            await client.send(*message)
        await client.expect_abort()


async def test_clients_with_different_serializers_can_communicate() -> None:
    app = open_app()
    payload = {"null": None, "float": 1.5, "list": [1, "zwei", True], "nested": {"a": {"b": -1}}}
    async with (
        connect(app) as json_client,
        connect(app, subprotocols=["wamp.2.msgpack"]) as msgpack_client,
        connect(app, subprotocols=["wamp.2.cbor"]) as cbor_client,
    ):
        for client in json_client, msgpack_client, cbor_client:
            await client.join()
        for client in msgpack_client, cbor_client:
            await client.subscribe(TOPIC)
        await json_client.send(PUBLISH, 1, {}, TOPIC, [payload])
        for client in msgpack_client, cbor_client:
            assert await client.event() == [payload]
        await json_client.subscribe(TOPIC)
        await cbor_client.send(PUBLISH, 2, {}, TOPIC, [b"\x00\xff"])
        # Appendix "Binary conversion of JSON strings": U+0000 and Base64.
        assert await json_client.event() == ["\x00AP8="]
        assert await msgpack_client.event() == [b"\x00\xff"]


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
async def test_serializer_is_negotiated_as_a_websocket_subprotocol(offered: list[str], chosen: str) -> None:
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
    "message", [*MESSAGES_OF_ROUTERS, [HELLO, "default", BASIC], [AUTHENTICATE, "secret", {}]], ids=str
)
async def test_message_that_no_client_sends_in_a_session_is_a_protocol_error(message: list[Any]) -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.send(*message)
        await client.expect_abort()


@asyncio_only
@pytest.mark.parametrize(
    "request_type", [0, 1, 8, 16, 32, 34, 48, 49, 64, 66, 69, 70, 4711, "68", 68.0, None]
)
async def test_error_with_an_invalid_request_type_is_a_protocol_error(request_type: object) -> None:
    async with pending_call() as [_, callee]:
        await callee.send(ERROR, request_type, 1, {}, "com.myapp.error")
        await callee.expect_abort()


@asyncio_only
@pytest.mark.parametrize("answer", [[YIELD, 2, {}], [ERROR, INVOCATION, 2, {}, "com.myapp.error"]], ids=str)
async def test_answer_with_an_invalid_invocation_id_is_a_protocol_error(answer: list[Any]) -> None:
    async with pending_call() as [_, callee]:
        await callee.send(*answer)
        await callee.expect_abort()


async def test_second_yield_for_an_invocation_is_a_protocol_error() -> None:
    async with pending_call() as [caller, callee]:
        await callee.send(YIELD, 1, {})
        await callee.send(YIELD, 1, {})
        await callee.expect_abort()
        await caller.expect(RESULT)
        await caller.expect_nothing()


async def test_yield_for_the_invocation_of_another_callee_is_a_protocol_error() -> None:
    async with clients(open_app(), BASIC, BASIC, BASIC) as [caller, callee, thief]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        invocation_id = (await callee.expect(INVOCATION))[1]
        await thief.send(YIELD, invocation_id, {}, ["stolen"])
        await thief.expect_abort()
        await callee.send(YIELD, invocation_id, {}, ["own"])
        assert await caller.receive() == [RESULT, 1, {}, ["own"]]


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
        '["\\ud800", 1, {}, "a"]',
        '[48, NaN, {}, "a"]',
    ],
)
async def test_incompatible_or_undecodable_message_is_a_protocol_error(frame: str) -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.send_frame(frame)
        await client.expect_abort()


async def test_offending_session_is_removed_at_once() -> None:
    async with clients(open_app(), BASIC, BASIC, BASIC) as [offender, caller, publisher]:
        await offender.subscribe(TOPIC)
        await offender.register(PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await offender.expect(INVOCATION)
        await offender.send_frame("[]")
        details = await offender.expect_abort()
        assert isinstance(details["message"], str)

        await caller.expect_error(CALL, 1, CANCELED)
        await caller.send(CALL, 2, {}, PROCEDURE)
        await caller.expect_error(CALL, 2, NO_SUCH_PROCEDURE)
        await caller.register(PROCEDURE)
        await publisher.publish(TOPIC)


async def test_connection_is_closed_after_a_protocol_error() -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.send_frame("[]")
        await client.expect(ABORT)

        assert (await client.closed())["code"] == 1002
        await client.wait_served()
