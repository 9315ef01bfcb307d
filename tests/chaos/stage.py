"""The stage of the faults: an engine, workers, and the load on them."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.backplanes.engine_process import Engine
from tests.chaos.checks import Probe, check_invariants, wait_for_agreement
from tests.chaos.engines import Kind, make_engine, url_of
from tests.chaos.load import Concerns, Load, Resident
from tests.chaos.workers import Worker

#: Seconds until residents are there, on a loaded machine.
SETTLE_TIME: Final = 20.0


class Stage:
    """The processes and connections that a fault acts on.

    ``report`` gets lines about what happens. ``engine`` is None for Unix sockets.
    """

    def __init__(
        self,
        kind: Kind,
        folder: Path,
        engine: Engine | None,
        workers: list[Worker],
        report: Callable[[str], None],
    ) -> None:
        self.kind = kind
        self.folder = folder
        self.workers = workers
        self.load = Load(workers)
        self.probes = [Probe(worker) for worker in workers]
        self.report = report
        #: True if workers took living ones for dead, so that sessions left and came back for others.
        self.partitioned = False
        self._engine = engine
        self._workers_made = len(workers)

    @property
    def engine(self) -> Engine:
        """The process of the engine."""
        assert self._engine is not None
        return self._engine

    @property
    def url(self) -> str:
        """The URL of the backplane."""
        return url_of(self.kind, self.folder, self._engine.port if self._engine else 0)

    def residents_of(self, worker: Worker) -> list[Resident]:
        """Return the residents of a worker."""
        return [resident for resident in self.load.residents if resident.worker is worker]

    def probe_of(self, worker: Worker) -> Probe:
        """Return the probe on a worker."""
        return next(probe for probe in self.probes if probe.worker is worker)

    async def start(self, worker: Worker) -> None:
        """Start a worker, and open the probe on it."""
        await asyncio.to_thread(worker.start)
        await self.probe_of(worker).open()

    async def restart(self, worker: Worker) -> None:
        """Start a worker whose process has ended, and wait until its residents are back."""
        await self.start(worker)
        await self.load.settled(SETTLE_TIME)
        self.load.doomed.discard(worker)

    async def agreement(self, *, without: Worker | None = None) -> float:
        """Check that all workers agree soon. Return the seconds that it took."""
        probes = [probe for probe in self.probes if probe.worker is not without]
        return await wait_for_agreement(probes, self.load)

    @asynccontextmanager
    async def newcomer(self, url: str | None = None, **options: Any) -> AsyncIterator[Worker]:
        """Make a further worker, which has no load and does not run yet. It is stopped at the end."""
        worker = Worker(f"x{self._workers_made}", url or self.url, self.folder, **options)
        self._workers_made += 1
        probe = Probe(worker)
        self.probes.append(probe)
        try:
            yield worker
            if worker.running:
                await asyncio.to_thread(worker.process.stop)
        finally:
            worker.kill()
            self.probes.remove(probe)

    @asynccontextmanager
    async def fault(self, name: str, concerns: Concerns) -> AsyncIterator[None]:
        """Let the load work, and tolerate failures that a fault causes while the context is open."""
        await self.load.work()
        began, known = time.monotonic(), len(self.load.problems)
        try:
            with self.load.disturbed(concerns):
                yield
        finally:
            self.load.resume_visits()
            found = self.load.problems[known:]
            self.report(
                f"{name}: {time.monotonic() - began:.1f} s" + "".join(f"\n  PROBLEM {p}" for p in found)
            )


@asynccontextmanager
async def stage_of(
    kind: Kind, *, workers: int = 2, report: Callable[[str], None] = lambda line: None
) -> AsyncIterator[Stage]:
    """Run workers under load while the context is open, and check its invariants at the end.

    The problems are in ``stage.load.problems`` then.
    """
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        engine = make_engine(kind, folder)
        made: list[Worker] = []
        try:
            if engine is not None:
                await asyncio.to_thread(engine.start)
            url = url_of(kind, folder, engine.port if engine else 0)
            made += [Worker("abcdefgh"[number], url, folder) for number in range(workers)]
            stage = Stage(kind, folder, engine, made, report)
            await asyncio.gather(*map(stage.start, made))
            async with asyncio.TaskGroup() as tasks:
                stage.load.start(tasks)
                await stage.load.settled(SETTLE_TIME)
                yield stage
                await stage.load.hush()
                await stage.agreement()
                await check_invariants(stage.probes, stage.load, partitioned=stage.partitioned)
                stage.load.close()
        finally:
            for worker in made:
                worker.kill()
            if engine is not None:
                engine.kill()
