"""Errors that the command line explains in a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class CommandError(Exception):
    """An error that ends the program with the status 2. The message explains it."""


class UsageError(CommandError):
    """A mistake in the arguments or the configuration. The usage of the command is shown, too."""


def did_you_mean(name: str, candidates: Iterable[str], *, advice: str = "") -> str:
    """Return the end of a message about an unknown name: the nearest names, or ``advice`` without any.

    The result begins with a space, or is empty.
    """
    matches = get_close_matches(name, list(dict.fromkeys(candidates)), n=3)
    if matches:
        return f" Did you mean {' or '.join(map(repr, matches))}?"
    return f" {advice}" if advice else ""
