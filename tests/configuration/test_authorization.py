from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from tests.auth.peers import wire
from wampasgi import Application, ConfigurationError, Depends, Identity, Realm, Session
from wampasgi.configuration.authorization import CACHED_ANSWERS, Authorization, may_disclose, refusal
from wampasgi.errors import WAMPError
from wampasgi.injection.plan import HandlerPlan
from wampasgi.router.permissions import Permissions, Verdict
from wampasgi.types import Action, Match

pytestmark = pytest.mark.anyio

ALLOWED = Verdict(allowed=True, disclose=False)
DISCLOSABLE = Verdict(allowed=True, disclose=True)
REFUSED = Verdict(allowed=False, disclose=False)

Asked = list[tuple[str, str]]


def plan(function: Callable[..., Any]) -> HandlerPlan:
    provided = {"session": Session, "action": None, "uri": None, "options": None}
    return HandlerPlan.read(function, provided=provided, default_args={}, takes_payload=False)


async def session_of(role: str | None, identity: object = None) -> Session:
    session = Session(session_id=1, realm=Realm("r"), realm_uri="r", details={}, connection=None, peer=None)
    if role is not None:
        await session.mark_authenticated(identity, authrole=role)
    return session


async def decide(
    authorization: Authorization,
    session: Session,
    action: Action,
    uri: str,
    *,
    options: Mapping[str, Any] | None = None,
    roles: frozenset[str] | None = None,
    match: Match = "exact",
) -> Verdict | None:
    return await authorization.decide(
        session, action, uri, options or {}, {"session": session}, roles=roles, match=match
    )


def no_rules(realm: Permissions) -> None:
    pass


def rules(realm: Permissions) -> None:
    realm.allow("chat.", "publish", "subscribe", match="prefix", role="member")
    realm.allow("chat.news", "publish", role="editor", disclose=True)
    realm.allow("chat.news", "subscribe")
    realm.allow("disclosed", "call", disclose=True)
    realm.allow("for.admins", "call", role="admin", disclose=True)


def everything(realm: Permissions) -> None:
    realm.allow_all()


def everything_but_news(realm: Permissions) -> None:
    realm.allow_all()
    realm.allow("chat.news", "publish", role="editor")


def members_only(session: Session) -> bool:
    return session.authrole == "member"


#: Stands for an authorizer that would be wrong to ask.
def never_asked(action: str, uri: str) -> bool:
    raise AssertionError(f"asked about {action} of {uri}")


ADMINS = frozenset({"admin"})


@pytest.mark.parametrize(
    ("role", "action", "uri", "rules", "roles", "authorizer", "expected"),
    [
        # The roles of a route decide, whatever else there is; a rule may add disclosure.
        ("admin", "call", "x", no_rules, ADMINS, never_asked, ALLOWED),
        ("member", "call", "x", no_rules, ADMINS, never_asked, REFUSED),
        (None, "call", "x", no_rules, ADMINS, never_asked, REFUSED),
        ("member", "call", "disclosed", rules, ADMINS, never_asked, REFUSED),
        ("member", "call", "x", everything, ADMINS, never_asked, REFUSED),
        ("admin", "call", "disclosed", rules, ADMINS, never_asked, DISCLOSABLE),
        ("admin", "call", "for.admins", rules, ADMINS, never_asked, DISCLOSABLE),
        ("admin", "call", "x", everything, ADMINS, never_asked, DISCLOSABLE),
        ("admin", "subscribe", "chat.room", rules, ADMINS, never_asked, ALLOWED),
        # The most specific rule decides where the route has no roles, and the authorizer is not asked.
        ("member", "publish", "chat.room", rules, None, never_asked, ALLOWED),
        ("guest", "publish", "chat.room", rules, None, never_asked, REFUSED),
        ("member", "publish", "chat.news", rules, None, never_asked, REFUSED),
        ("editor", "publish", "chat.news", rules, None, never_asked, DISCLOSABLE),
        ("guest", "subscribe", "chat.news", rules, None, never_asked, ALLOWED),
        ("guest", "call", "disclosed", rules, None, never_asked, DISCLOSABLE),
        ("guest", "call", "for.admins", rules, None, never_asked, REFUSED),
        # allow_all is a rule, too, the least specific.
        ("guest", "register", "any.thing", everything, None, never_asked, DISCLOSABLE),
        (None, "call", "wamp.session.count", everything, None, never_asked, DISCLOSABLE),
        ("guest", "publish", "chat.news", everything_but_news, None, never_asked, REFUSED),
        ("guest", "publish", "chat.room", everything_but_news, None, never_asked, DISCLOSABLE),
        # Where no rule speaks, the authorizer decides, and permits no disclosure.
        ("member", "call", "chat.room", rules, None, members_only, ALLOWED),
        ("guest", "call", "chat.room", rules, None, members_only, REFUSED),
        ("member", "register", "x", no_rules, None, members_only, ALLOWED),
        ("guest", "register", "x", no_rules, None, members_only, REFUSED),
        # Where nothing speaks, the realm's default does.
        ("member", "call", "chat.room", rules, None, None, None),
        ("guest", "publish", "x", no_rules, None, None, None),
    ],
)
async def test_verdict(
    role: str | None,
    action: Action,
    uri: str,
    rules: Callable[[Permissions], None],
    roles: frozenset[str] | None,
    authorizer: Callable[..., bool] | None,
    expected: Verdict | None,
) -> None:
    permissions = Permissions()
    rules(permissions)
    authorization = Authorization(permissions, authorizer and plan(authorizer))

    assert await decide(authorization, await session_of(role), action, uri, roles=roles) == expected


