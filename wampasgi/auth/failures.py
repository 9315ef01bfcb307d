"""Failed authentications, as the log, the metrics and the application see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from wampasgi.peers.connection import Connection

#: The reason of a failed authentication.
#:
#: - ``wrong_proof``: the ticket, the signature or the proof is wrong, or a custom handler refused the client.
#: - ``unknown_authid``: the same, and the method knows that the authid does not exist.
#: - ``denied``: the application refused a client that had proven its identity, or that had nothing to prove.
#: - ``invalid_answer``: the client answered CHALLENGE with a message that breaks the protocol.
#: - ``timeout``: the client did not answer CHALLENGE within ``Limits.handshake_timeout``.
#: - ``limited``: too many logins had failed, so the proof was not verified.
#: - ``no_method``: no authentication method of the realm suits the client. It has tried to prove nothing.
FailureReason: TypeAlias = Literal[
    "wrong_proof", "unknown_authid", "denied", "invalid_answer", "timeout", "limited", "no_method"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationFailure:
    """A failed authentication, for ``on_authentication_failed``.

    ``realm_uri`` and ``authid`` are the ones that the client named in HELLO; nothing proves that the authid
    is the client's. ``method`` is the name of the method, such as ``"ticket"``, or ``"transport"`` or
    ``"custom"``. ``reason`` is one of ``"wrong_proof"``, ``"unknown_authid"``, ``"denied"``,
    ``"invalid_answer"``, ``"timeout"`` and ``"limited"``. ``client_address`` is the address as in the log,
    None if it is unknown. ``connection`` is the request that opened the WebSocket, which is closed.
    """

    realm_uri: str
    authid: str | None
    method: str
    reason: FailureReason
    client_address: str | None
    connection: Connection
