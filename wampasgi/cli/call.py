"""The command ``wampasgi call``, which calls a procedure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from wampasgi.cli.arguments import ARGUMENTS_HELP
from wampasgi.cli.connection_options import ConnectionOptions, with_connection
from wampasgi.cli.data_output import DataOutput, Format, FormatOption
from wampasgi.cli.errors import UsageError
from wampasgi.errors import WAMPError

if TYPE_CHECKING:
    from wampasgi.cli.arguments import Argument
    from wampasgi.client import ProgressCall, Session
    from wampasgi.payload import Payload

#: The longest wait for the answer to CANCEL, in seconds.
CANCEL_TIMEOUT: Final = 2.0
_TIMEOUT: Final = 30.0

WordsArgument: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="ARGUMENT", help=ARGUMENTS_HELP, show_default=False)
]
TimeoutOption: TypeAlias = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="SECONDS", min=0, help="The longest wait for an answer. 0 means no limit."
    ),
]


@with_connection
def call(
    connection: ConnectionOptions,
    procedure: Annotated[str, typer.Argument(metavar="PROCEDURE", help="The URI of the procedure.")],
    arguments: WordsArgument = None,
    timeout: TimeoutOption = _TIMEOUT,
    progress: Annotated[
        bool, typer.Option("--progress", help="Also write the progressive results to standard output.")
    ] = False,
    repeat: Annotated[
        int | None,
        typer.Option(
            "--repeat",
            metavar="N",
            min=1,
            help="Call N times, and write the rate and percentiles of the times.",
            show_default=False,
        ),
    ] = None,
    concurrency: Annotated[
        int,
        typer.Option("--concurrency", metavar="M", min=1, help="With --repeat: M calls at the same time."),
    ] = 1,
    output: FormatOption = None,
) -> None:
    """Call a procedure and write its result."""
    from wampasgi.cli.arguments import read_arguments, require_uri
    from wampasgi.cli.failures import run
    from wampasgi.cli.targets import Target

    if repeat is not None and progress:
        raise UsageError("--repeat measures the time of results: leave out --progress")
    if repeat is None and concurrency != 1:
        raise UsageError("--concurrency needs --repeat")
    require_uri("PROCEDURE", procedure)
    require_one_input(connection, arguments or ())
    target = Target(connection)
    prepared = _Call(
        procedure=procedure,
        arguments=read_arguments(arguments or ()),
        timeout=timeout or None,
        writes_progress=progress,
        output=DataOutput(output, in_pipe=Format.jsonl if progress else Format.json),
    )

    async def main() -> None:
        async with target.opened() as session:
            if repeat is None:
                await prepared.run(session)
            else:
                await prepared.measure(session, repeat, concurrency)

    run(main, prepared.output)


def require_one_input(connection: ConnectionOptions, words: Sequence[str]) -> None:
    """Raise UsageError if both a secret and an argument are to be read from standard input."""
    from wampasgi.cli.arguments import reads_input

    if "-" in (connection.ticket, connection.secret) and any(map(reads_input, words)):
        raise UsageError("a secret and an argument cannot both be read from standard input")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    procedure: str
    arguments: Sequence[Argument]
    timeout: float | None
    writes_progress: bool
    output: DataOutput

    async def payload(self, session: Session) -> Payload:
        """Return the arguments with the types that the procedure takes, if it is described."""
        from wampasgi.cli.arguments import typed_payload
        from wampasgi.cli.reflection import describe

        described = await describe(session, "procedure", self.procedure) if self.arguments else None
        return typed_payload(self.arguments, self.procedure, described)

    async def run(self, session: Session) -> None:
        """Call the procedure once."""
        from wampasgi.cli.reflection import with_suggestions

        payload = await self.payload(session)
        try:
            async with session.call_progress(self.procedure, payload, timeout=self.timeout) as call:
                result = await self._result(call)
        except WAMPError as error:
            raise await with_suggestions(session, error, self.procedure) from error
        value = _value(result)
        self.output.value({"result": value} if self._marks_progress else value)

    async def _result(self, call: ProgressCall[Any, Any]) -> Any:
        """Return the result, and show progressive results. If it is interrupted, cancel the call."""
        import anyio

        try:
            with self._reports() as show:
                async for report in call:
                    show(_value(report))
            return await call.result()
        except anyio.get_cancelled_exc_class():
            call.cancel("kill")
            with anyio.move_on_after(CANCEL_TIMEOUT, shield=True), suppress(WAMPError, ConnectionError):
                await call.result()
            raise

    def _reports(self) -> AbstractContextManager[Callable[[Any], None]]:
        from contextlib import nullcontext

        if self.writes_progress:
            return nullcontext(self._write_report)
        if self.output.shows_progress:
            from wampasgi.cli.progress_bar import ProgressBar

            return ProgressBar(self.output.messages, self.procedure)
        return nullcontext(lambda _: None)

    @property
    def _marks_progress(self) -> bool:
        """Return whether the output is JSON, in which a result must be distinguished from progress."""
        return self.writes_progress and self.output.is_json

    def _write_report(self, value: Any) -> None:
        self.output.value({"progress": value} if self._marks_progress else value)

    async def measure(self, session: Session, repeat: int, concurrency: int) -> None:
        """Call the procedure many times. Exits with the status 1 or 4 if calls fail."""
        from wampasgi.cli.failures import status_of_errors
        from wampasgi.cli.measuring import measure

        payload = await self.payload(session)
        measured = await measure(
            lambda: session.call(self.procedure, payload, timeout=self.timeout), repeat, concurrency
        )
        if self.output.is_text:
            self.output.rows(["", "value"], measured.rows())
        else:
            self.output.value(measured.to_dict())
        if measured.errors:
            raise typer.Exit(status_of_errors(measured.errors))


def _value(result: Any) -> Any:
    from wampasgi.cli.data_forms import payload_value
    from wampasgi.injection.results import RPCResult

    return payload_value(result.args, result.kwargs) if isinstance(result, RPCResult) else result
