"""Tests of the cluster: each rule by itself, and random faults in a simulation of several nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.router.simulated_bus import DEAD_AFTER, REALMS, SimulatedBus, SimulatedNode, ToyReplica
from wampasgi.router.cluster import ItemTooLarge


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
        lambda: setattr(bus, "tells_of_dead", bus.random.choice([False, True])),
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


@pytest.mark.parametrize("seed", range(60))
def test_replicas_agree_and_calls_end_after_random_faults(seed: int) -> None:
    bus = SimulatedBus(seed)
    for _ in range(3):
        bus.add()
    bus.run(1)
    for _ in range(40):
        fail(bus)
        for _ in range(bus.random.randrange(30)):
            work(bus)
            bus.run(bus.random.choice([0, 0.001, 0.05, 0.3]))

    bus.heal()
    bus.max_delay = 0.02
    while bus.now < bus.faulty_at + 2:
        # A node may reconnect because of a deafness that began before.
        bus.run(bus.faulty_at + 2.001 - bus.now)
    assert not rows_differ(bus)
    for node in bus.nodes.values():
        assert node.cluster.reachable
        node.ask()
    bus.run(DEAD_AFTER + 2)
    live = set(bus.nodes)
    for node in bus.nodes.values():
        assert set(node.cluster.nodes) == live - {node.node}
        assert node.cluster.ready
        assert set(node.asked) == set(node.asked_at)
        assert set(node.asked.values()) <= {1}
        assert not node.cluster.questions_open
        # A silent node is buried, and one that does not hear us is given up, once more after a return.
        assert node.was_paused or node.slowest_answer < 5 * DEAD_AFTER
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


def quiet_bus(count: int = 2, *, seed: int = 1) -> tuple[SimulatedBus, list[SimulatedNode]]:
    """Return a bus without faults, and nodes that have joined."""
    bus = SimulatedBus(seed)
    bus.max_delay = 0.001
    nodes = [bus.add() for _ in range(count)]
    bus.run(1)
    assert all(node.cluster.ready for node in nodes)
    return bus, nodes


def frame(*elements: object) -> bytes:
    return ormsgpack.packb(list(elements))


def cut_both_ways(bus: SimulatedBus, one: SimulatedNode, other: SimulatedNode) -> None:
    bus.cut |= {(one.node, other.node), (other.node, one.node)}


class Answers:
    """Records the calls of ``done`` for one question."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[int, Any], bool]] = []

    def __call__(self, answers: dict[int, Any], complete: bool) -> None:
        self.calls.append((answers, complete))


def test_lonely_node_is_ready_after_its_hello_returned_and_the_time_to_join() -> None:
    bus = SimulatedBus(1)
    bus.cut.add((0, 0))
    node = bus.add()
    bus.cut.add((node.node, node.node))
    bus.run(2)
    assert node.events["ready"] == 0, "its hello has not come back"

    bus.cut.clear()
    bus.run(1.8)
    assert node.cluster.ready
    assert node.events["ready"] == 1


def test_newcomer_is_not_ready_before_it_holds_the_rows_of_everybody() -> None:
    bus, (old,) = quiet_bus(1)
    old.replicas["first"].set_row("a", 1)
    bus.run(0.1)
    bus.max_delay = 0.0
    new = bus.add()
    bus.cut.add((old.node, new.node))
    # Another node that is heard of, but whose rows do not arrive.
    new.cluster.received(frame(1, old.node, 2, [[-1]]), bus.now)
    bus.run(2)
    assert new.events["ready"] == 0
    assert not new.cluster.nodes

    bus.cut.clear()
    bus.run(2)
    assert new.cluster.ready
    assert set(new.cluster.nodes) == {old.node}
    assert new.replicas["first"].rows == {old.node: {"a": 1}}
    assert (old.events["joined"], new.events["joined"]) == (1, 1)


def test_nothing_is_received_before_the_start() -> None:
    bus, (node,) = quiet_bus(1)
    other = SimulatedNode(bus, 5, 400)

    other.cluster.received(frame(1, node.node, 2, [[-1]]), bus.now)
    other.cluster.tick(bus.now)

    assert other.cluster.counts.frames_received == 0
    assert not other.flush_scheduled


