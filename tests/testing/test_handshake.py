"""The test client's HELLO, and its answers to challenges."""

from __future__ import annotations

from typing import Literal

import pytest
from nacl.signing import SigningKey
from starlette.types import Message, Receive, Scope, Send

from tests.testing.apps import SOON, Backend, scripted
from wampasgi import (
    Application,
    CRAAuthRequirement,
    Identity,
    Realm,
    RPCResult,
    SCRAMCredential,
    Session,
    derive_key,
    scram_credential,
)
from wampasgi.auth import Challenge
from wampasgi.errors import ConfigurationError
from wampasgi.testing import ExpectationFailed, OnChallenge, SessionAborted, TestClient, Timeout


def test_session_has_the_details_of_welcome(client: TestClient) -> None:
    with client.wamp_session("com.example", authid="ann") as session:
        assert session.id in client_realm(client).sessions
        assert session.details["realm"] == "com.example"
        assert (session.authid, session.authrole) == (session.details["authid"], "anonymous")


def client_realm(client: TestClient) -> Realm:
    application = client.app
    assert isinstance(application, Application)
    return application.default_realm


def test_hello_has_the_client_roles_and_extra_details(app: Application, client: TestClient) -> None:
    @app.procedure("hello")
    async def hello(session: Session) -> RPCResult:
        return RPCResult([dict(session.details)])

    with client.wamp_session(hello={"agent": "my-test"}, authid="ann", authmethods=["anonymous"]) as session:
        details = session.call("hello")

    assert (details["agent"], details["authid"], details["authmethods"]) == ("my-test", "ann", ["anonymous"])
    assert set(details["roles"]) == {"caller", "callee", "publisher", "subscriber"}
    assert details["roles"]["caller"]["features"]["progressive_call_results"] is True


@pytest.fixture
def guarded(backend: Backend) -> TestClient:
    realm = Realm("guarded")

    async def authenticate(session: Session, ticket: str) -> Identity | None:
        return Identity(authid="ann", authrole="staff") if ticket == "secret" else None

    realm.set_ticket_authenticator(authenticate)
    return TestClient(Application([realm], allow_default_realm=False), backend=backend)


def test_ticket_answers_the_challenge(guarded: TestClient) -> None:
    with guarded.wamp_session("guarded", ticket="secret") as session:
        assert (session.authid, session.authrole) == ("ann", "staff")


@pytest.mark.parametrize(
    "answer", [lambda challenge: "secret", lambda challenge: ("secret", {"method": challenge.method})]
)
def test_challenge_is_answered_by_a_function(guarded: TestClient, answer: OnChallenge) -> None:
    with guarded.wamp_session("guarded", authmethods=["ticket"], on_challenge=answer) as session:
        assert session.authid == "ann"


@pytest.mark.parametrize(
    ("realm", "ticket", "uri", "text"),
    [
        ("guarded", "guess", "wamp.error.authentication_failed", "authentication failed"),
        ("guarded", None, "wamp.error.no_matching_auth_method", "no authentication method"),
        ("elsewhere", None, "wamp.error.no_such_realm", "there is no realm 'elsewhere'"),
    ],
)
def test_refused_session_raises_the_reason_and_message_of_abort(
    guarded: TestClient, realm: str, ticket: str | None, uri: str, text: str
) -> None:
    with pytest.raises(SessionAborted, match=text) as caught, guarded.wamp_session(realm, ticket=ticket):
        pass

    assert caught.value.uri == uri
    assert text in (caught.value.message or "")
    assert caught.value.details == {"message": caught.value.message}


def test_abort_without_a_message_shows_its_payload() -> None:
    client = TestClient(scripted('[3, {}, "com.app.full", [3], {"details": "none"}]'))

    with pytest.raises(SessionAborted, match=r"com.app.full: 3, details='none'\n"), client.wamp_session():
        pass


def test_unanswered_challenge_names_the_arguments_that_answer_it(guarded: TestClient) -> None:
    with (
        pytest.raises(
            ExpectationFailed, match=r"got Challenge\(.*ticket=, secret=, private_key= or on_challenge="
        ),
        guarded.wamp_session("guarded", authmethods=["ticket"]),
    ):
        pass


@pytest.mark.parametrize("salt", [None, "pepper"])
def test_secret_signs_the_challenge(backend: Backend, salt: str | None) -> None:
    realm = Realm("signed")
    key = "secret" if salt is None else derive_key("secret", salt, 10, 16)

    async def requirement(session: Session) -> CRAAuthRequirement:
        return CRAAuthRequirement(key, "member", "local", salt=salt, iterations=10, keylen=16)

    async def identity(session: Session) -> str:
        return "Ann"

    realm.set_cra_handlers(requirement, identity)
    client = TestClient(Application([realm]), backend=backend)

    with client.wamp_session("signed", authid="ann", secret="secret") as session:
        assert (session.authid, session.authrole) == ("ann", "member")
    with (
        pytest.raises(SessionAborted, match="authentication_failed"),
        client.wamp_session("signed", authid="ann", secret="guess"),
    ):
        pass


