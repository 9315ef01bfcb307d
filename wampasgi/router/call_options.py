"""The features that the options of a call need, and the details of its INVOCATION.

Spec: Advanced Profile, "Advanced RPC" and "Payload Passthru Mode".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wampasgi.errors import RemoteProtocolError
from wampasgi.protocol.messages import PAYLOAD_OPTIONS, Call
from wampasgi.router.invocations import PendingCall, RoutedSession
from wampasgi.router.registrations import Callee


def check_announced(caller: RoutedSession, message: Call) -> None:
    """Raise RemoteProtocolError if the options of CALL need a feature that the caller has not announced.

    Spec: Advanced Profile, "Progressive Call Invocations" and "Payload Passthru Mode", "Feature
    Announcement".
    """
    for feature in _needed_features(message):
        if feature not in caller.caller_features:
            raise RemoteProtocolError(f"CALL needs the feature {feature}, which the caller has not announced")


def _needed_features(message: Call) -> list[str]:
    options, needed = message.options, []
    if options.get("progress", False):
        needed.append("progressive_call_invocations")
    if options.get("ppt_scheme"):
        needed.append("payload_passthru_mode")
    return needed


def lacking_feature(message: Call, callee: RoutedSession) -> str | None:
    """Return the feature that the call needs but the callee has not announced, or None."""
    return next((name for name in _needed_features(message) if name not in callee.callee_features), None)


def invocation_details(pending: PendingCall, callee: RoutedSession, taken_by: Callee) -> dict[str, Any]:
    """Return INVOCATION.Details for this callee, without ``progress``."""
    options = pending.message.options
    details = payload_attributes(options)
    if pending.registration.match != "exact":
        details["procedure"] = pending.message.procedure
    if pending.disclose or taken_by.disclose_caller:
        peer = pending.caller.peer
        details["caller"] = pending.caller.session_id
        if peer.authid is not None:
            details["caller_authid"] = peer.authid
        if peer.authrole is not None:
            details["caller_authrole"] = peer.authrole
    if options.get("receive_progress", False) and "progressive_call_results" in callee.callee_features:
        details["receive_progress"] = True
    if options.get("timeout", 0) and taken_by.forward_timeout and "call_timeout" in callee.callee_features:
        details["timeout"] = options["timeout"]
    return details


def payload_attributes(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of Options or Details that describe the payload."""
    # Most messages have no options, so that the empty case is worth a shortcut.
    return {name: value for name, value in options.items() if name in PAYLOAD_OPTIONS} if options else {}
