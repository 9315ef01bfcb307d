from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wampasgi.adapters.suspension import on_suspension

pytestmark = pytest.mark.anyio


async def immediate() -> str:
    return "value"


async def waiting(steps: int = 3) -> str:
    for _ in range(steps):
        await checkpoint()
    return "value"


async def suspensions(awaitable: Awaitable[object]) -> int:
    """Await with on_suspension, and return how often the function was called."""
    calls: list[None] = []
    assert await on_suspension(awaitable, lambda: calls.append(None)) == "value"
    return len(calls)


async def test_function_is_not_called_if_nothing_waits() -> None:
    assert await suspensions(immediate()) == 0


async def test_function_is_called_once_at_the_first_suspension() -> None:
    assert await suspensions(waiting()) == 1


async def test_function_is_called_while_the_awaitable_waits() -> None:
    order = []

    async def two_parts() -> None:
        order.append("before")
        await checkpoint()
        order.append("after")

    await on_suspension(two_parts(), lambda: order.append("suspended"))

    assert order == ["before", "suspended", "after"]


@pytest.mark.parametrize("fails", ["at once", "later"])
async def test_exception_of_the_awaitable_is_raised(fails: str) -> None:
    async def failing() -> None:
        if fails == "later":
            await checkpoint()
        raise LookupError("wrong")

    with pytest.raises(LookupError, match="wrong"):
        await on_suspension(failing(), lambda: None)


async def test_exception_of_the_function_is_raised_and_the_awaitable_is_closed() -> None:
    closed = []

    async def careful() -> None:
        try:
            await checkpoint()
        finally:
            closed.append(True)

    def fail() -> None:
        raise LookupError("wrong")

    with pytest.raises(LookupError, match="wrong"):
        await on_suspension(careful(), fail)
    assert closed == [True]


async def test_cancellation_reaches_the_awaitable() -> None:
    cleaned_up = []

    async def endless() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await checkpoint()
            cleaned_up.append(True)

    with anyio.move_on_after(0.01) as scope:
        await on_suspension(endless(), lambda: None)

    assert scope.cancelled_caught
    assert cleaned_up == [True]


async def test_scopes_and_task_groups_work_inside() -> None:
    async def structured() -> str:
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(checkpoint)
        return "value"

    assert await suspensions(structured()) == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_futures_can_be_awaited() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    set_result: Callable[[str], None] = future.set_result
    asyncio.get_running_loop().call_soon(set_result, "value")

    assert await suspensions(future) == 1
    assert await suspensions(future) == 0
