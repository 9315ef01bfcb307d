"""A program that calls ``echo`` with one client library: ``python -m benchmarks.callers LIBRARY LOOP``.

It reads one JSON list a line: ``["connect", url]`` opens a session, and ``["call", calls, in_flight]`` makes
calls. Each is answered with a line: the CPU time of this process in the meantime, and the elapsed time, both
in seconds.
"""

# Autobahn's signatures have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from typing import Any, Final, Literal, Protocol

from websockets.typing import Subprotocol

#: The argument and the result of each call.
VALUE: Final = 42


class Caller(Protocol):
    """Calls a procedure by one library."""

    async def connect(self, url: str) -> None:
        """Open a session."""

    async def call(self, calls: int, in_flight: int) -> None:
        """Make calls and check their results."""


class Bare:
    """The WebSocket alone: it sends the texts of the calls, and does not parse the results."""

    def __init__(self) -> None:
        self._next_id = count(1).__next__

    async def connect(self, url: str) -> None:
        from websockets.asyncio.client import connect

        self._socket = await connect(url, subprotocols=[Subprotocol("wamp.2.json")], compression=None)
        await self._socket.send('[1,"default",{"roles":{"caller":{}}}]')
        await self._socket.recv()

    async def call(self, calls: int, in_flight: int) -> None:
        send, recv, next_id, end = self._socket.send, self._socket.recv, self._next_id, f"[{VALUE}]]"
        for _ in range(in_flight - 1):
            await send(f'[48,{next_id()},{{}},"echo",[{VALUE}]]')
        for number in range(calls):
            if number <= calls - in_flight:
                await send(f'[48,{next_id()},{{}},"echo",[{VALUE}]]')
            result = await recv()
            assert isinstance(result, str)
            assert result.endswith(end), result


class _Sessions:
    """Calls by a session with a method ``call``."""

    session: Any

    async def call(self, calls: int, in_flight: int) -> None:
        if in_flight == 1:
            await self._call(calls)
        else:
            await asyncio.gather(*(self._call(calls // in_flight) for _ in range(in_flight)))

    async def _call(self, calls: int) -> None:
        call: Callable[..., Awaitable[Any]] = self.session.call
        for _ in range(calls):
            assert await call("echo", VALUE) == VALUE


class Wampasgi(_Sessions):
    """The client of wampasgi, with a package for its WebSocket."""

    def __init__(self, package: Literal["websockets", "picows"] = "websockets") -> None:
        self._package: Literal["websockets", "picows"] = package

    async def connect(self, url: str) -> None:
        from wampasgi.client import connect

        self._client = connect(url, serializers="json", websocket=self._package)
        self.session = await self._client.__aenter__()


class Autobahn(_Sessions):
    """Autobahn for Python, on asyncio."""

    async def connect(self, url: str) -> None:
        from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
        from autobahn.wamp.serializer import JsonSerializer

        joined: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        class Session(ApplicationSession):
            def onJoin(self, details: Any) -> None:
                joined.set_result(self)

        runner = ApplicationRunner(url, "default", serializers=[JsonSerializer()])
        await runner.run(Session, start_loop=False)
        self.session = await joined


CALLERS: Final[dict[str, Callable[[], Caller]]] = {
    "bare": Bare,
    "wampasgi": Wampasgi,
    "wampasgi on picows": partial(Wampasgi, "picows"),
    "Autobahn": Autobahn,
}


async def obey(caller: Caller) -> None:
    """Carry out the commands of standard input until it ends."""
    # Reading blocks the event loop, which nothing needs meanwhile.
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        run: Callable[..., Awaitable[None]] = getattr(caller, command)
        used, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        await run(*arguments)
        elapsed, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
        spent = now.ru_utime - used.ru_utime + now.ru_stime - used.ru_stime
        print(json.dumps([spent, elapsed]), flush=True)


def main(library: str, loop: str) -> None:
    if loop == "uvloop":
        import uvloop

        uvloop.run(obey(CALLERS[library]()))
    else:
        asyncio.run(obey(CALLERS[library]()))


if __name__ == "__main__":
    main(*sys.argv[1:])
