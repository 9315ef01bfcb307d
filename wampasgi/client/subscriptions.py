"""The subscriptions of a session, which last across its connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import anyio

from wampasgi.client.core import Recipient, SessionCore
from wampasgi.client.errors import InvalidResult
from wampasgi.client.events import MAX_SEEN, Event, EventBuffer, SeenPublications
from wampasgi.client.history import Gap, HistoryReader, OnGap
from wampasgi.client.link import Link
from wampasgi.client.requester import Requester, with_match
from wampasgi.client.waiting import Answer, Observed
from wampasgi.errors import NO_SUCH_SUBSCRIPTION, RemoteProtocolError, WAMPError
from wampasgi.logs import logger_named
from wampasgi.protocol import messages
from wampasgi.types import RawMessage

logger = logger_named("wampasgi.client")


#: The greatest number of events that wait while missed ones are fetched. All of them can be recognised later.
_MAX_HELD: Final = MAX_SEEN // 2


class Listener:
    """One listener of a topic: its buffer, and what it asked for."""

    __slots__ = ("buffer", "get_retained", "joined", "on_gap", "resume")

    def __init__(
        self, buffer: EventBuffer[Any], *, get_retained: bool, resume: bool, on_gap: OnGap | None
    ) -> None:
        self.buffer = buffer
        self.get_retained = get_retained
        self.resume = resume
        self.on_gap = on_gap
        #: Set when the router has acknowledged the subscription. From then on, it is renewed and gets events.
        self.joined = False


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
        # The listeners whose SUBSCRIBE asked for retained events last, and whether they had joined before.
        self._want_retained: list[Listener] = []
        self._retained_again = False
        # The ID of the subscription at the router, or 0, and the connection that it belongs to.
        self._subscription_id = 0
        self._link: Link | None = None
        # A subscription and an end of one must not overtake each other.
        self._lock = anyio.Lock()
        # The events that the listeners that resume have got. Before the first, events after this one count as
        # missed: the newest in the history when the first of them subscribed, None if it was empty.
        self._seen = SeenPublications()
        self._newest: int | None = None
        # Set when that is known.
        self._prepared = False
        self._own = own
        # The events that arrive while missed ones are fetched, for listeners that resume.
        self._held: list[Event[Any]] | None = None
        self._overflowed = False
        # The error of a revocation that arrived meanwhile.
        self._revocation: Callable[[], Exception] | None = None

    @property
    def unused(self) -> bool:
        """Return whether it has no listener, and nothing is in progress."""
        return not self._listeners and not self._lock.locked()

    @property
    def _joined(self) -> list[Listener]:
        return [listener for listener in self._listeners if listener.joined]

    def _describe(self) -> str:
        return f"the subscription to {self.topic!r}"

    # Listeners

    async def add(self, listener: Listener, timeout: float | None) -> None:
        """Subscribe for another listener. Raises WAMPError."""
        self._listeners.append(listener)
        try:
            await self._requester.in_background(
                partial(self._add, listener, timeout), timeout, self._describe
            )
        except BaseException:
            self._discard([listener])
            if self._requester.ended is not None:
                self._forget(self)
            elif not self._listeners:
                # Perhaps it is subscribed, or will be.
                self._requester.owner.spawn(self._drop_unheard, timeout)
            raise

    async def _add(self, listener: Listener, timeout: float | None) -> None:
        while listener in self._listeners:
            # Before the lock, which a reconnection needs to renew the subscription.
            link = await self._requester.open_link(timeout, self._describe)
            async with self._lock:
                # It may be another one after the wait for the lock.
                if self._requester.link is link:
                    await self._join(listener, timeout, link)
                    return

    async def _join(self, listener: Listener, timeout: float | None, link: Link) -> None:
        if listener not in self._listeners:
            return
        if self._subscription_id and self._link is link and not listener.get_retained:
            listener.joined = True
        else:
            # Without a limit, so that it is unsubscribed if it is subscribed too late.
            await self._subscribe([listener], None, link)
        if listener.resume:
            await self._prepare(timeout, link)

    async def remove(self, listener: Listener, timeout: float | None) -> None:
        """Unsubscribe for a listener. The router is told after the last one, even if this is cancelled."""
        self._discard([listener])
        if not self._listeners and self._requester.ended is None:
            await self._requester.in_background(partial(self._drop, timeout), timeout, self._describe)

    def _discard(self, listeners: list[Listener]) -> None:
        self._listeners = [listener for listener in self._listeners if listener not in listeners]
        if not any(listener.resume for listener in self._listeners):
            # From now on, events that arrive are not added, so these would not tell what a later one missed.
            self._seen, self._newest, self._prepared = SeenPublications(), None, False

    async def _drop(self, timeout: float | None) -> None:
        try:
            async with self._lock:
                if not self._listeners:
                    await self._unsubscribe(timeout)
        finally:
            self._forget(self)

    async def _drop_unheard(self, timeout: float | None) -> None:
        try:
            await self._drop(timeout)
        except TimeoutError as error:
            logger.warning("%s", error)

    async def _unsubscribe(self, timeout: float | None) -> None:
        subscription_id, self._subscription_id = self._subscription_id, 0
        # Not the requester's, which has none during a renewal.
        link, self._link = self._link, None
        if link is None or not subscription_id:
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
        self._end(self._listeners, error)

    def _end(self, listeners: list[Listener], error: Callable[[], Exception]) -> None:
        for listener in listeners:
            listener.buffer.end(error)
        self._discard(listeners)
        self._forget(self)

    # The router

    async def _subscribe(self, listeners: list[Listener], timeout: float | None, link: Link) -> None:
        """Subscribe for these listeners, which may have joined before."""
        options = with_match(self._options, self.match)
        if self.match != "exact" and "pattern_based_subscription" not in link.broker_features:
            logger.warning("the router may not support match=%r, for the topic %r", self.match, self.topic)
        want_retained = [listener for listener in listeners if listener.get_retained]
        if want_retained:
            options["get_retained"] = True
        is_renewal = all(listener.joined for listener in listeners)

        def see(message: messages.Subscribed | messages.Error) -> None:
            # Events, and even a revocation, may follow at once.
            if isinstance(message, messages.Error):
                return
            self._subscription_id, self._link = message.subscription_id, link
            for listener in listeners:
                listener.joined = True
            if want_retained:
                self._want_retained, self._retained_again = want_retained, is_renewal

        def make(core: SessionCore[Recipient], answer: Answer) -> RawMessage:
            return core.subscribe(Observed(answer, see), self, self.topic, options)

        await self._requester.request(make, timeout, self._describe, link)

    async def renew(self, link: Link) -> None:
        """Subscribe on a new connection, and fetch the events that were missed."""
        try:
            async with self._lock:
                await self._renew(link)
        finally:
            self._forget(self)

    async def _renew(self, link: Link) -> None:
        if self._revocation is not None:
            # The connection was lost before it could be delivered.
            self._end(self._joined, self._revocation)
        # The others subscribe when the connection is open.
        listeners, self._revocation = self._joined, None
        resuming = [listener for listener in listeners if listener.resume]
        # If the connection is lost during the renewal, these events wait for the next one.
        self._held = (self._held or []) if resuming else None
        if not listeners:
            return
        try:
            await self._subscribe(listeners, self._requester.timeout, link)
        except WAMPError as error:
            self._renewal_failed(listeners, error)
        else:
            try:
                await self._fetch_missed(resuming, link)
            except (WAMPError, InvalidResult) as error:
                # The history ends with the subscription.
                if self._revocation is None:
                    self._renewal_failed(resuming, error)
        self._release_held()
        if not self._listeners:
            await self._unsubscribe(self._requester.timeout)

    def _renewal_failed(self, listeners: list[Listener], error: Exception) -> None:
        logger.warning("the subscription to %r could not be renewed: %s", self.topic, error)
        self._requester.report(error)
        self._end(listeners, partial(_same, error))

    def receive(self, message: messages.Event | messages.Unsubscribed) -> None:
        """Take an EVENT, or the revocation of the subscription."""
        if not isinstance(message, messages.Event):
            self._revoked((message.details or {}).get("reason") or NO_SUCH_SUBSCRIPTION)
            return
        event = self._event(message)
        if self._held is None:
            self._deliver(event, self._joined)
            return
        self._deliver(event, [listener for listener in self._joined if not listener.resume])
        if len(self._held) >= _MAX_HELD:
            # They are fetched like missed ones.
            self._held.clear()
            self._overflowed = True
        self._held.append(event)

    def _revoked(self, reason: str) -> None:
        self._subscription_id = 0
        error = partial(WAMPError, reason, f"the router has ended the subscription to {self.topic!r}")
        if self._held is None:
            self._end(self._joined, error)
        else:
            self._revocation = error

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

    def _deliver(self, event: Event[Any], listeners: list[Listener], *, missed: bool = False) -> None:
        resumes = any(listener.resume for listener in listeners)
        is_new = not resumes or self._seen.add(event.publication_id)
        if event.retained:
            listeners = [listener for listener in self._want_retained if listener in listeners]
            is_new = is_new or not self._retained_again
        for listener in listeners:
            if is_new or not listener.resume:
                listener.buffer.put(event, missed=missed)

    # Missed events

    async def _prepare(self, timeout: float | None, link: Link) -> None:
        """Remember the newest event in the history, from which on events count as missed."""
        if self._prepared or not self._subscription_id:
            return
        reader = HistoryReader(self._requester, self._subscription_id, self.topic, timeout, link)
        latest = await reader.latest()
        # Not one that has been seen, because it may yet arrive.
        self._newest = None if latest is None else latest.publication_id
        self._prepared = True

    async def _fetch_missed(self, resuming: list[Listener], link: Link) -> None:
        """Deliver the missed events to these listeners."""
        fetch = bool(resuming)
        while fetch and self._subscription_id:
            self._overflowed = False
            reader = HistoryReader(
                self._requester, self._subscription_id, self.topic, self._requester.timeout, link
            )
            missed, complete = await reader.since(self._seen, self._newest)
            if not complete:
                gap = Gap(self.topic, missed[0] if missed else None)
                for listener in resuming:
                    self._report_gap(listener, gap)
            for event in missed:
                if event.publication_id in self._own or not self._seen.add(event.publication_id):
                    continue
                for listener in resuming:
                    listener.buffer.put(event, missed=True)
            fetch = self._overflowed

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
        resuming = [listener for listener in self._joined if listener.resume]
        for event in held:
            self._deliver(event, resuming, missed=True)
        revocation, self._revocation = self._revocation, None
        if revocation is not None:
            self._end(self._joined, revocation)


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
        if options.pop("get_retained", False):
            listener.get_retained = True
        key = (match, topic)
        found = self._topics.get(key)
        if found is None:
            found = TopicSubscription(self._requester, topic, match, options, self.own, self._forget)
            self._topics[key] = found
        await found.add(listener, timeout)
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
        for subscription in list(self._topics.values()):
            subscription.end(error)
