"""A simulated engine with faults, and nodes with toy replicas that check what reaches them."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import ormsgpack

from wampasgi.router.cluster import Cluster, Item, MalformedItem
from wampasgi.router.nodes import NodeId

ROW, DELETE, CALL, RESULT, SNAPSHOT_ROW = range(5)
REALMS = ("first", "second")
DEAD_AFTER = 6.0


class ToyReplica:
    """Rows of all nodes, and calls that their callee answers after a while."""

    def __init__(self, node: SimulatedNode, key: str) -> None:
        self.node = node
        self.key = key
        self.own: dict[str, int] = {}
        self.rows: dict[NodeId, dict[str, int]] = {}
        self.new_rows: dict[NodeId, dict[str, int]] = {}
        self.last_number: dict[NodeId, int] = {}
        self.calls: dict[int, NodeId] = {}
        self.invocations: dict[tuple[NodeId, int], None] = {}
        self.outcomes: Counter[int] = Counter()
        self.results = 0
        self.removals: list[tuple[NodeId, bool]] = []

    def set_row(self, name: str, value: int) -> None:
        self.own[name] = value
        self.node.cluster.put_all(self.key, [ROW, self.node.next_number(), name, value])

    def delete_row(self, name: str) -> None:
        del self.own[name]
        self.node.cluster.put_all(self.key, [DELETE, self.node.next_number(), name])

    def call(self, callee: NodeId) -> None:
        call_id = self.node.bus.next_id()
        if self.node.cluster.reachable:
            self.calls[call_id] = callee
            self.node.cluster.put(callee, self.key, [CALL, self.node.next_number(), call_id])

    def apply(self, node: NodeId, item: Item) -> None:
        if item[0] == SNAPSHOT_ROW:
            self.new_rows[node][item[1]] = item[2]
            return
        if len(item) < 3:
            raise MalformedItem("too short")
        assert item[1] > self.last_number.get(node, 0), "items arrive in order, and none twice"
        self.last_number[node] = item[1]
        if item[0] == ROW:
            self.rows[node][item[2]] = item[3]
        elif item[0] == DELETE:
            del self.rows[node][item[2]]
        elif item[0] == CALL:
            self.node.bus.invoked[item[2]] += 1
            self.invocations[node, item[2]] = None
            self.node.bus.later(self.node.bus.random.uniform(0, 2), lambda: self.finish(node, item[2]))
        elif self.calls.pop(item[2], None) is not None:
            self.outcomes[item[2]] += 1
            self.results += 1

    def finish(self, caller: NodeId, call_id: int) -> None:
        if self.node.paused:
            self.node.bus.later(1, lambda: self.finish(caller, call_id))
        # One call in three is never answered, so its invocation ends by a reset only.
        elif call_id % 3 and (caller, call_id) in self.invocations:
            del self.invocations[caller, call_id]
            self.node.cluster.put(caller, self.key, [RESULT, self.node.next_number(), call_id])

    def snapshot(self) -> Iterable[Item]:
        for name, value in self.own.items():
            yield [SNAPSHOT_ROW, name, value]

    def begin_snapshot(self, node: NodeId) -> None:
        self.new_rows[node] = {}

    def end_snapshot(self, node: NodeId) -> None:
        self.rows[node] = self.new_rows.pop(node)

    def reset(self, node: NodeId) -> None:
        for call_id in [call_id for call_id, callee in self.calls.items() if callee == node]:
            del self.calls[call_id]
            self.outcomes[call_id] += 1
        for caller, call_id in [key for key in self.invocations if key[0] == node]:
            del self.invocations[caller, call_id]

    def remove(self, node: NodeId, *, orderly: bool) -> None:
        self.reset(node)
        self.removals.append((node, orderly))
        self.rows.pop(node, None)
        self.new_rows.pop(node, None)

    def answer(self, node: NodeId, question: Any) -> Any:
        if question == "malformed":
            raise MalformedItem("not a question")
        return [question, len(self.own)] if question != "large" else "x" * 1000


class SimulatedNode:
    """A node of the cluster, which is also its observer."""

    def __init__(self, bus: SimulatedBus, node: NodeId, max_frame: int) -> None:
        self.bus = bus
        self.node = node
        self.paused = False
        self.paused_at = 0.0
        self.was_paused = False
        self.connected = True
        self.alive = True
        self.impaired_at = float("-inf")
        self.heard: dict[NodeId, float] = {}
        self.waiting: list[bytes] = []
        self.reconnects = True
        self.tolerant = False
        self.reasons: list[str] = []
        self.encodings = 0
        self.number = 0
        self.events: Counter[str] = Counter()
        self.asked: Counter[int] = Counter()
        self.asked_at: dict[int, float] = {}
        self.slowest_answer = 0.0
        self.flush_scheduled = False
        self.cluster = Cluster(
            node,
            encode=self.encode,
            decode=ormsgpack.unpackb,
            send=lambda to, frame: bus.send(self, to, frame),
            broadcast=lambda frame: bus.broadcast(self, frame),
            max_frame=max_frame,
            clock=lambda: bus.now,
            wake=self.wake,
            observer=self,
            dead_after=DEAD_AFTER,
        )
        self.replicas = {key: ToyReplica(self, key) for key in REALMS}
        for key, replica in self.replicas.items():
            self.cluster.add_realm(key, replica)

    def encode(self, value: Any) -> bytes:
        self.encodings += isinstance(value, list)
        return ormsgpack.packb(value)

    def next_number(self) -> int:
        self.number += 1
        return self.number

    def wake(self) -> None:
        assert not self.flush_scheduled, "wake is called once before each flush"
        self.flush_scheduled = True
        self.bus.later(0, self.flush)

    def flush(self) -> None:
        if self.paused:
            self.bus.later(0.1, self.flush)
            return
        self.flush_scheduled = False
        self.cluster.flush()

    def receive(self, frame: bytes) -> None:
        if self.paused:
            self.waiting.append(frame)
        elif self.alive:
            self.heard[ormsgpack.unpackb(frame)[1]] = self.bus.now
            self.cluster.received(frame, self.bus.now)

    def told(self, node: NodeId) -> None:
        if self.alive and not self.paused:
            self.cluster.unreachable(node, self.bus.now)

    def tick(self) -> None:
        if self.alive:
            if not self.paused:
                self.cluster.tick(self.bus.now)
            self.bus.later(0.5, self.tick)

    def ask(self) -> None:
        question = self.bus.next_id()
        asked_at = self.bus.now
        self.asked_at[question] = asked_at

        def done(answers: dict[NodeId, Any], complete: bool) -> None:
            assert all(answer[0] == question for answer in answers.values())
            self.asked[question] += 1
            self.slowest_answer = max(self.slowest_answer, self.bus.now - asked_at)

        self.cluster.ask(self.bus.random.choice(REALMS), question, done)

    def ready(self) -> None:
        self.events["ready"] += 1

    def joined(self, node: NodeId) -> None:
        self.events["joined"] += 1

    def left(self, node: NodeId) -> None:
        self.events["left"] += 1

    def buried(self, node: NodeId, silent_for: float) -> None:
        self.events["buried"] += 1
        if node not in self.bus.nodes:
            return
        now = self.bus.now
        assert now - self.heard.get(node, float("-inf")) >= DEAD_AFTER, "a node that was heard is alive"
        assert now - self.impaired_at >= DEAD_AFTER, "this node could not hear anybody"

    def reinstated(self, node: NodeId) -> None:
        self.events["reinstated"] += 1

    def was_buried(self, by: NodeId) -> None:
        self.events["was_buried"] += 1

    def gap(self, node: NodeId, lost: int) -> None:
        self.events["gap"] += 1

    def deaf(self) -> None:
        self.events["deaf"] += 1
        if not self.reconnects:
            return
        self.bus.later(0, lambda: self.bus.disconnect(self))
        self.bus.later(0.1, lambda: self.bus.connect(self))

    def hearing(self) -> None:
        self.events["hearing"] += 1

    def refused_version(self, node: NodeId, version: int) -> None:
        self.events["refused"] += 1

    def malformed(self, node: NodeId | None, reason: str) -> None:
        assert self.tolerant, reason
        self.reasons.append(reason)


class SimulatedBus:
    """Carries frames in order, with a delay, except for those that faults remove."""

    def __init__(self, seed: int, *, max_frame: int = 400) -> None:
        self.random = random.Random(seed)
        self.max_frame = max_frame
        self.now = 1000.0
        self.nodes: dict[NodeId, SimulatedNode] = {}
        self.cut: set[tuple[NodeId, NodeId]] = set()
        self.loss = 0.0
        self.max_delay = 0.02
        self.up = True
        self.faulty_at = 0.0  # the end of the last fault
        self.tells_of_dead = False
        self.invoked: Counter[int] = Counter()
        self._arrivals: dict[tuple[NodeId, NodeId], float] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._last_id = 0
        self._boot = 0  # frames of an earlier run of the engine are lost

    def next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def later(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay, self.next_id(), action))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = end

    def add(self) -> SimulatedNode:
        node = SimulatedNode(self, self.random.getrandbits(64), self.max_frame)
        self.nodes[node.node] = node
        if not self.up:
            self.disconnect(node)
        node.cluster.start(self.now)
        self.later(self.random.uniform(0, 0.5), node.tick)
        return node

    def send(self, sender: SimulatedNode, to: NodeId, frame: bytes) -> None:
        assert len(frame) <= self.max_frame
        receiver = self.nodes.get(to)
        if receiver is not None and sender.alive and sender.connected:
            self._carry(sender, receiver, frame)
        elif receiver is None and self.tells_of_dead and sender.alive and sender.connected:
            self.later(self.max_delay, lambda: sender.told(to))

    def broadcast(self, sender: SimulatedNode, frame: bytes) -> None:
        assert len(frame) <= self.max_frame
        if sender.alive and sender.connected:
            for receiver in self.nodes.values():
                self._carry(sender, receiver, frame)

    def _carry(self, sender: SimulatedNode, receiver: SimulatedNode, frame: bytes) -> None:
        path, boot = (sender.node, receiver.node), self._boot
        if path in self.cut or not receiver.connected or self.random.random() < self.loss:
            return
        arrival = max(self._arrivals.get(path, 0.0), self.now + self.random.uniform(0, self.max_delay))
        self._arrivals[path] = arrival

        def deliver() -> None:
            if boot == self._boot and receiver.connected and path not in self.cut:
                receiver.receive(frame)

        self.later(arrival - self.now, deliver)

    def disconnect(self, node: SimulatedNode) -> None:
        if node.alive and node.connected and not node.paused:
            node.connected = False
            node.impaired_at = self.now
            node.cluster.disconnected(self.now)

    def connect(self, node: SimulatedNode) -> None:
        if node.alive and self.up and not node.connected and not node.paused:
            node.connected = True
            node.impaired_at = self.now
            self.faulty_at = self.now
            node.cluster.connected(self.now)

    def stop_engine(self) -> None:
        self.up = False
        self._boot += 1
        for node in self.nodes.values():
            self.disconnect(node)

    def start_engine(self) -> None:
        self.up = True
        for node in self.nodes.values():
            self.later(self.random.uniform(0, 0.2), lambda node=node: self.connect(node))  # type: ignore[misc]

    def pause(self, node: SimulatedNode) -> None:
        if node.connected and not node.paused:
            node.paused, node.paused_at = True, self.now
            node.was_paused = True

    def resume(self, node: SimulatedNode) -> None:
        if node.paused:
            node.paused = False
            if self.now - node.paused_at > 3:
                node.impaired_at = self.now
            waiting, node.waiting = node.waiting, []
            for frame in waiting:
                node.receive(frame)
            if not self.up:
                self.disconnect(node)

    def kill(self, node: SimulatedNode) -> None:
        node.alive = False
        del self.nodes[node.node]

    def leave(self, node: SimulatedNode) -> None:
        node.cluster.leave()
        node.cluster.flush()
        self.kill(node)

    def heal(self) -> None:
        self.faulty_at = self.now
        self.cut.clear()
        self.loss = 0.0
        for node in list(self.nodes.values()):
            self.resume(node)
        self.start_engine()
