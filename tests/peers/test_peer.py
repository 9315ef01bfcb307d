"""The wire side of a session, between a transport in memory and a router that records its calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.memory_transport import MemoryTransport
from tests.websocket import PATIENCE
from wampasgi import Limits, WAMPError
from wampasgi.adapters import support_for_running_loop
from wampasgi.errors import InvalidURI, RemoteProtocolError
from wampasgi.metrics import Counts
from wampasgi.peers.interfaces import Ending
from wampasgi.peers.message_stream import MessageStream
from wampasgi.peers.peer import Peer
from wampasgi.protocol.messages import (
    Authenticate,
    Call,
    Challenge,
    Event,
    Goodbye,
    Invocation,
    Result,
    Welcome,
)
from wampasgi.router.admission import Admission, Place
from wampasgi.router.interfaces import SharedEvent
from wampasgi.serializers import SUBPROTOCOLS, Subprotocol
from wampasgi.types import ASGIEvent, RawMessage

pytestmark = pytest.mark.anyio

JSON, MSGPACK = SUBPROTOCOLS["wamp.2.json"], SUBPROTOCOLS["wamp.2.msgpack"]
HELLO, ABORT, GOODBYE, ERROR, PUBLISH, EVENT, CALL, RESULT = 1, 3, 6, 8, 16, 36, 48, 50
SESSION = 7


class RecordingRouter:
    """A router that records the calls of a peer."""

    def __init__(self) -> None:
        self.left: list[int] = []
        self.undelivered: list[tuple[int, int]] = []
        self.continuing = False

    def leaving(self, session_id: int) -> None:
        self.left.append(session_id)

    def undeliverable(self, session_id: int, invocation_id: int, text: str) -> None:
        self.undelivered.append((session_id, invocation_id))

    def uri_of(self, raw: RawMessage) -> str | None:
        return None

    def may_continue(self, session_id: int, call: Call) -> bool:
        return self.continuing


class RecordingSession:
    """A served session that records the calls of its peer."""

    def __init__(self) -> None:
        self.losses: list[int] = []
        self.revoked: list[int] = []

    def send_event(
        self, topic: str, args: list[Any], kwargs: dict[str, Any], details: dict[str, Any]
    ) -> bool:
        return topic == "com.subscribed"

    def revoke_subscription(self, subscription_id: int, reason: str | None) -> None:
        self.revoked.append(subscription_id)

    def lost(self, dropped: int) -> None:
        self.losses.append(dropped)


class Wire:
    """A peer and the objects around it."""

    def __init__(
        self,
        *,
        subprotocol: Subprotocol = JSON,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        check_request_ids: bool = False,
    ) -> None:
        self.transport = MemoryTransport(binary=subprotocol.serializer.binary)
        self.router = RecordingRouter()
        self.session = RecordingSession()
        self.counts = Counts()
        self.stream = MessageStream(self.transport, subprotocol, self.counts)
        self.stream.set_limits(limits, handshake=True)
        place = Admission().enter(None, limits)
        assert isinstance(place, Place)
        self.place = place
        self.peer = Peer(
            self.stream,
            session_id=SESSION,
            realm_uri="com.myapp.realm",
            router=self.router,
            place=self.place,
            limits=limits,
            counts=self.counts,
            handshake=anyio.CancelScope(),
            check_request_ids=check_request_ids,
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Wire]:
        """Open the session, and discard WELCOME."""
        await self.peer.send_now(Welcome(SESSION, {}))
        self.transport.written.clear()
        async with support_for_running_loop(None).task_owner() as writers:
            self.peer.open(writers, self.session)
            yield self
            await self.peer.flush()

    async def sent(self) -> list[Any]:
        """Wait until everything is written, and return it."""
        await self.peer.written()
        return self.transport.messages()

    async def read(self, *message: Any) -> Any:
        """Let the client send a message, and read it."""
        self.transport.send(*message)
        return await self.peer.receive()


@asynccontextmanager
async def open_wire(**options: Any) -> AsyncIterator[Wire]:
    async with Wire(**options).opened() as wire:
        yield wire


def event(*args: Any) -> SharedEvent:
    return SharedEvent(Event(1, 2, {}, list(args)))


# Before the session is open


async def test_messages_of_the_handshake_are_written_at_once() -> None:
    wire = Wire()
    await wire.peer.send_now(Challenge("ticket", {}))
    assert wire.transport.messages() == [[4, "ticket", {}]]
    assert await wire.read(5, "secret", {}) == Authenticate("secret", {})
    await wire.peer.send_now(Welcome(SESSION, {}))
    assert wire.transport.messages() == [[2, SESSION, {}]]
    assert wire.peer.established


async def test_answer_to_a_challenge_is_waited_for_until_the_session_is_refused() -> None:
    wire = Wire()
    answers: list[Any] = []
    await wire.peer.send_now(Challenge("ticket", {}))
    wire.transport.written.clear()

    async def wait_for_answer() -> None:
        answers.append(await wire.peer.answer())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait_for_answer)
        await anyio.wait_all_tasks_blocked()
        await wire.peer.refuse("com.myapp.closed", "come tomorrow")

    assert answers == [None]
    assert wire.transport.messages() == [[ABORT, {"message": "come tomorrow"}, "com.myapp.closed"]]


async def test_session_is_refused_once() -> None:
    wire = Wire()
    await wire.peer.refuse("com.myapp.first")
    await wire.peer.refuse("com.myapp.second")

    assert wire.transport.messages() == [[ABORT, {}, "com.myapp.first"]]
    assert wire.peer.ending == Ending("com.myapp.first", "server")
    assert wire.counts.aborted == 1
    # It never joined the router.
    assert wire.router.left == []


async def test_session_that_is_refused_while_welcome_is_written_is_not_established() -> None:
    wire = Wire()
    wire.transport.stop_reading()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wire.peer.send_now, Welcome(SESSION, {}))
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(wire.peer.refuse, "com.myapp.closed")
        await anyio.wait_all_tasks_blocked()
        wire.transport.read_again()

    assert not wire.peer.established
    assert sorted(message[0] for message in wire.transport.messages()) == [2, ABORT]


async def test_nothing_is_sent_before_the_session_is_open() -> None:
    wire = Wire()
    wire.peer.send(Result(1, {}))
    wire.peer.send_event(event())
    wire.peer.send_error(CALL, 1, WAMPError("com.myapp.error"))
    wire.peer.say_goodbye("com.myapp.enough")
    assert not wire.peer.send_topic_event("com.subscribed", [], {}, {})
    await wire.peer.written()
    await wire.peer.uncongested()

    assert wire.transport.messages() == []
    assert not wire.peer.opened
    assert not wire.peer.overloaded
    assert wire.peer.ending is None


# Reading


async def test_message_at_the_wrong_time_is_a_violation_before_any_other_mistake() -> None:
    wire = Wire()
    with pytest.raises(RemoteProtocolError, match="received CALL before") as early:
        await wire.read(CALL, 1, {}, "no good")
    assert not isinstance(early.value, InvalidURI)

    async with open_wire() as opened:
        with pytest.raises(InvalidURI) as invalid:
            await opened.read(CALL, 1, {}, "no good")
        with pytest.raises(RemoteProtocolError, match="received HELLO after") as late:
            await opened.read(HELLO, "no good", {"roles": {"caller": {}}})

    assert (invalid.value.request_type, invalid.value.request_id) == (CALL, 1)
    assert not isinstance(late.value, InvalidURI)


async def test_checked_request_ids_are_one_sequence_for_all_kinds_of_requests() -> None:
    async with open_wire(check_request_ids=True) as wire:
        await wire.read(CALL, 1, {}, "com.myapp.procedure")
        with pytest.raises(InvalidURI):
            await wire.read(PUBLISH, 2, {}, "no good")
        await wire.read(49, 1, {})
        wire.router.continuing = True
        await wire.read(CALL, 1, {}, "com.myapp.procedure")
        wire.router.continuing = False
        await wire.read(PUBLISH, 3, {}, "com.myapp.topic")
        with pytest.raises(RemoteProtocolError, match="request ID 3 is out of sequence, expected 4"):
            await wire.read(CALL, 3, {}, "com.myapp.procedure")


async def test_long_message_counts_for_the_turn_of_its_session() -> None:
    async with open_wire() as wire:
        before = wire.peer.turn.left
        long = await wire.read(CALL, 1, {}, "com.myapp.procedure", ["x" * 5000])
        short = await wire.read(CALL, 2, {}, "com.myapp.procedure")

        assert wire.peer.turn.left == before - 4
        assert wire.peer.turn.size_of(long) > 5000
        assert wire.peer.turn.size_of(short) == 0


async def test_size_of_a_refused_message_does_not_count_for_the_next_one() -> None:
    async with open_wire() as wire:
        before = wire.peer.turn.left
        with pytest.raises(InvalidURI):
            await wire.read(CALL, 1, {}, "no good", ["x" * 5000])
        # Decoding it has taken time, so it counts for the turn.
        left = wire.peer.turn.left
        short = await wire.read(CALL, 2, {}, "com.myapp.procedure")

        assert left < before
        assert wire.peer.turn.left == left
        assert wire.peer.turn.size_of(short) == 0


async def test_long_uri_is_refused_for_its_request_alone() -> None:
    async with open_wire(limits=Limits(uri_length=10)) as wire:
        with pytest.raises(InvalidURI) as raised:
            await wire.read(CALL, 5, {}, "com.myapp.procedure")
        assert (await wire.read(CALL, 6, {}, "com.short")).procedure == "com.short"

    assert (raised.value.request_type, raised.value.request_id) == (CALL, 5)


# Sending


async def test_messages_are_written_in_the_order_in_which_they_were_sent() -> None:
    async with open_wire() as wire:
        wire.peer.send(Result(1, {}, ["one"]))
        wire.peer.send_event(event("two"))
        wire.peer.send_error(CALL, 3, WAMPError("com.myapp.error"))
        wire.peer.send_raw([RESULT, 4, {}])
        assert wire.transport.written == []

        assert await wire.sent() == [
            [RESULT, 1, {}, ["one"]],
            [EVENT, 1, 2, {}, ["two"]],
            [ERROR, CALL, 3, {}, "com.myapp.error"],
            [RESULT, 4, {}],
        ]


async def test_results_and_errors_are_counted_by_kind() -> None:
    async with open_wire() as wire:
        wire.peer.send(Result(1, {"progress": True}))
        wire.peer.send(Result(1, {}))
        wire.peer.send_error(CALL, 2, WAMPError("com.myapp.error"))
        wire.peer.send_error(CALL, 3, WAMPError("wamp.error.canceled"))
        wire.peer.send_error(PUBLISH, 4, WAMPError("wamp.error.canceled"))

    counts = wire.counts
    assert (counts.results, counts.call_errors, counts.canceled, counts.other_errors) == (1, 1, 1, 1)


async def test_event_is_encoded_once_for_each_serializer() -> None:
    async with (
        open_wire() as one,
        open_wire() as other,
        open_wire(subprotocol=MSGPACK) as third,
    ):
        shared = event("text")
        for wire in one, other, third:
            wire.peer.send_event(shared)
        for wire in one, other, third:
            await wire.peer.written()

        assert sorted(shared.encodings) == ["json", "msgpack"]
        assert one.transport.written[0] is other.transport.written[0]
        assert MSGPACK.messages(third.transport.written[0]) == JSON.messages(one.transport.written[0])


async def test_event_that_cannot_be_serialized_is_logged_once_and_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_wire() as one, open_wire() as other:
        shared = event(object())
        for wire in one, other:
            wire.peer.send_event(shared)
            wire.peer.send(Result(1, {}))

        assert await one.sent() == await other.sent() == [[RESULT, 1, {}]]

    [record] = caplog.records
    assert (
        "EVENT of request 1 cannot be serialized for session 7 on realm 'com.myapp.realm'"
        in record.getMessage()
    )


@pytest.mark.parametrize("through_middleware", [False, True])
async def test_answer_that_cannot_be_serialized_is_replaced_by_an_error(
    through_middleware: bool,
) -> None:
    wire = Wire()
    if through_middleware:

        async def pass_on(event: ASGIEvent) -> None:
            await wire.stream.send(event)

        wire.peer.attach(wire.stream.receive, pass_on)
    async with wire.opened():
        wire.peer.send(Result(1, {}, [object()]))
        wire.peer.send(Result(2, {"progress": True}, [object()]))
        wire.peer.send_error(CALL, 3, WAMPError("com.myapp.error", object()))
        wire.peer.send(Invocation(4, 5, {}, [object()]))
        wire.peer.send(Result(6, {}))

        assert await wire.sent() == [
            [ERROR, CALL, 1, {}, "wamp.error.runtime_error"],
            [ERROR, CALL, 3, {}, "com.myapp.error"],
            [RESULT, 6, {}],
        ]

    assert wire.router.undelivered == [(SESSION, 4)]


async def test_middleware_gets_messages_that_are_not_serialized() -> None:
    wire = Wire()
    seen: list[Any] = []

    async def receive() -> ASGIEvent:
        return {"type": "wamp.message", "message": [CALL, 1, {}, "com.myapp.procedure"]}

    async def send(event: ASGIEvent) -> None:
        seen.append(event["message"])

    wire.peer.attach(receive, send)
    async with wire.opened():
        wire.peer.send_event(event("text"))
        assert await wire.peer.receive() == Call(1, {}, "com.myapp.procedure")

    assert seen == [[2, SESSION, {}], [EVENT, 1, 2, {}, ["text"]]]
    assert wire.transport.written == []


async def test_middleware_that_fails_to_send_cuts_the_session(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire()
    fails = False

    async def send(event: ASGIEvent) -> None:
        if fails:
            raise LookupError("broken middleware")
        await wire.stream.send(event)

    wire.peer.attach(wire.stream.receive, send)
    async with wire.opened():
        fails = True
        wire.peer.send(Result(1, {}))
        wire.peer.send(Result(2, {}))
        await wire.peer.written()

    assert wire.peer.ending == Ending("wamp.error.runtime_error", "server")
    assert wire.router.left == [SESSION]
    assert "is cut off: a middleware failed to send RESULT" in caplog.text


async def test_writing_stops_quietly_when_the_client_has_gone() -> None:
    async with open_wire() as wire:
        wire.transport.break_down()
        wire.peer.send(Result(1, {}))
        await wire.peer.written()
        wire.peer.send(Result(2, {}))
        await wire.peer.written()

        # Only the reader notices the end of the connection.
        assert wire.peer.ending is None
        assert wire.transport.written == []


# Slow clients


async def test_client_is_overloaded_when_half_of_its_queue_is_full() -> None:
    async with open_wire(limits=Limits(outbound_messages=10)) as wire:
        wire.transport.stop_reading()
        wire.peer.send(Result(1, {}))
        await anyio.wait_all_tasks_blocked()
        seen = []
        for number in range(6):
            wire.peer.send(Result(number + 2, {}))
            seen.append(wire.peer.overloaded)
        wire.transport.read_again()
        await wire.peer.written()

        assert seen == [False] * 5 + [True]
        assert not wire.peer.overloaded


async def test_uncongested_waits_for_a_client_that_does_not_read() -> None:
    async with open_wire() as wire:
        wire.transport.stop_reading()
        for number in range(3):
            wire.peer.send(Result(number + 1, {}))
            await anyio.wait_all_tasks_blocked()
        waited = False

        async def wait() -> None:
            nonlocal waited
            await wire.peer.uncongested()
            waited = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert not waited
            wire.transport.read_again()

        assert len(await wire.sent()) == 3


async def test_queue_that_overflows_ends_the_session_with_abort_as_its_last_message() -> None:
    async with open_wire(limits=Limits(outbound_messages=3)) as wire:
        wire.transport.stop_reading()
        for number in range(6):
            wire.peer.send(Result(number + 1, {}))
            await anyio.wait_all_tasks_blocked()
        wire.transport.read_again()
        first, last = await wire.sent()

    assert first == [RESULT, 1, {}]
    assert (last[0], last[2]) == (ABORT, "wamp.error.payload_size_exceeded")
    assert "outbound_messages of 3" in last[1]["message"]
    assert wire.peer.ending == Ending("wamp.error.payload_size_exceeded", "server")
    assert wire.peer.finished
    assert wire.router.left == [SESSION]
    # Results 2 to 5 were dropped. The sixth came after the end.
    assert (wire.peer.dropped, wire.session.losses) == (4, [4])
    assert (wire.counts.dropped, wire.counts.overflows, wire.counts.aborted) == (4, 1, 1)


async def test_oldest_events_are_dropped_if_the_limits_say_so() -> None:
    limits = Limits(outbound_messages=2, overflow="drop_oldest_events")
    async with open_wire(limits=limits) as wire:
        wire.transport.stop_reading()
        wire.peer.send(Result(1, {}))
        await anyio.wait_all_tasks_blocked()
        for number in range(5):
            wire.peer.send_event(event(number))
        wire.transport.read_again()

        assert [message[-1] for message in await wire.sent()] == [{}, [3], [4]]

    assert (wire.peer.dropped, wire.session.losses) == (3, [3])
    assert wire.peer.ending is None


# The end


async def test_goodbye_is_the_last_message_and_leaves_the_router_at_once() -> None:
    async with open_wire() as wire:
        wire.peer.say_goodbye("com.myapp.enough", "see you")
        wire.peer.say_goodbye("com.myapp.again")
        wire.peer.send(Result(1, {}))
        assert wire.router.left == [SESSION]

        assert await wire.sent() == [[GOODBYE, {"message": "see you"}, "com.myapp.enough"]]
        assert wire.peer.ending == Ending("com.myapp.enough", "server")
        # The answer is still read.
        assert (wire.peer.established, wire.peer.finished) == (False, False)
        assert await wire.read(GOODBYE, {}, "wamp.close.goodbye_and_out") == Goodbye(
            {}, "wamp.close.goodbye_and_out"
        )
        wire.peer.answer_goodbye("wamp.close.goodbye_and_out", "never sent")

        assert wire.peer.finished
        assert wire.peer.ending == Ending("com.myapp.enough", "server", orderly=True)
        assert await wire.sent() == []


async def test_reading_ends_when_the_client_does_not_answer_goodbye() -> None:
    async with open_wire(limits=Limits(close_timeout=0.01)) as wire:
        with anyio.fail_after(PATIENCE), wire.peer.reading:
            wire.peer.say_goodbye("com.myapp.enough")
            await wire.peer.receive()

        assert wire.peer.reading.cancelled_caught


async def test_goodbye_of_the_client_is_answered() -> None:
    async with open_wire() as wire:
        await wire.read(GOODBYE, {}, "com.myapp.reason")
        wire.peer.answer_goodbye("com.myapp.reason", "wamp.close.goodbye_and_out")

        assert await wire.sent() == [[GOODBYE, {}, "wamp.close.goodbye_and_out"]]

    assert wire.peer.ending == Ending("com.myapp.reason", "client", orderly=True)
    assert wire.peer.finished
    assert wire.router.left == [SESSION]


async def test_abort_ends_reading_and_writing_at_once() -> None:
    async with open_wire() as wire:
        with anyio.fail_after(PATIENCE), wire.peer.reading:
            wire.peer.send(Result(1, {}))
            wire.peer.abort("com.myapp.error", "that is enough")
            wire.peer.send(Result(2, {}))
            await wire.peer.receive()

        assert wire.peer.reading.cancelled_caught
        assert await wire.sent() == [
            [RESULT, 1, {}],
            [ABORT, {"message": "that is enough"}, "com.myapp.error"],
        ]

    assert wire.peer.ending == Ending("com.myapp.error", "server")
    assert wire.counts.aborted == 1
    assert wire.router.left == [SESSION]


async def test_session_that_has_ended_in_order_is_not_aborted_any_more() -> None:
    async with open_wire() as wire:
        await wire.read(GOODBYE, {}, "com.myapp.reason")
        wire.peer.answer_goodbye("com.myapp.reason", "wamp.close.goodbye_and_out")
        wire.peer.abort("com.myapp.error")

        assert [message[0] for message in await wire.sent()] == [GOODBYE]

    assert wire.peer.ending == Ending("com.myapp.reason", "client", orderly=True)
    assert wire.counts.aborted == 0


async def test_connection_that_is_lost_ends_the_session_without_a_word() -> None:
    async with open_wire() as wire:
        wire.peer.cut("wamp.close.goodbye_and_out", ended_by="client")
        wire.peer.cut("com.myapp.later")
        wire.peer.send(Result(1, {}))

        assert await wire.sent() == []

    assert wire.peer.ending == Ending("wamp.close.goodbye_and_out", "client")
    assert wire.peer.finished
    assert wire.router.left == [SESSION]


async def test_everything_is_ignored_after_the_session_was_cut() -> None:
    async with open_wire() as wire:
        wire.peer.cut("com.myapp.reason")

        for message in (
            [HELLO, "com.myapp.realm", {"roles": {"caller": {}}}],
            [ABORT, {}, "com.myapp.error"],
            [2, 1, {}],
        ):
            assert (await wire.read(*message)).to_list() == message


async def test_end_of_a_session_wakes_all_tasks_that_wait_for_it() -> None:
    async with open_wire() as wire:
        ended: list[int] = []

        async def wait(number: int) -> None:
            await wire.peer.wait_ended()
            ended.append(number)

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                for number in range(3):
                    tasks.start_soon(wait, number)
                await anyio.wait_all_tasks_blocked()
                assert ended == []
                wire.peer.end()

        assert sorted(ended) == [0, 1, 2]


async def test_flushing_waits_for_a_client_that_does_not_read_for_a_bounded_time() -> None:
    async with open_wire(limits=Limits(close_timeout=0.01)) as wire:
        wire.transport.stop_reading()
        wire.peer.send(Result(1, {}))
        with anyio.fail_after(PATIENCE):
            await wire.peer.flush()
        assert wire.transport.written == []


async def test_calls_for_the_served_session_are_passed_on() -> None:
    async with open_wire() as wire:
        wire.peer.revoke_subscription(5, None)
        assert wire.peer.opened
        assert wire.peer.send_topic_event("com.subscribed", [], {}, {})
        assert not wire.peer.send_topic_event("com.other", [], {}, {})

    assert wire.session.revoked == [5]
