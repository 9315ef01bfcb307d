"""The command ``wampasgi sessions``, which lists the sessions of a realm and closes some."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from wampasgi.cli.connection_options import ConnectionOptions, with_connection
from wampasgi.cli.data_output import DataOutput, FormatOption
from wampasgi.cli.errors import UsageError
from wampasgi.errors import NO_SUCH_SESSION, WAMPError
from wampasgi.payload import Payload

if TYPE_CHECKING:
    from wampasgi.client import Session

_COLUMNS: Final = ("session", "authid", "authrole", "authmethod", "authprovider")
#: The number of requests at the same time.
_CONCURRENCY: Final = 20


@with_connection
def sessions(
    connection: ConnectionOptions,
    role: Annotated[
        list[str] | None,
        typer.Option("--role", metavar="ROLE", help="Only sessions with this role. May be repeated."),
    ] = None,
    kill: Annotated[
        list[int] | None,
        typer.Option("--kill", metavar="ID", help="Close this session instead. May be repeated."),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option("--reason", metavar="URI", help="With --kill: the reason.", show_default=False),
    ] = None,
    message: Annotated[
        str | None,
        typer.Option(
            "--message", metavar="TEXT", help="With --kill: a text for the client.", show_default=False
        ),
    ] = None,
    output: FormatOption = None,
) -> None:
    """List the sessions of a realm, or close some.

    The realm must allow the meta API.
    """
    from wampasgi.cli.failures import run
    from wampasgi.cli.targets import Target

    if not kill and (reason is not None or message is not None):
        raise UsageError("--reason and --message need --kill")
    if kill and role:
        raise UsageError("--kill and --role exclude each other")
    target = Target(connection)
    shown = DataOutput(output)
    details = {name: text for name, text in (("reason", reason), ("message", message)) if text is not None}

    async def main() -> None:
        async with target.opened() as session:
            if not kill:
                shown.rows(_COLUMNS, await _details(session, role))
            await _close(session, kill or (), details, shown)

    run(main, shown)


async def _close(
    session: Session, session_ids: Iterable[int], details: dict[str, Any], shown: DataOutput
) -> None:
    """Close all of these sessions. Afterwards, raises WAMPError if one of them does not exist."""
    missing: WAMPError | None = None
    for session_id in session_ids:
        try:
            await session.call("wamp.session.kill", Payload([session_id], details))
        except WAMPError as error:
            if error.uri != NO_SUCH_SESSION:
                raise
            missing = missing or error
        else:
            shown.note(f"Session {session_id} was closed.")
    if missing is not None:
        raise missing


async def _details(session: Session, roles: list[str] | None) -> list[dict[str, Any]]:
    """Return the details of all sessions, without those that leave meanwhile."""
    import anyio

    filters = [roles] if roles else []
    ids: list[int] = await session.call("wamp.session.list", *filters)
    found: dict[int, dict[str, Any]] = {}
    remaining = iter(ids)

    async def get() -> None:
        for session_id in remaining:
            try:
                details = await session.call("wamp.session.get", session_id)
            except WAMPError as error:
                if error.uri != NO_SUCH_SESSION:
                    raise
            else:
                found[session_id] = {"session": session_id, **details}

    async with anyio.create_task_group() as tasks:
        for _ in range(_CONCURRENCY):
            tasks.start_soon(get)
    return [found[session_id] for session_id in sorted(found)]
