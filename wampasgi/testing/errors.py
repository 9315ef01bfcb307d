"""The exceptions of the test client, and the messages that they quote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from wampasgi.errors import ConnectionClosed, WAMPError
from wampasgi.protocol.messages import MESSAGE_NAMES, Abort, Message
from wampasgi.testing.arrival import Arrival
from wampasgi.types import RawMessage

#: At most this many messages, and this many characters of each, are quoted.
_MAX_QUOTED_MESSAGES = 20
_MAX_QUOTED_LENGTH = 200


class ExpectationFailed(AssertionError):
    """The server did something else than the test expected."""


class Timeout(ExpectationFailed):
    """A wait of the test timed out.

    The text names what the test waited for, and quotes the messages that it has not taken.
    """


class SessionAborted(WAMPError):
    """The server sent ABORT, as an answer or while the test waited for something else.

    ``uri`` is the reason, ``details`` is ABORT.Details, and ``message`` is the text in them, or None.
    """

    def __init__(self, uri: str, /, *args: Any, details: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(uri, *args, **kwargs)
        self.details = details or {}
        self.message: str | None = self.details.get("message")

    @classmethod
    def of(cls, abort: Abort) -> SessionAborted:
        """Return the exception for an ABORT."""
        error = cls(abort.reason, *(abort.args or ()), details=abort.details)
        error.kwargs = abort.kwargs or {}
        return error

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.message is None else f"{text} ({self.message})"


class SessionClosed(ConnectionClosed):
    """The session is over, so the message that the test waited for cannot arrive any more.

    ``reason`` is the reason of GOODBYE. If the WebSocket was closed without GOODBYE, ``reason`` is the close
    reason, and ``code`` is the close code.
    """

    def __init__(self, reason: str, text: str, *, code: int | None = None, by_client: bool = False) -> None:
        super().__init__(reason, closed_by="client" if by_client else "server")
        self.args = (text,)
        self.code = code


def message_of(arrival: Arrival) -> Message:
    """Return a message from the server. Raises ExpectationFailed if the protocol does not allow it."""
    if arrival.message is None:
        raise ExpectationFailed(
            f"the server sent an invalid message, {format_message(arrival.raw)}: {arrival.problem}"
        )
    return arrival.message


def format_message(raw: RawMessage) -> str:
    """Return the name of a message and its list, truncated."""
    name = MESSAGE_NAMES.get(raw[0], "message")
    text = repr(raw)
    return f"{name} {text if len(text) <= _MAX_QUOTED_LENGTH else text[:_MAX_QUOTED_LENGTH] + ' ...'}"


def describe_arrived(messages: Sequence[RawMessage], also: Iterable[str] = ()) -> str:
    """Return a list of the messages that have arrived and nothing has taken, and of the lines in ``also``."""
    lines = [format_message(raw) for raw in messages[:_MAX_QUOTED_MESSAGES]]
    if len(messages) > _MAX_QUOTED_MESSAGES:
        lines.append(f"and {len(messages) - _MAX_QUOTED_MESSAGES} more")
    lines.extend(also)
    if not lines:
        return "nothing else arrived"
    return "\n  ".join(("not taken so far:", *lines))
