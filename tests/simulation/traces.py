"""Random traces: of actions without faults, settled or in a hurry, and of actions with faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from tests.simulation.actions import FAULTS, NAMES, WEIGHTS, Actions, act, fault
from tests.simulation.checks import (
    differences,
    endless_calls,
    lost_events,
    lost_testaments,
    nodes_of_dead,
    one_callee_of_single,
    silent_losses,
    unhandled,
    watchers,
)
from tests.simulation.client import Client, Watcher
from tests.simulation.leftovers import leftovers
from tests.simulation.records import Records
from tests.simulation.world import DEAD_AFTER, SETTLED, SingleProcess, Worker, World

#: The time after which the replicas agree again. Mostly it is less than two seconds.
HEALED = 3.5
#: The usual number of steps of a trace.
STEPS = 25


def _new_client(world: World, worker: Any, number: int, *, watch: bool = False) -> Client:
    session_id = world.engine.random.getrandbits(53) + 1
    client = (
        Watcher(worker, session_id, number)
        if watch
        else Client(worker, session_id, number, features=number % 4 > 0)
    )
    client.join()
    if isinstance(client, Watcher):
        client.subscribe("prefix", "wamp.")
    return client


class Trace:
    """A world, the actions in it, and the checks at its end."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.world = World(seed, self.random.choice([2, 2, 3, 4]))
        # Each trace prefers other actions, so that all combinations come up.
        self.weights = [weight * self.random.choice([0, 1, 1, 6]) for weight in WEIGHTS.values()]
        self.clients = 0
        for worker in self.world.workers:
            self.join(worker, watch=True)
        for _ in range(self.random.randrange(1, 5)):
            self.join(self.random.choice(self.world.workers))
        self.world.engine.run(SETTLED)
        self.actions = Actions(self.world.records, self.random, settled=False)

    def join(self, worker: Worker, *, watch: bool = False) -> Client:
        self.clients += 1
        return _new_client(self.world, worker, self.clients, watch=watch)

    def draw(self) -> str:
        """Return the name of a random action."""
        return self.random.choices(NAMES, self.weights)[0]

    def step(self, *, faults: float = 0.0, kinds: Sequence[str] = FAULTS) -> None:
        random, world = self.random, self.world
        if random.random() < faults:
            fault(world, random, random.choice(kinds))
        elif random.random() < 0.1 or len(world.records.clients) < 4:
            usable = world.usable
            if usable:
                self.join(random.choice(usable))
        else:
            act(self.actions, self.draw())
        self.run(random.choice([0, 0.01, 0.1, 0.5, 2.0] if faults else [0, 0, 0.001, 0.01, 0.05]))

    def run(self, seconds: float) -> None:
        """Let some time pass."""
        self.world.engine.run(seconds)
        assert not (endless := endless_calls(self.world)), endless

    def check_without_faults(self) -> None:
        world = self.world
        world.engine.run(SETTLED)
        assert not world.engine.faulty
        for worker in world.live:
            assert not worker.noticed, (worker, worker.events)
            assert not worker.cluster.counts.items_dropped
        assert not (lost := lost_events(world, 0.05)), lost
        assert not (missed := unhandled(world)), missed
        for watcher in watchers(world):
            # If two workers act on one entry at once, its creation or deletion may be published twice.
            if world.records.settled:
                assert not (wrong := watcher.wrong_entries()), wrong
            assert not watcher.wrong_sessions()
        assert not (several := one_callee_of_single(world)), several
        self.check_replicas()

    def heal(self) -> None:
        self.world.engine.heal()
        self.world.engine.run(HEALED)

    def check_replicas(self) -> None:
        assert not (found := differences(self.world)), found
        assert not (several := one_callee_of_single(self.world)), several

    def check_end(self) -> None:
        """Let all calls be answered and all clients leave, and check that nothing remains."""
        world = self.world
        self.world.engine.run(DEAD_AFTER + 1.5)
        assert not (dead := nodes_of_dead(world)), dead
        self.check_replicas()
        for watcher in watchers(world):
            assert not watcher.wrong_sessions()
        assert not (lost := silent_losses(world)), lost
        for _ in range(3):
            for call in list(world.records.calls.values()):
                for invocation in call.invocations:
                    if invocation.callee.present:
                        invocation.callee.answer(call, 2)
            world.engine.run(SETTLED)
        for call in world.records.calls.values():
            assert len(call.finals) == 1 or not call.caller.present, (call, call.finals)
        for client in list(world.records.clients.values()):
            if client.present:
                client.leave()
        world.engine.run(0.2)
        assert not (found := differences(world)), found
        for worker in world.live:
            assert not (left := leftovers(worker.router, worker.server_id)), left
            assert not worker.cluster.questions_open


