from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from wampasgi.transports.inbox import Inbox

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

END = {"type": "websocket.disconnect", "code": 1000, "reason": ""}
#: In characters or bytes. Longer messages pause the client at once.
LONG = 64 * 1024


class Client:
    """A client whose messages a test puts into its inbox."""

    def __init__(self, max_messages: int = 3) -> None:
        self._paused = False
        self.inbox = Inbox(asyncio.get_running_loop(), max_messages, pause=self._pause, resume=self._resume)

    def _pause(self) -> None:
        self._paused = True

    def _resume(self) -> None:
        self._paused = False

    def paused(self) -> bool:
        return self._paused

    def put(self, *messages: str | bytes) -> None:
        """Put messages that were read before."""
        for message in messages:
            self.inbox.put(message)

    def read(self, *messages: str | bytes) -> None:
        """Put messages in one read."""
        self.inbox.read(lambda nbytes: self.put(*messages), len(messages))

    async def received(self, count: int = 1) -> list[Any]:
        """Receive messages that need not be waited for."""
        with anyio.fail_after(5):
            return [await self.inbox.receive() for _ in range(count)]


async def result_of(task: asyncio.Task[Any]) -> Any:
    with anyio.fail_after(5):
        return await task


# Receiving


async def test_messages_are_received_in_order() -> None:
    client = Client()
    client.put("1", b"2", "", b"")
    assert await client.received(4) == ["1", b"2", "", b""]
    client.put("3")
    assert await client.received() == ["3"]


async def test_receiver_waits_for_the_next_message() -> None:
    client = Client()
    task = asyncio.ensure_future(client.inbox.receive())
    await anyio.wait_all_tasks_blocked()
    assert not task.done()
    client.put("1", "2")

    assert await result_of(task) == "1"
    assert await client.received() == ["2"]


async def test_messages_are_distributed_to_several_receivers() -> None:
    client = Client()
    tasks = [asyncio.ensure_future(client.inbox.receive()) for _ in range(3)]
    await anyio.wait_all_tasks_blocked()
    client.put("1")
    await anyio.wait_all_tasks_blocked()
    assert [task.done() for task in tasks] == [True, False, False]
    client.put("2", "3")

    assert [await result_of(task) for task in tasks] == ["1", "2", "3"]


async def test_cancelled_receiver_leaves_messages_to_the_next_one() -> None:
    client = Client()
    tasks = [asyncio.ensure_future(client.inbox.receive()) for _ in range(2)]
    await anyio.wait_all_tasks_blocked()
    tasks[0].cancel()
    await anyio.wait_all_tasks_blocked()
    client.put("1")

    assert await result_of(tasks[1]) == "1"
    assert tasks[0].cancelled()


async def test_receiver_that_is_cancelled_as_its_message_comes_loses_nothing() -> None:
    client = Client()
    tasks = [asyncio.ensure_future(client.inbox.receive()) for _ in range(2)]
    await anyio.wait_all_tasks_blocked()
    client.put("1")
    tasks[0].cancel()
    client.put("2")

    assert await result_of(tasks[1]) == "1"
    assert tasks[0].cancelled()
    assert await client.received() == ["2"]


# Backpressure


async def test_client_is_paused_at_the_maximum_number_of_messages_and_resumed_when_none_is_left() -> None:
    client = Client(max_messages=3)
    client.put("1", "2")
    assert not client.paused()
    client.put("3")
    assert client.paused()
    await client.received(2)
    assert client.paused()
    await client.received()

    assert not client.paused()


async def test_messages_of_a_read_that_pauses_the_client_are_kept() -> None:
    client = Client(max_messages=1)
    client.put("1", "2", "3")
    assert await client.received(2) == ["1", "2"]
    assert client.paused()
    assert await client.received() == ["3"]

    assert not client.paused()


@pytest.mark.parametrize("unit", ["x", "é", b"x"])
async def test_one_long_message_pauses_the_client(unit: str | bytes) -> None:
    client = Client()
    client.put(unit * LONG)
    assert not client.paused()
    client.put(unit * (LONG + 1))
    assert client.paused()
    await client.received()
    assert client.paused()
    await client.received()

    assert not client.paused()


