"""Authenticators: ASGI middleware of a realm that finds out who a session is."""

from __future__ import annotations

from wampasgi.auth.anonymous import AnonymousMiddleware
from wampasgi.auth.challenge import ChallengeMethod, ChallengeMiddleware
from wampasgi.auth.custom import CustomAuthenticationMiddleware
from wampasgi.auth.gate import GateMiddleware
from wampasgi.auth.ticket import TicketMethod
from wampasgi.auth.transport import TransportAuthenticationMiddleware

__all__ = [
    "AnonymousMiddleware",
    "ChallengeMethod",
    "ChallengeMiddleware",
    "CustomAuthenticationMiddleware",
    "GateMiddleware",
    "TicketMethod",
    "TransportAuthenticationMiddleware",
]
