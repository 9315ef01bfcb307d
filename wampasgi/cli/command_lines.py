"""Commands whose command lines have words that begin with a dash and are no options of theirs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import typer
from typer.core import TyperCommand

# With the spaces before it, so that a word that begins with the mark keeps it.
_NEGATIVE: Final = re.compile(r" *-(?:\d|\.\d)")
# Numbers may begin with a space, so this is right for the value of an option, too.
_MARK: Final = " "
_FURTHER: Final = "wampasgi.further_options"


class AcceptsNegativeNumbers(TyperCommand):
    """A command whose arguments may be negative numbers, without ``--`` before them."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Read the command line into ``ctx.params``."""
        marked = [f"{_MARK}{word}" if _NEGATIVE.match(word) else word for word in args]
        remaining = super().parse_args(ctx, marked)
        ctx.params = {name: _without_mark(value) for name, value in ctx.params.items()}
        return remaining


def _without_mark(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_mark(item) for item in value]
    if isinstance(value, str) and value.startswith(_MARK) and _NEGATIVE.match(value, len(_MARK)):
        return value.removeprefix(_MARK)
    return value


class PassesOptionsOn(TyperCommand):
    """A command that passes all words after ``--`` on to another program."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Read the command line up to ``--`` into ``ctx.params``."""
        own = args[: args.index("--")] if "--" in args else args
        ctx.meta[_FURTHER] = args[len(own) + 1 :]
        return super().parse_args(ctx, [*own])


def further_options(ctx: typer.Context) -> Sequence[str]:
    """Return the words after ``--`` of a command that passes them on."""
    words: Sequence[str] = ctx.meta[_FURTHER]
    return words
