"""Authentication, against realms of wampasgi and against a router that the test plays."""

# Autobahn's signatures have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from autobahn.wamp.auth import AuthScram
from autobahn.wamp.types import Challenge as AutobahnChallenge

from tests.auth.peers import (
    SECRET,
    find_identity,
    public_key,
    signing_key,
    use_cra,
    use_cryptosign,
    use_salted_cra,
    use_scram_argon2,
    use_ticket,
)
from tests.client.scripted_router import ROLES, Peer, ScriptedRouter
from tests.specification import (
    ABORT,
    AUTHENTICATE,
    AUTHENTICATION_FAILED,
    CHALLENGE,
    HELLO,
    NO_SUCH_REALM,
    NOT_AUTHORIZED,
    WELCOME,
)
from wampasgi import (
    Application,
    CRAAuthRequirement,
    Identity,
    Realm,
    SCRAMCredential,
    Session,
    scram_credential,
)
from wampasgi.auth.autobahn_scram import AutobahnSCRAMMethod, autobahn_scram_credential
from wampasgi.client import JoinRefused, RemoteProtocolError, connect
from wampasgi.errors import ConfigurationError
from wampasgi.protocol.challenges import cra_signature
from wampasgi.protocol.messages import Challenge

pytestmark = pytest.mark.anyio

PBKDF2 = scram_credential(SECRET, "pbkdf2", iterations=1000)


async def find_credential(session: Session) -> SCRAMCredential | None:
    return PBKDF2 if session.authid in ("joe", "I\u2163", "IIV") else None


def use_scram_pbkdf2(realm: Realm) -> None:
    realm.set_scram_handlers(find_credential, find_identity)


def use_both(realm: Realm) -> None:
    use_scram_pbkdf2(realm)
    use_cra(realm)


AUTOBAHN = autobahn_scram_credential(SECRET, iterations=1, memory=64)


async def find_autobahn_credential(session: Session) -> SCRAMCredential | None:
    return AUTOBAHN if session.authid == "joe" else None


def use_autobahn_scram(realm: Realm) -> None:
    realm.add_challenge_method(AutobahnSCRAMMethod(find_autobahn_credential, find_identity))


def office(use: Callable[[Realm], None]) -> Application:
    realm = Realm("office")
    use(realm)

    @realm.procedure("whoami")
    async def whoami(session: Session) -> list[Any]:
        return [session.authid, session.authrole]

    return Application([realm])


METHODS: dict[str, tuple[Callable[[Realm], None], dict[str, Any], dict[str, Any]]] = {
    "ticket": (use_ticket, {"ticket": SECRET}, {"ticket": "wrong"}),
    "wampcra": (use_cra, {"secret": SECRET}, {"secret": "wrong"}),
    "salted": (use_salted_cra, {"secret": SECRET}, {"secret": "wrong"}),
    "pbkdf2": (use_scram_pbkdf2, {"secret": SECRET}, {"secret": "wrong"}),
    "argon2id13": (use_scram_argon2, {"secret": SECRET}, {"secret": "wrong"}),
    "both": (use_both, {"secret": SECRET}, {"secret": "wrong"}),
    "scram": (
        use_autobahn_scram,
        {"secret": SECRET, "authmethods": ["scram"]},
        {"secret": "wrong", "authmethods": ["scram"]},
    ),
    "cryptosign": (
        use_cryptosign,
        {"private_key": bytes(signing_key("joe")).hex()},
        {"private_key": bytes(signing_key("joe", "wrong")).hex()},
    ),
}


@pytest.mark.parametrize("method", METHODS)
async def test_right_secret_opens_a_session(method: str) -> None:
    use, right, _ = METHODS[method]

    async with connect(app=office(use), realm="office", authid="joe", **right) as session:
        assert await session.call("whoami") == ["joe", "clerk"]
        assert (session.authid, session.authrole) == ("joe", "clerk")
        assert session.authmethod in ("ticket", "wampcra", "wamp-scram", "scram", "cryptosign")


