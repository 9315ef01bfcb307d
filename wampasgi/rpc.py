"""The request of a call, and the results, progress reports and errors that answer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wampasgi.injection.results import RPCErrorResult, RPCProgressReport, RPCResult
from wampasgi.peers.session import Session

__all__ = ["RPCErrorResult", "RPCProgressReport", "RPCRequest", "RPCResult"]


@dataclass(slots=True, eq=False)
class RPCRequest:
    """One call of a procedure, as the caller made it.

    ``id`` is the caller's request ID and ``session`` the caller's session. ``uri`` is the procedure that was
    called, even if the handler's route is a prefix or wildcard. ``args`` and ``kwargs`` are the payload,
    before validation.

    ``timeout`` is in seconds, 0 for none (``CALL.Options.timeout`` on the wire is in milliseconds).
    ``disclose_caller`` is set if the caller discloses its identity, ``receive_progress`` if it accepts
    progressive results. ``options`` is the complete CALL.Options.
    Spec: Basic Profile, "CALL"; Advanced Profile, "Call Timeouts" and "Progressive Call Results".
    """

    id: int
    session: Session
    uri: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 0
    disclose_caller: bool = False
    receive_progress: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
