"""Clients for each authentication method, written from the specification, and a realm that they can join.

The clients do not use `wampasgi.protocol.challenges`. A mistake in it would otherwise affect both ends, and
the tests would not notice it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from argon2.low_level import Type, hash_secret_raw
from nacl.signing import SigningKey

from tests.specification import AUTHENTICATE, AUTHORIZATION_DENIED, CHALLENGE, HELLO
from tests.wamp_client import WAMPClient, accepted
from wampasgi import (
    Application,
    CRAAuthRequirement,
    Identity,
    Limits,
    Realm,
    SCRAMCredential,
    Session,
    WAMPError,
    derive_key,
    scram_credential,
)

SECRET = "correct horse battery staple"
#: Handlers accept joe, refuse denied although the secret is right, and raise an error for broken.
USERS = ("joe", "denied", "broken")


class Wire(WAMPClient):
    """A client of the realm `office`."""

    async def hello(self, **details: Any) -> list[Any]:
        """Send HELLO and return the answer."""
        return await self.ask(HELLO, "office", {"roles": {"caller": {}}, **details})


@asynccontextmanager
async def wire(app: Application, subprotocol: str = "wamp.2.json", **scope: Any) -> AsyncIterator[Wire]:
    """Connect to an application."""
    async with accepted(Wire(app, subprotocols=[subprotocol], **scope)) as client:
        yield client


class Client(Protocol):
    """One attempt to join: HELLO.Details and the answer to the challenge."""

    def hello(self) -> dict[str, Any]: ...

    def answer(self, challenge: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return AUTHENTICATE.Signature and Extra for CHALLENGE.Extra."""


