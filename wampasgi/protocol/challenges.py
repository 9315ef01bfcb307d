"""The proofs of the challenge-response authentication methods, as pure functions.

Nonces, timestamps and salts are passed in. What a client sent is compared in constant time, and whatever it
sent, a check answers True or False and raises nothing.

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

#: Octets of a SHA-256 digest, and of every key of SCRAM.
KEY_LENGTH: Final = 32

# WAMP-CRA


def cra_challenge(
    *, session_id: int, authid: str, authrole: str, authprovider: str, nonce: str, timestamp: str
) -> str:
    """Make the text that a client of WAMP-CRA signs: a JSON object with all that it will be let in as.

    ``nonce`` is random text that is used once, ``timestamp`` the time in UTC as ISO 8601 has it.
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
    """Derive the key that the server of a salted WAMP-CRA stores instead of the secret, as base64 text.

    ``keylen`` is in octets. This is PBKDF2 with HMAC-SHA256 and what the client computes from its password
    and the salt, iterations and keylen in CHALLENGE. Spec: "WAMP-CRA", "Password Salting".
    """
    key = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt.encode(), iterations, keylen)
    return _base64(key)


def cra_signature(key: str, challenge: str) -> str:
    """Sign a challenge, as a client of WAMP-CRA does: ``key`` is the secret, or the derived key in base64."""
    return _base64(_hmac(key.encode(), challenge.encode()))


def verify_cra(challenge: str, signature: str, key: str) -> bool:
    """Tell whether ``signature`` is the one of exactly this challenge under this key."""
    return _same(signature, cra_signature(key, challenge))


# WAMP-SCRAM


@dataclass(frozen=True, slots=True, kw_only=True)
class SCRAMCredential:
    """What a server stores of a user instead of the password. Its repr shows neither key.

    ``kdf`` names the key derivation function, ``iterations`` and ``memory`` (in KiB, for Argon2 only) are
    its costs. ``salt``, ``stored_key`` and ``server_key`` are base64 text. A database keeps these six
    fields; ``SCRAMCredential(**row)`` has them back.
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
    """What client and server say in one SCRAM exchange; both sign it.

    ``nonce`` is the client's with the server's appended. ``channel_binding`` is the ``c`` attribute as it
    stands in the message; the default is that of an exchange without channel binding.
    """

    authid: str
    client_nonce: str
    nonce: str
    salt: str
    iterations: int
    channel_binding: str = "biws"

    @property
    def auth_message(self) -> str:
        """RFC 5802's AuthMessage."""
        # The specification's Escape() writes "=" as "=3D" and "," as "=2C", as RFC 5802 does.
        name = self.authid.replace("=", "=3D").replace(",", "=2C")
        return (
            f"n={name},r={self.client_nonce},"
            f"r={self.nonce},s={self.salt},i={self.iterations},"
            f"c={self.channel_binding},r={self.nonce}"
        )


def salted_password(
    password: str, *, kdf: KDF, salt: bytes, iterations: int, memory: int | None = None
) -> bytes:
    """Derive the 32 octets that all keys of SCRAM come from; ``memory`` is in KiB, for Argon2 only.

    Slow by design. Raises ValueError for a password that SASLprep refuses or costs that the function does
    not take, and ConfigurationError where Argon2 is asked for and not installed.
    """
    prepared = saslprep(password).encode()
    if kdf == "pbkdf2":
        if memory is not None:
            raise ValueError(f"pbkdf2 was given memory={memory}: only argon2id13 has a memory cost")
        return hashlib.pbkdf2_hmac("sha256", prepared, salt, iterations, KEY_LENGTH)
    if kdf != "argon2id13":
        raise ValueError(f"unknown key derivation function {kdf!r}: use 'argon2id13' or 'pbkdf2'")
    if memory is None:
        raise ValueError("argon2id13 needs its memory cost, in KiB")
    return _argon2id()(prepared, salt, iterations, memory)


def scram_keys(salted: bytes) -> tuple[str, str]:
    """Make StoredKey and ServerKey of a salted password, both as base64 text."""
    stored_key = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    return _base64(stored_key), _base64(_hmac(salted, b"Server Key"))


def scram_client_proof(salted: bytes, exchange: SCRAMExchange) -> str:
    """Compute ClientProof, as a client does, as base64 text."""
    client_key = _hmac(salted, b"Client Key")
    signature = _hmac(hashlib.sha256(client_key).digest(), exchange.auth_message.encode())
    return _base64(_xor(client_key, signature))


