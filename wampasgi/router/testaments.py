"""The testaments of sessions: events to publish when the sessions end.

Spec: Advanced Profile, "Session Testament".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from wampasgi.errors import UNAVAILABLE, WAMPError
from wampasgi.protocol.messages import Publish as PublishMessage

#: The scope of a testament. Both mean the end of the session, because sessions cannot be resumed.
Scope: TypeAlias = Literal["detached", "destroyed"]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

#: Publishes a testament.
Publish: TypeAlias = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Testament:
    """A publication for the end of a session.

    ``disclose`` discloses the session as the publisher. ``to_server`` restricts the event to the realm's own
    session. ``publish`` publishes the testament; calling the testament does the same.
    """

    message: PublishMessage
    disclose: bool
    to_server: bool
    publish: Publish

    def __call__(self) -> object:
        """Publish the testament."""
        return self.publish()


class Testaments:
    """The testaments of the sessions of one realm, in two buckets each, in the order they were added."""

    def __init__(self) -> None:
        # Each testament with its size in bytes.
        self._by_session: dict[int, dict[Scope, list[tuple[Publish, int]]]] = {}

    def add(
        self, session_id: int, scope: Scope, publish: Publish, size: int, *, limit: int, max_size: int
    ) -> None:
        """Add a testament of about ``size`` bytes to a session.

        Raises WAMPError ``wamp.error.unavailable`` if the session already has ``limit`` testaments in both
        scopes, or if their size would exceed ``max_size`` bytes.
        """
        kept = [size for bucket in self._by_session.get(session_id, {}).values() for _, size in bucket]
        if len(kept) >= limit:
            raise WAMPError(UNAVAILABLE, f"this session has reached the limit testaments of {limit}")
        if sum(kept) + size > max_size:
            raise WAMPError(
                UNAVAILABLE,
                f"the testaments of this session would be over the limit testament_bytes of {max_size}",
            )
        self._by_session.setdefault(session_id, {}).setdefault(scope, []).append((publish, size))

    def flush(self, session_id: int, scope: Scope) -> None:
        """Remove the testaments of a session in one scope."""
        buckets = self._by_session.get(session_id, {})
        buckets.pop(scope, None)
        if not buckets:
            self._by_session.pop(session_id, None)

    def take(self, session_id: int) -> list[Publish]:
        """Remove and return the testaments of a session, beginning with the scope ``detached``."""
        buckets = self._by_session.pop(session_id, {})
        return [publish for scope in SCOPES for publish, _ in buckets.get(scope, [])]
