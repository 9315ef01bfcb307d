"""The commands of the program and how they are run.

The module of a command imports the framework only inside its functions, because ``wampasgi --help`` imports
all commands and must be fast. If a command is named, only its module is imported.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

from wampasgi.cli.command_lines import AcceptsNegativeNumbers, PassesOptionsOn
from wampasgi.cli.errors import CommandError, UsageError
from wampasgi.cli.output import OutputClosed
from wampasgi.errors import ConfigurationError


class Command(TyperCommand):
    """A command that shows a CommandError as a message, and then ends the program with its status."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UsageError as error:
            raise _ShownUsageError(str(error), ctx=ctx) from error
        except CommandError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(error.status) from error
        except OutputClosed as error:
            # As for a program that SIGPIPE ends.
            raise typer.Exit(141) from error
        except ConfigurationError as error:
            # A mistake in the application, whose message names the place.
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(2) from error
        except (KeyboardInterrupt, typer.Abort) as error:
            # The user may be asked for a secret, or the module of the app may take long.
            raise typer.Exit(130) from error


class _CommandWithNumbers(AcceptsNegativeNumbers, Command):
    """A command whose arguments may be negative numbers."""


class _CommandOfServer(PassesOptionsOn, Command):
    """A command that passes options on."""


class _ShownUsageError(typer.BadParameter):
    """A usage error that is not about a single parameter."""

    def format_message(self) -> str:
        return self.message


def _print_version(wanted: bool) -> None:
    if wanted:
        from wampasgi._version import __version__

        typer.echo(f"wampasgi {__version__}")
        raise typer.Exit


def _program(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Work with WAMP applications that are written with wampasgi."""


#: The classes of the commands. Each is the function of its name in a module of its name, except that
#: ``generate`` is a group. The help has this order, with the groups after the commands.
_COMMANDS: Final[Mapping[str, type[TyperCommand]]] = {
    "dev": Command,
    "serve": _CommandOfServer,
    "routes": Command,
    "schema": Command,
    "generate": Command,
    "call": _CommandWithNumbers,
    "publish": _CommandWithNumbers,
    "subscribe": Command,
    "register": Command,
    "sessions": Command,
    "keygen": Command,
}


def _needed(words: Sequence[str]) -> Sequence[str]:
    """Return the command that a command line names, or all of them if it names none, to list them."""
    named = next((word for word in words if not word.startswith("-")), "")
    return [named] if named in _COMMANDS else list(_COMMANDS)


def _prepare_streams() -> None:
    """Let closed standard streams behave as ``/dev/null``, and write all characters in every locale."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - until the program ends
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def run() -> None:
    """Run the command that the arguments of the process name, and exit with its status."""
    _prepare_streams()
    # Frames and colours only help people: logs and pipes get plain text.
    mode = "rich" if sys.stdout.isatty() and sys.stderr.isatty() else None
    options: dict[str, Any] = {
        "no_args_is_help": True,
        "rich_markup_mode": mode,
        # An exception of wampasgi itself has the traceback that all Python programs have.
        "pretty_exceptions_enable": False,
    }
    program = typer.Typer(**options)
    program.callback()(_program)
    for name in _needed(sys.argv[1:]):
        module = import_module(f"wampasgi.cli.{name}")
        if name == "generate":
            generators = typer.Typer(**options, help="Generate code for clients.")
            generators.command("typescript", cls=Command)(module.typescript)
            program.add_typer(generators, name=name)
        else:
            program.command(name, cls=_COMMANDS[name])(getattr(module, name))
    program(prog_name="wampasgi")
