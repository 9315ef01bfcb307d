"""A client's session, controlled by a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wampasgi.client.contract import Contract, blocking_caller
from wampasgi.client.requester import with_match
from wampasgi.client.welcome import WelcomedSession
from wampasgi.errors import CLOSE_REALM, WAMPError
from wampasgi.payload import split_payload
from wampasgi.protocol.messages import Abort, Goodbye, Published, Welcome
from wampasgi.protocol.states import SessionState
from wampasgi.testing.calls import OnProgress, PendingCall
from wampasgi.testing.connection import WAMPConnection
from wampasgi.testing.errors import SessionAborted, message_of
from wampasgi.testing.exchange import Core, Exchange
from wampasgi.testing.registration import Registration
from wampasgi.testing.subscription import Events
from wampasgi.testing.wire import Wire
from wampasgi.types import Match

_CAN_SAY_GOODBYE = frozenset((SessionState.ESTABLISHED, SessionState.SHUTTING_DOWN))


class WAMPSession(WAMPConnection, WelcomedSession):
    """An open session, with a blocking method for each action of a WAMP client.

    Every wait is limited by the ``timeout`` of the method, in seconds, or by the timeout of the connection.
    If the server ends the session during a wait, SessionAborted is raised for ABORT, and SessionClosed for
    GOODBYE or a closed WebSocket.

    A session is also a WAMPConnection, so a test can send raw messages. ``next_request_id()`` returns the ID
    for a raw request.
    """

    def __init__(
        self, wire: Wire, core: Core, welcome: Welcome, errors: Mapping[str, type[WAMPError]]
    ) -> None:
        super().__init__(wire)
        self._exchange = Exchange(wire, core, errors)
        self._welcome = welcome
        #: The session ID.
        self.id = welcome.session_id

    @property
    def details(self) -> Mapping[str, Any]:
        """WELCOME.Details."""
        return self._welcome.details

    @property
    def over(self) -> bool:
        """Return whether the test has seen the end of the session: GOODBYE, ABORT or a closed WebSocket."""
        return self._exchange.over

    def next_request_id(self) -> int:
        """Return the next request ID, for a request that the test sends as a raw message."""
        return self._exchange.core.next_request_id()

    # Calls

    def call(
        self,
        procedure: str,
        /,
        *args: Any,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        result_type: Any = Any,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call a procedure and return its result.

        ``args`` and ``kwargs`` are the payload, or one Payload is. Returns None for an empty result, the
        value for a single positional argument, and an RPCResult for any other result. ``on_progress`` gets
        each progressive result in the same form. ``result_type`` is any type that pydantic can validate; the
        result is converted to it. ``timeout`` is the limit of the test's wait, in seconds. ``options`` are
        CALL.Options; the timeout in them is in milliseconds.
        Raises WAMPError for ERROR, and InvalidResult if the result does not fit ``result_type``.
        """
        pending = self.start_call(
            procedure, *args, on_progress=on_progress, result_type=result_type, options=options, **kwargs
        )
        return pending.result(timeout=timeout)

    def start_call(
        self,
        procedure: str,
        /,
        *args: Any,
        on_progress: OnProgress | None = None,
        result_type: Any = Any,
        progress_type: Any = Any,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> PendingCall:
        """Send CALL and return at once. The returned call waits for the result, or cancels. See ``call``.

        ``progress_type`` is the type that progressive results are converted to.
        """
        sent = dict(options or {})
        if on_progress is not None:
            sent.setdefault("receive_progress", True)
        return PendingCall(
            self._exchange,
            procedure,
            split_payload(args, kwargs),
            sent,
            on_progress=on_progress,
            result_type=result_type,
            progress_type=progress_type,
        )

    def call_progress(
        self,
        procedure: str,
        /,
        *args: Any,
        result_type: Any = Any,
        progress_type: Any = Any,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> PendingCall:
        """Call a procedure with progressive results: ``with session.call_progress(...) as call``.

        Iterate over the call for the progressive results, then ask it for its ``result``. Leaving the block
        earlier cancels the call.
        """
        return self.start_call(
            procedure,
            *args,
            result_type=result_type,
            progress_type=progress_type,
            options={**(options or {}), "receive_progress": True},
            **kwargs,
        )

    def use(self, contract: type[Contract]) -> Any:
        """Return an object whose methods call the procedures of a contract and block. See Contract."""
        return blocking_caller(self, contract)

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
        return Registration(self._exchange, procedure, with_match(options, match), timeout)

    # Publish and subscribe

    def subscribe(
        self,
        topic: str,
        /,
        *,
        match: Match = "exact",
        event_type: Any = Any,
        options: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> Events:
        """Subscribe to a topic, and return the subscription's events. Raises WAMPError for ERROR.

        ``event_type`` is any type that pydantic can validate; the payload of each event is converted to it,
        see ``Event.value``. ``options`` are SUBSCRIBE.Options.

        If a test subscribes twice to a topic, both Events take events from the same subscription, and each
        event goes to one of them.
        """
        return Events(
            self._exchange, topic, with_match(options, match), event_type=event_type, timeout=timeout
        )

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
        WAMPError for ERROR, which the server sends only if ``acknowledge`` is true.
        """
        sent = dict(options or {})
        if acknowledge:
            sent["acknowledge"] = True
        payload = split_payload(args, kwargs)
        if not sent.get("acknowledge", False):
            self._exchange.request(lambda core: core.publish(None, topic, *payload, sent))
            return None
        published = self._exchange.ask(
            lambda core, asked: core.publish(asked, topic, *payload, sent), timeout
        )
        assert isinstance(published, Published)
        return published.publication_id

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
        core = self._exchange.core
        if core.state in _CAN_SAY_GOODBYE:
            self.wire.send_goodbye(core.goodbye(reason))
        message = message_of(self.wire.take(lambda arrival: arrival.ends_session, "GOODBYE", timeout))
        if isinstance(message, Abort):
            raise SessionAborted.of(message)
        assert isinstance(message, Goodbye)
        return message
