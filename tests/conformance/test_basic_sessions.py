"""Basic Profile, "Sessions"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.conformance.vocabulary import MESSAGES_OF_ROUTERS, PROCEDURE, TOPIC, asyncio_only
from tests.specification import (
    ABORT,
    AUTHENTICATE,
    CALL,
    CANCEL,
    CANCELED,
    CLOSE_REALM,
    ERROR,
    GOODBYE,
    GOODBYE_AND_OUT,
    HELLO,
    INVALID_URI,
    INVOCATION,
    MAX_ID,
    NO_SUCH_PROCEDURE,
    NO_SUCH_REALM,
    PUBLISH,
    PUBLISHED,
    REGISTER,
    SUBSCRIBE,
    SYSTEM_SHUTDOWN,
    UNREGISTER,
    UNSUBSCRIBE,
    WELCOME,
    YIELD,
)
from tests.wamp_client import ALL_ROLES, BASIC, WAMPClient, clients, connect, open_app
from wampasgi import Application, Realm, Session, WAMPError

pytestmark = pytest.mark.anyio

# HELLO


@asyncio_only
@pytest.mark.parametrize(
    "message",
    [
        *MESSAGES_OF_ROUTERS,
        [AUTHENTICATE, "secret", {}],
        [GOODBYE, {}, CLOSE_REALM],
        [ERROR, CALL, 1, {}, "com.myapp.error"],
        [PUBLISH, 1, {}, TOPIC],
        [SUBSCRIBE, 1, {}, TOPIC],
        [UNSUBSCRIBE, 1, 1],
        [CALL, 1, {}, PROCEDURE],
        [CANCEL, 1, {}],
        [REGISTER, 1, {}, PROCEDURE],
        [UNREGISTER, 1, 1],
        [YIELD, 1, {}],
        [CALL, 1, {}, "not a uri"],
    ],
    ids=str,
)
async def test_hello_must_be_the_very_first_message(message: list[Any]) -> None:
    async with connect(open_app()) as client:
        await client.send(*message)

        assert isinstance((await client.expect_abort()).get("message"), str)


async def test_router_replies_to_hello_with_welcome() -> None:
    async with connect(open_app()) as client:
        welcome = await client.join(roles={"publisher": {}, "subscriber": {}})

    assert len(welcome) == 3
    assert isinstance(welcome[2], dict)


async def test_session_id_must_be_random() -> None:
    async with clients(open_app(), BASIC) as [client]:
        ids = []
        for _ in range(40):
            await client.leave()
            ids.append((await client.join())[1])

    assert all(type(session_id) is int and 1 <= session_id <= MAX_ID for session_id in ids)
    assert len(set(ids)) == len(ids)
    # In a uniform distribution, the chance that none of 40 IDs is in the upper half is 1 in 2^40.
    assert max(ids) > MAX_ID // 2
    assert min(ids) < MAX_ID // 2


async def test_second_hello_closes_the_session() -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.send(HELLO, "somerealm", BASIC)

        assert await client.expect_abort() == {"message": "received HELLO after the session was established"}


@asyncio_only
async def test_second_hello_is_a_protocol_error_even_if_its_realm_is_invalid() -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.send(HELLO, "not a uri", BASIC)
        await client.expect_abort()


@asyncio_only
@pytest.mark.parametrize("role", ALL_ROLES)
async def test_client_may_support_a_single_role(role: str) -> None:
    async with connect(open_app()) as client:
        await client.join(roles={role: {}})


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
    async with connect(open_app()) as client:
        await client.send(HELLO, "somerealm", details)
        await client.expect_abort()


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
    async with connect(open_app()) as client:
        await client.join(**details)


@asyncio_only
@pytest.mark.parametrize(
    "message",
    [
        [HELLO],
        [HELLO, "somerealm"],
        [HELLO, BASIC, "somerealm"],
        [HELLO, "somerealm", BASIC, 1],
        [HELLO, "somerealm", [["roles", ALL_ROLES]]],
        [HELLO, "somerealm", None],
        [HELLO, None, BASIC],
        [HELLO, 7, BASIC],
    ],
    ids=str,
)
async def test_malformed_hello_is_aborted(message: list[Any]) -> None:
    async with connect(open_app()) as client:
        await client.send(*message)
        await client.expect_abort()


@asyncio_only
@pytest.mark.parametrize("realm", ["", ".", "a..b", "a.", ".a", "a b", "a#b", "a.b\n"])
async def test_hello_with_an_invalid_realm_is_aborted_with_invalid_uri(realm: str) -> None:
    async with connect(open_app()) as client:
        await client.send(HELLO, realm, BASIC)
        await client.expect_abort(INVALID_URI)


async def test_hello_for_a_realm_that_does_not_exist_is_aborted() -> None:
    app = Application([Realm("com.myapp")], allow_default_realm=False)
    async with connect(app) as client:
        await client.send(HELLO, "com.other", BASIC)
        details = await client.expect_abort(NO_SUCH_REALM)

    assert isinstance(details["message"], str)


# WELCOME


async def test_welcome_is_the_first_message_of_the_router() -> None:
    app = open_app()

    async def call_at_once(session: Session) -> AsyncIterator[None]:
        with pytest.raises(WAMPError):
            await session.call(PROCEDURE)
        yield

    app.add_session_lifespan_handler(call_at_once, authenticated_only=False)

    async with connect(app) as client:
        await client.join()


async def test_router_must_announce_the_roles_broker_and_dealer() -> None:
    async with clients(open_app(), BASIC) as [client]:
        roles = client.details["roles"]

    assert set(roles) == {"broker", "dealer"}
    for role in roles.values():
        assert isinstance(role, dict)
        assert all(value is True for value in role["features"].values())


async def test_welcome_discloses_the_implementation_in_use() -> None:
    async with clients(open_app(), BASIC) as [client]:
        assert client.details["agent"].startswith("wampasgi")


# ABORT


@pytest.mark.parametrize("payload", [[], [["text"]], [["text"], {"more": 1}]], ids=str)
async def test_abort_from_the_client_is_never_replied_to(payload: list[Any]) -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.send(ABORT, {"message": "The client has failed."}, "com.myapp.error", *payload)
        # The next event is the close of the WebSocket, not a message.
        await client.closed()


async def test_abort_instead_of_hello_is_never_replied_to() -> None:
    async with connect(open_app()) as client:
        await client.send(ABORT, {}, SYSTEM_SHUTDOWN)
        await client.closed()


async def test_abort_ends_subscriptions_and_registrations() -> None:
    async with clients(open_app(), BASIC, BASIC) as [leaving, other]:
        await leaving.subscribe(TOPIC)
        await leaving.register(PROCEDURE)
        await leaving.send(ABORT, {}, "com.myapp.error")
        await leaving.closed()
        await leaving.wait_served()

        assert await other.request_error(CALL, {}, PROCEDURE) == NO_SUCH_PROCEDURE
        await other.register(PROCEDURE)


async def test_no_message_is_processed_after_abort() -> None:
    async with clients(open_app(), BASIC, BASIC) as [offender, other]:
        await other.subscribe(TOPIC)
        await offender.send(HELLO, "somerealm", BASIC)
        await offender.send(PUBLISH, 1, {}, TOPIC)
        await offender.expect_abort()
        await offender.wait_served()
        await other.expect_nothing()


# GOODBYE


@asyncio_only
@pytest.mark.parametrize("reason", [CLOSE_REALM, SYSTEM_SHUTDOWN, "wamp.close.logout", "com.myapp.bye"])
async def test_goodbye_must_be_replied_to_with_goodbye_and_out(reason: str) -> None:
    async with clients(open_app(), BASIC) as [client]:
        answer = await client.ask(GOODBYE, {"message": "The host is shutting down now."}, reason)

    assert answer == [GOODBYE, {}, GOODBYE_AND_OUT]


@asyncio_only
@pytest.mark.parametrize(
    "message",
    [
        [GOODBYE],
        [GOODBYE, {}],
        [GOODBYE, {}, CLOSE_REALM, []],
        [GOODBYE, [], CLOSE_REALM],
        [GOODBYE, None, CLOSE_REALM],
        [GOODBYE, {}, 5],
        [GOODBYE, {}, "not a uri"],
    ],
    ids=str,
)
async def test_malformed_goodbye_is_a_protocol_error(message: list[Any]) -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.send(*message)
        await client.expect_abort()


async def test_goodbye_ends_the_session_with_its_subscriptions_and_registrations() -> None:
    async with clients(open_app(), BASIC, BASIC) as [leaving, other]:
        await leaving.subscribe(TOPIC)
        await leaving.register(PROCEDURE)
        await leaving.leave()

        assert await other.request_error(CALL, {}, PROCEDURE) == NO_SUCH_PROCEDURE
        await leaving.join()
        await other.publish(TOPIC)
        await leaving.expect_nothing()


async def test_second_goodbye_is_a_protocol_error_because_no_session_is_established() -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.leave()
        await client.send(GOODBYE, {}, CLOSE_REALM)
        await client.expect_abort()


async def test_request_after_goodbye_is_not_processed() -> None:
    async with clients(open_app(), BASIC, BASIC) as [leaving, other]:
        await other.subscribe(TOPIC)
        await leaving.send(GOODBYE, {}, CLOSE_REALM)
        await leaving.send(PUBLISH, 1, {}, TOPIC)
        await leaving.expect(GOODBYE)
        await leaving.expect_abort()
        await other.expect_nothing()


async def test_transport_may_be_used_for_the_next_session() -> None:
    async with clients(open_app(check_request_ids=True), BASIC) as [client]:
        await client.publish(TOPIC)
        await client.leave()
        await client.join("another.realm")

        # The IDs of the session scope begin with 1 again.
        assert (await client.ask(PUBLISH, 1, {"acknowledge": True}, TOPIC))[:2] == [PUBLISHED, 1]


def closing_router() -> Application:
    app = open_app()

    @app.procedure("close")
    async def close(session: Session) -> None:
        await session.close(SYSTEM_SHUTDOWN, "The host is shutting down now.")

    return app


async def close_by_router(client: WAMPClient) -> None:
    assert await client.ask(CALL, 1, {}, "close") == [
        GOODBYE,
        {"message": "The host is shutting down now."},
        SYSTEM_SHUTDOWN,
    ]


async def test_router_does_not_reply_to_the_answer_to_its_goodbye() -> None:
    async with clients(closing_router(), BASIC) as [client]:
        await close_by_router(client)
        await client.send(GOODBYE, {}, GOODBYE_AND_OUT)
        await client.closed()


@asyncio_only
@pytest.mark.parametrize(
    "message",
    [
        [CALL, 2, {}, PROCEDURE],
        [CALL, 2, {}, "not a uri"],
        [PUBLISH, 2, {"acknowledge": True}, TOPIC],
        [SUBSCRIBE, 2, {}, TOPIC],
        [HELLO, "somerealm", BASIC],
        [WELCOME, 1, {}],
        [YIELD, 99, {}],
    ],
    ids=str,
)
async def test_router_that_has_sent_goodbye_ignores_all_messages_but_goodbye(message: list[Any]) -> None:
    async with clients(closing_router(), BASIC, BASIC) as [client, other]:
        await other.subscribe(TOPIC)
        await close_by_router(client)
        await client.send(*message)
        await client.send(GOODBYE, {}, GOODBYE_AND_OUT)
        # No answer comes, only the close.
        await client.closed()
        await other.expect_nothing()


async def test_no_message_follows_the_goodbye_of_the_router() -> None:
    async with clients(closing_router(), BASIC, BASIC, BASIC) as [leaving, caller, publisher]:
        await leaving.subscribe(TOPIC)
        await leaving.register(PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        invocation = await leaving.expect(INVOCATION)
        await close_by_router(leaving)
        # To all others, the session has ended.
        await caller.expect_error(CALL, 1, CANCELED)
        await caller.send(CALL, 2, {}, PROCEDURE)
        await caller.expect_error(CALL, 2, NO_SUCH_PROCEDURE)
        await publisher.publish(TOPIC)
        await leaving.send(YIELD, invocation[1], {}, ["late"])
        await leaving.send(GOODBYE, {}, GOODBYE_AND_OUT)
        await leaving.closed()
        await caller.expect_nothing()


async def test_no_result_follows_the_answer_to_the_clients_goodbye() -> None:
    app = open_app()
    started, ended = anyio.Event(), anyio.Event()

    @app.procedure(PROCEDURE)
    async def work() -> str:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return "late"

    async with clients(app, BASIC) as [client]:
        await client.send(CALL, 1, {}, PROCEDURE)
        await started.wait()
        assert await client.ask(GOODBYE, {}, CLOSE_REALM) == [GOODBYE, {}, GOODBYE_AND_OUT]
        await ended.wait()
        await client.join()
        await client.expect_nothing()