def test_lost_frame_resets_both_ends_and_repeats_the_rows_of_its_sender_only() -> None:
    bus, (one, other) = quiet_bus()
    snapshots = one.cluster.counts.snapshots, other.cluster.counts.snapshots
    bus.cut.add((one.node, other.node))
    one.replicas["first"].set_row("a", 1)
    one.replicas["first"].call(other.node)
    bus.run(0.01)
    bus.cut.clear()
    one.replicas["first"].set_row("b", 2)
    bus.run(0.1)

    assert other.events["gap"] == 1
    assert (one.events["gap"], other.cluster.counts.gaps, other.cluster.counts.frames_lost) == (0, 1, 1)
    assert (one.cluster.counts.resets, other.cluster.counts.resets) == (1, 1)
    assert not one.replicas["first"].calls
    assert one.cluster.counts.snapshots == snapshots[0] + 1
    assert other.cluster.counts.snapshots == snapshots[1]
    assert other.replicas["first"].rows[one.node] == {"a": 1, "b": 2}


@pytest.mark.parametrize("kind", ["direct", "broadcast"])
def test_loss_of_the_last_frame_is_noticed_by_a_heartbeat(kind: str) -> None:
    bus, (one, other) = quiet_bus()
    bus.cut.add((one.node, other.node))
    if kind == "direct":
        one.replicas["first"].call(other.node)
    else:
        one.replicas["first"].set_row("a", 1)
    bus.run(0.005)
    bus.cut.clear()
    bus.run(1.2)

    assert other.events["gap"] == 1
    assert not one.replicas["first"].calls
    assert not rows_differ(bus)


def test_request_for_a_new_epoch_is_repeated_until_it_comes() -> None:
    bus, (one, other) = quiet_bus()
    bus.cut.add((one.node, other.node))
    one.replicas["first"].set_row("a", 1)
    bus.run(0.005)
    bus.cut = {(other.node, one.node)}
    bus.run(2.5)
    assert other.events["gap"] == 1
    assert rows_differ(bus)

    bus.cut.clear()
    bus.run(0.6)

    assert not rows_differ(bus)
    assert other.cluster.counts.resets == 1


def test_malformed_item_is_reported_and_its_stream_begins_again() -> None:
    bus, (one, other) = quiet_bus()
    other.tolerant = True
    one.replicas["first"].set_row("a", 1)
    one.cluster.put(other.node, "first", [0])
    bus.run(0.1)

    assert other.reasons == ["too short"]
    assert other.cluster.counts.malformed == 1
    assert (one.cluster.counts.resets, other.cluster.counts.resets) == (1, 1)
    assert not rows_differ(bus)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        frame(),
        frame(1),
        frame("1", 2, 3, []),
        frame(1, None, 0, 1, []),
        frame(1, 7, 9, []),
        frame(1, 7, 2, [[1]]),
        frame(1, 7, 2, [7]),
        frame(True, 7, 2, [[-1]]),
        ormsgpack.packb({"version": 1}),
    ],
)
def test_malformed_frames_are_reported(data: bytes) -> None:
    bus, (node,) = quiet_bus(1)
    node.tolerant = True

    node.cluster.received(data, bus.now)

    assert len(node.reasons) == node.cluster.counts.malformed == 1
    assert not node.cluster.nodes


@pytest.mark.parametrize(
    "items",
    [
        [5],
        [[]],
        [["x"]],
        [[True]],
        [[-99]],
        [[-6, "1"]],
        [[-8, 1]],
        [[-9, None, 0, 0]],
        [[1, 1, 1]],
        ["unknown realm", [1], [True]],
    ],
)
def test_malformed_items_break_their_stream(items: list[Any]) -> None:
    bus, (node,) = quiet_bus(1)
    node.tolerant = True
    node.cluster.received(frame(1, 7, 1, 3, 1, 0, 1, 0, [[-6, 0], [-7]]), bus.now)
    assert set(node.cluster.nodes) == {7}

    node.cluster.received(frame(1, 7, 0, 1, items), bus.now)

    assert node.cluster.counts.malformed == 1
    assert node.cluster.counts.resets == 1


VALUES = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(), st.lists)


@given(st.binary() | VALUES.map(ormsgpack.packb))
def test_no_frame_raises(data: bytes) -> None:
    bus = SimulatedBus(1)
    node = bus.add()
    node.tolerant = True

    node.cluster.received(data, bus.now)

    assert node.cluster.counts.frames_received == 1


