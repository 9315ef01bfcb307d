"""Advanced Profile, "Authentication Methods"; ticket, WAMP-CRA, WAMP-SCRAM and cryptosign."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.auth.peers import (
    METHODS,
    PROOFS,
    CRAClient,
    CryptosignClient,
    Method,
    SCRAMClient,
    TicketClient,
    authenticate,
    public_key,
    wire,
)
from tests.conformance.vocabulary import asyncio_only
from tests.specification import (
    ABORT,
    AUTHENTICATE,
    AUTHENTICATION_FAILED,
    CALL,
    CHALLENGE,
    GOODBYE,
    HELLO,
    ISO_8601_UTC,
    MAX_ID,
    NO_MATCHING_AUTH_METHOD,
    SUBSCRIBE,
    WELCOME,
)
from tests.wamp_client import BASIC
from wampasgi import Application, Realm

pytestmark = pytest.mark.anyio

every_method = pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))


def office_of(method: str) -> Application:
    return METHODS[method].app()


# For every method


@every_method
async def test_router_sends_challenge_then_welcome_with_the_active_authentication(
    method: Method,
) -> None:
    client = method.client("joe")
    async with wire(method.app()) as on:
        challenge = await on.hello(**client.hello())
        assert challenge[:2] == [CHALLENGE, method.name]
        assert len(challenge) == 3
        signature, extra = client.answer(challenge[2])
        welcome = await on.ask(AUTHENTICATE, signature, extra)

    assert welcome[0] == WELCOME
    details = welcome[2]
    assert (details["authid"], details["authrole"]) == ("joe", "clerk")
    assert (details["authmethod"], details["authprovider"]) == (method.name, method.authprovider)
    assert set(details["roles"]) == {"broker", "dealer"}


@every_method
@pytest.mark.parametrize("authid", ["joe", "stranger"])
async def test_failed_authentication_must_be_answered_with_abort(method: Method, authid: str) -> None:
    async with wire(method.app()) as on:
        answer = await authenticate(on, method.client(authid, "wrong"))
        assert (answer[0], answer[2]) == (ABORT, AUTHENTICATION_FAILED)
        await on.closed()


@asyncio_only
@every_method
@pytest.mark.parametrize("authmethods", [["none of ours"], [], None], ids=str)
async def test_client_that_offers_no_method_of_the_realm_is_aborted(
    method: Method, authmethods: list[str] | None
) -> None:
    details = {} if authmethods is None else {"authmethods": authmethods}
    async with wire(method.app()) as on:
        answer = await on.hello(**{**method.client("joe").hello(), "authmethods": None, **details})
        assert (answer[0], answer[2]) == (ABORT, NO_MATCHING_AUTH_METHOD)


@asyncio_only
@every_method
async def test_router_skips_forward_to_a_method_that_it_can_perform(method: Method) -> None:
    client = method.client("joe")
    async with wire(method.app()) as on:
        hello = client.hello()
        challenge = await on.hello(**{**hello, "authmethods": ["morse", "anonymous", *hello["authmethods"]]})
        assert challenge[:2] == [CHALLENGE, method.name]


@asyncio_only
@every_method
@pytest.mark.parametrize(
    "message",
    [
        [HELLO, "office", BASIC],
        [WELCOME, 1, {}],
        [GOODBYE, {}, "wamp.close.close_realm"],
        [CALL, 1, {}, "whoami"],
        [SUBSCRIBE, 1, {}, "a"],
        [CHALLENGE, "ticket", {}],
        [AUTHENTICATE, 5, {}],
        [AUTHENTICATE, None, {}],
        [AUTHENTICATE, "text", []],
        [AUTHENTICATE, "text"],
        [AUTHENTICATE, "text", {}, {}],
    ],
    ids=str,
)
async def test_anything_but_a_valid_authenticate_after_challenge_is_a_protocol_error(
    method: Method, message: list[Any]
) -> None:
    async with wire(method.app()) as on:
        await on.hello(**method.client("joe").hello())
        await on.send(*message)
        await on.expect_abort()


@every_method
async def test_abort_from_a_challenged_client_is_never_replied_to(method: Method) -> None:
    async with wire(method.app()) as on:
        await on.hello(**method.client("joe").hello())
        await on.send(ABORT, {}, "com.myapp.no")
        await on.closed()


@every_method
async def test_challenge_can_only_be_answered_once(method: Method) -> None:
    client = method.client("joe")
    async with wire(method.app()) as on:
        challenge = await on.hello(**client.hello())
        answer = client.answer(challenge[2])
        assert (await on.ask(AUTHENTICATE, *answer))[0] == WELCOME
        await on.send(AUTHENTICATE, *answer)
        await on.expect_abort()


@asyncio_only
@every_method
async def test_client_that_does_not_answer_in_time_is_aborted(method: Method) -> None:
    async with wire(method.app(handshake_timeout=0.3)) as on:
        assert (await on.hello(**method.client("joe").hello()))[0] == CHALLENGE
        await on.expect(ABORT)
        await on.closed()


@asyncio_only
@pytest.mark.parametrize("method", PROOFS.values(), ids=list(PROOFS))
async def test_answer_to_an_earlier_challenge_is_rejected(method: Method) -> None:
    client = method.client("joe")
    app = method.app()
    async with wire(app) as on:
        recorded = client.answer((await on.hello(**client.hello()))[2])
        assert (await on.ask(AUTHENTICATE, *recorded))[0] == WELCOME
    async with wire(app) as on:
        await on.hello(**client.hello())
        answer = await on.ask(AUTHENTICATE, *recorded)
        assert (answer[0], answer[2]) == (ABORT, AUTHENTICATION_FAILED)


@asyncio_only
@pytest.mark.parametrize(
    "details",
    [{"authmethods": "ticket"}, {"authmethods": [1]}, {"authid": 5}, {"authextra": []}],
    ids=str,
)
async def test_authentication_attributes_must_have_the_right_type(details: dict[str, Any]) -> None:
    async with wire(office_of("ticket")) as on:
        await on.send(HELLO, "office", {**BASIC, **details})
        await on.expect_abort()


# Ticket


async def test_ticket_challenge_has_no_details() -> None:
    async with wire(office_of("ticket")) as on:
        assert await on.hello(**TicketClient("joe").hello()) == [CHALLENGE, "ticket", {}]


# WAMP-CRA


async def test_cra_challenge_must_be_a_json_object_with_seven_members() -> None:
    async with wire(office_of("wampcra")) as on:
        client = CRAClient("joe")
        extra = (await on.hello(**client.hello()))[2]
        assert set(extra) == {"challenge"}
        challenge = json.loads(extra["challenge"])
        welcome = await on.ask(AUTHENTICATE, *client.answer(extra))

    assert set(challenge) >= {
        "authid",
        "authrole",
        "authmethod",
        "authprovider",
        "nonce",
        "timestamp",
        "session",
    }
    assert challenge["authmethod"] == "wampcra"
    # The identity that the session will get.
    assert challenge["session"] == welcome[1]
    for name in "authid", "authrole", "authprovider":
        assert challenge[name] == welcome[2][name]
    assert isinstance(challenge["nonce"], str)
    assert len(challenge["nonce"]) >= 16
    assert re.fullmatch(ISO_8601_UTC, challenge["timestamp"])
    age = datetime.now(UTC) - datetime.fromisoformat(challenge["timestamp"])
    assert timedelta(minutes=-1) < age < timedelta(minutes=1)


async def test_salted_cra_challenge_has_the_key_derivation_parameters() -> None:
    async with wire(office_of("wampcra salted")) as on:
        extra = (await on.hello(**CRAClient("joe").hello()))[2]

    assert {type(extra[name]) for name in ("salt", "challenge")} == {str}
    assert (extra["iterations"], extra["keylen"]) == (100, 24)


@asyncio_only
@pytest.mark.parametrize("method", ["wampcra", "wamp-scram pbkdf2"])
async def test_authid_must_be_provided_for_methods_that_look_it_up(method: str) -> None:
    async with wire(office_of(method)) as on:
        hello = METHODS[method].client("joe").hello()
        del hello["authid"]
        answer = await on.hello(**hello)
        assert (answer[0], answer[2]) == (ABORT, NO_MATCHING_AUTH_METHOD)


async def test_session_id_in_a_challenge_is_a_valid_id() -> None:
    async with wire(office_of("wampcra")) as on:
        extra = (await on.hello(**CRAClient("joe").hello()))[2]

    assert 1 <= json.loads(extra["challenge"])["session"] <= MAX_ID


# WAMP-SCRAM


async def test_scram_challenge_has_the_members_that_the_specification_lists() -> None:
    client = SCRAMClient("joe")
    async with wire(office_of("wamp-scram pbkdf2")) as on:
        extra = (await on.hello(**client.hello()))[2]

    assert set(extra) == {"nonce", "salt", "kdf", "iterations", "memory"}
    assert extra["nonce"].startswith(client.nonce)
    assert len(base64.b64decode(extra["nonce"].removeprefix(client.nonce), validate=True)) >= 16
    assert len(base64.b64decode(extra["salt"], validate=True)) >= 16
    assert (extra["kdf"], extra["iterations"], extra["memory"]) == ("pbkdf2", 50, None)


async def test_argon2_challenge_states_its_memory_cost() -> None:
    async with wire(office_of("wamp-scram argon2id13")) as on:
        extra = (await on.hello(**SCRAMClient("joe").hello()))[2]

    assert (extra["kdf"], extra["iterations"], extra["memory"]) == ("argon2id13", 1, 64)


async def test_welcome_has_the_signature_of_a_server_that_knows_the_user() -> None:
    client = SCRAMClient("joe")
    async with wire(office_of("wamp-scram pbkdf2")) as on:
        welcome = await authenticate(on, client)

    assert base64.b64decode(welcome[2]["authextra"]["verifier"]) == client.server_signature


@asyncio_only
@pytest.mark.parametrize("binding", ["tls-unique", "tls-server-end-point", "morse", 5], ids=str)
async def test_unsupported_channel_binding_must_be_aborted(binding: object) -> None:
    async with wire(office_of("wamp-scram pbkdf2")) as on:
        hello = SCRAMClient("joe").hello()
        hello["authextra"]["channel_binding"] = binding
        assert (await on.hello(**hello))[0] == ABORT


@asyncio_only
@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "YWJj"},
        {"nonce": None},
        {"channel_binding": "tls-unique"},
        {"cbind_data": "YWJj"},
    ],
    ids=str,
)
async def test_server_checks_the_attributes_that_are_sent_with_the_proof(changed: dict[str, Any]) -> None:
    client = SCRAMClient("joe")
    async with wire(office_of("wamp-scram pbkdf2")) as on:
        challenge = await on.hello(**client.hello())
        signature, extra = client.answer(challenge[2])
        answer = await on.ask(AUTHENTICATE, signature, {**extra, **changed})
        assert (answer[0], answer[2]) == (ABORT, AUTHENTICATION_FAILED)


async def test_mock_challenge_always_has_the_same_salt_for_an_authid() -> None:
    app = office_of("wamp-scram pbkdf2")
    salts = []
    for authid in "stranger", "stranger", "another":
        async with wire(app) as on:
            salts.append((await on.hello(**SCRAMClient(authid).hello()))[2]["salt"])

    assert salts[0] == salts[1] != salts[2]


# Cryptosign


async def test_cryptosign_challenge_is_32_random_octets_in_hex() -> None:
    app = office_of("cryptosign")
    challenges = []
    for _ in range(2):
        async with wire(app) as on:
            extra = (await on.hello(**CryptosignClient("joe").hello()))[2]
            assert extra["channel_binding"] is None
            challenges.append(bytes.fromhex(extra["challenge"]))

    assert [len(challenge) for challenge in challenges] == [32, 32]
    assert challenges[0] != challenges[1]


@asyncio_only
async def test_public_key_becomes_the_authid_of_a_client_that_provides_none() -> None:
    realm = Realm("office")
    realm.set_cryptosign_handlers(lambda session: [public_key("joe")], lambda session: "joe")
    client = CryptosignClient("joe")
    async with wire(Application([realm])) as on:
        hello = client.hello()
        del hello["authid"]
        challenge = await on.hello(**hello)
        welcome = await on.ask(AUTHENTICATE, *client.answer(challenge[2]))

    assert welcome[2]["authid"] == public_key("joe")


@asyncio_only
@pytest.mark.parametrize("pubkey", [None, "", "abc", "zz" * 32, "ab" * 31, 5], ids=str)
async def test_public_key_is_required(pubkey: object) -> None:
    async with wire(office_of("cryptosign")) as on:
        hello = CryptosignClient("joe").hello()
        answer = await on.hello(**{**hello, "authextra": {"pubkey": pubkey}})
        assert (answer[0], answer[2]) == (ABORT, NO_MATCHING_AUTH_METHOD)


@asyncio_only
async def test_signature_must_precede_the_signed_message() -> None:
    client = CryptosignClient("joe")
    async with wire(office_of("cryptosign")) as on:
        challenge = await on.hello(**client.hello())
        signature, extra = client.answer(challenge[2])
        assert len(signature) == 2 * 96
        swapped = signature[128:] + signature[:128]
        answer = await on.ask(AUTHENTICATE, swapped, extra)
        assert (answer[0], answer[2]) == (ABORT, AUTHENTICATION_FAILED)


async def test_unsupported_channel_binding_is_left_out_of_the_cryptosign_challenge() -> None:
    client = CryptosignClient("joe")
    async with wire(office_of("cryptosign")) as on:
        hello = client.hello()
        hello["authextra"]["channel_binding"] = "tls-unique"
        extra = (await on.hello(**hello))[2]

    assert extra.get("channel_binding") is None