def verify_scram(exchange: SCRAMExchange, proof: str, stored_key: str) -> bool:
    """Tell whether ``proof`` shows that the client has the key behind ``stored_key``, in this exchange."""
    received = _unbase64(proof)
    stored = base64.b64decode(stored_key)
    signature = _hmac(stored, exchange.auth_message.encode())
    if received is None or len(received) != len(signature):
        return False
    return hmac.compare_digest(hashlib.sha256(_xor(received, signature)).digest(), stored)


def scram_server_signature(exchange: SCRAMExchange, server_key: str) -> str:
    """Compute ServerSignature, by which the server shows that it knows the user, as base64 text."""
    return _base64(_hmac(base64.b64decode(server_key), exchange.auth_message.encode()))


def mock_scram_credential(model: SCRAMCredential, secret: bytes, authid: str) -> SCRAMCredential:
    """Make the credential that an unknown user is challenged with.

    It has the costs of ``model`` and a salt that is always the same for one authid and ``secret``, so that
    nobody sees in a challenge who is unknown. Nobody has a password for it. Spec: "WAMP-SCRAM",
    "Initial Client Authentication Message".
    """
    salt = base64.b64decode(model.salt)
    return SCRAMCredential(
        kdf=model.kdf,
        iterations=model.iterations,
        memory=model.memory,
        salt=_base64(_stable_octets(secret, f"salt {authid}", len(salt))),
        stored_key=_base64(_stable_octets(secret, f"stored key {authid}", KEY_LENGTH)),
        server_key=_base64(_stable_octets(secret, f"server key {authid}", KEY_LENGTH)),
    )


def mock_salt(model: str, secret: bytes, authid: str) -> str:
    """Make a salt of WAMP-CRA for an unknown user: text as long as ``model`` and of the same characters.

    It is always the same for one authid and ``secret``.
    """
    octets = _stable_octets(secret, f"salt {authid}", len(model))
    alphabet = _ALPHABETS[_HEX.fullmatch(model) is None]
    return "".join(alphabet[octet % len(alphabet)] for octet in octets)


def is_nonce(text: object) -> TypeGuard[str]:
    """Tell whether something is a nonce as WAMP-SCRAM has them: canonical base64 text, not empty."""
    return isinstance(text, str) and bool(_unbase64(text))


# Cryptosign


def cryptosign_verifier() -> Callable[[str, str, str], bool]:
    """The function ``verify(challenge, signature, public_key)``.

    It tells whether ``signature`` (64 octets of Ed25519 signature and the 32 of the challenge) is for exactly
    this challenge and by the owner of this key. All three are hex text. Raises ConfigurationError where
    PyNaCl is not installed. Spec: "Cryptosign", "Computing the Signature".
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
    """Tell whether something is an Ed25519 public key as clients announce it: 32 octets in hex."""
    return isinstance(text, str) and _unhex(text, 32) is not None


# SASLprep


def saslprep(text: str, *, stored: bool = True) -> str:
    """Prepare a user name or password as RFC 4013 says, so that it is the same octets however it was typed.

    ``stored`` text, passwords among it, must not have code points that Unicode 3.2 has not assigned; in a
    name that is only looked up they are let through. Raises ValueError for a character that is not allowed,
    and names it by its code point and not by the text around it.
    """
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    # RFC 3454 is bound to Unicode 3.2.
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
    """Hold text with right-to-left characters to RFC 3454, section 6."""
    if any(stringprep.in_table_d2(character) for character in prepared):
        raise ValueError("SASLprep (RFC 4013) does not allow to mix right-to-left and left-to-right letters")
    if not (stringprep.in_table_d1(prepared[0]) and stringprep.in_table_d1(prepared[-1])):
        raise ValueError("SASLprep (RFC 4013) wants right-to-left text to begin and end right-to-left")


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
    # Strict as it is, it lets unused bits pass, and so several texts for the same octets.
    return octets if _base64(octets) == text else None


def _unhex(text: str, length: int) -> bytes | None:
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        return None
    # fromhex() lets white space pass.
    return octets if len(octets) == length and len(text) == 2 * length else None


def _same(received: str, expected: str) -> bool:
    # As octets, because compare_digest() takes text of ASCII only.
    return hmac.compare_digest(received.encode("utf-8", "surrogatepass"), expected.encode())


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(left, right, strict=True))


def _stable_octets(secret: bytes, label: str, length: int) -> bytes:
    # SHAKE gives any length, and is safe with a key in front, as SHA-256 alone would not be.
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
                # The specification fixes it, because nobody knows how many cores the client has.
                parallelism=1,
                hash_len=KEY_LENGTH,
                type=Type.ID,
                version=0x13,
            )
        except HashingError as error:
            raise ValueError(
                f"argon2id13 does not take iterations={iterations}, memory={memory} KiB"
                f" and a salt of {len(salt)} octets: {error}"
            ) from error

    return derive