@pytest.mark.parametrize("method", METHODS)
async def test_wrong_secret_is_refused(method: str) -> None:
    use, _, wrong = METHODS[method]

    with pytest.raises(JoinRefused, match=r"refused the session on realm 'office'") as raised:
        async with connect(app=office(use), realm="office", authid="joe", **wrong):
            pytest.fail("the session must not open")

    assert raised.value.uri == "wamp.error.authentication_failed"


async def test_private_key_may_be_octets_and_need_no_authid() -> None:
    async def keys() -> list[str]:
        return [public_key("joe")]

    def use(realm: Realm) -> None:
        realm.set_cryptosign_handlers(keys, find_identity)

    async with connect(app=office(use), realm="office", private_key=bytes(signing_key("joe"))) as session:
        assert session.authid == public_key("joe")


async def test_cookies_and_headers_go_with_the_handshake() -> None:
    async def from_cookie(session: Session) -> Identity | None:
        connection = session.connection
        if connection.cookies.get("token") == "t1" and connection.headers.get("x-tenant") == "blue":
            return Identity(authid="cookie user", authrole="clerk")
        return None

    def use(realm: Realm) -> None:
        realm.add_transport_authenticator(from_cookie)

    app = office(use)
    options: dict[str, Any] = {"app": app, "realm": "office", "cookies": {"a": "b", "token": "t1"}}
    async with connect(**options, headers={"X-Tenant": "blue"}) as session:
        assert await session.call("whoami") == ["cookie user", "clerk"]
    with pytest.raises(JoinRefused):
        async with connect(**options):
            pytest.fail("the session must not open")


async def test_own_method_is_answered_by_a_function() -> None:
    seen: list[Challenge] = []

    async def script(peer: Peer) -> None:
        hello = await peer.expect(HELLO)
        assert hello[2]["authmethods"] == ["otp"]
        assert hello[2]["authextra"] == {"device": 1}
        await peer.send(CHALLENGE, "otp", {"digits": 6})
        assert await peer.expect(AUTHENTICATE) == [AUTHENTICATE, "123456", {"by": "app"}]
        await peer.send(WELCOME, 1, {"roles": ROLES})
        await peer.until_gone()

    async def answer(challenge: Challenge) -> tuple[str, dict[str, Any]]:
        seen.append(challenge)
        return "123456", {"by": "app"}

    router = ScriptedRouter(script)
    async with connect(app=router, on_challenge=answer, authmethods=["otp"], authextra={"device": 1}):
        assert seen == [Challenge("otp", {"digits": 6})]
    assert not router.failures


async def test_password_is_offered_for_scram_first() -> None:
    async def script(peer: Peer) -> None:
        hello = await peer.expect(HELLO)
        assert hello[2]["authmethods"] == ["wamp-scram", "wampcra"]
        await peer.send(CHALLENGE, "wampcra", {"challenge": "{}"})
        assert await peer.expect(AUTHENTICATE) == [AUTHENTICATE, cra_signature(SECRET, "{}"), {}]
        await peer.send(WELCOME, 1, {"roles": ROLES})
        await peer.until_gone()

    router = ScriptedRouter(script)
    async with connect(app=router, authid="joe", secret=SECRET):
        pass
    assert not router.failures


@pytest.mark.parametrize("refusal", ["abort", "close"])
async def test_password_is_offered_for_cra_alone_if_the_router_refuses_scram(refusal: str) -> None:
    offered: list[list[str]] = []

    async def script(peer: Peer) -> None:
        hello = await peer.expect(HELLO)
        offered.append(hello[2]["authmethods"])
        if peer.number > 1:
            assert "nonce" not in hello[2].get("authextra", {})
            await peer.send(CHALLENGE, "wampcra", {"challenge": "{}"})
            assert await peer.expect(AUTHENTICATE) == [AUTHENTICATE, cra_signature(SECRET, "{}"), {}]
            await peer.send(WELCOME, 1, {"roles": ROLES})
            await peer.until_gone()
        elif refusal == "abort":
            await peer.send(ABORT, {"message": 'invalid authmethod "wamp-scram"'}, NOT_AUTHORIZED)
        else:
            await peer.close()

    router = ScriptedRouter(script)
    async with connect(app=router, authid="joe", secret=SECRET) as session:
        assert session.id == 1
    assert not router.failures
    assert offered == [["wamp-scram", "wampcra"], ["wampcra"]]


