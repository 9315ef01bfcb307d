"""Subscriptions whose messages cross with lost connections, revocations and listeners that come and go."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.client.played_router import Play, warning_event
from tests.client.scripted_router import Peer
from tests.specification import (
    CALL,
    ERROR,
    EVENT,
    GOODBYE,
    NOT_AUTHORIZED,
    PUBLISH,
    PUBLISHED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    SYSTEM_SHUTDOWN,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
)
from wampasgi import WAMPError
from wampasgi.client import ConnectionClosed, EventsDropped, Gap, InvalidResult, Session, Timeout
from wampasgi.client.events import Event, EventBuffer, Events
from wampasgi.client.subscriptions import TopicSubscription

pytestmark = pytest.mark.anyio

TOPIC = "a.topic"


async def take_subscribe(peer: Peer, subscription_id: int = 5, *, get_retained: bool = False) -> None:
    """Answer SUBSCRIBE."""
    message = await peer.expect(SUBSCRIBE)
    assert message[2:] == [{"get_retained": True} if get_retained else {}, TOPIC]
    await peer.send(SUBSCRIBED, message[1], subscription_id)


async def take_unsubscribe(peer: Peer, subscription_id: int = 5) -> None:
    """Answer UNSUBSCRIBE."""
    message = await peer.expect(UNSUBSCRIBE)
    assert message[2] == subscription_id
    await peer.send(UNSUBSCRIBED, message[1])


async def expect_history(peer: Peer, subscription_id: int = 5) -> list[Any]:
    """Return a call of wamp.subscription.get_events."""
    message = await peer.expect(CALL)
    assert message[3:5] == ["wamp.subscription.get_events", [subscription_id]]
    return message


async def take_history(peer: Peer, *events: Any) -> dict[str, Any]:
    """Answer a call of wamp.subscription.get_events, and return its keyword arguments.

    A number stands for an event with this publication ID, which is also its payload.
    """
    message = await expect_history(peer)
    found = [{"publication": event, "args": [event]} if isinstance(event, int) else event for event in events]
    await peer.send(RESULT, message[1], {}, found)
    filters: dict[str, Any] = message[5]
    return filters


async def send_event(peer: Peer, publication_id: int, *, retained: bool = False) -> None:
    """Send an event whose payload is its publication ID."""
    details = {"retained": True} if retained else {}
    await peer.send(EVENT, 5, publication_id, details, [publication_id])


async def read(events: Events[Any], count: int) -> list[Any]:
    """Return the payloads of the next events."""
    return [(await events.next(timeout=5)).args[0] for _ in range(count)]


async def rest_of(events: Events[Any]) -> list[Any]:
    """Return the payloads of the events that have arrived."""
    await anyio.wait_all_tasks_blocked()
    found = []
    while True:
        try:
            found.append((await events.next(timeout=0)).args[0])
        except Timeout:
            return found


# Listeners that come and go


async def test_subscription_made_while_reconnecting_gets_the_events_from_then_on() -> None:
    async def first(peer: Peer) -> None:
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        assert await take_history(peer, 3) == {"reverse": True, "limit": 1}
        await send_event(peer, 4)
        await take_unsubscribe(peer)

    play = Play(first, second)
    gaps: list[Gap] = []
    async with play.connect() as session:
        await play.states.wait_for(1, "reconnecting")
        async with session.subscribe(TOPIC, resume=True, on_gap=gaps.append) as events:
            assert await read(events, 1) == [4]
    assert gaps == []
    play.check()


async def test_listener_that_joins_while_reconnecting_gets_no_earlier_events() -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 1)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 2, 1)
        await play.states.wait_for(2, "open")
        await anyio.wait_all_tasks_blocked()
        await send_event(peer, 3)

    play = Play(first, second)
    async with play.connect() as session, session.subscribe(TOPIC, resume=True) as events:
        await play.states.wait_for(1, "reconnecting")
        async with session.subscribe(TOPIC, resume=True) as later:
            assert await read(later, 1) == [3]
        assert await read(events, 2) == [2, 3]
    assert not play.router.failures


async def test_subscription_cancelled_while_reconnecting_leaves_none_at_the_router() -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await peer.close()

    async def second(peer: Peer) -> None:
        subscribe = await peer.expect(SUBSCRIBE)
        assert subscribe[3] == TOPIC
        for scope in scopes:
            scope.cancel()
        await anyio.wait_all_tasks_blocked()
        await peer.send(SUBSCRIBED, subscribe[1], 5)

    scopes: list[anyio.CancelScope] = []
    play = Play(first, second)

    async def subscribe(session: Session, topic: str) -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await session.subscribe(topic, lambda: None, resume=True)
            pytest.fail("it must not be subscribed")

    async with play.connect() as session:
        await session.subscribe(TOPIC, lambda: None)
        await play.states.wait_for(1, "reconnecting")
        async with anyio.create_task_group() as group:
            for topic in "another.topic", TOPIC:
                group.start_soon(subscribe, session, topic)
        await play.states.wait_for(2, "open")
        await anyio.wait_all_tasks_blocked()
    play.check()


async def test_connection_lost_while_listeners_wait_for_each_other_does_not_block_the_next() -> None:
    async def first(peer: Peer) -> None:
        subscribe = await peer.expect(SUBSCRIBE)
        await waiting.wait()
        await peer.send(SUBSCRIBED, subscribe[1], 5)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer)
        await anyio.wait_all_tasks_blocked()
        await send_event(peer, 1)

    waiting = anyio.Event()
    play = Play(first, second)
    received: list[int] = []
    async with play.connect(timeout=None) as session, anyio.create_task_group() as group:

        async def subscribe(resume: bool) -> None:
            async with session.subscribe(TOPIC, resume=resume) as events:
                received.extend(await read(events, 1))

        group.start_soon(subscribe, False)
        await anyio.wait_all_tasks_blocked()
        for _ in range(5):
            group.start_soon(subscribe, True)
        await anyio.wait_all_tasks_blocked()
        waiting.set()
        await play.finish()
    assert received == [1] * 6
    play.check()


@pytest.mark.parametrize("steps", range(6))
async def test_whenever_subscribing_is_cancelled_the_router_is_told(steps: int, anyio_backend: str) -> None:
    async def script(peer: Peer) -> None:
        message = await peer.expect(SUBSCRIBE)
        await peer.send(SUBSCRIBED, message[1], 5)
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        cancel()
        await take_unsubscribe(peer)
        await take_subscribe(peer)
        await take_unsubscribe(peer)

    play = Play(script)
    async with play.connect() as session:

        async def subscribe() -> None:
            async with session.subscribe(TOPIC):
                await anyio.sleep_forever()

        if anyio_backend == "asyncio":
            # A cancel scope would not cancel a task whose wait is over already.
            task = asyncio.create_task(subscribe())
            cancel: Callable[[], object] = task.cancel
            await asyncio.wait([task])
        else:
            with anyio.CancelScope() as scope:
                cancel = scope.cancel
                await subscribe()
        await anyio.wait_all_tasks_blocked()
        async with session.subscribe(TOPIC):
            pass
        await play.finish()
    play.check()


async def test_listener_that_leaves_during_the_renewal_ends_the_subscription() -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        subscribe = await peer.expect(SUBSCRIBE)
        await peer.send(SUBSCRIBED, subscribe[1], 6)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        subscribe = await peer.expect(SUBSCRIBE)
        left.set()
        await take_unsubscribe(peer)
        await peer.send(SUBSCRIBED, subscribe[1], 6)

    left = anyio.Event()
    play = Play(first, second)
    async with play.connect() as session:
        async with session.subscribe(TOPIC):
            await session.subscribe("other.topic", lambda: None)
            with anyio.fail_after(5):
                await left.wait()
        await play.finish()
        await play.states.wait_for(2, "open")
    play.check()


async def test_topics_whose_subscription_failed_are_forgotten() -> None:
    async def script(peer: Peer) -> None:
        subscribes = [await peer.expect(SUBSCRIBE) for _ in range(2)]
        await late.wait()
        await peer.send(ERROR, SUBSCRIBE, subscribes[0][1], {}, NOT_AUTHORIZED)
        await peer.send(SUBSCRIBED, subscribes[1][1], 6)
        unsubscribe = await peer.expect(UNSUBSCRIBE)
        await anyio.wait_all_tasks_blocked()
        await peer.send(UNSUBSCRIBED, unsubscribe[1])

    late = anyio.Event()
    play = Play(script)
    async with play.connect() as session:

        async def subscribe(topic: str) -> None:
            with pytest.raises(Timeout):
                await session.subscribe(topic, lambda: None, timeout=0.01)

        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(subscribe, "refused.topic")
                group.start_soon(subscribe, "late.topic")
        late.set()
        await play.finish()
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        living = [found.topic for found in gc.get_objects() if type(found) is TopicSubscription]
        assert {"refused.topic", "late.topic"}.isdisjoint(living)
    play.check()


async def test_router_that_does_not_confirm_the_end_of_a_late_subscription_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def script(peer: Peer) -> None:
        subscribe = await peer.expect(SUBSCRIBE)
        await late.wait()
        await peer.send(SUBSCRIBED, subscribe[1], 5)
        await peer.expect(UNSUBSCRIBE)
        await logged.wait()

    late = anyio.Event()
    play = Play(script)
    with warning_event() as logged:
        async with play.connect() as session:
            with pytest.raises(Timeout):
                await session.subscribe(TOPIC, lambda: None, timeout=0.01)
            late.set()
            await play.finish()
    assert caplog.messages == ["waited 0.01 s for the end of the subscription to 'a.topic'"]
    play.check()


# Retained events


async def test_each_listener_gets_the_retained_event_that_it_has_asked_for() -> None:
    async def script(peer: Peer) -> None:
        await take_subscribe(peer, get_retained=True)
        again = await peer.expect(SUBSCRIBE)
        await send_event(peer, 1, retained=True)
        await peer.send(SUBSCRIBED, again[1], 5)
        await send_event(peer, 1, retained=True)
        await send_event(peer, 2)

    play = Play(script)
    async with (
        play.connect() as session,
        session.subscribe(TOPIC, get_retained=True) as first,
        session.subscribe(TOPIC, options={"get_retained": True}) as second,
    ):
        assert await read(first, 2) == [1, 2]
        assert await read(second, 2) == [1, 2]
    assert not play.router.failures


async def test_retained_event_is_no_second_copy_for_a_listener_that_resumes() -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer, get_retained=True)
        await send_event(peer, 1, retained=True)
        await take_history(peer, 3)
        await send_event(peer, 4)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer, get_retained=True)
        await send_event(peer, 1, retained=True)
        await send_event(peer, 5, retained=True)
        await send_event(peer, 6)
        await take_history(peer, 6, 5, 4, 3, 2, 1)

    play = Play(first, second)
    async with (
        play.connect() as session,
        session.subscribe(TOPIC, get_retained=True, resume=True) as events,
    ):
        assert await read(events, 4) == [1, 4, 5, 6]
        await play.finish()
        assert await rest_of(events) == []
    assert not play.router.failures


# Missed events


async def test_events_missed_before_a_second_loss_are_not_lost() -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 1)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        await send_event(peer, 3)
        await expect_history(peer)
        await peer.close()

    async def third(peer: Peer) -> None:
        await take_subscribe(peer)
        await send_event(peer, 5)
        await take_history(peer, 5, 4, 3, 2, 1)

    play = Play(first, second, third)
    gaps: list[Gap] = []
    async with (
        play.connect() as session,
        session.subscribe(TOPIC) as plain,
        session.subscribe(TOPIC, resume=True, on_gap=gaps.append) as events,
    ):
        assert await read(events, 4) == [2, 3, 4, 5]
        assert await read(plain, 2) == [3, 5]
        assert await rest_of(events) == await rest_of(plain) == []
    assert gaps == []
    assert not play.router.failures


async def test_goodbye_while_events_are_fetched_is_a_loss_like_any_other() -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        await expect_history(peer)
        await peer.send(GOODBYE, {}, SYSTEM_SHUTDOWN)

    async def third(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 2)
        await take_history(peer)

    play = Play(first, second, third)
    async with play.connect() as session, session.subscribe(TOPIC, resume=True) as events:
        assert await read(events, 1) == [2]
        await play.states.wait_for(2, "open")
    assert play.states.seen == ["open", "reconnecting", "open", "closed"]


async def test_events_that_were_not_delivered_in_order_are_not_delivered_at_the_end() -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 1)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        await send_event(peer, 3)
        await expect_history(peer)
        await peer.send(GOODBYE, {}, "com.example.enough")

    play = Play(first, second)
    async with play.connect() as session, session.subscribe(TOPIC, resume=True) as events:
        with pytest.raises(ConnectionClosed, match=r"com\.example\.enough"):
            await events.next(timeout=5)


async def test_listener_that_resumes_later_gets_no_events_from_before() -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 1)
        await left.wait()
        await send_event(peer, 2)
        await take_history(peer, 2)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 3, 2, 1)

    left = anyio.Event()
    play = Play(first, second)
    async with play.connect() as session, session.subscribe(TOPIC) as plain:
        async with session.subscribe(TOPIC, resume=True):
            pass
        left.set()
        assert await read(plain, 1) == [2]
        async with session.subscribe(TOPIC, resume=True) as events:
            assert await read(events, 1) == [3]
            assert await rest_of(events) == []
    assert not play.router.failures


async def test_event_that_arrives_while_the_history_is_read_is_not_missed() -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        call = await expect_history(peer)
        await send_event(peer, 2)
        await peer.send(RESULT, call[1], {}, [{"publication": 1}])
        await send_event(peer, 3)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 4, 3, 2, 1)

    play = Play(first, second)
    async with play.connect() as session, session.subscribe(TOPIC, resume=True) as events:
        assert await read(events, 3) == [2, 3, 4]
        assert await rest_of(events) == []
    play.check()


async def test_missed_event_is_like_one_that_was_received() -> None:
    received = [EVENT, 5, 2, {"publisher": 7, "topic": "a.topic.b"}, [1], {"x": 2}]

    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer)
        await peer.send(*received)
        await peer.send(EVENT, 5, 3, {})
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        full = {"publication": 4, "details": received[3], "args": received[4], "kwargs": received[5]}
        sealed = {"publication": 6, "details": {"ppt_scheme": "x_custom"}, "payload": "\0AQI="}
        await take_history(peer, sealed, {"publication": 5}, full, 3)

    play = Play(first, second)
    async with play.connect() as session, session.subscribe(TOPIC, resume=True) as events:
        found = [await events.next(timeout=5) for _ in range(5)]
    parts = [(event.topic, event.args, event.kwargs, event.publisher) for event in found]
    assert parts[2:4] == parts[:2] == [("a.topic.b", [1], {"x": 2}, 7), (TOPIC, [], {}, None)]
    assert (found[4].args, found[4].value) == ([b"\x01\x02"], b"\x01\x02")
    assert [event.publication_id for event in found] == [2, 3, 4, 5, 6]
    play.check()


@pytest.mark.parametrize("size", [1, 2, 3, 4])
async def test_pages_of_the_history_may_be_shorter_than_their_limit(size: int) -> None:
    history = [9, 8, 7, 6, 5]

    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 5)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        before: int | None = None
        while before != 5:
            rest = history[history.index(before) + 1 :] if before else history
            filters = await take_history(peer, *rest[:size])
            assert filters.pop("before_publication", None) == before
            assert filters == {"reverse": True, "limit": 100}
            before = rest[:size][-1]

    play = Play(first, second)
    gaps: list[Gap] = []
    async with (
        play.connect() as session,
        session.subscribe(TOPIC, resume=True, on_gap=gaps.append) as events,
    ):
        assert await read(events, 4) == [6, 7, 8, 9]
    assert gaps == []
    assert not play.router.failures


async def test_history_that_repeats_itself_is_read_once() -> None:
    """Some routers know no filters by publication."""

    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 1)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 4, 3)
        await take_history(peer, 4, 3)

    play = Play(first, second)
    gaps: list[Gap] = []
    async with (
        play.connect() as session,
        session.subscribe(TOPIC, resume=True, on_gap=gaps.append) as events,
    ):
        assert await read(events, 2) == [3, 4]
        await play.states.wait_for(2, "open")
        assert await rest_of(events) == []
    [gap] = gaps
    assert gap.first is not None
    assert gap.first.publication_id == 3
    play.check()


@pytest.mark.parametrize("known", [(), (1,)], ids=["empty", "one event"])
async def test_more_missed_events_than_are_fetched_are_a_gap(
    known: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wampasgi.client.history._MAX_MISSED", 6)

    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, *known)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 9, 8, 7)
        await take_history(peer, 6, 5, 4)

    play = Play(first, second)
    gaps: list[Gap] = []
    async with (
        play.connect() as session,
        session.subscribe(TOPIC, resume=True, on_gap=gaps.append) as events,
    ):
        assert await read(events, 6) == [4, 5, 6, 7, 8, 9]
        await play.states.wait_for(2, "open")
    assert len(gaps) == 1
    play.check()


async def test_history_that_was_lost_is_a_gap_for_each_listener_that_resumes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 1)
        await ready.wait()
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        await send_event(peer, 2)
        await take_history(peer)

    def fail(gap: Gap) -> None:
        raise LookupError("on_gap")

    ready = anyio.Event()
    play = Play(first, second)
    errors: list[Exception] = []
    gaps: list[Gap] = []
    with caplog.at_level(logging.WARNING, logger="wampasgi.client"):
        async with (
            play.connect(on_error=errors.append) as session,
            session.subscribe(TOPIC, resume=True, on_gap=fail) as first_events,
            session.subscribe(TOPIC, resume=True, on_gap=gaps.append) as second_events,
            session.subscribe(TOPIC, resume=True) as third_events,
            session.subscribe(TOPIC, on_gap=fail) as plain,
        ):
            ready.set()
            for events in first_events, second_events, third_events, plain:
                assert await read(events, 1) == [2]
            await play.states.wait_for(2, "open")
    assert [(gap.topic, gap.first) for gap in gaps] == [(TOPIC, None)]
    assert [type(error) for error in errors] == [LookupError]
    assert "on_gap failed for 'a.topic'" in caplog.text
    assert str(gaps[0]) in caplog.text
    play.check()


async def test_events_that_arrive_while_missed_ones_are_fetched_are_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wampasgi.client.subscriptions._MAX_HELD", 3)

    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 1)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        call = await expect_history(peer)
        for number in range(3, 8):
            await send_event(peer, number)
        await peer.send(RESULT, call[1], {}, [{"publication": number, "args": [number]} for number in (2, 1)])
        await take_history(peer, 7, 6, 5, 4, 3, 2, 1)
        await send_event(peer, 8)

    play = Play(first, second)
    gaps: list[Gap] = []
    async with (
        play.connect() as session,
        session.subscribe(TOPIC, resume=True, on_gap=gaps.append) as events,
    ):
        assert await read(events, 7) == [2, 3, 4, 5, 6, 7, 8]
        assert await rest_of(events) == []
    assert gaps == []
    play.check()


async def test_missed_events_may_exceed_the_buffer() -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 1)
        for number in (2, 3, 4):
            await send_event(peer, number)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        call = await expect_history(peer)
        await send_event(peer, 10)
        missed = [{"publication": number, "args": [number]} for number in range(9, 0, -1)]
        await peer.send(RESULT, call[1], {}, missed)
        for number in (11, 12, 13):
            await send_event(peer, number)

    play = Play(first, second)
    async with play.connect() as session, session.subscribe(TOPIC, resume=True, buffer=2) as events:
        await play.finish()
        await anyio.wait_all_tasks_blocked()
        # The third event did not fit.
        assert await read(events, 2) == [2, 3]
        with pytest.raises(EventsDropped, match="1 events"):
            await events.next()
        assert await read(events, 9) == [5, 6, 7, 8, 9, 10, 11, 12, 13]
    play.check()


async def test_missed_events_leave_the_room_of_the_buffer_to_others() -> None:
    buffer: EventBuffer[Any] = EventBuffer(TOPIC, 2, lambda args, kwargs, what: None)
    for number in range(7):
        buffer.put(Event(TOPIC, publication_id=number), missed=1 <= number <= 3)

    assert [(await buffer.next(0)).publication_id for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(EventsDropped, match="2 events"):
        await buffer.next(0)
    for number in range(7, 10):
        buffer.put(Event(TOPIC, publication_id=number))
    assert [(await buffer.next(0)).publication_id for _ in range(2)] == [7, 8]
    with pytest.raises(EventsDropped, match="1 events"):
        await buffer.next(0)


async def test_own_event_that_is_published_to_the_publisher_is_delivered_after_a_loss() -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 1)
        for publication_id in (2, 3):
            message = await peer.expect(PUBLISH)
            await peer.send(PUBLISHED, message[1], publication_id)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 3, 2, 1)

    play = Play(first, second)
    async with play.connect() as session, session.subscribe(TOPIC, resume=True) as events:
        await session.publish(TOPIC, 2, acknowledge=True)
        await session.publish(TOPIC, 3, acknowledge=True, options={"exclude_me": False})
        assert await read(events, 1) == [3]
        assert await rest_of(events) == []
    play.check()


# Refusals and revocations


async def test_subscription_whose_history_is_refused_is_taken_back() -> None:
    async def script(peer: Peer) -> None:
        await take_subscribe(peer)
        call = await expect_history(peer)
        await peer.send(ERROR, CALL, call[1], {}, NOT_AUTHORIZED)
        await take_unsubscribe(peer)

    play = Play(script)
    async with play.connect() as session:
        with pytest.raises(WAMPError, match=NOT_AUTHORIZED):
            await session.subscribe(TOPIC, lambda: None, resume=True)
        await play.finish()
    play.check()


@pytest.mark.parametrize(
    "item",
    [
        5,
        {},
        {"publication": 0},
        {"publication": "1"},
        {"publication": 1, "args": {"x": 1}},
        {"publication": 1, "kwargs": [1]},
        {"publication": 1, "details": 5},
        {"publication": 1, "details": {"topic": 5}},
    ],
    ids=str,
)
async def test_history_that_makes_no_sense_is_refused(item: Any) -> None:
    async def script(peer: Peer) -> None:
        await take_subscribe(peer)
        call = await expect_history(peer)
        await peer.send(RESULT, call[1], {}, [item])
        await take_unsubscribe(peer)

    play = Play(script)
    async with play.connect() as session:
        with pytest.raises(InvalidResult, match=r"wamp\.subscription\.get_events must return") as raised:
            await session.subscribe(TOPIC, lambda: None, resume=True)
        assert raised.value.value == item
        await play.finish()
    play.check()


async def test_refused_history_ends_only_listeners_that_resume() -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 1)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        call = await expect_history(peer)
        await peer.send(ERROR, CALL, call[1], {}, NOT_AUTHORIZED)
        await play.states.wait_for(2, "open")
        await send_event(peer, 3)
        await peer.close()

    async def third(peer: Peer) -> None:
        await take_subscribe(peer)
        await send_event(peer, 4)
        await take_unsubscribe(peer)

    play = Play(first, second, third)
    errors: list[Exception] = []
    async with play.connect(on_error=errors.append) as session:
        async with session.subscribe(TOPIC) as plain, session.subscribe(TOPIC, resume=True) as events:
            with pytest.raises(WAMPError, match=NOT_AUTHORIZED):
                await events.next(timeout=5)
            assert await read(plain, 2) == [3, 4]
        await play.finish()
    assert len(errors) == 1
    play.check()


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "revoked"])
async def test_subscription_that_the_router_has_ended_is_not_renewed(refused: bool) -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await peer.close()

    async def second(peer: Peer) -> None:
        if refused:
            subscribe = await peer.expect(SUBSCRIBE)
            await peer.send(ERROR, SUBSCRIBE, subscribe[1], {}, NOT_AUTHORIZED)
        else:
            await take_subscribe(peer)
            await peer.send(UNSUBSCRIBED, 0, {"subscription": 5, "reason": NOT_AUTHORIZED})
        await play.states.wait_for(2, "open")
        await peer.close()

    async def third(peer: Peer) -> None:
        subscribe = await peer.expect(SUBSCRIBE)
        await peer.send(SUBSCRIBED, subscribe[1], 6)
        await peer.send(EVENT, 6, 1, {}, [1])

    play = Play(first, second, third)
    async with play.connect() as session, session.subscribe(TOPIC) as events:
        with pytest.raises(WAMPError, match=NOT_AUTHORIZED):
            await events.next(timeout=5)
        await play.states.wait_for(3, "open")
        async with session.subscribe(TOPIC) as again:
            assert await read(again, 1) == [1]
            with pytest.raises(WAMPError, match=NOT_AUTHORIZED):
                await events.next(timeout=5)
    assert play.states.seen.count("open") == 3
    assert not play.router.failures


async def test_revocation_during_the_renewal_comes_after_the_events_before_it() -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 1)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        call = await expect_history(peer)
        await send_event(peer, 3)
        await peer.send(UNSUBSCRIBED, 0, {"subscription": 5, "reason": "com.example.revoked"})
        await peer.send(RESULT, call[1], {}, [{"publication": number, "args": [number]} for number in (2, 1)])

    play = Play(first, second)
    errors: list[Exception] = []
    async with (
        play.connect(on_error=errors.append) as session,
        session.subscribe(TOPIC, resume=True) as events,
    ):
        with anyio.fail_after(5):
            assert (await anext(events)).args == [2]
        assert await read(events, 1) == [3]
        with pytest.raises(WAMPError, match=r"com\.example\.revoked"):
            await events.next(timeout=5)
        await play.states.wait_for(2, "open")
    assert errors == []
    play.check()


async def test_revocation_during_a_renewal_that_is_lost_is_not_forgotten() -> None:
    async def first(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 1)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_subscribe(peer)
        await expect_history(peer)
        await send_event(peer, 3)
        await peer.send(UNSUBSCRIBED, 0, {"subscription": 5, "reason": "com.example.revoked"})
        await peer.close()

    async def third(peer: Peer) -> None:
        await take_subscribe(peer)
        await take_history(peer, 4)
        await send_event(peer, 5)

    play = Play(first, second, third)
    async with play.connect() as session:
        async with session.subscribe(TOPIC, resume=True) as events:
            with pytest.raises(WAMPError, match=r"com\.example\.revoked"):
                await events.next(timeout=5)
            await play.states.wait_for(2, "open")
        async with session.subscribe(TOPIC, resume=True) as events:
            assert await read(events, 1) == [5]
    assert not play.router.failures


async def test_subscription_that_is_revoked_at_once_is_not_asked_for_its_history() -> None:
    async def script(peer: Peer) -> None:
        subscribe = await peer.expect(SUBSCRIBE)
        await peer.send(SUBSCRIBED, subscribe[1], 5)
        await peer.send(UNSUBSCRIBED, 0, {"subscription": 5, "reason": "com.example.revoked"})

    play = Play(script)
    async with play.connect() as session, session.subscribe(TOPIC, resume=True) as events:
        with pytest.raises(WAMPError, match=r"com\.example\.revoked"):
            await events.next(timeout=5)
    play.check()


async def test_revocation_ends_no_listener_that_subscribes_after_it() -> None:
    async def script(peer: Peer) -> None:
        await take_subscribe(peer)
        unsubscribe = await peer.expect(UNSUBSCRIBE)
        await leaving.wait()
        await anyio.wait_all_tasks_blocked()
        await peer.send(UNSUBSCRIBED, 0, {"subscription": 5})
        await peer.send(ERROR, UNSUBSCRIBE, unsubscribe[1], {}, "wamp.error.no_such_subscription")
        await take_subscribe(peer)
        await send_event(peer, 1)
        await take_unsubscribe(peer)

    leaving = anyio.Event()
    play = Play(script)
    async with play.connect() as session, anyio.create_task_group() as group:

        async def leave() -> None:
            async with session.subscribe(TOPIC):
                pass

        group.start_soon(leave)
        await anyio.wait_all_tasks_blocked()
        leaving.set()
        async with session.subscribe(TOPIC) as events:
            assert await read(events, 1) == [1]
        await play.finish()
    play.check()
