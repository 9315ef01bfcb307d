from __future__ import annotations

from typing import Any

import ormsgpack
import pytest

from wampasgi.router.links import (
    BEAT,
    HELLO,
    RESYNC,
    ItemTooLarge,
    Link,
    Outbox,
    Outgoing,
    begins_snapshot,
    control_problem,
    frame_problem,
    stream_problem,
)
from wampasgi.router.nodes import NodeId
from wampasgi.router.replicas import ClusterCounts

SENDER = 2**64 - 1


class Recorder:
    """An outbox, and the decoded frames that it handed over, with their destinations."""

    def __init__(self, *, max_frame: int = 1000, max_queued: int = 1_000_000) -> None:
        self.frames: list[tuple[NodeId | None, Any]] = []
        self.sizes: list[int] = []
        self.wakes = 0
        self.counts = ClusterCounts()
        self.outbox = Outbox(
            SENDER,
            encode=ormsgpack.packb,
            send=self.send,
            broadcast=lambda frame: self.send(None, frame),
            wake=self.wake,
            max_frame=max_frame,
            max_queued=max_queued,
            counts=self.counts,
        )

    def wake(self) -> None:
        self.wakes += 1

    def send(self, node: NodeId | None, frame: bytes) -> None:
        self.sizes.append(len(frame))
        self.frames.append((node, ormsgpack.unpackb(frame)))

    def stream(self, node: NodeId) -> Outgoing:
        stream = Outgoing(node)
        self.outbox.restart(stream, 5)
        self.outbox.set_generations(stream, 8, 9)
        return stream

    def put(self, stream: Outgoing, realm: str, *item: object) -> None:
        self.outbox.put(stream, realm, ormsgpack.packb(item))

    def put_all(self, realm: str, *item: object) -> None:
        self.put(self.outbox.everybody, realm, *item)

    def flushed(self) -> list[tuple[NodeId | None, Any]]:
        self.outbox.flush()
        frames, self.frames = self.frames, []
        return frames


def test_items_of_a_turn_share_one_frame() -> None:
    recorder = Recorder()
    stream = recorder.stream(3)
    recorder.put(stream, "a", 1, "x")
    recorder.put(stream, "a", 2)
    recorder.put(stream, "b", 3)
    recorder.put(stream, "", -9)
    recorder.put(stream, "b", 4)

    assert recorder.flushed() == [
        (3, [1, SENDER, 1, 5, 1, 0, 8, 9, ["a", [1, "x"], [2], "b", [3], [-9], [4]]])
    ]
    assert recorder.flushed() == []


def test_broadcast_frame_states_its_sequence_number() -> None:
    recorder = Recorder()
    recorder.put_all("a", 1)
    first = recorder.flushed()
    recorder.put_all("a", 2)

    assert first + recorder.flushed() == [
        (None, [1, SENDER, 0, 1, ["a", [1]]]),
        (None, [1, SENDER, 0, 2, ["a", [2]]]),
    ]


@pytest.mark.parametrize("length", [15, 16, 65535, 65536])
def test_frame_can_hold_many_items(length: int) -> None:
    recorder = Recorder(max_frame=1_000_000)
    for number in range(length - 1):
        recorder.put_all("a", number % 100)

    (frame,) = recorder.flushed()

    assert len(frame[1][4]) == length
    assert recorder.counts.items_sent == length - 1
    assert recorder.counts.frames_sent == 1
    assert recorder.counts.bytes_sent == recorder.sizes[0]


def test_order_of_direct_and_broadcast_items_is_kept() -> None:
    recorder = Recorder()
    three, four = recorder.stream(3), recorder.stream(4)
    recorder.put(three, "a", 1)
    recorder.put(four, "a", 2)
    recorder.put_all("a", 3)
    recorder.put(three, "a", 4)
    recorder.put(three, "a", 5)
    recorder.put_all("a", 6)

    assert [(node, frame[-1]) for node, frame in recorder.flushed()] == [
        (3, ["a", [1]]),
        (4, ["a", [2]]),
        (None, ["a", [3]]),
        (3, ["a", [4], [5]]),
        (None, ["a", [6]]),
    ]


def test_direct_frame_states_the_last_broadcast_before_it() -> None:
    recorder = Recorder()
    stream = recorder.stream(3)
    recorder.put_all("a", 1)
    recorder.put(stream, "a", 2)

    assert recorder.flushed()[1] == (3, [1, SENDER, 1, 5, 1, 1, 8, 9, ["a", [2]]])


def test_control_frame_follows_all_queued_items() -> None:
    recorder = Recorder()
    recorder.put(recorder.stream(3), "a", 1)
    recorder.outbox.control(3, [RESYNC, 1, 2])
    recorder.outbox.control(None, [HELLO])

    frames = recorder.flushed()

    assert frames[1:] == [(3, [1, SENDER, 2, [[RESYNC, 1, 2]]]), (None, [1, SENDER, 2, [[HELLO]]])]


def test_frames_are_split_at_the_limit() -> None:
    recorder = Recorder(max_frame=200)
    stream = recorder.stream(3)
    for number in range(30):
        recorder.put(stream, "a", number, "x" * 20)
        recorder.put_all("b", number, "x" * 20) if number % 7 == 0 else None

    frames = recorder.flushed()

    direct = [frame for node, frame in frames if node == 3]
    assert max(recorder.sizes) <= 200
    assert [frame[4] for frame in direct] == list(range(1, len(direct) + 1))
    assert [item[0] for frame in direct for item in frame[-1] if item != "a"] == list(range(30))
    assert all(frame[-1][0] == "a" for frame in direct)


