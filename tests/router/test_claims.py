"""Registrations of several workers: claims, rivals and revocations."""

from __future__ import annotations

from tests.simulation.checks import differences
from tests.simulation.world import DEAD_AFTER, World


def has_registered(client: object) -> list[object]:
    """Return the answers to REGISTER, without the IDs."""
    return [entry[0] for entry in getattr(client, "log") if "registered" in entry[0]]  # noqa: B009


def test_registered_follows_when_the_other_worker_routes_to_it() -> None:
    world = World(0, 2)
    one, other = world.workers
    callee, caller = world.client(one), world.client(other)
    world.settle()

    callee.register("exact", "com.p.now", {})
    assert has_registered(callee) == []
    world.settle()
    assert has_registered(callee) == ["registered"]
    caller.call("com.p.now", {})
    world.settle()

    [call] = world.records.calls.values()
    assert len(call.finals) == 1
    assert call.invocations[0].callee is callee


def test_one_of_two_rivals_is_registered() -> None:
    world = World(0, 2)
    rivals = [world.client(worker) for worker in world.workers]
    world.settle()

    for rival in rivals:
        rival.register("exact", "com.p.now", {})
    world.settle()

    assert sorted([has_registered(rival) for rival in rivals]) == [["not registered"], ["registered"]]
    assert not differences(world)


def test_the_same_policy_is_shared_and_another_one_refused() -> None:
    world = World(0, 3)
    first, second, third = (world.client(worker) for worker in world.workers)
    world.settle()

    first.register("exact", "com.p.now", {"invoke": "first"})
    world.settle()
    second.register("exact", "com.p.now", {"invoke": "first"})
    third.register("exact", "com.p.now", {"invoke": "last"})
    world.settle()

    assert has_registered(second) == ["registered"]
    assert third.log == [["not registered", 1, "wamp.error.procedure_already_exists"]]


def test_a_registration_that_another_worker_shares_under_a_new_policy_is_replaced() -> None:
    """The end of the first registration is lost, and a snapshot brings the second one of the same session."""
    world = World(0, 2)
    one, other = world.workers
    callee = world.client(one)
    callee.register("exact", "com.p.now", {"invoke": "first"})
    world.settle()

    world.engine.stop()
    callee.unregister(next(iter(callee.registrations)))
    callee.register("exact", "com.p.now", {"invoke": "last"})
    world.engine.heal()
    world.engine.run(2)

    registration = other.router.dealer.registrations.get("exact", "com.p.now")
    assert registration is not None
    assert registration.invoke == "last"
    assert not differences(world)


def test_the_younger_of_two_registrations_is_revoked_after_a_partition() -> None:
    world = World(0, 2)
    older, younger = (world.client(worker) for worker in world.workers)
    world.settle()

    world.engine.stop()
    older.register("exact", "com.p.now", {})
    world.engine.run(1)
    younger.register("exact", "com.p.now", {})
    assert older.registrations
    assert younger.registrations
    world.engine.heal()
    world.engine.run(2)

    assert older.registrations
    assert not younger.registrations
    assert younger.log[-1][0] == "revoked"
    assert not differences(world)


def test_a_claim_that_a_newcomer_has_not_seen_is_repeated() -> None:
    """A worker gets the snapshot of another one while the other one waits for the answers to a claim."""
    world = World(0, 2)
    one, other = world.workers
    callee = world.client(one)
    world.settle()

    world.engine.separate(other.id, one.id)
    callee.register("exact", "com.p.now", {})
    world.add_worker()
    world.engine.run(0.3)
    assert has_registered(callee) == []
    world.engine.heal()
    world.engine.run(3)

    assert has_registered(callee) == ["registered"]
    assert not differences(world)


