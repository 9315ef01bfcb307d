"""A client's session, controlled by a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wampasgi.errors import CLOSE_REALM
from wampasgi.payload import split_payload
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
from wampasgi.testing.errors import SessionAborted, parse_message
from wampasgi.testing.exchange import Exchange
from wampasgi.testing.registration import Registration
from wampasgi.testing.subscription import Events
from wampasgi.testing.wire import Wire
from wampasgi.types import Match


class WAMPSession(WAMPConnection):
    """An open session, with a blocking method for each action of a WAMP client.

    Every wait is limited by the ``timeout`` of the method, in seconds, or by the timeout of the connection.
    If the server ends the session during a wait, SessionAborted is raised for ABORT, and SessionClosed for
    GOODBYE or a closed WebSocket.

    A session is also a WAMPConnection, so a test can send raw messages. ``next_request_id()`` returns the ID
    for a raw request.
    """

    def __init__(self, wire: Wire, welcome: Welcome) -> None:
        super().__init__(wire)
        self._exchange = Exchange(wire)
        #: The session ID.
        self.id = welcome.session_id
        #: WELCOME.Details.
        self.details: Mapping[str, Any] = welcome.details

    @property
    def authid(self) -> str | None:
        """The authid that the server has assigned to the session."""
        return self.details.get("authid")

    @property
    def authrole(self) -> str | None:
        """The role that the server has assigned to the session."""
        return self.details.get("authrole")

    @property
    def over(self) -> bool:
        """Return whether the test has seen the end of the session: GOODBYE, ABORT or a closed WebSocket."""
        return self.wire.over is not None

    def next_request_id(self) -> int:
        """Return the next request ID, for a request that the test sends as a raw message."""
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

        ``args`` and ``kwargs`` are the payload, or one Payload is. Returns None for an empty result, the
        value for a single positional argument, and an RPCResult for any other result. ``on_progress`` gets
        each progressive result in the same form. ``timeout`` is the limit of the test's wait, in seconds.
        ``options`` are CALL.Options; the timeout in them is in milliseconds.
        Raises WAMPError for ERROR.
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
        """Send CALL and return at once. The returned call waits for the result, or cancels. See ``call``."""
        sent = dict(options or {})
        if on_progress is not None:
            sent.setdefault("receive_progress", True)
        positional, keywords = split_payload(args, kwargs)
        call = Call(self.next_request_id(), sent, procedure, list(positional), dict(keywords))
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
        """Register a procedure, and return the registration, which yields the calls for the test to answer.

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
        """Subscribe to a topic, and return the subscription's events. Raises WAMPError for ERROR.

        ``options`` are SUBSCRIBE.Options. If a test subscribes twice to a topic, both Events take events from
        the same subscription, and each event goes to one of them.
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
        """Publish an event. Return its publication ID if ``acknowledge`` is true, otherwise None.

        ``args`` and ``kwargs`` are the payload, or one Payload is. ``options`` are PUBLISH.Options. Raises
        WAMPError for ERROR, which the server sends only if
        ``acknowledge`` is true.
        """
        sent = dict(options or {})
        if acknowledge:
            sent["acknowledge"] = True
        positional, keywords = split_payload(args, kwargs)
        request = Publish(self.next_request_id(), sent, topic, list(positional), dict(keywords))
        if not sent.get("acknowledge", False):
            self._exchange.send(request)
            return None
        return self._exchange.ask(request, Published, timeout).publication_id

    def settle(self) -> None:
        """Wait until the server has handled all messages of this session, and their consequences.

        The server handles a session's messages in order. So it has handled all of them when it answers one
        more request, which is UNSUBSCRIBE of an unknown subscription. After that, this waits until all tasks
        of the application are blocked, be it on a timer, a thread or another client.
        """
        self._exchange.settle()

    # The end

    def goodbye(self, reason: str = CLOSE_REALM, *, timeout: float | None = None) -> Goodbye:
        """Send GOODBYE and return the server's GOODBYE, which is its answer or was sent before.

        Leaving the ``with`` block of the session does this, too. Raises SessionAborted for ABORT, and
        SessionClosed if the session is over.
        """
        if self.wire.over is not None:
            raise self.wire.over
        self.wire.send_goodbye(Goodbye({}, reason))
        message = parse_message(self.wire.take(lambda raw: raw[0] in ENDING, "GOODBYE", timeout))
        if isinstance(message, Abort):
            raise SessionAborted.of(message)
        assert isinstance(message, Goodbye)
        return message
