"""A client's session, driven by a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wampasgi.errors import CLOSE_REALM
from wampasgi.protocol.messages import (
    Abort,
    Call,
    Goodbye,
    Publish,
    Published,
    Register,
    Registered,
    Subscribe,
    Subscribed,
    Welcome,
)
from wampasgi.testing.calls import OnProgress, PendingCall
from wampasgi.testing.connection import ENDING, WAMPConnection
from wampasgi.testing.errors import SessionAborted, parsed
from wampasgi.testing.exchange import Exchange
from wampasgi.testing.registration import Registration
from wampasgi.testing.subscription import Events
from wampasgi.testing.wire import Wire
from wampasgi.types import Match


class WAMPSession(WAMPConnection):
    """An open session: what a WAMP client does, one step after the other.

    Every wait is bounded: by the ``timeout`` of the method, in seconds, or by that of the connection. Where
    the server ends the session while something is awaited, SessionAborted is raised for ABORT and
    SessionClosed for GOODBYE or a closed WebSocket. The session is a WAMPConnection too, so a test can leave
    the beaten track: ``next_request_id()`` gives the ids for requests that it sends raw.
    """

    def __init__(self, wire: Wire, welcome: Welcome) -> None:
        super().__init__(wire)
        self._exchange = Exchange(wire)
        #: The session id.
        self.id = welcome.session_id
        #: WELCOME.Details.
        self.details: Mapping[str, Any] = welcome.details

    @property
    def authid(self) -> str | None:
        """The authid that the server gave the session."""
        return self.details.get("authid")

    @property
    def authrole(self) -> str | None:
        """The role that the server gave the session."""
        return self.details.get("authrole")

    @property
    def over(self) -> bool:
        """Whether the test has seen the session's end: GOODBYE, ABORT or a closed WebSocket."""
        return self.wire.over is not None

    def next_request_id(self) -> int:
        """An id for a request that the test sends by itself."""
        return self._exchange.request_ids.next()

    # Calls

    def call(
        self,
        procedure: str,
        /,
        *args: Any,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call a procedure and return its result.

        That is None without arguments, the value where there is one positional argument and nothing else, an
        RPCResult otherwise. ``on_progress`` gets each progressive result in the same form. ``timeout`` is how
        long the test waits; ``options`` are CALL.Options, where the call's own timeout, in milliseconds, has
        its place. Raises WAMPError for ERROR.
        """
        pending = self.start_call(procedure, *args, on_progress=on_progress, options=options, **kwargs)
        return pending.result(timeout=timeout)

    def start_call(
        self,
        procedure: str,
        /,
        *args: Any,
        on_progress: OnProgress | None = None,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> PendingCall:
        """Send CALL and return at once, to wait for the result or to cancel later. See ``call``."""
        sent = dict(options or {})
        if on_progress is not None:
            sent.setdefault("receive_progress", True)
        call = Call(self.next_request_id(), sent, procedure, list(args), kwargs)
        self._exchange.send(call)
        return PendingCall(self._exchange, call, on_progress)

    def register(
        self,
        procedure: str,
        /,
        *,
        match: Match = "exact",
        options: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> Registration:
        """Register a procedure, and return the calls to come, for the test to answer.

        ``options`` are REGISTER.Options. Raises WAMPError for ERROR.
        """
        sent = dict(options or {})
        if match != "exact":
            sent["match"] = match
        request = Register(self.next_request_id(), sent, procedure)
        registered = self._exchange.ask(request, Registered, timeout)
        return Registration(self._exchange, procedure, registered.registration_id)

    # Publish and subscribe

    def subscribe(
        self,
        topic: str,
        /,
        *,
        match: Match = "exact",
        options: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> Events:
        """Subscribe, and return the events to come; raises WAMPError for ERROR.

        ``options`` are SUBSCRIBE.Options. Subscribing twice gives two views of one subscription: who asks
        first gets the event.
        """
        sent = dict(options or {})
        if match != "exact":
            sent["match"] = match
        request = Subscribe(self.next_request_id(), sent, topic)
        return Events(self._exchange, topic, self._exchange.ask(request, Subscribed, timeout).subscription_id)

    def publish(
        self,
        topic: str,
        /,
        *args: Any,
        acknowledge: bool = False,
        options: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> int | None:
        """Publish an event; returns the publication id with ``acknowledge``, None otherwise.

        ``options`` are PUBLISH.Options. Raises WAMPError for ERROR, which the server sends only with
        ``acknowledge``.
        """
        sent = dict(options or {})
        if acknowledge:
            sent["acknowledge"] = True
        request = Publish(self.next_request_id(), sent, topic, list(args), kwargs)
        if not sent.get("acknowledge", False):
            self._exchange.send(request)
            return None
        return self._exchange.ask(request, Published, timeout).publication_id

    def settle(self) -> None:
        """Wait until the server has done what this session asked for, and what that has set off.

        The server handles a session's messages in order, so the answer to one more request (UNSUBSCRIBE of a
        subscription that nobody has) shows that the ones before were handled. Then no task of the application
        may be able to go on by itself; what waits for a timer, a thread or another client is left waiting.
        """
        self._exchange.settle()

    # The end

    def goodbye(self, reason: str = CLOSE_REALM, *, timeout: float | None = None) -> Goodbye:
        """Say GOODBYE and return the server's: its answer, or the one that it has said before.

        Leaving the session's ``with`` does this too. Raises SessionAborted for ABORT and SessionClosed where
        the session is over.
        """
        if self.wire.over is not None:
            raise self.wire.over
        self.wire.send_goodbye(Goodbye({}, reason))
        message = parsed(self.wire.take(lambda raw: raw[0] in ENDING, "GOODBYE", timeout))
        if isinstance(message, Abort):
            raise SessionAborted.of(message)
        assert isinstance(message, Goodbye)
        return message
