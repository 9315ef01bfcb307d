"""Authenticators: ASGI middleware of a realm that finds out who a session is.

A realm's configuration methods put them into its stack. Given to ``Realm(middleware=[...])`` they take plain
functions, sync or async, with the injected arguments ``session``, ``realm`` and ``app`` and with ``Depends``;
only the realm's default args are then out of their reach. A middleware class with the attribute
``authenticates = True`` tells the realm that it is an authenticator, so that nobody is let in without one.
"""

from __future__ import annotations

from wampasgi.auth.anonymous import AnonymousMethod, AnonymousMiddleware
from wampasgi.auth.challenge import ChallengeMiddleware
from wampasgi.auth.cra import CRAAuthRequirement, CRAMethod
from wampasgi.auth.cryptosign import CryptosignMethod
from wampasgi.auth.custom import CustomAuthenticationMiddleware
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
    "CRAAuthRequirement",
    "CRAMethod",
    "Challenge",
    "ChallengeMethod",
    "ChallengeMiddleware",
    "CryptosignMethod",
    "CustomAuthenticationMiddleware",
    "Exchange",
    "GateMiddleware",
    "SCRAMCredential",
    "SCRAMMethod",
    "TicketMethod",
    "TransportAuthenticationMiddleware",
    "Unsuitable",
    "derive_key",
    "scram_credential",
]
