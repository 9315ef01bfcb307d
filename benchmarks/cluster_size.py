"""The traffic between the workers of a large realm: `python -m benchmarks.cluster_size`.

Nothing here runs a million sessions. The script measures the size and the cost of single frames, and the
memory of 20,000 remote sessions, and multiplies.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.client import WrongAnswer
from wampasgi.protocol.messages import Message
from wampasgi.router.cluster import Cluster
from wampasgi.router.cluster_items import ItemCode
from wampasgi.router.clustered_router import ClusteredRouter
from wampasgi.router.interfaces import JoinedSession, SharedEvent
from wampasgi.router.realm_channel import RealmChannel
from wampasgi.serializers.node_codec import decode_frame, encode_item

#: The sessions whose memory and cost are measured.
SAMPLE = 20_000

#: The seconds between two heartbeats.
BEAT_INTERVAL = 0.9

_CALLER_FEATURES = ["call_canceling", "caller_identification", "progressive_call_results"]
_CALLEE_FEATURES = ["call_canceling", "pattern_based_registration", "progressive_call_results"]


class _Subscriber:
    """A recipient that counts its events, with the identity of a session."""

    overloaded = False
    authid = authrole = None

    def __init__(self) -> None:
        self.details: dict[str, Any] = {}
        self.events = 0

    def send(self, message: Message) -> None:
        raise WrongAnswer(f"unexpected {message!r}")

    def send_event(self, event: SharedEvent) -> None:
        self.events += 1

    def revoke_subscription(self, subscription_id: int, reason: str | None) -> None:
        raise WrongAnswer("a subscription is revoked")

    def say_goodbye(self, reason: str, message: str | None = None) -> None:
        raise WrongAnswer("a session is closed")


class _Ignore:
    """An observer that ignores everything."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: None


@dataclass
class _Node:
    """A node with one realm, which collects the frames that it sends."""

    number: int
    frames: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = Cluster(
            self.number * 2**56 + 12345,
            encode=encode_item,
            decode=decode_frame,
            send=lambda node, frame: self.frames.append(frame),
            broadcast=self.frames.append,
            max_frame=1024 * 1024,
            clock=time.time,
            wake=lambda: None,
            observer=_Ignore(),
            dead_after=1e9,
            deaf_after=1e9,
        )
        channel = RealmChannel("com.example.realm")
        channel.bind(self.cluster)
        self.router: ClusteredRouter[JoinedSession] = ClusteredRouter(
            channel,
            now=lambda: "2026-11-23T12:00:00.000Z",
            id_key=b"k" * 32,
            report=lambda topic, reason: None,
            testaments_published=lambda: None,
        )
        self.cluster.add_realm(channel.key, self.router)
        self.cluster.start(0)

    def take(self) -> list[bytes]:
        """Return the frames since the last call."""
        self.cluster.flush()
        frames = self.frames[:]
        self.frames.clear()
        return frames


def connected(nodes: list[_Node]) -> None:
    """Exchange frames until all nodes hold the rows of all others."""
    while frames := [frame for node in nodes for frame in node.take()]:
        for node in nodes:
            for frame in frames:
                node.cluster.received(frame, 1.0)


def join_item(number: int) -> list[Any]:
    identity = [f"user{number}@example.com", "user", "ticket", "static"]
    return [ItemCode.JOIN, 2**52 + number, *identity, _CALLER_FEATURES, _CALLEE_FEATURES]


def leave_item(number: int) -> list[Any]:
    return [ItemCode.LEAVE, 2**52 + number, 1_790_000_000_000_000 + number, True]


def publish_item(number: int, payload: int) -> list[Any]:
    event = [2**52 + number, "com.example.machine.temperature", {}, {}, 2**51, ["x" * payload], None, None, 0]
    return [ItemCode.PUBLISH, 2**51, None, None, *event]


@dataclass(frozen=True)
class Costs:
    """The size in bytes and the receiver's CPU time in microseconds of frames with one item."""

    join: int
    leave: int
    publish: int
    join_cpu: float
    leave_cpu: float
    publish_cpu: float
    session_memory: float


