"""What this router announces in WELCOME: its roles, and the features of each.

Spec: Basic Profile, "Router: Role and Feature Announcement"; Advanced Profile, "Feature Announcement".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

#: Role, feature, whether it is supported. Peers act on it, so a name enters with a test that uses it.
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
                "session_meta_api": True,
                "subscriber_blackwhite_listing": True,
                "subscription_meta_api": True,
                "subscription_revocation": True,
            }
        ),
        "dealer": MappingProxyType(
            {
                "call_canceling": True,
                # So spelled in "Progressive Call Invocations", which obliges the dealer to announce it.
                "call_cancelling": True,
                "call_reroute": True,
                "call_timeout": True,
                "caller_identification": True,
                "pattern_based_registration": True,
                "payload_passthru_mode": True,
                "progressive_call_invocations": True,
                "progressive_call_results": True,
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

    Each call makes a new dict, which the caller may change.
    """
    return {role: {"features": dict(features)} for role, features in ROUTER_FEATURES.items()}


def announced(details: Mapping[str, Any], role: str) -> frozenset[str]:
    """Return the features that a client announced for one of its roles in HELLO.Details, those it can use.

    A callee's progressive calls and results need call canceling; without that they do not count. One section
    of the specification spells that feature with two l.
    Spec: Advanced Profile, "Progressive Call Results" and "Progressive Call Invocations".
    """
    attributes = details.get("roles", {}).get(role) or {}
    features = {name for name, value in (attributes.get("features") or {}).items() if value is True}
    if "call_cancelling" in features:
        features.add("call_canceling")
    if role == "callee" and "call_canceling" not in features:
        features -= {"progressive_call_results", "progressive_call_invocations"}
    return _shared(frozenset(features))


@lru_cache(maxsize=256)
def _shared(features: frozenset[str]) -> frozenset[str]:
    """One set for all the sessions that announce the same: clients are of few kinds."""
    return features
