"""WAMP-CRA: the client signs a challenge with a shared secret."""

from __future__ import annotations

import secrets
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from wampasgi.auth.handlers import AuthenticationHandler, IdentityHandler
from wampasgi.auth.method import Accepted, Unsuitable
from wampasgi.auth.mock_secret import MockSecret, secret_source
from wampasgi.auth.results import wrong_result
from wampasgi.injection.plan import HandlerPlan
from wampasgi.peers.session import Session
from wampasgi.peers.wall_clock import utc_now
from wampasgi.protocol.challenges import cra_challenge, mock_salt, verify_cra
from wampasgi.protocol.messages import Authenticate
from wampasgi.types import Handler


@dataclass(frozen=True, slots=True)
class CRAAuthRequirement:
    """The secret that a session must prove to know, and its role if it does. The repr omits the secret.

    ``secret`` is the text that client and server share. With a ``salt`` it is the key that ``derive_key``
    derives from that text, in base64; ``iterations`` and ``keylen`` (octets) are the parameters of the
    derivation. WELCOME has ``auth_role`` and ``auth_provider``.

    Both can be bytes, as the clients' libraries take and return them. Bytes are this text in UTF-8, so the
    key is still in base64: the octets that PBKDF2 returns are not a valid secret. The attribute is always
    a str. Raises ValueError for bytes that are not UTF-8.
    """

    secret: str | bytes = field(repr=False)
    auth_role: str
    auth_provider: str
    salt: str | None = None
    iterations: int = 1000
    keylen: int = 32

    def __post_init__(self) -> None:
        if isinstance(self.secret, bytes):
            object.__setattr__(self, "secret", self._text_of(self.secret))
        for found in fields(self):
            value, name = getattr(self, found.name), f"CRAAuthRequirement.{found.name}"
            if found.name in ("iterations", "keylen"):
                if type(value) is not int or value < 1:
                    raise ValueError(f"{name} is {value!r}: it must be an int greater than zero")
            elif not (isinstance(value, str) and value) and (found.name, value) != ("salt", None):
                # The value is not shown, because it may be a secret.
                raise ValueError(f"{name} must be a non-empty str, got {type(value).__name__}")

    def _text_of(self, secret: bytes) -> str:
        """Return the text of a secret in bytes. Raises ValueError if no client can sign with it.

        The usual mistake is to pass the derived key itself instead of its base64 form.
        """
        try:
            text = secret.decode()
            if self.salt is not None and len(b64decode(secret, validate=True)) != self.keylen:
                raise ValueError
        except ValueError:
            form = "text in UTF-8"
            if self.salt is not None:
                form = f"the base64 form of {self.keylen} octets: derive_key returns the key to store"
            # Without the cause, which may show the secret.
            raise ValueError(f"CRAAuthRequirement.secret is bytes, which must be {form}") from None
        return text


class CRAMethod:
    """Challenges clients to sign with their secret.

    ``requirement``, ``async fn(session)``, returns the CRAAuthRequirement of ``session.authid``, or None for
    an unknown user. ``identity``, ``async fn(session)``, is called after the client has proven to know the
    secret. If it returns None, the session is aborted with ``wamp.error.authorization_denied``.

    Unknown users are challenged as if they were known, with everything but the secret and salt of
    ``unknown`` or, if that is None, of the first known user. ``mock_secret`` is the key of their
    salts, or a function that returns it; processes that serve the same realm must share it.
    Spec: Advanced Profile, "Challenge Response Authentication".
    """

    name = "wampcra"

    def __init__(
        self,
        requirement: Handler | HandlerPlan,
        identity: Handler | HandlerPlan,
        *,
        unknown: CRAAuthRequirement | None = None,
        mock_secret: MockSecret = None,
    ) -> None:
        self._requirement = AuthenticationHandler(
            requirement, expected="a CRAAuthRequirement, or None for an unknown user"
        )
        self._identity = IdentityHandler(identity)
        self._model = unknown
        self._mock_secret = secret_source(mock_secret)

    async def begin(self, session: Session) -> CRAExchange:
        """Create a challenge for a session, whether its user is known or not."""
        if not session.authid:
            raise Unsuitable("HELLO.Details.authid is missing")
        # Also made for known users, so that known and unknown users take the same time.
        mock = self._mock(session.authid)
        required = await self._requirement.call(session)
        if required is None:
            return CRAExchange(session, mock, None)
        if not isinstance(required, CRAAuthRequirement):
            raise wrong_result(self._requirement.description, required, self._requirement.expected)
        if self._model is None:
            self._model = replace(required, secret="-")
        return CRAExchange(session, required, self._identity)

    def _mock(self, authid: str) -> CRAAuthRequirement:
        secret = secrets.token_hex(32)
        model = self._model or CRAAuthRequirement(secret, "user", "dynamic")
        salt = model.salt and mock_salt(model.salt, self._mock_secret(), authid)
        return replace(model, secret=secret, salt=salt)


class CRAExchange:
    """One challenge for one session; without ``identity`` it is a mock challenge, which every proof fails."""

    def __init__(
        self, session: Session, required: CRAAuthRequirement, identity: IdentityHandler | None
    ) -> None:
        self._session = session
        # The authid that the client signs.
        self._authid = session.authid
        self._required = required
        self._identity = identity
        #: False for an unknown user, for the log.
        self.known = identity is not None
        self._challenge = cra_challenge(
            session_id=session.id,
            authid=self._authid or "",
            authrole=required.auth_role,
            authprovider=required.auth_provider,
            nonce=secrets.token_urlsafe(24),
            timestamp=utc_now(),
        )
        #: CHALLENGE.Extra.
        self.extra: Mapping[str, Any] = {"challenge": self._challenge}
        if required.salt is not None:
            salting = {"salt": required.salt, "iterations": required.iterations, "keylen": required.keylen}
            self.extra = {**self.extra, **salting}

    async def verify(self, answer: Authenticate) -> Accepted | None:
        """Return the identity if the challenge was signed with the right secret."""
        key = self._required.secret
        assert isinstance(key, str), "bytes were decoded"
        signed = verify_cra(self._challenge, answer.signature, key)
        if not signed or self._identity is None:
            return None
        identity = await self._identity.require(self._session)
        return Accepted(
            identity=identity,
            # The session gets exactly the details that the client has signed.
            authid=self._authid,
            authrole=self._required.auth_role,
            authprovider=self._required.auth_provider,
        )
