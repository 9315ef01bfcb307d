"""Tests of the cluster: each rule by itself, and random faults in a simulation of several nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from tests.router.simulated_bus import REALMS, SimulatedBus, SimulatedNode


def rows_differ(bus: SimulatedBus) -> list[str]:
    """Return the pairs of live nodes of which the first does not hold the rows of the second."""
    return [
        f"{key}: {holder.node} about {author.node}: {holder.replicas[key].rows.get(author.node)}"
        f" is not {author.replicas[key].own}"
        for key in REALMS
        for holder in bus.nodes.values()
        for author in bus.nodes.values()
        if holder is not author and holder.replicas[key].rows.get(author.node) != author.replicas[key].own
    ]


def work(bus: SimulatedBus) -> None:
    """Let a random node do something ordinary."""
    node = bus.random.choice([node for node in bus.nodes.values() if not node.paused] or [None])
    if node is None:
        return
    replica = node.replicas[bus.random.choice(REALMS)]
    action = bus.random.randrange(6)
    if action < 2:
        replica.set_row(f"row{bus.random.randrange(20)}", bus.next_id())
    elif action == 2 and replica.own:
        replica.delete_row(bus.random.choice(list(replica.own)))
    elif action in (3, 4) and node.cluster.nodes:
        replica.call(bus.random.choice(list(node.cluster.nodes)))
    elif action == 5:
        node.ask()


def each(action: Callable[[SimulatedNode], None], nodes: Iterable[SimulatedNode]) -> None:
    for node in nodes:
        action(node)


def fail(bus: SimulatedBus) -> None:
    """Cause or end a random fault."""
    nodes = list(bus.nodes.values())
    one, other = bus.random.choice(nodes), bus.random.choice(nodes)
    faults: list[Callable[[], object]] = [
        lambda: bus.cut.add((one.node, other.node)),
        lambda: bus.cut.update({(one.node, other.node), (other.node, one.node)}),
        lambda: bus.cut.update(
            {pair for node in nodes for pair in [(one.node, node.node), (node.node, one.node)]}
        ),
        bus.cut.clear,
        lambda: setattr(bus, "loss", bus.random.choice([0.0, 0.01, 0.2])),
        lambda: setattr(bus, "max_delay", bus.random.choice([0.001, 0.02, 0.4])),
        lambda: bus.pause(one),
        lambda: each(bus.resume, nodes),
        lambda: bus.disconnect(one),
        lambda: each(bus.connect, nodes),
        bus.stop_engine,
        bus.start_engine,
        bus.heal,
    ]
    if len(nodes) > 2:
        faults += [lambda: bus.kill(one)] if not one.paused else []
        faults += [lambda: bus.leave(one)] if not one.paused else []
    if len(nodes) < 5:
        faults += [bus.add, bus.add]
    bus.random.choice(faults)()


def everybody(bus: SimulatedBus, known: dict[int, SimulatedNode]) -> None:
    known.update(bus.nodes)


@pytest.mark.parametrize("seed", range(60))
def test_replicas_agree_and_calls_end_after_random_faults(seed: int) -> None:
    bus = SimulatedBus(seed)
    known: dict[int, SimulatedNode] = {}
    for _ in range(3):
        bus.add()
    bus.run(1)
    for _ in range(40):
        fail(bus)
        known.update(bus.nodes)
        for _ in range(bus.random.randrange(30)):
            work(bus)
            bus.run(bus.random.choice([0, 0.001, 0.05, 0.3]))

    bus.heal()
    bus.max_delay = 0.02
    known.update(bus.nodes)
    bus.run(2)
    assert not rows_differ(bus)
    for node in bus.nodes.values():
        assert node.cluster.reachable
        node.ask()
    bus.run(DEAD_AFTER_ALL)
    live = set(bus.nodes)
    for node in bus.nodes.values():
        assert set(node.cluster.nodes) == live - {node.node}
        assert node.cluster.ready
        assert set(node.asked) == set(node.asked_at)
        assert set(node.asked.values()) <= {1}
        assert not node.cluster.questions_open
        for replica in node.replicas.values():
            assert set(replica.rows) == live - {node.node}
            assert not replica.new_rows
            assert set(replica.outcomes.values()) <= {1}
    assert not rows_differ(bus)
    assert set(bus.invoked.values()) <= {1}
    # Both sides agree on which calls are open.
    for key in REALMS:
        for caller in bus.nodes.values():
            for callee in bus.nodes.values():
                calls = {i for i, to in caller.replicas[key].calls.items() if to == callee.node}
                invocations = {i for by, i in callee.replicas[key].invocations if by == caller.node}
                assert calls == invocations


DEAD_AFTER_ALL = 8.0
