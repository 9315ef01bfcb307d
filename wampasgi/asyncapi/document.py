"""The AsyncAPI document of an application."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from wampasgi.asyncapi.channels import EXTENSION, Channels, entries_of
from wampasgi.asyncapi.schemas import JSONObject, SchemaComponents
from wampasgi.errors import ConfigurationError

#: The default version of the specification.
ASYNCAPI_VERSION: Final = "3.1.0"
#: The versions of the specification that a document can have. They differ only in parts that are not used.
ASYNCAPI_VERSIONS: Final = ("3.0.0", "3.1.0")

# AsyncAPI 3.1, "Servers Object".
_SERVER_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class RealmFacts:
    """Facts about a realm that its description does not contain.

    ``authmethods`` are the authentication methods that the realm accepts.
    """

    authmethods: Sequence[str] = ()


def asyncapi_document(
    interfaces: Sequence[Mapping[str, Any]],
    *,
    title: str,
    version: str,
    description: str | None = None,
    realms: Mapping[str, RealmFacts] | None = None,
    servers: Mapping[str, str] | None = None,
    asyncapi_version: str = ASYNCAPI_VERSION,
) -> dict[str, Any]:
    """Return the AsyncAPI document of an application, as plain JSON values.

    ``interfaces`` are the descriptions of its realms in their JSON form. ``title``, ``version`` and
    ``description`` describe the application. ``realms`` are further facts, by realm URI, and ``servers`` the
    WebSocket URLs of the application, by name.

    Equal descriptions result in equal documents, in the same order. Raises ConfigurationError if a realm
    occurs twice, or a server or the version is invalid.
    """
    if asyncapi_version not in ASYNCAPI_VERSIONS:
        supported = " and ".join(ASYNCAPI_VERSIONS)
        raise ConfigurationError(f"AsyncAPI {asyncapi_version!r} is not supported: {supported} are")
    ordered = sorted(interfaces, key=lambda interface: interface["realm"])
    uris = [interface["realm"] for interface in ordered]
    if len(uris) > len(set(uris)):
        raise ConfigurationError(f"a realm is described twice: {', '.join(uris)}")

    schemas = SchemaComponents({interface["realm"]: interface["$defs"] for interface in ordered})
    channels = Channels(ordered, schemas)
    entries = entries_of(ordered)
    info = {"title": title, "version": version}
    if description:
        info["description"] = description
    document: JSONObject = {
        "asyncapi": asyncapi_version,
        "info": info,
        "defaultContentType": "application/json",
    }
    if servers:
        document["servers"] = {name: server_object(url, name=name) for name, url in servers.items()}
    document["channels"] = {entry.key: channels.channel(entry) for entry in entries}
    document["operations"] = {
        key: operation for entry in entries for key, operation in channels.operations(entry).items()
    }
    document["components"] = {"schemas": schemas.to_dict(), "messages": channels.error_messages()}
    document[EXTENSION] = {"realms": {uri: _realm_extension(uri, realms or {}) for uri in uris}}
    return document


def _realm_extension(uri: str, realms: Mapping[str, RealmFacts]) -> JSONObject:
    facts = realms.get(uri, RealmFacts())
    return {"authmethods": list(facts.authmethods)}


def server_object(url: str, *, name: str = "server") -> JSONObject:
    """Return the Server Object of a WebSocket URL, such as ``wss://example.com/ws``.

    Raises ConfigurationError if the URL or the name cannot be those of a server.
    """
    if _SERVER_NAME.fullmatch(name) is None:
        raise ConfigurationError(
            f"{name!r} cannot be the name of a server: it may have letters, digits, '_' and '-'"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{url!r} cannot be the URL of a server: {error}") from error
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ConfigurationError(
            f"{url!r} cannot be the URL of a server: it must begin with ws:// or wss://, and have a host"
        )
    if parts.username is not None or parts.query or parts.fragment or {"{", "}"} & set(url):
        raise ConfigurationError(
            f"{url!r} cannot be the URL of a server: it has credentials, a query, a fragment or braces"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    server = {"host": host if port is None else f"{host}:{port}", "protocol": parts.scheme}
    if parts.path:
        server["pathname"] = parts.path
    return server
