"""wampasgi serves WAMP v2 from an ASGI app: typed RPC and push over one WebSocket."""

from __future__ import annotations

from wampasgi._version import __version__
from wampasgi.adapters import AnyioAsyncSupport, AsyncioAsyncSupport, TrioAsyncSupport
from wampasgi.application import Application
from wampasgi.auth import CRAAuthRequirement, SCRAMCredential, derive_key, scram_credential
from wampasgi.dependencies import Depends
from wampasgi.errors import ConfigurationError, ConnectionClosed, InvalidArgument, SubscribeError, WAMPError
from wampasgi.events import Event
from wampasgi.identity import Identity
from wampasgi.limits import Limits
from wampasgi.local_events import Events, LocalSubscription
from wampasgi.realm import Realm
from wampasgi.route import WAMPRoute
from wampasgi.routing import RPCRouteSet, TopicRouteSet
from wampasgi.rpc import RPCErrorResult, RPCProgressReport, RPCRequest, RPCResult
from wampasgi.session import Session

__all__ = [
    "AnyioAsyncSupport",
    "Application",
    "AsyncioAsyncSupport",
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
    "__version__",
    "derive_key",
    "scram_credential",
]
