"""Limits on URIs in requests. The specification has none, but long URIs and patterns cost memory."""

from __future__ import annotations

from typing import Final

from wampasgi.errors import INVALID_URI, InvalidURI, WAMPError
from wampasgi.protocol.messages import Call, Hello, Message, Publish, Register, Subscribe

#: The most components that a client's wildcard pattern may have. Each takes a few hundred bytes of memory.
MOST_COMPONENTS: Final = 32

#: Message type code to the field with the URI of a realm, topic or procedure.
_FIELDS: Final = {
    Hello.code: "realm",
    Publish.code: "topic",
    Subscribe.code: "topic",
    Call.code: "procedure",
    Register.code: "procedure",
}


def check_uri_length(message: Message, limit: int) -> None:
    """Raise InvalidURI if the realm, topic or procedure has more than ``limit`` characters."""
    field = _FIELDS.get(message.code)
    if field is None or len(uri := getattr(message, field)) <= limit:
        return
    text = f"the {field} has {len(uri)} characters, over the limit uri_length of {limit}"
    if isinstance(message, Hello):
        raise InvalidURI(text)
    raise InvalidURI(
        text,
        request_type=message.code,
        request_id=getattr(message, "request_id", None),
        expects_answer=not isinstance(message, Publish) or message.options.get("acknowledge", False),
    )


def check_components(uri: str, match: str) -> None:
    """Raise WAMPError ``wamp.error.invalid_uri`` if a wildcard pattern has too many components."""
    if match == "wildcard" and (components := uri.count(".") + 1) > MOST_COMPONENTS:
        raise WAMPError(
            INVALID_URI,
            f"a wildcard pattern may have at most {MOST_COMPONENTS} components, got {components}",
        )
