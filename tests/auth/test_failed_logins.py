"""The delays that failed logins cause. No test waits: time is an argument."""

from __future__ import annotations

import math
import tracemalloc

import anyio
import pytest

from wampasgi import Limits
from wampasgi.auth.failed_logins import (
    LONGEST_DELAY,
    LONGEST_WIDE_DELAY,
    MAX_WAITING,
    TABLE_SIZE,
    WIDE_FACTOR,
    FailedLogins,
    LoginAttempt,
)

LIMITS = Limits(authentication_failures=10, authentication_window=300)
HERE, THERE = "192.0.2.1", "192.0.2.2"


class Clients:
    """Logins at a time that the test sets."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.logins = FailedLogins()
        self.limits = limits
        self.now = 1000.0

    def attempt(self, authid: str | None = "joe", network: str | None = HERE) -> LoginAttempt:
        return self.logins.attempt(authid, network, self.limits)

    def delay(
        self, authid: str | None = "joe", network: str | None = HERE, *, time_left: float = 9.0
    ) -> float | None:
        attempt = self.attempt(authid, network)
        delay = attempt.delay(self.now, time_left=time_left)
        attempt.end(self.now)
        return delay

    def end(self, attempt: LoginAttempt, result: bool | None) -> None:
        """End a login that was begun: it has succeeded, failed, or neither."""
        if result is True:
            attempt.succeeded()
        elif result is False:
            attempt.failed(self.now)
        attempt.end(self.now)

    def fail(self, authid: str | None = "joe", network: str | None = HERE) -> float | None:
        """Fail to log in after the delay, and return the delay."""
        attempt = self.attempt(authid, network)
        delay = attempt.delay(self.now, time_left=9.0)
        if delay is not None:
            self.now += delay
            attempt.begin()
            attempt.failed(self.now)
        attempt.end(self.now)
        return delay

    def fail_often(self, count: int, authid: str | None = "joe", network: str | None = HERE) -> None:
        for _ in range(count):
            self.fail(authid, network)

    def begin(self, count: int) -> list[LoginAttempt]:
        """Begin logins that need not wait."""
        begun = []
        for _ in range(count):
            attempt = self.attempt()
            if not attempt.must_wait(self.now):
                attempt.begin()
                begun.append(attempt)
        return begun


def test_delay_grows_with_each_failure_over_the_limit_and_is_capped() -> None:
    clients = Clients()

    delays = [clients.fail() for _ in range(18)]

    assert delays[:10] == [0.0] * 10
    assert delays[10:] == pytest.approx([0.25, 0.5, 1, 2, 4, 5, 5, 5], rel=0.2)


def test_success_resets_the_delay_of_this_authid_from_this_address() -> None:
    clients = Clients()
    clients.fail_often(15)
    clients.fail_often(15, network=THERE)

    clients.end(clients.attempt(), True)

    assert clients.delay() == 0.0
    assert clients.delay(network=THERE) != 0.0


def test_failures_are_forgotten_in_time() -> None:
    clients = Clients()
    clients.fail_often(100)

    clients.now += LIMITS.authentication_window / 2
    assert clients.delay() == 0.25
    clients.now += LIMITS.authentication_window / 2
    assert clients.delay() == 0.0


def test_occasional_failures_are_never_delayed() -> None:
    clients = Clients()

    for _ in range(100):
        assert clients.fail() == 0.0
        clients.now += 30


def test_owner_at_another_address_waits_only_shortly_however_often_others_fail() -> None:
    clients = Clients()

    for number in range(10_000):
        clients.fail_often(1, network=f"192.0.2.{number % 200 + 10}")

    delay = clients.delay(network=HERE)
    assert delay is not None
    assert 0 < delay <= LONGEST_WIDE_DELAY


def test_other_users_at_an_address_wait_only_shortly_however_many_logins_fail_there() -> None:
    clients = Clients()

    for number in range(10_000):
        clients.fail_often(1, authid=f"guess{number}")

    delay = clients.delay("joe")
    assert delay is not None
    assert 0 < delay <= LONGEST_WIDE_DELAY


def test_address_has_a_higher_limit_than_one_of_its_authids() -> None:
    clients = Clients()

    for number in range(10 * WIDE_FACTOR):
        assert clients.fail(f"user{number % 20}") == 0.0
    assert clients.delay("another") == 0.25
    assert clients.delay("another", THERE) == 0.0


def test_logins_without_an_authid_are_never_refused() -> None:
    clients = Clients()

    delays = [clients.fail(None) for _ in range(1000)]

    assert max(delay for delay in delays if delay is not None) <= LONGEST_WIDE_DELAY
    assert None not in delays


def test_logins_without_an_address_are_never_refused() -> None:
    clients = Clients()

    delays = [clients.fail("joe", None) for _ in range(1000)]

    assert max(delay for delay in delays if delay is not None) <= LONGEST_WIDE_DELAY
    assert None not in delays


def test_parallel_logins_are_verified_one_after_the_other_and_the_rest_is_refused() -> None:
    clients = Clients()
    clients.fail_often(100)

    delays = [clients.delay() for _ in range(1000)]

    assert [delay for delay in delays if delay is not None] == [LONGEST_DELAY]
    clients.now += LONGEST_DELAY / 2
    assert clients.delay() is None


def test_delay_of_parallel_logins_grows_as_if_the_earlier_ones_had_failed() -> None:
    clients = Clients()
    clients.fail_often(10)

    attempts = [clients.attempt() for _ in range(5)]

    delays = [attempt.delay(clients.now, time_left=9.0) for attempt in attempts]
    assert delays == [0.25, 0.75, 1.75, 3.75, None]


def test_login_after_a_success_does_not_wait_like_those_before() -> None:
    clients = Clients()
    clients.fail_often(10)
    first, second = clients.attempt(), clients.attempt()
    assert first.delay(clients.now, time_left=9.0)
    assert second.delay(clients.now, time_left=9.0)

    first.begin()
    clients.end(first, True)

    assert clients.delay() == 0.0


def test_guesses_of_one_attacker_are_few_however_many_connections_it_has() -> None:
    clients = Clients()
    verified = 0
    # Each second, 100 connections try the same authid.
    for _ in range(600):
        clients.now += 1
        for _ in range(100):
            if clients.delay() is not None:
                clients.end(clients.attempt(), False)
                verified += 1

    assert verified < 200


# Logins that are verified at the same time


def test_no_more_logins_are_verified_at_the_same_time_than_may_fail() -> None:
    clients = Clients()

    begun = clients.begin(1000)

    assert len(begun) == 10
    assert clients.attempt("ann").must_wait(clients.now) is False
    assert clients.attempt(network=THERE).must_wait(clients.now) is False


def test_logins_that_wait_for_others_are_delayed_if_these_fail() -> None:
    clients = Clients()
    begun = clients.begin(1000)

    for attempt in begun[:9]:
        clients.end(attempt, False)
        assert clients.begin(1) == []
    clients.end(begun[9], False)

    assert clients.attempt().must_wait(clients.now) is False
    assert clients.delay() == 0.25


def test_one_success_lets_all_logins_pass_that_wait_for_it() -> None:
    clients = Clients()
    begun = clients.begin(1000)

    clients.end(begun[0], True)

    assert len(clients.begin(1000)) == 1000
    assert clients.delay() == 0.0


def test_failure_after_a_success_restores_the_limit() -> None:
    clients = Clients()
    begun = clients.begin(20)
    clients.end(begun[0], True)

    clients.end(begun[1], False)

    assert len(clients.begin(1000)) == 1


def test_login_that_could_not_be_verified_makes_room_for_another() -> None:
    clients = Clients()
    begun = clients.begin(20)

    clients.end(begun[0], None)

    assert len(clients.begin(1000)) == 1


@pytest.mark.parametrize("result", [True, None])
def test_failure_of_a_login_that_waited_for_another_is_remembered(result: bool | None) -> None:
    clients = Clients(Limits(authentication_failures=1))
    (first,) = clients.begin(1)
    waiting = clients.attempt()
    assert waiting.must_wait(clients.now)

    clients.end(first, result)
    waiting.begin()
    clients.end(waiting, False)

    assert clients.delay() == 0.25


@pytest.mark.anyio
@pytest.mark.parametrize("result", [True, False, None])
async def test_results_wake_the_logins_that_wait_for_them(result: bool | None) -> None:
    clients = Clients()
    begun = clients.begin(10)
    woken = []

    async def wait() -> None:
        attempt = clients.attempt()
        assert attempt.must_wait(clients.now)
        await attempt.change()
        woken.append(attempt)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        for attempt in begun if result is False else begun[:1]:
            assert woken == []
            clients.end(attempt, result)

    assert len(woken) == 5


def test_login_whose_delay_does_not_fit_in_the_handshake_is_refused() -> None:
    clients = Clients()
    clients.fail_often(12)

    assert clients.delay(time_left=0.5) is None
    assert clients.delay(time_left=2) == pytest.approx(1, rel=0.1)


def test_delay_is_at_most_half_of_the_time_for_the_handshake() -> None:
    clients = Clients(Limits(handshake_timeout=2))

    delays = [clients.fail() for _ in range(20)]

    assert max(delay for delay in delays if delay is not None) == 1.0


def test_wide_delay_fits_in_the_handshake() -> None:
    clients = Clients()
    for number in range(200):
        clients.fail(f"user{number}")

    assert clients.delay("another", time_left=0.1) == 0.1


def test_only_logins_that_could_be_refused_anyway_are_refused_if_too_many_wait() -> None:
    clients = Clients()
    for number in range(200):
        clients.fail(f"user{number}")
    clients.fail_often(20)

    clients.logins.waiting = MAX_WAITING

    assert clients.delay("another") == 0.0
    assert clients.delay("joe", THERE) == 0.0
    assert clients.delay("joe") is None


@pytest.mark.parametrize("variant", ["JOE", "Joe", "\uff4aoe"])
def test_variants_of_an_authid_count_as_one(variant: str) -> None:
    clients = Clients()

    clients.fail_often(10)

    assert clients.delay(variant) == 0.25


def test_long_authids_are_told_apart() -> None:
    clients = Clients()

    clients.fail_often(10, authid="x" * 10_000 + "1")

    assert clients.delay("x" * 10_000 + "1") == 0.25
    assert clients.delay("x" * 10_000 + "2") == 0.0


def test_limit_of_none_delays_nothing() -> None:
    clients = Clients(Limits(authentication_failures=None))

    assert {clients.fail() for _ in range(1000)} == {0.0}


def test_delays_of_endless_failures_stay_finite() -> None:
    clients = Clients(Limits(authentication_failures=1, authentication_window=1e9))

    for _ in range(5000):
        clients.end(clients.attempt(), False)

    assert clients.delay() == LONGEST_DELAY
    assert math.isfinite(clients.now)


def test_memory_is_bounded() -> None:
    clients = Clients()

    def attack(count: int) -> int:
        for number in range(count):
            network = f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::"
            clients.fail(f"{number}" + "x" * 500, network)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        full, later = attack(TABLE_SIZE), attack(2 * TABLE_SIZE)
    finally:
        tracemalloc.stop()

    print(f"{full / 1e6:.1f} MB for {TABLE_SIZE} clients, {later / 1e6:.1f} MB for twice as many")  # noqa: T201
    assert full < 10e6
    assert later < 1.3 * full
