"""What sessions want published when they end.

Spec: Advanced Profile, "Session Testament".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

from wampasgi.errors import UNAVAILABLE, WAMPError

#: When a testament is published: both at the end of the session, because sessions are not resumed here.
Scope: TypeAlias = Literal["detached", "destroyed"]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

#: Publishes a testament.
Publish: TypeAlias = Callable[[], object]


class Testaments:
    """The testaments of the sessions of one realm, in two buckets each, in the order they were added."""

    def __init__(self) -> None:
        # With the size of each.
        self._by_session: dict[int, dict[Scope, list[tuple[Publish, int]]]] = {}

    def add(
        self, session_id: int, scope: Scope, publish: Publish, size: int, *, limit: int, max_size: int
    ) -> None:
        """Keep one more testament of a session, which takes about ``size`` bytes.

        Raises WAMPError ``wamp.error.unavailable`` where the session has ``limit`` already, of both scopes,
        or they would take more than ``max_size`` bytes.
        """
        kept = [size for bucket in self._by_session.get(session_id, {}).values() for _, size in bucket]
        if len(kept) >= limit:
            raise WAMPError(UNAVAILABLE, f"this session has {limit} testaments, its limit testaments")
        if sum(kept) + size > max_size:
            raise WAMPError(
                UNAVAILABLE,
                f"the testaments of this session would take more than {max_size} bytes, its limit "
                f"testament_bytes",
            )
        self._by_session.setdefault(session_id, {}).setdefault(scope, []).append((publish, size))

    def flush(self, session_id: int, scope: Scope) -> None:
        """Forget what a session has in one scope."""
        buckets = self._by_session.get(session_id, {})
        buckets.pop(scope, None)
        if not buckets:
            self._by_session.pop(session_id, None)

    def take(self, session_id: int) -> list[Publish]:
        """The testaments of a session that ends, the detached ones first; they are kept no longer."""
        buckets = self._by_session.pop(session_id, {})
        return [publish for scope in SCOPES for publish, _ in buckets.get(scope, [])]
