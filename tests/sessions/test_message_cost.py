"""The CPU time that one message takes, at the limits of what a message may have."""

from __future__ import annotations

import pytest

from tests.costly import ENCODERS, SHAPES, attacker, counting_calls, messages

#: The goal, in seconds. The test does not insist on it, because other programs may keep the machine busy.
GOAL = 0.02
#: The limit on function calls, which does not depend on the machine.
MOST_CALLS = 500_000
FEW_SHAPES = ("numbers", "empty lists", "points", "binaries")


@pytest.mark.anyio
@pytest.mark.parametrize("subprotocol", ENCODERS)
async def test_no_message_within_the_limits_keeps_the_event_loop_busy_for_long(
    subprotocol: str, anyio_backend_name: str
) -> None:
    shapes = SHAPES if anyio_backend_name == "asyncio" else FEW_SHAPES
    async with attacker(subprotocol) as client:
        costs = [await client.measure(*message) for message in messages(subprotocol, shapes)]
        costs.sort(reverse=True)
        longest = 0.0
        calls = []
        for cost in costs[:20]:
            # Once more, because the collection of garbage may have been due, or the machine busy.
            again = await client.measure(cost.name, cost.frame)
            longest = max(longest, min(again, cost).seconds)
            with counting_calls() as counted:
                await client.measure(cost.name, cost.frame)
            calls.append((counted[0], cost.name))

    print(f"\n{len(costs)} messages of {subprotocol}:", *costs[:10], max(calls), sep="\n")  # noqa: T201
    assert longest < 10 * GOAL, costs[0]
    assert max(calls)[0] < MOST_CALLS, max(calls)
