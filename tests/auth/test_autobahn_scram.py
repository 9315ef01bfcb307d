"""Autobahn's SCRAM dialect, tested with Autobahn's own client."""

# Autobahn's signatures have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import base64
from typing import Any
from unittest.mock import Mock

import pytest
from autobahn.wamp.auth import AuthScram, derive_scram_credential
from autobahn.wamp.types import Challenge

from tests.auth.peers import SECRET, SCRAMClient, authenticate, find_identity, find_pbkdf2_credential, wire
from tests.specification import ABORT, AUTHENTICATE, AUTHENTICATION_FAILED, WELCOME
from wampasgi import Application, Realm, SCRAMCredential, Session
from wampasgi.auth.autobahn_scram import AutobahnSCRAMMethod, autobahn_scram_credential

CREDENTIAL = autobahn_scram_credential(SECRET, iterations=1, memory=64)


async def find_credential(session: Session) -> SCRAMCredential | None:
    return CREDENTIAL if session.authid in ("joe", "o=joe,c=us") else None


class AutobahnClient:
    """Autobahn's authenticator with the interface of the other clients."""

    def __init__(self, authid: str, password: str) -> None:
        self.authenticator = AuthScram(authid=authid, password=password)
        self._authid = authid

    def hello(self) -> dict[str, Any]:
        extra = self.authenticator.authextra
        return {"authmethods": ["scram"], "authid": self._authid, "authextra": extra}

    def answer(self, challenge: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        assert challenge["kdf"] == "argon2id-13"
        return self.authenticator.on_challenge(None, Challenge("scram", challenge)).decode(), {}


def dialect_app() -> Application:
    realm = Realm("office")
    realm.add_challenge_method(AutobahnSCRAMMethod(find_credential, find_identity))
    return Application([realm])


@pytest.mark.anyio
@pytest.mark.parametrize("authid", ["joe", "o=joe,c=us"])
async def test_autobahn_joins_and_accepts_the_servers_signature(authid: str) -> None:
    client, session = AutobahnClient(authid, SECRET), Mock()
    async with wire(dialect_app()) as connection:
        welcome = await authenticate(connection, client)

    assert (welcome[0], welcome[2]["authid"], welcome[2]["authmethod"]) == (WELCOME, authid, "scram")
    assert client.authenticator.on_welcome(session, welcome[2]["authextra"]) is None
    session.log.info.assert_called_once_with("Verification of server SCRAM signature successful")


@pytest.mark.anyio
@pytest.mark.parametrize(("authid", "password"), [("joe", "wrong"), ("nobody", SECRET)])
async def test_wrong_password_and_unknown_user_are_refused(authid: str, password: str) -> None:
    app = dialect_app()
    async with wire(app) as connection:
        await authenticate(connection, AutobahnClient("joe", SECRET))
    async with wire(app) as connection:
        answer = await authenticate(connection, AutobahnClient(authid, password))

    assert answer == [ABORT, {"message": "authentication failed"}, AUTHENTICATION_FAILED]


@pytest.mark.anyio
async def test_recorded_proof_is_refused() -> None:
    app, client = dialect_app(), AutobahnClient("joe", SECRET)
    async with wire(app) as connection:
        challenge = await connection.hello(**client.hello())
        recorded = client.answer(challenge[2])
    async with wire(app) as connection:
        await connection.hello(**client.hello())
        answer = await connection.ask(AUTHENTICATE, *recorded)

    assert answer[2] == AUTHENTICATION_FAILED


@pytest.mark.anyio
async def test_dialect_is_not_offered_by_default() -> None:
    realm = Realm("office")
    realm.set_scram_handlers(find_pbkdf2_credential, find_identity)
    async with wire(Application([realm])) as connection:
        answer = await connection.hello(**AutobahnClient("joe", SECRET).hello())

    assert answer[2] == "wamp.error.no_matching_auth_method"


@pytest.mark.anyio
async def test_realm_can_offer_both_the_dialect_and_wamp_scram() -> None:
    app = dialect_app()
    app.realms["office"].set_scram_handlers(find_pbkdf2_credential, find_identity)
    async with wire(app) as connection:
        standard = await authenticate(connection, SCRAMClient("joe"))
    async with wire(app) as connection:
        dialect = await authenticate(connection, AutobahnClient("joe", SECRET))

    assert (standard[2]["authmethod"], dialect[2]["authmethod"]) == ("wamp-scram", "scram")


def test_credential_equals_the_one_that_autobahn_derives() -> None:
    theirs = derive_scram_credential("joe", SECRET, salt=b"salt of 16 bytes")

    ours = autobahn_scram_credential(SECRET, iterations=4096, memory=512, salt=b"salt of 16 bytes")

    assert ours.stored_key == base64_of_hex(theirs["stored-key"])
    assert ours.server_key == base64_of_hex(theirs["server-key"])


def base64_of_hex(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def test_each_credential_has_its_own_salt() -> None:
    other = autobahn_scram_credential(SECRET, iterations=1, memory=64)

    assert other.salt != CREDENTIAL.salt
    assert (other.kdf, other.iterations, other.memory) == ("argon2id13", 1, 64)


def test_password_that_needs_normalisation_is_refused() -> None:
    with pytest.raises(ValueError, match="Autobahn does not normalise passwords"):
        autobahn_scram_credential("\u2168")
