"""Reads of the meta API that involve all workers."""

from __future__ import annotations

import pytest

from tests.simulation.client import Client
from tests.simulation.world import World
from wampasgi.router.completion import Completion
from wampasgi.router.meta_reads import ClusterRead
from wampasgi.router.realm_channel import RealmChannel


def read(world: World, client: Client, procedure: str, *values: object) -> object:
    """Call a meta procedure, and return the entry of its answer in the client's log."""
    client.log.clear()
    client.call_meta(procedure, *values)
    world.settle()
    [entry] = client.log
    return entry


def test_subscribers_of_all_workers_are_listed_and_counted() -> None:
    world = World(0, 3)
    clients = [world.client(worker) for worker in world.workers]
    for client in clients:
        client.subscribe("exact", "com.a")
    world.settle()
    [subscription_id] = clients[0].subscriptions

    assert read(world, clients[0], "wamp.subscription.count_subscribers", subscription_id) == [
        "meta",
        "wamp.subscription.count_subscribers",
        [3],
        {},
    ]
    assert read(world, clients[1], "wamp.subscription.list_subscribers", subscription_id) == [
        "meta",
        "wamp.subscription.list_subscribers",
        [sorted((client.id for client in clients), key=repr)],
        {},
    ]


def test_a_read_sees_what_other_workers_did_before() -> None:
    world = World(0, 2)
    one, other = world.workers
    reader = world.client(one)
    world.settle()

    joined = world.client(other)
    answer = read(world, reader, "wamp.session.list", None)

    assert answer == ["meta", "wamp.session.list", [sorted([reader.id, joined.id], key=repr)], {}]


@pytest.mark.parametrize("procedure", ["wamp.session.count", "wamp.session.list"])
def test_a_read_that_cannot_reach_all_workers_is_an_error(procedure: str) -> None:
    world = World(0, 2)
    reader = world.client(world.workers[0])
    world.settle()
    world.engine.stop()

    assert read(world, reader, procedure, None) == ["meta error", procedure, "wamp.error.network_failure"]


def test_procedures_for_the_own_session_ask_nobody() -> None:
    channel = RealmChannel("realm")

    assert ClusterRead.of(channel, "wamp.session.add_testament", []) is None


def test_a_read_without_other_workers_is_complete_at_once() -> None:
    found = ClusterRead.of(RealmChannel("realm"), "wamp.session.count", [None])

    assert found is not None
    assert found.synchronised.result is True
    found.require_complete()


def test_a_completion_calls_back_once() -> None:
    completion: Completion[bool] = Completion()
    called: list[int] = []
    completion.then(lambda: called.append(1))
    states = [completion.done]

    completion.finish(False)
    completion.then(lambda: called.append(2))

    states.append(completion.done)
    assert states == [False, True]
    assert called == [1, 2]
