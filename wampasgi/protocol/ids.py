"""WAMP IDs: integers from 1 to 2^53, in global, router or session scope.

Spec: Basic Profile, "IDs".
"""

from __future__ import annotations

import random
import secrets
from typing import Final, TypeGuard

#: The greatest ID: up to here an IEEE-754 double, JavaScript's only number, holds every integer.
MAX_ID: Final = 2**53


def is_id(value: object) -> TypeGuard[int]:
    """Tell whether ``value`` is an ID: an int (a bool is none) from 1 to 2^53."""
    return type(value) is int and 0 < value <= MAX_ID


def random_id() -> int:
    """Draw an ID of the global scope for a session, uniformly over [1, 2^53].

    It comes from the system's secure source: whoever could guess session IDs could name strangers in
    ``eligible`` and ``exclude`` lists, and in the session meta API.
    """
    return secrets.randbits(53) + 1


def random_publication_id() -> int:
    """Draw an ID of the global scope for a publication, uniformly over [1, 2^53].

    Nothing is granted to who knows a publication ID, so the far cheaper generator of ``random`` will do:
    there is one for each event, and the secure source asks the kernel each time.
    """
    return random.getrandbits(53) + 1


class SequentialIds:
    """A counter for the IDs of one scope: ``first``, then 1 more each time, and 1 again after 2^53.

    Session scope demands exactly this of request IDs, one counter for each direction; the router scope
    (subscriptions, registrations) may use it as well.
    """

    __slots__ = ("_last",)

    def __init__(self, first: int = 1) -> None:
        self._last = first - 1

    def next(self) -> int:
        """Return the next ID."""
        self._last = self._last % MAX_ID + 1
        return self._last
