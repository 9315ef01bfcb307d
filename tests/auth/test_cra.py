from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.auth.peers import (
    SECRET,
    CRAClient,
    authenticate,
    find_identity,
    find_requirement,
    find_salted_requirement,
    wire,
)
from tests.specification import ABORT, AUTHENTICATE, AUTHENTICATION_FAILED, CHALLENGE, WELCOME
from wampasgi import Application, CRAAuthRequirement, Identity, Realm, Session, derive_key
from wampasgi.auth import CRAMethod


def app_with(requirement: Any, identity: Any = find_identity, **options: Any) -> Application:
    realm = Realm("office")
    realm.set_cra_handlers(requirement, identity, **options)
    return Application([realm])


@pytest.mark.anyio
async def test_challenge_has_the_details_of_the_session_to_be_opened() -> None:
    client = CRAClient("joe")
    async with wire(app_with(find_requirement)) as connection:
        challenge = await connection.hello(**client.hello())
        welcome = await connection.ask(AUTHENTICATE, *client.answer(challenge[2]))

    assert list(challenge[2]) == ["challenge"]
    signed = json.loads(challenge[2]["challenge"])
    age = datetime.now(UTC) - datetime.fromisoformat(signed.pop("timestamp"))
    assert timedelta(0) <= age < timedelta(seconds=10)
    assert len(signed.pop("nonce")) >= 22
    assert signed == {
        "authid": "joe",
        "authrole": "clerk",
        "authmethod": "wampcra",
        "authprovider": "userdb",
        "session": welcome[1],
    }


@pytest.mark.anyio
async def test_each_challenge_has_its_own_nonce() -> None:
    app, nonces = app_with(find_requirement), set()
    for _ in range(3):
        async with wire(app) as connection:
            challenge = await connection.hello(**CRAClient("joe").hello())
            nonces.add(json.loads(challenge[2]["challenge"])["nonce"])

    assert len(nonces) == 3


@pytest.mark.anyio
async def test_salted_challenge_has_the_parameters_of_the_key_derivation() -> None:
    async with wire(app_with(find_salted_requirement)) as connection:
        challenge = await connection.hello(**CRAClient("joe").hello())

    extra = {name: value for name, value in challenge[2].items() if name != "challenge"}
    assert extra == {"salt": "0123456789abcdef", "iterations": 100, "keylen": 24}


@pytest.mark.anyio
async def test_signed_authid_and_role_override_those_of_the_identity() -> None:
    async def boss(session: Session) -> Identity:
        return Identity("the boss", authid="boss", authrole="admin")

    async with wire(app_with(find_requirement, boss)) as connection:
        welcome = await authenticate(connection, CRAClient("joe"))

    assert (welcome[2]["authid"], welcome[2]["authrole"]) == ("joe", "clerk")


@pytest.mark.anyio
async def test_identity_can_be_any_object_and_handlers_can_be_sync() -> None:
    def requirement(session: Session, secrets: dict[str, str]) -> CRAAuthRequirement:
        return CRAAuthRequirement(secrets[str(session.authid)], "user", "static")

    def identity(session: Session) -> int:
        return 42

    realm = Realm("office")
    realm.set_default_arg("secrets", {"joe": SECRET})
    realm.set_cra_handlers(requirement, identity)

    @realm.procedure("whoami")
    async def whoami(session: Session) -> Any:
        return session.identity

    async with wire(Application([realm])) as connection:
        assert (await authenticate(connection, CRAClient("joe")))[0] == WELCOME
        assert (await connection.ask(48, 1, {}, "whoami"))[3] == [42]


@pytest.mark.anyio
async def test_mock_challenge_before_the_first_known_user_has_default_details() -> None:
    async with wire(app_with(find_requirement)) as connection:
        challenge = await connection.hello(**CRAClient("nobody").hello())
        answer = await connection.ask(AUTHENTICATE, *CRAClient("nobody").answer(challenge[2]))

    signed = json.loads(challenge[2]["challenge"])
    assert (signed["authid"], signed["authrole"], signed["authprovider"]) == ("nobody", "user", "dynamic")
    assert (answer[0], answer[2]) == (ABORT, AUTHENTICATION_FAILED)


@pytest.mark.anyio
async def test_unknown_and_mock_secret_determine_the_mock_challenge() -> None:
    unknown = CRAAuthRequirement("unused", "member", "db", salt="abcdef", iterations=7, keylen=16)
    extras = []
    for mock_secret in (b"same", b"same", b"other"):
        app = app_with(find_salted_requirement, unknown=unknown, mock_secret=mock_secret)
        async with wire(app) as connection:
            await authenticate(connection, CRAClient("joe"))
        async with wire(app) as connection:
            challenge = await connection.hello(**CRAClient("nobody").hello())
        extras.append(challenge[2])

    assert json.loads(extras[0]["challenge"])["authrole"] == "member"
    assert (extras[0]["iterations"], extras[0]["keylen"], len(extras[0]["salt"])) == (7, 16, 6)
    assert extras[0]["salt"] == extras[1]["salt"] != extras[2]["salt"]


