"""The IDs of requests: the router's check of a client's, and the requests that a client waits for.

Spec: Basic Profile, "IDs": request IDs start with 1 and are incremented by 1, separately for each direction.
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

from wampasgi.errors import RemoteProtocolError
from wampasgi.protocol.ids import MAX_ID, SequentialIds
from wampasgi.protocol.messages import (
    MESSAGE_NAMES,
    Call,
    Publish,
    Published,
    Register,
    Registered,
    Result,
    Subscribe,
    Subscribed,
    Unregister,
    Unregistered,
    Unsubscribe,
    Unsubscribed,
)

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


T = TypeVar("T")

#: Type code of an answer to the type code of the request that it answers. ERROR names it itself.
ANSWERED: Final = {
    Published.code: Publish.code,
    Subscribed.code: Subscribe.code,
    Unsubscribed.code: Unsubscribe.code,
    Result.code: Call.code,
    Registered.code: Register.code,
    Unregistered.code: Unregister.code,
}

_MAX_CANCELED: Final = 1000


class Request(Generic[T]):
    """A request without a final answer. ``target`` is the object that waits for it, None if it gave up.

    ``code`` is the type code of the request. ``subject`` is the topic or procedure that the request is about,
    as an object or ID of the peer that sent it. ``progressive`` is set if a call accepts progressive results.
    """

    __slots__ = ("code", "progressive", "subject", "target")

    def __init__(
        self, code: int, target: T | None, subject: Any = None, *, progressive: bool = False
    ) -> None:
        self.code = code
        self.target = target
        self.subject = subject
        self.progressive = progressive


class PendingRequests(Generic[T]):
    """The requests of one session that have no final answer yet, by ID."""

    __slots__ = ("_canceled", "_last", "_pending")

    def __init__(self) -> None:
        self._last = 0
        self._pending: dict[int, Request[T]] = {}
        # The IDs of calls that were canceled. A late result may follow the ERROR that confirms a CANCEL.
        self._canceled: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def next_id(self) -> int:
        """Return the ID for a request that gets no answer."""
        self._last = self._last % MAX_ID + 1
        return self._last

    def add(self, request: Request[T]) -> int:
        """Add a request and return its ID."""
        self._last = request_id = self._last % MAX_ID + 1
        self._pending[request_id] = request
        return request_id

    def withdraw(self, request_id: int) -> None:
        """Take back the request that was added last, because it could not be sent. Its ID is used again."""
        self._pending.pop(request_id, None)
        self._last -= 1

    def get(self, request_id: int) -> Request[T] | None:
        """Return a pending request, or None."""
        return self._pending.get(request_id)

    def cancel(self, request_id: int) -> None:
        """Note that CANCEL was sent for a call, whose final answer may now come twice."""
        self._canceled[request_id] = None
        if len(self._canceled) > _MAX_CANCELED:
            del self._canceled[next(iter(self._canceled))]

    def take(self, code: int, request_id: int, answer: str, *, final: bool = True) -> Request[T] | None:
        """Return the request that an answer belongs to, and remove it if the answer is ``final``.

        ``code`` is the type code of the request, and ``answer`` the name of the answer. Returns None for a
        late answer to a canceled call. Raises RemoteProtocolError if there is no such request.
        """
        request = self._pending.get(request_id)
        if request is None or request.code != code:
            if code == Call.code and request_id in self._canceled:
                return None
            raise RemoteProtocolError(
                f"{answer}.Request must be the ID of a pending {MESSAGE_NAMES[code]}, got {request_id}"
            )
        if final:
            del self._pending[request_id]
        return request

    def clear(self) -> list[Request[T]]:
        """Remove all requests and return them in the order in which they were added."""
        left = list(self._pending.values())
        self._pending.clear()
        return left
