"""The router's check of a client's request IDs.

Spec: Basic Profile, "IDs": request IDs start with 1 and are incremented by 1, separately for each direction.
"""

from __future__ import annotations

from typing import Final

from wampasgi.errors import RemoteProtocolError
from wampasgi.protocol.ids import SequentialIds
from wampasgi.protocol.messages import Call, Publish, Register, Subscribe, Unregister, Unsubscribe

#: The type codes of the requests that share one ID sequence per client.
SEQUENTIAL: Final = frozenset(
    message.code for message in (Publish, Subscribe, Unsubscribe, Call, Register, Unregister)
)


class RequestSequence:
    """Checks that the requests of one client have the IDs 1, 2, 3 and so on."""

    __slots__ = ("_expected",)

    def __init__(self) -> None:
        self._expected = SequentialIds()

    def check(self, request_id: int | None) -> None:
        """Advance the sequence. Raises RemoteProtocolError if ``request_id`` is not the next ID."""
        expected = self._expected.next()
        if request_id != expected:
            raise RemoteProtocolError(f"request ID {request_id} is out of sequence, expected {expected}")
