"""The IDs of subscriptions and registrations that are equal on all workers of a realm."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from wampasgi.protocol.ids import MAX_ID
from wampasgi.types import Match


def keyed_ids(key: bytes, realm: str, kind: str) -> Callable[[Match, str], int]:
    """Return a function that hashes a match policy and a URI to an ID.

    ``key`` has at most 64 bytes. ``kind`` separates subscriptions from registrations.
    """

    def id_of(match: Match, uri: str) -> int:
        named = f"{realm}\0{kind}\0{match}\0{uri}".encode()
        return int.from_bytes(blake2b(named, digest_size=8, key=key).digest()) % MAX_ID + 1

    return id_of
