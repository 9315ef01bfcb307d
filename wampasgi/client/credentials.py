"""The credentials of a client, and its answers to challenges.

Spec: Advanced Profile, "Ticket-based Authentication", "Challenge Response Authentication", "Salted Challenge
Response Authentication", "Cryptosign-based Authentication".
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias, TypedDict

from wampasgi.errors import ConfigurationError, RemoteProtocolError
from wampasgi.protocol.challenges import (
    KDF,
    SCRAMExchange,
    cra_signature,
    derive_key,
    is_nonce,
    salted_password,
    saslprep,
    scram_client_proof,
    scram_keys,
    scram_server_signature,
)
from wampasgi.protocol.messages import Challenge, Welcome

#: A function that answers challenges of a method of your own: it takes the Challenge, with ``method`` and
#: ``extra``, and returns the signature, or the signature and AUTHENTICATE.Extra. It may be async.
OnChallenge: TypeAlias = Callable[[Challenge], Any]

#: Costs that are lower would make a password easy to guess for a false server (RFC 7677 requires 4096).
_LEAST_ITERATIONS: Final = 1000
#: Costs that are higher would block the client: PBKDF2 and Argon2 iterations, Argon2 memory in KiB, and the
#: product of both. Autobahn derives keys with 4096 iterations and 512 KiB by default.
_MOST_ITERATIONS: Final = {"pbkdf2": 10_000_000, "argon2id13": 10_000}
_MOST_MEMORY: Final = 4 * 1024 * 1024
_MOST_MEMORY_PASSES: Final = 4 * _MOST_MEMORY
_MOST_KEY_LENGTH: Final = 1024

_HEX_KEY: Final = re.compile("[0-9a-fA-F]{64}")
_KEY_LENGTH: Final = 32
# Crossbar.io adds octets to the decoded nonce. The text is a prefix of the result only if it has no padding.
_NONCE_LENGTH: Final = 18

_ADVICE: Final = "pass ticket=, secret=, private_key= or on_challenge="


class CredentialOptions(TypedDict, total=False):
    """The keyword arguments of Credentials, which describes them."""

    authid: str | None
    ticket: str | None
    secret: str | None
    private_key: str | bytes | None
    on_challenge: OnChallenge | None
    authmethods: Sequence[str] | None
    authextra: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Dialect:
    """A kind of SCRAM: the names of its key derivation functions, and the other differences."""

    functions: Mapping[str, KDF]
    #: The encoded form of no channel binding.
    channel_binding: str
    #: The key of the router's proof in WELCOME.Details.authextra.
    proof: str
    #: Set if passwords are not normalised, the authid is not escaped, and the derived key is the unpadded
    #: base64 text.
    is_autobahns: bool


# By the names of the authentication methods. Autobahn's dialect, which Crossbar.io has, too, is described in
# wampasgi.auth.autobahn_scram.
_SCRAM: Final = {
    "wamp-scram": _Dialect({"argon2id13": "argon2id13", "pbkdf2": "pbkdf2"}, "biws", "verifier", False),
    "scram": _Dialect({"argon2id-13": "argon2id13"}, "", "scram_server_signature", True),
}

#: The methods whose answer takes long enough to block the event loop: they derive a key from a password.
SLOW_METHODS: Final = frozenset({"wampcra", *_SCRAM})


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The identity that a client claims, and the secret that proves it. The repr omits all secrets.

    At most one of ``ticket``, ``secret`` (a password for WAMP-SCRAM, WAMP-CRA or, if ``authmethods`` has
    ``"scram"``, Autobahn's SCRAM), ``private_key`` (32 octets in hex, for cryptosign) and ``on_challenge``
    may be given. ``authmethods`` replaces the methods that the client offers. Raises ConfigurationError for
    any other combination.
    """

    authid: str | None = None
    ticket: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    private_key: str | bytes | None = field(default=None, repr=False)
    on_challenge: OnChallenge | None = None
    authmethods: Sequence[str] | None = None
    authextra: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        given = [
            name
            for name in ("ticket", "secret", "private_key", "on_challenge")
            if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise ConfigurationError(f"{' and '.join(f'{name}=' for name in given)} are given: pass only one")
        for name in ("authid", "ticket", "secret"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise ConfigurationError(f"{name}= must be a str, got {type(value).__name__}")
        if isinstance(self.authmethods, str):
            raise ConfigurationError(f"authmethods= must be a list of names, got {self.authmethods!r}")
        if self.on_challenge is not None and not self.authmethods:
            raise ConfigurationError("on_challenge= needs authmethods=, the names of the methods to offer")
        if self.secret is not None and self.authid is None:
            raise ConfigurationError("secret= needs authid=, the name of the user")
        if self.private_key is not None:
            _signing_key(self.private_key)
        if self.offers_scram:
            try:
                saslprep(self.authid or "", stored=False)
            except ValueError as error:
                raise ConfigurationError(
                    f"authid= cannot be used with SCRAM, only with authmethods=['wampcra']: {error}"
                ) from error

    @property
    def methods(self) -> list[str] | None:
        """The authentication methods to offer in HELLO, None for the router's default."""
        if self.authmethods is not None:
            return list(self.authmethods)
        if self.ticket is not None:
            return ["ticket"]
        if self.secret is not None:
            # The router takes the first that it supports. SCRAM does not send anything that can be replayed,
            # and proves that the router knows the user, too.
            return ["wamp-scram", "wampcra"]
        return ["cryptosign"] if self.private_key is not None else None

    @property
    def offers_scram(self) -> bool:
        """Return whether the password may be proven with one of the kinds of SCRAM."""
        return self.secret is not None and not _SCRAM.keys().isdisjoint(self.methods or ())

    def without_scram(self) -> Credentials | None:
        """Return credentials that offer only WAMP-CRA for the password, or None if these offer one method.

        Crossbar.io and xconn refuse a client if the first method that it offers is unknown to them.
        """
        if self.secret is None or self.authmethods is not None:
            return None
        return replace(self, authmethods=["wampcra"])


class Login:
    """One attempt to authenticate: the details of HELLO, and the answer to each CHALLENGE."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        authid = credentials.authid or ""
        # SCRAM signs the normalised form.
        self._authid = saslprep(authid, stored=False) if credentials.offers_scram else authid
        self._nonce = base64.b64encode(secrets.token_bytes(_NONCE_LENGTH)).decode()
        # The proof of the router that WELCOME must have after SCRAM: its key in authextra, and its value.
        self._expected: tuple[str, str] | None = None

    def details(self) -> dict[str, Any]:
        """Return the parts of HELLO.Details that concern authentication."""
        credentials = self._credentials
        details: dict[str, Any] = {}
        extra = dict(credentials.authextra or {})
        methods = credentials.methods
        if methods is not None:
            details["authmethods"] = methods
            if credentials.offers_scram:
                extra |= {"nonce": self._nonce, "channel_binding": None}
            if credentials.private_key is not None:
                key = bytes(_signing_key(credentials.private_key).verify_key).hex()
                extra |= {"pubkey": key, "channel_binding": None}
        if credentials.authid is not None:
            details["authid"] = self._authid
        if extra:
            details["authextra"] = extra
        return details

    def answer(self, challenge: Challenge) -> tuple[str, dict[str, Any]] | Awaitable[Any]:
        """Return the signature and AUTHENTICATE.Extra for a challenge.

        This may take long, so call it in a worker thread. An awaitable comes from an async ``on_challenge``;
        pass its value to ``checked``. Raises RemoteProtocolError if the challenge is invalid, and
        ConfigurationError if the credentials do not fit the method.
        """
        credentials, method = self._credentials, challenge.method
        offered = credentials.methods
        if offered is None or method not in offered:
            offers = ", ".join(offered) if offered else "no method, because it has no credentials"
            raise ConfigurationError(
                f"the router demands authentication with {method!r}, but this client offers {offers}:"
                f" {_ADVICE}"
            )
        if credentials.on_challenge is not None:
            answer = credentials.on_challenge(challenge)
            return answer if isinstance(answer, Awaitable) else checked(answer)
        if method == "ticket" and credentials.ticket is not None:
            return credentials.ticket, {}
        if method == "wampcra" and credentials.secret is not None:
            return cra_response(challenge.extra, credentials.secret), {}
        if method in _SCRAM and credentials.secret is not None:
            return self._prove_scram(challenge.extra, credentials.secret, _SCRAM[method])
        if method == "cryptosign" and credentials.private_key is not None:
            return _sign_cryptosign(challenge.extra, credentials.private_key), {}
        raise ConfigurationError(
            f"this client has no credentials for the authentication method {method!r}: {_ADVICE}"
        )

    def check(self, welcome: Welcome) -> None:
        """Check the router's proof in WELCOME. Raises RemoteProtocolError if it is missing or wrong."""
        if self._expected is None:
            return
        name, signature = self._expected
        proof = (welcome.details.get("authextra") or {}).get(name)
        given = proof.removeprefix("v=") if isinstance(proof, str) else ""
        if not hmac.compare_digest(given.encode(), signature.encode()):
            raise RemoteProtocolError(
                f"WELCOME.Details.authextra.{name} must prove that the router knows the user, but does not"
            )

    def _prove_scram(
        self, extra: Mapping[str, Any], secret: str, dialect: _Dialect
    ) -> tuple[str, dict[str, Any]]:
        nonce, own = _text(extra, "nonce"), self._nonce
        if not nonce.startswith(own) or len(nonce) <= len(own) or not is_nonce(nonce[len(own) :]):
            raise RemoteProtocolError("CHALLENGE.Extra.nonce must be the client's nonce and more base64 text")
        salted = _salted_password(extra, secret, dialect)
        exchange = SCRAMExchange(
            authid=self._authid,
            client_nonce=own,
            nonce=nonce,
            salt=extra["salt"],
            iterations=extra["iterations"],
            channel_binding=dialect.channel_binding,
            escapes_authid=not dialect.is_autobahns,
        )
        _, server_key = scram_keys(salted)
        self._expected = dialect.proof, scram_server_signature(exchange, server_key)
        proof = scram_client_proof(salted, exchange)
        if dialect.is_autobahns:
            return proof, {}
        return proof, {"nonce": nonce, "channel_binding": None, "cbind_data": None}


def _salted_password(extra: Mapping[str, Any], secret: str, dialect: _Dialect) -> bytes:
    """Return the key that CHALLENGE.Extra demands. Raises RemoteProtocolError and ConfigurationError."""
    kdf, salt = _text(extra, "kdf"), _octets("salt", _text(extra, "salt"))
    if kdf not in dialect.functions:
        known = " or ".join(map(repr, dialect.functions))
        raise RemoteProtocolError(f"CHALLENGE.Extra.kdf must be {known}, got {kdf[:40]!r}")
    function, iterations, memory = dialect.functions[kdf], extra.get("iterations"), extra.get("memory")
    least = _LEAST_ITERATIONS if function == "pbkdf2" else 1
    iterations = _integer("iterations", iterations, least, _MOST_ITERATIONS[function])
    if function == "pbkdf2":
        memory = None
    else:
        memory = _integer("memory", memory, 8, min(_MOST_MEMORY, _MOST_MEMORY_PASSES // iterations))
    try:
        normalised = saslprep(secret)
    except ValueError as error:
        raise ConfigurationError(f"secret= cannot be used with SCRAM: {error}") from error
    if dialect.is_autobahns and normalised != secret:
        raise ConfigurationError(
            "secret= cannot be used with Autobahn's SCRAM, which does not normalise passwords,"
            " because SASLprep (RFC 4013) changes it: choose another password"
        )
    try:
        salted = salted_password(secret, kdf=function, salt=salt, iterations=iterations, memory=memory)
    except ValueError as error:
        raise RemoteProtocolError(f"CHALLENGE.Extra has values that cannot be used: {error}") from error
    return base64.b64encode(salted).rstrip(b"=") if dialect.is_autobahns else salted


def checked(answer: Any) -> tuple[str, dict[str, Any]]:
    """Return the result of ``on_challenge`` as a signature and AUTHENTICATE.Extra. Raises TypeError."""
    signature, extra = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, {})
    if not isinstance(signature, str) or not isinstance(extra, Mapping):
        raise TypeError(f"on_challenge returned {type(answer).__name__}: return a str, or a str and a dict")
    return signature, dict(extra)


def cra_response(extra: Mapping[str, Any], secret: str) -> str:
    """Return the signature for the CHALLENGE.Extra of WAMP-CRA, whose key a salt derives from the secret.

    Raises RemoteProtocolError for an invalid challenge.
    Spec: Advanced Profile, "Challenge Response Authentication".
    """
    challenge, key = _text(extra, "challenge"), secret
    if extra.get("salt") is not None:
        iterations, length = extra.get("iterations") or 1000, extra.get("keylen") or 32
        _integer("iterations", iterations, 1, _MOST_ITERATIONS["pbkdf2"])
        _integer("keylen", length, 1, _MOST_KEY_LENGTH)
        key = derive_key(secret, _text(extra, "salt"), iterations, length)
    return cra_signature(key, challenge)


def _sign_cryptosign(extra: Mapping[str, Any], private_key: str | bytes) -> str:
    text = _text(extra, "challenge")
    if _HEX_KEY.fullmatch(text) is None:
        raise RemoteProtocolError("CHALLENGE.Extra.challenge must be 32 octets in hex")
    challenge = bytes.fromhex(text)
    signature = bytes(_signing_key(private_key).sign(challenge).signature)
    return (signature + challenge).hex()


def _signing_key(private_key: str | bytes) -> Any:
    try:
        from nacl.signing import SigningKey
    except ImportError as error:
        raise ConfigurationError("private_key= needs PyNaCl: install wampasgi[cryptosign]") from error
    key: object = private_key
    if isinstance(key, str) and _HEX_KEY.fullmatch(key) is not None:
        key = bytes.fromhex(key)
    if not isinstance(key, bytes) or len(key) != _KEY_LENGTH:
        raise ConfigurationError(
            "private_key= must be an Ed25519 private key: 32 octets, or a str with them in hex"
        )
    return SigningKey(key)


def _text(extra: Mapping[str, Any], name: str) -> str:
    value = extra.get(name)
    if not isinstance(value, str):
        raise RemoteProtocolError(f"CHALLENGE.Extra.{name} must be a string, got {type(value).__name__}")
    return value


def _integer(name: str, value: object, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise RemoteProtocolError(f"CHALLENGE.Extra.{name} must be an integer from {least} to {most}")
    return value


def _octets(name: str, text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise RemoteProtocolError(f"CHALLENGE.Extra.{name} must be base64 text") from error
