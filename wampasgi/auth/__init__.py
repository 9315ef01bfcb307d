"""Authenticators: a realm's ASGI middleware that identifies its sessions.

A realm's configuration methods add them to its middleware stack. When passed to ``Realm(middleware=[...])``,
they accept plain functions, sync or async, with the injected arguments ``session``, ``realm`` and ``app`` and
with ``Depends``, but without the realm's default args. A middleware class with the attribute
``authenticates = True`` is an authenticator: the realm then does not accept anonymous sessions by default.
"""

from __future__ import annotations

from wampasgi.auth.anonymous import AnonymousMethod, AnonymousMiddleware
from wampasgi.auth.challenge import ChallengeMiddleware
from wampasgi.auth.cra import CRAAuthRequirement, CRAMethod
from wampasgi.auth.cryptosign import CryptosignMethod
from wampasgi.auth.custom import CustomAuthenticationMiddleware
from wampasgi.auth.failures import AuthenticationFailure, FailureReason
from wampasgi.auth.gate import GateMiddleware
from wampasgi.auth.method import Accepted, ChallengeMethod, Exchange, Unsuitable
from wampasgi.auth.scram import SCRAMMethod, scram_credential
from wampasgi.auth.ticket import TicketMethod
from wampasgi.auth.transport import TransportAuthenticationMiddleware
from wampasgi.protocol.challenges import SCRAMCredential, derive_key
from wampasgi.protocol.messages import Authenticate, Challenge

__all__ = [
    "Accepted",
    "AnonymousMethod",
    "AnonymousMiddleware",
    "Authenticate",
    "AuthenticationFailure",
    "CRAAuthRequirement",
    "CRAMethod",
    "Challenge",
    "ChallengeMethod",
    "ChallengeMiddleware",
    "CryptosignMethod",
    "CustomAuthenticationMiddleware",
    "Exchange",
    "FailureReason",
    "GateMiddleware",
    "SCRAMCredential",
    "SCRAMMethod",
    "TicketMethod",
    "TransportAuthenticationMiddleware",
    "Unsuitable",
    "derive_key",
    "scram_credential",
]
