"""The subscriptions of a session, which last across its connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio

from wampasgi.client.core import Recipient, SessionCore
from wampasgi.client.errors import InvalidResult
from wampasgi.client.events import Event, EventBuffer, SeenPublications
from wampasgi.client.history import Gap, HistoryReader, OnGap
from wampasgi.client.link import Link
from wampasgi.client.requester import Requester, with_match
from wampasgi.client.waiting import Answer
from wampasgi.errors import NO_SUCH_SUBSCRIPTION, RemoteProtocolError, WAMPError
from wampasgi.logs import logger_named
from wampasgi.protocol import messages
from wampasgi.types import RawMessage

logger = logger_named("wampasgi.client")


class Listener:
    """One listener of a topic: its buffer, and what it asked for."""

    __slots__ = ("buffer", "get_retained", "on_gap", "resume")

    def __init__(
        self, buffer: EventBuffer[Any], *, get_retained: bool, resume: bool, on_gap: OnGap | None
    ) -> None:
        self.buffer = buffer
        self.get_retained = get_retained
        self.resume = resume
        self.on_gap = on_gap


class TopicSubscription:
    """One subscription of the session, shared by all listeners of the topic or pattern.

    A router gives a second SUBSCRIBE for the same topic the same subscription ID, so UNSUBSCRIBE must wait
    for the last listener.
    """

    def __init__(
        self,
        requester: Requester,
        topic: str,
        match: str,
        options: dict[str, Any],
        own: SeenPublications,
        forget: Callable[[TopicSubscription], None],
    ) -> None:
        self._forget = forget
        self.topic = topic
        self.match = match
        self._options = options
        self._requester = requester
        self._listeners: list[Listener] = []
        # The listeners whose SUBSCRIBE asked for retained events last.
        self._want_retained: list[Listener] = []
        self._subscription_id = 0
        self._link: Link | None = None
        self._revoked = False
        # A subscription and an end of one must not overtake each other.
        self._lock = anyio.Lock()
        self._seen = SeenPublications()
        self._own = own
        # The events that arrive while missed ones are fetched.
        self._held: list[Event[Any]] | None = None

    @property
    def unused(self) -> bool:
        """Return whether it has no listener, and nothing is in progress."""
        return not self._listeners and not self._lock.locked()

    def _describe(self) -> str:
        return f"the subscription to {self.topic!r}"

    @property
    def _resumes(self) -> bool:
        return any(listener.resume for listener in self._listeners)

    # Listeners

    async def add(self, listener: Listener, timeout: float | None) -> None:
        """Subscribe for another listener. Raises WAMPError."""
        # Before SUBSCRIBE, because events may follow its answer at once.
        self._listeners.append(listener)
        try:
            await self._requester.in_background(
                partial(self._add, listener, timeout), timeout, self._describe
            )
        except BaseException:
            self._listeners.remove(listener)
            raise

    async def _add(self, listener: Listener, timeout: float | None) -> None:
        # Before the lock, which a reconnection needs to renew the subscription.
        link = await self._requester.open_link(timeout, self._describe)
        async with self._lock:
            if listener not in self._listeners:
                return
            if self._subscription_id and self._link is link and not listener.get_retained:
                await self._prepare(listener, timeout)
                return
            try:
                # Without a limit, so that it is unsubscribed if it is subscribed too late.
                await self._subscribe([listener] if listener.get_retained else [], None, link)
                await self._prepare(listener, timeout)
            finally:
                if not self._listeners:
                    await self._unsubscribe(timeout)
        self._forget(self)

    async def remove(self, listener: Listener, timeout: float | None) -> None:
        """Unsubscribe for a listener. The router is told after the last one, even if this is cancelled."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        if not self._listeners and self._requester.ended is None:
            await self._requester.in_background(partial(self._drop, timeout), timeout, self._describe)

    async def _drop(self, timeout: float | None) -> None:
        async with self._lock:
            if not self._listeners:
                await self._unsubscribe(timeout)
        self._forget(self)

    async def _unsubscribe(self, timeout: float | None) -> None:
        link = self._requester.link
        subscription_id, self._subscription_id = self._subscription_id, 0
        if link is None or self._link is not link or not subscription_id:
            return
        try:
            await self._requester.request(
                lambda core, answer: core.unsubscribe(answer, subscription_id),
                timeout,
                lambda: f"the end of the subscription to {self.topic!r}",
                link,
            )
        except (ConnectionError, WAMPError):
            # The router has ended it already, or has lost the session.
            return

    def end(self, error: Callable[[], Exception]) -> None:
        """End all listeners with an error."""
        for listener in self._listeners:
            listener.buffer.end(error)

    # The router

    async def _subscribe(self, retained_for: list[Listener], timeout: float | None, link: Link) -> None:
        options = with_match(self._options, self.match)
        if self.match != "exact" and "pattern_based_subscription" not in link.broker_features:
            logger.warning("the router may not support match=%r, for the topic %r", self.match, self.topic)
        if retained_for:
            options["get_retained"] = True
            self._want_retained = retained_for

        self._revoked = False

        def make(core: SessionCore[Recipient], answer: Answer) -> RawMessage:
            return core.subscribe(answer, self, self.topic, options)

        subscribed: messages.Subscribed = await self._requester.request(make, timeout, self._describe, link)
        # A revocation may have arrived with the answer.
        self._subscription_id = 0 if self._revoked else subscribed.subscription_id
        self._link = link

    async def renew(self, link: Link) -> None:
        """Subscribe on a new connection, and fetch the events that were missed."""
        async with self._lock:
            if not self._listeners:
                return
            if self._resumes:
                self._held = []
            try:
                await self._subscribe(
                    [listener for listener in self._listeners if listener.get_retained],
                    self._requester.timeout,
                    link,
                )
                if self._resumes:
                    await self._fetch_missed(link)
            except (WAMPError, InvalidResult) as error:
                logger.warning("the subscription to %r could not be renewed: %s", self.topic, error)
                self._requester.report(error)
                self.end(partial(_same, error))
            finally:
                self._release_held()

    def receive(self, message: messages.Event | messages.Unsubscribed) -> None:
        """Take an EVENT, or the revocation of the subscription."""
        if not isinstance(message, messages.Event):
            details = message.details or {}
            reason = details.get("reason") or NO_SUCH_SUBSCRIPTION
            self._subscription_id, self._revoked = 0, True
            self.end(lambda: WAMPError(reason, f"the router has ended the subscription to {self.topic!r}"))
            return
        event = self._event(message)
        if self._held is not None:
            self._held.append(event)
        else:
            self._deliver(event)

    def _event(self, message: messages.Event) -> Event[Any]:
        details = message.details
        topic = details.get("topic")
        if topic is None:
            if self.match != "exact":
                raise RemoteProtocolError(
                    f"EVENT.Details.topic is required, because the subscription is to a {self.match} pattern"
                )
            topic = self.topic
        args: list[Any] = message.args or []
        if message.payload is not None:
            args = [message.payload]
        return Event(topic, args, message.kwargs or {}, message.publication_id, details)

    def _deliver(self, event: Event[Any]) -> None:
        listeners = self._listeners
        if event.details.get("retained") is True:
            listeners = [listener for listener in self._want_retained if listener in listeners]
        elif self._resumes and not self._seen.add(event.publication_id):
            return
        for listener in listeners:
            listener.buffer.put(event)

    # Missed events

    async def _prepare(self, listener: Listener, timeout: float | None) -> None:
        """Remember the newest event in the history, from which on events count as missed."""
        if not listener.resume or self._seen:
            return
        reader = HistoryReader(self._requester, self._subscription_id, self.topic, timeout)
        latest = await reader.latest()
        if latest is not None:
            self._seen.add(latest.publication_id)

    async def _fetch_missed(self, link: Link) -> None:
        reader = HistoryReader(
            self._requester, self._subscription_id, self.topic, self._requester.timeout, link
        )
        missed, complete = await reader.since(self._seen)
        if not complete:
            gap = Gap(self.topic, missed[0] if missed else None)
            for listener in self._listeners:
                if listener.resume:
                    self._report_gap(listener, gap)
        for event in missed:
            if event.publication_id in self._own or not self._seen.add(event.publication_id):
                continue
            for listener in self._listeners:
                if listener.resume:
                    listener.buffer.put(event)

    def _report_gap(self, listener: Listener, gap: Gap) -> None:
        logger.warning("%s", gap)
        if listener.on_gap is None:
            return
        try:
            listener.on_gap(gap)
        except Exception as error:
            logger.exception("on_gap failed for %r", self.topic)
            self._requester.report(error)

    def _release_held(self) -> None:
        held, self._held = self._held or [], None
        for event in held:
            self._deliver(event)


