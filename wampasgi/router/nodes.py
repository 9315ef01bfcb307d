"""Nodes of a cluster: their IDs, their clocks, and the time since they were last heard.

A node is one process that serves an application. All times except stamps are seconds of one monotonic clock,
which the caller passes in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from wampasgi.router.stamps import Stamp

#: The random 64-bit ID of a node, new for each start of its process.
NodeId: TypeAlias = int

_MICROSECONDS = 1_000_000


class Stamps:
    """The hybrid logical clock of a node: it follows the wall clock, but never goes back.

    ``clock`` returns seconds since the epoch. Nodes whose wall clocks differ still agree on the order of
    cause and effect, because each of them observes the stamps that it receives.
    """

    __slots__ = ("_clock", "_last", "_node")

    def __init__(self, node: NodeId, clock: Callable[[], float]) -> None:
        self._node = node
        self._clock = clock
        self._last = 0

    def next(self) -> Stamp:
        """Return a stamp that is greater than all stamps that were made or observed before."""
        self._last = max(self._last + 1, int(self._clock() * _MICROSECONDS))
        return self._last, self._node

    def observe(self, stamp: Stamp) -> None:
        """Make all later stamps greater than ``stamp``, which another node has made."""
        if stamp[0] > self._last:
            self._last = stamp[0]


class Heartbeats:
    """The heartbeats of this node, which must come back to it through the engine.

    The node is deaf if a heartbeat does not come back within ``deaf_after`` seconds.
    """

    __slots__ = (
        "_deaf_after",
        "_interval",
        "_last",
        "_number",
        "_reported",
        "_unreturned",
        "deaf",
        "latency",
    )

    def __init__(self, *, interval: float, deaf_after: float) -> None:
        self._interval = interval
        self._deaf_after = deaf_after
        self._number = 0
        self._last = float("-inf")
        self._reported = float("-inf")
        # The oldest heartbeat decides, so it does not matter that a long deafness pushes some out.
        self._unreturned: deque[tuple[int, float]] = deque(maxlen=64)
        #: True from the time that deafness is noticed until a heartbeat comes back.
        self.deaf = False
        #: Seconds between the last heartbeat that came back and its return; 0.0 before the first one.
        self.latency = 0.0

    def due(self, now: float) -> bool:
        """Return True if it is time for the next heartbeat."""
        return now - self._last >= self._interval

    def sent(self, now: float) -> int:
        """Record a heartbeat that is sent now, and return its number."""
        self._number += 1
        self._last = now
        self._unreturned.append((self._number, now))
        return self._number

    def returned(self, number: int, now: float) -> bool:
        """Record the return of a heartbeat; return True if this ends a deafness."""
        while self._unreturned and self._unreturned[0][0] <= number:
            self.latency = now - self._unreturned.popleft()[1]
        was_deaf, self.deaf = self.deaf, False
        return was_deaf

    def notice_deafness(self, now: float) -> bool:
        """Return True if a deafness has begun, and again every ``deaf_after`` seconds while it lasts."""
        if not self._unreturned or now - self._unreturned[0][1] < self._deaf_after:
            return False
        if self.deaf and now - self._reported < self._deaf_after:
            return False
        self.deaf, self._reported = True, now
        return True

    def restart(self) -> None:
        """Forget the heartbeats that have not come back, after a time in which none could."""
        self._unreturned.clear()


class Memory:
    """Facts about nodes that are gone: one number for each, limited to the newest ``limit`` nodes.

    A forgotten node that returns is treated like a new one.
    """

    __slots__ = ("_facts", "_limit")

    def __init__(self, limit: int = 1024) -> None:
        self._limit = limit
        self._facts: dict[NodeId, int] = {}

    def __contains__(self, node: NodeId) -> bool:
        return node in self._facts

    def __len__(self) -> int:
        return len(self._facts)

    def add(self, node: NodeId, fact: int = 0) -> None:
        """Remember a node, and forget the oldest one if there are too many."""
        self._facts[node] = fact
        if len(self._facts) > self._limit:
            del self._facts[next(iter(self._facts))]

    def get(self, node: NodeId) -> int | None:
        """Return the number that was stored for the node, or None."""
        return self._facts.get(node)

    def discard(self, node: NodeId) -> None:
        """Forget a node if it is known."""
        self._facts.pop(node, None)

    def clear(self) -> None:
        """Forget all nodes."""
        self._facts.clear()
