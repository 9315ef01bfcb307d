from __future__ import annotations

import gc
import weakref

import anyio
import anyio.lowlevel
import pytest

from wampasgi.client.errors import Timeout
from wampasgi.client.waiting import Observed, answer_factory, within

pytestmark = pytest.mark.anyio


class Described:
    def __call__(self) -> str:
        return "the answer of a test"


async def test_answer_that_arrives_first_is_returned_at_once() -> None:
    answer = answer_factory()()
    answer.receive("answer")
    answer.receive("second")
    answer.fail(LookupError())

    assert await answer.wait(1, Described()) == "answer"


async def test_failure_is_raised() -> None:
    answer = answer_factory()()
    answer.fail(LookupError("why"))
    answer.receive("late")

    with pytest.raises(LookupError, match="why"):
        await answer.wait(None, Described())


async def test_answers_expire_in_the_order_of_their_deadlines() -> None:
    new = answer_factory()
    expired: list[str] = []

    async def wait(timeout: float, name: str) -> None:
        begin = anyio.current_time()
        with pytest.raises(Timeout, match=rf"waited {timeout:g} s for the answer of a test"):
            await new().wait(timeout, Described())
        assert anyio.current_time() - begin > timeout - 0.01
        expired.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(wait, 0.09, "third")
        group.start_soon(wait, 0.06, "second")
        group.start_soon(wait, 0.03, "first")
        # Of the same length as another, but later.
        await anyio.sleep(0.05)
        group.start_soon(wait, 0.09, "fourth")
    assert expired == ["first", "second", "third", "fourth"]


async def test_many_different_timeouts_are_kept() -> None:
    new = answer_factory()
    expired: list[float] = []

    async def wait(timeout: float) -> None:
        with pytest.raises(Timeout):
            await new().wait(timeout, Described())
        expired.append(timeout)

    timeouts = [0.01 + number / 10_000 for number in range(250)]
    async with anyio.create_task_group() as group:
        for timeout in timeouts:
            group.start_soon(wait, timeout)
    assert sorted(expired) == timeouts


async def test_nothing_of_an_answered_request_is_kept_until_its_timeout() -> None:
    new = answer_factory()
    kept: list[weakref.ref[Described]] = []

    async def wait() -> None:
        answer, described = new(), Described()
        kept.append(weakref.ref(described))
        async with anyio.create_task_group() as group:

            async def receive() -> None:
                answer.receive("answer")

            group.start_soon(receive)
            assert await answer.wait(60, described) == "answer"

    await wait()
    gc.collect()
    assert [reference() for reference in kept] == [None]


async def test_failure_that_nobody_waits_for_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    answer_factory()().fail(LookupError("why"))
    gc.collect()
    await anyio.wait_all_tasks_blocked()

    assert caplog.records == []


async def test_observer_sees_the_answer_when_it_arrives() -> None:
    seen: list[str] = []
    answer = answer_factory()()
    observed = Observed(answer, seen.append)
    assert observed.describe() == "the answer"
    sent = [observed.sent]

    answer.sent = True
    observed.receive("answer")

    assert [*sent, observed.sent] == [False, True]
    assert seen == ["answer"]
    assert await answer.wait(1, Described()) == "answer"


async def test_observer_does_not_see_a_failure() -> None:
    answer = answer_factory()()
    Observed(answer, lambda message: pytest.fail("it must not be seen")).fail(LookupError("why"))

    with pytest.raises(LookupError, match="why"):
        await answer.wait(1, Described())


async def test_answer_in_time_is_returned_even_with_no_time_left() -> None:
    answer = answer_factory()()
    answer.receive("answer")
    assert await answer.wait(0, Described()) == "answer"
    with pytest.raises(Timeout, match="waited 0 s for the answer of a test"):
        await answer_factory()().wait(0, Described())


async def test_block_that_takes_too_long_is_named() -> None:
    with within(1, Described()):
        await anyio.lowlevel.checkpoint()
    with within(None, Described()):
        await anyio.lowlevel.checkpoint()
    with pytest.raises(Timeout, match=r"waited 0\.01 s for the answer of a test"), within(0.01, Described()):
        await anyio.sleep_forever()
