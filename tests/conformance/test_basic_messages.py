"""Basic Profile, "Messages": types of elements, extensibility, structure, codes and direction."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.vocabulary import PROCEDURE, TOPIC, asyncio_only, pending_call
from tests.specification import (
    ABORT,
    CALL,
    CANCEL,
    CLOSE_REALM,
    ERROR,
    EVENT,
    GOODBYE,
    INVALID_ARGUMENT,
    INVOCATION,
    PUBLISH,
    REGISTER,
    RESULT,
    SUBSCRIBE,
    UNREGISTER,
    UNSUBSCRIBE,
    YIELD,
)
from tests.wamp_client import BASIC, clients, open_app

pytestmark = pytest.mark.anyio

#: Each message that a client sends in a session, with all its elements.
WHOLE: dict[int, list[Any]] = {
    ABORT: [ABORT, {}, "com.myapp.error", [], {}],
    ERROR: [ERROR, INVOCATION, 1, {}, "com.myapp.error", [], {}],
    PUBLISH: [PUBLISH, 1, {}, TOPIC, [], {}],
    SUBSCRIBE: [SUBSCRIBE, 1, {}, TOPIC],
    UNSUBSCRIBE: [UNSUBSCRIBE, 1, 1],
    CALL: [CALL, 1, {}, PROCEDURE, [], {}],
    CANCEL: [CANCEL, 1, {}],
    REGISTER: [REGISTER, 1, {}, PROCEDURE],
    UNREGISTER: [UNREGISTER, 1, 1],
    YIELD: [YIELD, 1, {}, [], {}],
}
WITH_PAYLOAD = {ABORT, ERROR, PUBLISH, CALL, YIELD}

MALFORMED = [
    *[message[:length] for message in WHOLE.values() for length in range(1, len(message))],
    *[[*message, {}] for message in WHOLE.values()],
]
# Arguments and ArgumentsKw may be left out.
MALFORMED = [
    message
    for message in MALFORMED
    if message[0] not in WITH_PAYLOAD or len(WHOLE[message[0]]) - len(message) not in (1, 2)
]


@asyncio_only
@pytest.mark.parametrize("message", MALFORMED, ids=str)
async def test_number_of_elements_is_fixed_for_each_message_type(message: list[Any]) -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.send(*message)
        await client.expect_abort()


# Arguments and ArgumentsKw of requests. With null in their place, only the request is refused.
REFUSED_IF_NULL = [(PUBLISH, 4), (PUBLISH, 5), (CALL, 4), (CALL, 5)]

WRONG: dict[type, list[object]] = {
    dict: [None, [], "text", 5, True],
    list: [None, {}, "text", 5, True],
    str: [None, [], {}, 5, True],
}


@asyncio_only
@pytest.mark.parametrize(
    ("code", "position", "wrong"),
    [
        (code, position, wrong)
        for code, message in WHOLE.items()
        for position, element in enumerate(message)
        if type(element) in WRONG
        for wrong in WRONG[type(element)]
        if wrong is not None or (code, position) not in REFUSED_IF_NULL
    ],
    ids=str,
)
async def test_each_element_of_a_message_has_one_type(code: int, position: int, wrong: object) -> None:
    message = list(WHOLE[code])
    message[position] = wrong
    async with clients(open_app(), BASIC) as [client]:
        await client.send(*message)
        await client.expect_abort()


@asyncio_only
@pytest.mark.parametrize(("code", "position"), REFUSED_IF_NULL)
async def test_request_is_refused_if_its_payload_is_null(code: int, position: int) -> None:
    message = list(WHOLE[code])
    message[2] = {"acknowledge": True} if code == PUBLISH else {}
    message[position] = None
    async with clients(open_app(), BASIC) as [client]:
        await client.send(*message)
        await client.expect_error(code, message[1], INVALID_ARGUMENT)
        await client.expect_nothing()


@asyncio_only
@pytest.mark.parametrize("wrong", [0, 1, 1.0, "true", [], {}], ids=str)
@pytest.mark.parametrize(
    "message",
    [
        [PUBLISH, 1, {"acknowledge": "BOOL"}, TOPIC],
        [PUBLISH, 1, {"exclude_me": "BOOL"}, TOPIC],
        [PUBLISH, 1, {"disclose_me": "BOOL"}, TOPIC],
        [CALL, 1, {"receive_progress": "BOOL"}, PROCEDURE],
        [CALL, 1, {"progress": "BOOL"}, PROCEDURE],
        [CALL, 1, {"disclose_me": "BOOL"}, PROCEDURE],
        [REGISTER, 1, {"disclose_caller": "BOOL"}, PROCEDURE],
        [REGISTER, 1, {"forward_timeout": "BOOL"}, PROCEDURE],
        [REGISTER, 1, {"force_reregister": "BOOL"}, PROCEDURE],
        [YIELD, 1, {"progress": "BOOL"}],
    ],
    ids=str,
)
async def test_integers_must_not_be_used_instead_of_bools(message: list[Any], wrong: object) -> None:
    async with pending_call() as [_, callee]:
        attributes = {name: wrong for element in message if isinstance(element, dict) for name in element}
        await callee.send(*[attributes if isinstance(element, dict) else element for element in message])
        await callee.expect_abort()


@asyncio_only
@pytest.mark.parametrize(
    "message",
    [
        [PUBLISH, 1, {"exclude": "LIST"}, TOPIC],
        [PUBLISH, 1, {"exclude": [0]}, TOPIC],
        [PUBLISH, 1, {"exclude": ["1"]}, TOPIC],
        [PUBLISH, 1, {"eligible": 5}, TOPIC],
        [PUBLISH, 1, {"eligible": [True]}, TOPIC],
        [PUBLISH, 1, {"exclude_authid": [1]}, TOPIC],
        [PUBLISH, 1, {"exclude_authrole": "admin"}, TOPIC],
        [PUBLISH, 1, {"eligible_authid": {}}, TOPIC],
        [PUBLISH, 1, {"eligible_authrole": [None]}, TOPIC],
        [SUBSCRIBE, 1, {"match": 1}, TOPIC],
        [REGISTER, 1, {"match": True}, PROCEDURE],
        [REGISTER, 1, {"invoke": 1}, PROCEDURE],
        [CALL, 1, {"timeout": "100"}, PROCEDURE],
        [CALL, 1, {"timeout": -1}, PROCEDURE],
        [CALL, 1, {"timeout": 1.5}, PROCEDURE],
        [CALL, 1, {"timeout": True}, PROCEDURE],
        [CANCEL, 1, {"mode": 1}],
    ],
    ids=str,
)
async def test_known_attributes_must_have_the_type_that_the_specification_defines(message: list[Any]) -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.send(*message)
        await client.expect_abort()


#: Attributes of other messages and of other implementations, and names that the specification does not allow.
UNKNOWN: dict[str, Any] = {
    "no_such_attribute": 1,
    "_custom_attribute": {"a": [None]},
    "x": "y",
    "Upper Case": [],
    "": None,
    "nkey": "text",
    "rkey": "text",
    "runmode": "partition",
}


async def test_unknown_attributes_must_be_ignored() -> None:
    async with clients(open_app(), BASIC, BASIC) as [client, other]:
        subscription_id = await client.subscribe(TOPIC, **UNKNOWN)
        await client.register(PROCEDURE, **UNKNOWN)
        publication_id = await other.publish(TOPIC, 1, **UNKNOWN)
        assert await client.receive() == [EVENT, subscription_id, publication_id, {}, [1]]
        await other.send(CALL, 2, UNKNOWN, PROCEDURE)
        assert (await client.expect(INVOCATION))[3] == {}
        await client.send(YIELD, 1, UNKNOWN)
        assert await other.receive() == [RESULT, 2, {}]
        await other.send(CALL, 3, {}, PROCEDURE)
        await client.expect(INVOCATION)
        await client.send(ERROR, INVOCATION, 2, UNKNOWN, "com.myapp.error")
        assert await other.receive() == [ERROR, CALL, 3, {}, "com.myapp.error"]
        await other.send(CANCEL, 3, UNKNOWN)
        await other.send(GOODBYE, UNKNOWN, CLOSE_REALM)
        await other.expect(GOODBYE)


async def test_attributes_of_one_message_are_ignored_in_another() -> None:
    async with clients(open_app(), BASIC) as [client]:
        options = {"match": 7, "invoke": 7, "mode": 7, "timeout": "text", "progress": 1}
        await client.publish(TOPIC, **options)


NOTHING: tuple[Any, ...] = ()


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (NOTHING, NOTHING),
        (([],), NOTHING),
        (([], {}), NOTHING),
        ((["Hello, world!"],), (["Hello, world!"],)),
        ((["Hello, world!"], {}), (["Hello, world!"],)),
        (([], {"color": "orange"}), ([], {"color": "orange"})),
        (([1, None], {"a": [{}]}), ([1, None], {"a": [{}]})),
    ],
    ids=str,
)
async def test_empty_arguments_are_left_out_of_every_message(
    sent: tuple[Any, ...], received: tuple[Any, ...]
) -> None:
    async with clients(open_app(), BASIC, BASIC) as [one, other]:
        await other.subscribe(TOPIC)
        registration_id = await other.register(PROCEDURE)
        await one.send(PUBLISH, 1, {}, TOPIC, *sent)
        assert (await other.receive())[3:] == [{}, *received]
        await one.send(CALL, 2, {}, PROCEDURE, *sent)
        assert await other.receive() == [INVOCATION, 1, registration_id, {}, *received]
        await other.send(YIELD, 1, {}, *sent)
        assert await one.receive() == [RESULT, 2, {}, *received]
        await one.send(CALL, 3, {}, PROCEDURE)
        await other.expect(INVOCATION)
        await other.send(ERROR, INVOCATION, 2, {}, "com.myapp.error", *sent)
        assert await one.receive() == [ERROR, CALL, 3, {}, "com.myapp.error", *received]
