from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
    SimpleUser,
)
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Mount, NoMatchFound, Route, Router, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from wampasgi import Application, ConfigurationError, RPCResult, Session, WAMPRoute
from wampasgi.types import ASGIApp, Receive, Scope, Send

Backend = Literal["asyncio", "trio"]
Parent = Callable[[list[BaseRoute]], ASGIApp]


@pytest.fixture
def wamp() -> Application:
    app = Application()

    @app.procedure("math.add")
    async def add(a: int, b: int = 0) -> int:
        return a + b

    @app.procedure("whoami")
    async def whoami(session: Session) -> tuple[str, list[str]]:
        connection = session.connection
        return connection.user.display_name, connection.auth.scopes

    @app.procedure("basket")
    async def basket(session: Session) -> dict[str, Any]:
        return session.connection.session

    @app.procedure("state")
    async def state(session: Session, name: str) -> Any:
        return getattr(session.connection.state, name)

    @app.procedure("where")
    async def where(session: Session) -> tuple[str, str]:
        return str(session.connection.url), session.connection.scope["root_path"]

    @app.procedure("path_params")
    async def path_params(session: Session) -> RPCResult:
        return RPCResult((session.connection.path_params,))

    @app.topic("orders")
    async def orders() -> None:
        pass

    return app


@contextmanager
def connected(
    client: TestClient, path: str, headers: dict[str, str] | None = None
) -> Iterator[WebSocketTestSession]:
    """Open a WebSocket and a session in the default realm on it."""
    with client.websocket_connect(
        path, subprotocols=["wamp.2.json"], headers=dict(headers or {})
    ) as websocket:
        websocket.send_json([1, "default", {"roles": {"caller": {}, "subscriber": {}}}])
        assert websocket.receive_json()[0] == 2
        yield websocket


def request(websocket: WebSocketTestSession, *message: Any) -> list[Any]:
    websocket.send_json(message)
    answer: list[Any] = websocket.receive_json()
    return answer


def call(websocket: WebSocketTestSession, procedure: str, *args: Any) -> Any:
    """Call a procedure and return its single positional result."""
    answer = request(websocket, 48, 1, {}, procedure, args)
    assert answer[0] == 50, f"expected RESULT, got {answer}"
    return answer[3][0]


def wamp_route(app: ASGIApp) -> BaseRoute:
    return WAMPRoute("/ws", app)


def websocket_route(app: ASGIApp) -> BaseRoute:
    return WebSocketRoute("/ws", app)


def mount(app: ASGIApp) -> BaseRoute:
    return Mount("/ws", app)


def starlette(routes: list[BaseRoute]) -> ASGIApp:
    return Starlette(routes=routes)


def fastapi(routes: list[BaseRoute]) -> ASGIApp:
    return FastAPI(routes=routes)


@pytest.mark.parametrize("parent", [starlette, fastapi])
@pytest.mark.parametrize(
    ("route", "path"), [(wamp_route, "/ws"), (websocket_route, "/ws"), (mount, "/ws/"), (mount, "/ws/deeper")]
)
def test_sessions_are_served_on_a_route(
    parent: Parent, route: Callable[[ASGIApp], BaseRoute], path: str, wamp: Application, backend: Backend
) -> None:
    # The client is not entered, so it runs no lifespan.
    client = TestClient(parent([route(wamp)]), backend=backend)

    with connected(client, path) as websocket:
        assert call(websocket, "math.add", 2, 3) == 5


def test_sessions_are_served_below_a_fastapi_mount(wamp: Application) -> None:
    api = FastAPI()
    api.mount("/wamp", wamp)

    with connected(TestClient(api), "/wamp/") as websocket:
        assert call(websocket, "math.add", 2, 3) == 5


@pytest.mark.parametrize(("route", "path"), [(wamp_route, "/ws"), (mount, "/ws/")])
def test_http_request_to_the_route_is_answered_with_426(
    route: Callable[[ASGIApp], BaseRoute], path: str, wamp: Application
) -> None:
    response = TestClient(Starlette(routes=[route(wamp)])).get(path)

    assert response.status_code == 426
    assert response.headers["upgrade"] == "websocket"
    assert "wamp.2.json" in response.text


