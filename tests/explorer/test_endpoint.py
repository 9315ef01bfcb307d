from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import ASGIApp
from starlette.websockets import WebSocketDisconnect

import wampasgi
from wampasgi import Application, ConfigurationError, Realm
from wampasgi.explorer import Explorer, docs_scope

STATIC = Path(wampasgi.__file__).parent / "explorer" / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def mounted(path: str = "/docs", ws_url: str = "/ws", **options: Any) -> Starlette:
    return Starlette(routes=[Mount(path, Explorer(Application(**options), ws_url=ws_url))])


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(mounted(), follow_redirects=False) as client:
        yield client


def websocket_reference(app: ASGIApp, path: str = "/docs/", root_path: str = "") -> str:
    page = TestClient(app, root_path=root_path).get(path)
    assert page.status_code == 200
    found = re.search('<meta name="wamp-url" content="([^"]*)">', page.text)
    assert found is not None
    return found[1]


# Files


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("", "text/html; charset=utf-8"),
        ("main.js", "text/javascript; charset=utf-8"),
        ("explorer.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_files_have_their_types_and_the_security_headers(
    client: TestClient, name: str, content_type: str
) -> None:
    response = client.get(f"/docs/{name}")
    assert response.status_code == 200
    assert response.headers["content-type"] == content_type
    assert response.headers["content-security-policy"] == POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-cache"


def test_every_file_that_the_page_refers_to_is_served(client: TestClient) -> None:
    page = client.get("/docs/").text
    referred = re.findall('(?:href|src)="([^"#]+)"', page)
    scripts = [name for name in referred if name.endswith(".js")]
    for name in scripts:
        referred += re.findall(r'from "\./([^"]+)"', client.get(f"/docs/{name}").text)
    assert len(set(referred)) > 20
    for name in referred:
        assert ":" not in name
        assert not name.startswith("/")
        assert client.get(f"/docs/{name}").status_code == 200, name


@pytest.mark.parametrize(
    "path", ["nothing.js", "index.html", "%2e%2e/endpoint.py", "..%2fendpoint.py", "a/b"]
)
def test_other_paths_are_not_found(client: TestClient, path: str) -> None:
    response = client.get(f"/docs/{path}")
    assert response.status_code == 404
    assert response.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(client: TestClient, method: str) -> None:
    response = client.request(method, "/docs/")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"


def test_head_has_the_headers_of_get_and_no_body(client: TestClient) -> None:
    got, head = client.get("/docs/main.js"), client.head("/docs/main.js")
    assert head.content == b""
    assert head.headers == got.headers


def test_known_file_is_not_sent_again(client: TestClient) -> None:
    etag = client.get("/docs/main.js").headers["etag"]
    for known in etag, f'"other", {etag.removeprefix("W/")}', "*":
        response = client.get("/docs/main.js", headers={"if-none-match": known})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag
    assert client.get("/docs/main.js", headers={"if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, br", "gzip"),
        ("br;q=1, GZIP;q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("gzip; q=0.0, br", None),
        ("br", None),
    ],
)
def test_files_are_compressed_if_the_browser_accepts_it(
    client: TestClient, accepted: str, encoding: str | None
) -> None:
    response = client.get("/docs/main.js", headers={"accept-encoding": accepted})
    assert response.headers.get("content-encoding") == encoding
    assert response.headers["vary"] == "Accept-Encoding"
    assert response.content == (STATIC / "main.js").read_bytes()


def test_page_needs_less_than_100_kilobytes() -> None:
    sizes = {file.name: len(gzip.compress(file.read_bytes())) for file in STATIC.iterdir()}
    assert sum(sizes.values()) < 100_000, sizes


def test_websocket_is_refused() -> None:
    app = Explorer(Application())
    with (
        pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)),
        TestClient(app).websocket_connect("/"),
    ):
        pass


# The shell


def test_shell_has_the_realms_and_the_title_as_text() -> None:
    app = Application([Realm("shop"), Realm("com.<b>&\"'")])
    page = TestClient(Explorer(app, title='<script>"&')).get("/").text
    assert "<title>&lt;script&gt;&quot;&amp;</title>" in page
    assert 'content="default shop com.&lt;b&gt;&amp;&quot;&#x27;"' in page
    assert page.count("<script") == 1