@given(
    st.lists(st.lists(st.integers(-10, 3) | st.none() | st.lists(st.integers(0, 3)), max_size=5), max_size=4),
    st.sampled_from([[0, 1], [1, 4, 1, 0, 1, 1], [1, 3, 2, 0, 1, 1], [2]]),
)
def test_no_item_of_the_cluster_raises(items: list[Any], header: list[int]) -> None:
    bus = SimulatedBus(1)
    node = bus.add()
    node.tolerant = True
    node.cluster.received(frame(1, 7, 1, 3, 1, 0, 1, 0, [[-6, 0], [-7]]), bus.now)
    own = [item for item in items if not (item and isinstance(item[0], int) and item[0] >= 0)]

    node.cluster.received(frame(1, 7, *header, ["first", *own]), bus.now)
    bus.run(1)

    assert node.cluster.counts.frames_received >= 2


def test_stream_that_begins_without_a_snapshot_is_refused() -> None:
    bus, (node,) = quiet_bus(1)
    node.tolerant = True

    node.cluster.received(frame(1, 7, 1, 3, 1, 0, 1, 0, [[-7]]), bus.now)

    assert node.reasons == ["a stream must begin with a snapshot"]
    assert not node.cluster.nodes


def test_repeated_frames_are_ignored() -> None:
    bus, (node,) = quiet_bus(1)
    node.cluster.received(frame(1, 7, 1, 3, 1, 0, 1, 0, [[-6, 0], "first", [4, "a", 1], [-7]]), bus.now)
    row = frame(1, 7, 0, 1, ["first", [0, 1, "a", 2]])
    node.cluster.received(row, bus.now)

    node.cluster.received(row, bus.now)
    node.cluster.received(frame(1, 7, 1, 3, 1, 0, 1, 0, [[-6, 0], [-7]]), bus.now)

    assert node.replicas["first"].rows == {7: {"a": 2}}
    assert node.cluster.counts.gaps == 0


def test_item_is_dropped_if_it_was_sent_before_its_sender_knew_of_a_reset() -> None:
    bus, (node,) = quiet_bus(1)
    rows = [[-6, 0], "first", [4, "a", 1], [-7], [0, 1, "b", 2]]

    node.cluster.received(frame(1, 7, 1, 3, 1, 0, 1, 0, rows), bus.now)

    assert node.replicas["first"].rows == {7: {"a": 1}}
    assert node.cluster.counts.items_dropped == 1


def test_direct_frame_reveals_a_lost_broadcast() -> None:
    bus, (node,) = quiet_bus(1)
    node.cluster.received(frame(1, 7, 1, 3, 1, 0, 1, 0, [[-6, 0], [-7]]), bus.now)

    node.cluster.received(frame(1, 7, 1, 3, 2, 1, 1, 0, []), bus.now)

    assert node.events["gap"] == 1


def test_request_for_an_older_epoch_is_ignored() -> None:
    bus, (node,) = quiet_bus(1)
    node.cluster.received(frame(1, 7, 1, 3, 1, 0, 1, 0, [[-6, 0], [-7]]), bus.now)
    assert node.cluster.counts.snapshots == 1

    node.cluster.received(frame(1, 7, 2, [[-4, 1, 1]]), bus.now)
    node.cluster.received(frame(1, 7, 2, [[-4, 1, 1]]), bus.now)

    assert node.cluster.counts.snapshots == 2


def test_generation_of_a_heartbeat_resets_the_calls() -> None:
    bus, (node,) = quiet_bus(1)
    node.cluster.received(frame(1, 7, 1, 3, 1, 0, 1, 0, [[-6, 0], [-7]]), bus.now)
    beat = [-2, 1, 0, [[node.node, 3, 1, 2]]]

    node.cluster.received(frame(1, 7, 2, [beat]), bus.now)
    node.cluster.received(frame(1, 7, 2, [beat]), bus.now)

    assert node.cluster.counts.resets == 1
    assert node.cluster.counts.gaps == 0


def test_other_version_is_refused_and_reported_once() -> None:
    bus, (node,) = quiet_bus(1)

    node.cluster.received(frame(2, 7, "anything"), bus.now)
    node.cluster.received(frame(2, 7, "anything"), bus.now)

    assert node.events["refused"] == 1
    assert node.cluster.counts.refused_versions == 2
    assert not node.cluster.nodes