@pytest.mark.parametrize("path", ["/", "/ws/", "/wsx", "/ws/deeper"])
def test_wamp_route_matches_only_its_path(path: str, wamp: Application) -> None:
    client = TestClient(Starlette(routes=[WAMPRoute("/ws", wamp)]))

    with pytest.raises(WebSocketDisconnect), client.websocket_connect(path, subprotocols=["wamp.2.json"]):
        pytest.fail("the WebSocket was accepted")


def in_router(route: BaseRoute) -> ASGIApp:
    return Router(routes=[route])


def in_mount(route: BaseRoute) -> ASGIApp:
    return Starlette(routes=[Mount("/api", routes=[route])])


def in_host(route: BaseRoute) -> ASGIApp:
    return Starlette(routes=[Host("testserver", Router(routes=[route]))])


def in_fastapi(route: BaseRoute) -> ASGIApp:
    return FastAPI(routes=[route])


def in_fastapi_router(route: BaseRoute) -> FastAPI:
    api = FastAPI()
    api.include_router(APIRouter(routes=[route]))
    return api


def in_fastapi_router_with_prefix(route: BaseRoute) -> FastAPI:
    api = FastAPI()
    api.include_router(APIRouter(routes=[route]), prefix="/api")
    return api


def in_nested_fastapi_router(route: BaseRoute) -> FastAPI:
    api, middle = FastAPI(), APIRouter(prefix="/api")
    middle.include_router(APIRouter(routes=[route]))
    api.include_router(middle)
    return api


def in_appended_fastapi_router(route: BaseRoute) -> FastAPI:
    api, router = FastAPI(), APIRouter()
    router.routes.append(route)
    api.include_router(router, prefix="/api")
    return api


Place = Callable[[BaseRoute], ASGIApp]
IN_STARLETTE: list[tuple[Place, str]] = [(in_router, ""), (in_mount, "/api"), (in_host, ""), (in_fastapi, "")]
IN_FASTAPI_ROUTER: list[tuple[Place, str]] = [
    (in_fastapi_router, ""),
    (in_fastapi_router_with_prefix, "/api"),
    (in_nested_fastapi_router, "/api"),
    (in_appended_fastapi_router, "/api"),
]


@pytest.mark.parametrize(("place", "prefix"), IN_STARLETTE + IN_FASTAPI_ROUTER)
def test_wamp_route_with_path_params_is_served_wherever_routes_are(
    place: Place, prefix: str, wamp: Application, backend: Backend
) -> None:
    client = TestClient(place(WAMPRoute("/teams/{team:int}/{file:path}", wamp)), backend=backend)

    with connected(client, f"{prefix}/teams/7/a/b") as websocket:
        assert call(websocket, "path_params") == {"team": 7, "file": "a/b"}
    with pytest.raises(WebSocketDisconnect), connected(client, f"{prefix}/teams/seven/a"):
        pytest.fail("the WebSocket was accepted")


@pytest.mark.parametrize(("place", "prefix"), IN_STARLETTE)
def test_http_request_to_a_wamp_route_with_path_params_is_answered_with_426(
    place: Place, prefix: str, wamp: Application
) -> None:
    client = TestClient(place(WAMPRoute("/teams/{team:int}", wamp)))

    assert client.get(f"{prefix}/teams/7").status_code == 426
    assert client.get(f"{prefix}/teams/seven").status_code == 404


def test_connection_without_a_route_has_no_path_params(wamp: Application) -> None:
    with connected(TestClient(wamp), "/") as websocket:
        assert call(websocket, "path_params") == {}


def test_path_params_of_a_mount_are_kept(wamp: Application) -> None:
    parent = Starlette(routes=[Mount("/{shop}", routes=[WAMPRoute("/{team:int}", wamp)])])

    with connected(TestClient(parent), "/bolts/7") as websocket:
        assert call(websocket, "path_params") == {"shop": "bolts", "team": 7}


def test_http_route_beside_a_wamp_route_in_a_fastapi_router_answers_with_426(wamp: Application) -> None:
    api = FastAPI()
    api.include_router(APIRouter(routes=[WAMPRoute("/ws", wamp), Route("/ws", wamp)]), prefix="/api")
    client = TestClient(api)

    assert client.get("/api/ws").status_code == 426
    with connected(client, "/api/ws") as websocket:
        assert call(websocket, "math.add", 2) == 2


