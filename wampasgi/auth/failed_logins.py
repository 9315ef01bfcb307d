"""The failed logins of a realm, and the delays that they cause. Time is passed in, in seconds.

Delays depend on earlier failures only. A login waits before its proof is verified, so a right one takes as
long as a wrong one, and a client that does not wait learns nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeVar
from unicodedata import normalize

import anyio

from wampasgi.limits import Limits

#: The maximum numbers of remembered addresses, authids, and pairs of both. The oldest ones are forgotten.
TABLE_SIZE: Final = 10_000

#: The maximum number of logins of one realm that wait at the same time.
MAX_WAITING: Final = 1000

#: The delay of the first login over the limit. It doubles with each further failure.
FIRST_DELAY: Final = 0.25

#: The longest delay for one authid from one address. Half of ``Limits.handshake_timeout``, if that is less.
LONGEST_DELAY: Final = 5.0

#: The longest delay for an address with all its authids, and for an authid from all addresses.
LONGEST_WIDE_DELAY: Final = 1.0

#: The limit for an address, or for an authid, in multiples of ``Limits.authentication_failures``.
WIDE_FACTOR: Final = 10

# Failures over the limit that are remembered. The delay is at its maximum then.
_MOST_OVER: Final = 5

_MAX_KEY: Final = 64


@dataclass(frozen=True, slots=True)
class _Limit:
    """The number of failures that are ``allowed`` in ``window`` seconds, and the longest delay of others."""

    allowed: float
    window: float
    longest: float


class _Failures:
    """The failures of one address or one authid: a leaking bucket."""

    __slots__ = ("_at", "_level")

    def __init__(self) -> None:
        self._level = 0.0
        self._at = 0.0

    def add(self, now: float, limit: _Limit) -> None:
        """Count a failure. Failures far over the limit are not counted, so that they are soon forgotten."""
        self._level = min(self.level(now, limit) + 1, limit.allowed + _MOST_OVER)
        self._at = now

    def delay(self, now: float, limit: _Limit, waiting: int = 0) -> float:
        """Return the delay of the next login. It grows with the logins that wait, as if they had failed."""
        over = self.level(now, limit) + 1 - limit.allowed
        doublings = max(0.0, over - 1) + min(waiting, _MOST_OVER)
        return 0.0 if over <= 0 else float(min(limit.longest, FIRST_DELAY * 2**doublings))

    def level(self, now: float, limit: _Limit) -> float:
        """Return the number of failures that are not forgotten yet."""
        return max(0.0, self._level - (now - self._at) * limit.allowed / limit.window)


class _PairFailures(_Failures):
    """The failures of one authid from one address, and its logins that are being verified."""

    __slots__ = ("_changed", "attempts", "free_at", "proven", "verifying", "waiting")

    def __init__(self) -> None:
        super().__init__()
        self._changed: anyio.Event | None = None
        #: The number of attempts that have not ended.
        self.attempts = 0
        #: The number of logins that wait for their delay, and the time when the last of them is verified.
        self.waiting = 0
        self.free_at = 0.0
        #: The number of logins that are being verified.
        self.verifying = 0
        #: True if the last login that was verified has succeeded.
        self.proven = False

    def is_full(self, now: float, limit: _Limit) -> bool:
        """Return whether the logins that are being verified would exceed the limit if they all failed.

        Without this, a client could make any number of guesses before the first one has failed. Many right
        logins at once, as when all clients of a service reconnect, wait only for the first result.
        """
        level = self.level(now, limit)
        return not self.proven and level + 1 <= limit.allowed < level + self.verifying + 1

    def reset(self) -> None:
        """Forget all failures, because a login has succeeded."""
        self._level = self.free_at = 0.0
        self.proven = True

    @property
    def unused(self) -> bool:
        """Return whether there is nothing to remember."""
        return not (self._level or self.attempts)

    async def change(self) -> None:
        """Wait until the result of a login that is being verified may have changed ``is_full``."""
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def changed(self) -> None:
        """Wake the logins that wait for a change."""
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()


F = TypeVar("F", bound=_Failures)


class _Table(OrderedDict[object, F]):
    """The failures of the most recent keys."""

    def __init__(self, make: Callable[[], F]) -> None:
        super().__init__()
        self._make = make

    def find(self, key: object) -> F | None:
        """Return the failures of a key, or None."""
        found = self.get(key)
        if found is not None:
            self.move_to_end(key)
        return found

    def find_or_add(self, key: object) -> F:
        """Return the failures of a key, and forget the oldest key if there are too many."""
        found = self.find(key)
        if found is None:
            found = self[key] = self._make()
            if len(self) > TABLE_SIZE:
                self.popitem(last=False)
        return found


class FailedLogins:
    """Remembers the failed logins of one realm, in bounded memory, and delays further ones.

    - An authid from one address waits twice as long after each failure over the limit. Its logins are
      verified one after the other, and those that do not fit are refused without being verified.
    - An address with all its authids, and an authid from all addresses, have ten times the limit. Their
      delays are short, and they are never refused: many users may share an address, for example behind a
      proxy that hides them, and anybody can fail to log in with the authid of another user.

    Clients without an address or an authid have only the limit of the other one.
    """

    __slots__ = ("by_authid", "by_network", "by_pair", "waiting")

    def __init__(self) -> None:
        self.by_pair = _Table(_PairFailures)
        self.by_network = _Table(_Failures)
        self.by_authid = _Table(_Failures)
        #: The number of logins that wait now. Whoever waits changes it.
        self.waiting = 0

    def attempt(self, authid: str | None, network: str | None, limits: Limits) -> LoginAttempt:
        """Return a login that is to be verified. ``network`` comes from ``network_of``."""
        return LoginAttempt(self, _key(authid), network, limits)


class LoginAttempt:
    """One login whose proof is to be verified.

    Wait while it ``must_wait``, then for its ``delay``, and call ``begin``. Then call ``failed`` or
    ``succeeded``, or neither if the proof could not be verified, and in any case ``end``.
    """

    __slots__ = ("_begun", "_key", "_limits", "_logins", "_network", "_pair", "_waiting")

    def __init__(self, logins: FailedLogins, key: str | None, network: str | None, limits: Limits) -> None:
        self._logins = logins
        self._key = key
        self._network = network
        self._limits = limits
        self._begun = self._waiting = False
        counts = limits.authentication_failures is not None and key is not None and network is not None
        self._pair = logins.by_pair.find_or_add((network, key)) if counts else None
        if self._pair is not None:
            self._pair.attempts += 1

    def must_wait(self, now: float) -> bool:
        """Return whether the login has to wait for ``change``: the results of others from its address."""
        return self._pair is not None and self._pair.is_full(now, _limit(self._limits))

    async def change(self) -> None:
        """Wait for the results of other logins."""
        if self._pair is not None:
            await self._pair.change()

    def delay(self, now: float, *, time_left: float) -> float | None:
        """Return how long the login has to wait, or None to refuse it.

        The login takes the next free time, unless it is refused. A delay is never longer than ``time_left``.
        """
        if self._limits.authentication_failures is None:
            return 0.0
        limit, pair, crowded = _limit(self._limits), self._pair, self._logins.waiting >= MAX_WAITING
        wide = 0.0 if crowded else min(self._wide_delay(now), time_left)
        delay = 0.0 if pair is None else pair.delay(now, limit, pair.waiting)
        if pair is None or not delay:
            return wide
        verified_at = max(now, pair.free_at) + delay
        if crowded or verified_at - now > min(limit.longest, time_left):
            return None
        pair.free_at = verified_at
        pair.waiting += 1
        self._waiting = True
        return max(wide, verified_at - now)

    def _wide_delay(self, now: float) -> float:
        limit, logins = _wide_limit(self._limits), self._logins
        failures = logins.by_network.find(self._network), logins.by_authid.find(self._key)
        return max(0.0 if found is None else found.delay(now, limit) for found in failures)

    def begin(self) -> None:
        """Begin to verify the proof."""
        self._stop_waiting()
        self._begun = True
        if self._pair is not None:
            self._pair.verifying += 1

    def _stop_waiting(self) -> None:
        if self._pair is not None and self._waiting:
            self._pair.waiting -= 1
            self._waiting = False

    def failed(self, now: float) -> None:
        """Count the failure: the proof was wrong."""
        if self._limits.authentication_failures is None:
            return
        if self._pair is not None:
            self._pair.proven = False
            self._pair.add(now, _limit(self._limits))
        wide = _wide_limit(self._limits)
        if self._network is not None:
            self._logins.by_network.find_or_add(self._network).add(now, wide)
        if self._key is not None:
            self._logins.by_authid.find_or_add(self._key).add(now, wide)

    def succeeded(self) -> None:
        """Forget the failures of the authid from this address, because its owner has logged in from there."""
        if self._pair is not None:
            self._pair.reset()

    def end(self, now: float) -> None:
        """End the attempt, whatever its result."""
        self._stop_waiting()
        pair, self._pair = self._pair, None
        if pair is None:
            return
        pair.attempts -= 1
        if self._begun:
            pair.verifying -= 1
        if not pair.is_full(now, _limit(self._limits)):
            pair.changed()
        # It may have been forgotten meanwhile.
        if pair.unused and self._logins.by_pair.get((self._network, self._key)) is pair:
            del self._logins.by_pair[self._network, self._key]


def _limit(limits: Limits) -> _Limit:
    assert limits.authentication_failures is not None
    longest = min(LONGEST_DELAY, limits.handshake_timeout / 2)
    return _Limit(limits.authentication_failures, limits.authentication_window, longest)


def _wide_limit(limits: Limits) -> _Limit:
    assert limits.authentication_failures is not None
    allowed = limits.authentication_failures * WIDE_FACTOR
    return _Limit(allowed, limits.authentication_window, LONGEST_WIDE_DELAY)


def _key(authid: str | None) -> str | None:
    """Return a short form of an authid, the same for variants that the application may treat as equal."""
    if not authid:
        return None
    key = normalize("NFKC", authid).casefold()
    return key if len(key) <= _MAX_KEY else sha256(key.encode(errors="surrogatepass")).hexdigest()
