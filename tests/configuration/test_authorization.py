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

Calls = list[tuple[str, str]]


def plan(function: Callable[..., Any]) -> HandlerPlan:
    provided = {"session": Session, "action": None, "uri": None, "options": None}
    return HandlerPlan.read(function, provided=provided, default_args={}, takes_payload=False)


async def session_of(role: str | None, identity: object = "somebody") -> Session:
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


def never_called(action: str, uri: str) -> bool:
    raise AssertionError(f"the authorizer was called for {action} of {uri}")


ADMINS = frozenset({"admin"})


@pytest.mark.parametrize(
    ("role", "action", "uri", "rules", "roles", "authorizer", "expected"),
    [
        # If a route has roles, only they decide. A rule can add disclosure.
        ("admin", "call", "x", no_rules, ADMINS, never_called, ALLOWED),
        ("member", "call", "x", no_rules, ADMINS, never_called, REFUSED),
        (None, "call", "x", no_rules, ADMINS, never_called, REFUSED),
        ("member", "call", "disclosed", rules, ADMINS, never_called, REFUSED),
        ("member", "call", "x", everything, ADMINS, never_called, REFUSED),
        ("admin", "call", "disclosed", rules, ADMINS, never_called, DISCLOSABLE),
        ("admin", "call", "for.admins", rules, ADMINS, never_called, DISCLOSABLE),
        ("admin", "call", "x", everything, ADMINS, never_called, DISCLOSABLE),
        ("admin", "subscribe", "chat.room", rules, ADMINS, never_called, ALLOWED),
        # If the route has no roles, the most specific rule decides, without the authorizer.
        ("member", "publish", "chat.room", rules, None, never_called, ALLOWED),
        ("guest", "publish", "chat.room", rules, None, never_called, REFUSED),
        ("member", "publish", "chat.news", rules, None, never_called, REFUSED),
        ("editor", "publish", "chat.news", rules, None, never_called, DISCLOSABLE),
        ("guest", "subscribe", "chat.news", rules, None, never_called, ALLOWED),
        ("guest", "call", "disclosed", rules, None, never_called, DISCLOSABLE),
        ("guest", "call", "for.admins", rules, None, never_called, REFUSED),
        # allow_all is the least specific rule.
        ("guest", "register", "any.thing", everything, None, never_called, DISCLOSABLE),
        (None, "call", "wamp.session.count", everything, None, never_called, DISCLOSABLE),
        ("guest", "publish", "chat.news", everything_but_news, None, never_called, REFUSED),
        ("guest", "publish", "chat.room", everything_but_news, None, never_called, DISCLOSABLE),
        # If no rule matches, the authorizer decides. It never permits disclosure.
        ("member", "call", "chat.room", rules, None, members_only, ALLOWED),
        ("guest", "call", "chat.room", rules, None, members_only, REFUSED),
        ("member", "register", "x", no_rules, None, members_only, ALLOWED),
        ("guest", "register", "x", no_rules, None, members_only, REFUSED),
        # Without a matching rule and an authorizer, there is no verdict.
        ("member", "call", "chat.room", rules, None, None, None),
        ("guest", "publish", "x", no_rules, None, None, None),
    ],
)
async def test_verdict_of_rules_and_authorizer(
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


async def test_authorizer_gets_its_parameters() -> None:
    calls = []

    async def may(session: Session, action: str, uri: str, options: Mapping[str, Any]) -> bool:
        calls.append((session.authrole, action, uri, options))
        return True

    authorization = Authorization(Permissions(), plan(may))
    await decide(authorization, await session_of("member"), "call", "a.b", options={"timeout": 5})

    assert calls == [("member", "call", "a.b", {"timeout": 5})]


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("answer", [None, 1, "yes", RuntimeError("the directory is down")], ids=repr)
async def test_failing_authorizer_is_logged_and_raises_authorization_failed(
    answer: object, cache: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def may() -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    authorization = Authorization(Permissions(), plan(may), cache=cache)
    session = await session_of("member")
    # A failure is not cached.
    for _ in range(2):
        with pytest.raises(WAMPError, match=r"wamp\.error\.authorization_failed$"):
            await decide(authorization, session, "publish", "x")

    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(records) == 2
    assert "may failed for publish of 'x' by <Session" in records[0].getMessage()


def recording_authorizer(calls: Calls) -> Callable[..., bool]:
    def may(action: str, uri: str) -> bool:
        calls.append((action, uri))
        return not uri.startswith("not.")

    return may


async def test_cache_calls_the_authorizer_once_per_action_uri_and_match_policy() -> None:
    calls: Calls = []
    authorization = Authorization(Permissions(), plan(recording_authorizer(calls)), cache=True)
    session = await session_of("member")
    for _ in range(3):
        assert await decide(authorization, session, "call", "x") == ALLOWED
        assert await decide(authorization, session, "call", "not.x") == REFUSED
        assert await decide(authorization, session, "publish", "x", options={"acknowledge": True}) == ALLOWED
        assert await decide(authorization, session, "subscribe", "x") == ALLOWED
        assert await decide(authorization, session, "subscribe", "x", match="prefix") == ALLOWED

    assert calls == [
        ("call", "x"),
        ("call", "not.x"),
        ("publish", "x"),
        ("subscribe", "x"),
        ("subscribe", "x"),
    ]


async def test_authorizer_is_called_for_every_request_without_a_cache() -> None:
    calls: Calls = []
    authorization = Authorization(Permissions(), plan(recording_authorizer(calls)))
    session = await session_of("member")
    for _ in range(3):
        await decide(authorization, session, "call", "x")

    assert calls == [("call", "x")] * 3


async def test_sessions_do_not_share_a_cache() -> None:
    calls: Calls = []
    authorization = Authorization(Permissions(), plan(recording_authorizer(calls)), cache=True)
    for session in await session_of("member"), await session_of("member"):
        await decide(authorization, session, "call", "x")

    assert calls == [("call", "x")] * 2


async def test_cache_is_discarded_when_the_identity_changes() -> None:
    authorization = Authorization(Permissions(), plan(lambda session: session.identity == "good"), cache=True)
    session = await session_of("member", "good")
    assert await decide(authorization, session, "call", "x") == ALLOWED

    await session.mark_authenticated("bad")

    assert await decide(authorization, session, "call", "x") == REFUSED


async def test_cache_evicts_the_least_recently_used_answer() -> None:
    calls: Calls = []
    authorization = Authorization(Permissions(), plan(recording_authorizer(calls)), cache=True)
    session = await session_of("member")
    for number in range(CACHED_ANSWERS):
        await decide(authorization, session, "call", f"x{number}")
    await decide(authorization, session, "call", "x0")
    await decide(authorization, session, "call", "one.more")
    calls.clear()

    await decide(authorization, session, "call", "x0")
    await decide(authorization, session, "call", "x1")

    assert calls == [("call", "x1")]


async def test_long_uris_are_not_cached() -> None:
    calls: Calls = []
    authorization = Authorization(Permissions(), plan(recording_authorizer(calls)), cache=True)
    session = await session_of("member")
    for uri in ("x" * 255, "y" * 256) * 2:
        await decide(authorization, session, "call", uri)

    assert [len(uri) for _, uri in calls] == [255, 256, 256]


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
async def test_disclosure_needs_a_request_and_a_permission(
    verdict: Verdict | None, options: dict[str, Any], disclosed: bool | None
) -> None:
    if disclosed is not None:
        assert may_disclose(verdict, "call", "x", options) is disclosed
        return
    with pytest.raises(WAMPError, match=r"wamp\.error\.option_disallowed\.disclose_me: .*call of 'x'"):
        may_disclose(verdict, "call", "x", options)


async def test_refusal_names_the_action_and_the_uri() -> None:
    error = refusal("publish", "chat.news")

    assert error.uri == "wamp.error.not_authorized"
    assert error.args == ("this session may not publish to 'chat.news'",)


# In a realm


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
async def test_realm_passes_injected_arguments_to_its_authorizer(cache: bool) -> None:
    realm = office()
    realm.set_default_arg("default", "x")

    @realm.authorizer(cache=cache)
    def may(uri: str, default: str, opened: set[str] = Depends(directory)) -> bool:
        return uri in opened and default == "x"

    refused = "wamp.error.not_authorized"
    assert await call(realm, "open", "closed", "open", "for.admins") == ["done", refused, "done", refused]


async def test_authorizer_decorator_works_without_parentheses() -> None:
    realm = office()

    @realm.authorizer
    async def may(uri: str) -> bool:
        return uri == "closed"

    assert may.__name__ == "may"
    assert await call(realm, "open", "closed") == ["wamp.error.not_authorized", "done"]


def test_authorizer_that_yields_raises_at_startup() -> None:
    realm = office()

    @realm.authorizer
    async def may() -> AsyncIterator[bool]:
        yield True

    with pytest.raises(ConfigurationError, match=r"may .* an authorizer must return a bool"):
        Application([realm]).check()


def test_second_authorizer_raises() -> None:
    realm = office()
    realm.authorizer(members_only)

    with pytest.raises(ConfigurationError, match=r"never_called .* the realm already has .*members_only"):
        realm.authorizer(cache=True)(never_called)
