"""Links between nodes: the format of frames, and the queues of items.

A frame is a MessagePack list ``[version, sender, kind, ..., items]`` of one of three kinds:

- broadcast, for all nodes: ``[version, sender, 0, sequence, items]``
- direct, for one node: ``[version, sender, 1, epoch, sequence, last broadcast sequence, generation, known
  generation of the receiver, items]``
- control, for one node or all: ``[version, sender, 2, items]``

The direct frames of one epoch and the broadcast frames together are a stream, which arrives completely or is
found to be broken. Control frames are outside of streams, because they repair them: they have no sequence
number, and may be lost or repeated.

The generation of a link changes at one of its ends when that end resets the calls with the other: the other
resets its calls, too, when it learns the new generation. Until then it sends items with the old one, and
those are dropped, except for rows: they may belong to calls that the receiver does not know any more.

A string among the items is the key of the realm of all items after it in the frame. An item is a list that
begins with its code. Codes below zero belong to the cluster, all others to the realms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from wampasgi.router.nodes import NodeId
from wampasgi.router.replicas import ClusterCounts, Item

VERSION: Final = 1

BROADCAST: Final = 0
DIRECT: Final = 1
CONTROL: Final = 2

# Items of control frames.
HELLO: Final = -1  # [HELLO]
BEAT: Final = -2  # [BEAT, number, broadcast sequence, [[node, epoch, sequence, generation], ...]]
BYE: Final = -3  # [BYE]
RESYNC: Final = -4  # [RESYNC, epoch, generation]
BURIED: Final = -5  # [BURIED, epoch]
# Items of direct and broadcast frames.
SNAPSHOT_BEGIN: Final = -6  # [SNAPSHOT_BEGIN, broadcast sequence so far]
SNAPSHOT_END: Final = -7  # [SNAPSHOT_END]
ASK: Final = -8  # [ASK, question ID, question], after the key of its realm
ANSWER: Final = -9  # [ANSWER, question ID, status, answer]

# The status of an answer.
ANSWERED: Final = 0
NO_SUCH_REALM: Final = 1
FAILED: Final = 2

#: The types of what follows the code of an item. None stands for any value.
_CONTROL_SHAPES: Final[dict[int, tuple[type | None, ...]]] = {
    HELLO: (),
    BEAT: (int, int, list),
    BYE: (),
    RESYNC: (int, int),
    BURIED: (int,),
}
_STREAM_SHAPES: Final[dict[int, tuple[type | None, ...]]] = {
    SNAPSHOT_BEGIN: (int,),
    SNAPSHOT_END: (),
    ASK: (int, None),
    ANSWER: (int, int, None),
}

#: The number of elements of a frame, by its kind.
_SIZES: Final = {BROADCAST: 5, DIRECT: 9, CONTROL: 4}

# The largest size of everything but items: six numbers of 9 bytes, two small ones, two array headers.
_OVERHEAD: Final = 64
_STRING_HEADER: Final = 5


class ItemTooLarge(ValueError):
    """An item of ``size`` bytes that does not fit into a frame, which can hold one of ``limit`` bytes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"an item of {size} bytes is larger than the limit of {limit} bytes")
        self.size = size
        self.limit = limit


def frame_problem(frame: Any) -> str | None:
    """Return the reason why a decoded frame of our version is malformed, or None. Does not look at items."""
    if len(frame) < 4:
        return "a frame must have at least 4 elements"
    for number in frame[1:-1]:
        if type(number) is not int or number < 0:
            return "the header of a frame must consist of non-negative integers"
    if type(frame[-1]) is not list:
        return "the items of a frame must be a list"
    if _SIZES.get(frame[2]) != len(frame):
        return f"a frame of kind {frame[2]} must not have {len(frame)} elements"
    return None


def control_problem(items: list[Any]) -> str | None:
    """Return the reason why the items of a control frame are malformed, or None."""
    for item in items:
        if (problem := _shape_problem(item, _CONTROL_SHAPES)) is not None:
            return problem
        if item[0] == BEAT and not all(_is_position(position) for position in item[3]):
            return "a heartbeat must name a node and three numbers for each stream"
    return None


def stream_problem(item: Any) -> str | None:
    """Return the reason why an item of the cluster in a direct or broadcast frame is malformed, or None."""
    return _shape_problem(item, _STREAM_SHAPES)


def begins_snapshot(items: list[Any]) -> bool:
    """Return True if the items of a frame begin with that of a snapshot."""
    return bool(items) and type(items[0]) is list and items[0][:1] == [SNAPSHOT_BEGIN]


