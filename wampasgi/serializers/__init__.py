"""Messages as text or bytes, and the WebSocket subprotocols that carry them."""

from __future__ import annotations

from wampasgi.serializers.base import Encoded, Serializer, plain
from wampasgi.serializers.json import JSON, JSONSerializer
from wampasgi.serializers.msgpack import MSGPACK, MsgPackSerializer
from wampasgi.serializers.subprotocols import SUBPROTOCOLS, Subprotocol, negotiate, subprotocols

__all__ = [
    "JSON",
    "MSGPACK",
    "SUBPROTOCOLS",
    "Encoded",
    "JSONSerializer",
    "MsgPackSerializer",
    "Serializer",
    "Subprotocol",
    "negotiate",
    "plain",
    "subprotocols",
]