@pytest.mark.parametrize("place", [in_fastapi, in_fastapi_router])
def test_wamp_route_takes_a_function_as_asgi_app(place: Place, wamp: Application) -> None:
    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        await wamp(scope, receive, send)

    with connected(TestClient(place(WAMPRoute("/ws", logged))), "/ws") as websocket:
        assert call(websocket, "math.add", 2) == 2


async def allow_nobody() -> None:
    raise AssertionError("FastAPI runs no dependencies for routes of Starlette")


def guarded_app(route: BaseRoute) -> FastAPI:
    return FastAPI(routes=[route], dependencies=[Depends(allow_nobody)])


def guarded_router(route: BaseRoute) -> FastAPI:
    api = FastAPI()
    api.include_router(APIRouter(routes=[route], dependencies=[Depends(allow_nobody)]))
    return api


def guarded_inclusion(route: BaseRoute) -> FastAPI:
    api = FastAPI()
    api.include_router(APIRouter(routes=[route]), dependencies=[Depends(allow_nobody)])
    return api


@pytest.mark.parametrize("place", [guarded_app, guarded_router, guarded_inclusion])
def test_route_that_dependencies_of_fastapi_seem_to_guard_is_closed(
    place: Place, wamp: Application, caplog: pytest.LogCaptureFixture
) -> None:
    client = TestClient(place(WAMPRoute("/ws", wamp)))

    with pytest.raises(WebSocketDisconnect), connected(client, "/ws"):
        raise AssertionError("not reached: the WebSocket is refused")

    [line] = caplog.messages
    assert "do not run for WAMPRoute('/ws'), and may have been meant to guard it" in line
    assert "ignore_dependencies=True" in line


@pytest.mark.parametrize("place", [guarded_app, guarded_router, guarded_inclusion])
def test_route_that_ignores_dependencies_of_fastapi_is_open(
    place: Place, wamp: Application, caplog: pytest.LogCaptureFixture
) -> None:
    client = TestClient(place(WAMPRoute("/ws", wamp, ignore_dependencies=True)))

    with connected(client, "/ws"):
        pass

    assert caplog.messages == []


@pytest.mark.parametrize("place", [in_mount, in_fastapi, in_fastapi_router])
def test_wamp_route_without_dependencies_around_it_logs_nothing(
    place: Place, wamp: Application, caplog: pytest.LogCaptureFixture
) -> None:
    client = TestClient(place(WAMPRoute("/ws", wamp)))

    with connected(client, "/api/ws" if place is in_mount else "/ws"):
        pass

    assert caplog.messages == []


def test_only_the_lifespan_of_the_parent_runs(backend: Backend) -> None:
    ran = []

    def lifespan(name: str) -> Callable[[Any], Any]:
        @asynccontextmanager
        async def run(app: Any) -> AsyncIterator[None]:
            ran.append(f"{name} begins")
            yield
            ran.append(f"{name} ends")

        return run

    mounted = Application(lifespan=lifespan("child"))
    parent = Starlette(routes=[Mount("/wamp", mounted)], lifespan=lifespan("parent"))

    with TestClient(parent, backend=backend) as client, connected(client, "/wamp/"):
        ran.append("session")

    assert ran == ["parent begins", "session", "parent ends"]


def test_lifespan_of_the_application_runs_if_it_is_not_mounted(wamp: Application, backend: Backend) -> None:
    ran = []

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[dict[str, Any]]:
        ran.append("begins")
        yield {"color": "green"}
        ran.append("ends")

    app = Application(lifespan=lifespan)

    @app.procedure("color")
    async def color(session: Session) -> str:
        return str(session.connection.state.color)

    with TestClient(app, backend=backend) as client, connected(client, "/") as websocket:
        assert call(websocket, "color") == "green"
    assert ran == ["begins", "ends"]


def test_procedures_get_the_state_of_the_lifespan_of_the_parent(wamp: Application) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        yield {"color": "green"}

    parent = Starlette(routes=[WAMPRoute("/ws", wamp)], lifespan=lifespan)

    with TestClient(parent) as client, connected(client, "/ws") as websocket:
        assert call(websocket, "state", "color") == "green"


