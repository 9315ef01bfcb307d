from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any

import pytest

from tests.auth.peers import CryptosignClient, authenticate, find_identity, find_keys, public_key, wire
from tests.specification import ABORT, AUTHENTICATE, AUTHENTICATION_FAILED, CHALLENGE, WELCOME
from wampasgi import Application, ConfigurationError, Realm, Session


def app_with(keys: Any) -> Application:
    realm = Realm("office")
    realm.set_cryptosign_handlers(keys, find_identity)
    return Application([realm])


@pytest.mark.anyio
async def test_challenge_is_32_random_octets_in_hex_without_channel_binding() -> None:
    app, challenges = app_with(find_keys), set()
    for binding in (None, "tls-unique"):
        hello = CryptosignClient("joe").hello()
        hello["authextra"]["channel_binding"] = binding
        async with wire(app) as connection:
            challenge = await connection.hello(**hello)
        assert challenge[:2] == [CHALLENGE, "cryptosign"]
        # A router that does not support the requested channel binding continues without it.
        assert challenge[2]["channel_binding"] is None
        assert re.fullmatch("[0-9a-f]{64}", challenge[2]["challenge"])
        challenges.add(challenge[2]["challenge"])

    assert len(challenges) == 2


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ([], ABORT),
        (None, ABORT),
        ([public_key("ann")], ABORT),
        ([public_key("ann"), public_key("joe")], WELCOME),
        ({public_key("joe").upper()}, WELCOME),
        (public_key("joe"), WELCOME),
    ],
    ids=["no keys", "None", "another's", "one of two", "upper case", "a single one"],
)
async def test_announced_key_must_be_one_of_the_keys_of_the_user(
    keys: Iterable[str] | None, code: int
) -> None:
    async def find(session: Session) -> Iterable[str] | None:
        return keys

    async with wire(app_with(find)) as connection:
        answer = await authenticate(connection, CryptosignClient("joe"))

    assert answer[0] == code
    if code == ABORT:
        assert answer[2] == AUTHENTICATION_FAILED


@pytest.mark.anyio
async def test_announced_key_may_be_in_upper_case() -> None:
    client = CryptosignClient("joe")
    hello = client.hello()
    hello["authextra"]["pubkey"] = hello["authextra"]["pubkey"].upper()
    async with wire(app_with(find_keys)) as connection:
        challenge = await connection.hello(**hello)
        assert (await connection.ask(AUTHENTICATE, *client.answer(challenge[2])))[0] == WELCOME


@pytest.mark.anyio
async def test_authid_of_a_client_that_names_none_is_its_public_key() -> None:
    async def keys(session: Session) -> list[str]:
        assert session.authid is not None
        return [session.authid]

    client = CryptosignClient("joe")
    hello = client.hello()
    del hello["authid"]
    async with wire(app_with(keys)) as connection:
        challenge = await connection.hello(**hello)
        welcome = await connection.ask(AUTHENTICATE, *client.answer(challenge[2]))

    assert (welcome[0], welcome[2]["authid"]) == (WELCOME, public_key("joe"))


@pytest.mark.anyio
async def test_key_of_another_user_is_refused() -> None:
    class Impostor(CryptosignClient):
        """A client that announces and uses its own key, but claims the authid joe."""

        def hello(self) -> dict[str, Any]:
            return {**super().hello(), "authid": "joe"}

    async with wire(app_with(find_keys)) as connection:
        answer = await authenticate(connection, Impostor("denied"))

    assert (answer[0], answer[2]) == (ABORT, AUTHENTICATION_FAILED)


def test_missing_pynacl_is_an_error_at_startup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nacl.signing", None)

    with pytest.raises(ConfigurationError, match=r"install wampasgi\[cryptosign\]"):
        app_with(find_keys).check()