def _same(error: Exception) -> Exception:
    return error


class Subscriptions:
    """All subscriptions of a session."""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester
        self._topics: dict[tuple[str, str], TopicSubscription] = {}
        #: The IDs of the latest acknowledged publications of this session.
        self.own = SeenPublications()

    async def join(
        self,
        topic: str,
        match: str,
        options: dict[str, Any],
        timeout: float | None,
        listener: Listener,
    ) -> Callable[[], Awaitable[None]]:
        """Add a listener and return a function that removes it."""
        key = (match, topic)
        found = self._topics.get(key)
        if found is None:
            found = TopicSubscription(self._requester, topic, match, options, self.own, self._forget)
            self._topics[key] = found
        try:
            await found.add(listener, timeout)
        except BaseException:
            self._forget(found)
            raise
        return partial(found.remove, listener, timeout)

    def _forget(self, subscription: TopicSubscription) -> None:
        key = (subscription.match, subscription.topic)
        if subscription.unused and self._topics.get(key) is subscription:
            del self._topics[key]

    async def renew(self, link: Link) -> None:
        """Subscribe to everything on a new connection."""
        for subscription in list(self._topics.values()):
            await subscription.renew(link)

    def end(self, error: Callable[[], Exception]) -> None:
        """End all subscriptions with an error."""
        for subscription in self._topics.values():
            subscription.end(error)
