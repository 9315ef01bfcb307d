"""The choice of the challenge method, and custom methods."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.middleware import Middleware

from tests.auth.peers import (
    SECRET,
    CRAClient,
    check_ticket,
    find_identity,
    find_requirement,
    use_cra,
    use_cryptosign,
    use_scram_pbkdf2,
    use_ticket,
    wire,
)
from tests.specification import (
    ABORT,
    AUTHENTICATE,
    AUTHENTICATION_FAILED,
    AUTHORIZATION_DENIED,
    CHALLENGE,
    NO_MATCHING_AUTH_METHOD,
    WELCOME,
)
from wampasgi import Application, Identity, Realm, Session, WAMPError
from wampasgi.auth import Accepted, ChallengeMethod, ChallengeMiddleware, CRAMethod, TicketMethod, Unsuitable
from wampasgi.injection.dependencies import Depends
from wampasgi.protocol.messages import Authenticate
from wampasgi.types import ASGIApp, Receive, Scope, Send

pytestmark = pytest.mark.anyio


def office(**options: Any) -> tuple[Application, Realm]:
    realm = Realm("office", **options)
    return Application([realm]), realm


@pytest.mark.parametrize(
    ("authmethods", "chosen"),
    [
        (["ticket", "wampcra"], "ticket"),
        (["wampcra", "ticket"], "wampcra"),
        (["unheard-of", "wampcra", "ticket"], "wampcra"),
        (["wampcra", "wampcra"], "wampcra"),
        # HELLO lacks the data for the first two methods, but not for the third.
        (["wamp-scram", "cryptosign", "ticket"], "ticket"),
    ],
)
async def test_first_method_of_the_client_that_the_realm_offers_is_used(
    authmethods: list[str], chosen: str
) -> None:
    app, realm = office()
    for use in use_ticket, use_cra, use_scram_pbkdf2, use_cryptosign:
        use(realm)
    async with wire(app) as client:
        assert (await client.hello(authmethods=authmethods, authid="joe"))[:2] == [CHALLENGE, chosen]


@pytest.mark.parametrize("authmethods", [["wampcra"], ["anonymous"], [], None])
async def test_client_that_offers_no_method_of_the_realm_is_aborted(authmethods: list[str] | None) -> None:
    app, realm = office()
    use_ticket(realm)
    async with wire(app) as client:
        details = {} if authmethods is None else {"authmethods": authmethods}
        answer = await client.hello(authid="joe", **details)
        await client.closed()

    assert (answer[0], answer[2]) == (ABORT, NO_MATCHING_AUTH_METHOD)


class PinMethod:
    """A method defined by an application: the client adds one to a number."""

    name = "pin"

    def __init__(self) -> None:
        self.begun = 0

    async def begin(self, session: Session) -> PinExchange | None:
        self.begun += 1
        if session.authid == "incapable":
            raise Unsuitable("HELLO.Details.authid has no PIN")
        if session.authid == "broken":
            raise RuntimeError("no numbers left")
        if session.authid == "barred":
            await session.abort("com.example.barred", "barred since May")
            return None
        if session.authid == "trusted":
            await session.mark_authenticated("an old friend", authid="trusted", authmethod="friendship")
            return None
        if session.authid == "denied early":
            raise WAMPError(AUTHORIZATION_DENIED, "not with a PIN")
        return PinExchange(self.begun, odd=session.authid == "odd")


class PinExchange:
    def __init__(self, number: int, *, odd: bool) -> None:
        self.extra: Mapping[str, Any] = {"number": object() if odd else number}
        self._number = number

    async def verify(self, answer: Authenticate) -> Accepted | None:
        if answer.signature == "not today":
            raise WAMPError(AUTHORIZATION_DENIED)
        if int(answer.signature) != self._number + 1:
            return None
        identity = Identity(user="Ann", authid="ann", authrole="guest", authextra={"a": 1, "b": 1})
        return Accepted(identity=identity, authextra={"b": 2})


async def test_custom_method_is_offered() -> None:
    app, realm = office()
    realm.add_challenge_method(PinMethod())
    async with wire(app) as client:
        challenge = await client.hello(authmethods=["pin"], authid="somebody")
        welcome = await client.ask(AUTHENTICATE, "2", {})

    assert challenge == [CHALLENGE, "pin", {"number": 1}]
    assert welcome[0] == WELCOME
    details = {key: value for key, value in welcome[2].items() if key.startswith("auth")}
    assert details == {
        "authid": "ann",
        "authrole": "guest",
        "authmethod": "pin",
        "authprovider": "dynamic",
        "authextra": {"a": 1, "b": 2},
    }


async def test_method_may_decide_without_a_challenge() -> None:
    app, realm = office()
    realm.add_challenge_method(PinMethod())
    use_ticket(realm)
    async with wire(app) as client:
        welcome = await client.hello(authmethods=["pin", "ticket"], authid="trusted")
    async with wire(app) as client:
        barred = await client.hello(authmethods=["pin", "ticket"], authid="barred")

    assert (welcome[0], welcome[2]["authmethod"]) == (WELCOME, "friendship")
    assert barred == [ABORT, {"message": "barred since May"}, "com.example.barred"]


@pytest.mark.parametrize("authid", ["broken", "odd"])
async def test_error_of_a_method_is_logged_and_aborts_the_session(
    authid: str, caplog: pytest.LogCaptureFixture
) -> None:
    app, realm = office()
    realm.add_challenge_method(PinMethod())
    async with wire(app) as client:
        answer = await client.hello(authmethods=["pin"], authid=authid)

    assert answer == [ABORT, {"message": "authentication failed"}, AUTHENTICATION_FAILED]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage().startswith("pin authentication failed for <Session")


async def test_error_is_logged_with_its_traceback_but_without_the_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, realm = office()
    realm.add_challenge_method(PinMethod())
    async with wire(app) as client:
        await client.hello(authmethods=["pin"], authid="somebody")
        answer = await client.ask(AUTHENTICATE, "the PIN's\n1234", {})

    assert answer == [ABORT, {"message": "authentication failed"}, AUTHENTICATION_FAILED]
    assert "in verify" in caplog.text
    assert "ValueError: invalid literal for int() with base 10" in caplog.text
    assert "[hidden]" in caplog.text
    assert "1234" not in caplog.text


async def test_method_may_deny_access() -> None:
    app, realm = office()
    realm.add_challenge_method(PinMethod())
    async with wire(app) as client:
        early = await client.hello(authmethods=["pin"], authid="denied early")
    async with wire(app) as client:
        await client.hello(authmethods=["pin"], authid="somebody")
        late = await client.ask(AUTHENTICATE, "not today", {})

    assert early == [ABORT, {"message": "not with a PIN"}, AUTHORIZATION_DENIED]
    assert late == [ABORT, {}, AUTHORIZATION_DENIED]


async def test_method_that_the_client_names_twice_is_tried_once() -> None:
    method = PinMethod()
    app, realm = office()
    realm.add_challenge_method(method)
    async with wire(app) as client:
        answer = await client.hello(authmethods=["pin"] * 100, authid="incapable")

    assert answer[2] == NO_MATCHING_AUTH_METHOD
    assert method.begun == 1


async def find_prefix(session: Session) -> str:
    return f"{session.authid} of {session.realm.uri}"


def check_badge(session: Session, ticket: str, prefix: str = Depends(find_prefix)) -> str | None:
    return prefix if ticket == SECRET else None


async def test_middleware_accepts_plain_functions_and_refuses_anonymous_sessions() -> None:
    methods: list[ChallengeMethod] = [TicketMethod(check_badge), CRAMethod(find_requirement, find_identity)]
    app, realm = office(middleware=[Middleware(ChallengeMiddleware, methods=methods)])

    @realm.procedure("whoami")
    async def whoami(session: Session) -> Any:
        return session.identity

    async with wire(app) as client:
        await client.hello(authmethods=["ticket"], authid="joe")
        assert (await client.ask(AUTHENTICATE, SECRET, {}))[0] == WELCOME
        assert (await client.ask(48, 1, {}, "whoami"))[3] == ["joe of office"]
    async with wire(app) as client:
        challenge = await client.hello(**CRAClient("joe").hello())
        assert (await client.ask(AUTHENTICATE, *CRAClient("joe").answer(challenge[2])))[0] == WELCOME
    async with wire(app) as client:
        assert (await client.hello())[2] == NO_MATCHING_AUTH_METHOD


class SideDoor:
    """Middleware of an application that authenticates the sessions that name a certain authid."""

    def __init__(self, app: ASGIApp, *, name: str) -> None:
        self._app = app
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session: Session = scope["wamp.session"]
        if session.authid == self._name:
            await session.mark_authenticated("a friend", authid=self._name)
        await self._app(scope, receive, send)


async def test_session_that_other_middleware_has_authenticated_is_not_challenged() -> None:
    app, realm = office(middleware=[Middleware(SideDoor, name="sesame")])
    realm.set_ticket_authenticator(check_ticket)
    async with wire(app) as client:
        welcome = await client.hello(authmethods=["ticket"], authid="sesame")
    async with wire(app) as client:
        challenge = await client.hello(authmethods=["ticket"], authid="joe")

    assert (welcome[0], welcome[2]["authid"], welcome[2]["authmethod"]) == (WELCOME, "sesame", "custom")
    assert challenge[0] == CHALLENGE


async def test_session_that_other_middleware_has_aborted_is_not_challenged() -> None:
    class Bouncer(SideDoor):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await scope["wamp.session"].abort("com.example.go_away")
            await self._app(scope, receive, send)

    app, realm = office(middleware=[Middleware(Bouncer, name="")])
    realm.set_ticket_authenticator(check_ticket)
    async with wire(app) as client:
        assert await client.hello(authmethods=["ticket"], authid="joe") == [ABORT, {}, "com.example.go_away"]
        await client.closed()
