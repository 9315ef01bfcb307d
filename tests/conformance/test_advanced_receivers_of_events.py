"""Advanced Profile, "Publisher Exclusion" and "Subscriber Black- and Whitelisting"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conformance.vocabulary import TOPIC, between_workers
from tests.specification import EVENT, MAX_ID, PUBLISH, PUBLISHED
from tests.wamp_client import BASIC, WAMPClient, clients, open_app, trusting_app

pytestmark = pytest.mark.anyio

# Publisher exclusion


async def test_publisher_receives_its_event_with_exclude_me_false() -> None:
    async with clients(open_app(), BASIC, BASIC) as [publisher, other]:
        subscription_id = await publisher.subscribe(TOPIC)
        await other.subscribe(TOPIC)
        await publisher.send(PUBLISH, 1, {"exclude_me": False}, TOPIC, ["Hello, world!"])
        for client in publisher, other:
            event = await client.receive()
            assert (event[:2], event[4]) == ([EVENT, subscription_id], ["Hello, world!"])
        await publisher.expect_nothing()


@pytest.mark.parametrize("options", [{}, {"exclude_me": True}], ids=str)
async def test_publisher_is_excluded_by_default(options: dict[str, Any]) -> None:
    async with clients(open_app(), BASIC) as [publisher]:
        await publisher.subscribe(TOPIC)
        await publisher.send(PUBLISH, 1, options, TOPIC)
        await publisher.expect_nothing()


async def test_publisher_that_is_not_subscribed_receives_nothing() -> None:
    async with clients(open_app(), BASIC) as [publisher]:
        await publisher.send(PUBLISH, 1, {"exclude_me": False}, TOPIC)
        await publisher.expect_nothing()


async def test_publisher_receives_an_acknowledgment_and_the_event_of_the_same_publication() -> None:
    async with clients(open_app(), BASIC) as [publisher]:
        await publisher.subscribe(TOPIC)
        await publisher.send(PUBLISH, 1, {"exclude_me": False, "acknowledge": True}, TOPIC)
        messages = [await publisher.receive() for _ in range(2)]

    publication_ids = {message[0]: message[2] for message in messages}
    assert publication_ids[PUBLISHED] == publication_ids[EVENT]


# Black- and whitelisting

#: Indexes into these people tell who a list names and who receives an event. The first one publishes.
PEOPLE = ["ann/manager", "bob/manager", "bob/staff", "eve/staff"]


@asynccontextmanager
async def subscribers() -> AsyncIterator[list[WAMPClient]]:
    """A client for each of the people, all subscribed."""
    async with clients(trusting_app(), *PEOPLE) as people:
        for client in people:
            await client.subscribe(TOPIC)
        yield people


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


@between_workers
@pytest.mark.parametrize(("options", "receivers"), CASES, ids=str)
async def test_subscriber_receives_an_event_if_and_only_if_all_conditions_hold(
    options: dict[str, Any], receivers: list[int]
) -> None:
    async with subscribers() as people:
        options = {
            name: [people[index].id for index in value] if name in ("exclude", "eligible") else value
            for name, value in options.items()
        }
        await people[0].send(PUBLISH, 1, options, TOPIC)
        received = []
        for index, client in enumerate(people):
            if index in receivers:
                await client.expect(EVENT)
                received.append(index)
            await client.expect_nothing()

    assert received == receivers


@between_workers
async def test_lists_may_contain_sessions_that_do_not_exist() -> None:
    async with subscribers() as people:
        options = {"eligible": [people[1].id, MAX_ID], "exclude": [MAX_ID - 1]}
        await people[0].send(PUBLISH, 1, options, TOPIC)
        await people[1].expect(EVENT)
        for client in people:
            await client.expect_nothing()
