"""The messages that have arrived at a test's WebSocket, and what the protocol says of them."""

from __future__ import annotations

from dataclasses import dataclass

from wampasgi.client.core import SessionCore
from wampasgi.errors import RemoteProtocolError
from wampasgi.protocol.messages import Abort, Error, Goodbye, Message, Result
from wampasgi.protocol.router_messages import parse_from_router
from wampasgi.types import RawMessage

#: Codes of the messages that end a session.
_ENDING = frozenset((Abort.code, Goodbye.code))


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message from the server, as a list and in parsed form.

    ``recipient`` is the object that made the request which the message answers, or the subscription or
    registration that it belongs to; None if there is no such object. ``problem`` says why the protocol does
    not allow the message; ``message`` is None then.
    """

    raw: RawMessage
    message: Message | None = None
    recipient: object = None
    problem: str | None = None

    @property
    def ends_session(self) -> bool:
        """Return whether the message is GOODBYE or ABORT."""
        return self.raw[0] in _ENDING


def read_arrival(raw: RawMessage, core: SessionCore[object] | None, *, strict: bool) -> Arrival | None:
    """Return a message as the session's core understands it, or None for the answer to an abandoned call.

    Messages that nothing waits for are a problem only if ``strict`` is true. A test that sends raw messages
    gets answers that the core knows nothing of, and so does one without a session, when ``core`` is None.
    """
    if core is not None:
        try:
            recipient, message = core.receive(raw)
        except RemoteProtocolError as violation:
            if strict:
                return Arrival(raw, problem=violation.message)
        else:
            is_abandoned = recipient is None and isinstance(message, Result | Error)
            return None if is_abandoned else Arrival(raw, message, recipient)
    try:
        return Arrival(raw, parse_from_router(raw))
    except RemoteProtocolError as violation:
        return Arrival(raw, problem=violation.message)
