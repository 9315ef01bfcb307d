"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from wampasgi.cli.errors import UsageError

AppArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="APP",
        help="The app, as in 'myapp:app'. The default is the entrypoint in pyproject.toml, "
        "or the app in main.py or app.py.",
        show_default=False,
    ),
]
RealmOption: TypeAlias = Annotated[
    str | None, typer.Option("--realm", metavar="URI", help="The realm.", show_default=False)
]
OutputOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="The file to write. The default, also as '-', is standard output.",
        dir_okay=False,
        show_default=False,
    ),
]
CheckOption: TypeAlias = Annotated[
    bool,
    typer.Option("--check", help="Write nothing. Exit with 1 if the file given with -o is out of date."),
]


def named_file(output: Path | None) -> Path | None:
    """Return the file of the option ``--output``, None for standard output."""
    return None if output is None or str(output) == "-" else output


def expanded(file: str) -> Path:
    """Return the path of a file, which may begin with a home folder, such as ``~``. Raises UsageError."""
    try:
        return Path(file).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{file} is in the home folder of a user that does not exist") from error
