"""WAMP-CRA: the client signs a challenge with a secret that both know."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

from wampasgi.auth.handlers import AuthenticationHandler, identify
from wampasgi.auth.method import Accepted, Unsuitable
from wampasgi.injection.plan import HandlerPlan
from wampasgi.peers.session import Session
from wampasgi.protocol.challenges import cra_challenge, mock_salt, verify_cra
from wampasgi.protocol.messages import Authenticate
from wampasgi.types import Handler


@dataclass(frozen=True, slots=True)
class CRAAuthRequirement:
    """What a session has to prove to know, and what it is let in as. Its repr does not show the secret.

    ``secret`` is the text that client and server share or, with a ``salt``, the key that ``derive_key`` has
    made of it, as base64 text; ``iterations`` and ``keylen`` (octets) are those that it was made with.
    ``auth_role`` and ``auth_provider`` are what WELCOME says.
    """

    secret: str = field(repr=False)
    auth_role: str
    auth_provider: str
    salt: str | None = None
    iterations: int = 1000
    keylen: int = 32

    def __post_init__(self) -> None:
        for found in fields(self):
            value, name = getattr(self, found.name), f"CRAAuthRequirement.{found.name}"
            if found.name in ("iterations", "keylen"):
                if type(value) is not int or value < 1:
                    raise ValueError(f"{name} is {value!r}: it must be an int above zero")
            elif not (isinstance(value, str) and value) and (found.name, value) != ("salt", None):
                # The value itself might be a secret.
                raise ValueError(f"{name} must be text that is not empty, got {type(value).__name__}")


class CRAMethod:
    """Challenges clients to sign with their secret.

    ``requirement``, ``async fn(session)``, returns the CRAAuthRequirement of ``session.authid``, or None
    where nobody has this name. ``identity``, ``async fn(session)``, is asked when the client has proven to
    know the secret; None denies it: ABORT ``wamp.error.authorization_denied``.

    Unknown users are challenged as if they were known: like ``unknown``, of which all but the secret and the
    salt is used or, where that is None, like the first known user. Processes that serve the same realm share
    ``mock_secret``, so that all make the same salts for unknown users.
    Spec: Advanced Profile, "Challenge Response Authentication".
    """

    name = "wampcra"

    def __init__(
        self,
        requirement: Handler | HandlerPlan,
        identity: Handler | HandlerPlan,
        *,
        unknown: CRAAuthRequirement | None = None,
        mock_secret: bytes | None = None,
    ) -> None:
        self._requirement = AuthenticationHandler(requirement)
        self._identity = AuthenticationHandler(identity)
        self._model = unknown
        self._mock_secret = mock_secret or secrets.token_bytes(32)

    async def begin(self, session: Session) -> CRAExchange:
        """Challenge a session, whether its user is known or not."""
        if not session.authid:
            raise Unsuitable("HELLO.Details.authid is missing")
        # Made for the known, too, so that they take as long as the unknown.
        mock = self._mock(session.authid)
        required = await self._requirement.call(session)
        if required is None:
            return CRAExchange(session, mock, None)
        if not isinstance(required, CRAAuthRequirement):
            raise TypeError(
                f"{self._requirement.name} must return a CRAAuthRequirement or None, not {type(required)}"
            )
        if self._model is None:
            self._model = replace(required, secret="-")
        return CRAExchange(session, required, self._identity)

    def _mock(self, authid: str) -> CRAAuthRequirement:
        secret = secrets.token_hex(32)
        model = self._model or CRAAuthRequirement(secret, "user", "dynamic")
        salt = model.salt and mock_salt(model.salt, self._mock_secret, authid)
        return replace(model, secret=secret, salt=salt)


class CRAExchange:
    """One challenge for one session; without ``identity`` it is a mock that nothing solves."""

    def __init__(
        self, session: Session, required: CRAAuthRequirement, identity: AuthenticationHandler | None
    ) -> None:
        self._session = session
        self._required = required
        self._identity = identity
        self._challenge = cra_challenge(
            session_id=session.id,
            authid=session.authid or "",
            authrole=required.auth_role,
            authprovider=required.auth_provider,
            nonce=secrets.token_urlsafe(24),
            timestamp=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        )
        #: CHALLENGE.Extra.
        self.extra: Mapping[str, Any] = {"challenge": self._challenge}
        if required.salt is not None:
            salting = {"salt": required.salt, "iterations": required.iterations, "keylen": required.keylen}
            self.extra = {**self.extra, **salting}

    async def verify(self, answer: Authenticate) -> Accepted | None:
        """The identity, if the challenge was signed with the right secret."""
        signed = verify_cra(self._challenge, answer.signature, self._required.secret)
        if not signed or self._identity is None:
            return None
        identity = await identify(self._identity, self._session)
        return Accepted(
            identity=identity,
            # What was signed is what the session is let in as.
            authid=self._session.authid,
            authrole=self._required.auth_role,
            authprovider=self._required.auth_provider,
        )
