"""The calls of one session that have no answer yet: those of the realm's procedures and of clients'."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.wamp_client import WAMPClient, connect
from tests.websocket import PATIENCE
from wampasgi import Application, Limits, RPCProgressReport, WAMPError

pytestmark = pytest.mark.anyio

ERROR, CALL, CANCEL, RESULT = 8, 48, 49, 50
REGISTER, REGISTERED, INVOCATION, INTERRUPT, YIELD = 64, 65, 68, 69, 70
CANCELED, TIMEOUT, UNAVAILABLE = "wamp.error.canceled", "wamp.error.timeout", "wamp.error.unavailable"

FEATURES = dict.fromkeys(["call_canceling", "call_timeout", "progressive_call_results"], True)
ROLES = {"caller": {"features": FEATURES}, "callee": {"features": FEATURES}}
OWN, ROUTED = "com.own", "com.routed"

#: Timeouts in milliseconds: one that passes during a test, and one that does not.
SOON, LATE = 20, 60_000


class App:
    """An app with a procedure that waits until it is released, and records how it ended."""

    def __init__(self, **options: Any) -> None:
        self.app = Application(**options)
        self.app.allow_all()
        self.release = anyio.Event()
        self.started: list[Any] = []
        self.ended: list[Any] = []
        self.cancelled = anyio.Event()
        self.app.procedure(OWN)(self.wait)

    async def wait(self, number: int, text: str = "") -> str:
        self.started.append(number)
        try:
            await self.release.wait()
        except anyio.get_cancelled_exc_class():
            self.ended.append(("cancelled", number))
            self.cancelled.set()
            raise
        self.ended.append(("finished", number))
        return "own"

    @asynccontextmanager
    async def clients(self) -> AsyncIterator[tuple[WAMPClient, WAMPClient]]:
        """A caller, and a callee that has registered ``ROUTED``."""
        async with AsyncExitStack() as stack:
            caller, callee = [await stack.enter_async_context(connect(self.app)) for _ in range(2)]
            for websocket in caller, callee:
                await websocket.join(roles=ROLES)
            assert (await callee.ask(REGISTER, 1, {}, ROUTED))[0] == REGISTERED
            yield caller, callee


async def call_own(caller: WAMPClient, request_id: int, text: str = "", **options: Any) -> None:
    await caller.send(CALL, request_id, options, OWN, [request_id, text])


async def call_routed(
    caller: WAMPClient, callee: WAMPClient, request_id: int, text: str = "", **options: Any
) -> int:
    """Call the callee, and return the ID of its invocation."""
    await caller.send(CALL, request_id, options, ROUTED, [text])
    invocation = await callee.receive()
    assert invocation[0] == INVOCATION, invocation
    invocation_id: int = invocation[1]
    return invocation_id


def error_of(answer: list[Any]) -> tuple[int, str]:
    """The request and the URI of an ERROR for a call."""
    assert answer[:2] == [ERROR, CALL], answer
    return answer[2], answer[4]


# Canceling


@pytest.mark.parametrize("mode", ["skip", "killnowait", "kill"])
async def test_cancel_of_a_call_leaves_calls_of_the_other_kind_alone(mode: str) -> None:
    app = App()
    async with app.clients() as (caller, callee):
        await call_own(caller, 1)
        first = await call_routed(caller, callee, 2)
        await caller.send(CANCEL, 2, {"mode": mode})
        if mode != "skip":
            assert await callee.receive() == [INTERRUPT, first, {"mode": mode}]
        if mode == "kill":
            await callee.send(ERROR, INVOCATION, first, {}, CANCELED)
        assert error_of(await caller.receive()) == (2, CANCELED)

        second = await call_routed(caller, callee, 3)
        await caller.send(CANCEL, 1, {"mode": mode})
        assert error_of(await caller.receive()) == (1, CANCELED)
        app.release.set()
        await callee.send(YIELD, second, {}, ["routed"])
        assert await caller.receive() == [RESULT, 3, {}, ["routed"]]

    assert app.ended == [("finished" if mode == "skip" else "cancelled", 1)]


async def test_call_that_was_canceled_does_not_time_out_as_well() -> None:
    app = App()
    async with app.clients() as (caller, callee):
        await call_own(caller, 1, timeout=SOON)
        await call_routed(caller, callee, 2, timeout=SOON)
        await caller.send(CANCEL, 1, {"mode": "skip"})
        await caller.send(CANCEL, 2, {"mode": "skip"})
        answers = [error_of(await caller.receive()) for _ in range(2)]
        # CANCEL has left the handler alone, but its timeout still cancels it.
        with anyio.fail_after(PATIENCE):
            await app.cancelled.wait()
        assert error_of(await caller.ask(CALL, 3, {}, "com.unknown"))[0] == 3

    assert answers == [(1, CANCELED), (2, CANCELED)]
    assert app.ended == [("cancelled", 1)]


@pytest.mark.parametrize("again", ["CANCEL", "timeout"])
async def test_cleanup_of_a_killed_handler_is_not_interrupted(again: str) -> None:
    app = Application()
    cleaning, release = anyio.Event(), anyio.Event()
    cleared_up = []

    @app.procedure(OWN)
    async def slow_to_end() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cleaning.set()
            with anyio.CancelScope(shield=True):
                await release.wait()
            cleared_up.append(True)

    @app.procedure("com.later")
    async def later() -> None:
        await anyio.sleep_forever()

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(CALL, 1, {"timeout": SOON} if again == "timeout" else {}, OWN)
        await websocket.send(CANCEL, 1, {"mode": "kill"})
        with anyio.fail_after(PATIENCE):
            await cleaning.wait()
        if again == "CANCEL":
            await websocket.send(CANCEL, 1, {"mode": "kill"})
        # This call times out after the first one.
        assert error_of(await websocket.ask(CALL, 2, {"timeout": 2 * SOON}, "com.later")) == (2, TIMEOUT)
        release.set()
        assert error_of(await websocket.receive()) == (1, CANCELED)
        # That was its only answer.
        assert error_of(await websocket.ask(CALL, 3, {}, "com.unknown"))[0] == 3

    assert cleared_up == [True]


# Deadlines


@pytest.mark.parametrize("soon", [OWN, ROUTED])
async def test_call_times_out_though_calls_with_more_time_came_before_it(soon: str) -> None:
    app = App()
    async with app.clients() as (caller, callee):
        await call_own(caller, 1, timeout=LATE)
        invocation_id = await call_routed(caller, callee, 2, timeout=LATE)
        if soon == OWN:
            await call_own(caller, 3, timeout=SOON)
        else:
            await call_routed(caller, callee, 3, timeout=SOON)

        assert await caller.receive() == [
            ERROR,
            CALL,
            3,
            {},
            TIMEOUT,
            ["the call gave no result within 0.02 s"],
        ]
        await callee.send(YIELD, invocation_id, {}, ["routed"])
        assert await _last_answer(caller, callee, soon) == [RESULT, 2, {}, ["routed"]]
        app.release.set()
        assert await caller.receive() == [RESULT, 1, {}, ["own"]]


async def _last_answer(caller: WAMPClient, callee: WAMPClient, soon: str) -> list[Any]:
    if soon == ROUTED:
        assert (await callee.receive())[0] == INTERRUPT
    return await caller.receive()


async def test_calls_of_both_kinds_time_out_in_one_session() -> None:
    app = App()
    async with app.clients() as (caller, callee):
        for request_id in 1, 3:
            await call_own(caller, request_id, timeout=request_id * SOON)
            await call_routed(caller, callee, request_id + 1, timeout=request_id * SOON)
        answers = [error_of(await caller.receive()) for _ in range(4)]
        # New deadlines are kept after all the others have passed.
        await call_own(caller, 5, timeout=SOON)
        assert error_of(await caller.receive()) == (5, TIMEOUT)
        await call_routed_again(caller, callee, 6)
        assert error_of(await caller.receive()) == (6, TIMEOUT)

    assert sorted(answers) == [(request_id, TIMEOUT) for request_id in range(1, 5)]
    assert sorted(app.ended) == [("cancelled", 1), ("cancelled", 3), ("cancelled", 5)]


async def call_routed_again(caller: WAMPClient, callee: WAMPClient, request_id: int) -> None:
    """Call the callee again, which was interrupted twice before."""
    await caller.send(CALL, request_id, {"timeout": SOON}, ROUTED)
    assert [(await callee.receive())[0] for _ in range(3)] == [INTERRUPT, INTERRUPT, INVOCATION]


async def test_progress_of_a_handler_extends_the_time_of_its_call_alone() -> None:
    app = App()

    @app.app.procedure("com.steps")
    async def steps() -> AsyncIterator[Any]:
        await anyio.sleep(0.2)
        yield RPCProgressReport(("still here",))
        await anyio.sleep_forever()

    async with app.clients() as (caller, callee):
        await caller.send(CALL, 1, {"timeout": 400, "receive_progress": True}, "com.steps")
        await call_routed(caller, callee, 2, timeout=400)

        assert await caller.receive() == [RESULT, 1, {"progress": True}, ["still here"]]
        assert [error_of(await caller.receive()) for _ in range(2)] == [(2, TIMEOUT), (1, TIMEOUT)]


async def test_progress_of_a_client_extends_the_time_of_its_call_alone() -> None:
    app = App()
    async with app.clients() as (caller, callee):
        invocation_id = await call_routed(caller, callee, 1, timeout=400, receive_progress=True)
        await call_own(caller, 2, timeout=400)
        await anyio.sleep(0.2)
        await callee.send(YIELD, invocation_id, {"progress": True}, ["still here"])

        assert await caller.receive() == [RESULT, 1, {"progress": True}, ["still here"]]
        assert [error_of(await caller.receive()) for _ in range(2)] == [(2, TIMEOUT), (1, TIMEOUT)]


async def test_deadlines_end_with_the_session() -> None:
    app = App()
    async with app.clients() as (caller, callee):
        await call_own(caller, 1, timeout=LATE)
        invocation_id = await call_routed(caller, callee, 2, timeout=LATE)
        await caller.disconnect()
        await caller.wait_served()
        assert await callee.receive() == [INTERRUPT, invocation_id, {"mode": "killnowait"}]

    assert app.ended == [("cancelled", 1)]


@pytest.mark.parametrize("synchronize", [False, True])
@pytest.mark.parametrize(
    ("limits", "options", "text"),
    [
        (
            Limits(handler_timeout=0.01),
            {},
            "the handler gave no result within the limit handler_timeout of 0.01 s",
        ),
        (Limits(), {"timeout": 10}, "the call gave no result within 0.01 s"),
        (Limits(handler_timeout=60), {"timeout": 10}, "the call gave no result within 0.01 s"),
        (
            Limits(handler_timeout=0.01),
            {"timeout": LATE},
            "the handler gave no result within the limit handler_timeout of 0.01 s",
        ),
    ],
    ids=["limit", "option", "shorter option", "shorter limit"],
)
async def test_call_that_times_out_is_answered_when_its_handler_has_ended(
    limits: Limits, options: dict[str, Any], text: str, synchronize: bool
) -> None:
    app = Application(limits=limits, synchronize_requests=synchronize)
    cleaning, release = anyio.Event(), anyio.Event()
    ended: list[str] = []

    @app.procedure(OWN)
    async def slow_to_end() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cleaning.set()
            with anyio.CancelScope(shield=True):
                await release.wait()
            ended.append("first")

    @app.procedure("com.quick")
    async def quick() -> tuple[str, ...]:
        return *ended, "second"

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(CALL, 1, options, OWN)
        if synchronize:
            await websocket.send(CALL, 2, {}, "com.quick")
        with anyio.fail_after(PATIENCE):
            await cleaning.wait()
        await anyio.wait_all_tasks_blocked()
        assert websocket.arrived() == 0
        release.set()
        assert await websocket.receive() == [ERROR, CALL, 1, {}, TIMEOUT, [text]]
        assert ended == ["first"]
        if not synchronize:
            await websocket.send(CALL, 2, {}, "com.quick")
        assert await websocket.receive() == [RESULT, 2, {}, ["first", "second"]]


async def test_handler_that_has_timed_out_may_still_raise_an_error_of_its_own() -> None:
    app = Application(limits=Limits(handler_timeout=0.01))

    @app.procedure("com.error")
    async def error() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise WAMPError("com.myapp.too_late", "half of it")

    async with connect(app) as websocket:
        await websocket.join()
        answer = await websocket.ask(CALL, 1, {}, "com.error")

    assert answer == [ERROR, CALL, 1, {}, "com.myapp.too_late", ["half of it"]]


# Limits


async def test_calls_of_each_kind_have_a_limit_of_their_own() -> None:
    app = App(limits=Limits(requests_in_flight=1, routed_calls=2))
    async with app.clients() as (caller, callee):
        invocations = [await call_routed(caller, callee, request_id) for request_id in (1, 2)]
        assert error_of(await caller.ask(CALL, 3, {}, ROUTED)) == (3, UNAVAILABLE)
        for request_id in 4, 5:
            await call_own(caller, request_id)
        await anyio.wait_all_tasks_blocked()
        assert app.started == [4]

        # The last call waits, but other calls get their answers.
        for request_id, invocation_id in zip((1, 2), invocations, strict=True):
            await callee.send(YIELD, invocation_id, {}, [request_id])
            assert await caller.receive() == [RESULT, request_id, {}, [request_id]]
        app.release.set()
        assert sorted([await caller.receive() for _ in range(2)]) == [
            [RESULT, request_id, {}, ["own"]] for request_id in (4, 5)
        ]
        # The answers have made room.
        await call_routed(caller, callee, 6)

    assert app.started == [4, 5]


async def test_bytes_of_each_kind_are_counted_by_themselves() -> None:
    app = App(limits=Limits(requests_bytes=5000))
    text = "x" * 3000
    async with app.clients() as (caller, callee):
        invocation_id = await call_routed(caller, callee, 1, text)
        await call_own(caller, 2, text)
        assert error_of(await caller.ask(CALL, 3, {}, ROUTED, [text])) == (3, UNAVAILABLE)
        await callee.send(YIELD, invocation_id, {})
        assert await caller.receive() == [RESULT, 1, {}]
        await call_routed(caller, callee, 4, text)

        # With this one the session is over its limit, so the next waits.
        await call_own(caller, 5, text)
        await call_own(caller, 6)
        await anyio.wait_all_tasks_blocked()
        assert app.started == [2, 5]
        app.release.set()
        assert sorted([(await caller.receive())[1] for _ in range(3)]) == [2, 5, 6]


@pytest.mark.parametrize(("first", "second"), [(OWN, ROUTED), (ROUTED, OWN)])
async def test_request_id_in_flight_is_refused_for_a_call_of_the_other_kind(first: str, second: str) -> None:
    app = App()
    async with app.clients() as (caller, callee):
        await caller.send(CALL, 7, {}, first, [1])
        refused = await caller.ask(CALL, 7, {}, second, [2])
        app.release.set()
        if first == ROUTED:
            await callee.send(YIELD, (await callee.receive())[1], {}, ["routed"])
        answer = await caller.receive()

    assert error_of(refused) == (7, "wamp.error.invalid_argument")
    assert answer == [RESULT, 7, {}, ["own" if first == OWN else "routed"]]
    assert app.started == ([1] if first == OWN else [])


async def test_synchronized_calls_wait_for_each_other_at_the_limit() -> None:
    app = App(limits=Limits(requests_in_flight=1), synchronize_requests=True)
    async with app.clients() as (caller, _):
        for request_id in 1, 2:
            await call_own(caller, request_id)
        await anyio.wait_all_tasks_blocked()
        assert app.started == [1]
        app.release.set()
        assert [(await caller.receive())[1] for _ in range(2)] == [1, 2]
    # Python warns of a coroutine that was never awaited when it is collected.
    gc.collect()