def test_node_that_leaves_is_removed_at_once() -> None:
    bus, (one, other) = quiet_bus()
    other.replicas["first"].set_row("a", 1)
    bus.leave(other)
    bus.run(0.1)

    assert not one.cluster.nodes
    assert one.replicas["first"].rows == {}
    assert one.replicas["first"].removals == [(other.node, True)]
    assert (one.events["left"], one.events["buried"]) == (1, 0)
    # Frames that arrive late do not bring it back.
    one.cluster.received(frame(1, other.node, 2, [[-1]]), bus.now)
    one.cluster.put(other.node, "first", [1, 1, "a"])
    assert not one.flush_scheduled


def test_unknown_node_that_leaves_is_not_met() -> None:
    bus, (one,) = quiet_bus(1)

    one.cluster.received(frame(1, 7, 2, [[-2, 0, 0, []], [-3]]), bus.now)
    one.cluster.received(frame(1, 7, 2, [[-1]]), bus.now)

    assert not one.flush_scheduled


def test_silent_node_is_buried() -> None:
    bus, (one, other) = quiet_bus()
    bus.kill(other)
    bus.run(5)
    assert set(one.cluster.nodes) == {other.node}

    bus.run(2.5)

    assert not one.cluster.nodes
    assert one.replicas["first"].removals == [(other.node, False)]
    assert one.cluster.counts.burials == one.events["buried"] == 1


def test_node_whose_process_has_ended_is_buried_at_once_if_it_is_known() -> None:
    bus, (one, other) = quiet_bus()
    bus.kill(other)

    one.cluster.ended(12345, bus.now)
    one.cluster.put(other.node, "first", [0, 1, "a", 1])
    sent = one.cluster.counts.frames_sent
    one.cluster.ended(other.node, bus.now)
    bus.run(0.01)

    assert one.cluster.counts.frames_sent == sent
    assert not one.cluster.nodes
    assert one.events["buried"] == 1


def test_unreachable_node_loses_its_calls_at_once_and_is_buried_if_it_stays_silent() -> None:
    bus, (one, other) = quiet_bus()
    one.replicas["first"].call(other.node)
    answers = Answers()
    one.cluster.ask("first", "?", answers)
    bus.kill(other)

    one.cluster.unreachable(12345, bus.now)
    one.cluster.unreachable(other.node, bus.now)
    assert not one.replicas["first"].calls
    assert answers.calls == [({}, False)]
    bus.run(1)
    assert set(one.cluster.nodes) == {other.node}
    bus.run(2)
    assert not one.cluster.nodes


def test_unreachable_node_that_reconnects_is_not_buried() -> None:
    bus, (one, other) = quiet_bus()

    one.cluster.unreachable(other.node, bus.now)
    bus.run(5)

    assert set(one.cluster.nodes) == {other.node}
    assert not one.events["buried"]


@pytest.mark.parametrize("news", ["ended", "unreachable"])
def test_disconnected_node_buries_nobody(news: str) -> None:
    bus, (one, other) = quiet_bus()
    bus.disconnect(one)

    getattr(one.cluster, news)(other.node, bus.now)

    assert set(one.cluster.nodes) == {other.node}


def test_deaf_node_reports_it_repeatedly_and_buries_nobody() -> None:
    bus, (one, other) = quiet_bus()
    one.reconnects = False
    bus.cut |= {(one.node, one.node), (other.node, one.node)}
    answers = Answers()
    one.replicas["first"].call(other.node)
    one.cluster.ask("first", "?", answers)
    bus.run(5)
    assert one.events["deaf"] == 1
    assert not one.replicas["first"].calls
    assert answers.calls == [({}, False)]
    bus.run(5)

    assert one.events["deaf"] in (2, 3)
    assert one.cluster.counts.deafness == 1
    assert one.cluster.ask("first", "?", Answers()).waiting == {other.node}, "it is not reachable"
    assert set(one.cluster.nodes) == {other.node}

    bus.cut.discard((one.node, one.node))
    bus.run(3)
    assert one.events["hearing"] == 1
    assert set(one.cluster.nodes) == {other.node}, "the time of the deafness does not count"
    bus.cut.clear()
    bus.run(2)
    assert one.cluster.reachable
    assert 0 < one.cluster.latency <= 0.001
    assert one.events["buried"] == other.events["buried"] == 0
    assert not rows_differ(bus)


def test_paused_node_buries_nobody_and_comes_back() -> None:
    bus, (one, other) = quiet_bus()
    one.replicas["first"].set_row("a", 1)
    bus.run(0.1)
    bus.pause(one)
    bus.run(10)
    assert other.events["buried"] == 1
    other.replicas["second"].set_row("b", 2)
    one.waiting.clear()

    bus.resume(one)
    bus.run(2)

    assert one.events["buried"] == 0
    assert (one.events["was_buried"], other.events["reinstated"]) == (1, 1)
    assert other.cluster.counts.reinstatements == 1
    assert not rows_differ(bus)


