"""What an authentication method with CHALLENGE and AUTHENTICATE is: write your own by these two protocols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from wampasgi.peers.session import Session
from wampasgi.protocol.messages import Authenticate


class Unsuitable(Exception):
    """Raised by ``ChallengeMethod.begin``: this HELLO is not fit for the method, the next one has its turn.

    Its text, which says what HELLO lacks, is logged. Spec: Advanced Profile, "Authentication Methods"
    (each method: "skip forward trying other authentication methods").
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The session has proven who it is.

    ``identity`` is any object, or an ``Identity``; ``authid``, ``authrole`` and ``authprovider`` where the
    method fixes them, None where they are the identity's. ``authextra`` is added to that of the identity.
    """

    identity: Any
    authid: str | None = None
    authrole: str | None = None
    authprovider: str | None = None
    authextra: Mapping[str, Any] | None = None


class Exchange(Protocol):
    """One CHALLENGE to one session; its answer is verified once.

    What belongs to one session is kept here, never in the method, which all sessions share.
    """

    @property
    def extra(self) -> Mapping[str, Any]:
        """CHALLENGE.Extra."""

    async def verify(self, answer: Authenticate) -> Accepted | None:
        """What the answer proves, None where it proves nothing.

        A failure of any kind is answered ``wamp.error.authentication_failed``. Raise WAMPError
        ``wamp.error.authorization_denied`` for a session that is authentic and yet may not come in.
        """


class ChallengeMethod(Protocol):
    """One authentication method of a realm."""

    @property
    def name(self) -> str:
        """The name by which clients offer it in HELLO.Details.authmethods, and which WELCOME gives back."""

    async def begin(self, session: Session) -> Exchange | None:
        """Begin an exchange with a session that has offered this method.

        Whoever is unknown is challenged like everybody else, or the challenge would tell who is known. Raise
        Unsuitable where HELLO lacks what the method needs. None is for a method that needs no challenge and
        has called ``session.mark_authenticated`` or ``session.abort``.
        """
