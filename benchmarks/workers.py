"""Two workers that serve one realm over an engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.client import Answer, Client, Clients, WrongAnswer
from benchmarks.engines import Engine
from benchmarks.programs import PICOWS, Program, on_uvicorn
from benchmarks.servers import Server, Servers, Work
from wampasgi.protocol.messages import Message, Result

REALM = "router"
#: How often a worker is asked for the nodes that it knows, 50 times a second.
ATTEMPTS = 1000


class Asker(Client):
    """Calls procedures, and returns their answers."""

    async def call(self, procedure: str, *args: Any) -> Message:
        """Call a procedure and return the answer, a RESULT or an ERROR."""
        answer = Answer()
        self.send(self.core.call(answer, procedure, args, {}, {}))
        return await self.clients.expect(answer.future)

    async def result(self, procedure: str, *args: Any) -> Any:
        """Call a procedure and return its result. Raises WrongAnswer for an ERROR."""
        answer = await self.call(procedure, *args)
        if not isinstance(answer, Result) or not answer.args:
            raise WrongAnswer(f"{procedure}{args} was answered by {answer}")
        return answer.args[0]


@dataclass(frozen=True)
class Workers:
    """Two workers and the engine between them."""

    first: Server
    second: Server
    engine: Engine

    def worked(self) -> Work | None:
        """Return the sum of the CPU times of both workers."""
        first, second = self.first.worked(), self.second.worked()
        if first is None or second is None:
            return None
        return Work(first.spent + second.spent, first.wanted + second.wanted)


def worker_program(engine: Engine, transport: str = PICOWS) -> Program:
    """Return the program of a worker."""
    program = on_uvicorn("worker", "scaling_app", transport)
    return Program(program.name, program.command, variables=(("BACKPLANE", engine.url),))


@contextmanager
def two_workers(servers: Servers, engine: Engine, transport: str = PICOWS) -> Iterator[Workers]:
    """Start two workers and wait until they know each other. Raises WrongAnswer if they do not."""
    program = worker_program(engine, transport)
    with ExitStack() as stack:
        first = stack.enter_context(servers.fresh(program))
        second = stack.enter_context(servers.fresh(program))
        asyncio.run(wait_for_nodes(first.url, 2))
        asyncio.run(wait_for_nodes(second.url, 2))
        yield Workers(first, second, engine)


async def wait_for_nodes(url: str, number: int) -> None:
    """Wait until a worker knows ``number`` nodes, itself included."""
    async with Clients(url, realm=REALM) as clients:
        asker = await clients.join(Asker(clients))
        for _ in range(ATTEMPTS):
            if (await asker.result("cluster"))["nodes"] == number:
                return
            await clients.run_for(0.02)
    raise WrongAnswer(f"the worker does not know {number} nodes")
