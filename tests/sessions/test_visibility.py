"""The parts of descriptions that sessions, and the visitors of web pages, may see."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from tests.wamp_client import WAMPClient, clients, trust_hello
from wampasgi import Application, Realm, RPCRequest, Session, Topic, WAMPError
from wampasgi.sessions.visibility import visible_interface
from wampasgi.types import Match

pytestmark = pytest.mark.anyio


class OpenModel(BaseModel):
    number: int


class SecretModel(BaseModel):
    part: SecretPart


class SecretPart(BaseModel):
    number: int


class OpenError(WAMPError, uri="com.open.failed"):
    model: OpenModel


class SecretError(WAMPError, uri="com.secret.failed"):
    """The secret has failed."""

    model: SecretModel


def app_with_roles(**options: Any) -> Application:
    """An application whose clients choose their role in HELLO."""
    app = Application(**options)
    app.add_transport_authenticator(trust_hello)
    return app


async def handle(*args: Any) -> None: ...


async def guard() -> None: ...


def add_procedures(app: Application | Realm, *uris: str, match: Any = "exact", **options: Any) -> None:
    for uri in uris:
        app.procedure(uri, match=match, **options)(handle)


def session_of(app: Application, client: WAMPClient) -> Session:
    return app.default_realm.sessions[client.id]


async def description_for(app: Application, client: WAMPClient) -> dict[str, Any]:
    found: dict[str, Any] = (await app.default_realm.describe_for(session_of(app, client))).to_dict()
    return found


async def procedures_for(app: Application, client: WAMPClient) -> list[str]:
    found = await description_for(app, client)
    return [entry["uri"] for entry in found["procedures"]]


async def topics_for(app: Application, client: WAMPClient) -> dict[str, str]:
    """Return what the client may do with each topic: ``subscribe``, ``publish`` or both."""
    found = await description_for(app, client)
    actions = ("subscribe", "publish")
    return {
        entry["uri"]: " ".join(action for action in actions if entry[action]) for entry in found["topics"]
    }


# Procedures


async def test_procedures_of_the_realm_are_open_by_default() -> None:
    app = Application()
    add_procedures(app, "com.one")
    add_procedures(app, "com.", match="prefix")
    add_procedures(app, ".two", match="wildcard")
    add_procedures(app, "com[.]three", match="regex")
    async with clients(app, "ann") as [ann]:
        assert await procedures_for(app, ann) == ["com.one", "com.", ".two", "com[.]three"]


@pytest.mark.parametrize("match", ["exact", "prefix", "wildcard", "regex"])
async def test_roles_of_a_procedure_restrict_its_description(match: Match) -> None:
    app = app_with_roles()
    add_procedures(app, "com.open")
    add_procedures(app, "com.secret", match=match, roles={"admin", "owner"})
    async with clients(app, "ann/admin", "bob/user") as [ann, bob]:
        assert await procedures_for(app, ann) == ["com.open", "com.secret"]
        assert await procedures_for(app, bob) == ["com.open"]


@pytest.mark.parametrize(
    ("rule", "match"), [("com.secret", "exact"), ("com.s", "prefix"), ("com.", "wildcard")]
)
async def test_rule_for_a_role_restricts_the_description_for_others(rule: str, match: Match) -> None:
    app = app_with_roles()
    add_procedures(app, "com.secret", "org.open")
    app.allow(rule, "call", match=match, role="admin")
    async with clients(app, "ann/admin", "bob/user") as [ann, bob]:
        assert await procedures_for(app, ann) == ["com.secret", "org.open"]
        assert await procedures_for(app, bob) == ["org.open"]


async def test_more_specific_rule_decides() -> None:
    app = app_with_roles()
    add_procedures(app, "com.one", "com.two")
    app.allow("com.", "call", match="prefix")
    app.allow("com.two", "call", role="admin")
    async with clients(app, "bob/user") as [bob]:
        assert await procedures_for(app, bob) == ["com.one"]


async def test_rule_for_another_action_does_not_count() -> None:
    app = app_with_roles()
    add_procedures(app, "com.one")
    app.allow("com.one", "register", "publish", "subscribe", role="admin")
    async with clients(app, "bob/user") as [bob]:
        assert await procedures_for(app, bob) == ["com.one"]


@pytest.mark.parametrize(
    ("pattern", "match"), [("com.", "prefix"), ("com.", "wildcard"), ("com[.].*", "regex")]
)
async def test_pattern_is_left_out_if_a_rule_refuses_one_of_its_uris(pattern: str, match: Any) -> None:
    app = app_with_roles()
    add_procedures(app, pattern, match=match)
    app.allow("com.secret", "call", role="admin")
    async with clients(app, "ann/admin", "bob/user") as [ann, bob]:
        assert await procedures_for(app, ann) == [pattern]
        assert await procedures_for(app, bob) == []


async def test_rule_for_all_uris_opens_a_regular_expression() -> None:
    app = app_with_roles()
    add_procedures(app, "com[.].*", match="regex")
    app.allow_all()
    async with clients(app, "bob/user") as [bob]:
        assert await procedures_for(app, bob) == ["com[.].*"]


async def test_handler_of_all_calls_is_shown() -> None:
    app = Application()

    @app.set_rpc_handler
    async def everything(request: RPCRequest) -> None: ...

    async with clients(app, "ann") as [ann]:
        assert await procedures_for(app, ann) == [""]


async def test_session_sees_what_its_own_configuration_has() -> None:
    app = app_with_roles()
    add_procedures(app, "com.one", "com.two")
    app.add_topic(Topic("com.first"))
    async with clients(app, "ann/user") as [ann]:
        add_procedures(app, "com.three")
        app.allow("com.one", "call", role="admin")
        app.add_topic(Topic("com.second"))
        async with clients(app, "bob/user") as [bob]:
            # The rule does not apply to the older session, which cannot call the new procedure either.
            assert await procedures_for(app, ann) == ["com.one", "com.two"]
            assert await ann.call_error("com.three") == "wamp.error.no_such_procedure"
            assert await topics_for(app, ann) == {"com.first": "subscribe"}
            assert await procedures_for(app, bob) == ["com.two", "com.three"]
            assert await topics_for(app, bob) == {"com.first": "subscribe", "com.second": "subscribe"}


async def test_all_sessions_see_procedures_that_are_added_at_run_time() -> None:
    app = app_with_roles()
    async with clients(app, "ann/admin", "bob/user") as [ann, bob]:
        app.default_realm.register("com.secret", handle, roles="admin")
        assert await procedures_for(app, ann) == ["com.secret"]
        assert await procedures_for(app, bob) == []
        app.default_realm.unregister("com.secret")
        assert await procedures_for(app, ann) == []


async def test_description_of_many_entries_is_complete() -> None:
    app = Application()
    uris = [f"com.p{number}" for number in range(250)]
    add_procedures(app, *uris)
    async with clients(app, "ann") as [ann]:
        assert await procedures_for(app, ann) == uris


async def test_other_tasks_run_while_many_entries_are_authorized() -> None:
    app = Application()
    add_procedures(app, *(f"com.p{number}" for number in range(250)))
    has_run = anyio.Event()

    async def run() -> None:
        has_run.set()

    async with clients(app, "ann") as [ann], anyio.create_task_group() as tasks:
        # The description itself is made before.
        app.default_realm.describe()
        tasks.start_soon(run)
        await app.default_realm.describe_for(session_of(app, ann))
        assert has_run.is_set()


# Authorizers

Ask = tuple[str, str, Mapping[str, Any]]


def app_with_authorizer(
    may: Callable[[str, str], Any], asked: list[Ask], *, cache: bool = False, sync: bool = False
) -> Application:
    app = app_with_roles()

    def decide(action: str, uri: str, options: Mapping[str, Any]) -> bool:
        asked.append((action, uri, options))
        return bool(may(action, uri))

    async def decide_later(action: str, uri: str, options: Mapping[str, Any]) -> bool:
        return decide(action, uri, options)

    app.authorizer(cache=cache)(decide if sync else decide_later)
    return app


@pytest.mark.parametrize("sync", [False, True])
async def test_authorizer_decides_for_each_entry(sync: bool) -> None:
    asked: list[Ask] = []
    app = app_with_authorizer(lambda action, uri: "secret" not in uri, asked, sync=sync)
    add_procedures(app, "com.open", "com.secret")
    add_procedures(app, "com.", match="prefix")
    app.topic("com.changed")(guard)
    app.subscriber("com.secrets.", match="prefix")(handle)
    async with clients(app, "ann") as [ann]:
        assert await procedures_for(app, ann) == ["com.open", "com."]
        asked.clear()
        assert await topics_for(app, ann) == {"com.changed": "subscribe publish"}
    assert asked == [
        ("call", "com.open", {}),
        ("call", "com.secret", {}),
        ("call", "com.", {"match": "prefix"}),
        ("subscribe", "com.changed", {}),
        ("publish", "com.changed", {}),
        ("subscribe", "com.secrets.", {"match": "prefix"}),
        ("publish", "com.secrets.", {"match": "prefix"}),
    ]


async def test_authorizer_is_not_asked_if_a_rule_or_roles_decide() -> None:
    asked: list[Ask] = []
    app = app_with_authorizer(lambda action, uri: True, asked)
    add_procedures(app, "com.allowed")
    add_procedures(app, "com.own", roles="user")
    add_procedures(app, "com.admins", roles="admin")
    app.allow("com.allowed", "call")
    async with clients(app, "ann/user") as [ann]:
        assert await procedures_for(app, ann) == ["com.allowed", "com.own"]
    assert asked == []


async def test_entry_is_left_out_if_the_authorizer_fails(caplog: pytest.LogCaptureFixture) -> None:
    app = app_with_authorizer(lambda action, uri: uri == "com.open" or 1 / 0, [])
    add_procedures(app, "com.open", "com.broken")
    app.add_topic(Topic("com.topic"))
    async with clients(app, "ann") as [ann]:
        assert await procedures_for(app, ann) == ["com.open"]
        assert await topics_for(app, ann) == {}
    assert any("ZeroDivisionError" in str(record.exc_info) for record in caplog.records)


async def test_authorizer_cannot_open_a_regular_expression() -> None:
    asked: list[Ask] = []
    app = app_with_authorizer(lambda action, uri: True, asked)
    add_procedures(app, "com[.].*", match="regex")
    app.topic("org[.].*", match="regex")(guard)
    async with clients(app, "ann") as [ann]:
        assert await procedures_for(app, ann) == []
        assert await topics_for(app, ann) == {}
    assert asked == []


@pytest.mark.parametrize("cache", [False, True])
async def test_cached_answers_serve_descriptions_and_calls_until_the_identity_changes(cache: bool) -> None:
    asked: list[Ask] = []
    rights = {"call"}
    app = app_with_authorizer(lambda action, uri: action in rights, asked, cache=cache)
    add_procedures(app, "com.one")
    async with clients(app, "ann") as [ann]:
        assert await procedures_for(app, ann) == ["com.one"]
        await ann.call("com.one")
        assert len(asked) == (1 if cache else 2)
        rights.clear()
        assert await procedures_for(app, ann) == (["com.one"] if cache else [])
        await session_of(app, ann).mark_authenticated("another identity")
        assert await procedures_for(app, ann) == []


# Client procedures


async def test_procedure_of_a_client_is_closed_unless_a_rule_opens_it() -> None:
    app = app_with_roles()
    app.allow("", "register", match="prefix")
    app.allow("com.open", "call")
    app.allow("com.admins.", "call", match="prefix", role="admin")
    async with clients(app, "ann/admin", "bob/user", "eve/user") as [ann, bob, eve]:
        for uri in ("com.open", "com.closed"):
            await eve.register(uri)
        await eve.register("com.admins.", match="prefix")
        assert await procedures_for(app, ann) == ["com.open", "com.admins."]
        assert await procedures_for(app, bob) == ["com.open"]
        # Not even its own.
        assert await procedures_for(app, eve) == ["com.open"]
        [found] = (await description_for(app, bob))["procedures"]
        assert (found["provider"], found["match"], found["parameters"]) == ("client", "exact", None)


async def test_authorizer_opens_procedures_of_clients() -> None:
    asked: list[Ask] = []
    app = app_with_authorizer(lambda action, uri: action == "register" or uri == "com.open", asked)
    async with clients(app, "ann", "eve") as [ann, eve]:
        await eve.register("com.open")
        await eve.register("com.", match="prefix")
        asked.clear()
        assert await procedures_for(app, ann) == ["com.open"]
    assert asked == [("call", "com.open", {}), ("call", "com.", {"match": "prefix"})]


async def test_procedure_that_only_the_server_can_call_is_not_shown() -> None:
    private = Realm("private", client_procedures="session")
    app = Application([private])
    private.allow_all()
    async with clients(app, "eve", realm="private") as [eve]:
        await eve.register("com.ui.confirm")
        session = private.sessions[eve.id]
        assert (await private.describe_for(session)).procedures == ()
        assert (await private.call("wamp.reflection.describe"))["procedures"] == []


async def test_definition_that_another_version_has_accepted_is_left_out() -> None:
    app = Application()
    app.allow_all()
    async with clients(app, "ann") as [ann]:
        for uri in ("com.one", "com.two"):
            await ann.register(uri)
        definitions = [["exact", "com.one", {"colour": "red"}], ["exact", "com.two", {"summary": "Two"}]]
        realm = app.default_realm
        found = await visible_interface(realm.plan(), realm.describe(), None, definitions)
    assert [(entry.uri, entry.summary) for entry in found.procedures] == [
        ("com.one", None),
        ("com.two", "Two"),
    ]


async def test_description_follows_the_registrations_of_clients() -> None:
    app = Application()
    app.allow_all()
    async with clients(app, "ann") as [ann]:
        async with clients(app, "eve") as [eve]:
            await eve.register("com.open")
            assert await procedures_for(app, ann) == ["com.open"]
        await ann.expect_nothing()
        assert await procedures_for(app, ann) == []


# Topics


async def test_topics_of_the_realm_are_open_to_subscribers_by_default() -> None:
    app = Application()
    app.topic("com.gate")(guard)
    app.topic("com.", match="prefix")(guard)
    app.topic("org[.].*", match="regex")(guard)
    app.add_topic(Topic("com.plain"))
    async with clients(app, "ann") as [ann]:
        expected = dict.fromkeys(["com.gate", "com.plain", "com.", "org[.].*"], "subscribe")
        assert await topics_for(app, ann) == expected


async def test_topic_is_shown_with_the_actions_that_the_session_may_take() -> None:
    app = app_with_roles()
    for topic in ("com.both", "com.in", "com.out", "com.closed"):
        readers = {"com.both": None, "com.out": None}.get(topic, "admin")
        writers = {"com.both": None, "com.in": None}.get(topic, "admin")
        app.topic(topic, roles=readers)(guard)
        app.subscriber(topic, roles=writers)(handle)
    async with clients(app, "ann/admin", "bob/user") as [ann, bob]:
        assert await topics_for(app, ann) == dict.fromkeys(
            ["com.both", "com.in", "com.out", "com.closed"], "subscribe publish"
        )
        assert await topics_for(app, bob) == {
            "com.both": "subscribe publish",
            "com.in": "publish",
            "com.out": "subscribe",
        }


async def test_topic_is_described_for_the_actions_of_the_session_alone() -> None:
    app = app_with_roles()
    for topic, readers, writers in ("com.in", "admin", None), ("com.out", None, "admin"):
        gate, heard = {"args": [{"number": 1}]}, {"args": [2]}
        app.topic(topic, roles=readers, event=OpenModel, examples=[gate])(guard)
        app.subscriber(topic, roles=writers, examples=[heard])(handle)
    app.subscriber("com.only", examples=[{"args": [3]}])(handle)
    app.topic("com.said", event=OpenModel, examples=[{"args": [{"number": 4}]}])(guard)
    app.allow("com.said", "publish")
    async with clients(app, "ann/admin", "bob/user") as [ann, bob]:
        for client in (ann, bob):
            found = {entry["uri"]: entry for entry in (await description_for(app, client))["topics"]}
            shown = {
                uri: (entry["event"] is not None, entry["parameters"] is not None, len(entry["examples"]))
                for uri, entry in found.items()
            }
            if client is ann:
                assert shown == {
                    "com.in": (True, True, 2),
                    "com.out": (True, True, 2),
                    "com.only": (False, True, 1),
                    "com.said": (True, False, 1),
                }
            else:
                assert shown == {
                    "com.in": (False, True, 0),
                    "com.out": (True, False, 0),
                    "com.only": (False, True, 1),
                    "com.said": (True, False, 1),
                }


async def test_rules_open_and_close_topics() -> None:
    app = app_with_roles()
    app.topic("com.chat.said")(guard)
    app.topic("com.news")(guard)
    app.subscriber("com.readings")(handle)
    app.allow("com.chat.", "publish", match="prefix")
    app.allow("com.news", "subscribe", "publish", role="editor")
    app.allow("com.readings", "subscribe")
    async with clients(app, "ann/editor", "bob/user") as [ann, bob]:
        open_topics = {"com.chat.said": "subscribe publish", "com.readings": "subscribe publish"}
        assert await topics_for(app, ann) == {**open_topics, "com.news": "subscribe publish"}
        assert await topics_for(app, bob) == open_topics


async def test_handlers_of_patterns_open_the_topics_that_they_match() -> None:
    app = app_with_roles()
    app.topic("com.rooms.", match="prefix", roles="member")(guard)
    app.subscriber("com.rooms.one", roles="member")(handle)
    app.topic("com.sensors.one")(guard)
    app.topic("com.sensors.hall.", match="prefix")(guard)
    app.subscriber("com.sensors.", match="prefix", roles="sensor")(handle)
    async with clients(app, "ann/member", "bob/sensor") as [ann, bob]:
        assert await topics_for(app, ann) == {
            "com.rooms.": "subscribe",
            "com.rooms.one": "subscribe publish",
            "com.sensors.one": "subscribe",
            "com.sensors.hall.": "subscribe",
        }
        assert await topics_for(app, bob) == {
            "com.sensors.one": "subscribe publish",
            "com.sensors.hall.": "subscribe publish",
            "com.sensors.": "publish",
        }
        # As the router decides.
        assert await ann.request_error(16, {"acknowledge": True}, "com.sensors.one") == (
            "wamp.error.not_authorized"
        )
        await bob.publish("com.sensors.hall.left")


async def test_handler_of_a_pattern_does_not_open_a_regular_expression() -> None:
    app = Application()
    app.topic("com[.].*", match="regex")(guard)
    app.subscriber("", match="prefix")(handle)
    async with clients(app, "ann") as [ann]:
        assert await topics_for(app, ann) == {"": "publish", "com[.].*": "subscribe"}


async def test_gatekeeper_of_all_topics_is_shown() -> None:
    app = Application()

    @app.set_subscription_handler
    async def everything(topic_uri: str) -> None: ...

    app.subscriber("com.in")(handle)
    async with clients(app, "ann") as [ann]:
        assert await topics_for(app, ann) == {"": "subscribe", "com.in": "subscribe publish"}


# Secrets


def app_with_secrets() -> Application:
    app = app_with_roles()

    @app.procedure("com.open.get", errors=[OpenError])
    async def get(model: OpenModel) -> None: ...

    @app.procedure("com.secret.get", errors=[SecretError], tags="secret", roles="admin")
    async def secret(model: SecretModel) -> SecretModel:
        """Get the secret."""
        return model

    app.topic("com.secret.changed", event=SecretModel, roles="admin")(guard)
    return app


async def test_hidden_entries_leave_no_trace() -> None:
    app = app_with_secrets()
    app.allow("", "register", match="prefix")
    app.allow("com.secret.", "call", match="prefix", role="admin")
    async with clients(app, "ann/admin", "bob/user", "eve/user") as [ann, bob, eve]:
        await eve.register("com.secret.till")
        whole = json.dumps(await description_for(app, ann))
        for name in ("com.secret.get", "SecretModel", "SecretPart", "Get the secret", "com.secret.failed"):
            assert name in whole
        text = json.dumps(await description_for(app, bob))
        assert "com.open.get" in text
        assert "OpenModel" in text
        assert "ecret" not in text


async def test_description_for_the_server_has_everything() -> None:
    app = app_with_secrets()
    app.allow("", "register", match="prefix")
    async with clients(app, "eve/user") as [eve]:
        await eve.register("com.secret.till")
        found = await app.call("wamp.reflection.describe")
        assert [entry["uri"] for entry in found["procedures"]] == [
            "com.open.get",
            "com.secret.get",
            "com.secret.till",
        ]
        assert {entry["uri"] for entry in found["errors"]} == {"com.open.failed", "com.secret.failed"}


async def test_session_of_another_realm_is_refused() -> None:
    other = Realm("other")
    app = Application([other])
    async with clients(app, "ann") as [ann]:
        with pytest.raises(ValueError, match="is not a session of the realm 'other'"):
            await other.describe_for(session_of(app, ann))


# The visitors of web pages


async def public_text(app: Application) -> str:
    return json.dumps((await app.default_realm.describe_for_anybody()).to_dict())


async def test_visitor_sees_what_anonymous_sessions_may_use() -> None:
    app = Application()
    app.allow("com.secret.rule", "call", role="user")
    app.allow("com.in", "publish", role="anonymous")
    add_procedures(app, "com.open", "com.secret.rule")
    add_procedures(app, "com.secret.roles", roles="user")
    add_procedures(app, "com.anonymous", roles="anonymous")
    app.topic("com.in")(guard)
    app.topic("com.secret.topic", roles="user", event=SecretModel)(guard)
    found = (await app.default_realm.describe_for_anybody()).to_dict()
    assert [entry["uri"] for entry in found["procedures"]] == ["com.open", "com.anonymous"]
    [topic] = found["topics"]
    assert (topic["uri"], topic["subscribe"], topic["publish"]) == ("com.in", True, True)
    assert "ecret" not in await public_text(app)


async def test_visitor_does_not_see_procedures_of_clients() -> None:
    app = Application()
    app.allow_all()
    async with clients(app, "eve") as [eve]:
        await eve.register("com.till")
        assert "com.till" not in await public_text(app)


async def test_visitor_sees_nothing_of_a_realm_that_is_closed_to_anonymous_sessions() -> None:
    app = app_with_secrets()
    app.allow_all()
    found = await app.default_realm.describe_for_anybody()
    assert found.to_dict() == {"realm": "default", "procedures": [], "topics": [], "errors": [], "$defs": {}}


async def test_visitor_sees_a_realm_that_accepts_anonymous_sessions_besides_others() -> None:
    app = Application(allow_anonymous=True)
    app.add_transport_authenticator(trust_hello)
    add_procedures(app, "com.open")
    assert "com.open" in await public_text(app)


async def test_authorizer_is_not_asked_for_a_visitor() -> None:
    asked: list[Ask] = []
    app = Application(allow_anonymous=True)

    @app.authorizer
    async def may(action: str, uri: str) -> bool:
        asked.append((action, uri, {}))
        return True

    add_procedures(app, "com.undecided", "com.allowed")
    add_procedures(app, "com.roles", roles="anonymous")
    add_procedures(app, "com[.].*", match="regex")
    app.add_topic(Topic("com.topic"))
    app.allow("com.allowed", "call")
    found = await app.default_realm.describe_for_anybody()
    assert [entry.uri for entry in found.procedures] == ["com.allowed", "com.roles"]
    assert found.topics == ()
    assert asked == []


@pytest.mark.parametrize(("pattern", "match"), [("", "prefix"), (".two", "wildcard"), ("com[.].*", "regex")])
async def test_rules_for_the_router_do_not_hide_patterns_of_the_realm(pattern: str, match: Any) -> None:
    app = app_with_roles()
    add_procedures(app, pattern, match=match)
    app.allow("wamp.", "call", match="prefix", role="admin")
    async with clients(app, "ann/admin", "bob/user") as [ann, bob]:
        for client in (ann, bob):
            assert await procedures_for(app, client) == [pattern]
