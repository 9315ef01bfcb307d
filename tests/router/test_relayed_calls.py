"""Calls between sessions of different workers."""

from __future__ import annotations

import pytest

from tests.simulation.client import Client
from tests.simulation.records import CallRecord
from tests.simulation.world import World
from wampasgi.protocol.messages import Error, Result

HELD = "com.p.held"


def two(*, features: bool = True) -> tuple[World, Client, Client]:
    """Return a world, a caller and a callee of :data:`HELD` on another worker."""
    world = World(0, 2)
    one, other = world.workers
    caller, callee = world.client(one), world.client(other, features=features)
    callee.register("exact", HELD, {})
    world.settle()
    return world, caller, callee


def call(world: World, caller: Client, **options: object) -> CallRecord:
    """Make a call that waits for its callee."""
    caller.call(HELD, options)
    world.settle()
    return list(world.records.calls.values())[-1]


def uris(record: CallRecord) -> list[str]:
    return [final.error for final in record.finals if isinstance(final, Error)]


def test_result_and_progress_reach_the_caller() -> None:
    world, caller, callee = two()
    record = call(world, caller, receive_progress=True)

    for _ in range(3):
        callee.progress(record)
    callee.answer(record, 2)
    world.settle()

    assert record.progress == 3
    [final] = record.finals
    assert isinstance(final, Result)
    assert not any(len(worker.router.calls) for worker in world.workers)


def test_error_of_the_callee_reaches_the_caller() -> None:
    world, caller, callee = two()
    record = call(world, caller)

    callee.answer(record, 0)
    world.settle()

    assert uris(record) == ["com.error"]


@pytest.mark.parametrize("mode", ["skip", "killnowait", "kill"])
def test_a_call_is_canceled(mode: str) -> None:
    world, caller, callee = two()
    record = call(world, caller)

    caller.cancel(record, mode)
    if mode != "kill":
        assert uris(record) == ["wamp.error.canceled"]
    world.settle()

    interrupts = [entry for entry in callee.log if entry[0] == "interrupt"]
    assert interrupts == ([] if mode == "skip" else [["interrupt", record.number, {"mode": mode}]])
    assert len(record.finals) == 1
    callee.answer(record, 2)
    world.settle()
    assert not any(len(worker.router.calls) for worker in world.workers)


def test_a_callee_is_not_interrupted_for_a_skipped_call_when_the_caller_leaves() -> None:
    world, caller, callee = two()
    record = call(world, caller)
    caller.cancel(record, "skip")
    world.settle()

    caller.leave()
    world.settle()

    assert not any(entry[0] == "interrupt" for entry in callee.log)


def test_nothing_remains_of_a_call_whose_callee_cannot_be_interrupted() -> None:
    world, caller, _ = two(features=False)
    call(world, caller)

    caller.leave()
    world.settle()

    assert not any(len(worker.router.calls) for worker in world.workers)


def test_a_busy_callee_passes_the_call_on() -> None:
    world = World(0, 3)
    caller, first, second = (world.client(worker) for worker in world.workers)
    for callee in first, second:
        callee.register("exact", HELD, {"invoke": "first", "concurrency": 1})
        world.settle()

    records = [call(world, caller) for _ in range(3)]

    assert [[one.callee for one in record.invocations] for record in records] == [[first], [second], []]
    assert uris(records[2]) == ["wamp.error.no_available_callee"]


def test_a_call_ends_when_frames_are_lost() -> None:
    world, caller, callee = two()
    record = call(world, caller)

    world.engine.disconnect(callee.host)  # type: ignore[arg-type]
    world.engine.connect(callee.host)  # type: ignore[arg-type]
    world.engine.run(1)

    assert uris(record) == ["wamp.error.network_failure"]
    assert [entry for entry in callee.log if entry[0] == "interrupt"]


def test_a_call_ends_when_the_worker_of_the_callee_dies() -> None:
    world, caller, callee = two()
    record = call(world, caller)

    world.engine.kill(callee.host)  # type: ignore[arg-type]
    world.engine.run(8)

    assert uris(record) == ["wamp.error.network_failure"]


def test_a_call_without_a_connection_fails_at_once() -> None:
    world, caller, _ = two()
    world.engine.stop()

    caller.call(HELD, {})

    [record] = world.records.calls.values()
    assert uris(record) == ["wamp.error.network_failure"]


def test_a_call_times_out_at_the_caller() -> None:
    world, caller, callee = two()
    record = call(world, caller, timeout=200)

    world.engine.run(0.3)

    assert uris(record) == ["wamp.error.timeout"]
    assert [entry for entry in callee.log if entry[0] == "interrupt"]
