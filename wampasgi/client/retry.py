"""Delays between attempts to connect."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from wampasgi.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Reconnection with exponential backoff and jitter.

    The n-th delay in a row is drawn from the upper half of ``initial * factor ** (n - 1)`` seconds, at most
    ``maximum``. (Jitter keeps a thousand clients from returning in the same moment.) ``attempts`` is the
    number of attempts in a row after which the session is closed; None means no limit. ``first`` makes the
    first connection of ``connect`` retry, too; by default, a failure there is raised at once, so that a wrong
    URL is noticed.
    """

    initial: float = 0.2
    factor: float = 2.0
    maximum: float = 30.0
    attempts: int | None = None
    first: bool = False

    def __post_init__(self) -> None:
        finite = all(map(math.isfinite, (self.initial, self.factor, self.maximum)))
        if not finite or not 0 < self.initial <= self.maximum or self.factor < 1:
            raise ConfigurationError(
                f"{self!r}: initial must be positive and at most maximum, and factor at least 1"
            )
        if self.attempts is not None and self.attempts < 1:
            raise ConfigurationError(
                f"Retry(attempts={self.attempts}): use at least 1, or retry=None for no reconnects"
            )

    def delay(self, failures: int, chance: float | None = None) -> float:
        """Return the delay in seconds after ``failures`` failed attempts in a row, 0 or more.

        ``chance`` is a random number from 0 to 1.
        """
        try:
            limit = min(self.initial * float(self.factor) ** failures, self.maximum)
        except OverflowError:
            limit = self.maximum
        return limit * (0.5 + 0.5 * (random.random() if chance is None else chance))