@pytest.mark.parametrize(
    ("reason", "challenged", "options"),
    [
        (NO_SUCH_REALM, False, {"secret": SECRET}),
        (AUTHENTICATION_FAILED, True, {"secret": SECRET}),
        (AUTHENTICATION_FAILED, False, {"secret": SECRET, "authmethods": ["wamp-scram"]}),
        (AUTHENTICATION_FAILED, False, {"ticket": SECRET}),
    ],
    ids=["realm", "challenged", "one method", "ticket"],
)
async def test_refused_session_is_not_tried_again(
    reason: str, challenged: bool, options: dict[str, Any]
) -> None:
    async def script(peer: Peer) -> None:
        await peer.expect(HELLO)
        if challenged:
            await peer.send(CHALLENGE, "wampcra", {"challenge": "{}"})
            await peer.expect(AUTHENTICATE)
        await peer.send(ABORT, {}, reason)

    router = ScriptedRouter(script)
    with pytest.raises(JoinRefused, match=reason):
        async with connect(app=router, authid="joe", **options):
            pytest.fail("the session must not open")
    assert router.peers == 1


@pytest.mark.parametrize("authid", ["joe", "a=b, c"])
async def test_autobahns_scram_is_answered_as_autobahn_does(
    authid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As many iterations as Autobahn has by default, but less memory, which is faster.
    credential = autobahn_scram_credential(SECRET, iterations=4096, memory=8)
    session = Mock()

    async def script(peer: Peer) -> None:
        hello = await peer.expect(HELLO)
        own = base64.b64decode(hello[2]["authextra"]["nonce"])
        # As Crossbar.io computes it.
        nonce = base64.b64encode(own + b"16 octets of its").decode()
        extra = {
            "nonce": nonce,
            "kdf": "argon2id-13",
            "salt": credential.salt,
            "iterations": credential.iterations,
            "memory": credential.memory,
        }
        monkeypatch.setattr("autobahn.wamp.auth.os.urandom", lambda _: own)
        autobahn = AuthScram(authid=authid, password=SECRET)
        assert autobahn.authextra["nonce"] == hello[2]["authextra"]["nonce"]
        await peer.send(CHALLENGE, "scram", extra)
        authenticate = await peer.expect(AUTHENTICATE)
        signature = autobahn.on_challenge(None, AutobahnChallenge("scram", extra)).decode()
        assert authenticate == [AUTHENTICATE, signature, {}]

        message = (
            f"n={authid},r={hello[2]['authextra']['nonce']},"
            f"r={nonce},s={extra['salt']},i={extra['iterations']},c=,r={nonce}"
        )
        server_key = base64.b64decode(credential.server_key)
        proof = base64.b64encode(hmac.digest(server_key, message.encode(), "sha256")).decode()
        authextra = {"scram_server_signature": proof}
        assert autobahn.on_welcome(session, authextra) is None
        await peer.send(WELCOME, 1, {"roles": ROLES, "authextra": authextra})
        await peer.until_gone()

    router = ScriptedRouter(script)
    async with connect(app=router, authid=authid, secret=SECRET, authmethods=["scram"]) as opened:
        assert opened.id == 1
    assert not router.failures


def scram_challenge(own: str, /, **changes: Any) -> dict[str, Any]:
    extra = base64.b64encode(b"server").decode()
    challenge = {"nonce": own + extra, "salt": "c2FsdA==", "kdf": "pbkdf2", "iterations": 1000}
    return {**challenge, "memory": None, **changes}


@pytest.mark.parametrize(
    ("method", "changes", "field"),
    [
        ("wamp-scram", {"nonce": "c2VydmVy"}, "nonce must be the client's nonce"),
        ("wamp-scram", {"nonce": 5}, "nonce must be a string"),
        ("wamp-scram", {"salt": "no base64"}, "salt must be base64"),
        ("wamp-scram", {"kdf": "md5"}, "kdf must be 'argon2id13' or 'pbkdf2'"),
        ("wamp-scram", {"iterations": 1}, "iterations must be an integer from 1000"),
        ("wamp-scram", {"iterations": 10**9}, "iterations must be an integer from 1000"),
        ("wamp-scram", {"kdf": "argon2id13", "iterations": 2, "memory": 10**9}, "memory must be an integer"),
        ("wamp-scram", {"kdf": "argon2id13", "iterations": 2}, "memory must be an integer"),
        (
            "wamp-scram",
            {"kdf": "argon2id13", "iterations": 1000, "memory": 2**20},
            "memory must be an integer from 8 to 16777",
        ),
        ("wamp-scram", {"kdf": "argon2id-13", "iterations": 2, "memory": 64}, "kdf must be"),
        ("scram", {}, "kdf must be 'argon2id-13', got 'pbkdf2'"),
        ("scram", {"kdf": "argon2id13", "iterations": 2, "memory": 64}, "kdf must be 'argon2id-13'"),
        ("scram", {"kdf": "argon2id-13", "iterations": 2}, "memory must be an integer"),
        ("wampcra", {"challenge": 1}, "challenge must be a string"),
        ("wampcra", {"challenge": "x", "iterations": 10**9}, "iterations must be an integer"),
        ("wampcra", {"challenge": "x", "keylen": "x"}, "keylen must be an integer"),
    ],
)
async def test_invalid_challenge_is_a_violation(method: str, changes: dict[str, Any], field: str) -> None:
    async def script(peer: Peer) -> None:
        hello = await peer.expect(HELLO)
        extra = scram_challenge(hello[2]["authextra"]["nonce"], **changes)
        await peer.send(CHALLENGE, method, extra)
        await peer.expect(ABORT)

    router = ScriptedRouter(script)
    with pytest.raises(RemoteProtocolError, match=rf"CHALLENGE\.Extra\.{field}"):
        async with connect(
            app=router, authid="joe", secret=SECRET, authmethods=["wamp-scram", "scram", "wampcra"]
        ):
            pytest.fail("the session must not open")
    assert not router.failures


async def test_challenge_that_argon2_does_not_support_is_a_violation() -> None:
    async def script(peer: Peer) -> None:
        hello = await peer.expect(HELLO)
        own = hello[2]["authextra"]["nonce"]
        changes = {"kdf": "argon2id13", "iterations": 1, "memory": 64, "salt": "c2E="}
        await peer.send(CHALLENGE, "wamp-scram", scram_challenge(own, **changes))
        await peer.expect(ABORT)

    router = ScriptedRouter(script)
    with pytest.raises(RemoteProtocolError, match=r"CHALLENGE\.Extra .* and a salt of 2 octets"):
        async with connect(app=router, authid="joe", secret=SECRET):
            pytest.fail("the session must not open")
    assert not router.failures


AUTOBAHN_COSTS = {"kdf": "argon2id-13", "iterations": 1, "memory": 64}


@pytest.mark.parametrize(
    ("method", "costs", "name", "authextra"),
    [
        ("wamp-scram", {}, "verifier", {}),
        ("wamp-scram", {}, "verifier", {"verifier": "c29tZXRoaW5n"}),
        ("wamp-scram", {}, "verifier", {"verifier": 1}),
        ("scram", AUTOBAHN_COSTS, "scram_server_signature", {}),
        ("scram", AUTOBAHN_COSTS, "scram_server_signature", {"scram_server_signature": "c29tZXRoaW5n"}),
    ],
)
async def test_router_that_does_not_know_the_password_is_aborted(
    method: str, costs: dict[str, Any], name: str, authextra: dict[str, Any]
) -> None:
    async def script(peer: Peer) -> None:
        hello = await peer.expect(HELLO)
        extra = scram_challenge(hello[2]["authextra"]["nonce"], **{"salt": "c2FsdHNhbHQ=", **costs})
        await peer.send(CHALLENGE, method, extra)
        await peer.expect(AUTHENTICATE)
        await peer.send(WELCOME, 1, {"roles": ROLES, "authextra": authextra})
        await peer.expect(ABORT)

    router = ScriptedRouter(script)
    with pytest.raises(RemoteProtocolError, match=rf"WELCOME\.Details\.authextra\.{name} must prove"):
        async with connect(app=router, authid="joe", secret=SECRET, authmethods=[method]):
            pytest.fail("the session must not open")
    assert not router.failures


async def test_challenge_without_credentials_says_what_to_pass() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect(HELLO)
        await peer.send(CHALLENGE, "ticket", {})
        await peer.until_gone()

    with pytest.raises(ConfigurationError, match=r"demands authentication with 'ticket'.*pass ticket="):
        async with connect(app=ScriptedRouter(script)):
            pytest.fail("the session must not open")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"ticket": "a", "secret": "b", "authid": "joe"}, "ticket= and secret= are given: pass only one"),
        ({"ticket": "a", "private_key": "00" * 32}, "ticket= and private_key= are given"),
        ({"secret": "b"}, "secret= needs authid="),
        ({"ticket": 5}, "ticket= must be a str, got int"),
        ({"private_key": "zz"}, "private_key= must be an Ed25519 private key"),
        ({"private_key": b"short"}, "private_key= must be an Ed25519 private key"),
        ({"authmethods": "ticket"}, "authmethods= must be a list of names"),
        ({"on_challenge": lambda challenge: ""}, "on_challenge= needs authmethods="),
    ],
)
async def test_credentials_that_do_not_fit_together_are_refused_at_once(
    options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        connect("ws://127.0.0.1:1/", **options)


@pytest.mark.parametrize(
    ("use", "secret", "authmethods", "problem"),
    [
        (use_scram_pbkdf2, "a\x07", None, "secret= cannot be used with SCRAM: SASLprep .* U\\+0007"),
        (use_autobahn_scram, "a\x07", ["scram"], "secret= cannot be used with SCRAM: SASLprep .* U\\+0007"),
        (use_autobahn_scram, "\u2168", ["scram"], "secret= cannot be used with Autobahn's SCRAM"),
    ],
)
async def test_password_that_scram_does_not_allow_is_a_mistake(
    use: Callable[[Realm], None], secret: str, authmethods: list[str] | None, problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        async with connect(
            app=office(use), realm="office", authid="joe", secret=secret, authmethods=authmethods
        ):
            pytest.fail("the session must not open")


async def test_authid_that_scram_does_not_allow_can_be_used_with_cra_alone() -> None:
    async def find_requirement(session: Session) -> CRAAuthRequirement:
        return CRAAuthRequirement(SECRET, auth_role="clerk", auth_provider="test")

    async def identity(session: Session) -> Identity:
        return Identity(authid=session.authid, authrole="clerk")

    def use(realm: Realm) -> None:
        realm.set_cra_handlers(find_requirement, identity)

    options: dict[str, Any] = {"app": office(use), "realm": "office", "authid": "jo\x07e", "secret": SECRET}
    with pytest.raises(
        ConfigurationError, match=r"authid= .* only with authmethods=\['wampcra'\]: .* U\+0007"
    ):
        connect(**options)
    async with connect(**options, authmethods=["wampcra"]) as session:
        assert session.authid == "jo\x07e"


async def test_secrets_are_not_shown() -> None:
    key = hashlib.sha256(SECRET.encode()).hexdigest()
    for options in ({"ticket": SECRET}, {"secret": SECRET, "authid": "joe"}, {"private_key": key}):
        client = connect("ws://127.0.0.1:1/", **options)  # type: ignore[arg-type] # a dict of options
        assert SECRET not in repr(vars(client))
        assert key not in repr(vars(client))
