"""Timeouts of calls, and errors that handlers raise beside a cancellation or in place of one."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wampasgi import WAMPError
from wampasgi.injection.cancellation import checked, within, without_errors

pytestmark = pytest.mark.anyio

SESSION = SimpleNamespace(id=7, realm_uri="com.example", client_address="192.0.2.1")

on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


async def answer() -> int:
    await checkpoint()
    return 42


# Timeouts


@pytest.mark.parametrize("timeout", [None, 60])
async def test_call_that_ends_in_time_gives_its_result(timeout: float | None) -> None:
    assert await within(timeout, answer()) == 42


@pytest.mark.parametrize(
    ("text", "expected"), [(None, "the call gave no result within 0.001 s"), ("too slow", "too slow")]
)
async def test_call_over_its_timeout_is_cancelled_and_raises_an_error(
    text: str | None, expected: str
) -> None:
    cancelled = []

    async def hang() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(True)

    with pytest.raises(WAMPError) as raised:
        await within(0.001, hang(), text=text)

    assert (raised.value.uri, raised.value.args) == ("wamp.error.timeout", (expected,))
    assert cancelled == [True]


async def test_error_of_the_call_is_raised_unchanged() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await within(60, fail())


async def test_deadline_can_be_moved_while_the_call_runs() -> None:
    scope = anyio.CancelScope()

    async def extend() -> str:
        assert scope.deadline < math.inf
        scope.deadline = math.inf
        await checkpoint()
        return "in time"

    assert await within(60, extend(), scope=scope) == "in time"


async def test_cancellation_from_outside_is_no_timeout() -> None:
    with anyio.CancelScope() as outer:
        outer.cancel()
        await within(60, anyio.sleep_forever())

    assert outer.cancelled_caught


# Cancelled tasks of the application


@on_asyncio
async def test_awaiting_a_cancelled_task_is_an_error() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await task

    error = checked(raised.value, "add")

    assert isinstance(error, RuntimeError)
    assert str(error) == "add was not cancelled, but awaited a task or future that was"
    assert error.__cause__ is raised.value


@on_asyncio
async def test_cancellation_of_the_handler_itself_stays_one() -> None:
    found: list[BaseException] = []

    async def handler() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            found.extend([error, checked(error, "add")])
            raise

    task = asyncio.create_task(handler())
    await checkpoint()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert found[0] is found[1]


# Groups of errors and cancellations


def test_errors_beside_a_cancellation_are_logged_and_removed(caplog: pytest.LogCaptureFixture) -> None:
    cancellation = asyncio.CancelledError()
    group = BaseExceptionGroup("of a task group", [ZeroDivisionError("by the handler"), cancellation])

    rest = without_errors(group, "procedure add", SESSION)

    assert rest.exceptions == (cancellation,)
    [record] = caplog.records
    assert record.getMessage().startswith("procedure add of ")
    assert "failed while being cancelled" in record.getMessage()
    assert "ZeroDivisionError: by the handler" in caplog.text


@pytest.mark.parametrize("exceptions", [[ZeroDivisionError()], [asyncio.CancelledError()]])
def test_group_of_errors_or_of_cancellations_alone_is_unchanged(
    exceptions: list[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    group = BaseExceptionGroup("of a task group", exceptions)

    assert without_errors(group, "procedure add", None) is group
    assert not caplog.records
