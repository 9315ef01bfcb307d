"""The way of one realm's items to the other nodes of the cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from wampasgi.router.cluster import Cluster, Question
from wampasgi.router.replicas import Item
from wampasgi.router.stamps import Stamp


class RealmChannel:
    """The cluster, as one realm uses it. ``key`` names the realm on all nodes."""

    __slots__ = ("_cluster", "key", "node")

    def __init__(self, cluster: Cluster, key: str) -> None:
        self._cluster = cluster
        self.key = key
        #: The ID of this node.
        self.node = cluster.node

    @property
    def nodes(self) -> Collection[int]:
        """The IDs of the other live nodes."""
        return self._cluster.nodes

    @property
    def reachable(self) -> bool:
        """Return whether other nodes can be reached, as far as this node knows."""
        return self._cluster.reachable

    @property
    def now(self) -> float:
        """The time of the frame that is being handled, on the clock of the deadlines, in seconds."""
        return self._cluster.now

    def congested(self, node: int) -> bool:
        """Return whether so much waits for a node that it should get no further invocations for now."""
        return self._cluster.congested(node)

    def stamp(self) -> Stamp:
        """Return the stamp of a change that this node makes now."""
        return self._cluster.stamps.next()

    def observe(self, time: int, node: int) -> Stamp:
        """Return the stamp of another node's change, which later stamps of this node will follow."""
        stamp = (time, node)
        self._cluster.stamps.observe(stamp)
        return stamp

    def put(self, node: int, item: Item) -> None:
        """Send an item to one node.

        Raises UnserializableValue, and ItemTooLarge if it does not fit into a frame.
        """
        self._cluster.put(node, self.key, item)

    def put_all(self, item: Item) -> None:
        """Send an item to all nodes; raises the errors of ``put``."""
        self._cluster.put_all(self.key, item)

    def put_each(self, nodes: Iterable[int], item: Item) -> None:
        """Send an item to several nodes; raises the errors of ``put``."""
        self._cluster.put_each(nodes, self.key, item)

    def ask(self, question: Any, done: Callable[[dict[int, Any], bool], None]) -> Question:
        """Ask all other nodes; see :meth:`Cluster.ask`."""
        return self._cluster.ask(self.key, question, done)
