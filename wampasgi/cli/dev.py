"""The command ``wampasgi dev``, which serves an app while it is being written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from wampasgi.cli.errors import CommandError, UsageError
from wampasgi.cli.options import AppArgument

if TYPE_CHECKING:
    from wampasgi.application import Application
    from wampasgi.cli.development import Places

HostOption = Annotated[str, typer.Option("--host", metavar="HOST", help="The address to listen on.")]
PortOption = Annotated[
    int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="The port. 0 means a free one.")
]
HOST: Final = "127.0.0.1"
PORT: Final = 8000


def dev(
    app: AppArgument = None,
    host: HostOption = HOST,
    port: PortOption = PORT,
    docs_url: Annotated[
        str | None,
        typer.Option(
            "--docs-url",
            metavar="PATH",
            help="The path of the page. The default is /docs.",
            show_default=False,
        ),
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload/--no-reload", help="Restart the server when a file changes.")
    ] = True,
) -> None:
    """Serve an app with its page, and reload it.

    The page describes the app, and calls its procedures. The server restarts when a file changes.
    """
    from wampasgi.cli.app_loading import load_application
    from wampasgi.cli.development import APP_VARIABLE, DOCS_VARIABLE, places

    if docs_url is not None and not docs_url.startswith("/"):
        raise UsageError(f"--docs-url {docs_url!r} must be a path that begins with '/'")
    require_uvicorn()
    loaded = load_application(app)
    found = places(loaded, docs_url)
    os.environ[APP_VARIABLE] = loaded.reference
    os.environ[DOCS_VARIABLE] = found.docs
    _serve(host, port, loaded.application, found, reload=reload)


def require_uvicorn() -> None:
    """Raise CommandError if uvicorn is not installed."""
    from importlib.util import find_spec

    if find_spec("uvicorn") is None:
        raise CommandError(
            'serving an app needs uvicorn. To install it, run\n\n    pip install "wampasgi[standard]"'
        )


def _serve(host: str, port: int, application: Application, found: Places, *, reload: bool) -> None:
    import uvicorn
    from uvicorn.supervisors import ChangeReload

    from wampasgi.cli.server_options import largest_message, picows_protocol

    config = uvicorn.Config(
        "wampasgi.cli.development:create_app",
        factory=True,
        host=host,
        port=port,
        reload=reload,
        # uvicorn warns about folders without a reloader.
        reload_dirs=[str(Path.cwd())] if reload else None,
        ws=picows_protocol() or "auto",
        ws_max_size=largest_message(application),
        ws_per_message_deflate=False,
    )
    # Bound here, so that the URLs have the port, and are printed only if it is free.
    try:
        socket = config.bind_socket()
    except SystemExit as error:
        # uvicorn has said why.
        raise typer.Exit(1) from error
    for line in _addresses(host, socket.getsockname()[1], found):
        typer.echo(line, err=True)
    server = uvicorn.Server(config)
    # uvicorn raises it again after Ctrl-C, although everything has ended as it should.
    with suppress(KeyboardInterrupt):
        if config.should_reload:
            ChangeReload(config, target=server.run, sockets=[socket]).run()
            return
        server.run(sockets=[socket])
    if not server.started:
        raise typer.Exit(1)


def _addresses(host: str, port: int, found: Places) -> Sequence[str]:
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return (
        "",
        f"    Page:      http://{name}:{port}{found.docs}",
        f"    WebSocket: ws://{name}:{port}{found.endpoint}",
        "",
    )
