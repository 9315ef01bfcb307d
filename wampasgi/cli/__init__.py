"""The command line of wampasgi: the program ``wampasgi``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that the arguments of the process name, and exit with its status.

    Exits with the status 2 if the packages of the extra ``cli`` are not installed.
    """
    try:
        _run()
    except KeyboardInterrupt:
        # While modules are imported. The commands treat it themselves.
        sys.exit(130)


def _run() -> None:
    try:
        from wampasgi.cli.program import run
    except ModuleNotFoundError as error:
        if error.name not in ("rich", "typer"):
            raise
        sys.stderr.write(
            f"wampasgi: the command line needs the package {error.name!r}. To install it, run\n\n"
            f'    pip install "wampasgi[cli]"\n'
        )
        sys.exit(2)
    run()
