"""Advanced Profile, "Publisher Exclusion" and "Subscriber Black- and Whitelisting"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.conformance.clients import (
    EVENT,
    PUBLISH,
    PUBLISHED,
    TOPIC,
    assert_nothing_came,
    asyncio_only,
    basic_clients,
    subscribe,
)
from tests.websocket import WebSocket, connect
from wampasgi import Application, Realm, Session

pytestmark = pytest.mark.anyio

# Publisher exclusion


async def test_publisher_receives_its_event_with_exclude_me_false() -> None:
    async with basic_clients(2) as [publisher, other]:
        subscription_id = await subscribe(publisher)
        await subscribe(other)
        await publisher.send(PUBLISH, 1, {"exclude_me": False}, TOPIC, ["Hello, world!"])
        for client in publisher, other:
            event = await client.receive()
            assert (event[:2], event[4]) == ([EVENT, subscription_id], ["Hello, world!"])
        await assert_nothing_came(publisher)


@pytest.mark.parametrize("options", [{}, {"exclude_me": True}], ids=str)
async def test_publisher_is_excluded_by_default(options: dict[str, Any]) -> None:
    async with basic_clients(1) as [publisher]:
        await subscribe(publisher)
        await publisher.send(PUBLISH, 1, options, TOPIC)
        await assert_nothing_came(publisher)


async def test_publisher_that_is_not_subscribed_receives_nothing() -> None:
    async with basic_clients(1) as [publisher]:
        await publisher.send(PUBLISH, 1, {"exclude_me": False}, TOPIC)
        await assert_nothing_came(publisher)


async def test_acknowledgment_of_a_publication_that_its_publisher_receives() -> None:
    async with basic_clients(1) as [publisher]:
        await subscribe(publisher)
        await publisher.send(PUBLISH, 1, {"exclude_me": False, "acknowledge": True}, TOPIC)
        answers = {message[0]: message for message in [await publisher.receive() for _ in range(2)]}

    assert answers[PUBLISHED][2] == answers[EVENT][2]


# Black- and whitelisting

#: authid and authrole of the subscribers; the publisher is the first one.
PEOPLE = [("ann", "manager"), ("bob", "manager"), ("bob", "staff"), ("eve", "staff")]


@asynccontextmanager
async def office() -> AsyncIterator[tuple[list[WebSocket], list[int]]]:
    """A client for each of the people, all subscribed, and their session IDs."""
    realm = Realm("office")
    realm.allow_all()

    @realm.set_authentication_handler
    async def authenticate(session: Session) -> None:
        authid, authrole = session.details["who"]
        await session.mark_authenticated(authid=authid, authrole=authrole)

    app = Application([realm])
    async with AsyncExitStack() as stack:
        clients, ids = [], []
        for who in PEOPLE:
            client = await stack.enter_async_context(connect(app))
            ids.append((await client.join("office", who=who))[1])
            await subscribe(client)
            clients.append(client)
        yield clients, ids


ME = 0

CASES: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [1, 2, 3]),
    ({"exclude": [1]}, [2, 3]),
    ({"exclude": [1, 2, 3]}, []),
    ({"exclude": []}, [1, 2, 3]),
    ({"eligible": [1, 2]}, [1, 2]),
    ({"eligible": []}, []),
    ({"eligible": [1, 2, 3], "exclude": [1]}, [2, 3]),
    ({"exclude_authid": ["bob"]}, [3]),
    ({"exclude_authid": ["nobody"]}, [1, 2, 3]),
    ({"exclude_authrole": ["staff"]}, [1]),
    ({"eligible_authid": ["bob"]}, [1, 2]),
    ({"eligible_authid": []}, []),
    ({"eligible_authrole": ["manager"]}, [1]),
    ({"eligible_authrole": ["manager", "staff"]}, [1, 2, 3]),
    ({"eligible_authrole": []}, []),
    ({"eligible_authid": ["bob"], "exclude_authrole": ["staff"]}, [1]),
    ({"eligible_authid": ["bob"], "eligible_authrole": ["staff"]}, [2]),
    ({"eligible": [1, 2, 3], "eligible_authid": ["eve"]}, [3]),
    ({"exclude": [1], "exclude_authid": ["eve"]}, [2]),
    ({"eligible": [0, 1]}, [1]),
    ({"eligible": [0, 1], "exclude_me": False}, [0, 1]),
    ({"exclude": [0], "exclude_me": False}, [1, 2, 3]),
    ({"exclude_authid": ["ann"], "exclude_me": False}, [1, 2, 3]),
    ({"exclude_me": False}, [0, 1, 2, 3]),
]


@asyncio_only
@pytest.mark.parametrize(("options", "receivers"), CASES, ids=str)
async def test_subscriber_receives_an_event_if_and_only_if_all_conditions_hold(
    options: dict[str, Any], receivers: list[int]
) -> None:
    async with office() as (clients, ids):
        listed = {
            name: [ids[index] for index in value] if name in ("exclude", "eligible") else value
            for name, value in options.items()
        }
        await clients[ME].send(PUBLISH, 1, listed, TOPIC)
        received = []
        for index, client in enumerate(clients):
            if index in receivers:
                assert (await client.receive())[0] == EVENT
                received.append(index)
            await assert_nothing_came(client)

    assert received == receivers


@asyncio_only
async def test_lists_may_name_sessions_that_do_not_exist() -> None:
    async with office() as (clients, ids):
        await clients[ME].send(PUBLISH, 1, {"eligible": [ids[1], 2**53], "exclude": [2**53 - 1]}, TOPIC)
        assert (await clients[1].receive())[0] == EVENT
        await assert_nothing_came(*clients)
