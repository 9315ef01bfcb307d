"""The WebSocket subprotocols: one per serializer without batching, and one with it.

Spec: Basic Profile, "WebSocket Transport"; Advanced Profile, "Message Batching".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wampasgi.errors import ConfigurationError, LocalProtocolError
from wampasgi.serializers import batching
from wampasgi.serializers.available import chosen, installed
from wampasgi.serializers.base import CountingSerializer, Encoded, Serializer


@dataclass(frozen=True, slots=True, eq=False)
class Subprotocol:
    """A WebSocket subprotocol such as ``"wamp.2.json"``: a serializer, with or without batching."""

    name: str
    serializer: Serializer
    batched: bool

    @property
    def exceeds_containers(self) -> Callable[[Encoded, int], bool] | None:
        """The function that counts lists and dicts in serialized data; None if only decoding tells.

        See ``CountingSerializer``.
        """
        serializer = self.serializer
        return serializer.exceeds_containers if isinstance(serializer, CountingSerializer) else None

    def frame(self, encoded: Sequence[Encoded]) -> Encoded:
        """Return one WebSocket message with these serialized messages.

        Raises LocalProtocolError for no messages, and for several if the subprotocol is not batched.
        """
        if self.batched:
            return batching.join(encoded, binary=self.serializer.binary)
        if len(encoded) != 1:
            raise LocalProtocolError(f"{self.name} sends one message at a time, got {len(encoded)}")
        return encoded[0]

    def messages(self, data: Encoded) -> list[object]:
        """Deserialize the messages of one WebSocket message, at least one.

        Raises RemoteProtocolError if it is empty, malformed or of the wrong type, text or binary.
        """
        return list(map(self.serializer.decode, self.split(data)))

    def split(self, data: Encoded) -> Sequence[Encoded]:
        """Split one WebSocket message into its serialized messages, at least one.

        Raises RemoteProtocolError if a batch is empty, malformed or of the wrong type, text or binary.
        """
        return batching.split(data, binary=self.serializer.binary) if self.batched else (data,)


def subprotocols(serializers: Iterable[Serializer | str] | None = None) -> dict[str, Subprotocol]:
    """Return the subprotocols by name: one plain and one batched for each serializer.

    A string is the name of a built-in serializer. None means all built-in serializers whose packages are
    installed. Raises ConfigurationError for an unknown name, a missing package, two serializers with the same
    name, an object that is not a serializer and an empty list.
    """
    found: dict[str, Subprotocol] = {}
    for serializer in installed() if serializers is None else map(chosen, serializers):
        name = f"wamp.2.{serializer.name}"
        if name in found:
            raise ConfigurationError(
                f"two serializers are named {serializer.name!r}: remove or rename one of them"
            )
        for subprotocol in (
            Subprotocol(name, serializer, False),
            Subprotocol(f"{name}.batched", serializer, True),
        ):
            found[subprotocol.name] = subprotocol
    if not found:
        raise ConfigurationError(
            "the list of serializers is empty, so no client could connect: give at least one"
        )
    return found


#: Name to subprotocol, for all built-in serializers whose packages are installed.
SUBPROTOCOLS: Final[Mapping[str, Subprotocol]] = subprotocols()


def negotiate(
    offered: Iterable[str], available: Mapping[str, Subprotocol] = SUBPROTOCOLS
) -> Subprotocol | None:
    """Return the first available subprotocol in the client's order of preference, or None."""
    return next((available[name] for name in offered if name in available), None)
