"""The dialect of SCRAM that Autobahn for Python speaks under the name ``scram``; no realm offers it unasked.

It differs from WAMP-SCRAM, which Autobahn does not speak, in these points: the salted password is taken as
unpadded base64 text, the key derivation function is called ``argon2id-13``, ``c=`` is empty, AUTHENTICATE
does not repeat the nonce, and WELCOME has the server's signature in ``authextra.scram_server_signature``.
Passwords are not normalised. A user's credential therefore serves one of the two only.
"""

from __future__ import annotations

import base64
import secrets
from typing import Any

from wampasgi.auth.scram import (
    ARGON2_ITERATIONS,
    ARGON2_MEMORY,
    SALT_LENGTH,
    SCRAMMethod,
    SCRAMSessionExchange,
)
from wampasgi.protocol.challenges import SCRAMCredential, salted_password, saslprep, scram_keys
from wampasgi.protocol.messages import Authenticate


def autobahn_scram_credential(
    password: str,
    *,
    iterations: int = ARGON2_ITERATIONS,
    memory: int = ARGON2_MEMORY,
    salt: bytes | None = None,
) -> SCRAMCredential:
    """Make of a password what a database stores for AutobahnSCRAMMethod, always with Argon2id.

    See ``scram_credential``. Raises ValueError for a password that SASLprep would change.
    """
    if saslprep(password) != password:
        raise ValueError("Autobahn does not normalise passwords, and SASLprep changes this one")
    octets = salt or secrets.token_bytes(SALT_LENGTH)
    salted = salted_password(password, kdf="argon2id13", salt=octets, iterations=iterations, memory=memory)
    stored_key, server_key = scram_keys(base64.b64encode(salted).rstrip(b"="))
    return SCRAMCredential(
        kdf="argon2id13",
        iterations=iterations,
        memory=memory,
        salt=base64.b64encode(octets).decode(),
        stored_key=stored_key,
        server_key=server_key,
    )


class AutobahnSCRAMExchange(SCRAMSessionExchange):
    """One challenge in the dialect."""

    _channel_binding = ""
    _signature_name = "scram_server_signature"

    def _challenge(self, nonce: str) -> dict[str, Any]:
        return {**super()._challenge(nonce), "kdf": "argon2id-13"}

    def _fits(self, answer: Authenticate) -> bool:
        # All there is to check is in the proof.
        return True


class AutobahnSCRAMMethod(SCRAMMethod):
    """SCRAMMethod for clients that use Autobahn for Python: ``realm.add_challenge_method(...)`` offers it."""

    name = "scram"
    _exchange = AutobahnSCRAMExchange
