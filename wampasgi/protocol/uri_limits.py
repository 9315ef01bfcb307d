"""How long the URIs of requests may be. The specification sets no bound; memory does."""

from __future__ import annotations

from typing import Final

from wampasgi.errors import INVALID_URI, InvalidURI, WAMPError
from wampasgi.protocol.messages import Call, Hello, Message, Publish, Register, Subscribe

#: Components of a wildcard pattern of a client's. Each takes a couple of hundred bytes to look up.
MOST_COMPONENTS: Final = 32

#: Where the URI stands that names something of the router's, by message code.
_FIELDS: Final = {
    Hello.code: "realm",
    Publish.code: "topic",
    Subscribe.code: "topic",
    Call.code: "procedure",
    Register.code: "procedure",
}


def check_uri_length(message: Message, limit: int) -> None:
    """Raise InvalidURI for a realm, topic or procedure of more than ``limit`` characters."""
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
    """Raise WAMPError ``wamp.error.invalid_uri`` for a wildcard pattern of too many components."""
    if match == "wildcard" and (components := uri.count(".") + 1) > MOST_COMPONENTS:
        raise WAMPError(
            INVALID_URI,
            f"a wildcard pattern may have {MOST_COMPONENTS} components, this one has {components}",
        )
