"""The opening of sessions on a connection, for any transport: HELLO, and HELLO again after GOODBYE."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import anyio

from wampasgi.adapters.event_loop import EventLoopBinding
from wampasgi.auth.failures import AuthenticationFailure
from wampasgi.auth.login import Login
from wampasgi.configuration.plan import RealmPlan
from wampasgi.errors import (
    NO_SUCH_REALM,
    RUNTIME_ERROR,
    SYSTEM_SHUTDOWN,
    TIMEOUT,
    UNAVAILABLE,
    InvalidURI,
    RemoteProtocolError,
)
from wampasgi.limits import Limits
from wampasgi.logs import escaped, fields, logger_named, shown
from wampasgi.metrics import Counts
from wampasgi.peers.connection import Connection
from wampasgi.peers.interfaces import Ending
from wampasgi.peers.message_stream import MessageStream, message_of
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session, SessionRealm
from wampasgi.peers.transport import Disconnected, Transport
from wampasgi.protocol.ids import random_id
from wampasgi.protocol.messages import Abort, Hello
from wampasgi.protocol.parsing import parse
from wampasgi.protocol.states import Direction, SessionState, next_state
from wampasgi.protocol.uri_limits import check_uri_length
from wampasgi.router.admission import PENDING_CONNECTIONS, Admission, Place
from wampasgi.serializers import Subprotocol
from wampasgi.types import Receive, Scope, Send, URICheck

logger = logger_named("wampasgi.session")


class ServedRealm(SessionRealm, Protocol):
    """A realm that sessions can be opened on."""

    def plan(self) -> RealmPlan:
        """Return the compiled configuration; raises ConfigurationError."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one session, as an ASGI app of scope type ``wamp``."""