def test_configuration_error_of_a_mounted_application_raises_at_the_first_connection() -> None:
    app = Application()

    @app.topic("news")
    async def news(database: Any) -> None:
        pass

    client = TestClient(Starlette(routes=[WAMPRoute("/ws", app)]))

    with pytest.raises(ConfigurationError, match="database"), connected(client, "/ws"):
        pytest.fail("the WebSocket was accepted")


def test_http_handler_of_starlette_publishes_to_subscribers(wamp: Application, backend: Backend) -> None:
    async def create_order(request: Request) -> Response:
        await wamp.publish("orders", await request.json(), by="http")
        return Response(status_code=201)

    parent = Starlette(routes=[Route("/orders", create_order, methods=["POST"]), WAMPRoute("/ws", wamp)])

    with TestClient(parent, backend=backend) as client, connected(client, "/ws") as websocket:
        subscription_id = request(websocket, 32, 1, {}, "orders")[2]

        assert client.post("/orders", json={"id": 7}).status_code == 201

        event = websocket.receive_json()
        assert event[:2] == [36, subscription_id]
        assert event[4:] == [[{"id": 7}], {"by": "http"}]


def test_http_handler_of_fastapi_calls_and_publishes(wamp: Application) -> None:
    api = FastAPI(routes=[WAMPRoute("/ws", wamp)])

    @api.post("/orders/{order_id}")
    async def create_order(order_id: int) -> dict[str, int]:
        await wamp.publish("orders", order_id)
        return {"next": await wamp.call("math.add", order_id, b=1)}

    with TestClient(api) as client, connected(client, "/ws") as websocket:
        request(websocket, 32, 1, {}, "orders")

        assert client.post("/orders/7").json() == {"next": 8}
        assert websocket.receive_json()[4] == [7]


def test_procedures_get_the_data_of_the_session_middleware(wamp: Application) -> None:
    async def put(request: Request) -> Response:
        request.session["item"] = "bolts"
        return PlainTextResponse("done")

    parent = Starlette(
        routes=[Route("/put", put), WAMPRoute("/ws", wamp)],
        middleware=[Middleware(SessionMiddleware, secret_key="swordfish")],
    )
    client = TestClient(parent)
    client.get("/put")

    with connected(client, "/ws") as websocket:
        assert request(websocket, 48, 1, {}, "basket") == [50, 1, {}, [{"item": "bolts"}]]


class TokenBackend(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        token = conn.headers.get("x-token")
        if token is None:
            return None
        if token != "open sesame":
            raise AuthenticationError("wrong token")
        return AuthCredentials(["authenticated", "staff"]), SimpleUser("joe")


@pytest.fixture
def behind_authentication(wamp: Application) -> TestClient:
    middleware = [Middleware(AuthenticationMiddleware, backend=TokenBackend())]
    return TestClient(Starlette(routes=[WAMPRoute("/ws", wamp)], middleware=middleware))


@pytest.mark.parametrize(
    ("headers", "who"),
    [({"x-token": "open sesame"}, ["joe", ["authenticated", "staff"]]), ({}, ["", []])],
    ids=["token", "no token"],
)
def test_procedures_get_the_user_of_the_authentication_middleware(
    headers: dict[str, str], who: list[Any], behind_authentication: TestClient
) -> None:
    with connected(behind_authentication, "/ws", headers) as websocket:
        assert request(websocket, 48, 1, {}, "whoami")[3] == who


def test_authentication_middleware_refuses_a_websocket(behind_authentication: TestClient) -> None:
    headers = {"x-token": "knock knock"}

    with pytest.raises(WebSocketDisconnect), connected(behind_authentication, "/ws", headers):
        pytest.fail("the WebSocket was accepted")


def test_trusted_host_middleware_refuses_websockets_of_other_hosts(wamp: Application) -> None:
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=["testserver"])]
    client = TestClient(Starlette(routes=[WAMPRoute("/ws", wamp)], middleware=middleware))

    with connected(client, "/ws") as websocket:
        assert call(websocket, "math.add", 2) == 2
    with pytest.raises(WebSocketDenialResponse), connected(client, "/ws", {"host": "evil.example"}):
        pytest.fail("the WebSocket was accepted")


