"""The procedures ``wamp.reflection.*`` and ``wamp.metrics.get``, called by clients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.specification import CALL, ERROR, UNREGISTER
from tests.wamp_client import BASIC, WAMPClient, clients, connect, open_app, trust_hello, trusting_app
from wampasgi import Application, Limits, Topic, WAMPError
from wampasgi.testing import TestClient, WAMPSession

Backend = Literal["asyncio", "trio"]

DEFINE = "wamp.reflection.define"
DESCRIBE = "wamp.reflection.describe"
READING = [
    (DESCRIBE, ()),
    ("wamp.reflection.procedure.list", ()),
    ("wamp.reflection.procedure.describe", ("com.get",)),
    ("wamp.reflection.topic.list", ()),
    ("wamp.reflection.topic.describe", ("com.changed",)),
    ("wamp.reflection.error.list", ()),
    ("wamp.reflection.error.describe", ("com.failed",)),
]


class Order(BaseModel):
    number: int


class Failed(WAMPError, uri="com.failed"):
    order: Order


async def handle(*args: Any) -> None: ...


async def get(number: int) -> Order:
    """Get an order."""
    return Order(number=number)


async def refuse_all() -> bool:
    return False


def shop(**options: Any) -> Application:
    """An application with two procedures, two topics and two errors."""
    app = Application(**options)
    app.procedure("com.get", errors=[Failed, "com.missing"])(get)
    app.procedure("com.get", match="prefix")(handle)
    app.add_topic(Topic("com.changed", Order))
    app.subscriber("com.sent", match="prefix")(handle)
    return app


def error_of(session: WAMPSession, procedure: str, *args: Any, **kwargs: Any) -> WAMPError:
    with pytest.raises(WAMPError) as failed:
        session.call(procedure, *args, **kwargs)
    return failed.value


# Access


@pytest.mark.parametrize(("procedure", "args"), [*READING, (DEFINE, ("com.get",)), ("wamp.metrics.get", ())])
def test_procedures_are_closed_by_default(procedure: str, args: Any, backend: Backend) -> None:
    app = shop()
    app.allow("", "call", match="prefix")
    with TestClient(app, backend=backend).wamp_session() as session:
        assert error_of(session, procedure, *args).uri == "wamp.error.not_authorized"


@pytest.mark.parametrize(("procedure", "args"), READING)
def test_rule_opens_procedures_that_describe(procedure: str, args: Any) -> None:
    app = shop()
    app.allow("wamp.reflection.", "call", match="prefix")
    with TestClient(app).wamp_session() as session:
        assert session.call(procedure, *args)


@pytest.mark.parametrize(("procedure", "args"), READING)
def test_docs_url_opens_procedures_that_describe(procedure: str, args: Any) -> None:
    with TestClient(shop(docs_url="/docs")).wamp_session() as session:
        assert session.call(procedure, *args)


def test_docs_url_opens_nothing_else() -> None:
    with TestClient(shop(docs_url="/docs")).wamp_session() as session:
        for procedure in (DEFINE, "wamp.metrics.get", "wamp.session.count"):
            assert error_of(session, procedure).uri == "wamp.error.not_authorized"


@pytest.mark.parametrize(("procedure", "args"), READING)
def test_rule_refuses_although_there_is_a_docs_url(procedure: str, args: Any) -> None:
    app = shop(docs_url="/docs")
    app.allow("wamp.reflection.", "call", match="prefix", role="admin")
    with TestClient(app).wamp_session() as session:
        assert error_of(session, procedure, *args).uri == "wamp.error.not_authorized"


@pytest.mark.parametrize(("procedure", "args"), READING)
def test_authorizer_refuses_although_there_is_a_docs_url(procedure: str, args: Any) -> None:
    app = shop(docs_url="/docs")
    app.authorizer(refuse_all)
    with TestClient(app).wamp_session() as session:
        assert error_of(session, procedure, *args).uri == "wamp.error.not_authorized"


def test_entries_that_the_session_may_not_use_are_unknown() -> None:
    app = shop(docs_url="/docs")
    app.allow("com.get", "call", role="admin")
    app.allow("com.get", "call", match="prefix", role="admin")
    app.allow("com.", "subscribe", "publish", match="prefix", role="admin")
    with TestClient(app).wamp_session() as session:
        assert session.call(DESCRIBE) == {
            "realm": "default",
            "procedures": [],
            "topics": [],
            "errors": [],
            "$defs": {},
        }
        for kind, uri in ("procedure", "com.get"), ("topic", "com.changed"), ("error", "com.failed"):
            assert session.call(f"wamp.reflection.{kind}.list") == []
            assert session.call(f"wamp.reflection.{kind}.describe", uri) is None


@pytest.mark.anyio
async def test_reflection_is_announced_by_both_roles_of_the_router() -> None:
    async with connect(Application()) as client:
        await client.join()
        roles = client.details["roles"]
        assert [roles[role]["features"]["reflection"] for role in ("broker", "dealer")] == [True, True]


# Lists and entries


@pytest.fixture
def session(backend: Backend) -> Iterator[WAMPSession]:
    with TestClient(shop(docs_url="/docs"), backend=backend).wamp_session() as joined:
        yield joined


def test_lists_have_the_uris(session: WAMPSession) -> None:
    assert session.call("wamp.reflection.procedure.list") == ["com.get", "com.get"]
    assert session.call("wamp.reflection.topic.list") == ["com.changed", "com.sent"]
    assert session.call("wamp.reflection.error.list") == ["com.failed", "com.missing"]


def test_procedure_is_described_with_its_definitions(session: WAMPSession) -> None:
    found = session.call("wamp.reflection.procedure.describe", "com.get")
    whole = session.call(DESCRIBE)
    assert found == {**whole["procedures"][0], "$defs": whole["$defs"]}
    assert found["summary"] == "Get an order"
    assert found["$defs"].keys() == {"Order"}


def test_match_policy_selects_the_entry(session: WAMPSession) -> None:
    found = session.call("wamp.reflection.procedure.describe", "com.get", match="prefix")
    assert (found["match"], found["$defs"]) == ("prefix", {})
    assert session.call("wamp.reflection.procedure.describe", "com.get", match="wildcard") is None
    assert session.call("wamp.reflection.topic.describe", "com.sent") is None
    assert session.call("wamp.reflection.topic.describe", "com.sent", match="prefix")["publish"] is True


def test_topic_and_error_are_described_with_their_definitions(session: WAMPSession) -> None:
    for kind, uri in ("topic", "com.changed"), ("error", "com.failed"):
        found = session.call(f"wamp.reflection.{kind}.describe", uri)
        assert (found["uri"], found["$defs"].keys()) == (uri, {"Order"})


@pytest.mark.parametrize("kind", ["procedure", "topic", "error"])
def test_unknown_entry_is_null(kind: str, session: WAMPSession) -> None:
    assert session.call(f"wamp.reflection.{kind}.describe", "com.unknown") is None


@pytest.mark.parametrize(
    ("procedure", "args", "kwargs", "argument"),
    [
        ("procedure.describe", (), {}, "procedure"),
        ("procedure.describe", (1,), {}, "procedure"),
        ("procedure.describe", ("com.get",), {"match": "any"}, "match"),
        ("topic.describe", ("com.get", "exact"), {}, None),
        ("error.describe", ("com.failed",), {"match": "exact"}, "match"),
        ("procedure.list", ("com.get",), {}, None),
        ("describe", (1,), {}, None),
    ],
)
def test_invalid_argument_is_reported(
    procedure: str, args: Any, kwargs: Any, argument: str | None, session: WAMPSession
) -> None:
    error = error_of(session, f"wamp.reflection.{procedure}", *args, **kwargs)
    assert error.uri == "wamp.error.invalid_argument"
    assert error.kwargs["errors"][0]["argument"] == argument


@pytest.mark.anyio
async def test_realm_that_cannot_be_described_fails_the_call_alone(caplog: pytest.LogCaptureFixture) -> None:
    app = shop(docs_url="/docs")

    class Foreign:
        """A class that nothing can fill a parameter with."""

    async def unusable(parameter: Foreign) -> None: ...

    async with clients(app, "ann") as [ann]:
        app.procedure("com.unusable")(unusable)
        assert await ann.call_error(DESCRIBE) == "wamp.error.runtime_error"
        assert "the realm cannot be described" in caplog.text
        # The session keeps its configuration.
        assert await ann.call("com.get", 1) == {"number": 1}


# Definitions

TILL: dict[str, Any] = {
    "summary": "Open the till",
    "parameters": [{"name": "amount", "schema": {"$ref": "#/$defs/Amount"}}],
    "result": {"args": {"type": "array", "prefixItems": [{"type": "boolean"}]}},
    "errors": [{"uri": "com.till.jammed", "description": "Hit it."}],
    "$defs": {"Amount": {"type": "number"}},
}


async def described(client: WAMPClient, uri: str = "com.till", match: str = "exact") -> Any:
    return await client.call("wamp.reflection.procedure.describe", uri, match=match)


@pytest.mark.anyio
async def test_client_describes_what_it_has_registered() -> None:
    async with clients(trusting_app(), "ann", "eve") as [ann, eve]:
        await eve.register("com.till")
        assert (await described(ann))["summary"] is None
        assert await eve.call(DEFINE, "com.till", TILL) is None
        found = await described(ann)
        assert (found["uri"], found["match"], found["provider"]) == ("com.till", "exact", "client")
        assert (found["summary"], found["errors"]) == ("Open the till", ["com.till.jammed"])
        assert found["parameters"][0] == {
            "name": "amount",
            "aliases": [],
            "kind": "positional_or_keyword",
            "required": True,
            "schema": {"$ref": "#/$defs/Amount"},
        }
        assert found["$defs"] == TILL["$defs"]
        assert await ann.call("wamp.reflection.error.list") == ["com.till.jammed"]
        assert (await ann.call("wamp.reflection.error.describe", "com.till.jammed"))[
            "description"
        ] == "Hit it."


@pytest.mark.anyio
@pytest.mark.parametrize("match", ["prefix", "wildcard"])
async def test_pattern_is_defined_with_its_match_policy(match: str) -> None:
    async with clients(trusting_app(), "eve") as [eve]:
        await eve.register("com.till.", match=match)
        error = await eve.call_error(DEFINE, "com.till.", TILL)
        assert error == "wamp.error.no_such_registration"
        await eve.call(DEFINE, "com.till.", TILL, match=match)
        assert (await described(eve, "com.till.", match))["summary"] == "Open the till"


@pytest.mark.anyio
async def test_only_the_client_that_has_registered_a_procedure_defines_it() -> None:
    app = trusting_app()
    app.procedure("com.own")(handle)
    async with clients(app, "ann", "eve") as [ann, eve]:
        await eve.register("com.till")
        for uri in ("com.till", "com.own", "com.unknown", "wamp.session.count"):
            assert await ann.call_error(DEFINE, uri, TILL) == "wamp.error.no_such_registration"
        assert (await described(ann))["summary"] is None


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("definition", "path"),
    [
        ({"summary": 1}, ["summary"]),
        ({"parameters": [{"name": "a"}, {"kind": "rest"}]}, ["parameters", 1, "name"]),
        ({"unknown": 1}, ["unknown"]),
        ({"result": {"args": {"$ref": "#/$defs/Missing"}}}, ["$defs"]),
    ],
)
async def test_invalid_definition_is_refused_with_the_path_of_the_mistake(
    definition: Any, path: list[Any]
) -> None:
    async with clients(trusting_app(), "eve") as [eve]:
        await eve.register("com.till")
        await eve.call(DEFINE, "com.till", TILL)
        answer = await eve.request(CALL, {}, DEFINE, ["com.till", definition])
        assert (answer[0], answer[4]) == (ERROR, "wamp.error.invalid_argument")
        [error] = answer[6]["errors"]
        assert (error["argument"], error["path"]) == ("definition", path)
        # The old definition remains.
        assert (await described(eve))["summary"] == "Open the till"


@pytest.mark.anyio
@pytest.mark.parametrize("args", [(), (1,), ("com.till", "text"), ("com.till", {}, "exact")])
async def test_invalid_argument_of_define_is_reported(args: Any) -> None:
    async with clients(trusting_app(), "eve") as [eve]:
        await eve.register("com.till")
        assert await eve.call_error(DEFINE, *args) == "wamp.error.invalid_argument"


@pytest.mark.anyio
async def test_new_definition_replaces_the_old_one_and_null_removes_it() -> None:
    async with clients(trusting_app(), "eve") as [eve]:
        await eve.register("com.till")
        for definition, summary in (TILL, "Open the till"), ({"summary": "New"}, "New"), (None, None):
            await eve.call(DEFINE, "com.till", definition)
            assert (await described(eve))["summary"] == summary
        await eve.call(DEFINE, "com.till", TILL)
        await eve.call(DEFINE, "com.till")
        assert (await described(eve))["summary"] is None


@pytest.mark.anyio
async def test_definition_ends_with_the_registration() -> None:
    async with clients(trusting_app(), "eve") as [eve]:
        registration_id = await eve.register("com.till")
        await eve.call(DEFINE, "com.till", TILL)
        await eve.request(UNREGISTER, registration_id)
        assert await described(eve) is None
        assert await eve.call("wamp.reflection.error.list") == []
        await eve.register("com.till")
        assert (await described(eve))["summary"] is None


@pytest.mark.anyio
async def test_definition_ends_with_the_session() -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann], clients(app, "eve") as [eve]:
        await eve.register("com.till")
        await eve.call(DEFINE, "com.till", TILL)
        await eve.leave()
        assert await described(ann) is None


@pytest.mark.anyio
async def test_shared_registration_has_the_definition_of_one_callee() -> None:
    async with clients(trusting_app(), "ann", "eve") as [ann, eve]:
        await ann.register("com.till", invoke="roundrobin")
        registration_id = await eve.register("com.till", invoke="roundrobin")
        await eve.call(DEFINE, "com.till", {"summary": "Eve's"})
        assert (await described(ann))["summary"] == "Eve's"
        await ann.call(DEFINE, "com.till", {"summary": "Ann's"})
        assert (await described(ann))["summary"] == "Ann's"
        await ann.call(DEFINE, "com.till")
        assert (await described(ann))["summary"] == "Eve's"
        await eve.request(UNREGISTER, registration_id)
        assert (await described(ann))["summary"] is None


@pytest.mark.anyio
async def test_definitions_of_a_session_are_limited_together() -> None:
    app = trusting_app(limits=Limits(definition_bytes=2000))
    async with clients(app, "eve") as [eve]:
        for uri in ("com.one", "com.two"):
            await eve.register(uri)
        large = {"description": "d" * 1500}
        await eve.call(DEFINE, "com.one", large)
        # It replaces its own definition.
        await eve.call(DEFINE, "com.one", {**large, "summary": "New"})
        assert await eve.call_error(DEFINE, "com.two", large) == "wamp.error.unavailable"
        too_large = {"description": "d" * 3000}
        assert await eve.call_error(DEFINE, "com.one", too_large) == "wamp.error.unavailable"
        assert (await described(eve, "com.one"))["summary"] == "New"
        assert (await described(eve, "com.two"))["description"] is None
        await eve.call(DEFINE, "com.one")
        await eve.call(DEFINE, "com.two", large)


@pytest.mark.anyio
async def test_large_definition_is_refused_without_a_list_of_its_mistakes() -> None:
    app = trusting_app(limits=Limits(definition_bytes=2000))
    async with clients(app, "eve") as [eve]:
        await eve.register("com.till")
        mistakes = {f"key{number}": number for number in range(1000)}
        assert await eve.call_error(DEFINE, "com.till", mistakes) == "wamp.error.unavailable"


@pytest.mark.anyio
async def test_deep_definition_does_not_break_the_description_for_others() -> None:
    schema: dict[str, Any] = {}
    for _ in range(245):
        schema = {"items": schema}
    async with clients(trusting_app(), "ann", "eve") as [ann, eve]:
        await eve.register("com.till")
        answer = await eve.call_error(DEFINE, "com.till", {"result": {"args": schema}})
        assert answer == "wamp.error.invalid_argument"
        assert (await ann.call(DESCRIBE))["procedures"][0]["result"] is None


@pytest.mark.anyio
async def test_schema_of_a_client_does_not_replace_that_of_another() -> None:
    app = trusting_app()
    app.procedure("com.get")(get)
    async with clients(app, "ann", "eve") as [ann, eve]:
        definitions = {"Order": {"type": "string"}}
        result = {"args": {"type": "array", "prefixItems": [{"$ref": "#/$defs/Order"}]}}
        for client, uri in (ann, "com.anns"), (eve, "com.eves"):
            await client.register(uri)
            await client.call(DEFINE, uri, {"result": result, "$defs": definitions})
        found = await ann.call(DESCRIBE)
        assert found["$defs"]["Order"]["properties"].keys() == {"number"}
        results = {entry["uri"]: entry["result"]["args"]["prefixItems"] for entry in found["procedures"]}
        assert results["com.get"] == [{"$ref": "#/$defs/Order"}]
        for uri in ("com.anns", "com.eves"):
            [schema] = results[uri]
            assert found["$defs"][schema["$ref"].removeprefix("#/$defs/")] == {"type": "string"}


@pytest.mark.anyio
async def test_hidden_procedure_of_a_client_leaves_no_trace() -> None:
    app = Application(docs_url="/docs")
    app.add_transport_authenticator(trust_hello)
    app.allow("com.", "register", match="prefix")
    app.allow("com.", "call", match="prefix", role="admin")
    app.allow(DEFINE, "call")
    async with clients(app, "ann/admin", "bob/user", "eve/user") as [ann, bob, eve]:
        await eve.register("com.till")
        await eve.call(DEFINE, "com.till", TILL)
        for name in ("com.till", "Amount", "jammed"):
            assert name in json.dumps(await ann.call(DESCRIBE))
            assert name not in json.dumps(await bob.call(DESCRIBE))
        assert await described(bob) is None


@pytest.mark.anyio
async def test_server_reads_descriptions_and_defines_nothing() -> None:
    app = open_app()
    app.procedure("com.get")(get)
    async with clients(app, BASIC) as [eve]:
        await eve.register("com.till")
        await eve.call(DEFINE, "com.till", TILL)
        found = await app.call(DESCRIBE)
        assert [entry["uri"] for entry in found["procedures"]] == ["com.get", "com.till"]
        with pytest.raises(WAMPError, match="no_such_registration"):
            await app.call(DEFINE, "com.till", {})


# Metrics


@pytest.mark.anyio
async def test_rule_opens_the_metrics_of_the_realm() -> None:
    app = Application()
    app.procedure("com.get")(get)
    app.allow("wamp.metrics.get", "call")
    async with clients(app, BASIC, BASIC) as [ann, _]:
        await ann.call("com.get", 1)
        found = await ann.call("wamp.metrics.get")
        assert found["sessions"]["open"] == 2
        assert found["calls"]["results"] == 1
        assert found.keys() == app.default_realm.metrics().keys()
        assert await ann.call_error("wamp.metrics.get", 1) == "wamp.error.invalid_argument"