class _Refusal(Exception):
    """The refusal of a session with ABORT; ``text`` becomes Details.message."""

    def __init__(self, reason: str, text: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.text = text


class SessionOpener:
    """Serves connections: reads HELLO and hands each session to its realm.

    ``find_realm`` returns the realm for the URI that a client names in HELLO, or None.
    """

    def __init__(
        self,
        find_realm: Callable[[str], ServedRealm | None],
        *,
        event_loop: EventLoopBinding,
        limits: Limits,
        uri_check: URICheck,
        check_request_ids: bool,
    ) -> None:
        self._find_realm = find_realm
        self._event_loop = event_loop
        self._limits = limits
        self._pending = Admission(PENDING_CONNECTIONS)
        # The counters for clients that never name an existing realm.
        self._counts = Counts()
        self._uri_check: URICheck = uri_check
        self._check_request_ids = check_request_ids

    def enter(self, client: Sequence[Any] | None) -> Place | str:
        """Count a connection without a session, and return its place or the reason for refusing it."""
        return self._pending.enter(client, self._limits)

    async def serve(
        self, scope: Scope, transport: Transport, subprotocol: Subprotocol, pending: Place
    ) -> None:
        """Serve one connection, session after session, and close it.

        It leaves its place among the ``pending`` connections while it has a session.
        """
        stream = MessageStream(transport, subprotocol, self._counts, client=scope.get("client"))
        self._event_loop.enter()
        try:
            while True:
                opening = _Opening(self, scope, stream, pending)
                refusal = await opening.serve()
                pending.come_back()
                if not opening.ended_with_goodbye:
                    await opening.close(refusal)
                    await opening.report_failure()
                    return
                if transport.closed:
                    return
        finally:
            self._event_loop.leave()

    async def read_hello(self, stream: MessageStream) -> Hello | Abort:
        """Read the first message of a session: HELLO, or the ABORT of a client that gives up.

        Raises Disconnected at the end of the connection, and RemoteProtocolError for any other message.
        """
        raw = message_of(await stream.receive())
        try:
            message = parse(raw, self._uri_check)
            size, stream.long_size = stream.long_size, 0
            if size and self._limits.uri_length is not None:
                check_uri_length(message, self._limits.uri_length)
        except InvalidURI as error:
            # If the message is not allowed before HELLO, that is the violation to report.
            _check_first(error.request_type or Hello.code)
            raise
        _check_first(message.code)
        assert isinstance(message, Hello | Abort), "the state table lets nothing else through"
        return message

    def find_realm(self, uri: str) -> ServedRealm:
        """Return the realm of a URI; raises a refusal if it does not exist."""
        realm = self._find_realm(uri)
        if realm is None:
            raise _Refusal(NO_SUCH_REALM, f"there is no realm {uri!r}")
        return realm

    @property
    def limits(self) -> Limits:
        """The limits that apply until the realm is known."""
        return self._limits

    def new_peer(
        self,
        stream: MessageStream,
        realm_uri: str,
        plan: RealmPlan,
        place: Place,
        handshake: anyio.CancelScope,
    ) -> Peer:
        """Make the peer of a session whose HELLO was read."""
        return Peer(
            stream,
            session_id=random_id(),
            realm_uri=realm_uri,
            router=plan.router,
            place=place,
            limits=plan.limits,
            counts=plan.router.counts,
            handshake=handshake,
            uri_check=self._uri_check,
            check_request_ids=self._check_request_ids,
        )


def _check_first(code: int) -> None:
    next_state(SessionState.CLOSED, Direction.RECEIVED, code)


class _Opening:
    """One session of a connection, from HELLO to its end."""

    __slots__ = ("_failure", "_handshake", "_opener", "_peer", "_pending", "_reason", "_scope", "_stream")

    def __init__(self, opener: SessionOpener, scope: Scope, stream: MessageStream, pending: Place) -> None:
        self._opener = opener
        self._scope = scope
        self._stream = stream
        self._pending = pending
        self._handshake = anyio.CancelScope()
        # Known once HELLO has named a realm.
        self._peer: Peer | None = None
        self._failure: AuthenticationFailure | None = None
        # The reason URI of a client that sends ABORT instead of HELLO.
        self._reason: str | None = None

    @property
    def _ending(self) -> Ending | None:
        return None if self._peer is None else self._peer.ending

    @property
    def ended_with_goodbye(self) -> bool:
        """Return whether the client may open another session on the same connection."""
        ending = self._ending
        return ending is not None and ending.orderly and ending.reason != SYSTEM_SHUTDOWN

    async def close(self, refusal: _Refusal | None) -> None:
        """Send ABORT if the session was refused, and close the connection."""
        limits = self._opener.limits if self._peer is None else self._peer.limits
        # The timeout is for clients that do not read.
        with anyio.move_on_after(limits.close_timeout):
            if refusal is not None:
                await self._refuse(refusal)
            await self._stream.transport.close(self._close_reason(refusal))

    def _about(self) -> dict[str, Any]:
        """Return the extra fields of a log record."""
        address = self._stream.client_address
        if self._peer is None:
            return fields(None, None, client=address)
        return fields(self._peer.session_id, self._peer.realm_uri, client=address)

    def _close_reason(self, refusal: _Refusal | None) -> str:
        if self._ending is not None:
            return self._ending.reason
        if refusal is not None:
            return refusal.reason
        return RUNTIME_ERROR if self._reason is None else self._reason

    async def _refuse(self, refusal: _Refusal) -> None:
        if self._peer is not None:
            await self._peer.refuse(refusal.reason, refusal.text)
            return
        details = {} if refusal.text is None else {"message": refusal.text}
        message = Abort(details, refusal.reason).to_list()
        await self._stream.send({"type": "wamp.message", "message": message})

    async def serve(self) -> _Refusal | None:
        """Serve the session; return the refusal to send if it could not be opened."""
        timeout = self._opener.limits.handshake_timeout
        self._stream.set_limits(self._opener.limits, handshake=True)
        try:
            with self._handshake:
                self._handshake.deadline = anyio.current_time() + timeout
                opened = await self._open()
                if opened is not None:
                    realm, scope, place = opened
                    try:
                        await realm(scope, self._stream.receive, self._stream.send)
                        if self._peer is not None:
                            # The connection must not be closed before its last message.
                            await self._peer.refusal_sent()
                    finally:
                        place.leave()
                        self._conclude_login()
        except _Refusal as refusal:
            return refusal
        except RemoteProtocolError as error:
            logger.warning(
                "a client from %s broke the protocol: %s",
                self._stream.client_address,
                escaped(error.message),
                extra=self._about(),
            )
            return _Refusal(error.uri, error.message)
        except Disconnected:
            return None
        except Exception:
            logger.exception(
                "a session from %s could not be served", self._stream.client_address, extra=self._about()
            )
            if self._peer is not None:
                # Without the realm's middleware, because it may be the cause.
                self._peer.attach(self._stream.receive, self._stream.send)
            return _Refusal(RUNTIME_ERROR)
        if self._handshake.cancelled_caught:
            self._conclude_login(timed_out=True)
            logger.warning(
                "a client from %s did not open a session in time",
                self._stream.client_address,
                extra=self._about(),
            )
            return _Refusal(TIMEOUT, f"no session within the limit handshake_timeout of {timeout} s")
        return None

    def _conclude_login(self, *, timed_out: bool = False) -> None:
        """Note the failure of an authentication that has ended, and keep it for ``report_failure``."""
        login = None if self._peer is None else self._scope["wamp.session"].login
        if isinstance(login, Login):
            login.conclude(timed_out=timed_out)
            self._failure = login.failure

    async def report_failure(self) -> None:
        """Pass a failed authentication to the realm's handler. Call it when the client has its answer."""
        if self._failure is None:
            return
        plan: RealmPlan = self._scope["wamp.plan"]
        if plan.failure_reports is not None:
            await plan.failure_reports.run(self._failure, plan.provided_for(self._scope["wamp.session"]))

    async def _open(self) -> tuple[ServedRealm, Scope, Place] | None:
        """Read HELLO; return its realm, the scope for it, and the place of the session in the limits."""
        hello = await self._opener.read_hello(self._stream)
        if isinstance(hello, Abort):
            self._reason = hello.reason
            return None
        realm = self._opener.find_realm(hello.realm)
        plan = realm.plan()
        stream, admission = self._stream, plan.router.admission
        stream.counts = plan.router.counts
        stream.set_limits(plan.limits, handshake=True)
        place = admission.enter(self._scope.get("client"), plan.limits)
        if isinstance(place, str):
            logger.warning(
                "a client from %s is refused on realm %s: %s",
                stream.client_address,
                shown(hello.realm),
                place,
                extra=fields(None, hello.realm, client=stream.client_address),
            )
            stream.counts.aborted += 1
            raise _Refusal(UNAVAILABLE, place)
        place.pending = self._pending
        self._peer = self._opener.new_peer(stream, hello.realm, plan, place, self._handshake)
        self._scope = self._session_scope(realm, plan, self._peer, hello)
        return realm, self._scope, place

    def _session_scope(self, realm: ServedRealm, plan: RealmPlan, peer: Peer, hello: Hello) -> Scope:
        scope: Scope = {
            **self._scope,
            "type": "wamp",
            "wamp.realm": hello.realm,
            "wamp.hello": hello.details,
            "wamp.subprotocol": self._stream.subprotocol.name,
            "wamp.peer": peer,
            "wamp.plan": plan,
        }
        session = scope["wamp.session"] = Session(
            session_id=peer.session_id,
            realm=realm,
            realm_uri=hello.realm,
            details=hello.details,
            connection=Connection(scope),
            peer=peer,
        )
        session.login = Login(session, peer, plan.failed_logins)
        return scope
