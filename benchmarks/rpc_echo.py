"""Calls of a server-side procedure, against the least that the protocol needs on the same server.

Starts uvicorn twice, once with a bare ASGI app (the ceiling) and once with wampasgi, and loads them in turn
from this process. Run it with ``make bench``; it needs the ``bench`` extra.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path

import orjson
import picows

SESSIONS = 8
CALLS_IN_FLIGHT = 16


class Caller(picows.WSListener):
    """One session that keeps a number of calls in flight and counts the results."""

    def __init__(self, procedure: str) -> None:
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.results = 0
        self._procedure = procedure
        self._request_id = 0

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport
        hello = [1, "default", {"roles": {"caller": {}}}]
        transport.send(picows.WSMsgType.TEXT, orjson.dumps(hello))

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if not self.joined.done():
            self.joined.set_result(None)
            return
        self.results += 1
        self.call()

    def call(self) -> None:
        self._request_id += 1
        message = b'[48,%d,{},"%s",[42]]' % (self._request_id, self._procedure.encode())
        self.transport.send(picows.WSMsgType.TEXT, message)


async def calls_per_second(port: int, procedure: str, seconds: float) -> float:
    callers: list[Caller] = []
    for _ in range(SESSIONS):
        _, listener = await picows.ws_connect(
            lambda: Caller(procedure),
            f"ws://127.0.0.1:{port}/",
            extra_headers={"Sec-WebSocket-Protocol": "wamp.2.json"},
        )
        assert isinstance(listener, Caller)
        await listener.joined
        callers.append(listener)
    for caller in callers:
        for _ in range(CALLS_IN_FLIGHT):
            caller.call()
    await asyncio.sleep(seconds / 4)
    before, began = sum(caller.results for caller in callers), time.perf_counter()
    await asyncio.sleep(seconds)
    rate = (sum(caller.results for caller in callers) - before) / (time.perf_counter() - began)
    for caller in callers:
        caller.transport.disconnect()
    return rate


def start_server(app: str) -> tuple[subprocess.Popen[str], int]:
    """Serve an app of ``benchmarks/served.py`` and return the process with its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", f"served:{app}", "--port", "0", "--no-access-log"],
        cwd=Path(__file__).parent,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "running on" in line:
            return process, int(line.split("127.0.0.1:")[1].split()[0])
    raise RuntimeError(f"uvicorn did not start {app}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one run")
    parser.add_argument("--runs", type=int, default=5, help="runs of which the median counts")
    options = parser.parse_args()
    cases = [("ceiling", "echo"), ("wampasgi", "echo"), ("wampasgi", "typed_echo")]
    servers = {app: start_server(app) for app in ("ceiling", "wampasgi")}
    rates: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    try:
        for _ in range(options.runs):
            for app, procedure in cases:
                rate = asyncio.run(calls_per_second(servers[app][1], procedure, options.seconds))
                rates[app, procedure].append(rate)
    finally:
        for process, _ in servers.values():
            process.terminate()
            process.communicate()
    ceiling = statistics.median(rates["ceiling", "echo"])
    print("| case | calls/s | ratio to the ceiling |\n| --- | --- | --- |")
    for (app, procedure), measured in rates.items():
        median = statistics.median(measured)
        print(f"| {app}: {procedure} | {median:,.0f} | {median / ceiling:.2f} |")


if __name__ == "__main__":
    main()
