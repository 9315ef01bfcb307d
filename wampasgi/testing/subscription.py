"""The subscriptions of a test's session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wampasgi.client.conversion import converter_for
from wampasgi.client.events import Event
from wampasgi.protocol import messages
from wampasgi.testing.arrival import Arrival
from wampasgi.testing.ending import EndsWithBlock
from wampasgi.testing.errors import ExpectationFailed
from wampasgi.testing.exchange import Exchange


class Events(EndsWithBlock):
    """The events of one subscription, in order of arrival. Returned by ``WAMPSession.subscribe``.

    Leaving its ``with`` block unsubscribes.
    """

    def __init__(
        self,
        exchange: Exchange,
        topic: str,
        options: dict[str, Any],
        *,
        event_type: Any,
        timeout: float | None,
    ) -> None:
        self._convert = converter_for(event_type, "event_type")
        super().__init__(exchange)
        #: The topic, or the pattern of topics, that was subscribed to.
        self.topic = topic
        subscribed = exchange.ask(lambda core, asked: core.subscribe(asked, self, topic, options), timeout)
        assert isinstance(subscribed, messages.Subscribed)
        self.subscription_id = subscribed.subscription_id

    def next(self, *, timeout: float | None = None) -> Event[Any]:
        """Wait for the next event and return it. Raises Timeout after ``timeout`` seconds.

        Raises ExpectationFailed if the server has ended the subscription.
        """
        description = f"an event of {self.topic!r} (subscription {self.subscription_id})"
        message = self._exchange.take(
            lambda arrival: self._is_event(arrival) or self._is_end(arrival), description, timeout
        )
        if isinstance(message, messages.Unsubscribed):
            self._ended = True
            raise ExpectationFailed(f"waited for {description}, but the server ended it: {message!r}")
        return self._event(message)

    def __iter__(self) -> Iterator[Event[Any]]:
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
        self._ended = True
        self._exchange.ask(lambda core, asked: core.unsubscribe(asked, self.subscription_id), timeout)

    def _end(self) -> None:
        self.unsubscribe()

    def _is_event(self, arrival: Arrival) -> bool:
        # Not by the recipient: a second subscription to the topic has the same ID.
        message = arrival.message
        return isinstance(message, messages.Event) and message.subscription_id == self.subscription_id

    def _is_end(self, arrival: Arrival) -> bool:
        return isinstance(arrival.message, messages.Unsubscribed) and arrival.recipient is self

    def _event(self, message: messages.Message) -> Event[Any]:
        assert isinstance(message, messages.Event)
        topic, args, kwargs = (
            message.details.get("topic", self.topic),
            message.args or [],
            message.kwargs or {},
        )
        value = self._convert(args, kwargs, f"an event of {topic!r}")
        return Event(topic, args, kwargs, message.publication_id, message.details, value)
