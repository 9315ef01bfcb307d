"""Subscriptions of several workers: who is interested in which topics."""

from __future__ import annotations

from tests.simulation.client import Client
from tests.simulation.world import World


def topics(client: Client) -> list[str]:
    """Return the topics of the events that a client has received."""
    return [entry[2] for entry in client.log if entry[0] == "event"]


def test_subscribed_follows_when_the_other_worker_knows() -> None:
    world = World(0, 2)
    one, other = world.workers
    subscriber, publisher = world.client(one), world.client(other)
    world.settle()

    subscriber.subscribe("prefix", "com.")
    assert not subscriber.subscriptions
    world.settle()
    assert subscriber.subscriptions
    publisher.publish("com.a", {})
    world.settle()

    assert topics(subscriber) == ["com.a"]


def test_a_second_subscriber_is_subscribed_at_once() -> None:
    world = World(0, 2)
    one, _ = world.workers
    first, second = world.client(one), world.client(one)
    first.subscribe("exact", "com.a")
    world.settle()
    frames = one.cluster.counts.items_sent

    second.subscribe("exact", "com.a")

    assert second.subscriptions
    assert one.cluster.counts.items_sent == frames


def test_no_worker_gets_events_after_its_last_subscriber_has_left() -> None:
    world = World(0, 2)
    one, other = world.workers
    first, second, publisher = world.client(one), world.client(one), world.client(other)
    for client in first, second:
        client.subscribe("exact", "com.a")
    world.settle()

    first.unsubscribe(next(iter(first.subscriptions)))
    world.settle()
    subscription = other.router.broker.get("com.a", "exact")
    assert subscription is not None
    assert subscription.nodes == {one.id}
    second.leave()
    world.settle()
    assert other.router.broker.get("com.a", "exact") is None
    sent = other.cluster.counts.items_sent
    publisher.publish("com.a", {})
    assert other.cluster.counts.items_sent == sent


def test_creation_and_deletion_are_published_once_when_two_workers_act_at_once() -> None:
    world = World(0, 2)
    one, other = world.workers
    watcher = world.client(one)
    for event in "on_create", "on_delete":
        watcher.subscribe("exact", f"wamp.subscription.{event}")
    world.settle()
    watcher.log.clear()
    clients = [world.client(worker) for worker in (one, other)]

    for client in clients:
        client.subscribe("exact", "com.a")
    world.settle()
    assert topics(watcher) == ["wamp.subscription.on_create"]
    for client in clients:
        client.unsubscribe(next(iter(client.subscriptions)))
    world.settle()
    assert topics(watcher) == ["wamp.subscription.on_create", "wamp.subscription.on_delete"]


def test_creation_is_published_although_the_older_of_two_subscribers_leaves_at_once() -> None:
    world = World(0, 2)
    # At the same time, the worker with the smaller ID is older.
    one, other = sorted(world.workers, key=lambda worker: worker.id)
    watcher = world.client(one)
    watcher.subscribe("exact", "wamp.subscription.on_create")
    world.settle()
    watcher.log.clear()
    early, late = world.client(one), world.client(other)

    early.subscribe("exact", "com.a")
    late.subscribe("exact", "com.a")
    early.leave()
    world.settle()

    assert late.subscriptions
    assert topics(watcher) == ["wamp.subscription.on_create"]


def test_subscribing_does_not_wait_for_a_worker_that_cannot_be_reached() -> None:
    world = World(0, 2)
    one, other = world.workers
    subscriber, publisher = world.client(one), world.client(other)
    world.engine.stop()

    subscriber.subscribe("exact", "com.a")
    assert subscriber.subscriptions
    world.engine.heal()
    world.engine.run(2)
    publisher.publish("com.a", {})
    world.settle()

    assert topics(subscriber) == ["com.a"]
