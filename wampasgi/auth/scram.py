"""WAMP-SCRAM: authentication by a password that is neither sent nor stored.

The server also proves to the client that it knows the user.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import Any

from wampasgi.auth.handlers import AuthenticationHandler, IdentityHandler, authid_of
from wampasgi.auth.method import Accepted, Unsuitable
from wampasgi.auth.mock_secret import MockSecret, secret_source
from wampasgi.auth.results import wrong_result
from wampasgi.errors import AUTHENTICATION_FAILED
from wampasgi.injection.plan import HandlerPlan
from wampasgi.peers.session import Session
from wampasgi.protocol.challenges import (
    KDF,
    SCRAMCredential,
    SCRAMExchange,
    is_nonce,
    mock_scram_credential,
    salted_password,
    saslprep,
    scram_keys,
    scram_server_signature,
    verify_scram,
)
from wampasgi.protocol.messages import Authenticate
from wampasgi.types import Handler

#: Lengths in octets. The specification recommends 16 for both.
_NONCE_LENGTH = 16
SALT_LENGTH = 16

# The cost of each login for the client: OWASP's recommendations for stored passwords.
_PBKDF2_ITERATIONS = 600_000
ARGON2_ITERATIONS = 2
#: In KiB.
ARGON2_MEMORY = 19 * 1024


def scram_credential(
    password: str,
    kdf: KDF = "argon2id13",
    *,
    iterations: int | None = None,
    memory: int | None = None,
    salt: bytes | None = None,
) -> SCRAMCredential:
    """Return the credential to store for a password, for WAMP-SCRAM.

    ``iterations`` and ``memory`` (in KiB, Argon2 only) determine the cost of each login for the client. The
    defaults are 2 and 19 MiB for ``argon2id13``, and 600000 iterations for ``pbkdf2``. ``salt`` is random by
    default. This takes about as long as a login, so call it in a thread. Raises ValueError for a password
    with characters that SASLprep forbids, and ConfigurationError if Argon2 is not installed
    (``wampasgi[scram]``).
    """
    if kdf == "argon2id13":
        iterations, memory = iterations or ARGON2_ITERATIONS, memory or ARGON2_MEMORY
    costs = iterations or _PBKDF2_ITERATIONS
    octets = salt or secrets.token_bytes(SALT_LENGTH)
    salted = salted_password(password, kdf=kdf, salt=octets, iterations=costs, memory=memory)
    stored_key, server_key = scram_keys(salted)
    return SCRAMCredential(
        kdf=kdf,
        iterations=costs,
        memory=memory,
        salt=base64.b64encode(octets).decode(),
        stored_key=stored_key,
        server_key=server_key,
    )


class SCRAMSessionExchange:
    """One challenge for one session; without ``identity`` it is a mock challenge, which every proof fails."""

    # ``c`` in AuthMessage for no channel binding, the form of the authid in it, and the key of the server's
    # signature in WELCOME.Details.authextra.
    _channel_binding = "biws"
    _escapes_authid = True
    _signature_name = "verifier"

    def __init__(
        self,
        session: Session,
        client_nonce: str,
        credential: SCRAMCredential,
        identity: IdentityHandler | None,
    ) -> None:
        self._session = session
        self._credential = credential
        self._identity = identity
        #: False for an unknown user, for the log.
        self.known = identity is not None
        nonce = client_nonce + base64.b64encode(secrets.token_bytes(_NONCE_LENGTH)).decode()
        self._exchange = SCRAMExchange(
            authid=session.authid or "",
            client_nonce=client_nonce,
            nonce=nonce,
            salt=credential.salt,
            iterations=credential.iterations,
            channel_binding=self._channel_binding,
            escapes_authid=self._escapes_authid,
        )
        #: CHALLENGE.Extra.
        self.extra: Mapping[str, Any] = self._challenge(nonce)

    async def verify(self, answer: Authenticate) -> Accepted | None:
        """Return the identity and the server's signature if the proof is valid."""
        proven = verify_scram(self._exchange, answer.signature, self._credential.stored_key)
        signature = scram_server_signature(self._exchange, self._credential.server_key)
        if not (self._matches_exchange(answer) and proven) or self._identity is None:
            return None
        identity = await self._identity.require(self._session)
        return Accepted(
            identity=identity,
            authid=authid_of(identity, self._exchange.authid),
            authextra={self._signature_name: signature},
        )

    def _challenge(self, nonce: str) -> dict[str, Any]:
        credential = self._credential
        return {
            "nonce": nonce,
            "salt": credential.salt,
            "kdf": credential.kdf,
            "iterations": credential.iterations,
            "memory": credential.memory,
        }

    def _matches_exchange(self, answer: Authenticate) -> bool:
        """Return True if the data sent with the proof belongs to this exchange."""
        extra = answer.extra
        unbound = extra.get("channel_binding") is None and extra.get("cbind_data") is None
        return unbound and extra.get("nonce") == self._exchange.nonce


