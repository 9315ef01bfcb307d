"""The WebSocket subprotocols: a serializer each, with or without batches.

Spec: Basic Profile, "WebSocket Transport"; Advanced Profile, "Message Batching".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wampasgi.errors import ConfigurationError, LocalProtocolError
from wampasgi.serializers import batching
from wampasgi.serializers.available import chosen, installed
from wampasgi.serializers.base import Encoded, Serializer


@dataclass(frozen=True, slots=True)
class Subprotocol:
    """How WAMP messages stand in WebSocket messages: ``name`` is ``"wamp.2.json"`` or the like."""

    name: str
    serializer: Serializer
    batched: bool

    def frame(self, encoded: Sequence[Encoded]) -> Encoded:
        """Put serialized messages into one WebSocket message.

        LocalProtocolError for none, and for several where there are no batches.
        """
        if self.batched:
            return batching.join(encoded, binary=self.serializer.binary)
        if len(encoded) != 1:
            raise LocalProtocolError(f"{self.name} sends one message at a time, got {len(encoded)}")
        return encoded[0]

    def messages(self, data: Encoded) -> list[object]:
        """Decode the messages of one WebSocket message, one or more.

        RemoteProtocolError where it is empty or malformed, or text instead of binary and the reverse.
        """
        return list(map(self.serializer.decode, self.split(data)))

    def split(self, data: Encoded) -> Sequence[Encoded]:
        """Take one WebSocket message apart into its messages, one or more, still serialized.

        RemoteProtocolError where the batch is empty or malformed, or text instead of binary and the reverse.
        """
        return batching.split(data, binary=self.serializer.binary) if self.batched else (data,)


def subprotocols(serializers: Iterable[Serializer | str] | None = None) -> dict[str, Subprotocol]:
    """Make the table of the two subprotocols, plain and batched, of each serializer.

    A string names one that comes with the framework; None stands for all of these whose packages are
    installed. Raises ConfigurationError for an unknown name or one without its package, for two serializers
    of one name, for what is no serializer, and for none at all.
    """
    found: dict[str, Subprotocol] = {}
    for serializer in installed() if serializers is None else map(chosen, serializers):
        name = f"wamp.2.{serializer.name}"
        if name in found:
            raise ConfigurationError(
                f"two serializers are named {serializer.name!r}: leave one of them out, or rename it"
            )
        for subprotocol in (
            Subprotocol(name, serializer, False),
            Subprotocol(f"{name}.batched", serializer, True),
        ):
            found[subprotocol.name] = subprotocol
    if not found:
        raise ConfigurationError("there is no serializer, so no client could connect: name one or more")
    return found


#: Name to subprotocol, of all that come with the framework and whose packages are installed.
SUBPROTOCOLS: Final[Mapping[str, Subprotocol]] = subprotocols()


def negotiate(
    offered: Iterable[str], available: Mapping[str, Subprotocol] = SUBPROTOCOLS
) -> Subprotocol | None:
    """Choose the first of the client's subprotocols, which it lists as it prefers them, that is available."""
    return next((available[name] for name in offered if name in available), None)
