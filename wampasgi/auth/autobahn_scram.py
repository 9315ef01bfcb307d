"""The SCRAM dialect that Autobahn for Python calls ``scram``; realms do not offer it by default.

Autobahn does not support WAMP-SCRAM. Its dialect differs as follows: the salted password is used as unpadded
base64 text, the key derivation function is called ``argon2id-13``, ``c=`` is empty, the
authid is not escaped, AUTHENTICATE does not repeat the nonce, and WELCOME has the server's signature in
``authextra.scram_server_signature``. Passwords are not normalised. A user's credential therefore works with
only one of the two methods.
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
    """Return the credential to store for a password and AutobahnSCRAMMethod, always with Argon2id.

    See ``scram_credential``. Raises ValueError for a password that SASLprep would change.
    """
    if saslprep(password) != password:
        raise ValueError(
            "Autobahn does not normalise passwords, but SASLprep changes this one: choose another password"
        )
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
    """One challenge in Autobahn's dialect."""

    _channel_binding = ""
    _escapes_authid = False
    _signature_name = "scram_server_signature"

    def _challenge(self, nonce: str) -> dict[str, Any]:
        return {**super()._challenge(nonce), "kdf": "argon2id-13"}

    def _matches_exchange(self, answer: Authenticate) -> bool:
        # The dialect has nothing to verify besides the proof.
        return True


class AutobahnSCRAMMethod(SCRAMMethod):
    """SCRAM for clients that use Autobahn for Python; offer it with ``realm.add_challenge_method(...)``."""

    name = "scram"
    _exchange = AutobahnSCRAMExchange
