"""Cryptosign: the client signs a challenge with its private Ed25519 key."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from wampasgi.auth.handlers import AuthenticationHandler, identify
from wampasgi.auth.method import Accepted, Unsuitable
from wampasgi.injection.plan import HandlerPlan
from wampasgi.peers.session import Session
from wampasgi.protocol.challenges import cryptosign_verifier, is_public_key
from wampasgi.protocol.messages import Authenticate
from wampasgi.types import Handler

_Verify = Callable[[str, str, str], bool]


class CryptosignMethod:
    """Challenges clients to sign with the private key that belongs to the public key they announce.

    ``keys``, ``async fn(session)``, returns the public keys of ``session.authid`` in hex, none for an unknown
    user. The authid of a client that names none is its public key in lower case. ``identity``,
    ``async fn(session)``, is called after the client has proven to own one of the keys. If it returns None,
    the session is aborted with ``wamp.error.authorization_denied``.

    Clients with an unknown key are challenged as if it were known. Channel binding, certificates and
    signatures of the router are not supported. Raises ConfigurationError if PyNaCl is not installed
    (``wampasgi[cryptosign]``). Spec: Advanced Profile, "Cryptosign-based Authentication".
    """

    name = "cryptosign"

    def __init__(self, keys: Handler | HandlerPlan, identity: Handler | HandlerPlan) -> None:
        self._keys = AuthenticationHandler(keys)
        self._identity = AuthenticationHandler(identity)
        self._verify: _Verify = cryptosign_verifier()

    async def begin(self, session: Session) -> CryptosignExchange:
        """Create a challenge for a session, whether its key is known or not."""
        public_key = (session.details.get("authextra") or {}).get("pubkey")
        if not is_public_key(public_key):
            raise Unsuitable("HELLO.Details.authextra.pubkey must be 32 octets in hex")
        public_key = public_key.lower()
        if not session.authid:
            session.claim_authid(public_key)
        found: str | Iterable[str] | None = await self._keys.call(session)
        keys = {found} if isinstance(found, str) else set(found or ())
        known = public_key in {key.lower() for key in keys}
        return CryptosignExchange(session, public_key, self._verify, self._identity if known else None)


class CryptosignExchange:
    """One challenge for one session; without ``identity`` it is a mock challenge, which every proof fails."""

    def __init__(
        self, session: Session, public_key: str, verify: _Verify, identity: AuthenticationHandler | None
    ) -> None:
        self._session = session
        self._public_key = public_key
        self._verify = verify
        self._identity = identity
        self._challenge = secrets.token_hex(32)
        #: CHALLENGE.Extra.
        self.extra: Mapping[str, Any] = {"challenge": self._challenge, "channel_binding": None}

    async def verify(self, answer: Authenticate) -> Accepted | None:
        """Return the identity if the challenge was signed with the announced key."""
        signed = self._verify(self._challenge, answer.signature, self._public_key)
        if not signed or self._identity is None:
            return None
        identity = await identify(self._identity, self._session)
        return Accepted(identity=identity)
