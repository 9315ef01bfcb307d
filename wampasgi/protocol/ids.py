"""WAMP IDs: integers from 1 to 2^53 in global, router or session scope.

Spec: Basic Profile, "IDs".
"""

from __future__ import annotations

import random
import secrets
from typing import Final, TypeGuard

#: The greatest ID. IEEE-754 doubles, JavaScript's only numbers, represent every integer up to it.
MAX_ID: Final = 2**53


def is_id(value: object) -> TypeGuard[int]:
    """Return whether ``value`` is an ID: an int, and not a bool, from 1 to 2^53."""
    return type(value) is int and 0 < value <= MAX_ID


def random_id() -> int:
    """Draw a global scope ID for a session, uniformly from [1, 2^53].

    The generator is secure because a client that could guess session IDs could refer to other sessions in
    ``eligible`` and ``exclude`` lists and in the session meta API.
    """
    return secrets.randbits(53) + 1


def random_secret() -> bytes:
    """Draw a secret key of 32 bytes."""
    return secrets.token_bytes(32)


def random_publication_id() -> int:
    """Draw a global scope ID for a publication, uniformly from [1, 2^53].

    Knowing a publication ID gives a client no rights, so the generator need not be secure. One is drawn for
    each event, and the secure generator would take a system call each time.
    """
    return random.getrandbits(53) + 1


class SequentialIds:
    """A counter for the IDs of one scope: ``first``, ``first`` + 1 and so on, and 1 again after 2^53.

    Session scope requires it for request IDs, with one counter per direction. Router scope (subscriptions
    and registrations) may use it, too.
    """

    __slots__ = ("_last",)

    def __init__(self, first: int = 1) -> None:
        self._last = first - 1

    def next(self) -> int:
        """Return the next ID."""
        self._last = self._last % MAX_ID + 1
        return self._last

    def for_entry(self, match: str, uri: str) -> int:
        """Return the next ID for a subscription or registration, whatever its match policy and URI are."""
        return self.next()
