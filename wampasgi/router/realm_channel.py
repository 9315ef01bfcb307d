"""The way of one realm's items to the other nodes of the cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from wampasgi.router.cluster import Cluster
from wampasgi.router.replicas import Item
from wampasgi.router.stamps import Stamp


class RealmChannel:
    """The cluster, as one realm uses it. ``key`` names the realm on all nodes.

    The cluster exists while the application runs. Before and after, there are no other nodes.
    """

    __slots__ = ("_cluster", "congested", "key", "put")

    def __init__(self, key: str) -> None:
        self.key = key
        #: True if so much waits to be sent that other workers should get no further invocations for now.
        self.congested = False
        self.bind(None)

    def bind(self, cluster: Cluster | None) -> None:
        """Use a cluster from now on, or none."""
        self._cluster = cluster
        #: Sends an item to one node. Raises UnserializableValue, and ItemTooLarge if it does not fit into a
        #: frame.
        self.put: Callable[[int, Item], None] = _drop if cluster is None else cluster.sender(self.key)

    @property
    def node(self) -> int:
        """The ID of this node; 0 without a cluster."""
        return 0 if self._cluster is None else self._cluster.node

    @property
    def nodes(self) -> Collection[int]:
        """The IDs of the other live nodes."""
        return () if self._cluster is None else self._cluster.nodes

    @property
    def is_first(self) -> bool:
        """Return whether no live node has a smaller ID, for what one node must do for all."""
        return all(self.node < node for node in self.nodes)

    @property
    def reachable(self) -> bool:
        """Return whether other nodes can be reached, as far as this node knows."""
        return self._cluster is not None and self._cluster.reachable

    @property
    def ready(self) -> bool:
        """Return whether this node holds the rows of all nodes that were there when it started."""
        return self._cluster is None or self._cluster.ready

    @property
    def now(self) -> float:
        """The time of the frame that is being handled, on the clock of the deadlines, in seconds."""
        return 0 if self._cluster is None else self._cluster.now

    def stamp(self) -> Stamp:
        """Return the stamp of a change that this node makes now. Raises RuntimeError without a cluster."""
        if self._cluster is None:
            raise RuntimeError("the application has a backplane, and its lifespan is not running")
        return self._cluster.stamps.next()

    def observe(self, time: int, node: int) -> Stamp:
        """Return the stamp of another node's change, which later stamps of this node will follow."""
        stamp = (time, node)
        if self._cluster is not None:
            self._cluster.stamps.observe(stamp)
        return stamp

    def put_all(self, item: Item) -> None:
        """Send an item to all nodes; raises the errors of ``put``."""
        if self._cluster is not None:
            self._cluster.put_all(self.key, item)

    def put_each(self, nodes: Iterable[int], item: Item) -> None:
        """Send an item to several nodes; raises the errors of ``put``."""
        if self._cluster is not None:
            self._cluster.put_each(nodes, self.key, item)

    def ask(self, question: Any, done: Callable[[dict[int, Any], bool], None]) -> None:
        """Ask all other nodes; see :meth:`Cluster.ask`."""
        if self._cluster is None:
            done({}, True)
        else:
            self._cluster.ask(self.key, question, done)


def _drop(node: int, item: Item) -> None:
    """Send nothing: there are no other nodes."""