def _shape_problem(item: Any, shapes: dict[int, tuple[type | None, ...]]) -> str | None:
    if type(item) is not list or not item or type(item[0]) is not int:
        return "an item must be a list that begins with an integer"
    shape = shapes.get(item[0])
    if shape is None:
        return f"there is no item with the code {item[0]}"
    if len(item) != len(shape) + 1:
        return f"an item with the code {item[0]} must have {len(shape) + 1} elements"
    for value, expected in zip(item[1:], shape, strict=True):
        if expected is not None and type(value) is not expected:
            return f"an item with the code {item[0]} has an element of a wrong type"
    return None


def _is_position(value: Any) -> bool:
    return type(value) is list and len(value) == 4 and all(type(number) is int for number in value)


def _array_header(length: int) -> bytes:
    if length < 16:
        return bytes((0x90 | length,))
    if length < 0x10000:
        return b"\xdc" + length.to_bytes(2)
    return b"\xdd" + length.to_bytes(4)


class Outgoing:
    """An outgoing stream: its position, and the items of the next frame.

    ``node`` is None for the broadcasts to all nodes.
    """

    __slots__ = ("_elements", "_realm", "_size", "clean_at", "epoch", "generations", "node", "sequence")

    def __init__(self, node: NodeId | None) -> None:
        self.node = node
        self.epoch = 0
        self.sequence = 0  # of the last finished frame
        self.generations = b""  # encoded: of this node, then of the other one
        #: The last frame that can contain no item of a call, since calls were reset.
        self.clean_at = 0
        self._elements: list[bytes] = []
        self._size = 0
        self._realm = ""

    def __bool__(self) -> bool:
        return bool(self._elements)

    def add(self, realm: str, key: bytes, item: bytes, room: int) -> bool:
        """Add an item to the next frame; return False if it does not fit beside those that it has."""
        switch = realm != self._realm and realm != ""
        size = self._size + len(item) + (len(key) if switch else 0)
        if size > room and self._elements:
            return False
        if switch:
            self._elements.append(key)
            self._realm = realm
        self._elements.append(item)
        self._size = size
        return True

    def append(self, realm: str, item: bytes, room: int) -> bool:
        """Add an item of the realm of the last one; return False if it is another, or there is no room."""
        size = self._size + len(item)
        if size > room or realm != self._realm or not realm:
            return False
        self._elements.append(item)
        self._size = size
        return True

    def take(self) -> list[bytes]:
        """Return the elements of the next frame, and begin the one after it."""
        elements = self._elements
        self.drop()
        return elements

    def drop(self) -> None:
        """Drop the items of the next frame."""
        self._elements = []
        self._size = 0
        self._realm = ""


