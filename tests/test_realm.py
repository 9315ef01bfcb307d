"""Tests of realms: their ASGI interface, their middleware, and invalid configurations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

import anyio
import pytest
from starlette.middleware import Middleware

from tests.wamp_client import connect
from wampasgi import Application, ConfigurationError, Limits, Realm, RPCRouteSet, Session
from wampasgi.testing import TestClient
from wampasgi.types import ASGIApp, ASGIEvent, Receive, Scope, Send


class MessageLog:
    """Middleware that logs every message of a realm, in both directions."""

    def __init__(self, app: ASGIApp, log: list[tuple[str, Any]]) -> None:
        self.app = app
        self.log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def logging_receive() -> ASGIEvent:
            event = await receive()
            self.log.append(("in", event.get("message", event["type"])))
            return event

        async def logging_send(event: ASGIEvent) -> None:
            self.log.append(("out", event.get("message", event["type"])))
            await send(event)

        await self.app(scope, logging_receive, logging_send)


class ScopeLog:
    """Middleware that logs the scopes and changes nothing."""

    def __init__(self, app: ASGIApp, scopes: list[Scope]) -> None:
        self.app = app
        self.scopes = scopes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await self.app(scope, receive, send)


@pytest.mark.anyio
async def test_middleware_of_a_realm_sees_all_messages_in_both_directions() -> None:
    log: list[tuple[str, Any]] = []
    realm = Realm("r", middleware=[Middleware(MessageLog, log=log)])
    app = Application([realm])
    realm.allow("t", "subscribe")

    @realm.procedure("add")
    async def add(a: int, b: int) -> int:
        return a + b

    async with connect(app) as websocket:
        welcome = await websocket.join("r")
        await websocket.ask(48, 1, {}, "add", [1, 2])
        subscribed = await websocket.ask(32, 2, {}, "t")
        await realm.publish("t", "hi")
        event = await websocket.receive()
        await websocket.ask(6, {}, "wamp.close.close_realm")

    assert log == [
        ("out", welcome),
        ("in", [48, 1, {}, "add", [1, 2]]),
        ("out", [50, 1, {}, [3]]),
        ("in", [32, 2, {}, "t"]),
        ("out", subscribed),
        ("out", event),
        ("in", [6, {}, "wamp.close.close_realm"]),
        ("out", [6, {}, "wamp.close.goodbye_and_out"]),
    ]


@pytest.mark.anyio
async def test_middleware_can_change_and_drop_messages() -> None:
    class Shout:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def shouting(event: ASGIEvent) -> None:
                message = event.get("message", [])
                if message and message[0] == 36 and message[4] == ["secret"]:
                    return
                if message and message[0] == 50:
                    event = {**event, "message": [*message[:3], [message[3][0].upper()]]}
                await send(event)

            await self.app(scope, receive, shouting)

    realm = Realm("r", middleware=[Middleware(Shout)])
    app = Application([realm])
    realm.allow("t", "subscribe")

    @realm.procedure("echo")
    async def echo(text: str) -> str:
        return text

    async with connect(app) as websocket:
        await websocket.join("r")
        await websocket.ask(32, 1, {}, "t")
        await realm.publish("t", "secret")

        assert await websocket.ask(48, 2, {}, "echo", ["quiet"]) == [50, 2, {}, ["QUIET"]]


@pytest.mark.anyio
async def test_unserializable_result_is_answered_with_an_error_through_middleware(
    caplog: pytest.LogCaptureFixture,
) -> None:
    realm = Realm("r", middleware=[Middleware(MessageLog, log=[])])
    app = Application([realm])

    @realm.procedure("give")
    async def give() -> Any:
        return object()

    async with connect(app) as websocket:
        await websocket.join("r")
        assert await websocket.ask(48, 1, {}, "give") == [8, 48, 1, {}, "wamp.error.runtime_error"]

    assert "cannot be serialized" in caplog.text


@pytest.mark.logs_failure
@pytest.mark.anyio
@pytest.mark.parametrize("fails", ["receive", "send", "call"])
async def test_failing_middleware_ends_its_session_with_a_reason(
    fails: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def failing_receive() -> ASGIEvent:
                raise ValueError("broken middleware")

            async def failing_send(event: ASGIEvent) -> None:
                if event["type"] == "wamp.message" and event["message"][0] == 50:
                    raise ValueError("broken middleware")
                await send(event)

            if fails == "call":
                raise ValueError("broken middleware")
            if fails == "receive":
                receive = failing_receive
            await self.app(scope, receive, failing_send)

    realm = Realm("r", middleware=[Middleware(Failing)])
    app = Application([realm])

    @realm.procedure("ping")
    async def ping() -> None: ...

    async with connect(app) as websocket:
        await websocket.send(1, "r", {"roles": {"caller": {}}})
        if fails != "call":
            await websocket.receive()
        if fails == "send":
            await websocket.send(48, 1, {}, "ping")
        else:
            answer = await websocket.receive()
            assert (answer[0], answer[2]) == (3, "wamp.error.runtime_error")
        assert (await websocket.closed())["code"] == 1011

    assert "broken middleware" in caplog.text


@pytest.mark.anyio
async def test_scope_of_a_realm_is_the_websocket_scope_with_wamp_keys() -> None:
    scopes: list[Scope] = []
    realm = Realm("r", middleware=[Middleware(ScopeLog, scopes=scopes)])
    app = Application([realm])

    async with connect(app, path="/somewhere", state={"from": "outside"}) as websocket:
        session_id = (await websocket.join("r", authid="claimed"))[1]

    (scope,) = scopes
    assert scope["type"] == "wamp"
    assert scope["path"] == "/somewhere"
    assert scope["state"] == {"from": "outside"}
    assert scope["wamp.realm"] == "r"
    assert scope["wamp.hello"]["authid"] == "claimed"
    assert scope["wamp.subprotocol"] == "wamp.2.json"
    assert isinstance(scope["wamp.session"], Session)
    assert scope["wamp.session"].id == session_id


@pytest.mark.anyio
async def test_send_of_a_realm_refuses_other_event_types() -> None:
    raised = []

    class Wrong:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await send({"type": "websocket.send", "text": ""})
            except ValueError as error:
                raised.append(str(error))
            await send({"type": "wamp.close", "code": 4000})

    app = Application([Realm("r", middleware=[Middleware(Wrong)])])

    async with connect(app) as websocket:
        await websocket.send(1, "r", {"roles": {"caller": {}}})
        assert (await websocket.closed())["code"] == 4000

    assert "'websocket.send'" in raised[0]


@pytest.mark.anyio
async def test_realms_are_isolated_and_the_default_realm_accepts_all_other_uris() -> None:
    guests, admins = Realm("guests"), Realm("admins")
    app = Application([guests])
    app.add_realm(admins)
    for place, name in (guests, "guests"), (admins, "admins"), (app, "default"):

        @place.procedure("where")
        async def where(name: str = name) -> str:
            return name

    answers = {}
    for uri in "guests", "admins", "elsewhere":
        async with connect(app) as websocket:
            await websocket.join(uri)
            answers[uri] = (await websocket.ask(48, 1, {}, "where"))[3]

    assert answers == {"guests": ["guests"], "admins": ["admins"], "elsewhere": ["default"]}


@pytest.mark.anyio
async def test_limits_of_a_realm_replace_those_of_the_application() -> None:
    app = Application([Realm("r", limits=Limits(handshake_timeout=5, close_timeout=0.05))])

    async with connect(app) as websocket:
        await websocket.join("r")
        realm = app.realms["r"]
        for session in realm.sessions.values():
            await session.close()
        assert (await websocket.receive())[0] == 6
        await websocket.closed()


@pytest.mark.anyio
async def test_added_routes_apply_to_sessions_that_join_later() -> None:
    app = Application()

    async with connect(app) as early:
        await early.join()

        @app.procedure("late")
        async def late() -> str:
            return "here"

        async with connect(app) as later:
            await later.join()
            assert await later.ask(48, 1, {}, "late") == [50, 1, {}, ["here"]]
        assert (await early.ask(48, 1, {}, "late"))[4] == "wamp.error.no_such_procedure"


@pytest.mark.anyio
async def test_serving_a_realm_without_an_application_raises() -> None:
    async def unused(*_: object) -> NoReturn:
        raise AssertionError("never called")

    with pytest.raises(ConfigurationError, match=r"realm 'r' .* Application\(\[realm\]\)"):
        await Realm("r")({"type": "websocket"}, unused, unused)
    with pytest.raises(ConfigurationError, match="test the application"):
        TestClient(Realm("r"))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"exlude": [1]}, "PUBLISH has no option 'exlude': use one of .*exclude"),
        ({"exclude": "x"}, "'exclude' of PUBLISH is 'x': it must be a list of session IDs"),
        ({"eligible_authid": {5}}, "it must be a list of strings"),
        ({"retain": "yes"}, "it must be a bool"),
    ],
)
@pytest.mark.anyio
async def test_publication_by_the_server_with_an_invalid_option_raises(
    options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        await Application().publish("t", options=options)


@pytest.mark.anyio
async def test_publication_in_a_realm_without_an_application_raises() -> None:
    with pytest.raises(ConfigurationError, match=r"call app\.add_realm"):
        await Realm("r").publish("t", 1)


@pytest.mark.anyio
async def test_publish_options_of_the_server_can_be_sets_and_tuples() -> None:
    app = Application()
    app.allow("t", "subscribe", role="anonymous")
    async with connect(app) as one, connect(app) as two:
        one_id, two_id = (await one.join())[1], (await two.join())[1]
        for websocket in one, two:
            await websocket.ask(32, 1, {}, "t")
        await app.publish("t", 1, options={"exclude": {one_id}, "_trace": "mine"})
        await app.publish("t", 2, options={"eligible": (one_id,)})

        assert (await one.receive())[4] == [2]
        assert (await two.receive())[4] == [1]
        assert two_id != one_id


# Invalid configuration


async def handler() -> None: ...


async def generator() -> AsyncIterator[None]:
    yield


async def wants_database(database: object) -> AsyncIterator[None]:
    yield


class PlainASGI:
    """ASGI middleware that is not wrapped in Starlette's Middleware."""


