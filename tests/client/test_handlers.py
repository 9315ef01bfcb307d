"""Handlers of procedures and events, and the buffers in front of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

import anyio
import pytest

from tests.client.scripted_router import Peer, ScriptedRouter
from tests.client.served_app import app
from tests.specification import (
    ERROR,
    EVENT,
    INTERRUPT,
    INVOCATION,
    PUBLISH,
    REGISTER,
    REGISTERED,
    SUBSCRIBE,
    SUBSCRIBED,
    UNREGISTER,
    UNREGISTERED,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
)
from wampasgi import Depends, Payload, RPCErrorResult, RPCProgressReport, RPCResult, WAMPError
from wampasgi.client import (
    Client,
    Event,
    EventsDropped,
    InvalidResult,
    Invocation,
    Retry,
    Session,
    Timeout,
    connect,
)
from wampasgi.errors import ConfigurationError

pytestmark = pytest.mark.anyio


@dataclass
class Point:
    x: int
    y: int = 0


async def token(invocation: Invocation) -> str:
    return f"token of {invocation.procedure}"


# Procedures


async def test_handlers_get_the_session_the_invocation_and_dependencies() -> None:
    async def handler(
        point: Point, session: Session, call: Invocation, secret: Annotated[str, Depends(token)]
    ) -> list[Any]:
        return [point.x, session.id, call.args[0], secret]

    async with connect(app=app) as session, connect(app=app) as other:
        await other.register("handlers.all", handler)
        assert await session.call("handlers.all", {"x": 1}) == [
            1,
            other.id,
            {"x": 1},
            "token of handlers.all",
        ]


async def test_sync_handler_runs_in_a_thread_and_blocks_nothing() -> None:
    release = threading.Event()

    def block() -> str:
        assert release.wait(5)
        return threading.current_thread().name

    async def let_go() -> None:
        release.set()

    results: list[str] = []

    async def call(session: Session) -> None:
        results.append(await session.call("handlers.block"))

    async with connect(app=app) as session, connect(app=app) as other:
        await other.register("handlers.block", block)
        await other.register("handlers.release", let_go)
        async with anyio.create_task_group() as group:
            group.start_soon(call, session)
            await session.call("math.add", 1)
            await session.call("handlers.release")
    assert results != [threading.current_thread().name]
    assert len(results) == 1


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (None, None),
        ((1, 2), RPCResult((1, 2))),
        ([1, 2], [1, 2]),
        (RPCResult([1], {"a": 2}), RPCResult([1], {"a": 2})),
        (Point(1, 2), {"x": 1, "y": 2}),
    ],
    ids=str,
)
async def test_return_value_becomes_the_result(value: Any, result: Any) -> None:
    async with connect(app=app) as session, connect(app=app) as other:
        await other.register("handlers.value", lambda: value)
        assert await session.call("handlers.value") == result


@pytest.mark.logs_failure
async def test_exception_is_logged_and_answered_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = []

    async def broken() -> None:
        raise LookupError("a secret")

    async def refuse() -> None:
        raise WAMPError("com.example.no", 1, reason="x")

    async def return_error() -> RPCErrorResult:
        return RPCErrorResult("com.example.no", (1,), {"reason": "x"})

    async def unserializable() -> object:
        return object()

    async def wrong_uri() -> None:
        raise WAMPError("no uri")

    async with connect(app=app) as session, connect(app=app, on_error=errors.append) as other:
        for handler in broken, refuse, return_error, unserializable, wrong_uri:
            await other.register(f"handlers.{handler.__name__}", handler)
        for name in "refuse", "return_error":
            with pytest.raises(WAMPError) as raised:
                await session.call(f"handlers.{name}")
            assert (raised.value.uri, raised.value.args) == ("com.example.no", (1,))
            assert raised.value.kwargs == {"reason": "x"}
        assert errors == []
        for name in "broken", "unserializable", "wrong_uri":
            with caplog.at_level(logging.ERROR), pytest.raises(WAMPError) as raised:
                await session.call(f"handlers.{name}")
            assert str(raised.value) == "wamp.error.runtime_error"
            assert f"the procedure 'handlers.{name}' failed" in caplog.text
    assert [type(error).__name__ for error in errors] == ["LookupError", "UnserializableValue", "WAMPError"]


async def test_interrupt_cancels_the_handler() -> None:
    canceled = anyio.Event()

    async def handler() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            canceled.set()

    async def script(peer: Peer) -> None:
        await peer.welcome()
        register = await peer.expect(REGISTER)
        await peer.send(REGISTERED, register[1], 5)
        await peer.send(INVOCATION, 1, 5, {})
        await peer.send(INTERRUPT, 1, {"mode": "kill"})
        assert await peer.receive() == [ERROR, INVOCATION, 1, {}, "wamp.error.canceled"]
        await peer.send(INVOCATION, 2, 5, {"timeout": 10})
        error = await peer.receive()
        assert error[:5] == [ERROR, INVOCATION, 2, {}, "wamp.error.timeout"]
        await peer.send(INTERRUPT, 2, {})
        done.set()
        await peer.until_gone()

    done = anyio.Event()
    router = ScriptedRouter(script)
    async with connect(app=router) as session:
        await session.register("slow", handler)
        with anyio.fail_after(5):
            await done.wait()
    assert canceled.is_set()
    assert not router.failures


async def test_handlers_are_canceled_when_the_session_is_left() -> None:
    started, canceled = anyio.Event(), anyio.Event()

    async def handler() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            canceled.set()

    async def call(session: Session) -> None:
        with pytest.raises(WAMPError):
            await session.call("handlers.left")

    async with connect(app=app) as session, anyio.create_task_group() as group:
        async with connect(app=app) as other:
            await other.register("handlers.left", handler)
            group.start_soon(call, session)
            with anyio.fail_after(5):
                await started.wait()
        assert canceled.is_set()


async def test_progress_is_sent_only_to_callers_that_want_it() -> None:
    closed: list[str] = []

    async def steps() -> AsyncIterator[RPCProgressReport | str]:
        try:
            yield RPCProgressReport(1)
            yield RPCProgressReport((2, 3))
            yield "done"
        finally:
            closed.append("steps")

    async with connect(app=app) as session, connect(app=app) as other:
        await other.register("handlers.steps", steps)
        assert await session.call("handlers.steps") == "done"
        async with session.call_progress("handlers.steps") as call:
            assert [report async for report in call] == [1, RPCResult((2, 3))]
            assert await call.result() == "done"
    assert closed == ["steps", "steps"]


async def test_invocations_over_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wampasgi.client.registrations.MAX_RUNNING", 2)

    async def script(peer: Peer) -> None:
        await peer.welcome()
        register = await peer.expect(REGISTER)
        await peer.send(REGISTERED, register[1], 5)
        for request_id in range(1, 4):
            await peer.send(INVOCATION, request_id, 5, {})
        error = await peer.receive()
        assert error[:5] == [ERROR, INVOCATION, 3, {}, "wamp.error.unavailable"]
        done.set()
        await peer.until_gone()

    done = anyio.Event()
    router = ScriptedRouter(script)
    async with connect(app=router) as session:
        await session.register("slow", anyio.sleep_forever)
        with anyio.fail_after(5):
            await done.wait()
    assert not router.failures


async def test_revoked_registration_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        register = await peer.expect(REGISTER)
        await peer.send(REGISTERED, register[1], 5)
        await peer.send(UNREGISTERED, 0, {"registration": 5, "reason": "com.example.revoked"})
        await peer.send(INVOCATION, 1, 5, {})
        answers.append(await peer.receive())
        done.set()
        await peer.until_gone()

    answers: list[list[Any]] = []
    done = anyio.Event()
    router = ScriptedRouter(script)
    with caplog.at_level(logging.WARNING, logger="wampasgi.client"):
        async with connect(app=router, on_error=errors.append) as session:
            await session.register("mine", lambda: None)
            with anyio.fail_after(5):
                await done.wait()
    assert "ended the registration of 'mine': com.example.revoked" in caplog.text
    assert len(errors) == 1
    [[code, request_type, request_id, _, uri, *_]] = answers
    assert (code, request_type, request_id, uri) == (ERROR, INVOCATION, 1, "wamp.error.unavailable")
    assert not router.failures


async def test_handler_that_cannot_be_called_is_refused_at_once() -> None:
    client = Client(app=app)

    def generator() -> Any:
        yield 1

    for decorate in client.procedure("any.uri"), client.subscriber("any.uri"):
        with pytest.raises(ConfigurationError):
            decorate(5)  # type: ignore[type-var] # what is tested
        with pytest.raises(ConfigurationError, match="sync generator function"):
            decorate(generator)

    async def yields() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(ConfigurationError, match="must not yield"):
        client.subscriber("any.uri")(yields)
    with pytest.raises(ConfigurationError, match="is not a valid procedure"):
        client.procedure("no uri")


async def test_declared_handlers_are_there_from_the_beginning() -> None:
    client = Client(app=app)
    events: list[str] = []
    arrived = anyio.Event()

    @client.procedure("declared.add")
    async def add(a: int, b: int) -> int:
        return a + b

    @client.procedure("declared.under.", match="prefix")
    async def under(invocation: Invocation) -> str:
        return invocation.procedure

    @client.subscriber("declared.news")
    async def on_news(text: str, event: Event[Any]) -> None:
        events.append(f"{event.topic}: {text}")
        arrived.set()

    async with client, connect(app=app) as session:
        assert await session.call("declared.add", 1, 2) == 3
        assert await session.call("declared.under.x") == "declared.under.x"
        await session.publish("declared.news", "hello")
        with anyio.fail_after(5):
            await arrived.wait()
    assert events == ["declared.news: hello"]


async def test_run_serves_until_it_is_cancelled() -> None:
    client = Client(app=app)
    client.procedure("run.ping")(lambda: "pong")

    async with connect(app=app) as session, anyio.create_task_group() as group:
        group.start_soon(client.run)
        with anyio.fail_after(5):
            while True:
                try:
                    assert await session.call("run.ping") == "pong"
                except WAMPError:
                    continue
                break
        group.cancel_scope.cancel()


async def test_declared_handler_that_the_router_refuses_closes_the_session() -> None:
    states: list[str] = []
    client = Client(app=app, on_state=states.append)
    client.procedure("math.add")(lambda: None)

    with pytest.raises(WAMPError, match="procedure_already_exists"):
        async with client:
            pytest.fail("the session must not open")
    assert states == ["open", "closed"]


# Events


async def test_handler_of_events_that_fails_gets_the_next_one(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = []
    handled: list[int] = []
    done = anyio.Event()

    async def handle(number: int) -> None:
        if number == 1:
            raise LookupError("broken")
        handled.append(number)
        if number == 3:
            done.set()

    with caplog.at_level(logging.ERROR, logger="wampasgi.client"):
        async with connect(app=app) as session, connect(app=app, on_error=errors.append) as other:
            await other.subscribe("handlers.events", handle)
            for number in [0, 1, "x", 2, 3]:
                await session.publish("handlers.events", number)
            with anyio.fail_after(5):
                await done.wait()
    assert handled == [0, 2, 3]
    assert [type(error).__name__ for error in errors] == ["LookupError", "InvalidArgument"]
    assert "failed for an event of 'handlers.events'" in caplog.text


async def test_full_buffer_drops_new_events_and_says_where() -> None:
    async with (
        connect(app=app) as session,
        connect(app=app) as other,
        other.subscribe("handlers.full", buffer=3) as events,
        other.subscribe("handlers.full") as all_events,
    ):
        for number in range(5):
            await session.publish("handlers.full", number)
        await session.publish("handlers.full", 5, acknowledge=True)
        assert [(await all_events.next()).args[0] for _ in range(6)] == [0, 1, 2, 3, 4, 5]
        assert [(await anext(events)).args[0] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(EventsDropped, match=r"3 events of 'handlers\.full' were dropped") as raised:
            await anext(events)
        await session.publish("handlers.full", 6)
        assert (raised.value.count, raised.value.buffer, events.dropped) == (3, 3, 3)
        async for event in events:
            assert event.args == [6]
            break


async def test_full_buffer_of_a_handler_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = []
    release, handled, done = anyio.Event(), [], anyio.Event()

    async def handle(number: int) -> None:
        handled.append(number)
        await release.wait()
        if number == 9:
            done.set()

    with caplog.at_level(logging.WARNING, logger="wampasgi.client"):
        async with connect(app=app) as session, connect(app=app, on_error=errors.append) as other:
            await other.subscribe("handlers.slow", handle, buffer=2)
            async with other.subscribe("handlers.slow") as events:
                await session.publish("handlers.slow", 0)
                await events.next()
                await anyio.wait_all_tasks_blocked()
                for number in range(1, 6):
                    await session.publish("handlers.slow", number)
                    await events.next()
                release.set()
                await anyio.wait_all_tasks_blocked()
                await session.publish("handlers.slow", 9)
                with anyio.fail_after(5):
                    await done.wait()
    assert handled == [0, 1, 2, 9]
    assert [type(error) for error in errors] == [EventsDropped]
    assert "3 events of 'handlers.slow' were dropped" in caplog.text


async def test_event_that_does_not_fit_its_type_costs_only_itself() -> None:
    async with (
        connect(app=app) as session,
        connect(app=app) as other,
        other.subscribe("handlers.typed", event_type=Point) as events,
    ):
        await session.publish("handlers.typed", {"x": 1})
        await session.publish("handlers.typed", "nonsense")
        await session.publish("handlers.typed", x=3, y=4)
        assert (await events.next()).value == Point(1)
        with pytest.raises(
            InvalidResult, match=r"an event of 'handlers.typed' does not fit event_type=Point"
        ):
            await events.next()
        assert (await events.next()).value == Point(3, 4)


async def test_two_listeners_share_a_subscription_until_the_last_leaves() -> None:
    messages: list[list[Any]] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        subscribe = await peer.expect(SUBSCRIBE)
        await peer.send(SUBSCRIBED, subscribe[1], 5)
        await peer.send(EVENT, 5, 1, {}, ["one"])
        unsubscribe = await peer.receive()
        messages.append(unsubscribe)
        await peer.send(UNSUBSCRIBED, unsubscribe[1])
        messages.extend(await peer.until_gone())

    router = ScriptedRouter(script)
    async with connect(app=router) as session, session.subscribe("a.topic") as first:
        async with session.subscribe("a.topic"):
            pass
        assert (await first.next()).args == ["one"]
        assert messages == []
    assert [message[0] for message in messages] == [34]
    assert not router.failures


async def test_cancelled_subscription_is_taken_back() -> None:
    messages: list[list[Any]] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        subscribe = await peer.expect(SUBSCRIBE)
        asked.set()
        await cancelled.wait()
        await peer.send(SUBSCRIBED, subscribe[1], 5)
        unsubscribe = await peer.receive()
        messages.append(unsubscribe)
        await peer.send(UNSUBSCRIBED, unsubscribe[1])
        await peer.until_gone()

    asked, cancelled = anyio.Event(), anyio.Event()

    async def subscribe(session: Session, scope: anyio.CancelScope) -> None:
        with scope:
            async with session.subscribe("a.topic"):
                pytest.fail("it must not be subscribed")

    router = ScriptedRouter(script)
    async with connect(app=router) as session:
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(subscribe, session, scope)
            await asked.wait()
            scope.cancel()
        cancelled.set()
        with anyio.fail_after(5):
            while not messages:
                await anyio.wait_all_tasks_blocked()
    assert messages[0][2] == 5
    assert not router.failures


async def test_cancelled_registration_is_taken_back() -> None:
    messages: list[list[Any]] = []
    asked, cancelled, done = anyio.Event(), anyio.Event(), anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.welcome()
        register = await peer.expect(REGISTER)
        asked.set()
        await cancelled.wait()
        await peer.send(REGISTERED, register[1], 5)
        messages.append(await peer.receive())
        await peer.send(UNREGISTERED, messages[0][1])
        done.set()
        await peer.until_gone()

    async def register(session: Session, scope: anyio.CancelScope) -> None:
        with scope:
            await session.register("mine", lambda: None)
            pytest.fail("it must not be registered")

    router = ScriptedRouter(script)
    async with connect(app=router) as session:
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(register, session, scope)
            await asked.wait()
            scope.cancel()
        cancelled.set()
        with anyio.fail_after(5):
            await done.wait()
    assert messages[0][0] == UNREGISTER
    assert messages[0][2] == 5
    assert not router.failures


async def test_acknowledgements_after_the_timeout_are_taken_back() -> None:
    ended: list[list[Any]] = []
    late, done = anyio.Event(), anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.welcome()
        register = await peer.expect(REGISTER)
        subscribe = await peer.expect(SUBSCRIBE)
        await late.wait()
        await peer.send(REGISTERED, register[1], 5)
        ended.append(await peer.receive())
        await peer.send(UNREGISTERED, ended[0][1])
        await peer.send(SUBSCRIBED, subscribe[1], 6)
        ended.append(await peer.receive())
        await peer.send(UNSUBSCRIBED, ended[1][1])
        done.set()
        await peer.until_gone()

    router = ScriptedRouter(script)
    async with connect(app=router) as session:
        with pytest.raises(Timeout, match=r"waited 0\.01 s for the registration of 'mine'"):
            await session.register("mine", lambda: None, timeout=0.01)
        with pytest.raises(Timeout, match=r"waited 0\.01 s for the subscription to 'a\.topic'"):
            await session.subscribe("a.topic", lambda: None, timeout=0.01)
        late.set()
        with anyio.fail_after(5):
            await done.wait()
    assert [message[0] for message in ended] == [UNREGISTER, UNSUBSCRIBE]
    assert [message[2] for message in ended] == [5, 6]
    assert not router.failures


async def test_subscription_that_is_repeated_after_a_timeout_is_kept() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        first = await peer.expect(SUBSCRIBE)
        await late.wait()
        await peer.send(SUBSCRIBED, first[1], 6)
        await peer.expect(PUBLISH)
        await peer.send(EVENT, 6, 1, {}, ["kept"])
        unsubscribe = await peer.expect(UNSUBSCRIBE)
        await peer.send(UNSUBSCRIBED, unsubscribe[1])
        await peer.until_gone()

    late = anyio.Event()
    router = ScriptedRouter(script)
    async with connect(app=router) as session:
        with pytest.raises(Timeout):
            await session.subscribe("a.topic", lambda: None, timeout=0.01)
        async with anyio.create_task_group() as group:

            async def release() -> None:
                await anyio.wait_all_tasks_blocked()
                late.set()

            group.start_soon(release)
            async with session.subscribe("a.topic", timeout=5) as events:
                await session.publish("another.topic")
                assert (await events.next(timeout=5)).args == ["kept"]
    assert not router.failures


async def test_revoked_subscription_ends_its_listeners() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        subscribe = await peer.expect(SUBSCRIBE)
        await peer.send(SUBSCRIBED, subscribe[1], 5)
        await peer.send(EVENT, 5, 1, {}, ["last"])
        await peer.send(UNSUBSCRIBED, 0, {"subscription": 5, "reason": "com.example.revoked"})
        await peer.until_gone()

    router = ScriptedRouter(script)
    async with connect(app=router) as session, session.subscribe("a.topic") as events:
        assert (await events.next()).args == ["last"]
        with pytest.raises(WAMPError, match=r"com\.example\.revoked"):
            await events.next()
    assert not router.failures


async def test_retained_event_goes_to_listeners_that_asked_for_it() -> None:
    async with connect(app=app) as session, connect(app=app) as other:
        await other.publish("handlers.retained", 1, acknowledge=True, options={"retain": True})
        async with (
            session.subscribe("handlers.retained") as plain,
            session.subscribe("handlers.retained", get_retained=True) as retained,
        ):
            event = await retained.next(timeout=5)
            assert (event.args, event.retained) == ([1], True)
            await other.publish("handlers.retained", 2, acknowledge=True)
            assert (await plain.next()).args == [2]
            assert (await retained.next()).args == [2]


async def test_wait_for_an_event_names_the_topic() -> None:
    async with connect(app=app) as session, session.subscribe("quiet.topic") as events:
        with pytest.raises(Timeout, match=r"waited 0\.01 s for an event of 'quiet.topic'"):
            await events.next(timeout=0.01)


async def test_iteration_ends_when_the_subscription_is_left() -> None:
    received: list[Any] = []

    async with connect(app=app) as session:
        events = session.subscribe("left.topic")
        async with anyio.create_task_group() as group:

            async def read() -> None:
                received.extend([event async for event in events])
                received.append("end")

            async with events:
                group.start_soon(read)
                await anyio.wait_all_tasks_blocked()
        assert received == ["end"]
        with pytest.raises(RuntimeError, match="entered only once"):
            async with events:
                pytest.fail("it must not be subscribed")


async def test_objects_that_were_not_entered_say_so() -> None:
    async with connect(app=app) as session:
        with pytest.raises(RuntimeError, match="subscribe first"):
            await session.subscribe("any.topic").next()
        with pytest.raises(RuntimeError, match="enter the call first"):
            await session.call_progress("count", 1).result()


async def test_unsubscribed_handler_gets_no_more_events() -> None:
    handled: list[int] = []

    async def handle(number: int) -> None:
        handled.append(number)

    async with connect(app=app) as session, connect(app=app) as other:
        subscription = await other.subscribe("handlers.ended", handle)
        async with other.subscribe("handlers.ended") as events:
            await session.publish("handlers.ended", 1)
            await events.next()
            await anyio.wait_all_tasks_blocked()
            await subscription.unsubscribe()
            await session.publish("handlers.ended", 2)
            await events.next()
            await anyio.wait_all_tasks_blocked()
    assert handled == [1]


async def test_empty_payload_equals_an_empty_list_and_an_empty_dict() -> None:
    handled: list[tuple[Any, Any]] = []
    arrived = anyio.Event()

    async def procedure(invocation: Invocation) -> None:
        handled.append((invocation.args, invocation.kwargs))
        handled.extend([(chunk.args, chunk.kwargs) async for chunk in invocation.chunks()])

    async def on_event(event: Event[Any]) -> None:
        handled.append((event.args, event.kwargs))
        arrived.set()

    async with connect(app=app) as session, connect(app=app) as other:
        await other.register("handlers.empty", procedure)
        await other.subscribe("handlers.empty", on_event)
        async with other.subscribe("handlers.empty") as events:
            await session.call("handlers.empty")
            await session.publish("handlers.empty")
            event = await events.next()
            with anyio.fail_after(5):
                await arrived.wait()
    assert handled == [([], {})] * 3
    assert (event.args, event.kwargs) == ([], {})
    assert Event("a").args == Invocation("a").args == []


# Requests


@pytest.mark.parametrize("uri", ["", "no uri", "a..b", "a.#"])
async def test_wrong_uri_is_refused_before_it_is_sent(uri: str) -> None:
    async with connect(app=app) as session:
        for request in (
            lambda: session.call(uri),
            lambda: session.publish(uri),
            lambda: session.register(uri, lambda: None),
        ):
            with pytest.raises(ConfigurationError, match="is not a valid"):
                await request()
        with pytest.raises(ConfigurationError, match="is not a valid topic"):
            session.subscribe(uri)
        assert await session.call("math.add", 1) == 1


async def test_value_that_cannot_be_sent_leaves_the_session_intact() -> None:
    unserializable: Any = object()
    async with connect(app=app) as session:
        for _ in range(3):
            with pytest.raises(Exception, match="JSON cannot serialize"):
                await session.call("echo", unserializable)
            with pytest.raises(Exception, match="JSON cannot serialize"):
                await session.publish("any.topic", unserializable)
            with pytest.raises(Exception, match="JSON cannot serialize"):
                await session.publish("any.topic", unserializable, acknowledge=True)
            assert await session.call("math.add", 1) == 1


async def test_request_that_could_not_be_serialized_leaves_no_gap_in_the_ids() -> None:
    unserializable: Any = object()

    async def script(peer: Peer) -> None:
        await peer.welcome()
        ids.append((await peer.receive())[1])
        ids.append((await peer.receive())[1])
        done.set()
        await peer.until_gone()

    ids: list[int] = []
    done = anyio.Event()
    async with connect(app=ScriptedRouter(script)) as session:
        for _ in range(2):
            with pytest.raises(Exception, match="JSON cannot serialize"):
                await session.call("any", unserializable)
            with pytest.raises(Exception, match="JSON cannot serialize"):
                await session.publish("any.topic", unserializable)
            with pytest.raises(Exception, match="JSON cannot serialize"):
                async with session.call_progress("any", unserializable):
                    pytest.fail("it must not be sent")
            await session.publish("any.topic")
        with anyio.fail_after(5):
            await done.wait()
    assert ids == [1, 2]


async def test_type_that_pydantic_does_not_know_is_refused_before_the_call() -> None:
    class Unknown:
        pass

    async with connect(app=app) as session:
        with pytest.raises(TypeError, match=r"result_type=.*Unknown.* is no type that pydantic can validate"):
            await session.call("echo", 1, result_type=Unknown)
        with pytest.raises(TypeError, match="event_type="):
            session.subscribe("any.topic", event_type=Unknown)
        with pytest.raises(TypeError, match="progress_type="):
            session.call_progress("count", progress_type=Unknown)
        coroutine_function: Any = anyio.sleep
        with pytest.raises(ConfigurationError, match=r"on_gap is .*pass a plain function"):
            session.subscribe("any.topic", resume=True, on_gap=coroutine_function)
        with pytest.raises(ConfigurationError, match="buffer=0"):
            session.subscribe("any.topic", buffer=0)
        with pytest.raises(TypeError, match="a procedure must be a str, got int"):
            await session.call(5)  # type: ignore[call-overload] # what is tested


async def test_payload_carries_keywords_of_the_api() -> None:
    async with connect(app=app) as session:
        result = await session.call("echo", Payload([1], {"timeout": 5, "options": None}))
        assert result == RPCResult((1,), {"timeout": 5, "options": None})


async def test_pattern_at_a_router_that_announces_none_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        subscribe = await peer.expect(SUBSCRIBE)
        await peer.send(SUBSCRIBED, subscribe[1], 5)
        register = await peer.expect(REGISTER)
        await peer.send(REGISTERED, register[1], 5)
        await peer.until_gone()

    router = ScriptedRouter(script)
    async with connect(app=router) as session:
        await session.subscribe("a.", lambda: None, match="prefix")
        await session.register("b.", lambda: None, match="prefix")
    assert "the router may not support match='prefix', for the topic 'a.'" in caplog.text
    assert "the router may not support match='prefix', for 'b.'" in caplog.text
    async with connect(app=app) as session:
        caplog.clear()
        await session.subscribe("a.", lambda: None, match="prefix")
    assert not caplog.records


async def test_handler_that_blocks_a_thread_does_not_delay_a_reconnection() -> None:
    release, states = threading.Event(), list[str]()
    reopened = anyio.Event()

    def on_state(state: str) -> None:
        states.append(state)
        if states.count("open") == 2:
            reopened.set()

    async def script(peer: Peer) -> None:
        await peer.welcome(peer.number)
        register = await peer.expect(REGISTER)
        await peer.send(REGISTERED, register[1], 5)
        if peer.number == 1:
            await peer.send(INVOCATION, 1, 5, {})
            await started.wait()
            await peer.close(1011)
        await peer.until_gone()

    def block() -> None:
        anyio.from_thread.run_sync(started.set)
        release.wait(10)

    started = anyio.Event()
    router = ScriptedRouter(script)
    async with connect(app=router, retry=Retry(initial=0.01), on_state=on_state) as session:
        await session.register("blocking", block)
        with anyio.fail_after(5):
            await reopened.wait()
        release.set()
    assert not router.failures


async def test_handler_that_delays_the_end_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wampasgi.client.client._SLOW", 0.01)
    release = threading.Event()

    class Records(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())
            release.set()

    def block() -> None:
        anyio.from_thread.run_sync(started.set)
        release.wait(10)

    started, messages = anyio.Event(), list[str]()
    records = Records(logging.WARNING)
    logger = logging.getLogger("wampasgi.client")
    logger.addHandler(records)
    try:
        async with connect(app=app) as session, connect(app=app) as other:
            await other.subscribe("handlers.delaying", block)
            await session.publish("handlers.delaying", acknowledge=True)
            with anyio.fail_after(5):
                await started.wait()
    finally:
        logger.removeHandler(records)
    [message] = messages
    assert message.startswith("waiting for the end of handlers, to close the session: tests.client.")
    assert message.endswith("block")
