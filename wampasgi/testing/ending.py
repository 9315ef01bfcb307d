"""Subscriptions and registrations that end with the block of a ``with`` statement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from wampasgi.testing.exchange import Exchange


class EndsWithBlock(ABC):
    """A subscription or registration of a session."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        #: Set if this side or the server has ended it.
        self._ended = False

    @abstractmethod
    def _end(self) -> None:
        """End it. Raises WAMPError for ERROR."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it, unless it or the session is over, or an exception leaves the block."""
        if exc is None and not self._ended and not self._exchange.over:
            self._end()
