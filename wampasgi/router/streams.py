"""The streams of items between this node and all others: positions, snapshots, gaps and their repair.

If a frame of a stream is lost, its receiver resets the calls with the node in both directions, drops the rest
of the stream, and requests a new epoch of it. The sender resets its calls, too, when the request arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wampasgi.router import links
from wampasgi.router.links import ItemTooLarge, Link, Outbox, begins_snapshot, stream_problem
from wampasgi.router.nodes import NodeId
from wampasgi.router.questions import Questions
from wampasgi.router.replicas import ClusterCounts, ClusterObserver, Item, MalformedItem, Replica

_RESYNC_INTERVAL = 0.4


class Streams:
    """The streams of a node, in both directions.

    ``reachable`` returns False while no frame can be expected to reach another node.
    """

    def __init__(
        self,
        outbox: Outbox,
        questions: Questions,
        *,
        node: NodeId,
        counts: ClusterCounts,
        observer: ClusterObserver,
        reachable: Callable[[], bool],
    ) -> None:
        self.realms: dict[str, Replica] = {}
        #: The nodes whose rows are complete, except for those of a snapshot that is arriving.
        self.held: dict[NodeId, None] = {}
        self._node = node
        self._outbox = outbox
        self._encode = outbox.encode
        self._questions = questions
        self._counts = counts
        self._observer = observer
        self._reachable = reachable
        self._epoch = 0  # of the newest outgoing stream
        self._generation = 0  # the newest of any link

    # Outgoing

    def open(self, link: Link) -> None:
        """Begin the streams of a new link."""
        self._advance(link)
        self.begin(link)

    def begin(self, link: Link) -> None:
        """Begin a new epoch of the outgoing stream: all rows, then the questions without an answer."""
        self._epoch += 1
        self._counts.snapshots += 1
        outbox, out = self._outbox, link.out
        outbox.restart(out, self._epoch)
        outbox.put(out, "", self._encode([links.SNAPSHOT_BEGIN, outbox.everybody.sequence]))
        for key, replica in self.realms.items():
            for item in replica.snapshot():
                try:
                    outbox.put(out, key, self._encode(item))
                except ItemTooLarge as error:
                    self.report(self._node, f"a row of the realm {key} cannot be sent: {error}")
        outbox.put(out, "", self._encode([links.SNAPSHOT_END]))
        outbox.mark_clean(out)
        self._repeat_questions(link)

    def renew(self, link: Link, epoch: int) -> None:
        """Begin a new epoch because the node requested it, unless the request is for an older one."""
        if epoch == link.out.epoch:
            # The node may not have known that these items were lost, if it did not receive the stream anyway.
            if not self._outbox.is_clean(link.out):
                self.reset_calls(link)
            self.begin(link)

    def reinstate(self, link: Link) -> None:
        """Begin anew with a node that has removed all rows and calls of this one."""
        self.reset(link)
        self.begin(link)

    def _repeat_questions(self, link: Link) -> None:
        for question in self._questions.waiting_for(link.node):
            self._outbox.put(link.out, question.realm, question.encoded)

    # Incoming

    def take_direct(self, link: Link, frame: list[Any], now: float) -> None:
        """Handle a direct frame."""
        epoch, sequence, broadcast, generation, own_generation, items = frame[3:]
        if generation != link.other_generation:
            self.learn_generation(link, generation)
        if link.synced and epoch == link.epoch:
            if sequence <= link.sequence:
                return
            lost = sequence - link.sequence - 1 + max(0, broadcast - link.broadcast)
            if not lost:
                link.sequence = sequence
                self._apply(link, items, now, current=own_generation == link.generation)
                return
            self.break_off(link, lost, now)
        elif epoch > link.epoch and sequence == 1:
            if begins_snapshot(items):
                link.begin(epoch)
                self._apply(link, items, now, current=own_generation == link.generation)
                return
            link.epoch = epoch
            self._reject(link, "a stream must begin with a snapshot", now)
        elif epoch > link.epoch:
            link.epoch = epoch
            self.break_off(link, sequence - 1, now)
        self._counts.items_dropped += len(items)

    def take_broadcast(self, link: Link, frame: list[Any], now: float) -> None:
        """Handle a broadcast frame."""
        sequence, items = frame[3:]
        if link.synced:
            if sequence <= link.broadcast:
                return
            if sequence == link.broadcast + 1:
                link.broadcast = sequence
                self._apply(link, items, now, current=True)
                return
            self.break_off(link, sequence - link.broadcast - 1, now)
        if link.broken:  # a newcomer misses nothing before its first snapshot
            self._counts.items_dropped += len(items)

    def compare(self, link: Link, epoch: int, sequence: int, broadcast: int, now: float) -> None:
        """Compare the position of an incoming stream with the position that its sender states."""
        if link.synced and epoch == link.epoch:
            lost = max(0, sequence - link.sequence) + max(0, broadcast - link.broadcast)
        else:
            # Nothing overtakes anything, so the beginning of this epoch would have arrived before.
            link.epoch, lost = epoch, sequence
        if lost:
            self.break_off(link, lost, now)

    def _apply(self, link: Link, items: list[Any], now: float, *, current: bool) -> None:
        """Handle the items of a frame. If it is not current, only those of a snapshot are applied."""
        node, key, replica = link.node, "", None
        self._counts.items_received += len(items)
        try:
            for item in items:
                if type(item) is str:
                    key, replica = item, self.realms.get(item)
                elif type(item) is not list or not item or type(item[0]) is not int:
                    raise MalformedItem("an item must be a list that begins with an integer")
                elif item[0] < 0:
                    self._take_own(link, key, item)
                elif not (current or link.in_snapshot):
                    self._counts.items_dropped += 1
                elif replica is not None:
                    replica.apply(node, item)
                elif not key:
                    raise MalformedItem("an item must follow the key of its realm")
        except MalformedItem as error:
            self._reject(link, str(error), now)
        except Exception:
            # A fault of this node. The stream begins anew, so that the rows agree again.
            self._reject(link, "an item could not be handled", now)
            raise

    def _take_own(self, link: Link, key: str, item: Item) -> None:
        """Handle an item of the cluster itself."""
        problem = stream_problem(item)
        if problem is not None:
            raise MalformedItem(problem)
        if item[0] == links.SNAPSHOT_BEGIN:
            self._begin_snapshot(link, item[1])
        elif item[0] == links.SNAPSHOT_END:
            self._end_snapshot(link)
        elif item[0] == links.ASK:
            self._answer(link, key, item[1], item[2])
        else:
            self._take_answer(link, item)

    def _begin_snapshot(self, link: Link, broadcast: int) -> None:
        link.broadcast = broadcast
        link.in_snapshot = True
        for replica in self.realms.values():
            replica.begin_snapshot(link.node)

    def _end_snapshot(self, link: Link) -> None:
        if not link.in_snapshot:
            raise MalformedItem("a snapshot must begin before it ends")
        link.in_snapshot = False
        for replica in self.realms.values():
            replica.end_snapshot(link.node)
        if link.node not in self.held:
            self.held[link.node] = None
            self._observer.joined(link.node)
        # Answers may have been lost with the old epoch.
        self._repeat_questions(link)

    # Repair

    def break_off(self, link: Link, lost: int, now: float) -> None:
        """Handle the loss of frames: reset the calls with the node once, and request a new epoch."""
        if not link.broken:
            self._counts.gaps += 1
            self._counts.frames_lost += lost
            self.reset(link)
            self._observer.gap(link.node, lost)
        self.request(link, now)

    def reset(self, link: Link) -> None:
        """Break the incoming stream, so that a new epoch is requested, and reset the calls with the node."""
        link.break_off()
        self.reset_calls(link)

    def reset_calls(self, link: Link) -> None:
        """Reset the calls with the node at this end, and make the other end do the same."""
        self._advance(link)
        self._reset_replicas(link)

    def learn_generation(self, link: Link, generation: int) -> None:
        """Reset the calls with the node if it has done that, too."""
        known = link.other_generation
        if generation > known:
            link.other_generation = generation
            self._outbox.set_generations(link.out, link.generation, generation)
            if known:
                self._reset_replicas(link)

    def _advance(self, link: Link) -> None:
        self._generation += 1
        link.generation = self._generation
        self._outbox.set_generations(link.out, link.generation, link.other_generation)

    def _reset_replicas(self, link: Link) -> None:
        self._counts.resets += 1
        for replica in self.realms.values():
            replica.reset(link.node)

    def request(self, link: Link, now: float) -> None:
        """Request a new epoch of the incoming stream, at most every 0.4 seconds."""
        if self._reachable() and link.epoch and now - link.asked_at >= _RESYNC_INTERVAL:
            link.asked_at = now
            self._outbox.control(link.node, [links.RESYNC, link.epoch, link.generation])

    def report(self, node: NodeId | None, reason: str) -> None:
        """Count and report something malformed."""
        self._counts.malformed += 1
        self._observer.malformed(node, reason)

    def _reject(self, link: Link, reason: str, now: float) -> None:
        self.reset(link)
        self.report(link.node, reason)
        self.request(link, now)

    # Questions

    def _answer(self, link: Link, key: str, question_id: int, question: Any) -> None:
        replica = self.realms.get(key)
        status, answer = links.NO_SUCH_REALM, None
        try:
            if replica is not None:
                status, answer = links.ANSWERED, replica.answer(link.node, question)
            self._put_answer(link, question_id, status, answer)
        except (MalformedItem, ItemTooLarge) as error:
            self.report(link.node, str(error))
            self._put_answer(link, question_id, links.FAILED, None)

    def _put_answer(self, link: Link, question_id: int, status: int, answer: Any) -> None:
        self._outbox.put(link.out, "", self._encode([links.ANSWER, question_id, status, answer]))

    def _take_answer(self, link: Link, item: Item) -> None:
        question = self._questions.get(item[1])
        if question is None:
            return
        if item[2] == links.ANSWERED:
            question.answered(link.node, item[3])
        else:
            question.skip(link.node, complete=item[2] == links.NO_SUCH_REALM)
