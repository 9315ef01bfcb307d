"""The documentation that an application serves over HTTP: its page and its AsyncAPI document."""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, TypeAlias

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from wampasgi.asyncapi import ASYNCAPI_VERSION, RealmFacts, asyncapi_document, server_object
from wampasgi.description import Interface
from wampasgi.errors import ConfigurationError
from wampasgi.explorer import ExploredApplication, Explorer, docs_scope
from wampasgi.realm import Realm
from wampasgi.types import ASGIApp, Receive, Scope, Send

_JSON: Final = "application/vnd.aai.asyncapi+json;version=3.1.0"
_YAML: Final = "application/vnd.aai.asyncapi+yaml;version=3.1.0"


#: The description of each realm and its authentication methods, by the name of the realm.
_Contents: TypeAlias = Mapping[str, tuple[Interface, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Info:
    """The title and version of an API, and its description in Markdown."""

    title: str
    version: str
    description: str | None = None

    def __post_init__(self) -> None:
        for name, value in ("title", self.title), ("version", self.version):
            if not value:
                raise ConfigurationError(f"{name} is empty: AsyncAPI requires one")


class Documentation:
    """Answers the HTTP requests of an application.

    ``realms`` returns the realms to describe, by name, and ``info`` describes the API as a whole.
    ``docs_url`` is the path of the page, and ``asyncapi_url`` that of the AsyncAPI document, below the
    application; None serves neither. An ``asyncapi_url`` that ends with ``.json`` also serves the document as
    YAML, at the same path with ``.yaml``, if PyYAML is installed.

    Raises ConfigurationError for an invalid path, and for one that needs PyYAML if it is not installed.
    """

    def __init__(
        self,
        app: ExploredApplication,
        realms: Callable[[], Mapping[str, Realm]],
        info: Info,
        docs_url: str | None,
        asyncapi_url: str | None,
    ) -> None:
        for option, path in ("docs_url", docs_url), ("asyncapi_url", asyncapi_url):
            if path is not None and not path.startswith("/"):
                raise ConfigurationError(f"{option} is {path!r}: it must be a path that begins with '/'")
        if asyncapi_url is not None:
            _check_document_url(asyncapi_url)
        self._realms = realms
        self._info = info
        self._texts = _Texts(self._document)
        self._documents: dict[str, bool] = {}
        if asyncapi_url is not None:
            self._documents = {asyncapi_url: asyncapi_url.endswith(".yaml")}
            if _yaml_is_installed():
                self._documents.setdefault(f"{asyncapi_url.removesuffix('.json')}.yaml", True)
        self._docs_url = docs_url
        self._page: ASGIApp | None = None
        if docs_url is not None:
            depth = docs_url.rstrip("/").count("/")
            self._page = Explorer(app, ws_url="../" * depth or "./")

    def asyncapi(self, realm: str | None = None, asyncapi_version: str = ASYNCAPI_VERSION) -> dict[str, Any]:
        """Return the AsyncAPI document of one realm, or of all, as JSON values.

        Raises ConfigurationError if there is no such realm, and for a version that is not supported.
        """
        realms = self._realms()
        if realm is not None and realm not in realms:
            raise ConfigurationError(
                f"the application has no realm {realm!r}: its realms are {', '.join(realms)}"
            )
        named = realms if realm is None else {realm: realms[realm]}
        contents = {name: (found.describe(), found.plan().authmethods) for name, found in named.items()}
        return self._document(contents, asyncapi_version)

    def _document(self, contents: _Contents, asyncapi_version: str = ASYNCAPI_VERSION) -> dict[str, Any]:
        facts = {name: RealmFacts(authmethods=authmethods) for name, (_, authmethods) in contents.items()}
        return asyncapi_document(
            # The name tells the default realm from an added one with the same URI.
            [{**interface.to_dict(), "realm": name} for name, (interface, _) in contents.items()],
            title=self._info.title,
            version=self._info.version,
            description=self._info.description,
            realms=facts,
            asyncapi_version=asyncapi_version,
        )

    def respond(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None] | None:
        """Answer a request for the page or the document; return None for other requests."""
        document = self._documents.get(_path(scope)) if self._documents else None
        if document is not None:
            return self._send_document(scope, receive, send, as_yaml=document)
        if self._page is None or self._docs_url is None:
            return None
        page = docs_scope(scope, self._docs_url)
        return None if page is None else self._page(page, receive, send)

    async def _send_document(self, scope: Scope, receive: Receive, send: Send, *, as_yaml: bool) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            response: Response = PlainTextResponse(
                "Method not allowed\n", status_code=405, headers={"allow": "GET, HEAD"}
            )
            await response(scope, receive, send)
            return
        # The visitor of a web page has no WAMP session, so it gets what an anonymous session would see.
        contents = {
            name: (await realm.describe_for_anybody(), realm.plan().authmethods)
            for name, realm in self._realms().items()
        }
        text = await self._texts.get(contents, as_yaml=as_yaml)
        encoded = text.with_servers(_servers(scope)).encode()
        media_type = _YAML if as_yaml else _JSON
        headers = {
            "cache-control": "no-cache",
            "content-length": str(len(encoded)),
            "x-content-type-options": "nosniff",
        }
        content = b"" if scope["method"] == "HEAD" else encoded
        await Response(content, media_type=media_type, headers=headers)(scope, receive, send)


def _check_document_url(asyncapi_url: str) -> None:
    if not asyncapi_url.endswith((".json", ".yaml")):
        raise ConfigurationError(f"asyncapi_url is {asyncapi_url!r}: it must end with '.json' or '.yaml'")
    if asyncapi_url.endswith(".yaml") and not _yaml_is_installed():
        raise ConfigurationError(
            f"asyncapi_url is {asyncapi_url!r}, but PyYAML is not installed: install wampasgi[cli], or let "
            f"the URL end with '.json'"
        )


def _yaml_is_installed() -> bool:
    return find_spec("yaml") is not None


def _path(scope: Scope) -> str:
    """Return the path of a request below the application."""
    root_path: str = scope.get("root_path", "")
    path: str = scope["path"]
    # FastAPI(root_path=...) sets the prefix of a proxy that does not send it. Mounts add theirs to it.
    outer: str = scope.get("app_root_path", root_path)
    for prefix in root_path, root_path.removeprefix(outer):
        if prefix and path.startswith(f"{prefix}/"):
            return path[len(prefix) :]
    return path


def _servers(scope: Scope) -> dict[str, Any]:
    """Return the URL that the request came to, for the document; none if its Host header is not valid."""
    try:
        url = Request(scope).url
        address = f"{'wss' if url.scheme == 'https' else 'ws'}://{url.netloc}{scope.get('root_path', '')}/"
        server = server_object(address)
    except ValueError:  # ConfigurationError, or that of an IPv6 address without its end
        return {}
    return {"servers": {"server": server}}


@dataclass(frozen=True, slots=True)
class _Text:
    """The text of a document in two parts, because the servers between them depend on the request."""

    first: dict[str, Any]
    rest: str
    as_yaml: bool

    @classmethod
    def of(cls, document: dict[str, Any], *, as_yaml: bool) -> _Text:
        first = {name: document[name] for name in ("asyncapi", "info", "defaultContentType")}
        rest = {name: part for name, part in document.items() if name not in first}
        return cls(first, _written(rest, as_yaml=as_yaml), as_yaml)

    def with_servers(self, servers: Mapping[str, Any]) -> str:
        first = _written({**self.first, **servers}, as_yaml=self.as_yaml)
        if self.as_yaml:
            return first + self.rest
        # Both parts have braces.
        return first.removesuffix("\n}") + "," + self.rest.removeprefix("{")


def _written(document: dict[str, Any], *, as_yaml: bool) -> str:
    if not as_yaml:
        return json.dumps(document, ensure_ascii=False, indent=2)
    # Only now, because PyYAML is optional.
    from wampasgi.asyncapi.yaml_form import to_yaml

    return to_yaml(document)


class _Texts:
    """The texts of the document, which are kept until a description changes.

    Everybody can request them, and making those of a large application takes seconds. So that is done in a
    thread, and by one at a time.
    """

    def __init__(self, make_document: Callable[[_Contents], dict[str, Any]]) -> None:
        self._make_document = make_document
        self._lock = threading.Lock()
        # In one attribute, because a thread replaces it.
        self._kept: tuple[_Contents, Mapping[bool, _Text]] = {}, {}

    async def get(self, contents: _Contents, *, as_yaml: bool) -> _Text:
        text = self._find(contents, as_yaml)
        return await anyio.to_thread.run_sync(self._make, contents, as_yaml) if text is None else text

    def _find(self, contents: _Contents, as_yaml: bool) -> _Text | None:
        kept_contents, texts = self._kept
        return texts.get(as_yaml) if kept_contents == contents else None

    def _make(self, contents: _Contents, as_yaml: bool) -> _Text:
        with self._lock:
            text = self._find(contents, as_yaml)
            if text is None:
                text = _Text.of(self._make_document(contents), as_yaml=as_yaml)
                kept_contents, texts = self._kept
                self._kept = contents, {**(texts if kept_contents == contents else {}), as_yaml: text}
            return text