def test_a_revocation_that_is_lost_is_repeated() -> None:
    world = World(0, 2)
    one, other = world.workers
    callee = world.client(one)
    callee.register("exact", "com.p.now", {})
    world.settle()

    world.engine.disconnect(one)
    assert other.router.revoke_registration("com.p.now", "exact", None) == 1
    world.engine.run(0.3)
    assert callee.registrations
    world.engine.heal()
    world.engine.run(2)

    assert not callee.registrations
    assert not differences(world)


def test_deletion_is_published_once_when_callees_of_two_workers_are_revoked() -> None:
    world = World(0, 2)
    one, other = world.workers
    watcher = world.client(one)
    watcher.subscribe("exact", "wamp.registration.on_delete")
    for worker in world.workers:
        world.client(worker).register("exact", "com.p.now", {"invoke": "first"})
        world.settle()

    assert other.router.revoke_registration("com.p.now", "exact", None) == 2
    world.settle()

    assert [entry[2] for entry in watcher.log if entry[0] == "event"] == ["wamp.registration.on_delete"]


def test_creation_is_published_although_the_older_of_two_callees_leaves_at_once() -> None:
    world = World(0, 2)
    one, other = world.workers
    watcher = world.client(other)
    watcher.subscribe("exact", "wamp.registration.on_create")
    early, late = world.client(one), world.client(other)
    world.settle()

    early.register("exact", "com.p.now", {"invoke": "first"})
    late.register("exact", "com.p.now", {"invoke": "first"})
    early.leave()
    world.settle()

    assert has_registered(late) == ["registered"]
    assert [entry[2] for entry in watcher.log if entry[0] == "event"] == ["wamp.registration.on_create"]


def test_own_procedures_of_the_realm_cannot_be_registered() -> None:
    world = World(0, 2)
    one, other = world.workers
    other.router.dealer.registrations.add(other.server_id, "com.p.now", {}, of_realm=True)
    client = world.client(one)
    client.register("exact", "com.p.now", {})
    world.settle()

    assert client.log == [["not registered", 1, "wamp.error.procedure_already_exists"]]


def test_a_registration_that_is_revoked_while_it_is_claimed_is_revoked_afterwards() -> None:
    world = World(0, 3)
    one, other, third = world.workers
    callee = world.client(one)
    world.settle()

    # The claim waits for the third worker.
    world.engine.pause(third)
    callee.register("exact", "com.p.now", {})
    world.settle()
    assert other.router.revoke_registration("com.p.now", "exact", None) == 1
    world.settle()
    world.engine.resume(third)
    world.settle()

    assert [entry[0] for entry in callee.log] == ["registered", "revoked"]
    assert not differences(world)


def test_creation_is_not_published_again_after_the_first_callee_left() -> None:
    world = World(0, 2)
    one, other = world.workers
    watcher = world.client(one)
    watcher.subscribe("exact", "wamp.registration.on_create")
    first, second, rival = world.client(one), world.client(one), world.client(other)
    world.settle()
    for callee in first, second:
        callee.register("exact", "com.p.now", {"invoke": "first"})
        world.settle()

    first.unregister(next(iter(first.registrations)))
    world.settle()
    rival.register("exact", "com.p.now", {"invoke": "last"})
    world.settle()

    assert has_registered(rival) == ["not registered"]
    assert [entry[2] for entry in watcher.log if entry[0] == "event"] == ["wamp.registration.on_create"]


# Takeovers

TAKEOVER = {"force_reregister": True}


def test_takeover_reaches_all_workers() -> None:
    world = World(0, 3)
    old, new, caller = (world.client(worker) for worker in world.workers)
    old.register("exact", "com.p.now", {})
    world.settle()

    new.register("exact", "com.p.now", TAKEOVER)
    world.settle()
    caller.call("com.p.now", {})
    world.settle()

    assert [entry[0] for entry in old.log] == ["registered", "revoked"]
    assert has_registered(new) == ["registered"]
    [call] = world.records.calls.values()
    assert call.invocations[0].callee is new
    assert not differences(world)


