"""Show two workers that serve one realm: a call, an event, a list of sessions, a dead worker and its return.

``make scale`` runs ``python -m examples.scaling``. Without ``--backplane``, NATS is used if nats-server and
nats-py are installed, and Unix sockets otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import Any

from benchmarks.engines import ENGINES
from examples.scaling.client import CallFailed, Client, joined
from examples.scaling.workers import Worker, running_workers

_BEGAN = time.perf_counter()


def say(text: str) -> None:
    print(f"{time.perf_counter() - _BEGAN:7.2f} s   {text}", flush=True)


def milliseconds(began: float) -> str:
    return f"{1000 * (time.perf_counter() - began):.1f} ms"


async def show(backplane: str) -> None:
    """Run the whole demonstration."""
    async with running_workers(backplane, 2) as (first, second):
        say(f"two workers serve one realm: worker 1 at {first.url}, worker 2 at {second.url}")
        async with joined(first.url) as alice:
            say("alice has joined on worker 1")
            async with joined(second.url) as bob:
                say("bob has joined on worker 2")
                await show_routing(alice, bob)
                await show_death(alice, bob, second)
            await show_return(alice, second)


async def show_routing(alice: Client, bob: Client) -> None:
    """Show a call, an event and a list of sessions across workers."""
    await bob.register("bob.greet", lambda name: f"hello {name}, this is bob")
    say("bob has registered bob.greet on worker 2")
    began = time.perf_counter()
    answer = await alice.call("bob.greet", "alice")
    say(f"alice calls bob.greet on worker 1: {answer!r} after {milliseconds(began)}")
    await bob.subscribe("news")
    say("bob has subscribed to news on worker 2")
    began = time.perf_counter()
    await alice.publish("news", "the harbour is open again")
    event = await asyncio.wait_for(bob.events.get(), 5)
    say(f"alice publishes on worker 1, and bob gets {event!r} after {milliseconds(began)}")
    say(f"alice lists the sessions of the realm: {await names(alice, {'alice': alice, 'bob': bob})}")


async def show_death(alice: Client, bob: Client, worker: Worker) -> None:
    """Kill the worker of a callee during a call."""
    invoked = asyncio.Event()
    await bob.register("bob.think", lambda question: invoked.set())
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(error_of(alice, "bob.think", "what is six times seven?"))
        await asyncio.wait_for(invoked.wait(), 5)
        say("alice calls bob.think, and bob is thinking")
        began = time.perf_counter()
        worker.kill()
        say("kill -9 of worker 2, which cannot say goodbye")
        error = await call
    say(f"alice's call has ended with {error}, {time.perf_counter() - began:.2f} s after the kill")
    await wait_for_end(alice, "bob.greet")
    say(
        f"{time.perf_counter() - began:.2f} s after the kill, bob.greet is gone: wamp.error.no_such_procedure"
    )
    say(f"alice lists the sessions of the realm: {await names(alice, {'alice': alice, 'bob': bob})}")


async def show_return(alice: Client, worker: Worker) -> None:
    """Start the killed worker again, and call a client of it."""
    began = time.perf_counter()
    await worker.start()
    say(f"worker 2 is started again, and accepts clients after {time.perf_counter() - began:.2f} s")
    async with joined(worker.url) as bob:
        await bob.register("bob.greet", lambda name: f"hello {name}, this is bob again")
        say("bob has joined on worker 2 again, and has registered bob.greet")
        say(f"alice, who is still connected, calls bob.greet: {await alice.call('bob.greet', 'alice')!r}")
        say(f"alice lists the sessions of the realm: {await names(alice, {'alice': alice, 'bob': bob})}")


async def wait_for_end(client: Client, procedure: str) -> None:
    """Wait until a procedure of a dead worker is gone; calls of it fail with another error before."""
    for _ in range(200):
        if await error_of(client, procedure, "alice") == "wamp.error.no_such_procedure":
            return
        await asyncio.sleep(0.05)
    raise RuntimeError(f"{procedure} is still registered")


async def error_of(client: Client, procedure: str, *args: Any) -> str:
    """Call a procedure that fails, and return the error URI."""
    try:
        await client.call(procedure, *args)
    except CallFailed as failed:
        return failed.uri
    raise RuntimeError(f"the call of {procedure} has not failed")


async def names(client: Client, known: dict[str, Client]) -> list[str]:
    """Return the names of the sessions of the realm, as the meta API lists them."""
    by_id = {other.session_id: name for name, other in known.items()}
    session_ids = await client.call("wamp.session.list")
    return sorted(by_id.get(session_id, "somebody else") for session_id in session_ids)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.scaling", description=__doc__)
    parser.add_argument("--backplane", choices=ENGINES, help="the engine between the workers")
    kind = ENGINES[chosen(parser.parse_args(arguments).backplane)]
    failure: Exception | None = None
    with kind.running() as engine:
        say(f"the engine is {kind.title}: backplane={engine.url!r}")
        try:
            asyncio.run(show(engine.url))
        except* (CallFailed, OSError, RuntimeError, TimeoutError) as failed:
            failure = _first(failed)
    if failure is not None:
        sys.exit(f"the demonstration has failed: {failure}")
    say("both workers have ended")


def _first(failed: BaseExceptionGroup[Exception]) -> Exception:
    """Return the first exception of nested groups."""
    error: BaseException = failed
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error


def chosen(name: str | None) -> str:
    """Return the name of the engine to use, and say why it is not NATS."""
    if name is not None:
        return name
    if (missing := ENGINES["nats"].missing()) is None:
        return "nats"
    say(f"NATS is not used, because {missing}: the workers use Unix sockets instead")
    return "unix"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
