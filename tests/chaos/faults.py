"""The faults. Each of them leaves a stage with all its workers running."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Final

from tests.chaos.checks import LastWords, living_sessions
from tests.chaos.engine_faults import ENGINE_FAULTS
from tests.chaos.engines import Kind
from tests.chaos.load import ANSWER_TIME, with_worker
from tests.chaos.session import HANG, NETWORK_FAILURE, Failed, Session, Unanswered
from tests.chaos.stage import Stage
from tests.chaos.workers import Worker
from wampasgi.protocol.messages import Call

Fault = Callable[[Stage], Awaitable[None]]

#: The longest time in seconds until a death is noticed.
_DEATH_TIME: Final = 6.0
#: The longest time in seconds until a worker without sessions exits.
_EXIT_TIME: Final = 3.0


async def kill_worker(stage: Stage) -> None:
    """Kill a worker. The others bury it, and publish its last words."""
    victim = stage.workers[-1]
    async with stage.fault("kill -9 of a worker", with_worker(victim)):
        await _end_worker(stage, victim, victim.process.kill, noticed_within=_DEATH_TIME)
        await stage.restart(victim)
        await stage.agreement()


async def terminate_worker(stage: Stage) -> None:
    """Stop a worker. Nobody has to wait until the others bury it."""
    victim = stage.workers[-1]
    async with stage.fault("SIGTERM of a worker", with_worker(victim)):
        await _end_worker(stage, victim, victim.process.terminate, noticed_within=2.0)
        began = time.monotonic()
        code = await asyncio.to_thread(victim.process.wait_for_exit, 10.0)
        if time.monotonic() - began > _EXIT_TIME:
            stage.load.problems.append(f"{victim} ended {time.monotonic() - began:.1f} s after its sessions")
        # uvicorn raises the signal again after an orderly shutdown.
        if code not in (0, -signal.SIGTERM):
            stage.load.problems.append(f"{victim} ended with code {code}")
        began = time.monotonic()
        await stage.restart(victim)
        stage.report(f"restart {time.monotonic() - began:.2f} s")
        await stage.agreement()


async def _end_worker(
    stage: Stage, victim: Worker, end: Callable[[], None], *, noticed_within: float
) -> None:
    """End a worker, and check what the others see of it within some seconds."""
    load = stage.load
    sessions = [session.id for worker, session in living_sessions(load) if worker is victim]
    load.doomed.add(victim)
    hanging = [
        asyncio.create_task(_time_of_failure(stage, probe.worker, resident.procedure))
        for probe in stage.probes
        if probe.worker is not victim
        for resident in stage.residents_of(victim)
    ]
    remaining = [resident for resident in load.residents if resident.worker is not victim]
    caller = stage.probe_of(victim).session
    ending = [caller.client.request(Call.code, {}, resident.procedure, [HANG]) for resident in remaining]
    # The calls are at the callees when these have answered others that came later.
    for probe in stage.probes:
        for resident in load.residents:
            await probe.session.call(resident.procedure, 0)
    interrupts = [(session, session.interrupts) for resident in remaining if (session := resident.session)]
    last_words = LastWords(load, sessions)
    end()
    began = time.monotonic()
    slowest = max(await asyncio.gather(*hanging)) - began
    if slowest > noticed_within:
        load.problems.append(f"a call to {victim} was answered after {slowest:.1f} s")
    await last_words.arrive(within=noticed_within)
    announced = time.monotonic() - began
    await _check_interrupts(stage, interrupts)
    # Their session has ended.
    await asyncio.wait(ending)
    await load.rest_visits()
    rested = time.monotonic() - began - announced
    if rested > noticed_within:
        load.problems.append(f"a visit took {rested:.1f} s after the end of {victim}")
    seconds = await stage.agreement(without=victim)
    last_words.check_once()
    stage.report(
        f"its calls failed after {slowest:.2f} s, its sessions left after {announced:.2f} s; "
        f"agreement {seconds:.2f} s later"
    )


async def _check_interrupts(stage: Stage, before: list[tuple[Session, int]]) -> None:
    """Check that each session gets one INTERRUPT for the call of a caller whose worker has ended."""
    for session, count in before:
        try:
            async with asyncio.timeout(1.0):
                while session.interrupts == count:
                    await session.wait_for_next(1.0)
        except TimeoutError:
            stage.load.problems.append(f"{session.name} was not interrupted when its caller's worker ended")


async def _time_of_failure(stage: Stage, caller: Worker, procedure: str) -> float:
    """Call a procedure that does not answer, and return the time of the ERROR."""
    try:
        await stage.probe_of(caller).session.call(procedure, HANG, timeout=2 * ANSWER_TIME)
    except Unanswered as unanswered:
        stage.load.problems.append(str(unanswered))
    except Failed as failure:
        if failure.uri not in (NETWORK_FAILURE, "wamp.error.canceled"):
            stage.load.problems.append(f"a call to a worker that ended failed with {failure}")
    else:
        stage.load.problems.append("a call that is never answered has a result")
    return time.monotonic()


async def pause_worker(stage: Stage) -> None:
    """Pause a worker for 10 seconds. The others bury it, and take it back with all its sessions."""
    victim = stage.workers[-1]
    stage.partitioned = True
    async with stage.fault("SIGSTOP of a worker", with_worker(victim)):
        # A visit to the paused worker takes longer than visits may.
        await stage.load.rest_visits()
        stage.load.doomed.add(victim)
        before = {session.id for worker, session in stage.load.sessions if not session.ended}
        victim.process.pause()
        began = time.monotonic()
        slowest = await _time_of_failure(stage, stage.workers[0], stage.residents_of(victim)[0].procedure)
        if slowest - began > ANSWER_TIME:
            stage.load.problems.append(f"a call to {victim} was answered after {slowest - began:.1f} s")
        await asyncio.sleep(max(0.0, 10.0 - (time.monotonic() - began)))
        victim.process.resume()
        seconds = await stage.agreement()
        stage.load.doomed.discard(victim)
        after = {session.id for worker, session in stage.load.sessions if not session.ended}
        if before != after:
            stage.load.problems.append(f"sessions ended with a pause: {before - after}")
        stage.report(f"agreement {seconds:.2f} s after SIGCONT")


async def restart_workers(stage: Stage) -> None:
    """Restart one worker after another."""
    for victim in stage.workers:
        async with stage.fault(f"restart of {victim}", with_worker(victim)):
            stage.load.doomed.add(victim)
            await asyncio.to_thread(victim.process.stop)
            await stage.restart(victim)
            await stage.load.rest_visits()
            await stage.agreement()


async def start_other_version(stage: Stage) -> None:
    """Start a worker with another version of frames. Both sides refuse each other, and go on alone."""
    async with (
        stage.fault("another version", lambda caller, callee: False),
        stage.newcomer(version=2) as other,
    ):
        await stage.load.rest_visits()
        await stage.start(other)
        count = await stage.probe_of(other).session.call("wamp.session.count")
        if count != 1:
            stage.load.problems.append(f"a worker of another version counts {count} sessions instead of 1")
        await stage.agreement(without=other)
        for worker in (other, *stage.workers):
            if "is refused: its frames have version" not in worker.log:
                stage.load.problems.append(f"{worker} did not log a worker of another version")


def faults_of(kind: Kind, *, long: bool) -> list[Fault]:
    """Return the faults for a backplane.

    Only ``long`` runs have the one that takes 10 seconds, and repeat those that do not depend on the engine
    with each of them.
    """
    faults: list[Fault] = [kill_worker, terminate_worker]
    if long or kind == "unix":
        faults += [restart_workers, start_other_version]
    if long:
        faults.append(pause_worker)
    return faults if kind == "unix" else [*faults, *ENGINE_FAULTS]