def test_nodes_that_buried_each_other_come_back() -> None:
    bus, (one, other) = quiet_bus()
    cut_both_ways(bus, one, other)
    one.replicas["first"].set_row("a", 1)
    other.replicas["first"].set_row("b", 2)
    bus.run(10)
    assert one.events["buried"] == other.events["buried"] == 1
    assert not one.replicas["first"].rows

    bus.cut.clear()
    bus.run(2)

    assert not rows_differ(bus)
    assert set(one.cluster.nodes) == {other.node}
    assert set(other.cluster.nodes) == {one.node}


def test_node_that_is_not_heard_ends_its_calls_and_questions() -> None:
    bus, (one, other) = quiet_bus()
    bus.cut.add((one.node, other.node))
    answers = Answers()
    one.replicas["first"].call(other.node)
    one.cluster.ask("first", "?", answers)
    bus.run(16)

    assert other.events["buried"] == 1
    assert (one.events["buried"], one.events["was_buried"]) == (0, 1)
    assert not one.replicas["first"].calls
    assert answers.calls == [({}, False)]


def test_disconnected_node_resets_all_links_and_keeps_rows() -> None:
    bus, (one, other) = quiet_bus()
    other.replicas["first"].set_row("a", 1)
    bus.run(0.1)
    answers = Answers()
    one.replicas["first"].call(other.node)
    one.cluster.ask("first", "?", answers)
    bus.disconnect(one)
    one.cluster.disconnected(bus.now)

    assert not one.replicas["first"].calls
    assert answers.calls == [({}, False)]
    assert one.cluster.counts.resets == 1
    assert one.replicas["first"].rows == {other.node: {"a": 1}}
    assert not one.cluster.reachable

    other.replicas["first"].set_row("a", 2)
    bus.run(3)
    bus.connect(one)
    bus.run(0.01)
    assert not rows_differ(bus)


def test_own_broadcasts_are_ignored() -> None:
    bus, (one,) = quiet_bus(1)
    one.replicas["first"].set_row("a", 1)
    bus.run(0.1)

    assert one.replicas["first"].rows == {}
    assert one.cluster.counts.items_received == 0


def test_item_for_several_nodes_is_encoded_once() -> None:
    bus, nodes = quiet_bus(3)
    one = nodes[0]
    before = one.encodings
    one.cluster.put_each([nodes[1].node, 4711, nodes[2].node], "first", [0, 1, "a", 1])

    assert one.encodings == before + 1
    bus.run(0.1)
    assert [node.replicas["first"].rows[one.node] for node in nodes[1:]] == [{"a": 1}, {"a": 1}]


def test_rows_of_a_realm_that_is_added_late_are_exchanged() -> None:
    bus, (one, other) = quiet_bus()
    for node in (one, other):
        late = node.replicas["late"] = ToyReplica(node, "late")
        late.own["a"] = node.node
        node.cluster.add_realm("late", late)
        bus.run(1.5)

    assert one.replicas["late"].rows == {other.node: {"a": other.node}}
    assert other.replicas["late"].rows == {one.node: {"a": one.node}}


def test_question_is_done_when_all_have_answered() -> None:
    bus, nodes = quiet_bus(3)
    answers = Answers()
    nodes[0].cluster.ask("first", "?", answers)
    assert nodes[0].cluster.questions_open == 1
    bus.run(0.1)

    assert answers.calls == [({node.node: ["?", 0] for node in nodes[1:]}, True)]
    assert nodes[0].cluster.questions_open == 0


def test_question_is_done_at_once_if_nobody_can_answer() -> None:
    bus, (one,) = quiet_bus(1)
    alone, unreachable, gone = Answers(), Answers(), Answers()
    one.cluster.ask("first", "?", alone)
    bus.disconnect(one)
    one.cluster.ask("first", "?", unreachable)
    bus.connect(one)
    one.cluster.leave()
    one.cluster.ask("first", "?", gone)

    assert alone.calls == [({}, True)]
    assert unreachable.calls == gone.calls == [({}, False)]


