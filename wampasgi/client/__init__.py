"""A WAMP client for asyncio, trio and threads, for every WAMP router."""

from __future__ import annotations

from wampasgi.client.calls import ProgressCall
from wampasgi.client.client import Client, Options, connect
from wampasgi.client.contract import Contract, uri
from wampasgi.client.errors import (
    ConnectFailed,
    ConnectionLost,
    EventsDropped,
    InvalidResult,
    JoinRefused,
    Timeout,
)
from wampasgi.client.events import Event, Events
from wampasgi.client.history import Gap
from wampasgi.client.registrations import Invocation, Registration
from wampasgi.client.retry import Retry
from wampasgi.client.session import Session
from wampasgi.client.sync import SyncSession, connect_sync
from wampasgi.errors import ConnectionClosed, RemoteProtocolError, WAMPError

__all__ = [
    "Client",
    "ConnectFailed",
    "ConnectionClosed",
    "ConnectionLost",
    "Contract",
    "Event",
    "Events",
    "EventsDropped",
    "Gap",
    "InvalidResult",
    "Invocation",
    "JoinRefused",
    "Options",
    "ProgressCall",
    "Registration",
    "RemoteProtocolError",
    "Retry",
    "Session",
    "SyncSession",
    "Timeout",
    "WAMPError",
    "connect",
    "connect_sync",
    "uri",
]
