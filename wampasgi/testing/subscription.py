"""The subscriptions of a test's session."""

from __future__ import annotations

from collections.abc import Iterator

from wampasgi.event import Event
from wampasgi.protocol import messages
from wampasgi.testing.errors import ExpectationFailed
from wampasgi.testing.exchange import Exchange
from wampasgi.types import RawMessage


class Events:
    """The events of one subscription, in order of arrival. Returned by ``WAMPSession.subscribe``."""

    def __init__(self, exchange: Exchange, topic: str, subscription_id: int) -> None:
        self._exchange = exchange
        #: The topic, or the pattern of topics, that was subscribed to.
        self.topic = topic
        self.subscription_id = subscription_id

    def next(self, *, timeout: float | None = None) -> Event:
        """Wait for the next event and return it. Raises Timeout after ``timeout`` seconds."""
        description = f"an event of {self.topic!r} (subscription {self.subscription_id})"
        return self._event(self._exchange.take(self._is_event, description, timeout))

    def __iter__(self) -> Iterator[Event]:
        """Wait like ``WAMPSession.settle``, then yield all events that have arrived."""
        self._exchange.settle()
        while (message := self._exchange.take_arrived(self._is_event)) is not None:
            yield self._event(message)

    def assert_none(self) -> None:
        """Wait like ``WAMPSession.settle``, without sleeping, then assert that no event has arrived.

        Raises ExpectationFailed with the events if there are any.
        """
        arrived = list(self)
        if arrived:
            shown = "\n  ".join(repr(event) for event in arrived)
            raise ExpectationFailed(f"expected no event of {self.topic!r}, but got\n  {shown}")

    def unsubscribe(self, *, timeout: float | None = None) -> None:
        """End the subscription. Events that have already arrived are kept. Raises WAMPError for ERROR."""
        request = messages.Unsubscribe(self._exchange.request_ids.next(), self.subscription_id)
        self._exchange.ask(request, messages.Unsubscribed, timeout)

    def _is_event(self, raw: RawMessage) -> bool:
        return raw[:2] == [messages.Event.code, self.subscription_id]

    def _event(self, message: messages.Message) -> Event:
        assert isinstance(message, messages.Event)
        return Event(
            topic=message.details.get("topic", self.topic),
            args=message.args or [],
            kwargs=message.kwargs or {},
            publication_id=message.publication_id,
            details=message.details,
        )
