"""The command ``wampasgi register``, which answers calls of a procedure by running a program."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import Enum
from shutil import which
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wampasgi.cli.connection_options import SECRET_VARIABLES, ConnectionOptions, with_connection
from wampasgi.cli.data_output import DataOutput
from wampasgi.cli.errors import UsageError
from wampasgi.cli.subscribe import MatchPolicy
from wampasgi.errors import RUNTIME_ERROR, WAMPError

if TYPE_CHECKING:
    from wampasgi.client import Invocation, Session
    from wampasgi.injection.results import RPCResult


class InvokePolicy(Enum):
    """The choice between clients that have registered the same procedure."""

    single = "single"
    roundrobin = "roundrobin"
    random = "random"
    first = "first"
    last = "last"


@with_connection
def register(
    connection: ConnectionOptions,
    procedure: Annotated[str, typer.Argument(metavar="PROCEDURE", help="The URI of the procedure.")],
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="COMMAND",
            help="The program to run for each call, after --, with its arguments. It gets a JSON object with "
            "args and kwargs on standard input, and its output is the result.",
        ),
    ],
    match: Annotated[MatchPolicy, typer.Option(help="The meaning of the procedure.")] = MatchPolicy.exact,
    invoke: Annotated[
        InvokePolicy, typer.Option(help="The choice between clients that register the same procedure.")
    ] = InvokePolicy.single,
    concurrency: Annotated[
        int, typer.Option("--concurrency", metavar="M", min=1, help="Run at most M programs at a time.")
    ] = 10,
) -> None:
    """Answer calls by running a program. Ctrl-C ends it."""
    from wampasgi.cli.arguments import require_uri
    from wampasgi.cli.failures import run
    from wampasgi.cli.targets import Target
    from wampasgi.client import Retry

    require_uri("PROCEDURE", procedure, match.value)
    if which(command[0]) is None:
        raise UsageError(f"there is no program {command[0]!r}")
    target = Target(connection, retry=Retry())
    output = DataOutput(None)
    program = _Program(command, procedure, concurrency)
    handler = program.answer if match is MatchPolicy.exact else program.answer_pattern

    async def main() -> None:
        async with target.opened() as session:
            await _serve(session)

    async def _serve(session: Session) -> None:
        # A router would refuse calls beyond a concurrency in REGISTER.Options. Here they wait.
        await session.register(procedure, handler, match=match.value, invoke=invoke.value)
        output.note(f"Registered {procedure}. Ctrl-C ends it.")
        await session.wait_closed()

    run(main, output)


class _Program:
    """The program that answers calls."""

    def __init__(self, command: Sequence[str], procedure: str, concurrency: int) -> None:
        import anyio

        self._command = command
        self._procedure = procedure
        self._limiter = anyio.Semaphore(concurrency)

    async def answer(self, /, *args: Any, **kwargs: Any) -> RPCResult:
        """Run the program for one call. Raises WAMPError if it fails."""
        return await self._answer(self._procedure, args, kwargs)

    async def answer_pattern(self, /, invocation: Invocation, *args: Any, **kwargs: Any) -> RPCResult:
        """Run the program for one call of a procedure that matches the pattern.

        The call cannot have a keyword argument ``invocation``. Raises WAMPError if the program fails.
        """
        return await self._answer(invocation.procedure, args, kwargs)

    async def _answer(self, procedure: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> RPCResult:
        from wampasgi.cli.data_forms import to_json

        given = {"procedure": procedure, "args": args, "kwargs": kwargs}
        async with self._limiter:
            status, output = await self._run(to_json(given).encode(), procedure)
        return _result(output) if status == 0 else _raise_error(status, output)

    async def _run(self, data: bytes, procedure: str) -> tuple[int, bytes]:
        import anyio

        environment = {name: value for name, value in os.environ.items() if not _is_secret(name, value)}
        process = await anyio.open_process(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            env={**environment, "WAMPASGI_PROCEDURE": procedure},
            # Ctrl-C in the terminal ends this program, which then ends the others.
            start_new_session=True,
        )
        try:
            return await _exchange(process, data)
        finally:
            if process.returncode is None:
                _kill(process.pid)
            with anyio.CancelScope(shield=True):
                await process.aclose()


def _is_secret(name: str, value: str) -> bool:
    """Return whether a variable has a secret. The URL of a server may have some, too."""
    from wampasgi.client.websocket_errors import public_url

    return name in SECRET_VARIABLES or (name == "WAMPASGI_URL" and public_url(value) != value)


async def _exchange(process: Any, data: bytes) -> tuple[int, bytes]:
    """Write the input of a process, and return its exit status and its output."""
    import anyio

    async def write() -> None:
        # A program may ignore its input.
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, BrokenPipeError, ConnectionError):
            await process.stdin.send(data)
            await process.stdin.aclose()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        chunks = [chunk async for chunk in process.stdout]
        status = await process.wait()
        tasks.cancel_scope.cancel()
    return status, b"".join(chunks)


def _kill(pid: int) -> None:
    """Kill a process and those that it has started."""
    with suppress(ProcessLookupError):
        if os.name == "posix":
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)


def _result(output: bytes) -> RPCResult:
    """Return the result that an output means: nothing, a JSON value, text, or bytes."""
    from wampasgi.cli.data_forms import UnsupportedJSON, from_json
    from wampasgi.injection.results import RPCResult

    try:
        text = output.decode()
    except UnicodeDecodeError:
        return RPCResult([output])
    if not text.strip():
        return RPCResult()
    try:
        return RPCResult([from_json(text)])
    except UnsupportedJSON as error:
        raise WAMPError(RUNTIME_ERROR, f"the output of the program cannot be sent: {error}") from error
    except ValueError:
        return RPCResult([text.removesuffix("\n")])


def _is_uri(value: Any) -> bool:
    from wampasgi.cli.arguments import require_uri

    if not isinstance(value, str):
        return False
    try:
        require_uri("error", value)
    except UsageError:
        return False
    return True


def _raise_error(status: int, output: bytes) -> RPCResult:
    """Raise the error that a failed program has written, or one with its exit status."""
    from wampasgi.cli.data_forms import from_json

    try:
        written: Any = from_json(output.decode())
    except ValueError:
        written = None
    if isinstance(written, Mapping) and _is_uri(written.get("error")):
        args, kwargs = written.get("args", []), written.get("kwargs", {})
        if isinstance(args, list) and isinstance(kwargs, dict):
            raise WAMPError(written["error"], *args, **kwargs)
    raise WAMPError(RUNTIME_ERROR, f"the program ended with the status {status}")
