"""Publications, stored events and testaments of several workers."""

from __future__ import annotations

from typing import Any

from tests.simulation.checks import differences
from tests.simulation.client import Client
from tests.simulation.world import DEAD_AFTER, Worker, World


def numbers(client: Client) -> list[int]:
    """Return the numbers of the publications that a client has received."""
    return [entry[4][1] for entry in client.log if entry[0] == "event"]


def retained(worker: Worker) -> list[Any]:
    return [event.args for event in worker.router.retained]


def test_lists_are_applied_to_the_subscribers_of_other_workers() -> None:
    world = World(0, 2)
    one, other = world.workers
    publisher = world.client(one)
    subscribers = [world.client(other, number=number) for number in range(3)]
    for subscriber in subscribers:
        subscriber.subscribe("exact", "com.a")
    world.settle()

    publisher.publish("com.a", {"exclude": [subscribers[0].id]})
    publisher.publish("com.a", {"eligible_authid": ["user0", "user1"]})
    publisher.publish("com.a", {"exclude_authrole": ["user", "admin"]})
    world.settle()

    assert [numbers(subscriber) for subscriber in subscribers] == [[2], [1, 2], [1, 3]]


def test_a_publication_goes_once_to_a_worker_with_many_subscribers() -> None:
    world = World(0, 2)
    one, other = world.workers
    publisher = world.client(one)
    for _ in range(5):
        world.client(other).subscribe("exact", "com.a")
    world.settle()
    sent = one.cluster.counts.items_sent

    publisher.publish("com.a", {})

    assert one.cluster.counts.items_sent == sent + 1


def test_handlers_of_the_realm_get_a_publication_once() -> None:
    world = World(0, 3)
    publisher = world.client(world.workers[0])
    world.client(world.workers[1]).subscribe("prefix", "com.")
    world.settle()

    publisher.publish("com.a", {})
    world.settle()

    assert world.records.handled == {1}


def test_a_worker_that_joins_later_gets_stored_events() -> None:
    world = World(0, 2)
    publisher = world.client(world.workers[0])
    publisher.publish("com.a", {"retain": True})
    publisher.publish("com.logged.a", {})
    world.settle()

    newcomer = world.add_worker()
    world.engine.run(1)

    assert retained(newcomer) == [[publisher.id, 1]]
    assert [event.args for event in newcomer.router.history.events()] == [[publisher.id, 2]]
    assert not differences(world)


def test_a_deletion_of_retained_events_that_is_lost_comes_with_the_next_snapshot() -> None:
    world = World(0, 2)
    one, other = world.workers
    world.client(other).publish("com.a", {"retain": True})
    world.settle()

    world.engine.stop()
    one.router.clear_retained("com.a", "exact")
    world.engine.heal()
    world.engine.run(2)

    assert retained(one) == retained(other) == []


def test_the_last_events_of_a_dead_worker_reach_all_others() -> None:
    world = World(0, 3)
    author, near, far = world.workers
    world.engine.separate(author.id, far.id)
    world.client(author).publish("com.a", {"retain": True})
    world.settle()
    assert len(retained(near)) == 1
    assert not retained(far)

    world.engine.kill(author)
    world.engine.heal()
    world.engine.run(DEAD_AFTER + 2)

    assert len(retained(far)) == 1
    assert not differences(world)


def test_testaments_of_a_dead_worker_are_published_once_and_retained_as_the_newest() -> None:
    world = World(0, 3)
    author, *others = world.workers
    testator = world.client(author)
    subscribers = [world.client(worker) for worker in others]
    for subscriber in subscribers:
        subscriber.subscribe("exact", "com.a")
    testator.add_testament("com.a", {"retain": True}, "destroyed")
    world.settle()
    testator.publish("com.a", {"retain": True})
    world.settle()

    world.engine.kill(author)
    world.engine.run(DEAD_AFTER + 2)

    assert [numbers(subscriber) for subscriber in subscribers] == [[2, 1], [2, 1]]
    for worker in others:
        assert retained(worker) == [[testator.id, 1, "testament"]]
    assert not differences(world)


def test_testaments_are_flushed_everywhere() -> None:
    world = World(0, 2)
    author, other = world.workers
    testator, subscriber = world.client(author), world.client(other)
    subscriber.subscribe("exact", "com.a")
    for scope in "detached", "destroyed":
        testator.add_testament("com.a", {}, scope)
    testator.call_meta("wamp.session.flush_testaments", "detached")
    world.settle()

    world.engine.kill(author)
    world.engine.run(DEAD_AFTER + 2)

    assert numbers(subscriber) == [2]


def test_an_event_that_comes_by_itself_and_in_a_snapshot_is_stored_once() -> None:
    world = World(0, 3)
    author, receiver, third = world.workers
    publisher = world.client(author)
    world.settle()

    receiver.router.begin_snapshot(third.id)
    publisher.publish("com.logged.a", {})
    world.settle()
    for item in author.router.events.own_rows():
        receiver.router.apply(third.id, item)
    receiver.router.end_snapshot(third.id)

    assert [event.args for event in receiver.router.history.events()] == [[publisher.id, 1]]
