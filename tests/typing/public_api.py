"""Static tests of the types in the public API. Mypy checks this file, and nothing runs it.

An invalid call has a ``type: ignore`` with the code of the expected error. Mypy reports unused ones.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, assert_type

from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.routing import Mount, Router

from wampasgi import (
    Application,
    AuthenticationFailure,
    ConnectionClosed,
    CRAAuthRequirement,
    Depends,
    Event,
    Events,
    Identity,
    Interface,
    Limits,
    LocalSubscription,
    Progress,
    Realm,
    RPCErrorResult,
    RPCProgressReport,
    RPCRequest,
    RPCResult,
    RPCRouteSet,
    Session,
    SubscribeError,
    Topic,
    TopicRouteSet,
    WAMPError,
    WAMPRoute,
    WAMPRouter,
    procedure,
    subscriber,
    topic,
)
from wampasgi.types import ASGIApp, Receive, Scope, Send


class Watch:
    def __init__(self, app: ASGIApp, path: str) -> None:
        self.app = app
        self.path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


app = Application(
    [Realm("guests")],
    allow_default_realm=False,
    middleware=[Middleware(Watch, path="all.log")],
    limits=Limits(),
    uri_check="strict",
    unpack_results=True,
    debug=True,
    async_support="trio",
    exception_handlers={LookupError: lambda: WAMPError("com.example.not_found")},
)
realm = Realm("admins", middleware=[Middleware(Watch, path="admins.log")], unpack_results=False)
api = RPCRouteSet()
topics = TopicRouteSet()

Application(uri_check="lax")  # type: ignore[arg-type]
Application(async_support="curio")  # type: ignore[arg-type]
Application(exception_handlers={404: print})  # type: ignore[dict-item]
Realm()  # type: ignore[call-arg]


# Decorators do not change the type of a function, so other code can call it.
@app.procedure("math.add")
async def add(a: int, b: int = 0) -> int:
    return a + b


@api.route("math.halve", roles={"admin"}, response_type=float | None)
def halve(number: float) -> float:
    return number / 2


@api.prefix_route("docs.")
async def docs(request: RPCRequest, session: Session) -> RPCResult | RPCErrorResult:
    if session.identity is None:
        return RPCErrorResult("wamp.error.not_authorized")
    return RPCResult(args=[request.uri], kwargs={"seen": True})


@api.regex_route(r"count\.\d+")
async def count() -> AsyncGenerator[RPCProgressReport | RPCResult, None]:
    yield RPCProgressReport(args=(1,))
    yield RPCResult(args=(2,))


@topics.route("docs.changes")
async def docs_changes(session: Session, topic_uri: str) -> AsyncIterator[None]:
    if not topic_uri:
        raise SubscribeError("wamp.error.not_authorized")
    yield


@topics.prefix_route("docs.", roles="editor", patterns=True)
@topics.regex_route(r"doc\d+", patterns=False)
@app.topic("docs.", match="prefix", patterns=True)
async def any_docs() -> None: ...


app.set_subscription_handler(any_docs, patterns=True)
api.route("docs.patterns", patterns=True)  # type: ignore[call-arg]


router = WAMPRouter(prefix="docs.", roles="editor", tags=["docs"], dependencies=[Depends(add)])


@router.procedure("double", response_type=int, tags="math", dependencies=[Depends(add)])
async def double(number: int) -> int:
    return 2 * number


class Counter:
    @procedure("count", roles={"admin"})
    @topic("counted", patterns=False)
    @subscriber("counts.", match="prefix", tags="math")
    async def count(self, number: int) -> int:
        return number


assert_type(router.procedures[0].tags, tuple[str, ...])
WAMPRouter().include_router(router, prefix="v2.", roles=["admin"], tags="v2", dependencies=())
router.add_handlers(Counter(), prefix="counter.")
app.include_router(router)
realm.include_router(router)
router.include_router(api)  # type: ignore[arg-type]
router.subscriber("t", match="regex")  # type: ignore[arg-type]


async def doubled_count() -> int:
    return await double(await Counter().count(1))


@app.subscriber("sensors.", match="prefix")
async def on_reading(value: float, event: Event) -> None: ...


@realm.authorizer
async def may(session: Session, action: str, uri: str, options: dict[str, Any]) -> bool:
    return action == "call" or uri in session


async def functions_keep_their_types() -> None:
    assert_type(await add(1, b=2), int)
    assert_type(halve(3), float)
    assert_type(count(), AsyncGenerator[RPCProgressReport | RPCResult, None])
    await add("one")  # type: ignore[arg-type]


# Depends() has the type of the injected value.
def current_user(session: Session) -> str:
    return str(session.identity)


async def numbers() -> AsyncIterator[list[int]]:
    yield [1]


async def greet(user: str = Depends(current_user), given: list[int] = Depends(numbers)) -> str:
    return f"{user} {given}"


async def ticket_authenticator(session: Session, ticket: str) -> Identity | None:
    return Identity(user=object(), authid="ann", authrole="admin") if ticket == session.authid else None


async def cra_requirement(session: Session) -> CRAAuthRequirement:
    return CRAAuthRequirement("secret", "admin", "local", salt="pepper", iterations=2000, keylen=32)


async def who(session: Session) -> object:
    return session.authid


async def lifespan(session: Session) -> AsyncIterator[None]:
    yield


def key_of() -> CRAAuthRequirement:
    return CRAAuthRequirement(b"secret", "admin", "local")


def not_found(exc: LookupError) -> WAMPError:
    return WAMPError("com.example.not_found", str(exc))


def realms_are_configured() -> None:
    realm.set_ticket_authenticator(ticket_authenticator)
    realm.set_cra_handlers(cra_requirement, who)
    realm.add_transport_authenticator(who)
    realm.add_routes(api)
    realm.add_routes(topics)
    realm.add_rpc_routes(api)
    realm.add_topic_routes(topics)
    realm.add_session_state_handler(lifespan)
    realm.add_session_lifespan_handler(lifespan, authenticated_only=False)
    realm.set_default_arg("db", factory=dict)
    realm.set_default_arg("limit", 10)
    realm.allow("com.chat.", "publish", "subscribe", match="prefix", role="member")
    realm.allow("com.chat.", "register", "takeover", match="prefix")
    realm.allow_all()
    realm.keep_history("com.chat.", match="prefix", limit=500)
    realm.keep_history("com.chat.", match="regex")  # type: ignore[arg-type]
    realm.allow("com.chat.", "shout")  # type: ignore[arg-type]
    app.add_realm(realm)
    app.add_realm("admins")  # type: ignore[arg-type]


# These decorators do not change the type of a function, either.
authenticate: Callable[[Session], str] = realm.transport_authenticator(current_user)
find_key: Callable[[], CRAAuthRequirement] = realm.cra_requirement(key_of)
handle: Callable[[LookupError], WAMPError] = realm.exception_handler(LookupError)(not_found)


def applications_are_configured_as_in_starlette() -> None:
    app.add_middleware(Watch, path="all.log")
    app.add_middleware(Watch)  # type: ignore[call-arg]
    app.add_middleware(Watch, path=5)  # type: ignore[arg-type]
    app.state.database = object()
    app.dependency_overrides[current_user] = key_of
    app.dependency_overrides |= {current_user: key_of}
    realm.dependency_overrides = {}
    realm.dependency_overrides[current_user] = "ann"  # type: ignore[assignment]


def applications_are_asgi_apps() -> None:
    plain: ASGIApp = app
    inner: ASGIApp = realm
    Router([WAMPRoute("/ws", plain), Mount("/wamp", app)])
    Router([Mount("/inner", inner)])


async def realms_are_peers(session: Session) -> None:
    assert_type(await app.call("math.add", 1, b=2), Any)
    await realm.publish("docs.changes", 1, rev=3)
    assert_type(await session.call("ui.confirm", "Delete?", timeout=30), Any)
    async with realm.subscribe("sensors.", on_reading, match="prefix", when_full="drop_newest") as handle:
        assert_type(handle, LocalSubscription)
        handle.close()
    async with app.events("sensors.", match="prefix", buffer=10) as events:
        assert_type(events, Events)
        async for event in events:
            assert_type(event, Event)
        assert_type(events.dropped, int)
    app.events("sensors.", match="regex")  # type: ignore[arg-type]
    app.events("sensors.", when_full="block")  # type: ignore[arg-type]
    realm.register("plugin.add", add, roles={"admin"})
    realm.register("plugin.", add, match="prefix")
    realm.unregister("plugin.", match="prefix")
    assert_type(realm.revoke_registration("device.", match="prefix", reason="moved"), int)
    assert_type(realm.revoke_subscription("t", session=session, reason="moved"), int)
    assert_type(realm.clear_retained("t.", match="prefix"), int)
    Application(on_shutdown="goodbye", allowed_origins=["same-origin", "https://example.com"])
    Application(on_shutdown="restart", allowed_origins="*")  # type: ignore[arg-type]
    Application(allowed_origins=None)  # type: ignore[arg-type]
    Realm("desk", client_procedures="session")
    Realm("desk", client_procedures="shared")  # type: ignore[arg-type]
    assert_type(app.metrics()["admins"]["calls"]["results"], int)
    assert_type(realm.metrics()["calls"]["results"], int)
    assert_type(session.dropped_messages, int)
    assert_type(session.client_address, str | None)
    assert_type(session.authmethod, str | None)
    assert_type(session.authextra, Mapping[str, Any] | None)
    assert_type(session.connection.http, HTTPConnection)
    Limits(overflow="drop_oldest_events", sessions=None)
    Limits(overflow="wait")  # type: ignore[arg-type]
    Limits(authentication_failures=None, authentication_window=60)
    session["name"] = "Ann"
    assert_type(session["name"], Any)
    assert_type(session.connection.headers["user-agent"], str)
    assert_type(session.connection.path_params, dict[str, Any])
    await session.disconnect()


def failures_of_authentication_are_handled() -> None:
    @realm.on_authentication_failed
    async def failed(failure: AuthenticationFailure, dropped: int) -> str | None:
        assert_type(failure.method, str)
        assert_type(failure.connection.headers["host"], str)
        return failure.client_address

    app.on_authentication_failed(failed)
    app.on_authentication_failed(5)  # type: ignore[type-var]


def errors_carry_their_uri(error: WAMPError, closed: ConnectionClosed) -> None:
    assert_type(error.uri, str)
    assert_type(error.kwargs, dict[str, Any])
    assert_type(closed.reason, str)
    limit = LimitExceeded("not today", limit=500)
    assert_type(limit.limit, int)
    assert_type(limit.uri, str)
    assert_type(LimitExceeded.fields(), tuple[str, ...])
    raise limit


class LimitExceeded(WAMPError, uri="com.bank.limit"):
    limit: int


changes = Topic("docs.changes", int)
pair = Topic[tuple[int, str] | None]("docs.pairs", tuple[int, str] | None)
untyped = Topic[Any]("docs.untyped")
app.add_topic(changes, roles="reader", tags="docs", deprecated=True)
realm.add_topic(pair, event=int)  # type: ignore[call-arg]


@app.procedure(
    "docs.move",
    summary="Move a document",
    description="It *keeps* its ID.",
    tags=["docs"],
    deprecated=False,
    include_in_schema=True,
    examples=[{"summary": "One", "args": [1], "kwargs": {"to": "folder"}}],
    errors=[LimitExceeded, "com.docs.gone"],
)
async def move(document_id: int, to: str) -> AsyncIterator[Progress[float] | str]:
    yield Progress(0.5)
    yield to


@app.topic(changes, summary="Changes")
async def guard_changes() -> None: ...


@app.subscriber(pair, examples=[{"args": [1, "a"]}])
async def on_pair(number: int, text: str) -> None: ...


app.topic("docs.strings", event=str | None)
app.procedure("docs.typo", sumary="Typo")  # type: ignore[call-arg]
app.procedure("docs.error", errors=[ValueError])  # type: ignore[list-item]
app.subscriber("docs.event", event=int)  # type: ignore[call-arg]
app.procedure("docs.flag", deprecated="yes")  # type: ignore[arg-type]


async def topics_are_typed() -> None:
    assert_type(await changes.publish(5, options={"retain": True}, realm=realm), int)
    await pair.publish((1, "a"))
    await pair.publish(None)
    await untyped.publish({"any": "value"})
    await changes.publish("five")  # type: ignore[arg-type]
    await changes.publish()  # type: ignore[call-arg]
    assert_type(Progress(0.5).value, float)


async def realms_are_described(session: Session) -> None:
    assert_type(realm.describe(strict=True), Interface)
    assert_type(await realm.describe_for(session), Interface)
    assert_type(await realm.describe_for_anybody(), Interface)
    found = realm.describe()
    assert_type(found.to_dict(), dict[str, Any])
    assert_type(found.describe_procedure("docs.move", "exact"), dict[str, Any] | None)
    assert_type(found.procedures[0].deprecated, bool)
    assert_type(app.asyncapi("admins"), dict[str, Any])
    realm.register("plugin.move", add, summary="Add", errors=[LimitExceeded])
    Application(docs_url="/docs", asyncapi_url="/asyncapi.json", title="Docs", version="1", description=None)
    Application(docs_url=True)  # type: ignore[arg-type]
