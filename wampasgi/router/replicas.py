"""The interfaces that a cluster calls: the replicas of realms, and an observer for logs and metrics.

This module also holds the counters of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from wampasgi.router.nodes import NodeId

#: One message between the realms of two nodes: ``[code, ...]`` with a code of 0 or more.
Item: TypeAlias = list[Any]


class MalformedItem(ValueError):
    """An item of another node that a replica cannot understand."""


class Replica(Protocol):
    """The part of one realm that is shared with other nodes: rows of all nodes, and calls between nodes.

    Methods may queue items and ask questions. Rows belong to the node that made them.
    """

    def apply(self, node: NodeId, item: Item) -> None:
        """Handle an item of a node. Raises MalformedItem; then the rows of the node are requested again."""

    def snapshot(self) -> Iterable[Item]:
        """Return the rows of this node, for a node that has none of them."""

    def begin_snapshot(self, node: NodeId) -> None:
        """Prepare for a snapshot: the rows of ``node`` that follow replace those that are known.

        If frames are lost, this is called again before ``end_snapshot``.
        """

    def end_snapshot(self, node: NodeId) -> None:
        """Remove the rows of ``node`` that were not in the snapshot."""

    def reset(self, node: NodeId) -> None:
        """End all calls in flight with ``node``, in both directions: items of them may be lost.

        Rows stay. Must not queue items for ``node``.
        """

    def remove(self, node: NodeId, *, orderly: bool) -> None:
        """Remove all rows of ``node`` and end all calls with it: it has left, or is considered dead."""

    def answer(self, node: NodeId, question: Any) -> Any:
        """Return the answer to a question of a node; it may ask the same question twice.

        Raises MalformedItem; then the node that asked learns that its answers are not complete.
        """


class ClusterObserver(Protocol):
    """Receives the events of a cluster, for logs, metrics and hooks. It is called synchronously."""

    def ready(self) -> None:
        """Note that this node holds the rows of all nodes that it has heard of."""

    def joined(self, node: NodeId) -> None:
        """Note that this node holds the rows of a new node, or of one that was reinstated."""

    def left(self, node: NodeId) -> None:
        """Note that a node said goodbye."""

    def buried(self, node: NodeId, silent_for: float) -> None:
        """Note that a node is considered dead after ``silent_for`` seconds without a frame."""

    def reinstated(self, node: NodeId) -> None:
        """Note that a node that was considered dead is alive. Its rows follow."""

    def was_buried(self, by: NodeId) -> None:
        """Note that another node considered this node dead. It gets the rows of this node again."""

    def gap(self, node: NodeId, lost: int) -> None:
        """Note that ``lost`` frames of a node did not arrive. Its calls are reset, its rows follow again."""

    def deaf(self) -> None:
        """Note that heartbeats do not come back; repeated while that lasts. A reconnect may help."""

    def hearing(self) -> None:
        """Note that a heartbeat came back, which ends a deafness."""

    def refused_version(self, node: NodeId, version: int) -> None:
        """Note that a node speaks another version of the frame format; reported once for each node."""

    def malformed(self, node: NodeId | None, reason: str) -> None:
        """Note that a frame or item was not understood. The node is None if the frame does not name it."""


@dataclass(slots=True)
class ClusterCounts:
    """The counters of a cluster.

    ``items_dropped`` counts items that arrived while their sender's stream was broken; they follow again in a
    snapshot, except for those of calls. ``resets`` counts how often the calls with a node were ended.
    ``snapshots`` counts the snapshots sent.
    """

    frames_sent: int = 0
    frames_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    items_sent: int = 0
    items_received: int = 0
    items_dropped: int = 0
    snapshots: int = 0
    gaps: int = 0
    frames_lost: int = 0
    resets: int = 0
    burials: int = 0
    reinstatements: int = 0
    deafness: int = 0
    malformed: int = 0
    refused_versions: int = 0