def test_cors_middleware_answers_http_and_leaves_websockets_to_the_application() -> None:
    wamp = Application(allowed_origins=["https://shop.example"])
    middleware = [Middleware(CORSMiddleware, allow_origins=["https://shop.example", "https://blog.example"])]
    client = TestClient(Starlette(routes=[WAMPRoute("/ws", wamp)], middleware=middleware))
    origin = {"origin": "https://shop.example"}

    with connected(client, "/ws", origin):
        pass
    with pytest.raises(WebSocketDenialResponse), connected(client, "/ws", {"origin": "https://blog.example"}):
        pytest.fail("the WebSocket was accepted")
    assert client.get("/ws", headers=origin).headers["access-control-allow-origin"] == origin["origin"]


class Seal:
    """Middleware that stores its name in the scope's state, and logs its name and the scope type."""

    def __init__(self, app: ASGIApp, name: str, seen: list[tuple[str, str]]) -> None:
        self.app = app
        self.name = name
        self.seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append((self.name, scope["type"]))
        if scope["type"] == "websocket":
            scope.setdefault("state", {})["seal"] = self.name
        await self.app(scope, receive, send)


def test_middleware_of_the_application_wraps_all_scopes_outermost_first(backend: Backend) -> None:
    seen: list[tuple[str, str]] = []
    app = Application(
        middleware=[Middleware(Seal, name="outer", seen=seen), Middleware(Seal, name="inner", seen=seen)]
    )

    @app.procedure("seal")
    async def seal(session: Session) -> str:
        return str(session.connection.state.seal)

    with TestClient(app, backend=backend) as client:
        assert client.get("/").status_code == 426
        with connected(client, "/") as websocket:
            assert call(websocket, "seal") == "inner"

    types = ("lifespan", "http", "websocket")
    assert seen == [(name, scope_type) for scope_type in types for name in ("outer", "inner")]


@pytest.mark.parametrize("root_path", ["", "/proxied"])
def test_mounted_application_has_its_root_path(root_path: str, wamp: Application) -> None:
    client = TestClient(Starlette(routes=[Mount("/api", routes=[Mount("/wamp", wamp)])]), root_path=root_path)

    with connected(client, f"{root_path}/api/wamp/ws?color=green") as websocket:
        url, seen_root_path = request(websocket, 48, 1, {}, "where")[3]

    assert url == f"ws://testserver{root_path}/api/wamp/ws?color=green"
    assert seen_root_path == f"{root_path}/api/wamp"


@pytest.mark.parametrize("root_path", ["", "/proxied"])
def test_wamp_route_is_found_below_a_mount_and_a_root_path(root_path: str, wamp: Application) -> None:
    parent = Starlette(routes=[Mount("/api", routes=[WAMPRoute("/ws", wamp)])])

    with connected(TestClient(parent, root_path=root_path), f"{root_path}/api/ws") as websocket:
        assert call(websocket, "math.add", 2) == 2


def test_wamp_route_has_a_url_for_its_name(wamp: Application) -> None:
    route = WAMPRoute("/ws", wamp, name="wamp")
    parent = Starlette(routes=[route, Mount("/api", routes=[route], name="api")])

    assert parent.url_path_for("wamp") == "/ws"
    assert parent.url_path_for("api:wamp") == "/api/ws"
    absolute = parent.url_path_for("wamp").make_absolute_url("https://shop.example/")
    assert str(absolute) == "wss://shop.example/ws"


@pytest.mark.parametrize("name", [None, "other"])
def test_wamp_route_has_no_url_for_another_name(name: str | None, wamp: Application) -> None:
    parent = Starlette(routes=[WAMPRoute("/ws", wamp, name=name)])

    with pytest.raises(NoMatchFound):
        parent.url_path_for("wamp")


def test_wamp_route_has_a_url_for_its_path_params(wamp: Application) -> None:
    route = WAMPRoute("/teams/{team:int}", wamp, name="wamp")

    assert FastAPI(routes=[route]).url_path_for("wamp", team=7) == "/teams/7"
    assert in_fastapi_router_with_prefix(route).url_path_for("wamp", team=7) == "/api/teams/7"
    for params in ({}, {"room": 1}, {"team": 7, "room": 1}):
        with pytest.raises(NoMatchFound):
            route.url_path_for("wamp", **params)


def test_wamp_route_path_must_begin_with_a_slash(wamp: Application) -> None:
    with pytest.raises(ConfigurationError, match="'ws' must begin with '/'"):
        WAMPRoute("ws", wamp)
