from __future__ import annotations

from typing import Any

import pytest

from tests.transports.fakes import FakeLoop
from wampasgi.transports.keepalive import Keepalive


class PingedClient:
    """A connection that is pinged after 20 seconds, and whose client has 5 seconds for each pong."""

    def __init__(self, interval: float | None = 20, timeout: float | None = 5) -> None:
        self.loop = FakeLoop()
        self.keepalive = Keepalive(self.loop.as_loop, interval, timeout, self)
        self.reading_paused = False
        self.pings: list[tuple[float, bytes]] = []
        self.expired: list[float] = []

    def ping(self, payload: bytes) -> None:
        self.pings.append((self.loop.time(), payload))

    def on_pong_timeout(self) -> None:
        self.expired.append(self.loop.time())

    @property
    def pinged_at(self) -> list[float]:
        return [when for when, _ in self.pings]

    def pong(self) -> None:
        """Answer the last ping."""
        self.keepalive.on_pong(self.pings[-1][1])


def started(*args: Any) -> PingedClient:
    client = PingedClient(*args)
    client.keepalive.start()
    return client


def test_client_that_answers_is_pinged_each_interval_after_its_pong() -> None:
    client = started()
    for _ in range(3):
        client.loop.advance(21)
        client.pong()
    client.loop.advance(20)

    assert client.pinged_at == [20, 41, 62, 83]
    assert client.expired == []


def test_each_ping_has_a_payload_of_its_own() -> None:
    client = started()
    for _ in range(3):
        client.loop.advance(20)
        client.pong()

    payloads = {payload for _, payload in client.pings}
    assert len(payloads) == 3
    assert all(len(payload) == 4 for payload in payloads)


def test_client_that_answers_no_ping_expires_once() -> None:
    client = started()
    client.loop.advance(1000)

    assert client.pinged_at == [20]
    assert client.expired == [25]
    assert client.loop.timers == []


def test_pong_in_the_last_moment_counts() -> None:
    client = started()
    client.loop.advance(24.999)
    client.pong()
    client.loop.advance(1)

    assert client.expired == []


@pytest.mark.parametrize("payload", [b"", b"nothing was asked", b"\0\0\0\0\0"], ids=repr)
def test_pong_with_another_payload_does_not_count(payload: bytes) -> None:
    client = started()
    client.keepalive.on_pong(payload)
    client.loop.advance(20)
    client.keepalive.on_pong(payload)
    client.loop.advance(5)

    assert client.pinged_at == [20]
    assert client.expired == [25]


def test_pong_for_an_earlier_ping_does_not_count() -> None:
    client = started()
    client.loop.advance(20)
    client.pong()
    client.loop.advance(20)
    client.keepalive.on_pong(client.pings[0][1])
    client.loop.advance(5)

    assert client.expired == [45]


def test_second_pong_for_a_ping_changes_nothing() -> None:
    client = started()
    client.loop.advance(20)
    client.pong()
    client.loop.advance(10)
    client.pong()
    client.loop.advance(10)

    assert client.pinged_at == [20, 40]
    assert len(client.loop.timers) == 1


def test_client_does_not_expire_while_nothing_is_read_from_it() -> None:
    client = started()
    client.loop.advance(20)
    client.reading_paused = True
    client.loop.advance(1000)
    assert client.expired == []

    client.reading_paused = False
    client.loop.advance(4.999)
    client.pong()
    client.loop.advance(20)
    assert client.expired == []
    assert len(client.pings) == 2


def test_client_that_does_not_answer_expires_after_it_is_read_again() -> None:
    client = started()
    client.loop.advance(20)
    client.reading_paused = True
    client.loop.advance(1000)
    client.reading_paused = False
    client.loop.advance(5)

    assert len(client.expired) == 1
    assert client.pinged_at == [20]


def test_pong_after_the_timeout_is_too_late() -> None:
    client = started()
    client.loop.advance(25)
    client.pong()
    client.loop.advance(1000)

    assert client.pinged_at == [20]
    assert client.expired == [25]


@pytest.mark.parametrize("interval", [None, 0])
def test_client_is_not_pinged_without_an_interval(interval: float | None) -> None:
    client = started(interval, 5)
    assert client.loop.timers == []


def test_pongs_do_not_matter_without_a_timeout() -> None:
    client = started(20, None)
    client.loop.advance(45)
    client.pong()
    client.loop.advance(20)

    assert client.pinged_at == [20, 40, 65]
    assert client.expired == []
    assert len(client.loop.timers) == 1


@pytest.mark.parametrize("seconds", [0, 20, 1000], ids=["before the ping", "before the pong", "expired"])
def test_nothing_happens_after_the_end(seconds: float) -> None:
    client = started()
    client.loop.advance(seconds)
    pings, expired = list(client.pings), list(client.expired)
    client.keepalive.stop()
    if pings:
        client.pong()
    client.keepalive.stop()
    client.loop.advance(1000)

    assert (client.pings, client.expired) == (pings, expired)
    assert client.loop.timers == []


def test_connection_may_end_during_a_ping() -> None:
    class EndedByPing(PingedClient):
        def on_pong_timeout(self) -> None:
            super().on_pong_timeout()
            self.keepalive.stop()

    client = EndedByPing()
    client.keepalive.start()
    client.loop.advance(1000)

    assert client.expired == [25]
    assert client.loop.timers == []
