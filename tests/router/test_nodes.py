from __future__ import annotations

from wampasgi.router.nodes import Heartbeats, Memory, Stamps


def test_stamps_follow_the_clock_in_microseconds() -> None:
    assert Stamps(7, lambda: 12.5).next() == (12_500_000, 7)


def test_stamps_increase_even_if_the_clock_goes_back() -> None:
    times = [10.0, 10.0, 3.0, 11.0]
    stamps = Stamps(1, lambda: times.pop(0))

    made = [stamps.next() for _ in range(4)]

    assert made == [(10_000_000, 1), (10_000_001, 1), (10_000_002, 1), (11_000_000, 1)]


def test_stamp_is_greater_than_all_observed_stamps() -> None:
    stamps = Stamps(1, lambda: 10.0)

    stamps.observe((20_000_000, 9))
    stamps.observe((15_000_000, 9))

    assert stamps.next() > (20_000_000, 9)


def test_heartbeats_are_due_at_each_interval() -> None:
    beats = Heartbeats(interval=1, deaf_after=3)

    assert beats.due(0)
    beats.sent(0)
    assert not beats.due(0.5)
    assert beats.due(1)


def test_latency_is_the_time_to_the_return_of_a_heartbeat() -> None:
    beats = Heartbeats(interval=1, deaf_after=3)
    first, second = beats.sent(0), beats.sent(1)

    assert not beats.returned(first, 1.5)
    assert beats.latency == 1.5
    beats.returned(second, 1.75)
    assert beats.latency == 0.75


def test_lost_heartbeats_cause_no_deafness_once_a_later_one_returns() -> None:
    beats = Heartbeats(interval=1, deaf_after=3)
    beats.sent(0)
    beats.returned(beats.sent(2), 2.5)

    assert not beats.notice_deafness(10)


def test_deafness_is_noticed_repeated_and_ended() -> None:
    beats = Heartbeats(interval=1, deaf_after=3)
    beats.sent(0)

    assert not beats.notice_deafness(2.9)
    assert beats.notice_deafness(3)
    assert beats.deaf
    assert not beats.notice_deafness(5.9)
    assert beats.notice_deafness(6)
    assert beats.returned(beats.sent(6), 7)
    assert not beats.deaf


def test_heartbeats_before_a_restart_cause_no_deafness() -> None:
    beats = Heartbeats(interval=1, deaf_after=3)
    beats.sent(0)

    beats.restart()

    assert not beats.notice_deafness(10)


def test_memory_forgets_the_oldest_node() -> None:
    memory = Memory(limit=2)
    memory.add(1, 10)
    memory.add(2, 20)

    memory.add(3, 30)

    assert 1 not in memory
    assert (memory.get(2), memory.get(3), len(memory)) == (20, 30, 2)
    memory.discard(2)
    memory.discard(2)
    assert memory.get(2) is None
    memory.clear()
    assert len(memory) == 0