def test_shell_has_the_version_and_the_description_as_text() -> None:
    app = Application(title="Shop", version="1.2", description='Sells "tea"\n\n$url & more', docs_url="/docs")
    page = TestClient(app).get("/docs/").text
    assert '<meta name="wamp-version" content="1.2">' in page
    assert '<meta name="description" content="Sells &quot;tea&quot;\n\n$url &amp; more">' in page
    assert "<title>Shop</title>" in page


def test_realms_that_are_added_later_are_listed() -> None:
    app = Application(allow_default_realm=False)
    explorer = Explorer(app)
    app.add_realm(Realm("late"))
    assert '<meta name="wamp-realms" content="late">' in TestClient(explorer).get("/").text


def test_foreign_endpoint_is_allowed_by_the_policy() -> None:
    app = mounted(ws_url="wss://wamp.example.com:8443/ws?a=1&b=2")
    response = TestClient(app).get("/docs/")
    policy = response.headers["content-security-policy"]
    assert "connect-src 'self' wss://wamp.example.com:8443;" in policy
    assert websocket_reference(app) == "wss://wamp.example.com:8443/ws?a=1&amp;b=2"


@pytest.mark.parametrize(
    "ws_url",
    [
        "",
        "http://example.com/",
        "//example.com/ws",
        "wss://",
        "wss://joe:secret@example.com/",
        "ws://a;b/",
        "ws://a:b/",
    ],
)
def test_other_addresses_are_configuration_errors(ws_url: str) -> None:
    with pytest.raises(ConfigurationError, match="ws_url is"):
        Explorer(Application(), ws_url=ws_url)


# Places


def test_page_without_slash_redirects_to_a_relative_url() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        # Mounts of Starlette redirect this themselves.
        await Explorer(Application())({**scope, "root_path": "/a docs"}, receive, send)

    response = TestClient(app, follow_redirects=False).get("/a%20docs")
    assert response.status_code == 307
    assert response.headers["location"] == "a%20docs/"


@pytest.mark.parametrize(
    ("mount", "ws_url", "reference"),
    [
        ("/docs", "/ws", "../ws"),
        ("/docs", "/", "../"),
        ("/api/docs", "/api/ws", "../../api/ws"),
        ("/", "/ws", "ws"),
        ("/", "/", "./"),
        ("/docs", "../ws", "../ws"),
    ],
)
def test_websocket_is_found_from_the_page(mount: str, ws_url: str, reference: str) -> None:
    path = mount.rstrip("/") + "/"
    assert websocket_reference(mounted(mount, ws_url), path) == reference


def test_path_belongs_to_the_outermost_application() -> None:
    inner = Starlette(routes=[Mount("/docs", Explorer(Application(), ws_url="/ws"))])
    outer = Starlette(routes=[Mount("/inner", inner)])
    assert websocket_reference(outer, "/inner/docs/") == "../../ws"


def test_root_path_of_the_server_does_not_count() -> None:
    assert websocket_reference(mounted(), "/api/docs/", root_path="/api") == "../ws"


def test_root_path_that_is_not_in_the_path_does_not_count() -> None:
    # FastAPI(root_path=...) sets the prefix of a proxy that strips it.
    inner = mounted()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await inner({**scope, "root_path": "/api"}, receive, send)

    assert websocket_reference(app) == "../ws"
    assert TestClient(app).get("/docs/main.js").status_code == 200


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/docs", "/api/docs"),
        ("/docs/", "/api/docs"),
        ("/docs/main.js", "/api/docs"),
        ("/docsmain", None),
        ("/", None),
    ],
)
def test_application_finds_the_requests_for_its_page(path: str, expected: str | None) -> None:
    found = docs_scope({"type": "http", "path": f"/api{path}", "root_path": "/api"}, "/docs")
    assert (None if found is None else found["root_path"]) == expected
    assert docs_scope({"type": "websocket", "path": "/docs/"}, "/docs") is None


def test_application_serves_the_page_below_its_own_root() -> None:
    app = Starlette(routes=[Mount("/wamp", Application(docs_url="/docs"))])
    client = TestClient(app, follow_redirects=False)
    assert client.get("/wamp/docs").headers["location"] == "docs/"
    assert client.get("/wamp/docs/main.js").status_code == 200
    assert websocket_reference(app, "/wamp/docs/") == "../"
