"""The events that a client has missed, from the event history of the router.

Spec: Advanced Profile, "Event History".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from wampasgi.client.errors import InvalidResult
from wampasgi.client.events import Event, SeenPublications
from wampasgi.client.link import Link
from wampasgi.client.requester import Requester
from wampasgi.protocol.ids import is_id
from wampasgi.protocol.messages import Result

_GET_EVENTS: Final = "wamp.subscription.get_events"

#: The number of events in one call.
_PAGE: Final = 100
#: The greatest number of missed events that are fetched.
_MAX_MISSED: Final = 100_000


@dataclass(frozen=True, slots=True)
class Gap:
    """Events of a topic or pattern that were missed, and that the history no longer has.

    ``first`` is the first event after the gap, None if the history is empty. Their number is unknown.
    """

    topic: str
    first: Event[Any] | None

    def __str__(self) -> str:
        return f"some missed events of {self.topic!r} are no longer in the router's event history"


#: Called with each gap.
OnGap: TypeAlias = Callable[[Gap], object]


class HistoryReader:
    """Reads the history of one subscription."""

    def __init__(
        self,
        requester: Requester,
        subscription_id: int,
        topic: str,
        timeout: float | None,
        link: Link,
    ) -> None:
        self._requester = requester
        self._subscription_id = subscription_id
        self._topic = topic
        self._timeout = timeout
        self._link = link

    async def latest(self) -> Event[Any] | None:
        """Return the newest event, or None if the history is empty. Raises WAMPError."""
        page = await self._page(1, None)
        return page[0] if page else None

    async def since(self, seen: SeenPublications, newest: int | None) -> tuple[list[Event[Any]], bool]:
        """Return the events after the newest one in ``seen``, in order, and whether none is missing.

        ``newest`` is the publication after which events count if nothing has been seen. If that is None, too,
        all events are returned, and nobody knows whether the router has dropped older ones.
        """
        missed: dict[int, Event[Any]] = {}
        before: int | None = None
        while len(missed) < _MAX_MISSED:
            count = len(missed)
            # A page may be shorter than its limit, so only an empty one is the last.
            for event in await self._page(_PAGE, before):
                if event.publication_id == newest or event.publication_id in seen:
                    return list(missed.values())[::-1], True
                missed.setdefault(event.publication_id, event)
                before = event.publication_id
            if len(missed) == count:
                # The history has no more events, or the router does not know the filter.
                return list(missed.values())[::-1], newest is None and not seen
        return list(missed.values())[::-1], False

    async def _page(self, limit: int, before: int | None) -> list[Event[Any]]:
        """Return the newest events before a publication, the newest first."""
        filters: dict[str, Any] = {"reverse": True, "limit": limit}
        if before is not None:
            filters["before_publication"] = before
        result: Result = await self._requester.request(
            lambda core, answer: core.call(answer, _GET_EVENTS, [self._subscription_id], filters, {}),
            self._timeout,
            lambda: f"the event history of {self._topic!r}",
            self._link,
        )
        return [self._event(item) for item in result.args or ()]

    def _event(self, item: Any) -> Event[Any]:
        if not isinstance(item, dict) or not is_id(item.get("publication")):
            raise InvalidResult(f"{_GET_EVENTS} must return dicts with the ID of a publication", item)
        details, args, kwargs = item.get("details") or {}, item.get("args") or [], item.get("kwargs") or {}
        if not (isinstance(details, dict) and isinstance(args, list) and isinstance(kwargs, dict)):
            raise InvalidResult(f"{_GET_EVENTS} must return events with details, args and kwargs", item)
        topic, payload = details.get("topic", self._topic), item.get("payload")
        if not isinstance(topic, str):
            raise InvalidResult(f"{_GET_EVENTS} must return events whose topic is a URI", item)
        if payload is not None:
            # The publisher has encoded the arguments itself. Spec: "Payload Passthru Mode".
            args = [payload]
        return Event(topic, args, kwargs, item["publication"], details)
