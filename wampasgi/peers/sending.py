"""The way of a session's messages to its client: their encoding, the queue, and what writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from wampasgi.adapters import TaskOwner
from wampasgi.errors import UnserializableValue
from wampasgi.limits import Limits
from wampasgi.metrics import Counts
from wampasgi.peers.encoding import UNSERIALIZED, Encoding, framed, serialized
from wampasgi.peers.frames import FrameSender
from wampasgi.peers.message_stream import MessageStream
from wampasgi.peers.middleware_writer import MiddlewareWriter
from wampasgi.peers.outbound import DroppingOutbound, Outbound, WriteTimeout
from wampasgi.types import RawMessage, Send


@dataclass(frozen=True, slots=True)
class Reactions:
    """The functions that a peer is called with when sending fails."""

    #: The queue exceeds a limit: the numbers of messages that were lost now, and in the whole stretch.
    overflowed: Callable[[int, int], None]
    #: The client has read nothing within ``write_timeout``.
    stuck: Callable[[], None]
    #: So many events were dropped just now.
    events_dropped: Callable[[int], None]
    #: So many events were dropped in a stretch that has ended.
    stretch_ended: Callable[[int], None]
    #: Return the message for one that cannot be serialized, or None.
    replace: Callable[[RawMessage, UnserializableValue], RawMessage | None]
    #: A middleware has raised an exception for a message.
    failed: Callable[[RawMessage, Exception], None]


def open_outbound(
    stream: MessageStream,
    send: Send,
    owner: TaskOwner,
    *,
    limits: Limits,
    counts: Counts,
    reactions: Reactions,
) -> tuple[Outbound, Encoding]:
    """Return the queue for the messages of a session, and the encoding of its items.

    They go through ``send`` if that is not the stream's own, because a middleware has wrapped it.
    """
    encoding = serialized(stream.subprotocol)
    writer: MessageStream | MiddlewareWriter | FrameSender = stream
    direct: FrameSender | None = None
    write_timeout: WriteTimeout | None = None
    if stream.sink is not None:
        stream.sink.set_write_timeout(limits.write_timeout)
    elif limits.write_timeout is not None:
        write_timeout = WriteTimeout(limits.write_timeout, stream.transport, reactions.stuck)
    if send != stream.send:
        writer = MiddlewareWriter(send, reactions.replace, reactions.failed)
        encoding = UNSERIALIZED
    elif stream.sink is not None:
        writer = direct = FrameSender(stream.sink, counts)
        encoding = framed(stream.subprotocol, stream.sink.frame)
    make: Callable[..., Outbound] = Outbound
    if limits.overflow == "drop_oldest_events":
        make = partial(DroppingOutbound, on_drop=reactions.events_dropped, on_dropped=reactions.stretch_ended)
    outbound = make(
        writer.write,
        writer.write_one,
        owner,
        max_messages=limits.outbound_messages,
        max_size=limits.outbound_bytes,
        on_overflow=reactions.overflowed,
        write_timeout=write_timeout,
        direct=direct,
    )
    return outbound, encoding


def overflow_text(limits: Limits) -> str:
    """Return the message for a client whose queue is full."""
    return (
        f"this client reads too slowly: its queue is over the limit outbound_messages of "
        f"{limits.outbound_messages}, or outbound_bytes of {limits.outbound_bytes}"
    )