def test_largest_item_fits_and_a_larger_one_is_refused() -> None:
    recorder = Recorder(max_frame=200)
    recorder.put(recorder.outbox.everybody, "a", "x" * 50)
    with pytest.raises(ItemTooLarge) as caught:
        recorder.put_all("a", "x" * 300)

    recorder.outbox.put(
        recorder.outbox.everybody, "a", b"\xc4" + bytes([caught.value.limit - 2]) + bytes(132)
    )

    assert caught.value.limit == 134
    assert caught.value.size == 304
    assert "304 bytes" in str(caught.value)
    assert len(recorder.flushed()) == 2
    assert max(recorder.sizes) <= 200


def test_waking_happens_once_before_each_flush() -> None:
    recorder = Recorder()
    recorder.put_all("a", 1)
    recorder.put_all("a", 2)
    assert recorder.wakes == 1
    recorder.flushed()

    recorder.outbox.control(None, [HELLO])
    recorder.put_all("a", 3)

    assert recorder.wakes == 2


def test_frames_over_the_queue_limit_are_handed_over_early() -> None:
    recorder = Recorder(max_frame=200, max_queued=1000)
    stream = recorder.stream(3)
    for number in range(500):
        recorder.put(stream, "a", number, "x" * 20)
        assert recorder.outbox.queued <= 1000

    assert recorder.frames
    assert [item[0] for _, frame in recorder.flushed() for item in frame[-1] if item != "a"] == list(
        range(500)
    )


def test_new_epoch_drops_the_items_of_the_old_one() -> None:
    recorder = Recorder()
    stream = recorder.stream(3)
    recorder.put(stream, "a", 1)
    recorder.outbox.restart(stream, 6)
    recorder.put(stream, "a", 2)

    assert recorder.flushed() == [(3, [1, SENDER, 1, 6, 1, 0, 8, 9, ["a", [2]]])]


def test_generation_applies_to_items_that_are_queued_after_it() -> None:
    recorder = Recorder()
    stream = recorder.stream(3)
    recorder.put(stream, "a", 1)
    recorder.outbox.set_generations(stream, 10, 9)
    assert recorder.outbox.is_clean(stream)
    recorder.put(stream, "a", 2)
    assert not recorder.outbox.is_clean(stream)

    frames = recorder.flushed()

    assert [frame[6:] for _, frame in frames] == [[8, 9, ["a", [1]]], [10, 9, ["a", [2]]]]
    assert not recorder.outbox.is_clean(stream)


def test_discarded_stream_sends_nothing() -> None:
    recorder = Recorder()
    stream = recorder.stream(3)
    recorder.put(stream, "a", 1)

    recorder.outbox.discard(stream)

    assert recorder.flushed() == []


@pytest.mark.parametrize(
    "frame",
    [
        [1, 2, 0, 1, []],
        [1, 2, 1, 1, 1, 1, 1, 1, [[1]]],
        [1, 2, 2, []],
    ],
)
def test_valid_frames_are_accepted(frame: list[Any]) -> None:
    assert frame_problem(frame) is None


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ([1, 2, 0], "at least 4"),
        ([1, 2, 0, []], "must not have 4"),
        ([1, 2, 3, []], "of kind 3"),
        ([1, 2, [], []], "non-negative"),
        ([1, 2, 0, -1, []], "non-negative"),
        ([1, 2, 0, True, []], "non-negative"),
        ([1, 2, 0, 1.0, []], "non-negative"),
        ([1, 2, 0, 1, {}], "must be a list"),
    ],
)
def test_malformed_frames_are_refused(frame: list[Any], reason: str) -> None:
    assert reason in (frame_problem(frame) or "")


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("key", "begins with an integer"),
        ([], "begins with an integer"),
        ([True], "begins with an integer"),
        ([1], "no item with the code 1"),
        ([HELLO, 1], "must have 1 elements"),
        ([RESYNC, 1, "1"], "wrong type"),
        ([RESYNC, 1, True], "wrong type"),
        ([BEAT, 1, 2, [[1, 2, 3]]], "must name"),
        ([BEAT, 1, 2, [[1, 2, 3, None]]], "must name"),
        ([BEAT, 1, 2, [5]], "must name"),
    ],
)
def test_malformed_control_items_are_refused(item: Any, reason: str) -> None:
    assert reason in (control_problem([[HELLO], item]) or "")


def test_items_of_control_frames_are_refused_in_streams() -> None:
    assert control_problem([[HELLO], [RESYNC, 1, 2], [BEAT, 1, 2, [[1, 2, 3, 4]]]]) is None
    assert stream_problem([HELLO]) == "there is no item with the code -1"


def test_snapshot_must_come_first() -> None:
    assert begins_snapshot([[-6, 1]])
    assert not begins_snapshot([])
    assert not begins_snapshot(["a", [-6, 1]])
    assert not begins_snapshot([[1]])


def test_broken_link_applies_nothing_until_a_new_epoch() -> None:
    link = Link(3, 0.0)
    assert not link.synced
    link.begin(4)
    assert (link.synced, link.broken, link.sequence) == (True, False, 1)

    link.in_snapshot = True
    link.break_off()

    assert (link.synced, link.broken, link.in_snapshot) == (False, True, False)