async def test_client_is_not_paused_by_messages_that_are_received_at_once() -> None:
    client = Client(max_messages=2)
    for _ in range(10):
        client.put("1")
        await client.received()
        assert not client.paused()


# The end


async def test_end_comes_after_the_messages_and_again() -> None:
    client = Client()
    client.put("1", "2")
    ended = [client.inbox.ended]
    client.inbox.end(END)
    ended.append(client.inbox.ended)

    assert ended == [False, True]
    assert await client.received(4) == ["1", "2", END, END]


async def test_first_end_counts() -> None:
    client = Client()
    client.inbox.end(END)
    client.inbox.end({"type": "websocket.disconnect", "code": 1006, "reason": ""})

    assert await client.received(2) == [END, END]


async def test_end_wakes_all_receivers() -> None:
    client = Client()
    tasks = [asyncio.ensure_future(client.inbox.receive()) for _ in range(3)]
    await anyio.wait_all_tasks_blocked()
    client.inbox.end(END)

    assert [await result_of(task) for task in tasks] == [END] * 3


async def test_client_that_was_paused_is_resumed_before_the_end_is_received() -> None:
    client = Client(max_messages=1)
    client.put("1")
    client.inbox.end(END)
    await client.received()

    assert not client.paused()


# Takers

variable: ContextVar[str] = ContextVar("variable", default="nothing")


class Taker:
    """Takes messages until one is ``left``; records them with the value of ``variable``."""

    def __init__(self, leave: Callable[[Any], object | None] = lambda data: None) -> None:
        self._leave = leave
        self.taken: list[tuple[Any, str]] = []
        #: The current task of each message.
        self.tasks: list[asyncio.Task[Any] | None] = []
        self.turns = 0

    def begin_turn(self) -> None:
        self.turns += 1

    def take(self, data: Any) -> object | None:
        self.taken.append((data, variable.get()))
        self.tasks.append(asyncio.current_task())
        return self._leave(data)

    @property
    def messages(self) -> list[Any]:
        return [data for data, _ in self.taken]


def leaving(*left: Any) -> Taker:
    """Return a taker that leaves some messages, each in a list."""
    return Taker(lambda data: [data] if data in left else None)


async def started(client: Client, taker: Taker) -> asyncio.Task[Any]:
    """Start a task that waits while the taker takes messages."""
    task = asyncio.ensure_future(client.inbox.receive_with(taker))
    await anyio.wait_all_tasks_blocked()
    return task


async def test_taker_takes_messages_as_they_come_while_a_task_waits() -> None:
    client, taker = Client(max_messages=2), Taker()
    task = await started(client, taker)
    client.read("1", b"2", "3")
    assert taker.messages == ["1", b"2", "3"]
    assert not client.paused()
    await anyio.wait_all_tasks_blocked()
    assert not task.done()
    client.read("4" * (LONG + 1))

    assert len(taker.taken) == 4
    assert not client.paused()
    task.cancel()


async def test_taker_takes_in_the_context_of_the_task() -> None:
    client, taker = Client(), Taker()
    variable.set("of the connection")
    task = await started(client, taker)
    variable.set("of the reader")
    client.read("1")

    assert taker.taken == [("1", "of the connection")]
    task.cancel()


async def test_taker_sees_what_the_task_has_set_before_it_waits_again() -> None:
    client, taker = Client(), leaving("1")

    async def read() -> None:
        await client.inbox.receive_with(taker)
        variable.set("later")
        await client.inbox.receive_with(taker)

    task = asyncio.ensure_future(read())
    await anyio.wait_all_tasks_blocked()
    client.read("1")
    await anyio.wait_all_tasks_blocked()
    client.read("2")

    assert taker.taken == [("1", "nothing"), ("2", "later")]
    task.cancel()


async def test_task_gets_what_its_taker_has_left_and_later_messages_are_kept() -> None:
    client, taker = Client(max_messages=2), leaving("2")
    task = await started(client, taker)
    client.read("1", "2", "3")
    assert not client.paused()
    client.read("4")

    assert taker.messages == ["1", "2"]
    assert client.paused()
    assert await result_of(task) == ["2"]
    assert await client.received(2) == ["3", "4"]
    assert not client.paused()
    assert taker.messages == ["1", "2"]


