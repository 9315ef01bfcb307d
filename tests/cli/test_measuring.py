from __future__ import annotations

from collections import Counter

import anyio
import pytest

from wampasgi import WAMPError
from wampasgi.cli.measuring import Measurement, measure


def measurement(*milliseconds: float) -> Measurement:
    return Measurement(times=[time / 1000 for time in milliseconds], elapsed=2.0, errors=Counter())


@pytest.mark.parametrize(("percent", "time"), [(0, 1), (50, 50), (90, 90), (99, 99), (100, 100)])
def test_percentile_is_the_time_that_this_share_did_not_exceed(percent: int, time: int) -> None:
    assert measurement(*range(1, 101)).percentile(percent) == time / 1000


def test_percentiles_of_one_call_are_its_time() -> None:
    assert measurement(7).to_dict() == {
        "calls": 1,
        "seconds": 2.0,
        "calls_per_second": 0.5,
        "p50_ms": 7.0,
        "p90_ms": 7.0,
        "p99_ms": 7.0,
        "max_ms": 7.0,
        "errors": {},
    }


@pytest.mark.anyio
async def test_calls_are_made_at_the_same_time() -> None:
    running, most = 0, 0

    async def call() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.lowlevel.checkpoint()
        running -= 1

    measured = await measure(call, 10, 4)

    assert (len(measured.times), most) == (10, 4)


@pytest.mark.anyio
async def test_errors_are_counted() -> None:
    outcomes = iter([WAMPError("a.b"), TimeoutError(), None, WAMPError("a.b")])

    async def call() -> None:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome

    measured = await measure(call, 4, 1)

    assert measured.errors == {"a.b": 2, "wamp.error.timeout": 1}
    assert {"": "  a.b", "value": 2} in measured.rows()


@pytest.mark.anyio
async def test_lost_connection_ends_the_measurement() -> None:
    async def call() -> None:
        raise ConnectionError

    with pytest.raises(ExceptionGroup):
        await measure(call, 4, 2)
