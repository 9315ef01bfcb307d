"""A WAMP session, as handlers see it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from wampasgi.addresses import client_address
from wampasgi.errors import (
    AUTHENTICATION_FAILED,
    CLOSE_REALM,
    NO_SUCH_PROCEDURE,
    SYSTEM_SHUTDOWN,
    ConnectionClosed,
    WAMPError,
)
from wampasgi.injection.results import positional_arguments
from wampasgi.logs import shown
from wampasgi.payload import split_payload
from wampasgi.peers.connection import Connection
from wampasgi.peers.identity import AuthenticationDetails, Identity, identity_mistake
from wampasgi.peers.peer import Peer
from wampasgi.protocol.uris import check_uri

_NO_IDENTITY: Final = Identity()


class SessionRealm(Protocol):
    """The part of a realm that a session uses; a handler's parameter ``realm`` is the whole Realm."""

    @property
    def uri(self) -> str:
        """The realm URI."""

    @property
    def app(self) -> Any:
        """The application that the realm was added to."""

    @property
    def sessions(self) -> Mapping[int, Session]:
        """The open sessions by session ID."""

    async def publish(
        self, topic: str, /, *args: Any, options: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> int:
        """Publish an event on the realm; see Realm.publish."""

    async def call(self, procedure: str, /, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call a procedure of the realm; see Realm.call."""

    def describe(self) -> Any:
        """Return the description of the realm, an Interface; see Realm.describe."""

    def check_event_loop(self, what: str) -> None:
        """Raise RuntimeError if ``what`` is used outside the event loop that serves the realm."""

    async def call_session(
        self,
        session_id: int,
        procedure: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        timeout: float | None,
    ) -> Any:
        """Call a procedure that this one session has registered; see Session.call."""


class Session:
    """One client's session on a realm.

    It is also a mutable mapping for data of the application: ``session["name"] = name``. The realm has a
    session of its own for the server's calls and publications; it has no connection.
    """

    def __init__(
        self,
        *,
        session_id: int,
        realm: SessionRealm,
        realm_uri: str,
        details: Mapping[str, Any],
        connection: Connection | None,
        peer: Peer | None,
    ) -> None:
        self._data: dict[str, Any] = {}
        self._connection = connection
        self._peer = peer
        self._authentication: AuthenticationDetails | None = None
        claimed = details.get("authid")
        self._claimed_authid = claimed if isinstance(claimed, str) else None
        #: The session ID, random in 1..2^53.
        self.id = session_id
        #: The realm that the session is on.
        self.realm = realm
        #: The realm URI that the client asked for; on the default realm it can be any.
        self.realm_uri = realm_uri
        #: HELLO.Details, as the client sent it.
        self.details = details
        #: The object that the authenticator returned for the client, or None.
        self.identity: Any = None
        #: For authenticators: the ``Login`` of ``wampasgi.auth.login``, until the session is opened.
        self.login: object = None

    def __repr__(self) -> str:
        realm, authid = shown(self.realm_uri), shown(self.authid)
        return f"<Session {self.id} on realm {realm} authid={authid} role={self.authrole!r}>"

    # Identity

    @property
    def connection(self) -> Connection:
        """The connection that the session came over. Raises RuntimeError for the realm's own session."""
        if self._connection is None:
            raise RuntimeError("the realm's own session has no connection: this call comes from the server")
        return self._connection

    @property
    def client_address(self) -> str | None:
        """The address of the client, as in the log: an IP address, or another text in quotes.

        It is None if the address is unknown, for example on a Unix socket, and for the realm's own session.
        Behind a proxy, it is the proxy's address, unless the server is configured to trust the proxy.
        """
        return None if self._connection is None else client_address(self._connection.scope.get("client"))

    @property
    def authenticated(self) -> bool:
        """Return whether an authenticator has accepted the session."""
        return self._authentication is not None

    @property
    def authid(self) -> str | None:
        """The verified authid; before authentication, the one that the client claims."""
        if self._authentication is not None:
            return self._authentication.authid
        return self._claimed_authid

    @property
    def authmethods(self) -> Sequence[str]:
        """The authentication methods that the client offered, in its order of preference."""
        return tuple(self.details.get("authmethods") or ())

    @property
    def authentication(self) -> AuthenticationDetails:
        """The result of authentication; all its fields are None before."""
        return self._authentication or AuthenticationDetails()

    @property
    def authrole(self) -> str | None:
        """The role that permissions are checked against."""
        return self._authentication.authrole if self._authentication is not None else None

    @property
    def authmethod(self) -> str | None:
        """The method that authenticated the session, such as ``ticket``; None before authentication."""
        return self._authentication.authmethod if self._authentication is not None else None

    @property
    def authprovider(self) -> str | None:
        """The source of the user's identity, such as ``userdb``; None before authentication."""
        return self._authentication.authprovider if self._authentication is not None else None

    @property
    def authextra(self) -> Mapping[str, Any] | None:
        """The details that WELCOME has as ``authextra``; None if there are none, and before authentication.

        Those that the client sent are ``session.details.get("authextra")``.
        """
        return self._authentication.authextra if self._authentication is not None else None

    def claim_authid(self, authid: str) -> None:
        """Replace the authid that the client claims by its normalized form.

        For authenticators that normalize names before they accept the session; it proves nothing.
        """
        self._claimed_authid = authid

    async def mark_authenticated(
        self,
        identity: Any = _NO_IDENTITY,
        *,
        authid: str | None = None,
        authrole: str | None = None,
        authmethod: str | None = None,
        authprovider: str | None = None,
        authextra: Mapping[str, Any] | None = None,
    ) -> None:
        """Accept the session; WELCOME follows when the authenticator returns.

        ``identity`` is any object, and becomes ``session.identity``. If it is an Identity, its ``user`` does,
        and its attributes are the defaults for the keywords. If neither gives them, the authid is random, the
        role ``"authenticated"`` and the method ``"custom"``. The authid that the client claims in HELLO is
        not used, because it is not verified: pass ``authid=session.authid`` if you have verified it. On an
        open session only the identity changes.

        Raises TypeError for None, for a bool and for the other values that are no identity, so that the
        result of a comparison or of a failed search does not let the client in. Leave ``identity`` out to
        accept a session that has none.
        """
        self.accept(
            identity,
            authid=authid,
            authrole=authrole,
            authmethod=authmethod,
            authprovider=authprovider,
            authextra=authextra,
        )

    def accept(
        self,
        identity: Any = _NO_IDENTITY,
        *,
        authid: str | None = None,
        authrole: str | None = None,
        authmethod: str | None = None,
        authprovider: str | None = None,
        authextra: Mapping[str, Any] | None = None,
    ) -> None:
        """Accept the session like ``mark_authenticated``, for authenticators that await nothing."""
        mistake = identity_mistake(identity)
        if mistake is not None:
            raise TypeError(
                f"mark_authenticated got {mistake}, which is not an identity: pass an object that represents"
                f" the user, or leave the argument out for a session without an identity"
            )
        attributes = identity if isinstance(identity, Identity) else Identity(identity)
        self.identity = attributes.user if isinstance(identity, Identity) else identity
        if self._peer is not None and self._peer.established:
            return
        found = self.authentication
        self._authentication = AuthenticationDetails(
            authid=authid or attributes.authid or found.authid or secrets.token_urlsafe(12),
            authrole=authrole or attributes.authrole or "authenticated",
            authmethod=authmethod or "custom",
            authprovider=authprovider or "dynamic",
            authextra=authextra if authextra is not None else attributes.authextra,
        )

    # Closing

    @property
    def is_open(self) -> bool:
        """Return whether WELCOME was sent and neither side has begun to close."""
        return self._peer is not None and self._peer.established

    @property
    def dropped_messages(self) -> int:
        """The number of messages dropped because this client reads too slowly; see ``Limits.overflow``."""
        return 0 if self._peer is None else self._peer.dropped

    async def abort(self, uri: str = AUTHENTICATION_FAILED, message: str | None = None) -> None:
        """End the session with ABORT. ``uri`` is the reason, ``message`` becomes Details.message.

        Raises ValueError if ``uri`` is not a valid URI.
        """
        check_reason(uri)
        self.realm.check_event_loop("session.abort()")
        if self._peer is None:
            return
        if self._peer.established:
            self._peer.abort(uri, message)
        else:
            await self._peer.refuse(uri, message)

    async def close(self, uri: str = CLOSE_REALM, message: str | None = None) -> None:
        """Begin to close the session with GOODBYE.

        Returns at once: the session ends when the client has answered, or after ``Limits.close_timeout``.
        ``uri`` is the reason, ``message`` becomes Details.message. A session that is not open yet is aborted.
        Raises ValueError if ``uri`` is not a valid URI.
        """
        check_reason(uri)
        self.realm.check_event_loop("session.close()")
        if self._peer is None:
            return
        if self._peer.established:
            self._peer.say_goodbye(uri, message)
        else:
            await self._peer.refuse(uri, message)

    async def disconnect(self, uri: str = SYSTEM_SHUTDOWN) -> None:
        """Begin to close the connection without GOODBYE, after which clients such as autobahn-js reconnect.

        Returns at once: queued messages are still written, and the handlers end, before the connection is
        closed. ``uri`` is the reason that handlers see. It decides the close code, which is 1012 ("service
        restart") for the default. A session that is not open yet is aborted. Raises ValueError if ``uri`` is
        not a valid URI.
        """
        check_reason(uri)
        self.realm.check_event_loop("session.disconnect()")
        if self._peer is None:
            return
        if self._peer.opened:
            self._peer.cut(uri)
        else:
            await self._peer.refuse(uri)

    async def wait_closed(self) -> None:
        """Wait until the session and its handlers have ended. Returns at once if it was never open."""
        if self._peer is not None and self._peer.opened:
            await self._peer.wait_ended()

    async def flushed(self) -> None:
        """Wait, without a timeout, until all messages sent to the client are written."""
        if self._peer is not None:
            await self._peer.written()

    # Events

    async def send_event(
        self,
        topic: str,
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        details: Mapping[str, Any] | None = None,
    ) -> bool:
        """Send an EVENT of ``topic`` to this session alone.

        If a topic's gatekeeper calls it, the event is held back until the client has its SUBSCRIBED. A slow
        client makes this wait. ``args`` is a tuple or list; any other value, such as a str or a model, counts
        as one argument. Returns False, and sends nothing, if the session isn't subscribed to exactly this
        topic. Raises ConnectionClosed if the session is over.
        """
        self.realm.check_event_loop("session.send_event()")
        if self._peer is None:
            return False
        if self._peer.ending is not None:
            raise ConnectionClosed(self._peer.ending.reason, closed_by=self._peer.ending.ended_by)
        positional = list(positional_arguments(args))
        sent = self._peer.send_topic_event(topic, positional, dict(kwargs or {}), dict(details or {}))
        if sent:
            await self._peer.uncongested()
        return sent

    # Calls

    async def call(self, procedure: str, /, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call a procedure that this client has registered, and return its result.

        ``timeout`` is in seconds; without one the call waits for as long as the session lasts. The result is
        as with ``Realm.call``. Raises WAMPError for an ERROR: ``wamp.error.no_such_procedure`` if the client
        has not registered the procedure, ``wamp.error.timeout``, and ``wamp.error.canceled`` if the session
        ends meanwhile. Raises ConnectionClosed if the session is over.
        """
        self.realm.check_event_loop("session.call()")
        if self._peer is None or not self._peer.opened:
            raise WAMPError(NO_SUCH_PROCEDURE, f"{self!r} is not open, so it has no procedure {procedure!r}")
        if self._peer.ending is not None:
            raise ConnectionClosed(self._peer.ending.reason, closed_by=self._peer.ending.ended_by)
        positional, keywords = split_payload(args, kwargs)
        return await self.realm.call_session(self.id, procedure, positional, keywords, timeout=timeout)

    # Session data

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._data[key] = value

    def __delitem__(self, key: str) -> None:
        del self._data[key]

    def __contains__(self, key: object) -> bool:
        return key in self._data

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __bool__(self) -> bool:
        # Without this, a session without data would be false.
        return True

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value stored under ``key``, or ``default``."""
        return self._data.get(key, default)


def check_reason(uri: str) -> None:
    """Raise ValueError if the reason to end a session is not a valid URI."""
    if not check_uri(uri):
        raise ValueError(f"{uri!r} is not a valid URI: give a reason such as 'com.myapp.error.expired'")
