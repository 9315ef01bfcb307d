"""How an expectation of a test ends when it does not come true."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from wampasgi.errors import ConnectionClosed, RemoteProtocolError, WAMPError
from wampasgi.protocol.messages import MESSAGE_NAMES, Abort, Message
from wampasgi.protocol.parsing import parse
from wampasgi.types import RawMessage

#: How much of what arrived is shown.
_SHOWN_MESSAGES = 20
_SHOWN_LENGTH = 200


class ExpectationFailed(AssertionError):
    """Something else came than the test awaited; the text says what."""


class Timeout(ExpectationFailed):
    """What the test awaited did not come in time; the text says what it was and what came meanwhile."""


class SessionAborted(WAMPError):
    """The server answered with ABORT, or sent it while something else was awaited.

    ``uri`` is the reason, ``details`` is ABORT.Details whole, and ``message`` is its text, None without one.
    """

    def __init__(self, uri: str, /, *args: Any, details: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(uri, *args, **kwargs)
        self.details = details or {}
        self.message: str | None = self.details.get("message")

    @classmethod
    def of(cls, abort: Abort) -> SessionAborted:
        """The exception for an ABORT."""
        error = cls(abort.reason, *(abort.args or ()), details=abort.details)
        error.kwargs = abort.kwargs or {}
        return error

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.message is None else f"{text} ({self.message})"


class SessionClosed(ConnectionClosed):
    """The session is over, so what the test awaited cannot come any more.

    ``reason`` is that of GOODBYE; where the WebSocket was closed without one, ``reason`` is the close reason
    and ``code`` the close code.
    """

    def __init__(self, reason: str, text: str, *, code: int | None = None, by_client: bool = False) -> None:
        super().__init__(reason, closed_by="client" if by_client else "server")
        self.args = (text,)
        self.code = code


def parsed(raw: RawMessage) -> Message:
    """The message that the server sent; raises ExpectationFailed for one that WAMP does not allow."""
    try:
        return parse(raw)
    except RemoteProtocolError as error:
        raise ExpectationFailed(
            f"the server sent an invalid message, {shown(raw)}: {error.message}"
        ) from None


def shown(raw: RawMessage) -> str:
    """One message for a reader: its name, then the list as it came."""
    name = MESSAGE_NAMES.get(raw[0], "message")
    text = repr(raw)
    return f"{name} {text if len(text) <= _SHOWN_LENGTH else text[:_SHOWN_LENGTH] + ' ...'}"


def what_arrived(messages: Sequence[RawMessage], also: Iterable[str] = ()) -> str:
    """Tell what the server sent that nothing has taken yet."""
    lines = [shown(raw) for raw in messages[:_SHOWN_MESSAGES]]
    if len(messages) > _SHOWN_MESSAGES:
        lines.append(f"and {len(messages) - _SHOWN_MESSAGES} more")
    lines.extend(also)
    if not lines:
        return "nothing arrived meanwhile"
    return "\n  ".join(("not taken so far:", *lines))