def test_question_is_incomplete_if_a_node_dies_and_complete_if_it_leaves() -> None:
    for leaves in (False, True):
        bus, (one, other, third) = quiet_bus(3)
        answers = Answers()
        bus.cut.add((one.node, other.node))
        one.cluster.ask("first", "?", answers)
        bus.run(0.1)
        assert not answers.calls
        if leaves:
            bus.leave(other)
        else:
            bus.kill(other)
        bus.run(8)

        assert answers.calls == [({third.node: ["?", 0]}, leaves)]


def test_cancelled_question_is_never_done() -> None:
    bus, (one, _) = quiet_bus()
    answers = Answers()
    question = one.cluster.ask("first", "?", answers)
    question.cancel()
    question.cancel()
    bus.run(0.1)

    assert not answers.calls
    assert one.cluster.questions_open == 0


def test_node_without_the_realm_counts_as_answered() -> None:
    bus, (one, other) = quiet_bus()
    one.cluster.add_realm("rare", ToyReplica(one, "rare"))
    bus.run(2)
    answers = Answers()
    one.cluster.ask("rare", "?", answers)
    one.cluster.put_all("rare", [1])
    bus.run(0.1)

    assert answers.calls == [({}, True)]
    assert other.cluster.counts.malformed == 0


@pytest.mark.parametrize("question", ["malformed", "large"])
def test_answer_that_fails_makes_the_question_incomplete(question: str) -> None:
    bus, (one, other) = quiet_bus()
    other.tolerant = True
    answers = Answers()
    one.cluster.ask("first", question, answers)
    bus.run(0.1)

    assert answers.calls == [({}, False)]
    assert len(other.reasons) == 1


def test_question_that_is_too_large_raises() -> None:
    _, (one, _) = quiet_bus()
    answers = Answers()
    with pytest.raises(ItemTooLarge):
        one.cluster.ask("first", "x" * 1000, answers)

    assert one.cluster.questions_open == 0
    assert not answers.calls


@pytest.mark.parametrize("lost", ["question", "answer"])
def test_question_is_repeated_after_a_gap(lost: str) -> None:
    bus, (one, other) = quiet_bus()
    answers = Answers()
    bus.cut.add((one.node, other.node) if lost == "question" else (other.node, one.node))
    one.cluster.ask("first", "?", answers)
    bus.run(0.01)
    bus.cut.clear()
    assert not answers.calls
    bus.run(2)

    assert answers.calls == [({other.node: ["?", 0]}, True)]


def test_leaving_finishes_the_questions() -> None:
    _, (one, _) = quiet_bus()
    answers = Answers()
    one.cluster.ask("first", "?", answers)

    one.cluster.leave()
    one.cluster.leave()

    assert answers.calls == [({}, False)]


def test_row_that_is_too_large_for_a_snapshot_is_reported() -> None:
    bus, (one,) = quiet_bus(1)
    one.tolerant = True
    one.replicas["first"].own = {"x" * 1000: 1, "a": 2}
    other = bus.add()
    bus.run(1)

    assert other.replicas["first"].rows == {one.node: {"a": 2}}
    assert "cannot be sent" in one.reasons[0]


@pytest.mark.parametrize("seed", range(5))
def test_without_faults_nothing_is_lost_or_reset(seed: int) -> None:
    bus = SimulatedBus(seed)
    bus.max_delay = 0.4
    nodes = [bus.add() for _ in range(3)]
    bus.run(2)
    for step in range(300):
        work(bus)
        bus.run(bus.random.choice([0, 0.01, 0.1]))
        if step == 200:
            nodes.append(bus.add())
    bus.run(5)

    for node in nodes:
        counts = node.cluster.counts
        assert (counts.gaps, counts.resets, counts.items_dropped) == (0, 0, 0)
        assert (counts.malformed, counts.burials) == (0, 0)
        assert counts.snapshots == 3
        for replica in node.replicas.values():
            assert all(call_id % 3 == 0 for call_id in replica.calls), "all calls that are answered are done"
    assert not rows_differ(bus)


def test_deaf_node_leaves_nodes_out_of_its_heartbeats_that_it_does_not_hear() -> None:
    bus, (one, other) = quiet_bus()
    one.reconnects = False
    bus.cut |= {(one.node, one.node), (other.node, one.node)}
    # Until the other node has learned that this one has ended its calls.
    bus.run(6)
    assert not one.cluster.reachable
    other.replicas["first"].call(one.node)
    bus.run(12)

    # It is not buried, because it is heard, but it does not answer.
    assert set(other.cluster.nodes) == {one.node}
    assert not other.replicas["first"].calls
