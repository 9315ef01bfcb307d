"""WAMP v2 for ASGI: typed RPC and server push over one WebSocket."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wampasgi._version import __version__

if TYPE_CHECKING:
    from wampasgi.adapters import AnyioAsyncSupport, AsyncioAsyncSupport, TrioAsyncSupport
    from wampasgi.application import Application
    from wampasgi.auth import (
        AuthenticationFailure,
        CRAAuthRequirement,
        SCRAMCredential,
        derive_key,
        scram_credential,
    )
    from wampasgi.configuration.method_marks import procedure, subscriber, topic
    from wampasgi.configuration.routers import WAMPRouter
    from wampasgi.configuration.routes import RPCRouteSet, TopicRouteSet
    from wampasgi.configuration.topics import Topic
    from wampasgi.description import Interface
    from wampasgi.errors import (
        ConfigurationError,
        ConnectionClosed,
        InvalidArgument,
        SubscribeError,
        WAMPError,
    )
    from wampasgi.event import Event
    from wampasgi.explorer import Explorer
    from wampasgi.injection.dependencies import Depends
    from wampasgi.injection.results import Progress, RPCErrorResult, RPCProgressReport, RPCResult
    from wampasgi.limits import Limits
    from wampasgi.mounting import WAMPRoute
    from wampasgi.payload import Payload
    from wampasgi.peers.identity import Identity
    from wampasgi.peers.session import Session
    from wampasgi.realm import Realm
    from wampasgi.rpc import RPCRequest
    from wampasgi.sessions.listening import Events, LocalSubscription

__all__ = [
    "AnyioAsyncSupport",
    "Application",
    "AsyncioAsyncSupport",
    "AuthenticationFailure",
    "CRAAuthRequirement",
    "ConfigurationError",
    "ConnectionClosed",
    "Depends",
    "Event",
    "Events",
    "Explorer",
    "Identity",
    "Interface",
    "InvalidArgument",
    "Limits",
    "LocalSubscription",
    "Payload",
    "Progress",
    "RPCErrorResult",
    "RPCProgressReport",
    "RPCRequest",
    "RPCResult",
    "RPCRouteSet",
    "Realm",
    "SCRAMCredential",
    "Session",
    "SubscribeError",
    "Topic",
    "TopicRouteSet",
    "TrioAsyncSupport",
    "WAMPError",
    "WAMPRoute",
    "WAMPRouter",
    "__version__",
    "derive_key",
    "procedure",
    "scram_credential",
    "subscriber",
    "topic",
]

# The modules of the exports. They are imported on first use, because the command line and the client, parts
# of the package, need few of them and should start fast.
_MODULES = {
    "AnyioAsyncSupport": "wampasgi.adapters",
    "Application": "wampasgi.application",
    "AsyncioAsyncSupport": "wampasgi.adapters",
    "AuthenticationFailure": "wampasgi.auth",
    "CRAAuthRequirement": "wampasgi.auth",
    "ConfigurationError": "wampasgi.errors",
    "ConnectionClosed": "wampasgi.errors",
    "Depends": "wampasgi.injection.dependencies",
    "Event": "wampasgi.event",
    "Events": "wampasgi.sessions.listening",
    "Explorer": "wampasgi.explorer",
    "Identity": "wampasgi.peers.identity",
    "Interface": "wampasgi.description",
    "InvalidArgument": "wampasgi.errors",
    "Limits": "wampasgi.limits",
    "LocalSubscription": "wampasgi.sessions.listening",
    "Payload": "wampasgi.payload",
    "Progress": "wampasgi.injection.results",
    "RPCErrorResult": "wampasgi.injection.results",
    "RPCProgressReport": "wampasgi.injection.results",
    "RPCRequest": "wampasgi.rpc",
    "RPCResult": "wampasgi.injection.results",
    "RPCRouteSet": "wampasgi.configuration.routes",
    "Realm": "wampasgi.realm",
    "SCRAMCredential": "wampasgi.auth",
    "Session": "wampasgi.peers.session",
    "SubscribeError": "wampasgi.errors",
    "Topic": "wampasgi.configuration.topics",
    "TopicRouteSet": "wampasgi.configuration.routes",
    "TrioAsyncSupport": "wampasgi.adapters",
    "WAMPError": "wampasgi.errors",
    "WAMPRoute": "wampasgi.mounting",
    "WAMPRouter": "wampasgi.configuration.routers",
    "derive_key": "wampasgi.auth",
    "procedure": "wampasgi.configuration.method_marks",
    "scram_credential": "wampasgi.auth",
    "subscriber": "wampasgi.configuration.method_marks",
    "topic": "wampasgi.configuration.method_marks",
}
# Submodules that users of the package may reach as its attributes.
_SUBMODULES = frozenset({"adapters", "auth", "errors", "rpc"})


if not TYPE_CHECKING:  # otherwise type checkers would accept any name

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            value = getattr(import_module(_MODULES[name]), name)
        elif name in _SUBMODULES:
            value = import_module(f"{__name__}.{name}")
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # The next access does not come here.
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_SUBMODULES})
