"""The completion of a change that waits for other workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from wampasgi.router.meta_procedures import MetaResult

T = TypeVar("T")


class Completion(Generic[T]):
    """The result of an operation that may take until other workers have answered.

    The router is synchronous, so it returns this instead of a coroutine. ``then`` sets the function to call
    at the end; sessions await it.
    """

    __slots__ = ("_callbacks", "result")

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], object]] = []
        #: The result, None until the operation is complete.
        self.result: T | None = None

    @property
    def done(self) -> bool:
        """Return whether the operation is complete."""
        return self.result is not None

    def then(self, callback: Callable[[], object]) -> None:
        """Call a function when the operation is complete: at once if it is already."""
        if self.done:
            callback()
        else:
            self._callbacks.append(callback)

    def finish(self, result: T) -> None:
        """Complete the operation, which must not be complete yet. ``result`` must not be None."""
        assert result is not None
        assert self.result is None
        self.result = result
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


class PendingRead(Protocol):
    """A read of the meta API that waits for other workers."""

    @property
    def synchronised(self) -> Completion[bool]:
        """Completes with True when all workers have answered, and with False if some cannot be reached."""

    def require_complete(self) -> None:
        """Raise WAMPError ``wamp.error.network_failure`` if a worker has not answered."""

    def merged(self, result: MetaResult) -> MetaResult:
        """Add the answers of the other workers to the result of this one."""
