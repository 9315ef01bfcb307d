"""The documentation that an application serves over HTTP: its page and its AsyncAPI document."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from wampasgi.asyncapi import ASYNCAPI_VERSION, RealmFacts, asyncapi_document, server_object
from wampasgi.errors import ConfigurationError
from wampasgi.explorer import ExploredApplication, Explorer, docs_scope
from wampasgi.realm import Realm
from wampasgi.types import ASGIApp, Receive, Scope, Send

_JSON: Final = "application/vnd.aai.asyncapi+json;version=3.1.0"
_YAML: Final = "application/vnd.aai.asyncapi+yaml;version=3.1.0"


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

    ``realms`` returns the realms to describe, and ``info`` describes the API as a whole. ``docs_url`` is the
    path of the page, and ``asyncapi_url`` that of the AsyncAPI document, below the application; None serves
    neither. An ``asyncapi_url`` that ends with ``.json`` also serves the document as YAML, at the same path
    with ``.yaml``.
    """

    def __init__(
        self,
        app: ExploredApplication,
        realms: Callable[[], Sequence[Realm]],
        info: Info,
        docs_url: str | None,
        asyncapi_url: str | None,
    ) -> None:
        for option, path in ("docs_url", docs_url), ("asyncapi_url", asyncapi_url):
            if path is not None and not path.startswith("/"):
                raise ConfigurationError(f"{option} is {path!r}: it must be a path that begins with '/'")
        if asyncapi_url is not None and not asyncapi_url.endswith((".json", ".yaml")):
            raise ConfigurationError(f"asyncapi_url is {asyncapi_url!r}: it must end with '.json' or '.yaml'")
        self._realms = realms
        self._info = info
        self._documents: dict[str, bool] = {}
        if asyncapi_url is not None:
            self._documents = {asyncapi_url: asyncapi_url.endswith(".yaml")}
            self._documents.setdefault(f"{asyncapi_url.removesuffix('.json')}.yaml", True)
        self._docs_url = docs_url
        self._page: ASGIApp | None = None
        if docs_url is not None:
            depth = docs_url.rstrip("/").count("/")
            self._page = Explorer(app, ws_url="../" * depth or "./", title=info.title)

    def asyncapi(self, realm: str | None = None, asyncapi_version: str = ASYNCAPI_VERSION) -> dict[str, Any]:
        """Return the AsyncAPI document of one realm, or of all, as JSON values.

        Raises ConfigurationError if there is no such realm, and for a version that is not supported.
        """
        realms = [found for found in self._realms() if realm is None or found.uri == realm]
        if not realms:
            raise ConfigurationError(f"the application has no realm {realm!r}")
        return self._document([(found, found.describe().to_dict()) for found in realms], asyncapi_version)

    def _document(
        self, described: Sequence[tuple[Realm, dict[str, Any]]], asyncapi_version: str = ASYNCAPI_VERSION
    ) -> dict[str, Any]:
        facts = {realm.uri: RealmFacts(authmethods=realm.plan().authmethods) for realm, _ in described}
        interfaces = [interface for _, interface in described]
        return asyncapi_document(
            interfaces,
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
        described = [(realm, (await realm.describe_for_anybody()).to_dict()) for realm in self._realms()]
        document = _with_server(self._document(described), scope)
        body, media_type = json.dumps(document, ensure_ascii=False, indent=2), _JSON
        if as_yaml:
            # Only now, because PyYAML is optional.
            from wampasgi.asyncapi.yaml_form import to_yaml

            body, media_type = to_yaml(document), _YAML
        headers = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
        response = Response(body, media_type=media_type, headers=headers)
        await response(scope, receive, send)


def _path(scope: Scope) -> str:
    """Return the path of a request below the application."""
    root_path: str = scope.get("root_path", "")
    path: str = scope["path"]
    return path[len(root_path) :] if path.startswith(f"{root_path}/") else path


def _with_server(document: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Add the URL that the request came to, unless its Host header is not valid."""
    url = Request(scope).url
    address = f"{'wss' if url.scheme == 'https' else 'ws'}://{url.netloc}{scope.get('root_path', '')}/"
    try:
        server = server_object(address)
    except ConfigurationError:
        return document
    first = {name: document[name] for name in ("asyncapi", "info", "defaultContentType")}
    return {**first, "servers": {"server": server}, **document}
