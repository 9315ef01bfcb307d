"""WAMP v2 for ASGI: typed RPC and server push over one WebSocket."""

from __future__ import annotations

from wampasgi._version import __version__
from wampasgi.adapters import AnyioAsyncSupport, AsyncioAsyncSupport, TrioAsyncSupport
from wampasgi.application import Application
from wampasgi.auth import (
    AuthenticationFailure,
    CRAAuthRequirement,
    SCRAMCredential,
    derive_key,
    scram_credential,
)
from wampasgi.configuration.handlers import Event
from wampasgi.configuration.method_marks import procedure, subscriber, topic
from wampasgi.configuration.routers import WAMPRouter
from wampasgi.configuration.routes import RPCRouteSet, TopicRouteSet
from wampasgi.errors import ConfigurationError, ConnectionClosed, InvalidArgument, SubscribeError, WAMPError
from wampasgi.injection.dependencies import Depends
from wampasgi.injection.results import RPCErrorResult, RPCProgressReport, RPCResult
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
    "Identity",
    "InvalidArgument",
    "Limits",
    "LocalSubscription",
    "Payload",
    "RPCErrorResult",
    "RPCProgressReport",
    "RPCRequest",
    "RPCResult",
    "RPCRouteSet",
    "Realm",
    "SCRAMCredential",
    "Session",
    "SubscribeError",
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
