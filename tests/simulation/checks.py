"""The invariants of a realm on several workers."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.simulation.client import Client, Watcher
from tests.simulation.records import CallRecord, PublicationRecord, matches
from tests.simulation.world import DEAD_AFTER, ObservedRouter, Worker, World
from wampasgi.router.cluster_items import ItemCode

#: The longest time of a call without a callee that still has to answer, in seconds.
CALL_BOUND = DEAD_AFTER + 4


def rows(worker: Worker) -> list[tuple[Any, ...]]:
    """Return the rows of a worker, in a form that can be compared with the replicas of the others."""
    found: list[tuple[Any, ...]] = []
    for code, *fields in worker.router.snapshot():
        if code == ItemCode.JOIN:
            found.append(("session", fields[0], fields[1], fields[2]))
        elif code == ItemCode.CALLEE:
            found.append(("callee", fields[0], fields[1], fields[2], fields[6]))
        elif code == ItemCode.INTEREST:
            found.append(("interest", fields[0], fields[1]))
        elif code == ItemCode.TESTAMENT:
            found.append(("testament", fields[0], fields[1], fields[3]))
    return sorted(found, key=repr)


def replica(holder: Worker, author: Worker) -> list[tuple[Any, ...]]:
    """Return what a worker holds of the rows of another one."""
    router, node = holder.router, author.id
    remote = vars(router)["_remote"]
    clients = vars(router)["_remote_clients"]
    found: list[tuple[Any, ...]] = [
        ("session", session.id, session.authid, session.authrole)
        for session in remote.values()
        if session.node == node and session.id in clients
    ]
    for (match, procedure), of_key in vars(router.claims)["_rows"].items():
        found += [
            ("callee", row.session_id, match, procedure, row.stamp[0])
            for row in of_key.values()
            if row.node == node
        ]
    found += [("interest", match, topic) for match, topic in router.interests.keys_of(node)]
    for session_id, testaments in vars(router.testaments)["_others"].get(node, {}).items():
        found += [("testament", session_id, scope, event.publication_id) for scope, event in testaments]
    return sorted(found, key=repr)


def _claimed(author: Worker) -> list[tuple[Any, ...]]:
    """Return the rows of registrations that wait for an answer, for example of a dead worker."""
    return [
        ("callee", claim.row.session_id, *key, claim.row.stamp[0])
        for key, claims in vars(author.router.claims)["_claims"].items()
        for claim in claims
    ]


def differences(world: World) -> list[str]:
    """Return where the replicas of live workers differ from the rows of their authors."""
    found = []
    for author in world.live:
        own = rows(author)
        for holder in world.live:
            if holder is author:
                continue
            held = [row for row in replica(holder, author) if row not in _claimed(author)]
            if held != own:
                missing = [row for row in own if row not in held]
                extra = [row for row in held if row not in own]
                found.append(f"{holder} about {author}: lacks {missing}, has {extra}")
    if not nodes_of_dead(world) and not any(map(_claimed, world.live)):
        found += _different("callees", world, _callees)
        found += _different("nodes", world, _nodes)
        found += _different("retained events", world, _retained)
        found += _different("history", world, _history)
    return found


def _different(name: str, world: World, view: Any) -> list[str]:
    first, *others = world.live
    expected = view(first)
    return [
        f"{name}: {other} has {view(other)}, {first} has {expected}"
        for other in others
        if view(other) != expected
    ]


def _callees(worker: Worker) -> dict[Any, Any]:
    return {
        (entry.match, entry.procedure): (
            entry.invoke,
            sorted(entry.callees) if entry.invoke in ("roundrobin", "random") else list(entry.callees),
        )
        for entry in worker.router.dealer.registrations.by_id.values()
    }


def _nodes(worker: Worker) -> dict[Any, Any]:
    found = {}
    for entry in worker.router.broker.subscriptions.values():
        nodes = set(entry.nodes)
        if any(item[1:3] == [entry.match, entry.topic] for item in worker.router.interests.own_rows()):
            nodes.add(worker.id)
        if nodes:
            found[entry.match, entry.topic] = nodes
    return found


def _retained(worker: Worker) -> list[Any]:
    return [(event.stamp, event.topic, event.args) for event in worker.router.retained]


def _history(worker: Worker) -> list[Any]:
    events = worker.router.history.events()
    return [(event.stamp, event.topic, event.args) for event in events]


def nodes_of_dead(world: World) -> list[str]:
    """Return the workers that hold rows of processes that are not alive."""
    live = {worker.id for worker in world.live}
    found = []
    for worker in world.live:
        others = live - {worker.id}
        if set(worker.cluster.nodes) != others:
            found.append(f"{worker} knows {set(worker.cluster.nodes)} instead of {others}")
        dead = {session.node for session in vars(worker.router)["_remote"].values()} - others
        dead |= {
            node for entry in worker.router.broker.subscriptions.values() for node in entry.nodes
        } - others
        if dead:
            found.append(f"{worker} holds rows of {dead}")
    return found


def one_callee_of_single(world: World) -> list[str]:
    """Return the procedures with the policy ``single`` that several clients have registered."""
    callees: Counter[Any] = Counter()
    policies: dict[Any, set[str]] = {}
    for client in world.records.clients.values():
        if client.present:
            for key, invoke in client.registrations.values():
                if _still_there(client, key):
                    policies.setdefault(key, set()).add(invoke)
                    callees[key] += 1
    return [
        f"{key}: {callees[key]} callees with {found}"
        for key, found in policies.items()
        if len(found) > 1 or (found == {"single"} and callees[key] > 1)
    ]


def _still_there(client: Any, key: Any) -> bool:
    """Return whether the router of a client has its registration: clients may not learn of revocations."""
    registration = client.router.dealer.registrations.get(*key)
    return registration is not None and client.id in registration.callees


def silent_losses(world: World) -> list[tuple[Client, PublicationRecord]]:
    """Return the lost events of workers with which the worker of the subscriber has noticed no loss."""
    return [
        (client, publication)
        for client, publication in lost_events(world, DEAD_AFTER)
        if client.present and publication.publisher is not None
        if isinstance(client.router, ObservedRouter)
        if not client.router.may_lack(publication.publisher.host.id, publication.time)
    ]


def lost_testaments(world: World, margin: float) -> list[tuple[Client, int, int]]:
    """Return the testaments of sessions of killed workers that a subscriber has not got once.

    The result has the subscriber, the number of the testament, and how often it arrived. Testaments and
    subscriptions that began less than ``margin`` seconds before the kill do not count.
    """
    found = []
    for testator in world.records.everybody:
        killed_at = getattr(testator.host, "killed_at", None)
        if killed_at is None or testator.ended or testator.has_flushed:
            continue
        for number in (number for number, time in testator.testaments.items() if time < killed_at - margin):
            publication = world.records.publications[number]
            found += [
                (client, number, record.testaments.count(number))
                for client in world.records.everybody
                for record in client.past
                if client.present
                and record.since < killed_at - margin
                and record.until == float("inf")
                and matches(*record.key, publication.topic)
                and publication.admits(client)
                and record.testaments.count(number) != 1
            ]
    return found


def unhandled(world: World) -> list[PublicationRecord]:
    """Return the publications that the handlers of the realm did not get."""
    return [
        publication
        for publication in world.records.publications.values()
        if publication.time < float("inf") and publication.number not in world.records.handled
        # The realm's own session is on no whitelist.
        if not any(name.startswith("eligible") for name in publication.options)
    ]


def endless_calls(world: World) -> list[CallRecord]:
    """Return the calls without an answer that nobody has to answer any more for too long.

    The time does not count while the caller's worker is paused, and while any worker is deaf: it considers
    nobody dead then.
    """
    now, hearing = world.engine.now, all(worker.cluster.reachable for worker in world.live)
    open_calls = [
        call
        for call in world.records.calls.values()
        if not call.finals and call.caller.present and not call.waits
    ]
    for call in open_calls:
        if not hearing or getattr(call.caller.host, "paused", False):
            call.touched = now
    return [call for call in open_calls if now - call.touched > CALL_BOUND]


def lost_events(world: World, margin: float) -> list[tuple[Client, PublicationRecord]]:
    """Return the publications that a subscriber should have got, but did not.

    Publications less than ``margin`` seconds before the end of a subscription do not count.
    """
    found: list[tuple[Client, PublicationRecord]] = []
    publications = world.records.publications.values()
    for client in world.records.everybody:
        for record in client.past:
            found += [
                (client, publication)
                for publication in publications
                if record.since < publication.time < min(record.until, world.engine.now) - margin
                and publication.number not in record.received
                and publication.number not in record.testaments
                and matches(*record.key, publication.topic)
                and publication.admits(client)
                and client.host.alive
            ]
    return found


def watchers(world: World) -> list[Watcher]:
    """Return the watchers that are there."""
    return [
        client for client in world.records.clients.values() if isinstance(client, Watcher) and client.present
    ]
