"""The ASGI application that serves the files of the page."""

from __future__ import annotations

import gzip
import hashlib
import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePosixPath
from string import Template
from typing import Any, Final, Protocol
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.websockets import WebSocketClose

from wampasgi.errors import ConfigurationError
from wampasgi.types import Receive, Scope, Send

_CONTENT_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_SHELL: Final = "index.html"
_METHODS: Final = ("GET", "HEAD")
#: Finds gzip in Accept-Encoding, unless its quality is 0.
_GZIP: Final = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)
#: It becomes part of a header. A URL with a password is refused, because the page is public.
_HOST: Final = re.compile(r"[\w.:\[\]-]+", re.ASCII)


class ExploredRealm(Protocol):
    """The part of a realm that the page needs."""

    @property
    def uri(self) -> str:
        """The realm URI."""


class ExploredApplication(Protocol):
    """The part of an Application that the page needs."""

    @property
    def realms(self) -> Mapping[str, Any]:
        """The added realms, by URI."""

    @property
    def default_realm(self) -> ExploredRealm:
        """The default realm. Raises ConfigurationError if it is disabled."""

    @property
    def title(self) -> str:
        """The title of the API."""

    @property
    def version(self) -> str:
        """The version of the API."""

    @property
    def description(self) -> str | None:
        """The description of the API, in Markdown."""

    def allow_descriptions(self) -> None:
        """Let each session read the description of the part of its realm that it may use."""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    compressed: bytes
    content_type: str
    # Weak, because it is the same for both encodings.
    etag: str


def _file(name: str, body: bytes) -> _File:
    content_type = _CONTENT_TYPES[PurePosixPath(name).suffix]
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
    return _File(body, gzip.compress(body, mtime=0), content_type, etag)


def _package_files() -> Iterator[tuple[str, bytes]]:
    for entry in files("wampasgi.explorer").joinpath("static").iterdir():
        if PurePosixPath(entry.name).suffix in _CONTENT_TYPES:
            yield entry.name, entry.read_bytes()


class Explorer:
    """An ASGI application with a page that describes the realms of ``app`` and lets people use them.

    Mount it next to the endpoint for WAMP clients: ``Mount("/docs", Explorer(wamp, ws_url="/ws"))``.

    ``ws_url`` is the address of that endpoint. A path that begins with ``/`` belongs to the outermost
    application, as paths in Starlette do, so it works under a root path and behind a proxy that adds a
    prefix. Other paths are relative to the page: ``../`` is the folder above it. A complete URL
    (``wss://wamp.example.com/``) is for an endpoint on another host, which must allow the origin of the page.
    The page begins with ``title``, ``version`` and ``description``, which is Markdown; by default those of
    ``app``.

    The page itself is public: everybody who can open it can read these and the URIs of the realms.
    Anything else comes over a WAMP session, after the login, and is limited to what that session may use:
    see ``Application.allow_descriptions``, which this calls.

    Raises ConfigurationError if ``ws_url`` is not one of these.
    """

    def __init__(
        self,
        app: ExploredApplication,
        *,
        ws_url: str = "/",
        title: str | None = None,
        version: str | None = None,
        description: str | None = None,
    ) -> None:
        app.allow_descriptions()
        self._app = app
        self._ws_url = ws_url
        self._about = {
            "title": app.title if title is None else title,
            "version": app.version if version is None else version,
            "description": (app.description if description is None else description) or "",
        }
        contents = dict(_package_files())
        self._shell = Template(contents.pop(_SHELL).decode())
        self._files = {name: _file(name, body) for name, body in contents.items()}
        # Otherwise the browser finds out about a module only after it has loaded those that import it.
        modules = sorted(name for name in contents if name.endswith(".js"))
        self._preloads = "".join(f'<link rel="modulepreload" href="{name}">\n' for name in modules)
        self._headers = {
            "content-security-policy": _content_security_policy(_foreign_origin(ws_url)),
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-cache",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an http scope. A WebSocket is refused."""
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"an Explorer cannot serve an ASGI scope of type {scope['type']!r}")
        await self._respond(scope)(scope, receive, send)

    def _respond(self, scope: Scope) -> Response:
        if scope["method"] not in _METHODS:
            return self._text(405, "Method not allowed", {"allow": ", ".join(_METHODS)})
        path = _path_below_mount(scope)
        if path == "":
            # A relative URL is right behind a proxy that adds a prefix, too.
            folder = scope["path"].rpartition("/")[2]
            return self._text(307, "", {"location": f"{quote(folder, safe='')}/"})
        name = path.removeprefix("/")
        found = self._page(scope) if name == "" else self._files.get(name)
        if found is None:
            return self._text(404, "Not found", {})
        return self._file_response(scope, found)

    def _file_response(self, scope: Scope, found: _File) -> Response:
        request = Headers(scope=scope)
        headers = {**self._headers, "etag": found.etag, "vary": "Accept-Encoding"}
        known = [tag.strip().removeprefix("W/") for tag in request.get("if-none-match", "").split(",")]
        if found.etag.removeprefix("W/") in known or known == ["*"]:
            return Response(status_code=304, headers=headers)
        body = found.body
        if _GZIP.search(request.get("accept-encoding", "")):
            body, headers["content-encoding"] = found.compressed, "gzip"
        headers |= {"content-type": found.content_type, "content-length": str(len(body))}
        return Response(b"" if scope["method"] == "HEAD" else body, headers=headers)

    def _text(self, status_code: int, text: str, headers: Mapping[str, str]) -> Response:
        return PlainTextResponse(text, status_code=status_code, headers={**self._headers, **headers})

    def _page(self, scope: Scope) -> _File:
        values = {
            **self._about,
            "url": _reference(scope, self._ws_url),
            "realms": " ".join(self._realm_uris()),
        }
        escaped = {name: html.escape(value) for name, value in values.items()}
        page = self._shell.substitute(escaped, modules=self._preloads)
        return _file(_SHELL, page.encode())

    def _realm_uris(self) -> list[str]:
        try:
            default = [self._app.default_realm.uri]
        except ConfigurationError:
            default = []
        return list(dict.fromkeys([*default, *self._app.realms]))