class Outbox:
    """The frames that a node sends, in the order in which their items were queued.

    ``encode`` returns a value as MessagePack. ``wake`` is called when the first item after a flush is queued.
    Frames are handed to ``send`` and ``broadcast`` by ``flush``, or earlier if more than ``max_queued`` bytes
    wait.
    """

    def __init__(
        self,
        node: NodeId,
        *,
        encode: Callable[[Any], bytes],
        send: Callable[[NodeId, bytes], None],
        broadcast: Callable[[bytes], None],
        wake: Callable[[], None],
        max_frame: int,
        max_queued: int,
        counts: ClusterCounts,
    ) -> None:
        self.encode = encode
        self._send = send
        self._broadcast = broadcast
        self._wake = wake
        self._counts = counts
        self._room = max_frame - _OVERHEAD
        self._max_queued = max_queued
        sender = encode(VERSION) + encode(node)
        self._prefixes = [_array_header(_SIZES[kind]) + sender + encode(kind) for kind in range(3)]
        self._keys: dict[str, bytes] = {"": b""}
        self._open: dict[Outgoing, None] = {}  # those with items
        self._finished: list[tuple[NodeId | None, bytes]] = []
        self._queued = 0
        self._awake = False
        self.everybody = Outgoing(None)
        # The stream of the last item, as long as its frame is open.
        self._last: Outgoing | None = None

    def set_max_frame(self, max_frame: int) -> None:
        """Set the maximum size of a frame in bytes."""
        self._room = max_frame - _OVERHEAD

    @property
    def queued(self) -> int:
        """The number of bytes in finished frames that ``flush`` has not handed over."""
        return self._queued

    def put(self, stream: Outgoing, realm: str, item: bytes) -> None:
        """Queue an encoded item; ``realm`` is empty for items of the cluster that have none.

        Raises ItemTooLarge if it does not fit into a frame.
        """
        if stream is self._last and stream.append(realm, item, self._room):
            # Nearly all items of a turn follow one of the same kind.
            self._counts.items_sent += 1
            return
        key = self._keys.get(realm)
        if key is None:
            key = self._keys[realm] = self.encode(realm)
        if len(item) + len(key) > self._room:
            raise ItemTooLarge(len(item), self._room - len(key))
        # A receiver must see direct and broadcast items in their common order, so only one kind is open at a
        # time.
        if stream.node is None:
            if self._open:
                self._finish_direct()
        else:
            if self.everybody:
                self._finish(self.everybody)
            self._open[stream] = None
        if not stream.add(realm, key, item, self._room):
            self._finish(stream)
            stream.add(realm, key, item, self._room)
        self._last = stream
        self._counts.items_sent += 1
        if not self._awake:
            self._awake = True
            self._wake()

    def control(self, node: NodeId | None, *items: Item) -> None:
        """Queue a control frame for a node, or for all nodes, after everything that is queued."""
        self.finish()
        elements = [self.encode(item) for item in items]
        self._append(node, self._prefixes[CONTROL], elements)
        if not self._awake:
            self._awake = True
            self._wake()

    def set_generations(self, stream: Outgoing, own: int, other: int) -> None:
        """Set the generations for all items of a direct stream that are queued from now on."""
        self.mark_clean(stream)
        stream.generations = self.encode(own) + self.encode(other)

    def mark_clean(self, stream: Outgoing) -> None:
        """Note that all items queued so far for a direct stream are rows, or belong to reset calls."""
        self._open.pop(stream, None)
        if stream:
            self._finish(stream)
        stream.clean_at = stream.sequence

    def is_clean(self, stream: Outgoing) -> bool:
        """Return True if no item was queued for a direct stream since it was marked clean."""
        return not stream and stream.sequence == stream.clean_at

    def restart(self, stream: Outgoing, epoch: int) -> None:
        """Begin a new epoch of a direct stream, and drop its items that are in no frame yet."""
        self.finish_broadcast()
        self.discard(stream)
        stream.epoch = epoch
        stream.sequence = 0

    def discard(self, stream: Outgoing) -> None:
        """Drop the items of a direct stream that are in no frame yet."""
        stream.drop()
        self._open.pop(stream, None)
        self._last = None

    def finish_broadcast(self) -> None:
        """Finish the open broadcast frame, so that the last sequence number covers all items."""
        if self.everybody:
            self._finish(self.everybody)

    def finish(self) -> None:
        """Finish all open frames."""
        self.finish_broadcast()
        self._finish_direct()

    def flush(self) -> None:
        """Hand over all frames."""
        self.finish()
        self._awake = False
        self._hand_over()

    def _finish_direct(self) -> None:
        for stream in list(self._open):
            self._finish(stream)
        self._open.clear()

    def _finish(self, stream: Outgoing) -> None:
        self._last = None
        stream.sequence += 1
        encode = self.encode
        if stream.node is None:
            header = self._prefixes[BROADCAST] + encode(stream.sequence)
        else:
            position = encode(stream.epoch) + encode(stream.sequence) + encode(self.everybody.sequence)
            header = self._prefixes[DIRECT] + position + stream.generations
        self._append(stream.node, header, stream.take())

    def _append(self, node: NodeId | None, header: bytes, elements: list[bytes]) -> None:
        frame = b"".join((header, _array_header(len(elements)), *elements))
        self._finished.append((node, frame))
        self._queued += len(frame)
        # The engine's client has a limit of its own and drops frames beyond it, which receivers notice.
        if self._queued > self._max_queued:
            self._hand_over()

    def _hand_over(self) -> None:
        frames, self._finished = self._finished, []
        counts = self._counts
        counts.frames_sent += len(frames)
        counts.bytes_sent += self._queued
        self._queued = 0
        for node, frame in frames:
            if node is None:
                self._broadcast(frame)
            else:
                self._send(node, frame)


class Link:
    """A node that is known: the outgoing stream to it, and the position of its stream to this node.

    The items of the incoming stream are applied only while it is synced, which begins with a new epoch.
    """

    __slots__ = (
        "asked_at",
        "broadcast",
        "broken",
        "epoch",
        "generation",
        "heard_at",
        "in_snapshot",
        "listed",
        "listed_at",
        "node",
        "other_generation",
        "out",
        "sequence",
        "synced",
    )

    def __init__(self, node: NodeId, now: float) -> None:
        self.node = node
        self.out = Outgoing(node)
        self.heard_at = now
        #: True while the heartbeats of the node list this node, which means that it receives our frames.
        self.listed = False
        self.listed_at = now
        #: The newest epoch of the incoming stream that is known, and the last frames of it.
        self.epoch = 0
        self.sequence = 0
        self.broadcast = 0
        self.synced = False
        self.in_snapshot = False
        #: True from the loss of a frame until a new epoch begins.
        self.broken = False
        self.asked_at = float("-inf")
        #: The generations of the calls at this node and at the other one; 0 if it is not known.
        self.generation = 0
        self.other_generation = 0

    def break_off(self) -> None:
        """Mark the incoming stream as broken."""
        self.synced = self.in_snapshot = False
        self.broken = True

    def begin(self, epoch: int) -> None:
        """Begin a new epoch of the incoming stream, with its first frame."""
        self.epoch = epoch
        self.sequence = 1
        self.synced = True
        self.broken = False