class SCRAMMethod:
    """Challenges clients to prove that they know their password.

    ``credential``, ``async fn(session)``, returns the SCRAMCredential of ``session.authid``, which is
    normalised with SASLprep, or None for an unknown user. ``identity``, ``async fn(session)``, is called
    after the client has proven to know the password. If it returns None, the session is aborted with
    ``wamp.error.authorization_denied``.

    Unknown users are challenged as if they were known, with the costs of ``unknown`` or, if that is None, of
    the first known user. ``mock_secret`` is the key of their salts, or a function that returns it; processes
    that serve the same realm must share it. Channel binding is not supported.
    Spec: Advanced Profile, "Salted Challenge Response Authentication".
    """

    name = "wamp-scram"
    _exchange: type[SCRAMSessionExchange] = SCRAMSessionExchange

    def __init__(
        self,
        credential: Handler | HandlerPlan,
        identity: Handler | HandlerPlan,
        *,
        unknown: SCRAMCredential | None = None,
        mock_secret: MockSecret = None,
    ) -> None:
        self._credential = AuthenticationHandler(
            credential, expected="a SCRAMCredential, or None for an unknown user"
        )
        self._identity = IdentityHandler(identity)
        self._model = unknown
        self._mock_secret = secret_source(mock_secret)

    async def begin(self, session: Session) -> SCRAMSessionExchange | None:
        """Create a challenge for a session, whether its user is known or not."""
        extra = session.details.get("authextra") or {}
        client_nonce = extra.get("nonce")
        if not is_nonce(client_nonce):
            raise Unsuitable("HELLO.Details.authextra.nonce must be octets in base64")
        authid = _normalise(session.authid)
        if extra.get("channel_binding") is not None:
            text = "channel binding is not supported: HELLO.Details.authextra.channel_binding must be null"
            await session.abort(AUTHENTICATION_FAILED, text)
            return None
        session.claim_authid(authid)
        # Also made for known users, so that known and unknown users take the same time.
        mock = self._mock(authid)
        credential = await self._credential.call(session)
        if credential is None:
            return self._exchange(session, client_nonce, mock, None)
        if not isinstance(credential, SCRAMCredential):
            raise wrong_result(self._credential.description, credential, self._credential.expected)
        if self._model is None:
            self._model = mock_scram_credential(credential, self._mock_secret(), "")
        return self._exchange(session, client_nonce, credential, self._identity)

    def _mock(self, authid: str) -> SCRAMCredential:
        model = self._model or SCRAMCredential(
            kdf="argon2id13",
            iterations=ARGON2_ITERATIONS,
            memory=ARGON2_MEMORY,
            salt=base64.b64encode(bytes(SALT_LENGTH)).decode(),
            stored_key="",
            server_key="",
        )
        return mock_scram_credential(model, self._mock_secret(), authid)


def _normalise(authid: str | None) -> str:
    try:
        normalised = saslprep(authid or "", stored=False)
    except ValueError as error:
        raise Unsuitable(f"HELLO.Details.authid: {error}") from error
    if not normalised:
        raise Unsuitable("HELLO.Details.authid is missing")
    return normalised
