"""Cryptosign: the client signs a challenge with its private Ed25519 key."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from wampasgi.auth.handlers import AuthenticationHandler, IdentityHandler, authid_of
from wampasgi.auth.method import Accepted, Unsuitable
from wampasgi.auth.results import WrongResult, wrong_result
from wampasgi.injection.plan import HandlerPlan
from wampasgi.peers.identity import description_of
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
        self._keys = AuthenticationHandler(
            keys, expected="the public keys in hex, a list of str, which is empty for an unknown user"
        )
        self._identity = IdentityHandler(identity)
        self._verify: _Verify = cryptosign_verifier()

    async def begin(self, session: Session) -> CryptosignExchange:
        """Create a challenge for a session, whether its key is known or not."""
        public_key = (session.details.get("authextra") or {}).get("pubkey")
        if not is_public_key(public_key):
            raise Unsuitable("HELLO.Details.authextra.pubkey must be 32 octets in hex")
        public_key = public_key.lower()
        if not session.authid:
            session.claim_authid(public_key)
        known = public_key in await self._known_keys(session)
        return CryptosignExchange(session, public_key, self._verify, self._identity if known else None)

    async def _known_keys(self, session: Session) -> set[str]:
        """Return the public keys of the user in lower case. Raises WrongResult for anything but keys."""
        handler = self._keys
        found: object = await handler.call(session)
        if found is None:
            return set()
        # A single str is one key, not a sequence of characters.
        keys = [found] if isinstance(found, str) else found
        if isinstance(keys, (bytes, bytearray, memoryview)) or not isinstance(keys, Iterable):
            raise wrong_result(handler.description, found, handler.expected)
        known: set[str] = set()
        for key in keys:
            if not isinstance(key, str):
                text = f"{description_of(found)} with {description_of(key)}"
                raise WrongResult(handler.description, text, handler.expected)
            known.add(key.lower())
        return known


class CryptosignExchange:
    """One challenge for one session; without ``identity`` it is a mock challenge, which every proof fails."""

    def __init__(
        self, session: Session, public_key: str, verify: _Verify, identity: IdentityHandler | None
    ) -> None:
        self._session = session
        # The key that the client proves to own belongs to the authid that it claims now.
        self._authid = session.authid
        self._public_key = public_key
        self._verify = verify
        self._identity = identity
        #: False for an unknown user or key, for the log.
        self.known = identity is not None
        self._challenge = secrets.token_hex(32)
        #: CHALLENGE.Extra.
        self.extra: Mapping[str, Any] = {"challenge": self._challenge, "channel_binding": None}

    async def verify(self, answer: Authenticate) -> Accepted | None:
        """Return the identity if the challenge was signed with the announced key."""
        signed = self._verify(self._challenge, answer.signature, self._public_key)
        if not signed or self._identity is None:
            return None
        identity = await self._identity.require(self._session)
        return Accepted(identity=identity, authid=authid_of(identity, self._authid))
