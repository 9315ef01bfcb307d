"""The exit status of commands that open a session, and their error messages."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

import typer

from wampasgi.cli.data_forms import to_json, visible
from wampasgi.cli.data_output import DataOutput
from wampasgi.cli.errors import CommandError, UsageError
from wampasgi.cli.output import OutputClosed, say
from wampasgi.errors import (
    AUTHENTICATION_FAILED,
    AUTHORIZATION_DENIED,
    AUTHORIZATION_FAILED,
    NETWORK_FAILURE,
    NO_MATCHING_AUTH_METHOD,
    NO_SUCH_ROLE,
    NOT_AUTHORIZED,
    PROTOCOL_VIOLATION,
    TIMEOUT,
    ConnectionClosed,
    LocalProtocolError,
    RemoteProtocolError,
    WAMPError,
)


class Status(IntEnum):
    """The exit status of the program."""

    #: A WAMP error, or no answer in time.
    ERROR = 1
    USAGE = 2
    NOT_CONNECTED = 3
    REFUSED = 4
    INTERRUPTED = 130
    #: As for a program that SIGPIPE ends.
    OUTPUT_CLOSED = 141
    #: As for a program that SIGTERM ends.
    TERMINATED = 143


_REFUSALS: Final = frozenset(
    {
        AUTHENTICATION_FAILED,
        AUTHORIZATION_DENIED,
        AUTHORIZATION_FAILED,
        NOT_AUTHORIZED,
        NO_MATCHING_AUTH_METHOD,
        NO_SUCH_ROLE,
    }
)
_REFUSING_HTTP_STATUSES: Final = (401, 403)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error as it is shown. ``suggestions`` are names that the user may have meant."""

    status: Status
    error: str
    message: str
    args: Sequence[Any] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    suggestions: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the failure as JSON values."""
        found: dict[str, Any] = {"error": self.error, "message": self.message}
        if self.args or self.kwargs:
            found |= {"args": list(self.args), "kwargs": self.kwargs}
        return {**found, "suggestions": list(self.suggestions)} if self.suggestions else found


class SuggestingError(WAMPError):
    """An ERROR of a router, with names that the user may have meant."""

    def __init__(self, error: WAMPError, suggestions: Sequence[str]) -> None:
        super().__init__(error.uri, *error.args, **error.kwargs)
        self.suggestions = suggestions


def run(main: Callable[[], Awaitable[None]], output: DataOutput) -> None:
    """Run an async function to its end, and exit with another status than 0 if it fails.

    Ctrl-C or SIGTERM cancels it, and a second Ctrl-C ends the program at once. UsageError and CommandError
    are raised.
    """
    import asyncio

    import anyio

    async def until_terminated() -> None:
        task = asyncio.current_task()
        assert task is not None
        # Windows has no such signal.
        with suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await main()

    try:
        anyio.run(until_terminated)
    except asyncio.CancelledError as error:
        raise typer.Exit(Status.TERMINATED) from error
    except KeyboardInterrupt as interrupt:
        output.note("Interrupted.")
        raise typer.Exit(Status.INTERRUPTED) from interrupt
    except BaseException as error:
        raised = next(_leaves(error))
        if isinstance(raised, OutputClosed):
            raise typer.Exit(Status.OUTPUT_CLOSED) from error
        failure = failure_of(raised)
        if failure is None:
            raise raised from raised.__cause__
        report(failure, output)
        raise typer.Exit(failure.status) from error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions in a group of a task group, or the exception itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def failure_of(error: BaseException) -> Failure | None:
    """Return the failure that an exception of the client means, or None if it is not one of these."""
    from wampasgi.client import InvalidResult, JoinRefused

    if isinstance(error, UsageError | CommandError):
        return None
    if isinstance(error, JoinRefused):
        status = Status.REFUSED if error.uri in _REFUSALS else Status.NOT_CONNECTED
        return Failure(status=status, error=error.uri, message=str(error))
    if isinstance(error, WAMPError):
        return _failure_of_call(error)
    if isinstance(error, TimeoutError):
        return Failure(status=Status.ERROR, error=TIMEOUT, message=str(error))
    if isinstance(error, ConnectionClosed):
        status = Status.REFUSED if error.reason in _REFUSALS else Status.NOT_CONNECTED
        return Failure(status=status, error=error.reason, message=str(error))
    if isinstance(error, ConnectionError):
        response = getattr(error.__cause__, "response", None)
        refused = getattr(response, "status_code", None) in _REFUSING_HTTP_STATUSES
        status = Status.REFUSED if refused else Status.NOT_CONNECTED
        return Failure(status=status, error=NETWORK_FAILURE, message=str(error))
    if isinstance(error, RemoteProtocolError | InvalidResult):
        return Failure(status=Status.NOT_CONNECTED, error=PROTOCOL_VIOLATION, message=str(error))
    if isinstance(error, LocalProtocolError):
        return Failure(status=Status.USAGE, error=PROTOCOL_VIOLATION, message=str(error))
    return None


def _failure_of_call(error: WAMPError) -> Failure:
    return Failure(
        status=Status.REFUSED if error.uri in _REFUSALS else Status.ERROR,
        error=error.uri,
        message=_message(error),
        args=error.args,
        kwargs=error.kwargs,
        suggestions=error.suggestions if isinstance(error, SuggestingError) else (),
    )


def status_of_errors(uris: Iterable[str]) -> Status:
    """Return the exit status of several ERRORs: that of refusals only if all of them are."""
    return Status.REFUSED if _REFUSALS.issuperset(uris) else Status.ERROR


def _message(error: WAMPError) -> str:
    """Return the text of an ERROR, which is its first argument by convention."""
    texts = [argument if isinstance(argument, str) else to_json(argument) for argument in error.args]
    further = {name: value for name, value in error.kwargs.items() if name != "errors"}
    texts += [f"{name}={to_json(value)}" for name, value in further.items()]
    return f"{error.uri}: {', '.join(texts)}" if texts else error.uri


def report(failure: Failure, output: DataOutput) -> None:
    """Show a failure on standard error: as JSON if the data are for a program."""
    if not output.is_text:
        say(to_json(failure.to_dict()))
        return
    output.messages.print("Error: ", style="bold red", end="")
    invalid = [f"  {line}" for line in _invalid_arguments(failure.kwargs.get("errors"))]
    # The message has the same text as these lines.
    for line in (failure.error, *invalid) if invalid else (failure.message,):
        say(visible(line))
    if failure.suggestions:
        say(visible(f"Did you mean {' or '.join(failure.suggestions)}?"))


def _invalid_arguments(errors: Any) -> Iterator[str]:
    """Yield a line for each of the argument errors of ``wamp.error.invalid_argument``."""
    for error in errors if isinstance(errors, list) else ():
        if not isinstance(error, dict):
            continue
        path = error.get("path")
        steps = [error.get("argument"), *(path if isinstance(path, list) else ())]
        place = ".".join(str(step) for step in steps if step is not None)
        yield f"{place}: {error.get('reason')}" if place else str(error.get("reason"))