def docs_scope(scope: Scope, docs_url: str) -> Scope | None:
    """Return the scope for an Explorer at ``docs_url``, or None if the request is not for it.

    ``docs_url`` is a path below the application that calls this. The WebSocket of that application is at its
    own root, which is ``ws_url="../"`` for the page at ``/docs`` and ``"../../"`` for one at ``/api/docs``.
    """
    path, docs_url = _path_below_mount(scope), docs_url.rstrip("/")
    if scope["type"] != "http" or not (path == docs_url or path.startswith(f"{docs_url}/")):
        return None
    root_path = scope.get("root_path", "")
    return {
        **scope,
        "app_root_path": scope.get("app_root_path", root_path),
        "root_path": root_path + docs_url,
    }


def _path_below_mount(scope: Scope) -> str:
    """Return the path of the request below the place where the application is mounted."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "")
    # FastAPI(root_path=...) sets the prefix of a proxy that does not send it. Mounts add theirs to it.
    outer: str = scope.get("app_root_path", root_path)
    for prefix in root_path, root_path.removeprefix(outer):
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            return path[len(prefix) :]
    return path


def _reference(scope: Scope, ws_url: str) -> str:
    """Return the URL of the endpoint for the page: absolute, or relative to its folder."""
    if not ws_url.startswith("/"):
        return ws_url
    page: str = scope["path"]
    outer: str = scope.get("app_root_path", scope.get("root_path", ""))
    if page.startswith(f"{outer}/"):
        page = page[len(outer) :]
    # The page may be opened as `/docs/`, which has one folder above it.
    return "../" * (page.count("/") - 1) + ws_url[1:] or "./"


def _foreign_origin(ws_url: str) -> str | None:
    """Return the origin in a complete URL, or None for a path. Raises ConfigurationError for neither."""
    try:
        url = urlsplit(ws_url)
        _ = url.port  # raises ValueError for an invalid port
    except ValueError:
        url = urlsplit("")
    if url.scheme in ("ws", "wss") and _HOST.fullmatch(url.netloc):
        return f"{url.scheme}://{url.netloc}"
    if url.path and not url.scheme and not url.netloc:
        return None
    raise ConfigurationError(
        f"ws_url is {ws_url!r}: it must be a path such as '/ws', or a URL such as 'wss://example.com/ws'"
    )


def _content_security_policy(origin: str | None) -> str:
    connect = "'self'" if origin is None else f"'self' {origin}"
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src {connect}; "
        "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