async def test_messages_that_were_kept_are_not_taken_but_returned() -> None:
    client, taker = Client(), Taker()
    client.read("1", "2")

    with anyio.fail_after(5):
        assert [await client.inbox.receive_with(taker) for _ in range(2)] == ["1", "2"]
    task = await started(client, taker)
    client.read("3")
    assert taker.messages == ["3"]
    task.cancel()


async def test_exception_may_be_left_to_the_task() -> None:
    failure = ValueError("left")
    client, taker = Client(), Taker(lambda data: failure)
    task = await started(client, taker)
    client.read("1")

    assert await result_of(task) is failure


async def test_end_is_not_taken() -> None:
    client, taker = Client(), Taker()
    task = await started(client, taker)
    client.read("1")
    client.inbox.end(END)

    assert await result_of(task) == END
    assert taker.messages == ["1"]
    with anyio.fail_after(5):
        assert await client.inbox.receive_with(taker) == END


async def test_end_comes_after_what_the_taker_has_left() -> None:
    client, taker = Client(), leaving("1")
    task = await started(client, taker)
    client.read("1", "2")
    client.inbox.end(END)

    assert await result_of(task) == ["1"]
    assert await client.received(2) == ["2", END]


async def test_each_read_begins_a_turn_while_a_task_waits() -> None:
    client, taker = Client(), leaving("3")
    client.read("kept")
    await client.received()
    task = await started(client, taker)
    assert taker.turns == 0
    client.read("1", "2")
    assert taker.turns == 1
    client.read()
    client.read("3", "4")
    assert taker.turns == 3
    client.read("5")
    await result_of(task)
    client.read("6")

    assert taker.turns == 3


async def test_taker_acts_as_the_task_in_a_callback_of_the_event_loop() -> None:
    client, taker = Client(), Taker()
    task = await started(client, taker)
    after: list[asyncio.Task[Any] | None] = []

    def read() -> None:
        client.read("1", "2")
        after.append(asyncio.current_task())

    asyncio.get_running_loop().call_soon(read)
    await anyio.wait_all_tasks_blocked()

    assert taker.tasks == [task, task]
    assert after == [None]
    task.cancel()


async def test_callback_is_no_task_after_a_read_that_fails() -> None:
    client, taker = Client(), Taker()
    task = await started(client, taker)
    after: list[asyncio.Task[Any] | None] = []

    def fail(nbytes: int) -> None:
        raise ZeroDivisionError("in the parser")

    def read() -> None:
        with pytest.raises(ZeroDivisionError):
            client.inbox.read(fail, 1)
        after.append(asyncio.current_task())

    asyncio.get_running_loop().call_soon(read)
    await anyio.wait_all_tasks_blocked()

    assert after == [None]
    task.cancel()


async def test_connection_is_parsed_by_the_callback_itself_if_no_task_waits() -> None:
    client = Client()
    sizes: list[int] = []
    tasks: list[asyncio.Task[Any] | None] = []

    def parse(nbytes: int) -> None:
        sizes.append(nbytes)
        tasks.append(asyncio.current_task())

    asyncio.get_running_loop().call_soon(client.inbox.read, parse, 17)
    await anyio.wait_all_tasks_blocked()

    assert (sizes, tasks) == ([17], [None])


async def test_cancelled_task_takes_no_more() -> None:
    client, taker = Client(), Taker()
    task = await started(client, taker)
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    client.read("1")

    assert (taker.turns, taker.taken) == (0, [])
    assert await client.received() == ["1"]


async def test_what_a_taker_has_left_to_a_cancelled_task_comes_first() -> None:
    client, taker = Client(), leaving("1")
    task = await started(client, taker)
    client.read("1", "2")
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    assert task.cancelled()

    assert await client.received(2) == [["1"], "2"]


async def test_messages_are_received_after_a_taker() -> None:
    client, taker = Client(), leaving("1")
    task = await started(client, taker)
    client.read("1")
    await result_of(task)
    receiver = asyncio.ensure_future(client.inbox.receive())
    await anyio.wait_all_tasks_blocked()
    client.read("2")

    assert await result_of(receiver) == "2"
    assert taker.messages == ["1"]


async def test_taker_may_end_the_connection() -> None:
    client = Client()

    def end(data: Any) -> None:
        client.inbox.end(END)

    task = await started(client, Taker(end))
    client.read("1")

    assert await result_of(task) == END
