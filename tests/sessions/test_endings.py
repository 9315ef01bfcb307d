"""Every way to end a session at every moment of its life."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import anyio
import pytest

from tests.endings.endings import (
    ENDINGS,
    NATIVE_CANCELLATIONS,
    PAIRS,
    Ending,
    How,
    Outcome,
    why_not,
)
from tests.endings.moments import MOMENTS, CalleeIsInvoked, InSecondPart, Moment
from tests.endings.stage import ROLES, Stage
from tests.specification import ABORT, CALL, ERROR, GOODBYE
from tests.uvicorn_line import UvicornLine, anyio_backend
from tests.websocket import WebSocket

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio


def cases(*endings: Ending) -> pytest.MarkDecorator:
    """Parametrize with all possible combinations; ``why_not`` gives the reasons for the others."""
    return pytest.mark.parametrize(
        ("moment", "ending"),
        [
            pytest.param(moment, ending, id=f"{ending}-{moment.__name__}")
            for moment, ending in product(MOMENTS, endings)
            if not any(why_not(moment, one) for one in ending.parts)
        ],
    )


@cases(*ENDINGS)
async def test_session_ends_cleanly(
    moment: type[Moment], ending: Ending, caplog: pytest.LogCaptureFixture
) -> None:
    await check_ending(moment(), ending, caplog)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "picows"], indirect=True)
@cases(*NATIVE_CANCELLATIONS)
async def test_session_whose_task_is_cancelled_ends_cleanly(
    moment: type[Moment], ending: Ending, caplog: pytest.LogCaptureFixture
) -> None:
    await check_ending(moment(), ending, caplog)


@cases(*PAIRS)
async def test_session_ends_once_if_two_endings_come_at_once(
    moment: type[Moment], ending: Ending, caplog: pytest.LogCaptureFixture
) -> None:
    await check_ending(moment(), ending, caplog)


async def check_ending(moment: Moment, ending: Ending, caplog: pytest.LogCaptureFixture) -> None:
    """Bring a session to the moment, end it, and check that nothing is left and all is reported once."""
    before = {task.id for task in anyio.get_running_tasks()}
    over_uvicorn = WebSocket.line_type is UvicornLine
    gated = not over_uvicorn or moment.needs_gate or ending.needs_gate
    stage = Stage({**moment.limits, **ending.limits}, inside=ending.inside, gated=gated, **ending.options)
    moment.prepare(stage)
    ending.prepare(stage)
    outcomes = ending.outcomes(type(moment))
    if over_uvicorn:
        # It closes the connection if the app returns.
        outcomes += [replace(outcome, how="closed") for outcome in outcomes if outcome.how == "gone"]

    async with stage.connected():
        await moment.arrive(stage)
        stage.find_session()
        await ending.happen(stage)
        interrupted = ending.interrupts_handshake if moment.phase == "handshake" else ending.interrupts
        if moment.outlives or not (moment.reads or interrupted):
            stage.released.set()
        stage.gate.open()
        how = await ends(stage, moment, ending)
        await stage.websocket.wait_served()
        await ending.settled(stage)
        # If two endings come at once, the partner may have got this before the answer to its own call.
        told = any(message[:3] == [ERROR, CALL, 1] for message in stage.partner_messages)
        if isinstance(moment, CalleeIsInvoked) and not ending.of_all and not told:
            await stage.partner_receives(ERROR, CALL, 1)
        metrics = stage.app.metrics()["default"]
        assert metrics["sessions"]["open"] == len(stage.app.default_realm.sessions)
        assert metrics["sessions"]["opening"] == 0

    words = [(message[0], message[-1]) for message in stage.messages if message[0] in (ABORT, GOODBYE)]
    logged = [record.msg for record in caplog.records if record.name.startswith("wampasgi")]
    assert Outcome(how, words[0] if words else None, tuple(logged)) in outcomes
    assert len(words) < 2
    assert stage.begun == stage.ended
    left = [stage.left_testament] if stage.left_testament is not None else []
    assert stage.testaments == (left if ending.testaments or moment.phase == "over" else [])
    metrics = stage.app.metrics()["default"]
    assert metrics["sessions"]["open"] == metrics["sessions"]["opening"] == 0
    assert metrics["router"] == {"subscriptions": 0, "registrations": 0}
    # An unanswered call is not counted if its caller has left.
    counted, unanswered = sum(metrics["calls"].values()), not moment.in_own_call
    assert stage.calls - unanswered <= counted <= stage.calls
    assert {task.id for task in anyio.get_running_tasks()} == before


async def ends(stage: Stage, moment: Moment, ending: Ending) -> How:
    """Follow the session to its end; after an orderly one, open another session on the connection."""
    over = isinstance(moment, InSecondPart) and not (ending.by_client or ending.closes_connection)
    how: How = "said goodbye" if over else await stage.follow()
    if how == "said goodbye" and not ending.closes_connection:
        await stage.websocket.join(authid="another", roles=ROLES)
        await stage.websocket.disconnect()
    return how
