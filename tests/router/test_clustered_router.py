"""One realm on several workers: sessions, meta events, commands and faults."""

from __future__ import annotations

from tests.simulation.checks import differences, nodes_of_dead
from tests.simulation.client import Client
from tests.simulation.leftovers import leftovers
from tests.simulation.world import DEAD_AFTER, World


def meta_events(client: Client) -> list[tuple[str, object]]:
    """Return the session meta events of a client, with the session IDs."""
    return [
        (
            entry[2].removeprefix("wamp.session."),
            entry[4][0]["session"] if "join" in entry[2] else entry[4][0],
        )
        for entry in client.log
        if entry[0] == "event"
    ]


def watching(world: World) -> list[Client]:
    """Return a client on each worker that gets the session meta events."""
    clients = [world.client(worker) for worker in world.workers]
    world.settle()
    for client in clients:
        client.subscribe("prefix", "wamp.session.")
    world.settle()
    return clients


def test_all_workers_publish_joins_and_leaves() -> None:
    world = World(0, 2)
    watchers = watching(world)

    client = world.client(world.workers[0])
    world.settle()
    client.leave()
    world.settle()

    for watcher in watchers:
        assert meta_events(watcher) == [("on_join", client.id), ("on_leave", client.id)]


def test_a_join_and_a_leave_that_are_lost_are_published_later() -> None:
    world = World(0, 2)
    one, _ = world.workers
    _, watcher = watching(world)
    leaving = world.client(one)
    world.settle()
    watcher.log.clear()

    world.engine.stop()
    leaving.leave()
    joining = world.client(one)
    world.engine.heal()
    world.engine.run(2)

    assert sorted(meta_events(watcher)) == [("on_join", joining.id), ("on_leave", leaving.id)]


def test_the_sessions_of_a_dead_worker_leave() -> None:
    world = World(0, 3)
    victim, *others = world.workers
    _, *watchers = watching(world)
    session = world.client(victim)
    world.settle()

    world.engine.kill(victim)
    world.engine.run(DEAD_AFTER + 2)

    for watcher in watchers:
        assert ("on_leave", session.id) in meta_events(watcher)
        assert len(meta_events(watcher)) == len(set(meta_events(watcher)))
    assert not nodes_of_dead(world)
    assert not differences(world)
    assert not any(session.id in vars(worker.router)["_remote"] for worker in others)


def test_the_sessions_of_a_worker_that_was_considered_dead_join_again() -> None:
    world = World(0, 2)
    paused, _ = world.workers
    _, watcher = watching(world)
    session = world.client(paused)
    world.settle()

    world.engine.pause(paused)
    world.engine.run(DEAD_AFTER + 2)
    assert meta_events(watcher)[-1][0] == "on_leave"
    world.engine.heal()
    world.engine.run(2)

    events = [name for name, session_id in meta_events(watcher) if session_id == session.id]
    assert events == ["on_join", "on_leave", "on_join"]
    assert not differences(world)


def test_a_worker_that_starts_does_not_publish_the_sessions_that_are_there() -> None:
    world = World(0, 2)
    world.client(world.workers[0])
    world.settle()
    newcomer = world.add_worker()
    heard = Client(newcomer, 1, 1)
    # As a listener of the application, which may exist before the worker accepts sessions.
    newcomer.router.attach(heard.id, heard, heard)
    heard.subscribe("prefix", "wamp.session.")

    world.engine.run(1)
    assert meta_events(heard) == []
    joining = world.client(world.workers[0])
    world.settle()

    assert meta_events(heard) == [("on_join", joining.id)]


def test_closing_all_sessions_publishes_nothing() -> None:
    world = World(0, 2)
    killer, other = watching(world)

    killer.call_meta("wamp.session.kill_all", None, None)
    world.settle()

    assert other.ended
    assert meta_events(killer) == []
    assert [entry[1] for entry in killer.log if entry[0] == "meta"] == ["wamp.session.kill_all"]


def test_a_command_to_close_a_session_that_is_lost_is_repeated() -> None:
    world = World(0, 2)
    one, other = world.workers
    victim = world.client(one)
    world.settle()

    world.engine.separate(other.id, one.id)
    result = other.router.meta.find("wamp.session.kill").compute(other.server_id, victim.id, None, None)
    other.router.carry_out(result)
    world.engine.run(0.5)
    ended = [victim.ended]
    world.engine.heal()
    world.engine.run(2)

    assert [*ended, victim.ended] == [False, True]
    assert not differences(world)


def test_ids_are_equal_on_all_workers() -> None:
    world = World(0, 2)
    clients = [world.client(worker) for worker in world.workers]
    for client in clients:
        client.subscribe("prefix", "com.")
        client.register("exact", "com.p.shared", {"invoke": "random"})
        world.settle()

    first, second = clients
    assert list(first.subscriptions) == list(second.subscriptions)
    assert list(first.registrations) == list(second.registrations)


def test_nothing_remains_of_sessions_and_workers() -> None:
    world = World(0, 2)
    one, other = world.workers
    for worker in one, other:
        client = world.client(worker)
        client.subscribe("exact", "com.a")
        client.register("exact", "com.p.held", {"invoke": "first"})
        client.add_testament("com.a", {}, "destroyed")
        client.call("com.p.held", {})
    world.settle()
    assert leftovers(other.router, other.server_id)

    world.stop(one)
    for client in list(world.records.clients.values()):
        if client.present:
            client.leave()
    world.settle()

    assert leftovers(other.router, other.server_id) == []
