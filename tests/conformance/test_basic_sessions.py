"""Basic Profile, "Sessions"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.conformance.clients import (
    ABORT,
    BASIC_ROLES,
    CALL,
    ERROR,
    GOODBYE,
    HELLO,
    INVALID_URI,
    MAX_ID,
    NO_SUCH_PROCEDURE,
    PROCEDURE,
    PROTOCOL_VIOLATION,
    PUBLISH,
    PUBLISHED,
    REGISTER,
    SUBSCRIBE,
    TOPIC,
    WELCOME,
    assert_aborted,
    assert_error,
    assert_nothing_came,
    asyncio_only,
    basic_clients,
    open_router,
    register,
    subscribe,
)
from tests.websocket import WebSocket, connect
from wampasgi import Application, Realm, Session, WAMPError

pytestmark = pytest.mark.anyio

CLIENT_ROLES = ["publisher", "subscriber", "caller", "callee"]


async def open_session(websocket: WebSocket, **details: Any) -> list[Any]:
    return await websocket.ask(HELLO, "somerealm", details)


# HELLO


@asyncio_only
@pytest.mark.parametrize(
    "message",
    [
        [WELCOME, 1, {}],
        [4, "ticket", {}],
        [5, "secret", {}],
        [GOODBYE, {}, "wamp.close.close_realm"],
        [ERROR, CALL, 1, {}, "com.myapp.error"],
        [PUBLISH, 1, {}, TOPIC],
        [PUBLISHED, 1, 1],
        [SUBSCRIBE, 1, {}, TOPIC],
        [33, 1, 1],
        [34, 1, 1],
        [35, 1],
        [36, 1, 1, {}],
        [CALL, 1, {}, PROCEDURE],
        [49, 1, {}],
        [50, 1, {}],
        [REGISTER, 1, {}, PROCEDURE],
        [65, 1, 1],
        [66, 1, 1],
        [67, 1],
        [68, 1, 1, {}],
        [69, 1, {}],
        [70, 1, {}],
        [CALL, 1, {}, "not a uri"],
    ],
    ids=str,
)
async def test_hello_must_be_the_very_first_message(message: list[Any]) -> None:
    async with connect(open_router()) as websocket:
        await websocket.send(*message)

        assert isinstance((await assert_aborted(websocket)).get("message"), str)


async def test_router_replies_to_hello_with_welcome() -> None:
    async with connect(open_router()) as websocket:
        answer = await open_session(websocket, roles={"publisher": {}, "subscriber": {}})

    assert answer[0] == WELCOME
    assert len(answer) == 3
    assert isinstance(answer[2], dict)


async def test_session_must_be_a_random_id() -> None:
    async with basic_clients(1) as [websocket]:
        ids = []
        for _ in range(40):
            await websocket.ask(GOODBYE, {}, "wamp.close.close_realm")
            ids.append((await websocket.join())[1])

    assert all(type(session_id) is int and 1 <= session_id <= MAX_ID for session_id in ids)
    assert len(set(ids)) == len(ids)
    # Of a uniform distribution half are in the upper half; none in 40 happens once in 2^40 times.
    assert max(ids) > MAX_ID // 2
    assert min(ids) < MAX_ID // 2


async def test_second_hello_closes_the_session() -> None:
    async with connect(open_router()) as websocket:
        await websocket.join()
        await websocket.send(HELLO, "somerealm", {"roles": BASIC_ROLES})

        assert await assert_aborted(websocket) == {
            "message": "received HELLO after the session was established"
        }


@asyncio_only
async def test_second_hello_is_a_protocol_error_whatever_realm_it_names() -> None:
    async with connect(open_router()) as websocket:
        await websocket.join()
        await websocket.send(HELLO, "not a uri", {"roles": BASIC_ROLES})
        await assert_aborted(websocket, PROTOCOL_VIOLATION)


@asyncio_only
@pytest.mark.parametrize("role", CLIENT_ROLES)
async def test_client_may_support_one_role_alone(role: str) -> None:
    async with connect(open_router()) as websocket:
        assert (await open_session(websocket, roles={role: {}}))[0] == WELCOME


@asyncio_only
@pytest.mark.parametrize(
    "details",
    [
        {},
        {"roles": {}},
        {"roles": {"broker": {}}},
        {"roles": {"janitor": {}}},
        {"roles": None},
        {"roles": ["caller"]},
        {"roles": "caller"},
        {"roles": {"caller": True}},
        {"roles": {"caller": {"features": []}}},
    ],
    ids=str,
)
async def test_client_must_announce_at_least_one_role_as_a_dict(details: dict[str, Any]) -> None:
    async with connect(open_router()) as websocket:
        await websocket.send(HELLO, "somerealm", details)
        await assert_aborted(websocket)


@asyncio_only
@pytest.mark.parametrize(
    "details",
    [
        {"roles": {"caller": {}, "janitor": {}}},
        {"roles": {"caller": {}, "janitor": 3}},
        {"roles": {"caller": {"features": {}}}},
        {"roles": {"caller": {"features": {"no_such_feature": True, "another": "text"}}}},
        {"roles": {"caller": {"unknown": []}}},
        {"roles": {"caller": {}}, "agent": "AutobahnJS-0.9.14"},
        {"roles": {"caller": {}}, "unknown_to_us": [1], "_custom": {"a": None}},
    ],
    ids=str,
)
async def test_unknown_roles_features_and_details_of_hello_must_be_ignored(details: dict[str, Any]) -> None:
    async with connect(open_router()) as websocket:
        assert (await open_session(websocket, **details))[0] == WELCOME


@asyncio_only
@pytest.mark.parametrize(
    "message",
    [
        [HELLO],
        [HELLO, "somerealm"],
        [HELLO, {"roles": BASIC_ROLES}, "somerealm"],
        [HELLO, "somerealm", {"roles": BASIC_ROLES}, 1],
        [HELLO, "somerealm", [["roles", BASIC_ROLES]]],
        [HELLO, "somerealm", None],
        [HELLO, None, {"roles": BASIC_ROLES}],
        [HELLO, 7, {"roles": BASIC_ROLES}],
    ],
    ids=str,
)
async def test_hello_of_another_form_is_aborted(message: list[Any]) -> None:
    async with connect(open_router()) as websocket:
        await websocket.send(*message)
        await assert_aborted(websocket)


@asyncio_only
@pytest.mark.parametrize("realm", ["", ".", "a..b", "a.", ".a", "a b", "a#b", "a.b\n"])
async def test_hello_with_an_incorrect_realm_is_aborted_with_invalid_uri(realm: str) -> None:
    async with connect(open_router()) as websocket:
        await websocket.send(HELLO, realm, {"roles": BASIC_ROLES})
        await assert_aborted(websocket, INVALID_URI)


async def test_realm_that_does_not_exist_is_denied_with_abort() -> None:
    app = Application([Realm("com.myapp")], allow_default_realm=False)
    async with connect(app) as websocket:
        await websocket.send(HELLO, "com.other", {"roles": BASIC_ROLES})
        details = await assert_aborted(websocket, "wamp.error.no_such_realm")

    assert isinstance(details["message"], str)


# WELCOME


async def test_welcome_is_the_first_message_of_the_router() -> None:
    app = open_router()

    async def call_at_once(session: Session) -> AsyncIterator[None]:
        with pytest.raises(WAMPError):
            await session.call(PROCEDURE)
        yield

    app.add_session_lifespan_handler(call_at_once, authenticated_only=False)

    async with connect(app) as websocket:
        assert (await open_session(websocket, roles=BASIC_ROLES))[0] == WELCOME


async def test_router_must_announce_the_roles_broker_and_dealer() -> None:
    async with connect(open_router()) as websocket:
        details = (await open_session(websocket, roles=BASIC_ROLES))[2]

    assert set(details["roles"]) == {"broker", "dealer"}
    for role in details["roles"].values():
        assert isinstance(role, dict)
        assert all(value is True for value in role["features"].values())


async def test_welcome_discloses_the_implementation_in_use() -> None:
    async with connect(open_router()) as websocket:
        details = (await open_session(websocket, roles=BASIC_ROLES))[2]

    assert details["agent"].startswith("wampasgi")


# ABORT


@pytest.mark.parametrize("payload", [[], [["text"]], [["text"], {"more": 1}]], ids=str)
async def test_abort_of_the_client_is_never_replied_to(payload: list[Any]) -> None:
    async with connect(open_router()) as websocket:
        await websocket.join()
        await websocket.send(ABORT, {"message": "I can no more."}, "com.myapp.error", *payload)
        # The next event is the end of the WebSocket, and no message.
        await websocket.closed()


async def test_abort_instead_of_hello_is_never_replied_to() -> None:
    async with connect(open_router()) as websocket:
        await websocket.send(ABORT, {}, "wamp.close.system_shutdown")
        await websocket.closed()


async def test_abort_ends_subscriptions_and_registrations() -> None:
    async with basic_clients(2) as [leaving, other]:
        await subscribe(leaving)
        await register(leaving)
        await leaving.send(ABORT, {}, "com.myapp.error")
        await leaving.closed()
        await leaving.wait_served()

        assert_error(await other.ask(CALL, 1, {}, PROCEDURE), CALL, 1, NO_SUCH_PROCEDURE)
        await register(other)


async def test_no_message_is_processed_after_abort() -> None:
    async with basic_clients(2) as [offender, other]:
        await subscribe(other)
        await offender.send(HELLO, "somerealm", {"roles": BASIC_ROLES})
        await offender.send(PUBLISH, 1, {}, TOPIC)
        await assert_aborted(offender)
        await offender.wait_served()
        await assert_nothing_came(other)


# GOODBYE


@asyncio_only
@pytest.mark.parametrize(
    "reason", ["wamp.close.close_realm", "wamp.close.system_shutdown", "wamp.close.logout", "com.myapp.bye"]
)
async def test_goodbye_must_be_replied_to_with_goodbye_and_out(reason: str) -> None:
    async with basic_clients(1) as [websocket]:
        answer = await websocket.ask(GOODBYE, {"message": "The host is shutting down now."}, reason)

    assert answer == [GOODBYE, {}, "wamp.close.goodbye_and_out"]


@asyncio_only
@pytest.mark.parametrize(
    "message",
    [
        [GOODBYE],
        [GOODBYE, {}],
        [GOODBYE, {}, "wamp.close.close_realm", []],
        [GOODBYE, [], "wamp.close.close_realm"],
        [GOODBYE, None, "wamp.close.close_realm"],
        [GOODBYE, {}, 5],
        [GOODBYE, {}, "not a uri"],
    ],
    ids=str,
)
async def test_goodbye_of_another_form_is_a_protocol_error(message: list[Any]) -> None:
    async with basic_clients(1) as [websocket]:
        await websocket.send(*message)
        await assert_aborted(websocket)


async def test_session_ends_with_goodbye_and_so_do_subscriptions_and_registrations() -> None:
    async with basic_clients(2) as [leaving, other]:
        await subscribe(leaving)
        await register(leaving)
        await leaving.ask(GOODBYE, {}, "wamp.close.close_realm")

        assert_error(await other.ask(CALL, 1, {}, PROCEDURE), CALL, 1, NO_SUCH_PROCEDURE)
        await leaving.join()
        await other.ask(PUBLISH, 2, {"acknowledge": True}, TOPIC)
        await assert_nothing_came(leaving)


async def test_second_goodbye_comes_before_a_session_was_established() -> None:
    async with basic_clients(1) as [websocket]:
        await websocket.ask(GOODBYE, {}, "wamp.close.close_realm")
        await websocket.send(GOODBYE, {}, "wamp.close.close_realm")
        await assert_aborted(websocket)


async def test_request_after_goodbye_is_not_processed() -> None:
    async with basic_clients(2) as [leaving, other]:
        await subscribe(other)
        await leaving.send(GOODBYE, {}, "wamp.close.close_realm")
        await leaving.send(PUBLISH, 1, {}, TOPIC)
        assert (await leaving.receive())[0] == GOODBYE
        await assert_aborted(leaving)
        await assert_nothing_came(other)


async def test_transport_may_be_used_for_the_next_session() -> None:
    async with basic_clients(1, open_router(check_request_ids=True)) as [websocket]:
        await websocket.ask(PUBLISH, 1, {"acknowledge": True}, TOPIC)
        await websocket.ask(GOODBYE, {}, "wamp.close.close_realm")
        await websocket.join("another.realm")

        # The IDs of the session scope begin with 1 again.
        assert (await websocket.ask(PUBLISH, 1, {"acknowledge": True}, TOPIC))[:2] == [PUBLISHED, 1]


def closing_router() -> Application:
    app = open_router()

    @app.procedure("close")
    async def close(session: Session) -> None:
        await session.close("wamp.close.system_shutdown", "The host is shutting down now.")

    return app


async def close_by_router(websocket: WebSocket) -> None:
    assert await websocket.ask(CALL, 1, {}, "close") == [
        GOODBYE,
        {"message": "The host is shutting down now."},
        "wamp.close.system_shutdown",
    ]


async def test_goodbye_of_the_router_is_not_answered_twice() -> None:
    async with basic_clients(1, closing_router()) as [websocket]:
        await close_by_router(websocket)
        await websocket.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
        await websocket.closed()


@asyncio_only
@pytest.mark.parametrize(
    "message",
    [
        [CALL, 2, {}, PROCEDURE],
        [CALL, 2, {}, "not a uri"],
        [PUBLISH, 2, {"acknowledge": True}, TOPIC],
        [SUBSCRIBE, 2, {}, TOPIC],
        [HELLO, "somerealm", {"roles": BASIC_ROLES}],
        [WELCOME, 1, {}],
        [70, 99, {}],
    ],
    ids=str,
)
async def test_all_but_goodbye_is_ignored_after_goodbye_was_sent(message: list[Any]) -> None:
    async with basic_clients(2, closing_router()) as [websocket, other]:
        await subscribe(other)
        await close_by_router(websocket)
        await websocket.send(*message)
        await websocket.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
        # No answer to anything, only the end.
        await websocket.closed()
        await assert_nothing_came(other)


async def test_no_message_follows_the_goodbye_of_the_router() -> None:
    async with basic_clients(3, closing_router()) as [leaving, caller, publisher]:
        await subscribe(leaving)
        await register(leaving)
        await caller.send(CALL, 1, {}, PROCEDURE)
        invocation = await leaving.receive()
        await close_by_router(leaving)
        # It has left for all others, too: nobody waits for it.
        assert_error(await caller.receive(), CALL, 1, "wamp.error.canceled")
        assert_error(await caller.ask(CALL, 2, {}, PROCEDURE), CALL, 2, NO_SUCH_PROCEDURE)
        await publisher.ask(PUBLISH, 1, {"acknowledge": True}, TOPIC)
        await leaving.send(70, invocation[1], {}, ["late"])
        await leaving.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
        await leaving.closed()
        await assert_nothing_came(caller)


async def test_no_result_follows_the_answer_to_the_clients_goodbye() -> None:
    app = open_router()
    started, ended = anyio.Event(), anyio.Event()

    @app.procedure(PROCEDURE)
    async def work() -> str:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return "late"

    async with basic_clients(1, app) as [client]:
        await client.send(CALL, 1, {}, PROCEDURE)
        await started.wait()
        assert await client.ask(GOODBYE, {}, "wamp.close.close_realm") == [
            GOODBYE,
            {},
            "wamp.close.goodbye_and_out",
        ]
        await ended.wait()
        await client.join()
        await assert_nothing_came(client)