async def asks_database(database: object) -> None:
    pass


def one_uri_for_two_routes() -> None:
    routes = RPCRouteSet()
    routes.route("a.b")(handler)
    routes.route("a.b")(generator)


def registered_twice() -> None:
    app = Application()
    app.register("a.b", handler)
    app.register("a.b", handler)


def registered_at_the_uri_of_a_route() -> None:
    app = Application()
    app.procedure("a.b")(handler)
    app.register("a.b", handler)


def realm_of_two_applications() -> None:
    realm = Realm("r")
    Application([realm])
    Application([realm])


@pytest.mark.parametrize(
    ("configure", "text"),
    [
        (one_uri_for_two_routes, r"exact route 'a\.b' of .*generator.* is already used by .*handler"),
        (registered_twice, r"exact route 'a\.b' .* is already used by .*handler \(.*:\d+\)"),
        (registered_at_the_uri_of_a_route, r"exact route 'a\.b' .* is already used by .*handler \(.*:\d+\)"),
        (realm_of_two_applications, "already belongs to an application"),
        (lambda: Application([Realm("r"), Realm("r")]), "already has a realm 'r'"),
        (lambda: Application().add_realm("r"), "it takes a Realm"),  # type: ignore[arg-type]
        (lambda: Application(Realm("r")), "takes a list of realms"),  # type: ignore[arg-type]
        (lambda: Application(limits={"subscriptions": 1}), "write limits=Limits"),  # type: ignore[arg-type]
        (lambda: Application(middleware=[PlainASGI]), "PlainASGI.* must be wrapped"),  # type: ignore[list-item]
        (lambda: Realm("no good"), "realm 'no good'"),
        (lambda: Realm(None), "realm None"),  # type: ignore[arg-type]
        (lambda: RPCRouteSet().route(handler), "@route got .*handler"),  # type: ignore[arg-type]
        (lambda: RPCRouteSet().prefix_route(5), "@prefix_route got 5"),  # type: ignore[arg-type]
        (lambda: RPCRouteSet().regex_route(handler), "@regex_route got .*handler"),  # type: ignore[arg-type]
        (lambda: Realm("r").revoke_registration("a", match="glob"), "match is 'glob'"),  # type: ignore[arg-type]
        (lambda: Realm("r").revoke_subscription("a."), "'a.' is not a valid URI for match='exact'"),
        (lambda: Realm("r").clear_retained("a", match="glob"), "match is 'glob'"),  # type: ignore[arg-type]
        (lambda: Application(allow_default_realm=False).procedure("a")(handler), "no default realm"),
        (lambda: Application(uri_check="lax"), "uri_check is 'lax'"),  # type: ignore[arg-type]
        (lambda: Application(async_support="curio"), "async_support is 'curio'"),  # type: ignore[arg-type]
        (lambda: Realm("r").app, "is not part of an application yet"),
    ],
)
def test_invalid_configuration_raises_immediately(configure: Callable[[], object], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        configure()


@pytest.mark.parametrize(
    "configure",
    [
        lambda realm: realm.add_session_lifespan_handler(wants_database),
        lambda realm: realm.add_session_lifespan_handler(wants_database, authenticated_only=False),
        lambda realm: realm.topic("t")(wants_database),
        lambda realm: realm.set_subscription_handler(wants_database),
        lambda realm: realm.set_authentication_handler(asks_database),
        lambda realm: realm.add_transport_authenticator(asks_database),
        lambda realm: realm.authorizer(asks_database),
    ],
)
def test_parameter_that_nothing_can_fill_raises_in_check(
    configure: Callable[[Realm], object],
) -> None:
    realm = Realm("r")
    configure(realm)

    with pytest.raises(ConfigurationError, match=r"(wants|asks)_database.*database.*set_default_arg"):
        Application([realm]).check()

    realm_with_database = Realm("r")
    configure(realm_with_database)
    realm_with_database.set_default_arg("database", object())
    Application([realm_with_database]).check()


@pytest.mark.anyio
async def test_sessions_can_be_closed_while_they_are_iterated_over() -> None:
    app = Application(limits=Limits(close_timeout=0.05))
    realm = app.default_realm

    async with connect(app) as one, connect(app) as other:
        for client in one, other:
            await client.join()
        sessions = realm.sessions
        assert sorted(sessions) == sorted([one.id, other.id])
        for session_id, session in sessions.items():
            assert sessions[session_id] is session
            await session.close()
        assert dict(sessions) == {}


@pytest.mark.anyio
async def test_session_whose_handler_does_not_end_is_gone_from_sessions_limits_and_metrics() -> None:
    limits = Limits(sessions=1, close_timeout=0.05, teardown_timeout=30)
    app, ending, free = Application(limits=limits), anyio.Event(), anyio.Event()

    @app.add_session_lifespan_handler
    async def lasting(session: Session) -> AsyncIterator[None]:
        yield
        ending.set()
        await free.wait()

    async with connect(app) as leaving:
        await leaving.join()
        await leaving.disconnect()
        await ending.wait()
        assert len(app.default_realm.sessions) == 0
        metrics = app.metrics()["default"]["sessions"]
        assert (metrics["open"], metrics["opening"]) == (0, 0)
        async with connect(app) as client:
            assert (await client.join())[0] == 2
            free.set()
