"""The roles and features that this router announces in WELCOME.

Spec: Basic Profile, "Router: Role and Feature Announcement"; Advanced Profile, "Feature Announcement".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

#: Role to feature to support. Peers rely on it, so each feature has a test that uses it.
ROUTER_FEATURES: Final[Mapping[str, Mapping[str, bool]]] = MappingProxyType(
    {
        "broker": MappingProxyType(
            {
                "event_history": True,
                "event_retention": True,
                "pattern_based_subscription": True,
                "payload_passthru_mode": True,
                "publisher_exclusion": True,
                "publisher_identification": True,
                "reflection": True,
                "session_meta_api": True,
                "subscriber_blackwhite_listing": True,
                "subscription_meta_api": True,
                "subscription_revocation": True,
            }
        ),
        "dealer": MappingProxyType(
            {
                "call_canceling": True,
                # "Progressive Call Invocations" requires dealers to announce this spelling.
                "call_cancelling": True,
                "call_reroute": True,
                "call_timeout": True,
                "caller_identification": True,
                "pattern_based_registration": True,
                "payload_passthru_mode": True,
                "progressive_call_invocations": True,
                "progressive_call_results": True,
                "reflection": True,
                "registration_meta_api": True,
                "registration_revocation": True,
                "session_meta_api": True,
                "shared_registration": True,
                "testament_meta_api": True,
            }
        ),
    }
)


def welcome_roles() -> dict[str, Any]:
    """Return WELCOME.Details.roles, ``{"broker": {"features": {...}}, "dealer": {"features": {...}}}``.

    Each call returns a new dict, which the caller may change.
    """
    return {role: {"features": dict(features)} for role, features in ROUTER_FEATURES.items()}


def announced(details: Mapping[str, Any], role: str) -> frozenset[str]:
    """Return the usable features that a client announced for one of its roles in HELLO.Details.

    A callee's progressive call invocations are usable only if it also announces call canceling. Its
    progressive results always are: autobahn-js, the client of most browsers, announces them alone, and the
    dealer discards results that arrive after the caller has gone. One section of the specification spells
    call canceling "call_cancelling".
    Spec: Advanced Profile, "Progressive Call Results" and "Progressive Call Invocations".
    """
    attributes = details.get("roles", {}).get(role) or {}
    features = {name for name, value in (attributes.get("features") or {}).items() if value is True}
    if "call_cancelling" in features:
        features.add("call_canceling")
    if role == "callee" and "call_canceling" not in features:
        features.discard("progressive_call_invocations")
    return _intern(frozenset(features))


@lru_cache(maxsize=256)
def _intern(features: frozenset[str]) -> frozenset[str]:
    """Return one shared set for all sessions with equal features, because there are few kinds of clients."""
    return features