def test_one_of_two_takeovers_at_the_same_time_is_registered() -> None:
    world = World(0, 3)
    old, *rivals = (world.client(worker) for worker in world.workers)
    old.register("exact", "com.p.now", {})
    world.settle()

    for rival in rivals:
        rival.register("exact", "com.p.now", TAKEOVER)
    world.settle()

    assert not old.registrations
    assert sorted(has_registered(rival) for rival in rivals) == [["not registered"], ["registered"]]
    assert not differences(world)


def test_takeover_that_has_seen_another_claim_wins() -> None:
    """The claim waits for the third worker when it is taken over by a client of another one."""
    world = World(0, 3)
    one, other, third = world.workers
    early, late = world.client(one), world.client(other)
    world.settle()

    world.engine.pause(third)
    early.register("exact", "com.p.now", {})
    world.settle()
    late.register("exact", "com.p.now", TAKEOVER)
    world.settle()
    assert not has_registered(early)
    assert not has_registered(late)
    world.engine.resume(third)
    world.settle()
    world.settle()

    assert not early.registrations
    assert has_registered(late) == ["registered"]
    assert not differences(world)


def test_takeover_that_waits_for_claims_of_its_own_worker_wins() -> None:
    world = World(0, 2)
    one = world.workers[0]
    early, late = world.client(one), world.client(one)
    world.settle()

    early.register("exact", "com.p.now", {})
    late.register("exact", "com.p.now", TAKEOVER)
    world.settle()

    assert not early.registrations
    assert list(late.registrations.values()) == [(("exact", "com.p.now"), "single")]
    assert not differences(world)


def test_client_that_leaves_during_its_takeover_registers_nothing() -> None:
    world = World(0, 2)
    one, other = world.workers
    old, new = world.client(one), world.client(other)
    old.register("exact", "com.p.now", {})
    world.settle()

    new.register("exact", "com.p.now", TAKEOVER)
    new.leave()
    world.settle()

    assert not old.registrations
    for worker in world.workers:
        assert worker.router.dealer.registrations.get("exact", "com.p.now") is None


def test_takeover_whose_revocation_is_lost_is_carried_out_when_the_workers_meet_again() -> None:
    world = World(0, 2)
    one, other = world.workers
    old, new = world.client(one), world.client(other)
    old.register("exact", "com.p.now", {})
    world.settle()

    world.engine.disconnect(one)
    new.register("exact", "com.p.now", TAKEOVER)
    world.engine.run(0.3)
    assert old.registrations
    world.engine.heal()
    world.engine.run(3)

    assert not old.registrations
    assert list(new.registrations.values()) == [(("exact", "com.p.now"), "single")]
    assert not differences(world)


def test_takeover_from_a_worker_that_was_taken_for_dead_is_undone() -> None:
    world = World(0, 2)
    one, other = world.workers
    old, new = world.client(one), world.client(other)
    old.register("exact", "com.p.now", {})
    world.settle()

    world.engine.disconnect(one)
    new.register("exact", "com.p.now", TAKEOVER)
    world.engine.run(DEAD_AFTER + 1)
    assert has_registered(new) == ["registered"]
    world.engine.heal()
    world.engine.run(3)

    assert old.registrations
    assert new.log[-1][0] == "revoked"
    assert not differences(world)


def test_own_procedures_of_the_realm_cannot_be_taken_over() -> None:
    world = World(0, 2)
    for worker in world.workers:
        worker.router.dealer.registrations.add(worker.server_id, "com.p.now", {}, of_realm=True)
    client = world.client(world.workers[0])
    client.register("exact", "com.p.now", TAKEOVER)
    world.settle()

    assert client.log == [["not registered", 1, "wamp.error.procedure_already_exists"]]
    for worker in world.workers:
        registration = worker.router.dealer.registrations.get("exact", "com.p.now")
        assert registration is not None
        assert list(registration.callees) == [worker.server_id]
