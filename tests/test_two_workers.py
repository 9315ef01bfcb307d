"""The behaviour of a realm on two workers, each with a client, that the conformance tests do not show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.wamp_client import WAMPClient, clients, trusting_app
from tests.worker_lines import WorkerLine, over_unix_workers
from wampasgi import Application

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("running_workers")]

TOPIC = "com.myapp.topic"
PROCEDURE = "com.myapp.procedure"
REGISTRATIONS = [f"wamp.registration.on_{what}" for what in ("create", "register", "unregister", "delete")]


async def watch(client: WAMPClient, *topics: str) -> dict[int, str]:
    """Subscribe to topics, and return the last component of each by subscription ID."""
    return {await client.subscribe(topic): topic.rpartition(".")[2] for topic in topics}


async def meta_events(client: WAMPClient, watched: dict[int, str], count: int) -> list[tuple[Any, ...]]:
    """Return the kinds and payloads of the next meta events, after which no more come."""
    events = [await client.receive() for _ in range(count)]
    await client.expect_nothing()
    return [(watched[event[1]], *event[4]) for event in events]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Connect the clients of each test to different workers."""
    with over_unix_workers():
        yield request.param


@pytest.fixture
async def running_workers(anyio_backend: Any) -> Any:
    """Own the lifespans of the workers."""
    async with WorkerLine.pool.run():
        yield


def workers_of(app: Application) -> list[Application]:
    """Return the running workers of an application."""
    return WorkerLine.pool.workers_of(app)


async def test_clients_are_connected_to_different_workers() -> None:
    app = trusting_app()
    async with clients(app, "ann", "bob") as [ann, bob]:
        one, other = workers_of(app)
        assert list(one.default_realm.sessions) == [ann.id]
        assert list(other.default_realm.sessions) == [bob.id]
        assert one.metrics()["default"]["cluster"]["nodes"] == 2
        assert await ann.call("wamp.session.count") == 2


@pytest.mark.parametrize("first_callee", [0, 1])
async def test_revoking_callees_of_both_workers_deletes_their_registration_once(first_callee: int) -> None:
    app = trusting_app()
    async with clients(app, "ann", "bob") as both, clients(app, "cid") as [watcher]:
        callees = [both[first_callee], both[1 - first_callee]]
        ids = {await callee.register(PROCEDURE, invoke="first") for callee in callees}
        watched = await watch(watcher, *REGISTRATIONS)

        assert app.default_realm.revoke_registration(PROCEDURE) == 2
        assert app.default_realm.revoke_registration(PROCEDURE) == 0

        [registration_id] = ids
        events = await meta_events(watcher, watched, 3)
        assert sorted(events[:2]) == [
            ("on_unregister", session_id, registration_id)
            for session_id in sorted(client.id for client in both)
        ]
        assert events[2] in [("on_delete", client.id, registration_id) for client in both]
        assert await watcher.call("wamp.registration.lookup", PROCEDURE) is None