def test_ticket_and_on_challenge_together_are_refused(guarded: TestClient) -> None:
    with (
        pytest.raises(ValueError, match="pass only one"),
        guarded.wamp_session("guarded", ticket="secret", on_challenge=lambda challenge: "secret"),
    ):
        pass


def test_server_that_does_not_answer_hello_times_out(backend: Backend) -> None:
    client = TestClient(scripted(None, None, None), timeout=SOON, backend=backend)

    with (
        pytest.raises(Timeout, match=r"waited 0.1 s for WELCOME to realm 'com.example'"),
        client.wamp_session("com.example"),
    ):
        pass


@pytest.mark.parametrize("kdf", ["pbkdf2", "argon2id13"])
def test_secret_answers_scram(backend: Backend, kdf: Literal["pbkdf2", "argon2id13"]) -> None:
    realm = Realm("proved")
    users = {"ann": scram_credential("secret", kdf=kdf, iterations=4096 if kdf == "pbkdf2" else 1)}

    async def credential(session: Session) -> SCRAMCredential | None:
        return users.get(session.authid or "")

    async def identity(session: Session) -> Identity:
        return Identity(authrole="member")

    realm.set_scram_handlers(credential, identity)
    client = TestClient(Application([realm]), backend=backend)

    with client.wamp_session("proved", authid="ann", secret="secret") as session:
        assert (session.authid, session.authrole, session.authmethod) == ("ann", "member", "wamp-scram")
    with (
        pytest.raises(SessionAborted, match="authentication_failed"),
        client.wamp_session("proved", authid="ann", secret="guess"),
    ):
        pass


def test_server_that_does_not_prove_that_it_knows_the_user_is_refused() -> None:
    realm = Realm("proved")
    credential = scram_credential("secret", kdf="pbkdf2", iterations=4096)

    async def identity(session: Session) -> Identity:
        return Identity(authrole="member")

    realm.set_scram_handlers(lambda: credential, identity)
    app = Application([realm])

    async def false_server(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_without_proof(event: Message) -> None:
            if "text" in event:
                event["text"] = event["text"].replace('"verifier"', '"other"')
            await send(event)

        await app(scope, receive, send_without_proof)

    with (
        pytest.raises(ExpectationFailed, match=r"Welcome\(.*verifier must prove that the router knows"),
        TestClient(false_server).wamp_session("proved", authid="ann", secret="secret"),
    ):
        pass


def test_private_key_signs_the_challenge(backend: Backend) -> None:
    realm = Realm("signed")
    key = SigningKey(bytes(range(32)))

    async def keys(session: Session) -> list[str]:
        return [bytes(key.verify_key).hex()]

    async def identity(session: Session) -> Identity:
        return Identity(authrole="device")

    realm.set_cryptosign_handlers(keys, identity)
    client = TestClient(Application([realm]), backend=backend)

    with client.wamp_session("signed", authid="lamp", private_key=bytes(key).hex()) as session:
        assert (session.authid, session.authrole, session.authmethod) == ("lamp", "device", "cryptosign")
    with (
        pytest.raises(SessionAborted, match="authentication_failed"),
        client.wamp_session("signed", authid="lamp", private_key="00" * 32),
    ):
        pass


def test_coroutine_function_that_answers_challenges_is_refused(guarded: TestClient) -> None:
    async def answer(challenge: Challenge) -> str:
        raise AssertionError

    with (
        pytest.raises(ConfigurationError, match="on_challenge is a coroutine function"),
        guarded.wamp_session("guarded", authmethods=["ticket"], on_challenge=answer),
    ):
        pass


@pytest.mark.parametrize(
    ("challenge", "problem"),
    [
        ('[4, "wampcra", {}]', "CHALLENGE.Extra.challenge must be a string"),
        ('[4, "ticket", {}]', "authentication with 'ticket', but this client offers wamp-scram, wampcra"),
        ("[4, 5, {}]", "CHALLENGE.AuthMethod"),
    ],
)
def test_challenge_that_cannot_be_answered_is_quoted(challenge: str, problem: str) -> None:
    client = TestClient(scripted(challenge, '[6, {}, "a.b"]'))

    with (
        pytest.raises(ExpectationFailed, match=rf"(?i)challenge.*{problem}"),
        client.wamp_session(authid="ann", secret="secret"),
    ):
        pass


def test_unknown_argument_is_refused(client: TestClient) -> None:
    with pytest.raises(TypeError, match="tickets"), client.wamp_session(tickets="secret"):  # type: ignore[call-arg]
        pass
