"""The key that the salts for unknown users are made with."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeAlias

#: A key, a function that returns one, or None for a random key.
MockSecret: TypeAlias = bytes | Callable[[], bytes] | None


def secret_source(mock_secret: MockSecret) -> Callable[[], bytes]:
    """Return a function that returns the key."""
    if callable(mock_secret):
        return mock_secret
    key = mock_secret or secrets.token_bytes(32)
    return lambda: key
