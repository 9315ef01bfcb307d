"""Faults of engines, and of the connections to them."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.backplanes.engine_process import free_port
from tests.backplanes.proxy import proxy_to
from tests.chaos.checks import PROBED
from tests.chaos.engines import kill_redis_clients, url_of
from tests.chaos.load import ANSWER_TIME, between_workers
from tests.chaos.session import NETWORK_FAILURE, Failed, Session, Unanswered
from tests.chaos.stage import Stage
from tests.soak.client import Ended
from wampasgi.protocol.messages import Call, Publish

#: The longest time in seconds until an error that needs no answer from another worker.
_AT_ONCE: Final = 1.0

_next_number = itertools.count(1).__next__


@asynccontextmanager
async def _without_burials(stage: Stage) -> AsyncIterator[None]:
    """Check that no worker takes another one for dead while the context is open, because none ends."""

    async def burials() -> list[int]:
        return [(await stage.probe_of(worker).metrics())["burials"] for worker in stage.workers]

    before = await burials()
    yield
    if (after := await burials()) != before:
        stage.load.problems.append(f"workers took living ones for dead: {before} burials became {after}")


async def restart_engine(stage: Stage) -> None:
    """Kill the engine, and start it again on the same port."""
    async with stage.fault("restart of the engine", between_workers), _without_burials(stage):
        stage.engine.kill()
        await stage.load.rest_visits()
        await asyncio.to_thread(stage.engine.start)
        seconds = await stage.agreement()
        stage.report(f"agreement {seconds:.2f} s after the start")


async def stop_engine(stage: Stage) -> None:
    """Stop the engine. Workers serve their own sessions, and one more starts without it."""
    async with (
        stage.fault("an engine that is stopped", between_workers),
        _without_burials(stage),
        stage.newcomer(wait_for_engine=False) as newcomer,
    ):
        stage.engine.kill()
        await _check_alone(stage)
        rivals = await _register_rivals(stage)
        await stage.start(newcomer)
        if (await stage.probe_of(newcomer).metrics())["nodes"] != 1:
            stage.load.problems.append("a worker that started without the engine knows others")
        await _check_alone(stage)
        await stage.load.rest_visits()
        await asyncio.to_thread(stage.engine.start)
        seconds = await stage.agreement()
        await _check_rivals(stage, rivals)
        stage.report(f"agreement {seconds:.2f} s after the start")


async def _register_rivals(stage: Stage) -> str:
    """Register one procedure on all workers, which cannot know of each other, in turn. Return its URI."""
    procedure = f"chaos.rival.{_next_number()}"
    for worker in stage.workers:
        await stage.probe_of(worker).session.register(procedure)
        answer = await stage.probe_of(worker).session.call(procedure, worker.name)
        if answer != worker.name:
            stage.load.problems.append(f"{worker} without the engine answered {answer}")
    return procedure


async def _check_rivals(stage: Stage, procedure: str) -> None:
    """Check that of several registrations the oldest one has remained."""
    oldest = stage.probe_of(stage.workers[0]).session.id
    for probe in stage.probes:
        found = await probe.session.call("wamp.registration.lookup", procedure)
        callees = await probe.session.call("wamp.registration.list_callees", found)
        if callees != [oldest]:
            stage.load.problems.append(f"on {probe.worker}, {procedure} has the callees {callees}")


async def _check_alone(stage: Stage) -> None:
    """Check that local calls succeed, and that requests to other workers fail at once."""
    began = time.monotonic()
    checks = []
    for worker in stage.workers:
        session = stage.probe_of(worker).session
        for resident in stage.load.residents:
            if resident.worker is worker:
                checks.append(session.call(resident.procedure, 1, timeout=_AT_ONCE))
            else:
                checks.append(_expect_failure(stage, session, Call.code, {}, resident.procedure, [1]))
        acknowledged = {"acknowledge": True}
        checks.append(_expect_failure(stage, session, Publish.code, acknowledged, PROBED, [session.name]))
        checks.append(_expect_failure(stage, session, Call.code, {}, "wamp.session.count"))
    try:
        await asyncio.gather(*checks)
    except (Failed, Unanswered, Ended) as failure:
        stage.load.problems.append(f"a local call failed while the engine was down: {failure!r}")
    stage.report(f"requests without the engine took {time.monotonic() - began:.2f} s")


async def _expect_failure(stage: Stage, session: Session, *request: Any) -> None:
    try:
        answer = await session.request(*request, timeout=_AT_ONCE)
    except Failed as failure:
        if failure.uri != NETWORK_FAILURE:
            stage.load.problems.append(f"{session.name}: {request} failed with {failure}")
    except Unanswered as unanswered:
        stage.load.problems.append(str(unanswered))
    else:
        stage.load.problems.append(f"{session.name}: {request} without the engine got {answer}")


async def pause_engine(stage: Stage) -> None:
    """Pause the engine for 5 seconds, so that workers become deaf."""
    async with stage.fault("SIGSTOP of the engine", between_workers), _without_burials(stage):
        await stage.load.rest_visits()
        await asyncio.to_thread(stage.engine.freeze)
        await asyncio.sleep(5.0)
        stage.engine.thaw()
        seconds = await stage.agreement()
        stage.report(f"agreement {seconds:.2f} s after SIGCONT")


async def cut_connection(stage: Stage) -> None:
    """Cut the connection of one worker to the engine; with Redis, those of all workers."""
    async with (
        stage.fault("a connection that is cut", between_workers),
        _without_burials(stage),
        proxy_to(stage.engine.port) as proxy,
        stage.newcomer(url_of(stage.kind, stage.folder, proxy.port)) as newcomer,
    ):
        await stage.start(newcomer)
        await stage.load.rest_visits()
        await stage.agreement()
        before = (await stage.probe_of(newcomer).metrics())["reconnects"]
        proxy.cut()
        if stage.kind == "redis":
            await asyncio.to_thread(kill_redis_clients, stage.engine.port)
        seconds = await stage.agreement()
        if (await stage.probe_of(newcomer).metrics())["reconnects"] == before:
            stage.load.problems.append(f"{newcomer} did not connect again")
        stage.report(f"agreement {seconds:.2f} s after the cut")


async def start_without_engine(stage: Stage) -> None:
    """Start a worker whose engine is absent. The startup fails, and its message has the address."""
    port = free_port()
    url = url_of(stage.kind, stage.folder, port)
    async with (
        stage.fault("an engine that is absent", lambda caller, callee: False),
        stage.newcomer(url, connect_timeout=1.0) as newcomer,
    ):
        began = time.monotonic()
        try:
            await stage.start(newcomer)
        except RuntimeError as error:
            if f"127.0.0.1:{port} cannot be reached within 1 s" not in str(error):
                stage.load.problems.append(f"the error for an absent engine has no address: {error}")
        else:
            stage.load.problems.append("a worker started without its engine")
        if time.monotonic() - began > ANSWER_TIME:
            stage.load.problems.append("a worker waited too long for its engine")


ENGINE_FAULTS: Final = (restart_engine, stop_engine, pause_engine, cut_connection, start_without_engine)
