"""Random conversations with the transport on picows, on a fake transport of asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import pytest
from anyio.lowlevel import checkpoint
from hypothesis import strategies as st

from tests.fuzz.reference_parser import BINARY, CLOSE, NO_CODE, PING, PONG, Parsed, parse
from tests.fuzz.websocket_frames import MAX_SIZE
from tests.transports.fakes import FakeTransport
from tests.transports.picows_connection import HeldConnection, opened
from wampasgi.transports import close_codes
from wampasgi.transports.frame_channel import frame_channel
from wampasgi.types import ASGIEvent

#: Messages that may wait for the application.
MAX_QUEUE: Final = 2
#: In seconds, as in uvicorn.
PING_INTERVAL: Final = 20
PING_TIMEOUT: Final = 20

_READ = st.tuples(st.just("read"), st.sampled_from([7, 50, 300, 5000, 5000]))
_ORDINARY = st.one_of(
    _READ,
    _READ,
    _READ,
    st.tuples(st.just("receive")),
    st.tuples(st.just("receive")),
    st.tuples(st.just("send"), st.sampled_from([0, 125, 126, 70_000])),
    st.tuples(st.just("pause_writing")),
    st.tuples(st.just("resume_writing")),
    st.tuples(st.just("advance"), st.sampled_from([1, 5, PING_INTERVAL])),
)
_LAST = st.one_of(
    st.tuples(st.just("close"), st.sampled_from([1000, 3000, 4999])),
    st.tuples(st.just("shut_down")),
    st.tuples(st.just("end_of_stream")),
    st.tuples(st.just("lose")),
)
#: The steps of a conversation: the name of a method of Conversation, and its arguments.
STEPS = st.tuples(
    st.lists(_ORDINARY, min_size=4, max_size=25), st.lists(_LAST, max_size=2), st.lists(_ORDINARY, max_size=5)
).map(lambda parts: [*parts[0], *parts[1], *parts[2]])


class Conversation:
    """A connection, and what has to happen on it according to the reference parser."""

    def __init__(self, connection: HeldConnection, stream: bytes) -> None:
        self._connection = connection
        self._protocol = connection.protocol
        self._transport = connection.transport
        self._unread = stream
        self._read = b""
        self._parsed = Parsed()
        #: The messages that the application has not received.
        self._messages: deque[str | bytes] = deque()
        #: Code and reason of websocket.disconnect, once the connection is not open any more.
        self._end: tuple[int, str] | None = None
        self._writing_paused = False
        self._unanswered: bytes | None = None
        self._close_sent = False
        self._end_of_stream = False
        self._lost = False

    # Steps

    async def read(self, size: int) -> None:
        """Read bytes of the client, as far as the protocol wants to."""
        chunk, self._unread = self._unread[:size], self._unread[size:]
        while chunk and self._can_read():
            buffer = self._protocol.get_buffer(-1)
            piece, chunk = chunk[: len(buffer)], chunk[len(buffer) :]
            buffer[: len(piece)] = piece
            self._protocol.buffer_updated(len(piece))
            self._check_read(piece)
        self._unread = chunk + self._unread

    def _can_read(self) -> bool:
        transport = self._transport
        return transport.reading and not (transport.closing or self._end_of_stream or self._lost)

    def _check_read(self, piece: bytes) -> None:
        before, self._read = len(self._parsed.events), self._read + piece
        # The events before a close frame or a violation stay the same.
        self._parsed = parse(self._read, MAX_SIZE)
        events = self._parsed.events[before:]
        pongs, close = self._answers()
        if self._end is not None:
            assert not pongs
            assert close is None
            if self._parsed.closed:
                assert self._transport.closing
            return
        self._messages.extend(event[1] for event in events if event[0] == "message")
        pings = [event[1] for event in events if event[0] == "ping"]
        if self._writing_paused:
            assert not pongs
            self._unanswered = pings[-1] if pings else self._unanswered
        else:
            assert pongs == pings
        self._check_end(close)

    def _check_end(self, close: bytes | None) -> None:
        """Check the close frame that answers what was read, if there is one."""
        if close is None:
            assert not self._parsed.closed
            assert not self._parsed.codes or self._parsed.pending
            return
        code = int.from_bytes(close[:2]) if close else NO_CODE
        if self._parsed.closed:
            _, *end = self._parsed.events[-1]
            assert code == end[0]
            self._end = end[0], end[1]
        else:
            assert code in self._parsed.codes
            self._end = code, close[2:].decode()

    async def receive(self) -> None:
        """Receive the next message, if there is one."""
        if self._messages:
            self._check_message(await self._connection.app.next())

    def _check_message(self, event: ASGIEvent) -> None:
        data = self._messages.popleft()
        key = "text" if isinstance(data, str) else "bytes"
        assert event == {"type": "websocket.receive", key: data}

    async def send(self, size: int) -> None:
        """Send a message, which takes its place before everything that is sent later."""
        event = {"type": "websocket.send", "bytes": b"x" * size}
        if self._end is None and self._writing_paused:
            # It would wait.
            return
        if self._end is not None:
            with pytest.raises((OSError, RuntimeError)):
                await self._connection.app.send(event)
        else:
            await self._connection.app.send(event)
            await checkpoint()
            [frame] = self._connection.frames()
            assert (frame.opcode, frame.payload) == (BINARY, event["bytes"])

    async def close(self, code: int) -> None:
        """Close the connection, if it is open."""
        if self._end is None and not self._writing_paused:
            await self._connection.app.close(code, "€")
            self._expect_close(code, "€")

    async def shut_down(self) -> None:
        """Shut the server down."""
        self._protocol.shutdown()
        if self._end is None:
            self._expect_close(close_codes.SERVICE_RESTART, "")
        else:
            assert self._transport.closing

    def _expect_close(self, code: int, reason: str) -> None:
        pongs, close = self._answers()
        assert not pongs
        assert close == code.to_bytes(2) + reason.encode()
        self._end = code, reason

    async def pause_writing(self) -> None:
        """Let the client read too slowly."""
        if not self._writing_paused and not self._lost:
            self._writing_paused = True
            self._protocol.pause_writing()

    async def resume_writing(self) -> None:
        """Let the client read again."""
        if not self._writing_paused or self._lost:
            return
        self._writing_paused = False
        self._protocol.resume_writing()
        await checkpoint()
        pongs, close = self._answers()
        assert close is None
        expected = self._unanswered if self._end is None else None
        assert pongs == ([] if expected is None else [expected])
        self._unanswered = None

    async def advance(self, seconds: int) -> None:
        """Let time pass, so that pings are sent, and timeouts expire."""
        for _ in range(seconds):
            self._connection.loop.advance(1)
            await checkpoint()
            pongs, close = self._answers()
            assert not pongs
            if close is not None:
                assert self._end is None
                self._end = int.from_bytes(close[:2]), close[2:].decode()
                assert self._end[0] == close_codes.INTERNAL_ERROR
            if self._transport.aborted:
                await self.lose()

    async def end_of_stream(self) -> None:
        """Let the client end its half of the connection without a close frame."""
        if self._transport.closing or self._end_of_stream or self._lost:
            return
        self._end_of_stream = True
        self._protocol.eof_received()
        # Without a result, asyncio closes the transport.
        self._transport.closing = True
        self._end = self._end or (close_codes.ABNORMAL, "")

    async def lose(self) -> None:
        """Lose the connection."""
        if not self._lost:
            self._lost = True
            self._connection.lose()
            self._end = self._end or (close_codes.ABNORMAL, "")

    # Checks

    def _answers(self) -> tuple[list[bytes], bytes | None]:
        """Return the pongs, and the payload of the close frame, that were written since the last call."""
        pongs, close = [], None
        for frame in self._connection.frames():
            assert frame.fin
            assert not self._close_sent, f"{frame} follows a close frame"
            assert frame.opcode in (PONG, PING, CLOSE)
            assert len(frame.payload) <= 125
            if frame.opcode == PONG:
                pongs.append(frame.payload)
            elif frame.opcode == CLOSE:
                close, self._close_sent = frame.payload, True
        return pongs, close

    def check_backpressure(self) -> None:
        """Check that the client is read exactly if the application keeps up with it."""
        if self._transport.closing or self._lost:
            return
        if self._end is not None:
            assert self._transport.reading, "the close frame of the client must be read"
        elif not self._messages:
            assert self._transport.reading
        elif len(self._messages) >= MAX_QUEUE:
            assert not self._transport.reading

    async def finish(self) -> None:
        """Lose the connection, receive all that is left, and check that nothing remains."""
        await self.lose()
        while self._messages:
            self._check_message(await self._connection.app.next())
        for _ in range(2):
            assert await self._connection.app.disconnected() == self._end
        await self._connection.end_app()
        assert not self._connection.timers
        assert not self._connection.state.connections
        assert not self._connection.transport.writes


class _Left:
    """The work that the taker of a DirectConversation leaves to its task."""


class _Taker:
    """Takes all messages, and leaves the rest of every third one to the task."""

    def __init__(self) -> None:
        self.taken: deque[str | bytes] = deque()
        self._in_turn = False
        self._count = 0

    def begin_turn(self) -> None:
        self._in_turn = True

    def take(self, data: Any) -> object | None:
        assert self._in_turn, "no turn has begun"
        self.taken.append(data)
        self._count += 1
        return None if self._count % 3 else _Left()


class DirectConversation(Conversation):
    """A conversation whose application takes the messages as they come, and writes frames."""

    def __init__(self, connection: HeldConnection, stream: bytes) -> None:
        super().__init__(connection, stream)
        channel = frame_channel(connection.app.scope)
        assert channel is not None
        self._source, self._sink = channel.source, channel.sink(binary=True)
        self._taker = _Taker()
        self._task = asyncio.ensure_future(self._take())

    async def _take(self) -> ASGIEvent:
        """Take messages, and return the event of the end."""
        while True:
            item = await self._source.receive_with(self._taker)
            if isinstance(item, dict):
                return item
            if not isinstance(item, _Left):
                self._taker.taken.append(item)

    async def receive(self) -> None:
        """Let the task take what it has not taken."""
        for _ in range(2 * MAX_SIZE):
            if len(self._taker.taken) == len(self._messages):
                break
            await checkpoint()
        assert self._taker.taken == self._messages
        self._taker.taken.clear()
        self._messages.clear()

    async def send(self, size: int) -> None:
        """Write a frame, which is refused if the client reads slowly, and dropped if it has gone."""
        data, still_open = b"x" * size, self._end is None
        refused = still_open and self._writing_paused
        assert self._sink.write(self._sink.frame(data)) is not refused
        await checkpoint()
        sent = [(frame.opcode, frame.payload) for frame in self._connection.frames()]
        assert sent == ([(BINARY, data)] if still_open and not refused else [])

    async def finish(self) -> None:
        """Lose the connection, and check that all messages were taken."""
        await self.lose()
        await self.receive()
        end = await self._task
        assert (end["type"], end["code"], end["reason"]) == ("websocket.disconnect", *(self._end or ()))
        await super().finish()


async def check_connection(
    stream: bytes, steps: Sequence[tuple[Any, ...]], *, direct: bool, can_write_eof: bool
) -> None:
    """Let a client and an application take these steps; ``can_write_eof`` is False for TLS.

    A ``direct`` application uses the extension ``wampasgi.frames``.
    """
    connection = await opened(
        transport=FakeTransport(can_write_eof=can_write_eof),
        ws_max_size=MAX_SIZE,
        ws_max_queue=MAX_QUEUE,
        ws_ping_interval=PING_INTERVAL,
        ws_ping_timeout=PING_TIMEOUT,
    )
    conversation = (DirectConversation if direct else Conversation)(connection, stream)
    # The task of a direct application begins to wait.
    await checkpoint()
    for name, *arguments in steps:
        await getattr(conversation, name)(*arguments)
        if direct:
            await conversation.receive()
        conversation.check_backpressure()
    await conversation.finish()
