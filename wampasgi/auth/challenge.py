"""Authentication by CHALLENGE and AUTHENTICATE."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

from wampasgi.errors import AUTHENTICATION_FAILED, RemoteProtocolError
from wampasgi.messages import Abort, Authenticate, Challenge
from wampasgi.peer import Peer
from wampasgi.session import Session
from wampasgi.transport import Disconnected
from wampasgi.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger("wampasgi.auth")


class ChallengeMethod(Protocol):
    """One authentication method of the specification."""

    #: The name that clients offer in ``HELLO.Details.authmethods``.
    name: str

    async def challenge(self, session: Session) -> dict[str, Any]:
        """CHALLENGE.Extra for a session."""

    async def verify(self, session: Session, extra: dict[str, Any], answer: Authenticate) -> Any:
        """The identity that an answer to the challenge with this Extra proves, or None."""


class ChallengeMiddleware:
    """Challenges a session by the first method of its choice that the realm offers.

    A wrong proof is answered ABORT ``wamp.error.authentication_failed``, and so is a method that fails. A
    session that offers none of the methods is left to the gate. Spec: Advanced Profile, "Authentication".
    """

    def __init__(self, app: ASGIApp, *, methods: Sequence[ChallengeMethod]) -> None:
        self._app = app
        self._methods = {method.name: method for method in methods}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Challenge the session, unless it is authenticated, and call the app inside."""
        session: Session = scope["wamp.session"]
        peer: Peer = scope["wamp.peer"]
        if not session.authenticated:
            peer.attach(receive, send)
            offered = next((name for name in session.authmethods if name in self._methods), None)
            if offered is not None and not await self._authenticate(session, peer, self._methods[offered]):
                return
        await self._app(scope, receive, send)

    async def _authenticate(self, session: Session, peer: Peer, method: ChallengeMethod) -> bool:
        identity = None
        try:
            extra = await method.challenge(session)
            await peer.send_now(Challenge(method.name, extra))
            answer = await peer.receive()
            if isinstance(answer, Abort):
                peer.cut(answer.reason, ended_by="client")
                return False
            assert isinstance(answer, Authenticate)
            identity = await method.verify(session, extra, answer)
        except RemoteProtocolError:
            raise
        except Disconnected:
            peer.cut(AUTHENTICATION_FAILED, ended_by="client")
            return False
        except Exception:
            logger.exception("%s authentication failed for %r", method.name, session)
        if identity is None:
            await peer.refuse(AUTHENTICATION_FAILED, "authentication failed")
            return False
        await session.mark_authenticated(identity, authmethod=method.name, authprovider="dynamic")
        return True
