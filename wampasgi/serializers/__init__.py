"""The serializers for messages and the WebSocket subprotocols that use them.

The CBOR serializer is not exported here, because :mod:`wampasgi.serializers.cbor` needs cbor2.
"""

from __future__ import annotations

from wampasgi.serializers.base import CountingSerializer, Encoded, Serializer, check_nesting, plain
from wampasgi.serializers.containers import decoded_exceeds, values_exceed
from wampasgi.serializers.foreign import plain_copy
from wampasgi.serializers.json import JSON, JSONSerializer
from wampasgi.serializers.msgpack import MSGPACK, MsgPackSerializer
from wampasgi.serializers.subprotocols import SUBPROTOCOLS, Subprotocol, negotiate, subprotocols

__all__ = [
    "JSON",
    "MSGPACK",
    "SUBPROTOCOLS",
    "CountingSerializer",
    "Encoded",
    "JSONSerializer",
    "MsgPackSerializer",
    "Serializer",
    "Subprotocol",
    "check_nesting",
    "decoded_exceeds",
    "negotiate",
    "plain",
    "plain_copy",
    "subprotocols",
    "values_exceed",
]
