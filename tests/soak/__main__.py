"""Load a server with all kinds of sessions and check that they leave nothing behind."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.clients.server_process import ServerProcess, start_server
from tests.soak.load import Load
from tests.soak.shutdown import shut_down

#: uvicorn with its own WebSocket transport, and with the one on picows.
SERVERS = ["uvicorn-asyncio", "picows"]
#: The allowed growth of memory after the warm-up, as a fraction.
TOLERANCE = 0.10
#: Seconds for the server to clean up ended sessions: longer than all timeouts of its limits.
SETTLING = 20.0


def main() -> int:
    """Run the command line. Returns 1 if there are problems, otherwise 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="duration after the warm-up")
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument(
        "--server",
        nargs="+",
        default=SERVERS,
        help=f"servers of tests/clients/server_process.py; default: {' and '.join(SERVERS)}",
    )
    options = parser.parse_args()
    problems = []
    for kind in options.server:
        print(f"== {kind}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            server = start_soak_server(kind, Path(folder))
            try:
                found = soak(server, sessions=options.sessions, seconds=options.seconds)
            finally:
                server.kill()
        problems += [f"{kind}: {problem}" for problem in found]
    for problem in problems:
        print(f"PROBLEM: {problem}")
    print("soak: " + (f"{len(problems)} problems" if problems else "no problems"))
    return 1 if problems else 0


def start_soak_server(kind: str, folder: Path, *options: str) -> ServerProcess:
    """Start a server with the app under test."""
    if kind.startswith("uvicorn"):
        # Otherwise uvicorn's own WebSocket transports would wait for ever for clients that do not read.
        options = ("--timeout-graceful-shutdown", "5", *options)
    return start_server(kind, "tests.soak.app:app", folder, options=options)


def soak(server: ServerProcess, *, sessions: int, seconds: float) -> list[str]:
    """Run a warm-up and the measured round, and return the problems."""
    problems: list[str] = []
    clean = state_of(server)
    # Long enough to fill the queues of sessions that never read, which is when memory use peaks.
    warm_up = min(seconds, 20)
    before = run_round(server, "warm-up", sessions, warm_up, clean, problems)
    after = run_round(server, "soak", sessions, seconds, before, problems)
    if after["bytes"] > before["bytes"] * (1 + TOLERANCE):
        problems.append(f"memory grew from {_mib(before)} to {_mib(after)}")
    slow = server.log.count("reads too slowly")
    print(f"{slow} sessions were ended because they read too slowly")
    if not slow:
        problems.append("no session was ended for reading too slowly: the load is too small for the test")
    problems += shut_down(server)
    problems += [
        _first(server.log, unwanted) for unwanted in ("Traceback", "ERROR:") if unwanted in server.log
    ]
    return problems


def run_round(
    server: ServerProcess, name: str, sessions: int, seconds: float, clean: Any, problems: list[str]
) -> Any:
    """Run one round, wait until its sessions are gone, and return the state of the server."""
    load = Load(server.url, sessions=sessions, seconds=seconds)
    asyncio.run(load.run())
    problems += [f"{name}: {failure}" for failure in load.failures]
    deadline = time.monotonic() + SETTLING
    state = state_of(server)
    while (left := leftovers(state, clean)) and time.monotonic() < deadline:
        time.sleep(0.2)
        state = state_of(server)
    problems += [f"{name}: {text}" for text in left]
    done = ", ".join(f"{number} {what}" for what, number in sorted(load.done.items()))
    print(f"{name}: {seconds:g} s, {sessions} sessions at a time: {done}; {_mib(state)}")
    return state


def leftovers(state: Any, clean: Any) -> list[str]:
    """Describe the objects that did not exist before the round."""
    left = [f"{number} {what} left" for what, number in state["left"].items() if number]
    for kind, number in state["living"].items():
        more = number - clean["living"].get(kind, 0)
        if more > 0:
            left.append(f"{more} {kind} left")
    return left


def state_of(server: ServerProcess) -> Any:
    """Return the state that the server reports."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/state", timeout=SETTLING) as response:
        return json.load(response)


def _mib(state: Any) -> str:
    return f"{state['bytes'] / 2**20:.1f} MiB"


def _first(log: str, text: str) -> str:
    start = log.index(text)
    return f"{text} in the server's log: {log[start : start + 2000]}"


if __name__ == "__main__":
    sys.exit(main())
