"""The page and the AsyncAPI document that an application serves over HTTP."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
import yaml
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from tests.transports.uvicorn_server import uvicorn_server
from tests.wamp_client import trust_hello
from wampasgi import Application, ConfigurationError, Realm, WAMPRoute, documentation
from wampasgi.types import ASGIApp, ASGIEvent, Scope

Backend = Literal["asyncio", "trio"]

JSON = "application/vnd.aai.asyncapi+json;version=3.1.0"
YAML = "application/vnd.aai.asyncapi+yaml;version=3.1.0"


class Order(BaseModel):
    number: int


def shop(*realms: Realm, **options: Any) -> Application:
    options = {"docs_url": "/docs", "asyncapi_url": "/asyncapi.json", **options}
    app = Application(realms, **options)

    @app.procedure("com.get")
    async def get(number: int) -> Order:
        return Order(number=number)

    return app


@contextmanager
def client_of(app: ASGIApp, backend: Backend = "asyncio") -> Iterator[TestClient]:
    with TestClient(app, backend=backend) as client:
        yield client


def addresses(document: Mapping[str, Any]) -> set[str]:
    return {channel["address"] for channel in document["channels"].values()}


# The document


def test_document_describes_the_realms(backend: Backend) -> None:
    office = Realm("office")
    app = shop(office, title="Shop", version="2.1", description="All of *it*.")

    @office.procedure("office.open")
    async def open_office() -> None: ...

    with client_of(app, backend) as client:
        response = client.get("/asyncapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == JSON
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-content-type-options"] == "nosniff"
    document = response.json()
    assert document["asyncapi"] == "3.1.0"
    assert document["info"] == {"title": "Shop", "version": "2.1", "description": "All of *it*."}
    assert addresses(document) == {"com.get", "office.open"}


def test_document_follows_the_handlers() -> None:
    app = shop()
    with client_of(app) as client:
        assert addresses(client.get("/asyncapi.json").json()) == {"com.get"}

        @app.procedure("com.list")
        async def list_all() -> list[Order]:
            return []

        assert addresses(client.get("/asyncapi.json").json()) == {"com.get", "com.list"}


def test_document_follows_the_rules_and_the_authentication(backend: Backend) -> None:
    app = shop()
    with client_of(app, backend) as client:
        assert "com.get" in client.get("/asyncapi.yaml").text
        app.allow("com.get", "call", role="admin")
        assert "com.get" not in client.get("/asyncapi.json").text
        assert "com.get" not in client.get("/asyncapi.yaml").text
        app.allow("com.get", "call")
        assert "com.get" in client.get("/asyncapi.json").text
        app.add_transport_authenticator(trust_hello)
        assert "com.get" not in client.get("/asyncapi.json").text


def test_document_is_made_once_for_all_visitors(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bool] = []
    make: Any = vars(documentation)["asyncapi_document"]

    def counted(*args: Any, **options: Any) -> Any:
        made.append(True)
        return make(*args, **options)

    monkeypatch.setattr(documentation, "asyncapi_document", counted)
    with client_of(shop()) as client:
        for host in ("one.example.com", "two.example.com"):
            for _ in range(2):
                document = client.get(f"http://{host}/asyncapi.json").json()
                assert document["servers"]["server"]["host"] == host
                assert yaml.safe_load(client.get(f"http://{host}/asyncapi.yaml").text) == document
    # Once for each form.
    assert len(made) == 2


def test_document_has_only_what_anonymous_sessions_may_use() -> None:
    closed = Realm("closed")
    closed.add_transport_authenticator(trust_hello)
    app = shop(closed)

    @closed.procedure("closed.secret")
    async def secret(order: Order) -> None: ...

    @app.procedure("com.secret", roles="admin")
    async def admins(order: Order) -> None: ...

    with client_of(app) as client:
        text = client.get("/asyncapi.json").text
        assert "com.get" in text
        assert "secret" not in text
        assert "secret" not in client.get("/asyncapi.yaml").text
    # The server's own document has everything.
    assert addresses(app.asyncapi()) == {"com.get", "com.secret", "closed.secret"}
    assert addresses(app.asyncapi("closed")) == {"closed.secret"}


def test_server_of_the_document_is_the_address_of_the_request() -> None:
    with client_of(shop()) as client:
        for scheme, protocol in ("http", "ws"), ("https", "wss"):
            found = client.get(f"{scheme}://shop.example.com:8443/asyncapi.json").json()
            assert found["servers"] == {
                "server": {"host": "shop.example.com:8443", "protocol": protocol, "pathname": "/"}
            }
            # In the order of the specification.
            assert list(found)[:3] == ["asyncapi", "info", "defaultContentType"]


def test_yaml_is_the_same_document() -> None:
    with client_of(shop()) as client:
        response = client.get("/asyncapi.yaml")
        assert response.headers["content-type"] == YAML
        assert yaml.safe_load(response.text) == client.get("/asyncapi.json").json()


def test_url_that_ends_with_yaml_serves_only_yaml() -> None:
    with client_of(shop(asyncapi_url="/api/asyncapi.yaml")) as client:
        assert client.get("/api/asyncapi.yaml").headers["content-type"] == YAML
        assert client.get("/api/asyncapi.json").status_code == 426


def test_head_has_no_body() -> None:
    with client_of(shop()) as client:
        length = len(client.get("/asyncapi.json").content)
        response = client.head("/asyncapi.json")
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["content-length"] == str(length)
        assert response.headers["content-type"] == JSON


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_not_allowed(method: str) -> None:
    with client_of(shop()) as client:
        response = client.request(method, "/asyncapi.json")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path", ["/", "/asyncapi", "/asyncapi.json/", "/asyncapi.json/x", "/x/asyncapi.json", "/docsx"]
)
def test_other_paths_ask_for_a_websocket(path: str) -> None:
    with client_of(shop()) as client:
        assert client.get(path).status_code == 426


def test_nothing_is_served_by_default() -> None:
    with client_of(Application()) as client:
        for path in ("/docs", "/docs/", "/asyncapi.json", "/asyncapi.yaml"):
            assert client.get(path).status_code == 426


# Hosts


async def respond(app: Application, headers: list[tuple[bytes, bytes]], **scope: Any) -> tuple[int, Any]:
    """Return the status and the document for a request, without a client that checks its headers."""
    status, body = await respond_with_bytes(app, headers, **scope)
    return status, json.loads(body)


async def respond_with_bytes(
    app: Application, headers: list[tuple[bytes, bytes]], **scope: Any
) -> tuple[int, bytes]:
    sent: list[ASGIEvent] = []

    async def send(message: ASGIEvent) -> None:
        sent.append(message)

    async def receive() -> ASGIEvent:
        return {"type": "http.request"}

    request: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/asyncapi.json",
        "query_string": b"",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "headers": headers,
        **scope,
    }
    await app(request, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], body


@pytest.mark.anyio
async def test_head_sends_no_body_to_the_server() -> None:
    assert await respond_with_bytes(shop(), [], method="HEAD") == (200, b"")


JUNK = [
    b"",
    b"[::1",
    b"a:b",
    b"a:99999",
    b"a b",
    b"\xff\xfe",
    b"user:secret@host",
    b"host/path?query#x",
    b"{x}.com",
    b'"><script>',
]


@pytest.mark.anyio
@pytest.mark.parametrize("host", JUNK)
async def test_invalid_host_is_not_repeated(host: bytes) -> None:
    status, document = await respond(shop(), [(b"host", host)])
    assert status == 200
    server = document.get("servers", {}).get("server", {"host": "127.0.0.1"})
    assert server["host"] == "127.0.0.1"


@pytest.mark.anyio
@pytest.mark.parametrize("server", [None, ("/run/app.sock", None)])
async def test_document_of_an_unknown_server_has_no_address(server: Any) -> None:
    status, document = await respond(shop(), [], server=server)
    assert status == 200
    assert "servers" not in document
    assert addresses(document) == {"com.get"}


# Mounts and prefixes


def parents(wamp: Application) -> dict[str, tuple[ASGIApp, str]]:
    """Return applications that contain another one, each with the path of it."""
    fastapi = FastAPI()
    fastapi.mount("/wamp", wamp)
    return {
        "mount": (Starlette(routes=[Mount("/wamp", wamp)]), "/wamp"),
        "mounts": (Starlette(routes=[Mount("/api", routes=[Mount("/wamp", wamp)])]), "/api/wamp"),
        "fastapi": (fastapi, "/wamp"),
    }


@pytest.mark.parametrize("kind", ["mount", "mounts", "fastapi"])
def test_application_in_a_mount_serves_page_and_document(kind: str, backend: Backend) -> None:
    parent, path = parents(shop())[kind]
    with client_of(parent, backend) as client:
        document = client.get(f"{path}/asyncapi.json").json()
        assert document["servers"]["server"]["pathname"] == f"{path}/"
        assert yaml.safe_load(client.get(f"{path}/asyncapi.yaml").text) == document
        page = client.get(f"{path}/docs/")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert client.get(f"{path}/docs", follow_redirects=False).status_code == 307
        assert client.get("/asyncapi.json").status_code == 404


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/wamp/asyncapi.json", "/prefix/wamp/asyncapi.json"])
async def test_mount_behind_a_proxy_gets_the_prefix_or_not(path: str) -> None:
    # As Starlette makes the scope for a mount in an application with a root path.
    prefixes = {"root_path": "/prefix/wamp", "app_root_path": "/prefix"}
    status, document = await respond(shop(), [(b"host", b"shop.example.com")], path=path, **prefixes)
    assert status == 200
    assert document["servers"]["server"]["pathname"] == "/prefix/wamp/"


@pytest.mark.parametrize("path", ["/asyncapi.json", "/prefix/asyncapi.json"])
def test_application_behind_a_proxy_gets_the_prefix_or_not(path: str) -> None:
    client = TestClient(shop(), root_path="/prefix")
    assert client.get(path).json()["servers"]["server"]["pathname"] == "/prefix/"


def test_route_serves_no_document() -> None:
    with client_of(Starlette(routes=[WAMPRoute("/ws", shop())])) as client:
        assert client.get("/asyncapi.json").status_code == 404
        assert client.get("/ws").status_code == 426


served = shop()


@pytest.mark.parametrize("kind", ["uvicorn", "picows-uvloop"])
def test_uvicorn_serves_page_and_document(kind: str, tmp_path: Path) -> None:
    with uvicorn_server(kind, f"{__name__}:served", tmp_path) as server:
        url = server.url.replace("ws://", "http://").rstrip("/")
        document = httpx2.get(f"{url}/asyncapi.json").json()
        assert document["servers"]["server"]["host"] == url.removeprefix("http://")
        assert addresses(document) == {"com.get"}
        assert yaml.safe_load(httpx2.get(f"{url}/asyncapi.yaml").text) == document
        assert httpx2.head(f"{url}/asyncapi.json").status_code == 200
        assert httpx2.get(f"{url}/docs/").headers["content-type"] == "text/html; charset=utf-8"
        assert httpx2.get(f"{url}/").status_code == 426


# Options


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"docs_url": "docs"}, "docs_url is 'docs': it must be a path that begins with '/'"),
        ({"asyncapi_url": "asyncapi.json"}, "asyncapi_url is 'asyncapi.json': it must be a path"),
        ({"asyncapi_url": "/asyncapi"}, "it must end with '.json' or '.yaml'"),
        ({"title": ""}, "title is empty: AsyncAPI requires one"),
        ({"version": ""}, "version is empty: AsyncAPI requires one"),
    ],
)
def test_invalid_option_is_a_configuration_error(options: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Application(**options)
    assert problem in str(refused.value)


def test_unknown_realm_and_version_are_configuration_errors() -> None:
    with pytest.raises(ConfigurationError, match="the application has no realm 'office'"):
        shop().asyncapi("office")
    with pytest.raises(ConfigurationError, match="9"):
        shop().asyncapi(asyncapi_version="9.0.0")


@pytest.fixture
def no_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide PyYAML, which is optional."""
    for name in [name for name in sys.modules if name.startswith(("yaml", "wampasgi.asyncapi.yaml_form"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_WithoutYAML(finder) for finder in sys.meta_path])


class _WithoutYAML:
    """Finds the modules of another finder, but not those of PyYAML."""

    def __init__(self, finder: Any) -> None:
        self._finder = finder

    def find_spec(self, name: str, *place: Any) -> Any:
        return None if name.partition(".")[0] == "yaml" else self._finder.find_spec(name, *place)


@pytest.mark.usefixtures("no_yaml")
def test_yaml_is_not_served_without_pyyaml() -> None:
    with client_of(shop()) as client:
        assert client.get("/asyncapi.json").status_code == 200
        assert client.get("/asyncapi.yaml").status_code == 426


@pytest.mark.usefixtures("no_yaml")
def test_url_of_yaml_needs_pyyaml() -> None:
    with pytest.raises(ConfigurationError, match="PyYAML is not installed"):
        Application(asyncapi_url="/asyncapi.yaml")