@dataclass
class TicketClient:
    authid: str
    secret: str = SECRET

    def hello(self) -> dict[str, Any]:
        return {"authmethods": ["ticket"], "authid": self.authid}

    def answer(self, challenge: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        assert challenge == {}
        return self.secret, {}


@dataclass
class CRAClient:
    authid: str
    secret: str = SECRET

    def hello(self) -> dict[str, Any]:
        return {"authmethods": ["wampcra"], "authid": self.authid}

    def answer(self, challenge: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        key = self.secret.encode()
        if "salt" in challenge:
            derived = hashlib.pbkdf2_hmac(
                "sha256", key, challenge["salt"].encode(), challenge["iterations"], challenge["keylen"]
            )
            key = base64.b64encode(derived)
        digest = hmac.new(key, challenge["challenge"].encode(), hashlib.sha256).digest()
        return base64.b64encode(digest).decode(), {}


@dataclass
class SCRAMClient:
    """WAMP-SCRAM in the terms of the specification's pseudocode."""

    authid: str
    secret: str = SECRET
    nonce: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(16)).decode())
    server_signature: bytes = b""

    def hello(self) -> dict[str, Any]:
        extra = {"nonce": self.nonce, "channel_binding": None}
        return {"authmethods": ["wamp-scram"], "authid": self.authid, "authextra": extra}

    def answer(self, challenge: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        assert challenge["nonce"].startswith(self.nonce)
        assert len(challenge["nonce"]) > len(self.nonce)
        authid = self.authid.replace("=", "=3D").replace(",", "=2C")
        client_first_bare = f"n={authid},r={self.nonce}"
        server_first = f"r={challenge['nonce']},s={challenge['salt']},i={challenge['iterations']}"
        channel = base64.b64encode(b"n,,").decode()
        client_final_no_proof = f"c={channel},r={challenge['nonce']}"
        auth_message = f"{client_first_bare},{server_first},{client_final_no_proof}".encode()

        salted_password = self._kdf(challenge)
        client_key = hmac.new(salted_password, b"Client Key", hashlib.sha256).digest()
        stored_key = hashlib.sha256(client_key).digest()
        client_signature = hmac.new(stored_key, auth_message, hashlib.sha256).digest()
        proof = bytes(a ^ b for a, b in zip(client_key, client_signature, strict=True))
        server_key = hmac.new(salted_password, b"Server Key", hashlib.sha256).digest()
        self.server_signature = hmac.new(server_key, auth_message, hashlib.sha256).digest()
        extra = {"nonce": challenge["nonce"], "channel_binding": None, "cbind_data": None}
        return base64.b64encode(proof).decode(), extra

    def _kdf(self, challenge: dict[str, Any]) -> bytes:
        salt = base64.b64decode(challenge["salt"])
        if challenge["kdf"] == "pbkdf2":
            assert challenge["memory"] is None
            return hashlib.pbkdf2_hmac("sha256", self.secret.encode(), salt, challenge["iterations"], 32)
        assert challenge["kdf"] == "argon2id13"
        return hash_secret_raw(
            self.secret.encode(), salt, challenge["iterations"], challenge["memory"], 1, 32, Type.ID, 19
        )


def signing_key(authid: str, secret: str = SECRET) -> SigningKey:
    return SigningKey(hashlib.sha256(f"{authid} {secret}".encode()).digest())


def public_key(authid: str, secret: str = SECRET) -> str:
    return signing_key(authid, secret).verify_key.encode().hex()


@dataclass
class CryptosignClient:
    authid: str
    secret: str = SECRET

    def hello(self) -> dict[str, Any]:
        # A client with a wrong secret still announces the right public key, because that is not secret.
        extra = {"pubkey": public_key(self.authid), "channel_binding": None}
        return {"authmethods": ["cryptosign"], "authid": self.authid, "authextra": extra}

    def answer(self, challenge: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        assert challenge["channel_binding"] is None
        octets = bytes.fromhex(challenge["challenge"])
        assert len(octets) == 32
        signature = signing_key(self.authid, self.secret).sign(octets).signature
        return (signature + octets).hex(), {}


async def find_identity(session: Session) -> Identity | None:
    if session.authid == "denied":
        return None
    return Identity(user={"name": session.authid}, authrole="clerk", authextra={"greeting": "hello"})


def check_not_broken(session: Session) -> None:
    if session.authid == "broken":
        raise RuntimeError(f"the database, whose password is {SECRET!r}, is down")


async def check_ticket(session: Session, ticket: str) -> Identity | None:
    check_not_broken(session)
    if session.authid not in USERS or ticket != SECRET:
        return None
    identity = await find_identity(session)
    if identity is None:
        raise WAMPError(AUTHORIZATION_DENIED, "not today")
    return replace(identity, authid=session.authid)


async def find_requirement(session: Session) -> CRAAuthRequirement | None:
    check_not_broken(session)
    return CRAAuthRequirement(SECRET, "clerk", "userdb") if session.authid in USERS else None


async def find_salted_requirement(session: Session) -> CRAAuthRequirement | None:
    check_not_broken(session)
    if session.authid not in USERS:
        return None
    key = derive_key(SECRET, "0123456789abcdef", 100, 24)
    return CRAAuthRequirement(key, "clerk", "userdb", salt="0123456789abcdef", iterations=100, keylen=24)


PBKDF2 = scram_credential(SECRET, "pbkdf2", iterations=50)
ARGON2 = scram_credential(SECRET, "argon2id13", iterations=1, memory=64)


async def find_pbkdf2_credential(session: Session) -> SCRAMCredential | None:
    check_not_broken(session)
    return PBKDF2 if session.authid in USERS else None


async def find_argon2_credential(session: Session) -> SCRAMCredential | None:
    check_not_broken(session)
    return ARGON2 if session.authid in USERS else None


async def find_keys(session: Session) -> list[str]:
    check_not_broken(session)
    return [public_key(session.authid)] if session.authid in USERS else []


def use_ticket(realm: Realm) -> None:
    realm.set_ticket_authenticator(check_ticket)


def use_cra(realm: Realm) -> None:
    realm.set_cra_handlers(find_requirement, find_identity)


def use_salted_cra(realm: Realm) -> None:
    realm.set_cra_handlers(find_salted_requirement, find_identity)


def use_scram_pbkdf2(realm: Realm) -> None:
    realm.set_scram_handlers(find_pbkdf2_credential, find_identity)


def use_scram_argon2(realm: Realm) -> None:
    realm.set_scram_handlers(find_argon2_credential, find_identity)


def use_cryptosign(realm: Realm) -> None:
    realm.set_cryptosign_handlers(find_keys, find_identity)


@dataclass(frozen=True)
class Method:
    """One authentication method: the configuration of a realm, and a client."""

    name: str
    use: Callable[[Realm], None]
    client: Callable[..., Client]
    authprovider: str = "dynamic"

    def app(self, **limits: float) -> Application:
        """Return an application with the realm `office`, which accepts only this method."""
        realm = Realm("office")
        self.use(realm)

        @realm.procedure("whoami")
        async def whoami(session: Session) -> tuple[Any, ...]:
            return session.authid, session.authrole, session.identity

        return Application([realm], limits=Limits(**limits))  # type: ignore[arg-type]


#: The methods whose proof is valid for one challenge only.
PROOFS = {
    "wampcra": Method("wampcra", use_cra, CRAClient, "userdb"),
    "wampcra salted": Method("wampcra", use_salted_cra, CRAClient, "userdb"),
    "wamp-scram pbkdf2": Method("wamp-scram", use_scram_pbkdf2, SCRAMClient),
    "wamp-scram argon2id13": Method("wamp-scram", use_scram_argon2, SCRAMClient),
    "cryptosign": Method("cryptosign", use_cryptosign, CryptosignClient),
}
METHODS = {"ticket": Method("ticket", use_ticket, TicketClient), **PROOFS}


async def authenticate(on: Wire, client: Client) -> list[Any]:
    """Send HELLO, answer the challenge, and return the answer to that: WELCOME or ABORT."""
    challenge = await on.hello(**client.hello())
    if challenge[0] != CHALLENGE:
        return challenge
    signature, extra = client.answer(challenge[2])
    return await on.ask(AUTHENTICATE, signature, extra)
