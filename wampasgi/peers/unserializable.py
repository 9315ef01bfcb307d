"""Messages that the serializer of a client cannot carry: they are logged and replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wampasgi.errors import RUNTIME_ERROR, UnserializableValue
from wampasgi.logs import escaped, logger_named, shown
from wampasgi.peers.interfaces import JoinedRouter
from wampasgi.protocol.messages import MESSAGE_NAMES, Call, Error, Invocation, Result
from wampasgi.types import RawMessage

logger = logger_named("wampasgi.session")


def replace_unserializable(
    raw: RawMessage,
    error: UnserializableValue,
    uri: str | None,
    router: JoinedRouter,
    about: Mapping[str, Any],
) -> RawMessage | None:
    """Log a message that cannot be serialized, and return the message to send instead, if any.

    ``uri`` is the procedure or topic, if the sender knows it; otherwise the router is asked. ``about`` are
    the extra fields of the log record. The caller of an INVOCATION gets ERROR
    ``wamp.error.invalid_argument``, and the caller of a RESULT ``wamp.error.runtime_error``. An ERROR is sent
    without its payload, and an EVENT not at all.
    """
    code = raw[0]
    uri = uri or router.uri_of(raw)
    logger.error(
        "%s of %s cannot be serialized for session %s on realm %s: %s",
        MESSAGE_NAMES[code],
        f"request {raw[1]}" if uri is None else shown(uri),
        about["wamp_session"],
        shown(about["wamp_realm"]),
        escaped(str(error)),
        extra={**about, "wamp_uri": uri},
    )
    if code == Invocation.code:
        router.undeliverable(about["wamp_session"], raw[1], f"the call cannot be sent to the callee: {error}")
    if code == Result.code and not raw[2].get("progress", False):
        return Error(Call.code, raw[1], {}, RUNTIME_ERROR).to_list()
    return raw[:5] if code == Error.code else None
