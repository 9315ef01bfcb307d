"""The request IDs of one client, as a router checks them.

Spec: Basic Profile, "IDs": the IDs of requests are incremented by 1 beginning with 1, for each direction.
"""

from __future__ import annotations

from typing import Final

from wampasgi.errors import RemoteProtocolError
from wampasgi.protocol.ids import SequentialIds
from wampasgi.protocol.messages import Call, Publish, Register, Subscribe, Unregister, Unsubscribe

#: Requests whose IDs are one sequence for each client.
SEQUENTIAL: Final = frozenset(
    message.code for message in (Publish, Subscribe, Unsubscribe, Call, Register, Unregister)
)


class RequestSequence:
    """Checks that the requests of one client have the IDs 1, 2, 3 and so on."""

    __slots__ = ("_expected",)

    def __init__(self) -> None:
        self._expected = SequentialIds()

    def check(self, request_id: int | None) -> None:
        """Take the ID of the next request; raises RemoteProtocolError if another one comes next."""
        expected = self._expected.next()
        if request_id != expected:
            raise RemoteProtocolError(f"request id {request_id} is out of sequence: {expected} comes next")
