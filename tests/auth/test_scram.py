from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
from typing import Any

import pytest

from tests.auth.peers import (
    METHODS,
    PBKDF2,
    SECRET,
    SCRAMClient,
    authenticate,
    find_identity,
    find_pbkdf2_credential,
    wire,
)
from tests.specification import ABORT, AUTHENTICATE, AUTHENTICATION_FAILED, CHALLENGE, WELCOME
from wampasgi import Application, Realm, SCRAMCredential, Session, scram_credential
from wampasgi.protocol.challenges import KDF


def app_with(credential: Any, **options: Any) -> Application:
    realm = Realm("office")
    realm.set_scram_handlers(credential, find_identity, **options)
    return Application([realm])


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["wamp-scram pbkdf2", "wamp-scram argon2id13"])
async def test_server_proves_that_it_knows_the_user(name: str) -> None:
    client = SCRAMClient("joe")
    async with wire(METHODS[name].app()) as connection:
        welcome = await authenticate(connection, client)

    assert welcome[2]["authextra"]["verifier"] == base64.b64encode(client.server_signature).decode()


@pytest.mark.anyio
async def test_challenge_has_the_attributes_that_the_specification_requires() -> None:
    client = SCRAMClient("joe")
    async with wire(app_with(find_pbkdf2_credential)) as connection:
        challenge = await connection.hello(**client.hello())

    nonce = challenge[2].pop("nonce")
    assert challenge == [
        CHALLENGE,
        "wamp-scram",
        {"salt": PBKDF2.salt, "kdf": "pbkdf2", "iterations": 50, "memory": None},
    ]
    assert nonce.startswith(client.nonce)
    assert len(base64.b64decode(nonce.removeprefix(client.nonce))) == 16


@pytest.mark.anyio
async def test_authid_is_normalised_before_it_is_looked_up_and_signed() -> None:
    class UnnormalisedClient(SCRAMClient):
        def hello(self) -> dict[str, Any]:
            return {**super().hello(), "authid": "\u2168\u00ad"}

    seen = []

    async def credential(session: Session) -> SCRAMCredential | None:
        seen.append(session.authid)
        return PBKDF2 if session.authid == "IX" else None

    async with wire(app_with(credential)) as connection:
        welcome = await authenticate(connection, UnnormalisedClient("IX"))

    assert seen == ["IX"]
    assert (welcome[0], welcome[2]["authid"]) == (WELCOME, "IX")


@pytest.mark.anyio
@pytest.mark.parametrize("authid", ["a,b=c", "J\u00fcrgen", "\u0627\u0628", "\U0001f680"])
async def test_authid_may_contain_any_character(authid: str) -> None:
    async def credential(session: Session) -> SCRAMCredential | None:
        return PBKDF2 if session.authid == authid else None

    async with wire(app_with(credential)) as connection:
        assert (await authenticate(connection, SCRAMClient(authid)))[0] == WELCOME


@pytest.mark.anyio
async def test_request_for_channel_binding_is_aborted_with_a_message() -> None:
    hello = SCRAMClient("joe").hello()
    hello["authextra"]["channel_binding"] = "tls-unique"
    hello["authmethods"] = ["wamp-scram", "ticket"]
    app = app_with(find_pbkdf2_credential)
    app.realms["office"].set_ticket_authenticator(lambda session, ticket: "somebody")
    async with wire(app) as connection:
        answer = await connection.hello(**hello)

    assert (answer[0], answer[2]) == (ABORT, AUTHENTICATION_FAILED)
    assert "channel binding is not supported" in answer[1]["message"]


@pytest.mark.anyio
async def test_mock_challenge_before_the_first_known_user_has_the_default_costs() -> None:
    async with wire(app_with(find_pbkdf2_credential)) as connection:
        challenge = await connection.hello(**SCRAMClient("nobody").hello())
        answer = await connection.ask(AUTHENTICATE, "A" * 43 + "=", {"nonce": challenge[2]["nonce"]})

    default = scram_credential(SECRET)
    for name in ("kdf", "iterations", "memory"):
        assert challenge[2][name] == getattr(default, name)
    assert len(challenge[2]["salt"]) == len(default.salt)
    assert (answer[0], answer[2]) == (ABORT, AUTHENTICATION_FAILED)


@pytest.mark.anyio
async def test_unknown_and_mock_secret_determine_the_mock_challenge() -> None:
    unknown = scram_credential("unused", "pbkdf2", iterations=99, salt=b"8 octets")
    extras: list[dict[str, Any]] = []
    for mock_secret in (b"same", b"same", b"other"):
        app = app_with(find_pbkdf2_credential, unknown=unknown, mock_secret=mock_secret)
        async with wire(app) as connection:
            await connection.hello(**SCRAMClient("joe").hello())
        async with wire(app) as connection:
            challenge = await connection.hello(**SCRAMClient("nobody").hello())
        extras.append(challenge[2])

    assert (extras[0]["kdf"], extras[0]["iterations"]) == ("pbkdf2", 99)
    assert len(base64.b64decode(extras[0]["salt"])) == 8
    assert extras[0]["salt"] == extras[1]["salt"] != extras[2]["salt"]


@pytest.mark.anyio
async def test_credential_of_another_type_is_reported_without_its_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def row(session: Session) -> dict[str, Any]:
        return dataclasses.asdict(PBKDF2)

    async with wire(app_with(row)) as connection:
        answer = await connection.hello(**SCRAMClient("joe").hello())

    assert (answer[0], answer[2]) == (ABORT, AUTHENTICATION_FAILED)
    assert "an object of the type dict: it must return a SCRAMCredential, or None" in caplog.text
    assert PBKDF2.stored_key not in caplog.text


def test_credential_can_be_stored_as_a_row_and_restored() -> None:
    row = dataclasses.asdict(PBKDF2)

    assert SCRAMCredential(**row) == PBKDF2
    assert list(row) == ["kdf", "iterations", "memory", "salt", "stored_key", "server_key"]


def test_each_credential_has_its_own_salt() -> None:
    one, other = (scram_credential(SECRET, "pbkdf2", iterations=1) for _ in range(2))

    assert one.salt != other.salt
    assert one.stored_key != other.stored_key
    assert len(base64.b64decode(one.salt)) == 16


def test_credential_for_a_given_salt_is_the_one_of_the_specification() -> None:
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", b"salt", 3, 32)
    client_key = hmac.digest(salted, b"Client Key", "sha256")

    credential = scram_credential("pencil", "pbkdf2", iterations=3, salt=b"salt")

    assert base64.b64decode(credential.stored_key) == hashlib.sha256(client_key).digest()
    assert base64.b64decode(credential.server_key) == hmac.digest(salted, b"Server Key", "sha256")


@pytest.mark.parametrize(
    ("kdf", "iterations", "memory"), [("argon2id13", 2, 19456), ("pbkdf2", 600_000, None)]
)
def test_default_costs_are_those_recommended_for_stored_passwords(
    kdf: KDF, iterations: int, memory: int | None
) -> None:
    credential = scram_credential(SECRET, kdf)

    assert (credential.kdf, credential.iterations, credential.memory) == (kdf, iterations, memory)
    assert SECRET not in repr(credential)
    assert credential.stored_key not in repr(credential)
