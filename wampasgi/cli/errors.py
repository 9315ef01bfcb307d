"""Errors that the command line explains in a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class CommandError(Exception):
    """An error that ends the program with the status 2. The message explains it."""

    #: The exit status of the program.
    status = 2


class UsageError(CommandError):
    """A mistake in the arguments or the configuration. The usage of the command is shown, too."""


def nearest(name: str, candidates: Iterable[str]) -> list[str]:
    """Return the three names that are most like a name, or fewer, whether in upper or lower case."""
    by_folded: dict[str, list[str]] = {}
    for candidate in dict.fromkeys(candidates):
        by_folded.setdefault(candidate.casefold(), []).append(candidate)
    folded = get_close_matches(name.casefold(), by_folded, n=3)
    return [candidate for found in folded for candidate in by_folded[found]][:3]


def did_you_mean(name: str, candidates: Iterable[str], *, advice: str = "") -> str:
    """Return the end of a message about an unknown name: the nearest names, or ``advice`` without any.

    The result begins with a space, or is empty.
    """
    matches = nearest(name, candidates)
    if matches:
        return f" Did you mean {' or '.join(map(repr, matches))}?"
    return f" {advice}" if advice else ""
