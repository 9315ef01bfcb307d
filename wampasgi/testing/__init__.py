"""Test clients: one that adds WAMP to Starlette's TestClient, and its async twin."""

from __future__ import annotations

from wampasgi.client.calls import CancelMode
from wampasgi.testing.async_client import AsyncTestClient
from wampasgi.testing.calls import OnProgress, PendingCall
from wampasgi.testing.client import TestClient
from wampasgi.testing.connection import WAMPConnection
from wampasgi.testing.errors import ExpectationFailed, SessionAborted, SessionClosed, Timeout
from wampasgi.testing.handshake import OnChallenge
from wampasgi.testing.registration import Invocation, Registration
from wampasgi.testing.session import WAMPSession
from wampasgi.testing.socket import WebSocketClose
from wampasgi.testing.subscription import Events

__all__ = [
    "AsyncTestClient",
    "CancelMode",
    "Events",
    "ExpectationFailed",
    "Invocation",
    "OnChallenge",
    "OnProgress",
    "PendingCall",
    "Registration",
    "SessionAborted",
    "SessionClosed",
    "TestClient",
    "Timeout",
    "WAMPConnection",
    "WAMPSession",
    "WebSocketClose",
]
