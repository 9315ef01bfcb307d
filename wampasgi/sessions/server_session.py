"""The server as a caller of what clients have registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio

from wampasgi.errors import TIMEOUT, WAMPError
from wampasgi.injection.results import unwrap
from wampasgi.protocol.ids import SequentialIds
from wampasgi.protocol.messages import Call, Cancel, Error, Message, Result
from wampasgi.router.dealer import Dealer, Outgoing


class _Answer:
    """What a call waits for."""

    __slots__ = ("arrived", "message")

    def __init__(self) -> None:
        self.arrived = anyio.Event()
        self.message: Result | Error | None = None


class ServerCaller:
    """Makes calls in the server's own name, as one more session of the dealer.

    ``deliver`` sends what the dealer returns.
    """

    __slots__ = ("_dealer", "_deliver", "_ids", "_waiting", "session_id")

    def __init__(self, session_id: int, dealer: Dealer, deliver: Callable[[list[Outgoing]], None]) -> None:
        self.session_id = session_id
        self._dealer = dealer
        self._deliver = deliver
        self._ids = SequentialIds()
        self._waiting: dict[int, _Answer] = {}

    async def call(
        self,
        procedure: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        timeout: float | None,
        only: int | None = None,
    ) -> Any:
        """Call a client's procedure and return its result, as ``Realm.call`` does.

        ``only`` is the session whose registrations count. A call that is given up, after ``timeout`` seconds
        or because the task that waits is cancelled, is cancelled at its callee, too.
        """
        request_id = self._ids.next()
        answer = self._waiting[request_id] = _Answer()
        call = Call(request_id, {}, procedure, list(args), dict(kwargs))
        try:
            self._deliver(self._dealer.call(self.session_id, call, now=0, only=only))
            with anyio.move_on_after(timeout):
                await answer.arrived.wait()
        finally:
            del self._waiting[request_id]
            if answer.message is None:
                self._deliver(self._dealer.cancel(self.session_id, Cancel(request_id, {})))
        message = answer.message
        if message is None:
            raise WAMPError(TIMEOUT, f"the call gave no result within {timeout} s")
        if isinstance(message, Error):
            raise WAMPError(message.error, *(message.args or ()), **(message.kwargs or {}))
        return unwrap(message.args or (), message.kwargs or {})

    def send(self, message: Message) -> None:
        """Take what the dealer answers; nobody waits for the rest of a call that was given up."""
        assert isinstance(message, Result | Error)
        answer = self._waiting.get(message.request_id)
        if answer is not None:
            answer.message = message
            answer.arrived.set()
