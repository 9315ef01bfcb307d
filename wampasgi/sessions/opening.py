"""From a WebSocket's opening request to the realm: subprotocol, HELLO, and HELLO again after GOODBYE."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import anyio

from wampasgi.errors import (
    NO_SUCH_REALM,
    PAYLOAD_SIZE_EXCEEDED,
    PROTOCOL_VIOLATION,
    RUNTIME_ERROR,
    SYSTEM_SHUTDOWN,
    TIMEOUT,
    UNAVAILABLE,
    RemoteProtocolError,
)
from wampasgi.limits import Limits
from wampasgi.logs import escaped, fields, logger_named, shown
from wampasgi.metrics import Counts
from wampasgi.peers.connection import Connection
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.peers.transport import Disconnected
from wampasgi.protocol.messages import Abort, Hello
from wampasgi.realm import Realm
from wampasgi.serializers import Subprotocol, negotiate
from wampasgi.transports.websocket import WebSocketTransport
from wampasgi.types import Receive, Scope, Send, URICheck

logger = logger_named("wampasgi.session")

#: WebSocket close codes (RFC 6455, section 7.4.1) for the reasons that are not a normal end.
_NORMAL = 1000
_CLOSE_CODES = {
    SYSTEM_SHUTDOWN: 1001,
    PROTOCOL_VIOLATION: 1002,
    PAYLOAD_SIZE_EXCEEDED: 1009,
    RUNTIME_ERROR: 1011,
}


class WebSocketDispatcher:
    """Accepts WebSockets that speak WAMP and hands each session to its realm.

    ``find_realm`` gives the realm for the URI that a client names in HELLO, or None. ``subprotocols`` are
    those to choose from, by name.
    """

    def __init__(
        self,
        find_realm: Callable[[str], Realm | None],
        *,
        subprotocols: Mapping[str, Subprotocol],
        limits: Limits,
        uri_check: URICheck,
        check_request_ids: bool,
    ) -> None:
        self._find_realm = find_realm
        self._subprotocols = subprotocols
        self._limits = limits
        # Of those who never name a realm that there is.
        self._counts = Counts()
        self._uri_check: URICheck = uri_check
        self._check_request_ids = check_request_ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket, session after session, until it is closed."""
        await receive()  # websocket.connect
        offered = scope.get("subprotocols") or []
        subprotocol = negotiate(offered, self._subprotocols)
        if subprotocol is None:
            await self._refuse(scope, send, offered)
            return
        await send({"type": "websocket.accept", "subprotocol": subprotocol.name})
        transport = WebSocketTransport(receive, send, subprotocol, self._counts)
        while await self._serve_session(scope, transport):
            pass

    async def _refuse(self, scope: Scope, send: Send, offered: list[str]) -> None:
        spoken = ", ".join(self._subprotocols)
        logger.warning(
            "WebSocket handshake from %s refused: it offers the subprotocols [%s], this server speaks [%s]",
            scope.get("client"),
            escaped(", ".join(offered)),
            spoken,
            extra=fields(None, None),
        )
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send(
                {
                    "type": "websocket.close",
                    "code": _CLOSE_CODES[PROTOCOL_VIOLATION],
                    "reason": "no common subprotocol",
                }
            )
            return
        body = f"This is a WAMP endpoint: offer one of the WebSocket subprotocols {spoken}.\n".encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "websocket.http.response.start", "status": 400, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})

    async def _serve_session(self, scope: Scope, transport: WebSocketTransport) -> bool:
        """Serve one session from HELLO on; returns whether another may follow on the same WebSocket."""
        transport.set_limits(self._limits, handshake=True)
        peer = Peer(
            transport,
            limits=self._limits,
            counts=self._counts,
            uri_check=self._uri_check,
            check_request_ids=self._check_request_ids,
        )
        refusal = await self._run_session(scope, transport, peer)
        ending = peer.ending
        if ending is not None and ending.orderly and ending.reason != SYSTEM_SHUTDOWN:
            return not transport.closed
        # A peer that does not read must not keep us here.
        with anyio.move_on_after(peer.limits.close_timeout):
            if refusal is not None:
                await peer.refuse(*refusal)
            reason = peer.ending.reason if peer.ending is not None else RUNTIME_ERROR
            await transport.close(_CLOSE_CODES.get(reason, _NORMAL), reason)
        return False

    async def _run_session(
        self, scope: Scope, transport: WebSocketTransport, peer: Peer
    ) -> tuple[str, str | None] | None:
        """Run a session; returns reason and text of the ABORT that is due where it failed to open."""
        client = scope.get("client")
        try:
            with peer.handshake:
                peer.handshake.deadline = anyio.current_time() + self._limits.handshake_timeout
                opened = await self._open(scope, transport, peer)
                if opened is not None:
                    realm, session_scope = opened
                    try:
                        await realm(session_scope, transport.receive, transport.send)
                    finally:
                        realm.build().joined.admission.leave(client)
        except RemoteProtocolError as error:
            logger.warning(
                "a client from %s broke the protocol: %s",
                client,
                escaped(error.message),
                extra=fields(None, None),
            )
            return error.uri, error.message
        except Disconnected:
            return None
        except Exception:
            logger.exception("a session from %s could not be served", client, extra=fields(None, None))
            # The realm's middleware may be what failed.
            peer.attach(transport.receive, transport.send)
            return RUNTIME_ERROR, None
        if peer.handshake.cancelled_caught:
            logger.warning(
                "a client from %s did not open a session in time", client, extra=fields(None, None)
            )
            return (
                TIMEOUT,
                f"no session within the limit handshake_timeout of {self._limits.handshake_timeout} s",
            )
        return None

    async def _open(
        self, scope: Scope, transport: WebSocketTransport, peer: Peer
    ) -> tuple[Realm, Scope] | None:
        """Read HELLO; returns the realm that it names and the scope for it, None where it is over."""
        hello = await peer.receive()
        if isinstance(hello, Abort):
            peer.cut(hello.reason, ended_by="client")
            return None
        assert isinstance(hello, Hello), "the state table lets nothing else through"
        realm = self._find_realm(hello.realm)
        if realm is None:
            await peer.refuse(NO_SUCH_REALM, f"there is no realm {hello.realm!r}")
            return None
        session_scope: Scope = {
            **scope,
            "type": "wamp",
            "wamp.realm": hello.realm,
            "wamp.hello": hello.details,
            "wamp.subprotocol": transport.subprotocol.name,
            "wamp.peer": peer,
        }
        session_scope["wamp.session"] = Session(
            realm=realm,
            realm_uri=hello.realm,
            details=hello.details,
            connection=Connection(session_scope),
            peer=peer,
        )
        built = realm.build()
        peer.realm_uri = hello.realm
        peer.limits = built.limits
        peer.counts = transport.counts = built.joined.counts
        transport.set_limits(peer.limits, handshake=True)
        refusal = built.joined.admission.enter(scope.get("client"), built.limits)
        if refusal is not None:
            logger.warning(
                "a client from %s is refused on realm %s: %s",
                scope.get("client"),
                shown(hello.realm),
                refusal,
                extra=fields(None, hello.realm),
            )
            await peer.refuse(UNAVAILABLE, refusal)
            return None
        return realm, session_scope
