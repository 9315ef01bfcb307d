"""Challenges and proofs of the challenge-response authentication methods, as pure functions.

Nonces, timestamps and salts are passed in. Checks compare a client's response in constant time. They return
True or False for any response and never raise.

Spec: Advanced Profile, "Challenge Response Authentication" (WAMP-CRA), "Salted Challenge Response
Authentication" (WAMP-SCRAM, with RFC 5802 and RFC 7677), "Cryptosign-based Authentication"; RFC 4013
(SASLprep).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import stringprep
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, TypeGuard

from wampasgi.errors import ConfigurationError

KDF: TypeAlias = Literal["argon2id13", "pbkdf2"]

#: The length in octets of a SHA-256 digest and of every SCRAM key.
KEY_LENGTH: Final = 32

# WAMP-CRA


def cra_challenge(
    *, session_id: int, authid: str, authrole: str, authprovider: str, nonce: str, timestamp: str
) -> str:
    """Return the challenge that a WAMP-CRA client signs: a JSON object with the identity it will get.

    ``nonce`` is random text that is used only once, ``timestamp`` the time in UTC in ISO 8601 format.
    """
    return json.dumps(
        {
            "authid": authid,
            "authrole": authrole,
            "authmethod": "wampcra",
            "authprovider": authprovider,
            "nonce": nonce,
            "timestamp": timestamp,
            "session": session_id,
        }
    )


def derive_key(secret: str, salt: str, iterations: int = 1000, keylen: int = 32) -> str:
    """Derive the key that the server stores instead of the secret for salted WAMP-CRA, as base64 text.

    ``keylen`` is in octets. The function is PBKDF2 with HMAC-SHA256. The client computes the same key from
    its password and the salt, iterations and keylen in CHALLENGE. Spec: "WAMP-CRA", "Password Salting".
    """
    key = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt.encode(), iterations, keylen)
    return _base64(key)


def cra_signature(key: str, challenge: str) -> str:
    """Sign a challenge as a WAMP-CRA client does. ``key`` is the secret or the derived key in base64."""
    return _base64(_hmac(key.encode(), challenge.encode()))


def verify_cra(challenge: str, signature: str, key: str) -> bool:
    """Return whether ``signature`` is the signature of this challenge with this key."""
    return _equal(signature, cra_signature(key, challenge))


# WAMP-SCRAM


@dataclass(frozen=True, slots=True, kw_only=True)
class SCRAMCredential:
    """The data that a server stores for a user instead of the password. The repr omits both keys.

    ``kdf`` names the key derivation function. ``iterations`` and ``memory`` (in KiB, for Argon2 only) are
    its costs. ``salt``, ``stored_key`` and ``server_key`` are base64 text. Store these six fields in a
    database and restore them with ``SCRAMCredential(**row)``.
    Spec: "WAMP-SCRAM", "Data Stored on the Server".
    """

    kdf: KDF
    iterations: int
    memory: int | None = None
    salt: str
    stored_key: str = field(repr=False)
    server_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SCRAMExchange:
    """The values of one SCRAM exchange that client and server both sign.

    ``nonce`` is the client's nonce followed by the server's. ``channel_binding`` is the ``c`` attribute in
    its encoded form. The default means no channel binding. Autobahn's dialect does not escape the authid.
    """

    authid: str
    client_nonce: str
    nonce: str
    salt: str
    iterations: int
    channel_binding: str = "biws"
    escapes_authid: bool = True

    @property
    def auth_message(self) -> str:
        """The AuthMessage of RFC 5802."""
        # The specification's Escape() is that of RFC 5802: "=3D" for "=" and "=2C" for ",".
        escaped = self.authid.replace("=", "=3D").replace(",", "=2C")
        name = escaped if self.escapes_authid else self.authid
        return (
            f"n={name},r={self.client_nonce},"
            f"r={self.nonce},s={self.salt},i={self.iterations},"
            f"c={self.channel_binding},r={self.nonce}"
        )


def salted_password(
    password: str, *, kdf: KDF, salt: bytes, iterations: int, memory: int | None = None
) -> bytes:
    """Derive SaltedPassword, the 32 octets that all SCRAM keys are derived from.

    ``memory`` is in KiB, for Argon2 only. Slow by design. Raises ValueError if SASLprep prohibits the
    password or the function does not support the costs, and ConfigurationError if Argon2 is not installed.
    """
    prepared = saslprep(password).encode()
    if kdf == "pbkdf2":
        if memory is not None:
            raise ValueError(f"pbkdf2 got memory={memory}: only argon2id13 has a memory cost")
        return hashlib.pbkdf2_hmac("sha256", prepared, salt, iterations, KEY_LENGTH)
    if kdf != "argon2id13":
        raise ValueError(f"unknown key derivation function {kdf!r}: use 'argon2id13' or 'pbkdf2'")
    if memory is None:
        raise ValueError("argon2id13 needs a memory cost, in KiB")
    return _argon2id()(prepared, salt, iterations, memory)


def scram_keys(salted: bytes) -> tuple[str, str]:
    """Derive StoredKey and ServerKey from a salted password, both as base64 text."""
    stored_key = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    return _base64(stored_key), _base64(_hmac(salted, b"Server Key"))


def scram_client_proof(salted: bytes, exchange: SCRAMExchange) -> str:
    """Compute ClientProof as a client does, as base64 text."""
    client_key = _hmac(salted, b"Client Key")
    signature = _hmac(hashlib.sha256(client_key).digest(), exchange.auth_message.encode())
    return _base64(_xor(client_key, signature))


def verify_scram(exchange: SCRAMExchange, proof: str, stored_key: str) -> bool:
    """Return whether ``proof`` is a valid ClientProof for this exchange and ``stored_key``."""
    received = _unbase64(proof)
    stored = base64.b64decode(stored_key)
    signature = _hmac(stored, exchange.auth_message.encode())
    if received is None or len(received) != len(signature):
        return False
    return hmac.compare_digest(hashlib.sha256(_xor(received, signature)).digest(), stored)


def scram_server_signature(exchange: SCRAMExchange, server_key: str) -> str:
    """Compute ServerSignature, with which the server proves that it knows the user, as base64 text."""
    return _base64(_hmac(base64.b64decode(server_key), exchange.auth_message.encode()))


def mock_scram_credential(model: SCRAMCredential, secret: bytes, authid: str) -> SCRAMCredential:
    """Return a credential for challenging an unknown user.

    It has the costs of ``model`` and a salt that depends only on the authid and ``secret``, so a challenge
    does not reveal that the user is unknown. No password matches it. Spec: "WAMP-SCRAM", "Initial Client
    Authentication Message".
    """
    salt = base64.b64decode(model.salt)
    return SCRAMCredential(
        kdf=model.kdf,
        iterations=model.iterations,
        memory=model.memory,
        salt=_base64(_derive_octets(secret, f"salt {authid}", len(salt))),
        stored_key=_base64(_derive_octets(secret, f"stored key {authid}", KEY_LENGTH)),
        server_key=_base64(_derive_octets(secret, f"server key {authid}", KEY_LENGTH)),
    )


def mock_salt(model: str, secret: bytes, authid: str) -> str:
    """Return a WAMP-CRA salt for an unknown user, with the length and the alphabet of ``model``.

    It depends only on ``model``, the authid and ``secret``.
    """
    octets = _derive_octets(secret, f"salt {authid}", len(model))
    alphabet = _ALPHABETS[_HEX.fullmatch(model) is None]
    return "".join(alphabet[octet % len(alphabet)] for octet in octets)


def is_nonce(text: object) -> TypeGuard[str]:
    """Return whether a value is a valid WAMP-SCRAM nonce: non-empty canonical base64 text."""
    return isinstance(text, str) and bool(_unbase64(text))


# Cryptosign


def cryptosign_verifier() -> Callable[[str, str, str], bool]:
    """Return a function ``verify(challenge, signature, public_key)``.

    It returns whether the owner of the key signed this challenge. ``signature`` holds the 64 octets of the
    Ed25519 signature and the 32 octets of the challenge. All three arguments are hex text. Raises
    ConfigurationError if PyNaCl is not installed. Spec: "Cryptosign", "Computing the Signature".
    """
    try:
        from nacl.exceptions import BadSignatureError
        from nacl.signing import VerifyKey
    except ImportError as error:
        raise ConfigurationError("cryptosign needs PyNaCl: install wampasgi[cryptosign]") from error

    def verify(challenge: str, signature: str, public_key: str) -> bool:
        issued, key = _unhex(challenge, 32), _unhex(public_key, 32)
        signed = _unhex(signature, 96)
        if issued is None or key is None or signed is None or not hmac.compare_digest(signed[64:], issued):
            return False
        try:
            VerifyKey(key).verify(issued, signed[:64])
        except BadSignatureError:
            return False
        return True

    return verify


def is_public_key(text: object) -> TypeGuard[str]:
    """Return whether a value is an Ed25519 public key as clients announce it: 32 octets in hex."""
    return isinstance(text, str) and _unhex(text, 32) is not None


# SASLprep


def saslprep(text: str, *, stored: bool = True) -> str:
    """Normalize a user name or password according to RFC 4013, so that all ways to type it are equal.

    Pass ``stored=False`` for a name that is only looked up: it may contain code points that are unassigned
    in Unicode 3.2. Raises ValueError for a prohibited character. The message has its code point but not the
    text around it.
    """
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    # RFC 3454 is defined for Unicode 3.2.
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    for character in prepared:
        if any(prohibited(character) for prohibited in _PROHIBITED) or (
            stored and stringprep.in_table_a1(character)
        ):
            raise ValueError(f"SASLprep (RFC 4013) does not allow the character U+{ord(character):04X}")
    if any(stringprep.in_table_d1(character) for character in prepared):
        _check_right_to_left(prepared)
    return prepared


def _check_right_to_left(prepared: str) -> None:
    """Raise ValueError if text with right-to-left characters violates RFC 3454, section 6."""
    if any(stringprep.in_table_d2(character) for character in prepared):
        raise ValueError(
            "SASLprep (RFC 4013) does not allow text that mixes right-to-left and left-to-right letters"
        )
    if not (stringprep.in_table_d1(prepared[0]) and stringprep.in_table_d1(prepared[-1])):
        raise ValueError("SASLprep (RFC 4013) requires right-to-left text to begin and end right-to-left")


_PROHIBITED: Final = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)

# Octets and text

_HEX: Final = re.compile("[0-9a-f]+")
_ALPHABETS: Final = (
    "0123456789abcdef",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
)


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _unbase64(text: str) -> bytes | None:
    try:
        octets = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
    # Even strict mode ignores unused bits, so several texts decode to the same octets.
    return octets if _base64(octets) == text else None


def _unhex(text: str, length: int) -> bytes | None:
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        return None
    # fromhex() skips white space.
    return octets if len(octets) == length and len(text) == 2 * length else None


def _equal(received: str, expected: str) -> bool:
    # compare_digest() accepts text only if it is ASCII.
    return hmac.compare_digest(received.encode("utf-8", "surrogatepass"), expected.encode())


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(left, right, strict=True))


def _derive_octets(secret: bytes, label: str, length: int) -> bytes:
    # SHAKE returns any length and is a secure MAC with the key as a prefix, unlike SHA-256.
    return hashlib.shake_256(secret + b"\0" + label.encode()).digest(length)


def _argon2id() -> Callable[[bytes, bytes, int, int], bytes]:
    try:
        from argon2.exceptions import HashingError
        from argon2.low_level import Type, hash_secret_raw
    except ImportError as error:
        raise ConfigurationError("argon2id13 needs argon2-cffi: install wampasgi[scram]") from error

    def derive(password: bytes, salt: bytes, iterations: int, memory: int) -> bytes:
        try:
            return hash_secret_raw(
                secret=password,
                salt=salt,
                time_cost=iterations,
                memory_cost=memory,
                # Fixed by the specification, because the client's number of cores is unknown.
                parallelism=1,
                hash_len=KEY_LENGTH,
                type=Type.ID,
                version=0x13,
            )
        except HashingError as error:
            raise ValueError(
                f"argon2id13 does not support iterations={iterations}, memory={memory} KiB"
                f" and a salt of {len(salt)} octets: {error}"
            ) from error

    return derive