def run_busy(seed: int, steps: int = STEPS) -> Trace:
    """Run a trace without faults, in which actions overlap."""
    trace = Trace(seed)
    for _ in range(steps):
        trace.step()
    trace.check_without_faults()
    trace.check_end()
    return trace


def run_deadly(seed: int, steps: int = STEPS) -> Trace:
    """Run a trace in which workers are killed, start and stop, and nothing else fails."""
    trace = Trace(seed)
    world = trace.world
    for name in "subscribe", "testament":
        trace.weights[NAMES.index(name)] = 15
    for _ in range(steps):
        trace.step(faults=0.15, kinds=("kill", "add", "stop"))
    world.engine.run(DEAD_AFTER + 2)
    lost = [
        (client, publication)
        for client, publication in lost_events(world, 0.05)
        if publication.publisher is not None and publication.publisher.host.alive
    ]
    assert not lost, lost
    assert not (testaments := lost_testaments(world, 0.05)), testaments
    trace.check_end()
    return trace


def run_faulty(seed: int, steps: int = STEPS) -> Trace:
    """Run a trace with faults, and heal them."""
    trace = Trace(seed)
    for _ in range(steps):
        trace.step(faults=0.2)
    trace.heal()
    trace.check_replicas()
    trace.check_end()
    return trace


def run_settled(seed: int, steps: int = STEPS) -> Trace:
    """Run a trace in which each action ends before the next one, and compare it with a single process."""
    trace = Trace(seed)
    world, engine = trace.world, trace.world.engine
    single = SingleProcess(engine)
    world.records.settled = single.records.settled = True
    for client in list(world.records.clients.values()):
        _twin(single, client)
    engine.run(SETTLED)
    for client in world.records.everybody:
        client.log.clear()
    for client in single.records.everybody:
        client.log.clear()
    for _ in range(steps):
        name = trace.draw()
        if trace.random.random() < 0.1 or len(world.records.clients) < 4:
            name = "join"
            _twin(single, trace.join(trace.random.choice(world.workers)))
        else:
            choice = trace.random.getrandbits(32)
            act(Actions(world.records, Random(choice), settled=True), name)
            act(Actions(single.records, Random(choice), settled=True), name)
        engine.run(SETTLED)
        _compare(world.records, single.records, name)
    trace.check_without_faults()
    trace.check_end()
    return trace


def _twin(single: SingleProcess, client: Client) -> None:
    """Let a client that has joined the cluster join the single process, too."""
    twin = type(client)(single, client.id, 0)
    twin.authid, twin.authrole, twin.details = client.authid, client.authrole, client.details
    twin.join()
    if isinstance(twin, Watcher):
        twin.subscribe("prefix", "wamp.")


def _compare(cluster: Records, single: Records, name: str) -> None:
    for one, other in zip(cluster.everybody, single.everybody, strict=True):
        assert one.id == other.id
        assert one.ended == other.ended, name
        found, expected = sorted(map(repr, one.log)), sorted(map(repr, other.log))
        # If several sessions end at once, the messages that they get from each other depend on the order.
        if not one.ended:
            assert found == expected, f"{name}: {one.id} got {found} instead of {expected}"
        one.log.clear()
        other.log.clear()


#: The kinds of traces, with the functions that run one of them for a seed and a number of steps.
RUNS: dict[str, Callable[[int, int], Trace]] = {
    "settled": run_settled,
    "busy": run_busy,
    "deadly": run_deadly,
    "faulty": run_faulty,
}


def run_all(kind: str, seeds: Iterable[int]) -> None:
    """Run the traces of several seeds; the error of one that fails names its seed."""
    for seed in seeds:
        try:
            RUNS[kind](seed, STEPS)
        except Exception as error:
            error.add_note(f"in the trace {kind!r} of seed {seed}")
            raise
