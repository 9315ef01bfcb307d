"""The command ``wampasgi serve``, which serves an app in production."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from wampasgi.cli.command_lines import further_options
from wampasgi.cli.dev import HOST, PORT, HostOption, PortOption, require_uvicorn
from wampasgi.cli.errors import UsageError
from wampasgi.cli.options import AppArgument

if TYPE_CHECKING:
    from wampasgi.application import Application


def serve(
    ctx: typer.Context,
    app: AppArgument = None,
    host: HostOption = HOST,
    port: PortOption = PORT,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            min=1,
            help="The number of processes. Several need a backplane.",
            show_default=False,
        ),
    ] = None,
    separate_workers: Annotated[
        bool,
        typer.Option(
            "--allow-separate-workers",
            help="Allow several workers without a backplane. Their clients do not reach each other.",
        ),
    ] = False,
) -> None:
    """Serve an app with uvicorn.

    Words after -- are options of uvicorn.
    """
    from wampasgi.cli.app_loading import load_application
    from wampasgi.cli.server_options import GRACEFUL_SHUTDOWN, websocket_options, workers_in_environment

    further = further_options(ctx)
    if any(word.partition("=")[0] == "--workers" for word in further):
        raise UsageError("--workers must be before --, because several workers need a backplane")
    require_uvicorn()
    loaded = load_application(app)
    count = workers or workers_in_environment() or 1
    if count > 1 and not separate_workers:
        _require_backplane(loaded.application, count)
    _run_uvicorn(
        loaded.reference,
        *("--host", host, "--port", str(port), "--workers", str(count)),
        *websocket_options(loaded.application),
        *("--timeout-graceful-shutdown", str(GRACEFUL_SHUTDOWN)),
        # The last one counts, so these replace the ones above.
        *further,
    )


def _require_backplane(application: Application, count: int) -> None:
    if application.backplane is None:
        raise UsageError(
            f"each of the {count} workers would have realms of its own, whose clients do not reach those of "
            "other workers. To connect them, pass a backplane, such as "
            'Application(backplane="unix:/run/myapp"). To serve separate realms, pass '
            "--allow-separate-workers."
        )


def _run_uvicorn(*words: str) -> None:
    """Run uvicorn in this process, so that signals reach it."""
    import uvicorn  # noqa: F401 - its function `main` hides the module of this name

    command = sys.modules["uvicorn.main"].main
    command.main(args=list(words), prog_name="uvicorn")