async def test_authorizer_gets_what_it_asks_for() -> None:
    asked = []

    async def may(session: Session, action: str, uri: str, options: Mapping[str, Any]) -> bool:
        asked.append((session.authrole, action, uri, options))
        return True

    authorization = Authorization(Permissions(), plan(may))
    await decide(authorization, await session_of("member"), "call", "a.b", options={"timeout": 5})

    assert asked == [("member", "call", "a.b", {"timeout": 5})]


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("answer", [None, 1, "yes", RuntimeError("the directory is down")], ids=repr)
async def test_authorizer_that_fails_is_logged_and_answered_so(
    answer: object, cache: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def may() -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    authorization = Authorization(Permissions(), plan(may), cache=cache)
    session = await session_of("member")
    # Nothing is remembered of a failure.
    for _ in range(2):
        with pytest.raises(WAMPError, match=r"wamp\.error\.authorization_failed$"):
            await decide(authorization, session, "publish", "x")

    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(records) == 2
    assert "may failed for publish of 'x' by <Session" in records[0].getMessage()


def counting(asked: Asked) -> Callable[..., bool]:
    def may(action: str, uri: str) -> bool:
        asked.append((action, uri))
        return not uri.startswith("not.")

    return may


async def test_cache_asks_once_for_each_action_uri_and_match_policy() -> None:
    asked: Asked = []
    authorization = Authorization(Permissions(), plan(counting(asked)), cache=True)
    session = await session_of("member")
    for _ in range(3):
        assert await decide(authorization, session, "call", "x") == ALLOWED
        assert await decide(authorization, session, "call", "not.x") == REFUSED
        assert await decide(authorization, session, "publish", "x", options={"acknowledge": True}) == ALLOWED
        assert await decide(authorization, session, "subscribe", "x") == ALLOWED
        assert await decide(authorization, session, "subscribe", "x", match="prefix") == ALLOWED

    assert asked == [
        ("call", "x"),
        ("call", "not.x"),
        ("publish", "x"),
        ("subscribe", "x"),
        ("subscribe", "x"),
    ]


async def test_without_cache_every_request_is_asked_about() -> None:
    asked: Asked = []
    authorization = Authorization(Permissions(), plan(counting(asked)))
    session = await session_of("member")
    for _ in range(3):
        await decide(authorization, session, "call", "x")

    assert asked == [("call", "x")] * 3


async def test_cache_is_the_sessions_own() -> None:
    asked: Asked = []
    authorization = Authorization(Permissions(), plan(counting(asked)), cache=True)
    for session in await session_of("member"), await session_of("member"):
        await decide(authorization, session, "call", "x")

    assert asked == [("call", "x")] * 2


async def test_another_identity_is_asked_for_anew() -> None:
    authorization = Authorization(Permissions(), plan(lambda session: session.identity == "good"), cache=True)
    session = await session_of("member", "good")
    assert await decide(authorization, session, "call", "x") == ALLOWED

    await session.mark_authenticated("bad")

    assert await decide(authorization, session, "call", "x") == REFUSED


async def test_cache_is_bounded_and_drops_what_was_not_used_for_the_longest_time() -> None:
    asked: Asked = []
    authorization = Authorization(Permissions(), plan(counting(asked)), cache=True)
    session = await session_of("member")
    for number in range(CACHED_ANSWERS):
        await decide(authorization, session, "call", f"x{number}")
    await decide(authorization, session, "call", "x0")
    await decide(authorization, session, "call", "one.more")
    asked.clear()

    await decide(authorization, session, "call", "x0")
    await decide(authorization, session, "call", "x1")

    assert asked == [("call", "x1")]


async def test_cache_does_not_keep_long_uris() -> None:
    asked: Asked = []
    authorization = Authorization(Permissions(), plan(counting(asked)), cache=True)
    session = await session_of("member")
    for uri in ("x" * 255, "y" * 256) * 2:
        await decide(authorization, session, "call", uri)

    assert [len(uri) for _, uri in asked] == [255, 256, 256]


async def test_cache_does_not_keep_a_session_alive() -> None:
    authorization = Authorization(Permissions(), plan(lambda: True), cache=True)
    session = await session_of("member", Identity(user=object()))
    await decide(authorization, session, "call", "x")
    gone = weakref.ref(session)

    del session
    gc.collect()

    assert gone() is None


@pytest.mark.parametrize(
    ("verdict", "options", "disclosed"),
    [
        (None, {}, False),
        (ALLOWED, {"disclose_me": False}, False),
        (DISCLOSABLE, {}, False),
        (DISCLOSABLE, {"disclose_me": True}, True),
        (ALLOWED, {"disclose_me": True}, None),
        (REFUSED, {"disclose_me": True}, None),
        (None, {"disclose_me": True}, None),
    ],
)
async def test_disclosure_is_a_permission(
    verdict: Verdict | None, options: dict[str, Any], disclosed: bool | None
) -> None:
    if disclosed is not None:
        assert may_disclose(verdict, "call", "x", options) is disclosed
        return
    with pytest.raises(WAMPError, match=r"wamp\.error\.option_disallowed\.disclose_me: .*call of 'x'"):
        may_disclose(verdict, "call", "x", options)


async def test_refusal_says_what_was_refused() -> None:
    error = refusal("publish", "chat.news")

    assert error.uri == "wamp.error.not_authorized"
    assert error.args == ("this session may not publish to 'chat.news'",)


# On a realm


async def directory() -> set[str]:
    return {"open"}


def office() -> Realm:
    realm = Realm("office")

    @realm.procedure("open")
    @realm.procedure("closed")
    @realm.procedure("for.admins", roles="admin")
    async def procedure() -> str:
        return "done"

    return realm


async def call(realm: Realm, *uris: str) -> list[str]:
    answers = []
    async with wire(Application([realm])) as client:
        await client.hello()
        for number, uri in enumerate(uris, 1):
            answer = await client.ask(48, number, {}, uri)
            answers.append(answer[3][0] if answer[0] == 50 else answer[4])
    return answers


@pytest.mark.parametrize("cache", [False, True])
async def test_realm_asks_its_authorizer_with_injected_arguments(cache: bool) -> None:
    realm = office()
    realm.set_default_arg("default", "x")

    @realm.authorizer(cache=cache)
    def may(uri: str, default: str, opened: set[str] = Depends(directory)) -> bool:
        return uri in opened and default == "x"

    refused = "wamp.error.not_authorized"
    assert await call(realm, "open", "closed", "open", "for.admins") == ["done", refused, "done", refused]


async def test_authorizer_can_be_decorated_without_parentheses() -> None:
    realm = office()

    @realm.authorizer
    async def may(uri: str) -> bool:
        return uri == "closed"

    assert may.__name__ == "may"
    assert await call(realm, "open", "closed") == ["wamp.error.not_authorized", "done"]


def test_authorizer_that_yields_is_an_error_at_startup() -> None:
    realm = office()

    @realm.authorizer
    async def may() -> AsyncIterator[bool]:
        yield True

    with pytest.raises(ConfigurationError, match=r"may .* an authorizer must return a bool"):
        Application([realm]).check()


def test_second_authorizer_is_an_error() -> None:
    realm = office()
    realm.authorizer(members_only)

    with pytest.raises(ConfigurationError, match=r"never_asked .* the realm already has .*members_only"):
        realm.authorizer(cache=True)(never_asked)
