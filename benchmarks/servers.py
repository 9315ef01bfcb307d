"""The server processes: one for each program, on a core of its own if there are several."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from benchmarks.peers import Peer
from benchmarks.programs import Program

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Work:
    """Seconds in which a server used the CPU, and in which it waited for a CPU that others used."""

    spent: float
    wanted: float


@dataclass(frozen=True)
class Server:
    """A running program. The process with ``process_id`` does the work, and may be a child of ``process``."""

    process: subprocess.Popen[str]
    process_id: int
    url: str

    def worked(self) -> Work | None:
        """Return the CPU times of all its threads, or None if the system does not report them."""
        spent = wanted = 0
        for thread in Path(f"/proc/{self.process_id}/task").glob("*/schedstat"):
            with suppress(FileNotFoundError):  # the thread has ended
                of_thread = thread.read_text().split()
                spent += int(of_thread[0])
                wanted += int(of_thread[1])
        return Work(spent / 1e9, wanted / 1e9) if spent else None

    def resident_bytes(self) -> int:
        """Return its current memory; Linux only."""
        pages = Path(f"/proc/{self.process_id}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate()


class Servers:
    """Starts each program on first use, and stops all of them on exit.

    With ``pin``, and if the system supports it, the servers run on the first core, and this process, which
    runs the clients, on the others.
    """

    def __init__(self, *, pin: bool = True) -> None:
        self._running: dict[Program, Server] = {}
        self._cores: list[int] = []
        if pin and hasattr(os, "sched_setaffinity"):
            self._cores = sorted(os.sched_getaffinity(0))

    def __enter__(self) -> Servers:
        self._run_on(self._cores[1:])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._running.values():
            server.stop()
        self._run_on(self._cores)

    def running(self, program: Program) -> Server:
        """Return the server of a program, which all cases share."""
        if program not in self._running:
            self._running[program] = self._start(program)
        return self._running[program]

    def missing(self, peers: Iterable[Peer]) -> dict[str, str]:
        """Return the names of the peers that cannot be measured, each with the reason."""
        reasons = {}
        for peer in peers:
            if peer.installed() is None:
                python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
                reasons[peer.program.name] = f"it is not installed in this environment of {python}"
                continue
            try:
                self.running(peer.program)
            except (OSError, RuntimeError) as error:
                reasons[peer.program.name] = str(error)
        return reasons

    @contextmanager
    def fresh(self, program: Program) -> Iterator[Server]:
        """Start a server that has not been used, and stop it on exit."""
        server = self._start(program)
        try:
            yield server
        finally:
            server.stop()

    def _start(self, program: Program) -> Server:
        # A new process and all its threads inherit the cores of this thread.
        self._run_on(self._cores[:1])
        try:
            process = subprocess.Popen(
                program.command,
                cwd=ROOT,
                env={**os.environ, **dict(program.variables)},
                stdout=subprocess.PIPE,
                text=True,
            )
        finally:
            self._run_on(self._cores[1:])
        assert process.stdout is not None
        first_line = process.stdout.readline().split()
        if len(first_line) != 2:
            process.communicate()
            raise RuntimeError(f"the server of {program.name} did not start; see its error output")
        port, process_id = first_line
        return Server(process, int(process_id), f"ws://127.0.0.1:{port}{program.path}")

    def _run_on(self, cores: list[int]) -> None:
        """Restrict this thread to ``cores``, unless there is only one or processes are not pinned."""
        if len(self._cores) > 1:
            os.sched_setaffinity(0, cores)
