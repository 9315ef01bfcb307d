"""The cluster: this node, the links to all other nodes, and the streams of items over them.

A cluster does no I/O: frames and the time come in by method calls, frames go out through callables. Each node
sends each other node a stream: a snapshot of its rows, and then all later items. If a frame of a stream is
lost, both nodes reset the calls between them, and the receiver requests a new epoch of the stream, with a new
snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, KeysView
from typing import Any

from wampasgi.router import links
from wampasgi.router.links import ItemTooLarge, Link, Outbox, control_problem, frame_problem
from wampasgi.router.nodes import Heartbeats, Memory, NodeId, Stamps
from wampasgi.router.questions import Done, Question, Questions
from wampasgi.router.replicas import ClusterCounts, ClusterObserver, Item, MalformedItem, Replica
from wampasgi.router.streams import Streams

__all__ = [
    "Cluster",
    "ClusterCounts",
    "ClusterObserver",
    "Item",
    "ItemTooLarge",
    "MalformedItem",
    "NodeId",
    "Question",
    "Replica",
    "Stamps",
]

_BEAT_INTERVAL = 0.9  # less than a second, because ticks come a little early or late
_LATE_TICK = 3.0
# The time that a node has to reconnect after a frame for it was not received, in seconds.
_RECONNECT_TIME = 2.0


class Cluster:
    """The nodes that serve the same realms, seen from one of them.

    ``encode`` and ``decode`` are MessagePack; ``decode`` raises ValueError for bytes that it does not
    understand. ``send`` and ``broadcast`` take frames of at most ``max_frame`` bytes. ``wake`` asks the owner
    to call ``flush`` at the end of its turn. ``clock`` returns seconds since the epoch, for stamps. All other
    times, ``now`` and those of the constructor, are seconds of a monotonic clock.
    """

    def __init__(
        self,
        node: NodeId,
        *,
        encode: Callable[[Any], bytes],
        decode: Callable[[bytes], Any],
        send: Callable[[NodeId, bytes], None],
        broadcast: Callable[[bytes], None],
        max_frame: int,
        clock: Callable[[], float],
        wake: Callable[[], None],
        observer: ClusterObserver,
        dead_after: float = 6.0,
        deaf_after: float = 3.0,
        join_time: float = 0.25,
        max_queued: int = 64 * 1024 * 1024,
    ) -> None:
        self.node = node
        self.stamps = Stamps(node, clock)
        self.counts = ClusterCounts()
        #: True once this node holds the rows of all nodes that it has heard of.
        self.ready = False
        #: The time of the frame that is being handled, or of the last one.
        self.now = 0.0
        self._encode = encode
        self._decode = decode
        self._observer = observer
        self._dead_after = dead_after
        self._join_time = join_time
        self._outbox = Outbox(
            node,
            encode=encode,
            send=send,
            broadcast=broadcast,
            wake=wake,
            max_frame=max_frame,
            max_queued=max_queued,
            counts=self.counts,
        )
        self._links: dict[NodeId, Link] = {}
        self._questions = Questions()
        self._streams = Streams(
            self._outbox,
            self._questions,
            node=node,
            counts=self.counts,
            observer=observer,
            reachable=lambda: self.reachable,
        )
        self._beats = Heartbeats(interval=_BEAT_INTERVAL, deaf_after=deaf_after)
        self._buried = Memory()  # dead nodes and the last epochs of their streams
        self._gone = Memory()  # nodes that have said goodbye
        self._refused = Memory()  # nodes of another version
        self._answered = Memory()  # dead nodes that were answered since the last tick
        self._running = False
        self._has_left = False
        self._connected = True
        self._introduced_at: float | None = None
        self._ticked_at = 0.0

    @property
    def nodes(self) -> KeysView[NodeId]:
        """The live nodes whose rows this node holds, without itself. The view changes with the cluster."""
        return self._streams.held.keys()

    @property
    def reachable(self) -> bool:
        """True while frames can be expected to reach other nodes."""
        return self._connected and not self._beats.deaf

    @property
    def latency(self) -> float:
        """Seconds from the sending of the last heartbeat that came back to its return."""
        return self._beats.latency

    @property
    def questions_open(self) -> int:
        """The number of questions that wait for answers."""
        return len(self._questions)

    def set_max_frame(self, max_frame: int) -> None:
        """Set the maximum size of a frame in bytes, once the engine is known."""
        self._outbox.set_max_frame(max_frame)

    def add_realm(self, key: str, replica: Replica) -> None:
        """Share a realm. Nodes should have all their realms before they start.

        Rows of a realm that is added later are exchanged with a reset of all links.
        """
        self._streams.realms[key] = replica
        for link in self._links.values():
            self._streams.reset(link)
            self._streams.begin(link)

    def put(self, node: NodeId, realm: str, item: Item) -> None:
        """Queue an item for one node. Raises ItemTooLarge.

        Nothing is queued for an unknown node: the replicas have learned already that it is gone.
        """
        link = self._links.get(node)
        if link is not None:
            self._outbox.put(link.out, realm, self._encode(item))

    def sender(self, realm: str) -> Callable[[NodeId, Item], None]:
        """Return a faster ``put`` for the items of one realm."""
        nodes, encode = self._links, self._encode
        queue = self._outbox.put

        def put(node: NodeId, item: Item) -> None:
            link = nodes.get(node)
            if link is not None:
                queue(link.out, realm, encode(item))

        return put

    def put_all(self, realm: str, item: Item) -> None:
        """Queue an item for all other nodes. Raises ItemTooLarge."""
        self._outbox.put(self._outbox.everybody, realm, self._encode(item))

    def put_each(self, nodes: Iterable[NodeId], realm: str, item: Item) -> None:
        """Queue an item for some nodes, encoded once; unknown nodes are skipped. Raises ItemTooLarge."""
        encoded = self._encode(item)
        for node in nodes:
            link = self._links.get(node)
            if link is not None:
                self._outbox.put(link.out, realm, encoded)

    def flush(self) -> None:
        """Hand all queued items over, in as few frames as possible."""
        self._outbox.flush()

    def ask(self, realm: str, question: Any, done: Done) -> Question:
        """Ask all other live nodes, and call ``done`` once with their answers.

        Its second argument is False if answers are missing, because a node died or this node became
        unreachable. A node that leaves in order, or does not have the realm, is not missing. ``done`` is
        called before this method returns if there is nobody to ask, or this node is unreachable. Raises
        ItemTooLarge.
        """
        asked = self._questions.open(realm, self._links, done)
        if self._has_left or not self.reachable:
            asked.finish(complete=False)
        elif not asked.waiting:
            asked.finish(complete=True)
        else:
            asked.encoded = self._encode([links.ASK, asked.question_id, question])
            try:
                self._outbox.put(self._outbox.everybody, realm, asked.encoded)
            except ItemTooLarge:
                asked.cancel()
                raise
        return asked

    def start(self, now: float) -> None:
        """Announce this node. Frames that arrive before are ignored."""
        self._running = True
        self._ticked_at = now
        self._send_beat(now)

    def leave(self) -> None:
        """Queue a goodbye, which ``flush`` sends, and finish all questions. Later frames are ignored."""
        if self._running:
            self._outbox.control(None, self._beat(0, self.now), [links.BYE])
            self._running, self._has_left = False, True
            self._questions.give_up()

    def tick(self, now: float) -> None:
        """Do what is due: heartbeats, deafness, dead nodes, repeated requests. Call it each half second."""
        if not self._running:
            return
        if now - self._ticked_at > _LATE_TICK:
            # The process was paused, so it cannot know for how long the others were silent.
            self._restart_times(now)
        self._ticked_at = now
        self._answered.clear()
        if not self._connected:
            return
        if self._beats.due(now):
            self._send_beat(now)
        self._check_hearing(now)
        if not self._beats.deaf:
            for link in list(self._links.values()):
                if now - link.heard_at > self._dead_after:
                    self._bury(link, now)
                else:
                    self._repair(link, now)
        self._check_ready(now)

    def connected(self, now: float) -> None:
        """Note that the engine can be reached again, and find out what was lost meanwhile."""
        self._connected = True
        if self._running:
            self._restart_times(now)
            self._send_beat(now)
            if not self._beats.deaf:
                self._request_all(now)

    def disconnected(self, now: float) -> None:
        """Note that the connection to the engine is lost: all calls with other nodes end."""
        if self._connected:
            self._connected = False
            self._isolate()

    def ended(self, node: NodeId, now: float) -> None:
        """Bury a node at once if it is known, because its process has ended."""
        link = self._links.get(node)
        if link is not None and self.reachable:
            self._bury(link, now)

    def unreachable(self, node: NodeId, now: float) -> None:
        """End the calls with a node, because the engine says that nobody receives its frames.

        The node may have ended, or may be about to reconnect. So it is buried a little later, if it stays
        silent.
        """
        link = self._links.get(node)
        if link is not None and self.reachable:
            self._streams.reset(link)
            self._questions.skip(node, complete=False)
            link.heard_at = min(link.heard_at, now - self._dead_after + _RECONNECT_TIME)

    def _beat(self, number: int, now: float) -> Item:
        self._outbox.finish()
        # A deaf node buries nobody. But a node that is not listed knows that its frames do not arrive.
        positions = [
            [node, link.out.epoch, link.out.sequence, link.generation]
            for node, link in self._links.items()
            if not self._beats.deaf or now - link.heard_at <= self._dead_after
        ]
        return [links.BEAT, number, self._outbox.everybody.sequence, positions]

    def _send_beat(self, now: float) -> None:
        beat = self._beat(self._beats.sent(now), now)
        if self._introduced_at is None:
            self._outbox.control(None, beat, [links.HELLO])
        else:
            self._outbox.control(None, beat)

    def _check_hearing(self, now: float) -> None:
        was_deaf = self._beats.deaf
        if self._beats.notice_deafness(now):
            if not was_deaf:
                self.counts.deafness += 1
                self._isolate()
            self._observer.deaf()

    def _isolate(self) -> None:
        for link in self._links.values():
            self._streams.reset(link)
        self._questions.give_up()

    def _restart_times(self, now: float) -> None:
        self._beats.restart()
        for link in self._links.values():
            link.heard_at = link.listed_at = now

    def _check_ready(self, now: float) -> None:
        if self.ready or self._introduced_at is None or now - self._introduced_at < self._join_time:
            return
        if len(self._streams.held) == len(self._links):
            self.ready = True
            self._observer.ready()

    def received(self, frame: bytes, now: float) -> None:
        """Handle a frame. Malformed frames are reported to the observer and counted."""
        if not self._running:
            return
        self.now = now
        self.counts.frames_received += 1
        self.counts.bytes_received += len(frame)
        try:
            header = self._decode(frame)
        except ValueError as error:
            self._streams.report(None, str(error))
            return
        if (
            type(header) is not list
            or len(header) < 2
            or type(header[0]) is not int
            or type(header[1]) is not int
        ):
            self._streams.report(None, "a frame must be a list that begins with a version and a node")
            return
        sender: NodeId = header[1]
        if header[0] != links.VERSION:
            self._refuse(sender, header[0])
            return
        problem = frame_problem(header)
        if problem is None and header[2] == links.CONTROL:
            problem = control_problem(header[3])
        if problem is not None:
            self._streams.report(sender, problem)
        elif sender == self.node:
            if header[2] == links.CONTROL:
                self._hear_itself(header[3], now)
        else:
            link = self._links.get(sender) or self._meet(header, now)
            if link is not None:
                link.heard_at = now
                self._dispatch(link, header, now)
        if not self.ready:
            self._check_ready(now)

    def _dispatch(self, link: Link, frame: list[Any], now: float) -> None:
        if frame[2] == links.DIRECT:
            self._streams.take_direct(link, frame, now)
        elif frame[2] == links.BROADCAST:
            self._streams.take_broadcast(link, frame, now)
        else:
            for item in frame[3]:
                if self._links.get(link.node) is link:
                    self._take_control(link, item, now)

    def _refuse(self, node: NodeId, version: int) -> None:
        self.counts.refused_versions += 1
        if node not in self._refused:
            self._refused.add(node)
            self._observer.refused_version(node, version)

    def _hear_itself(self, items: list[Item], now: float) -> None:
        for item in items:
            if item[0] == links.HELLO and self._introduced_at is None:
                self._introduced_at = now
            elif item[0] == links.BEAT and self._beats.returned(item[1], now):
                self._restart_times(now)
                self._observer.hearing()
                self._request_all(now)

    def _request_all(self, now: float) -> None:
        for link in self._links.values():
            if link.broken:
                link.asked_at = float("-inf")
                self._streams.request(link, now)

    def _take_control(self, link: Link, item: Item, now: float) -> None:
        code = item[0]
        if code == links.BEAT:
            self._take_beat(link, item, now)
        elif code == links.RESYNC:
            self._streams.learn_generation(link, item[2])
            self._streams.renew(link, item[1])
        elif code == links.BURIED and item[1] == link.out.epoch:
            # An older epoch means that the new one is on its way already.
            self._rejoin(link)
        elif code == links.BYE:
            self._gone.add(link.node)
            self._remove(link, orderly=True)
            self._observer.left(link.node)

    def _take_beat(self, link: Link, beat: Item, now: float) -> None:
        position = _position(beat, self.node)
        if position is not None:
            link.listed, link.listed_at = True, now
            epoch, sequence, generation = position
            self._streams.learn_generation(link, generation)
            self._streams.compare(link, epoch, sequence, beat[2], now)
        elif link.listed:
            # The node has buried this one, but may not receive the frames that it would answer with BURIED.
            self._rejoin(link)

    def _rejoin(self, link: Link) -> None:
        """Begin anew with a node that has buried this one."""
        link.listed = False
        self._observer.was_buried(link.node)
        self._streams.reinstate(link)

    def _repair(self, link: Link, now: float) -> None:
        """Repeat requests, and end calls with and questions to a node that cannot receive them."""
        if now - link.listed_at > self._dead_after:
            self._streams.reset_calls(link)
            self._questions.skip(link.node, complete=False)
        if link.broken:
            self._streams.request(link, now)

    def _meet(self, frame: list[Any], now: float) -> Link | None:
        """Return a new link to an unknown node, after beginning a stream; None if it must not have one."""
        node, control = frame[1], frame[3] if frame[2] == links.CONTROL else []
        codes = [item[0] for item in control]
        if node in self._gone or links.BYE in codes:
            self._gone.add(node)
            return None
        was_buried = links.BURIED in codes
        epoch = self._buried.get(node)
        if epoch is not None and not was_buried and self._stated_epoch(frame) <= epoch:
            if node not in self._answered:
                self._answered.add(node)
                self._outbox.control(node, [links.BURIED, epoch])
            return None
        link = self._links[node] = Link(node, now)
        if epoch is not None:
            self._buried.discard(node)
            self.counts.reinstatements += 1
            self._observer.reinstated(node)
        if was_buried:
            self._observer.was_buried(node)
        self._streams.open(link)
        return link

    def _stated_epoch(self, frame: list[Any]) -> int:
        """Return the epoch of the sender's stream to this node that a frame states, or 0."""
        if frame[2] == links.DIRECT:
            epoch: int = frame[3]
            return epoch
        beats = [item for item in frame[3] if item[0] == links.BEAT] if frame[2] == links.CONTROL else []
        positions = [_position(beat, self.node) for beat in beats]
        return max((position[0] for position in positions if position is not None), default=0)

    def _bury(self, link: Link, now: float) -> None:
        self.counts.burials += 1
        self._buried.add(link.node, link.epoch)
        self._remove(link, orderly=False)
        self._observer.buried(link.node, now - link.heard_at)

    def _remove(self, link: Link, *, orderly: bool) -> None:
        del self._links[link.node]
        self._streams.held.pop(link.node, None)
        self._outbox.discard(link.out)
        for replica in self._streams.realms.values():
            replica.remove(link.node, orderly=orderly)
        self._questions.skip(link.node, complete=orderly)


def _position(beat: Item, node: NodeId) -> tuple[int, int, int] | None:
    """Return the epoch, sequence number and generation of the stream to ``node`` in a heartbeat, or None."""
    return next((tuple(position) for to, *position in beat[3] if to == node), None)
