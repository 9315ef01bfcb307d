"""Messages as text or bytes, and the WebSocket subprotocols that carry them.

The serializer of CBOR is in a module of its own, :mod:`wampasgi.serializers.cbor`, which needs cbor2.
"""

from __future__ import annotations

from wampasgi.serializers.base import Encoded, Serializer, check_nesting, plain
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
    "check_nesting",
    "negotiate",
    "plain",
    "subprotocols",
]
