"""Failures of application code, at every moment at which it runs."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.endings.moments import MOMENTS, Moment
from tests.endings.stage import Inside, Stage
from wampasgi import Session

pytestmark = pytest.mark.anyio

IN_CODE = pytest.mark.parametrize(
    "moment", [pytest.param(moment, id=moment.__name__) for moment in MOMENTS if moment.in_code]
)

#: The log messages on asyncio if the error comes without the cancellation.
FAILURES = (
    "procedure %s failed, called by %r",
    "gatekeeper %s failed for topic %s and %r",
    "%s failed for %s of %s by %r",
    "%s failed for %r\n%s",
)


async def raise_an_error(session: Session) -> None:
    raise ZeroDivisionError("of the application")


async def await_a_cancelled_task(session: Session) -> None:
    task = asyncio.create_task(anyio.sleep_forever())
    await checkpoint()
    task.cancel()
    await task


async def fail_in_a_task(session: Session) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(raise_an_error, session)


async def fail_in_cleanup(session: Session) -> None:
    """Cancel a task that then raises an error, beside another one that does not."""

    async def stubborn() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ZeroDivisionError("of the application")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stubborn)
        await anyio.sleep_forever()


async def cancel_a_scope_of_its_own(session: Session) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await checkpoint()


async def nothing_is_left(stage: Stage, before: set[int]) -> None:
    metrics = stage.app.metrics()["default"]
    assert metrics["sessions"]["open"] == metrics["sessions"]["opening"] == 0
    assert metrics["router"] == {"subscriptions": 0, "registrations": 0}
    assert {task.id for task in anyio.get_running_tasks()} == before


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@IN_CODE
async def test_awaiting_a_cancelled_task_is_an_error_of_the_application(
    moment: type[Moment], caplog: pytest.LogCaptureFixture
) -> None:
    await fails(moment, await_a_cancelled_task, caplog)
    assert "was not cancelled, but awaited a task or future that was" in caplog.text


@IN_CODE
@pytest.mark.parametrize("fail", [raise_an_error, fail_in_a_task])
async def test_application_error_is_logged_once(
    moment: type[Moment], fail: Inside, caplog: pytest.LogCaptureFixture
) -> None:
    await fails(moment, fail, caplog)
    assert "of the application" in caplog.text


async def fails(moment: type[Moment], fail: Inside, caplog: pytest.LogCaptureFixture) -> None:
    before = {task.id for task in anyio.get_running_tasks()}
    stage = Stage(moment.limits, inside=fail)
    moment().prepare(stage)
    async with stage.connected():
        await moment().arrive(stage)
        with anyio.fail_after(5):
            while not caplog.records:
                await checkpoint()
        await stage.websocket.disconnect()
        await stage.websocket.wait_served()

    logged = [record for record in caplog.records if record.name.startswith("wampasgi")]
    assert len(logged) == 1
    await nothing_is_left(stage, before)


@IN_CODE
async def test_scope_that_the_application_cancels_does_not_end_the_session(
    moment: type[Moment], caplog: pytest.LogCaptureFixture
) -> None:
    before = {task.id for task in anyio.get_running_tasks()}
    stage = Stage(moment.limits, inside=cancel_a_scope_of_its_own)
    moment().prepare(stage)
    async with stage.connected():
        await moment().arrive(stage)
        stage.released.set()
        await anyio.wait_all_tasks_blocked()
        assert moment.phase == "over" or stage.session is not None
        assert not stage.websocket.served.is_set()
        await stage.websocket.disconnect()
        await stage.websocket.wait_served()

    assert not caplog.records
    await nothing_is_left(stage, before)


@pytest.mark.parametrize("moment", [moment for moment in MOMENTS if moment.in_code and not moment.outlives])
async def test_error_in_a_cancelled_task_does_not_prevent_a_clean_end(
    moment: type[Moment], caplog: pytest.LogCaptureFixture
) -> None:
    before = {task.id for task in anyio.get_running_tasks()}
    limits = {**moment.limits, "handshake_timeout": 0.4} if moment.phase == "handshake" else moment.limits
    stage = Stage(limits, inside=fail_in_cleanup)
    moment().prepare(stage)
    async with stage.connected():
        await moment().arrive(stage)
        await anyio.wait_all_tasks_blocked()
        assert stage.session is not None
        if moment.phase == "open":
            await stage.session.abort("com.example.error.over")
        await stage.websocket.wait_served()

    assert "of the application" in caplog.text
    assert {record.msg for record in caplog.records} <= {
        "%s of %r failed while being cancelled",
        "a client from %s did not open a session in time",
        *FAILURES,
    }
    await nothing_is_left(stage, before)