@pytest.mark.anyio
async def test_salt_of_an_unknown_user_survives_a_change_of_the_configuration() -> None:
    app, salts = app_with(find_salted_requirement), set()
    for _ in range(2):
        async with wire(app) as connection:
            await connection.hello(**CRAClient("joe").hello())
        async with wire(app) as connection:
            challenge = await connection.hello(**CRAClient("nobody").hello())
        salts.add(challenge[2]["salt"])
        app.realms["office"].set_default_arg("more", 1)

    assert len(salts) == 1


@pytest.mark.anyio
async def test_requirement_of_another_type_is_reported_without_its_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def secret_alone(session: Session) -> str:
        return SECRET

    async with wire(app_with(secret_alone)) as connection:
        answer = await connection.hello(**CRAClient("joe").hello())

    assert (answer[0], answer[2]) == (ABORT, AUTHENTICATION_FAILED)
    assert "an object of the type str: it must return a CRAAuthRequirement, or None" in caplog.text
    assert SECRET not in caplog.text


def test_repr_of_a_requirement_does_not_show_the_secret() -> None:
    shown = repr(CRAAuthRequirement(SECRET, "user", "static"))

    assert SECRET not in shown
    assert "auth_role='user'" in shown


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"secret": ""}, "CRAAuthRequirement.secret must be a non-empty str, got str"),
        ({"secret": b""}, "CRAAuthRequirement.secret must be a non-empty str"),
        ({"secret": SECRET.encode("utf-16")}, "secret is bytes, which must be text in UTF-8"),
        ({"secret": SECRET.encode(), "salt": "salt"}, "must be the base64 form of 32 octets: derive_key"),
        ({"secret": bytes(range(32)), "salt": "salt"}, "must be the base64 form of 32 octets: derive_key"),
        ({"secret": bytearray(b"key")}, "secret must be a non-empty str, got bytearray"),
        ({"auth_role": None}, "CRAAuthRequirement.auth_role must be a non-empty str"),
        ({"auth_provider": ""}, "CRAAuthRequirement.auth_provider must be a non-empty str"),
        ({"salt": ""}, "CRAAuthRequirement.salt must be a non-empty str"),
        ({"salt": b"salt"}, "CRAAuthRequirement.salt must be a non-empty str, got bytes"),
        ({"iterations": 0}, "CRAAuthRequirement.iterations is 0: it must be an int greater than zero"),
        ({"keylen": "32"}, "CRAAuthRequirement.keylen is '32'"),
    ],
)
def test_invalid_requirement_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        CRAAuthRequirement(**{"secret": SECRET, "auth_role": "user", "auth_provider": "static", **fields})

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("salt", [None, "salt of joe"])
@pytest.mark.anyio
async def test_secret_can_be_bytes(salt: str | None) -> None:
    key = SECRET if salt is None else derive_key(SECRET, salt)
    required = CRAAuthRequirement(key.encode(), "user", "db", salt=salt)

    async def requirement(session: Session) -> CRAAuthRequirement:
        return required

    async with wire(app_with(requirement)) as connection:
        welcome = await authenticate(connection, CRAClient("joe"))

    assert welcome[0] == WELCOME
    assert required == CRAAuthRequirement(key, "user", "db", salt=salt)


@pytest.mark.anyio
async def test_key_that_autobahn_derives_is_accepted_as_it_is() -> None:
    autobahn = pytest.importorskip("autobahn.wamp.auth")
    key = autobahn.derive_key(SECRET, "salt of joe")
    assert type(key) is bytes

    async def requirement(session: Session) -> CRAAuthRequirement:
        return CRAAuthRequirement(key, "user", "db", salt="salt of joe")

    async with wire(app_with(requirement)) as connection:
        assert (await authenticate(connection, CRAClient("joe")))[0] == WELCOME


@pytest.mark.anyio
async def test_server_needs_only_the_derived_key() -> None:
    key = derive_key(SECRET, "salt of joe")

    async def requirement(session: Session) -> CRAAuthRequirement:
        return CRAAuthRequirement(key, "user", "db", salt="salt of joe")

    async with wire(app_with(requirement)) as connection:
        challenge = await connection.hello(**CRAClient("joe").hello())
        welcome = await connection.ask(AUTHENTICATE, *CRAClient("joe").answer(challenge[2]))

    assert (challenge[0], welcome[0]) == (CHALLENGE, WELCOME)


def test_method_has_the_name_from_the_specification() -> None:
    assert CRAMethod(find_requirement, find_identity).name == "wampcra"
