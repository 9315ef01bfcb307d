"""The event that subscribers get, in the server and in clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """An event as received by handlers, ``Realm.events``, the client and the test client.

    ``topic`` is the topic that the event was published to, even if the subscription is to a pattern.
    ``details`` are EVENT.Details. Two events are equal if these five attributes are; a tuple of arguments
    equals a list.
    """

    topic: str
    args: Sequence[Any] = field(default_factory=list)
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    publication_id: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        # The client's events are equal to the server's, whose class they derive from.
        return self._compared() == other._compared() if isinstance(other, Event) else NotImplemented

    def _compared(self) -> tuple[object, ...]:
        return self.topic, list(self.args), self.kwargs, self.publication_id, self.details

    @property
    def publisher(self) -> int | None:
        """The session ID of the publisher, if the router discloses it."""
        return self.details.get("publisher")

    @property
    def retained(self) -> bool:
        """Return whether the event was published before the subscription, and retained by the router."""
        return self.details.get("retained") is True
