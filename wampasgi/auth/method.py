"""The interfaces of authentication methods that use CHALLENGE and AUTHENTICATE.

Implement ``ChallengeMethod`` and ``Exchange`` for a method of your own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from wampasgi.peers.session import Session
from wampasgi.protocol.messages import Authenticate


class Unsuitable(Exception):
    """Raised by ``ChallengeMethod.begin`` if HELLO does not suit the method; the next method is tried.

    Its text is logged and should name what HELLO lacks. Spec: Advanced Profile, "Authentication Methods"
    (each method: "skip forward trying other authentication methods").
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The result of a valid proof.

    ``identity`` is any object but None, or an ``Identity``. Set ``authid``, ``authrole`` and ``authprovider``
    if the method determines them; None leaves them to the identity. ``authextra`` is added to that of the
    identity.

    If neither names an authid, the session gets a random one. The authid that the client claims counts only
    if the client has proven that it is its own: pass ``authid=session.authid`` then.
    """

    identity: Any
    authid: str | None = None
    authrole: str | None = None
    authprovider: str | None = None
    authextra: Mapping[str, Any] | None = None


class Exchange(Protocol):
    """One CHALLENGE to one session; its answer is verified once.

    It holds the data of this session. The method must not, because all sessions share it. An exchange with an
    unknown user may have the attribute ``known = False``, for the log and ``on_authentication_failed``.
    """

    @property
    def extra(self) -> Mapping[str, Any]:
        """CHALLENGE.Extra."""

    async def verify(self, answer: Authenticate) -> Accepted | None:
        """Return the result of a valid proof, or None for an invalid one.

        Errors abort the session with ``wamp.error.authentication_failed``. To deny access to a session whose
        proof is valid, raise WAMPError ``wamp.error.authorization_denied``.
        """


class ChallengeMethod(Protocol):
    """One authentication method of a realm."""

    @property
    def name(self) -> str:
        """The name of the method in HELLO.Details.authmethods and WELCOME.Details.authmethod."""

    async def begin(self, session: Session) -> Exchange | None:
        """Begin an exchange with a session that offers this method.

        Challenge unknown users like known ones; otherwise the challenge would reveal which users exist. Raise
        Unsuitable if HELLO lacks what the method needs. A method that needs no challenge awaits
        ``session.mark_authenticated`` or ``session.abort`` and returns None.
        """
