"""Refusals of single requests and answers whose payload is invalid.

The specification demands that a session is aborted if its message cannot be decoded. However, an invalid
payload affects only its own request, and correct clients send values that other formats do not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wampasgi.errors import InvalidPayload, InvalidRequest, RemoteProtocolError
from wampasgi.protocol.ids import is_id
from wampasgi.protocol.messages import (
    Call,
    Error,
    Invocation,
    Publish,
    Register,
    Subscribe,
    Unregister,
    Unsubscribe,
    Yield,
)

# The messages whose second element identifies the request or the invocation, and whose third one is Options.
_IDENTIFIED: Final = frozenset(
    message.code for message in (Publish, Subscribe, Unsubscribe, Call, Register, Unregister, Yield)
)


def rejection(head: Sequence[object], text: str) -> RemoteProtocolError:
    """Return the error for a message of which only the beginning, ``head``, is known to be valid.

    It is InvalidPayload if the beginning tells which request or invocation the message belongs to. Otherwise
    the session must be aborted.
    """
    code = head[0] if head else None
    if type(code) is not int:
        return RemoteProtocolError(text)
    if code == Error.code and len(head) > 2 and head[1] == Invocation.code and is_id(head[2]):
        return InvalidPayload(text, request_type=code, request_id=head[2])
    if code not in _IDENTIFIED or len(head) < 2 or not is_id(head[1]):
        return RemoteProtocolError(text)
    options = head[2] if len(head) > 2 and isinstance(head[2], dict) else {}
    return InvalidPayload(
        text,
        request_type=code,
        request_id=head[1],
        # An ERROR that a publisher does not expect would be a violation.
        expects_answer=code != Publish.code or options.get("acknowledge") is True,
        options=options,
        uri_field=head[3] if len(head) > 3 and isinstance(head[3], str) else "",
    )


def readable_part(refused: InvalidRequest) -> Call | None:
    """Return a refused CALL without its payload; None for other messages and if only its URI is invalid."""
    if not isinstance(refused, InvalidPayload) or refused.request_type != Call.code:
        return None
    return Call(refused.request_id, dict(refused.options), refused.uri_field)