def measured(payload: int) -> Costs:
    """Measure frames between two nodes; a publication has one subscriber at the receiver."""
    sender, receiver = _Node(1), _Node(2)
    connected([sender, receiver])
    subscriber = _Subscriber()
    receiver.router.attach(1, subscriber, subscriber)
    receiver.router.broker.subscribe(1, "com.example.machine.temperature", "exact")
    realm = receiver.router.channel.key

    def frames(items: list[list[Any]]) -> list[bytes]:
        found = []
        for item in items:
            sender.cluster.put_all(realm, item)
            found += sender.take()
        return found

    def cpu(received: list[bytes]) -> float:
        began = time.process_time()
        for frame in received:
            receiver.cluster.received(frame, 1.0)
        return 1e6 * (time.process_time() - began) / len(received)

    joins = frames([join_item(number) for number in range(SAMPLE)])
    tracemalloc.start()
    for frame in joins[: SAMPLE // 2]:
        receiver.cluster.received(frame, 1.0)
    memory = tracemalloc.get_traced_memory()[0] / (SAMPLE // 2)
    tracemalloc.stop()
    join_cpu = cpu(joins[SAMPLE // 2 :])
    publications = frames([publish_item(number, payload) for number in range(SAMPLE)])
    publish_cpu = cpu(publications)
    found = receiver.router.metrics()["realm"]["sessions"], subscriber.events
    if found != (SAMPLE, SAMPLE):
        raise WrongAnswer(f"{found[0]} sessions and {found[1]} events instead of {SAMPLE} of each")
    leaves = frames([leave_item(number) for number in range(SAMPLE)])
    leave_cpu = cpu(leaves)
    sizes = [len(found[-1]) for found in (joins, leaves, publications)]
    return Costs(sizes[0], sizes[1], sizes[2], join_cpu, leave_cpu, publish_cpu, memory)


def beat_costs(nodes: int) -> tuple[int, float]:
    """Return the size of a heartbeat among so many nodes, and the receiver's CPU time for it."""
    sender, receiver, *_ = cluster = [_Node(number) for number in range(1, nodes + 1)]
    connected(cluster)
    sender.take()
    found: list[bytes] = []
    for second in range(1, 101):
        sender.cluster.tick(float(second))
        found += sender.take()
    began = time.process_time()
    for frame in found:
        receiver.cluster.received(frame, 101.0)
    return len(found[-1]), 1e6 * (time.process_time() - began) / len(found)


def report(nodes: int, sessions: int, publications: int, interest: float, churn: float, costs: Costs) -> None:
    """Print the traffic of a realm."""
    beat, beat_cpu = beat_costs(nodes)
    changes = sessions * churn
    sent = {
        "heartbeats": (nodes / BEAT_INTERVAL, beat, nodes, beat_cpu),
        "joins": (changes, costs.join, nodes, costs.join_cpu),
        "leaves": (changes, costs.leave, nodes, costs.leave_cpu),
        "publications": (publications * interest * (nodes - 1), costs.publish, 1, costs.publish_cpu),
    }
    print(f"\n{nodes} nodes, {sessions:,} sessions")
    print(
        f"{'':14}{'sent/s':>12}{'bytes':>8}{'delivered/s':>13}{'MB/s':>9}{'to a node/s':>13}{'CPU of it':>11}"
    )
    total_frames = total_bytes = total_node = total_cpu = 0.0
    for name, (frames, size, receivers, cpu) in sent.items():
        delivered = frames * receivers
        share = delivered / nodes
        busy = share * cpu / 1e6
        total_frames += delivered
        total_bytes += delivered * size
        total_node += share
        total_cpu += busy
        print(
            f"{name:14}{frames:12,.0f}{size:8}{delivered:13,.0f}{delivered * size / 1e6:9.1f}"
            f"{share:13,.0f}{busy:11.1%}"
        )
    print(
        f"{'all':14}{'':20}{total_frames:13,.0f}{total_bytes / 1e6:9.1f}{total_node:13,.0f}{total_cpu:11.1%}"
    )
    remote = sessions * (nodes - 1) / nodes
    print(f"memory of remote sessions on each node: {remote * costs.session_memory / 1e6:,.0f} MB")
    print(f"snapshots for a node that joins: {remote * costs.join / 1e6:,.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster_size", description=__doc__)
    parser.add_argument("--publications", type=int, default=10_000, help="publications a second in the realm")
    parser.add_argument(
        "--interest",
        type=float,
        default=0.01,
        help="share of the other nodes with subscribers of a publication",
    )
    parser.add_argument("--churn", type=float, default=0.01, help="share of sessions that join each second")
    parser.add_argument("--payload", type=int, default=100, help="bytes of payload")
    arguments = parser.parse_args()
    costs = measured(arguments.payload)
    print(
        f"each second {arguments.churn:.1%} of the sessions leave and as many join, in frames of their own;"
        f" {arguments.publications:,} publications of {arguments.payload} bytes, each for"
        f" {arguments.interest:.1%} of the other nodes"
    )
    print(f"{costs.session_memory:.0f} bytes of memory for a remote session")
    for nodes, sessions in ((4, 20_000), (30, 100_000), (100, 1_000_000)):
        report(nodes, sessions, arguments.publications, arguments.interest, arguments.churn, costs)


if __name__ == "__main__":
    main()
