"""Lost connections: what fails, what is renewed, and what is not retried."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.client.conftest import SERVED_APP
from tests.client.played_router import QUICK, States
from tests.client.proxy import proxy_to
from tests.client.scripted_router import Peer, ScriptedRouter
from tests.client.served_app import app
from tests.clients.server_process import ServerProcess, start_server
from tests.specification import ABORT, CALL, ERROR, HELLO, REGISTER, REGISTERED, SUBSCRIBE, SUBSCRIBED
from wampasgi import WAMPError
from wampasgi.client import (
    ConnectFailed,
    ConnectionClosed,
    ConnectionLost,
    Event,
    Gap,
    JoinRefused,
    Retry,
    Session,
    connect,
)

pytestmark = pytest.mark.anyio


async def test_call_in_flight_fails_and_says_that_it_was_sent(server: ServerProcess) -> None:
    states, errors = States(), []

    async def call(session: Session) -> None:
        try:
            await session.call("wait", "cut")
        except ConnectionLost as error:
            errors.append(error)

    async with proxy_to(server.port) as proxy, connect(proxy.url, retry=QUICK, on_state=states) as session:
        first_id = session.id
        async with anyio.create_task_group() as group:
            group.start_soon(call, session)
            await session.call("math.add", 1)
            proxy.cut()
        await states.wait_for(2, "open")
        assert await session.call("math.add", 1) == 1
        assert session.id != first_id
    [error] = errors
    assert error.sent
    assert "it may have been carried out" in str(error)
    assert states.seen == ["open", "reconnecting", "open", "closed"]


async def test_call_waits_for_the_new_connection(server: ServerProcess) -> None:
    states = States()
    async with proxy_to(server.port) as proxy, connect(proxy.url, retry=QUICK, on_state=states) as session:
        proxy.refuses = True
        proxy.cut()
        await states.wait_for(1, "reconnecting")
        with pytest.raises(
            TimeoutError, match=r"waited 0\.05 s for a connection, .* the result of 'math.add'"
        ):
            await session.call("math.add", 1, timeout=0.05)
        proxy.refuses = False
        assert await session.call("math.add", 1) == 1


async def test_subscriptions_and_registrations_are_renewed(server: ServerProcess) -> None:
    states, handled = States(), anyio.Event()

    async def answer(question: str) -> str:
        return f"{question}!"

    async def on_event(text: str) -> None:
        handled.set()

    async with (
        connect(server.url) as other,
        proxy_to(server.port) as proxy,
        connect(proxy.url, retry=QUICK, on_state=states) as session,
        session.subscribe("renewed.topic") as events,
    ):
        await session.register("renewed.procedure", answer)
        await session.subscribe("renewed.", on_event, match="prefix")
        gone = await session.register("renewed.gone", answer)
        await gone.unregister()
        proxy.cut()
        await states.wait_for(2, "open")
        assert await other.call("renewed.procedure", "still there") == "still there!"
        with pytest.raises(WAMPError, match="no_such_procedure"):
            await other.call("renewed.gone", "still there")
        await other.publish("renewed.topic", "news", acknowledge=True)
        assert (await events.next(timeout=5)).args == ["news"]
        with anyio.fail_after(5):
            await handled.wait()


async def test_server_that_is_restarted_is_found_again(tmp_path: Path) -> None:
    """A server is killed and restarted under load. Each event arrives at most once, and gaps are reported."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    server = await anyio.to_thread.run_sync(start_server, "uvicorn", SERVED_APP, first)
    replaced = server
    states, published = States(), list[Any]()
    gaps: list[Gap] = []
    not_sent: list[int] = []

    async def publish(session: Session) -> None:
        for number in range(10_000):
            try:
                published.append(await session.publish("logged.load", number, acknowledge=True))
            except ConnectionLost as error:
                if not error.sent:
                    not_sent.append(number)
            await anyio.sleep(0.001)

    try:
        async with (
            proxy_to(server.port) as proxy,
            connect(proxy.url, retry=QUICK) as publisher,
            connect(proxy.url, retry=QUICK, on_state=states) as session,
            session.subscribe("logged.load", resume=True, on_gap=gaps.append) as events,
            anyio.create_task_group() as group,
        ):
            group.start_soon(publish, publisher)
            events_received = [await events.next(timeout=10) for _ in range(50)]
            server.kill()
            await states.wait_for(1, "reconnecting")
            replaced = await anyio.to_thread.run_sync(start_server, "uvicorn", SERVED_APP, second)
            proxy.target = replaced.port
            await states.wait_for(2, "open")
            events_received += [await events.next(timeout=10) for _ in range(100)]
            group.cancel_scope.cancel()
    finally:
        server.kill()
        replaced.kill()
    received = [event.publication_id for event in events_received]
    assert len(received) == len(set(received))
    assert not {event.args[0] for event in events_received} & set(not_sent)
    order = [publication_id for publication_id in received if publication_id in set(published)]
    positions = [published.index(publication_id) for publication_id in order]
    assert positions == sorted(positions)
    after = positions[-50:]
    assert after == list(range(after[0], after[0] + 50))
    assert len(gaps) == 1


async def test_missed_events_come_from_the_history_once_each(server: ServerProcess) -> None:
    states, published = States(), list[Any]()
    gaps: list[Gap] = []
    async with (
        connect(server.url) as publisher,
        proxy_to(server.port) as proxy,
        connect(proxy.url, retry=QUICK, on_state=states) as session,
        session.subscribe("logged.", match="prefix", resume=True, on_gap=gaps.append) as events,
    ):

        async def publish(count: int) -> None:
            for number in range(count):
                topic = f"logged.topic{number % 3}"
                published.append(await publisher.publish(topic, number, acknowledge=True))

        for cut in range(1, 4):
            await publish(20)
            proxy.refuses = True
            proxy.cut()
            await states.wait_for(cut, "reconnecting")
            await publish(20)
            proxy.refuses = False
            await publish(20)
            await states.wait_for(cut + 1, "open")
        await publish(20)
        received: list[Event[Any]] = [await events.next(timeout=5) for _ in published]
    assert [event.publication_id for event in received] == published
    assert {event.topic for event in received} == {f"logged.topic{number}" for number in range(3)}
    assert gaps == []


async def test_events_under_load_arrive_once_each_across_cuts(server: ServerProcess) -> None:
    states, published = States(), list[Any]()
    gaps: list[Gap] = []

    async def publish(publisher: Session) -> None:
        for number in range(600):
            published.append(await publisher.publish("stored.under.load", number, acknowledge=True))
            await anyio.lowlevel.checkpoint()

    async with (
        connect(server.url) as publisher,
        proxy_to(server.port) as proxy,
        connect(proxy.url, retry=QUICK, on_state=states) as session,
        session.subscribe("stored.under.load", resume=True, on_gap=gaps.append) as events,
    ):
        received = []
        async with anyio.create_task_group() as group:
            group.start_soon(publish, publisher)
            for cut in range(1, 5):
                received += [(await events.next(timeout=5)).publication_id for _ in range(60)]
                proxy.cut()
                await states.wait_for(cut + 1, "open")
        while len(received) < len(published):
            received.append((await events.next(timeout=5)).publication_id)
    assert gaps == []
    assert received == published


async def test_acknowledged_events_of_the_session_itself_are_not_missed_events(server: ServerProcess) -> None:
    states = States()
    async with (
        connect(server.url) as other,
        proxy_to(server.port) as proxy,
        connect(proxy.url, retry=QUICK, on_state=states) as session,
        session.subscribe("logged.own", resume=True) as events,
    ):
        await session.publish("logged.own", "own", acknowledge=True)
        proxy.refuses = True
        proxy.cut()
        await states.wait_for(1, "reconnecting")
        await other.publish("logged.own", "missed", acknowledge=True)
        proxy.refuses = False
        await states.wait_for(2, "open")
        await other.publish("logged.own", "live", acknowledge=True)
        received = [(await events.next(timeout=5)).args[0] for _ in range(2)]
    assert received == ["missed", "live"]


async def test_gap_is_reported_if_the_history_is_too_short(server: ServerProcess) -> None:
    states = States()
    gaps: list[Gap] = []
    async with (
        connect(server.url) as publisher,
        proxy_to(server.port) as proxy,
        connect(proxy.url, retry=QUICK, on_state=states) as session,
        session.subscribe("logged.", match="prefix", resume=True, on_gap=gaps.append) as events,
    ):
        await publisher.publish("logged.a", 0, acknowledge=True)
        assert (await events.next()).args == [0]
        proxy.refuses = True
        proxy.cut()
        await states.wait_for(1, "reconnecting")
        for number in range(1, 251):
            await publisher.publish("logged.a", number)
        last = await publisher.publish("logged.a", 251, acknowledge=True)
        proxy.refuses = False
        received = [await events.next(timeout=5) for _ in range(200)]
        assert [event.args[0] for event in received] == list(range(52, 252))
        assert received[-1].publication_id == last
    [gap] = gaps
    assert gap.topic == "logged."
    assert gap.first is not None
    assert gap.first.args == [52]


async def test_resume_needs_the_right_to_read_the_history() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        subscribe = await peer.expect(SUBSCRIBE)
        await peer.send(SUBSCRIBED, subscribe[1], 5)
        call = await peer.expect(CALL)
        assert call[3:] == ["wamp.subscription.get_events", [5], {"reverse": True, "limit": 1}]
        await peer.send(ERROR, CALL, call[1], {}, "wamp.error.not_authorized")
        await peer.until_gone()

    router = ScriptedRouter(script)
    async with connect(app=router) as session:
        with pytest.raises(WAMPError, match="not_authorized"):
            async with session.subscribe("a.topic", resume=True):
                pytest.fail("it must not be subscribed")
    assert not router.failures


async def test_without_retry_the_session_ends(server: ServerProcess) -> None:
    async with proxy_to(server.port) as proxy, connect(proxy.url, retry=None) as session:
        async with session.subscribe("any.topic") as events:
            proxy.cut()
            with pytest.raises(ConnectionLost):
                await events.next(timeout=5)
        with pytest.raises(ConnectionLost):
            await session.wait_closed()
        with pytest.raises(ConnectionLost) as raised:
            await session.call("math.add", 1)
        assert not raised.value.sent
        assert session.state == "closed"


async def test_attempts_are_limited(server: ServerProcess) -> None:
    retry = Retry(initial=0.01, maximum=0.01, attempts=3)
    async with proxy_to(server.port) as proxy, connect(proxy.url, retry=retry) as session:
        proxy.refuses = True
        proxy.cut()
        with pytest.raises(ConnectFailed), anyio.fail_after(10):
            await session.wait_closed()
        assert proxy.accepted == 4


@pytest.mark.parametrize(
    ("reason", "is_retried"),
    [
        ("wamp.error.authentication_failed", False),
        ("wamp.error.no_such_realm", False),
        ("wamp.close.system_shutdown", True),
    ],
)
async def test_refusal_is_retried_only_if_it_is_temporary(reason: str, is_retried: bool) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 2:
            await peer.expect(HELLO)
            await peer.send(ABORT, {"message": "sorry"}, reason)
            await peer.until_gone()
        await peer.welcome()
        if peer.number == 1:
            await peer.close(1012)
        await peer.until_gone()

    states = States()
    router = ScriptedRouter(script)
    async with connect(app=router, retry=QUICK, on_state=states) as session:
        if is_retried:
            await states.wait_for(2, "open")
        else:
            with pytest.raises(JoinRefused, match=f"{reason}: sorry"), anyio.fail_after(5):
                await session.wait_closed()
            with pytest.raises(JoinRefused):
                await session.call("any")
    assert router.peers == (3 if is_retried else 2)


async def test_router_that_shuts_down_is_found_again_and_one_that_kicks_is_not() -> None:
    states = States()
    async with connect(app=app, retry=QUICK, on_state=states) as session:
        with pytest.raises(ConnectionClosed):
            await session.call("disconnect")
        await states.wait_for(2, "open")
        with pytest.raises(ConnectionClosed, match=r"closed by the server: wamp\.close\.killed"):
            await session.call("kick")
        with pytest.raises(ConnectionClosed, match=r"wamp\.close\.killed"):
            await session.wait_closed()


async def test_first_connection_is_retried_only_on_request(server: ServerProcess) -> None:
    async with proxy_to(server.port) as proxy:
        proxy.refusals = 1
        with pytest.raises(ConnectFailed):
            async with connect(proxy.url, retry=QUICK):
                pytest.fail("the session must not open")
        assert proxy.accepted == 1

        proxy.refusals = 3
        states = States()
        retry = Retry(initial=0.01, maximum=0.02, first=True)
        async with connect(proxy.url, retry=retry, on_state=states) as session:
            assert await session.call("math.add", 1) == 1
        assert proxy.accepted == 5
        assert states.seen == ["open", "closed"]


async def test_server_that_stops_answering_is_given_up(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wampasgi.client.websocket._CLOSE_TIMEOUT", 0.1)
    states = States()
    async with (
        proxy_to(server.port) as proxy,
        connect(proxy.url, retry=QUICK, on_state=states, ping_interval=0.1) as session,
    ):
        proxy.stall()
        with pytest.raises(ConnectionLost) as raised, anyio.fail_after(10):
            await session.call("math.add", 1)
        assert raised.value.sent
        await states.wait_for(2, "open")
        assert await session.call("math.add", 1) == 1


async def test_server_that_drops_each_session_is_not_hurried() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome(peer.number)
        if peer.number < 6:
            await peer.close(1011)
        else:
            last.set()
        await peer.until_gone()

    last = anyio.Event()
    router = ScriptedRouter(script)
    async with connect(app=router, retry=Retry(initial=0.01, maximum=60)):
        begin = anyio.current_time()
        with anyio.fail_after(20):
            await last.wait()
    # At least half of 10, 20, 40, 80 and 160 ms.
    assert anyio.current_time() - begin > 0.155
    assert router.peers == 6


async def test_leaving_while_reconnecting_does_not_wait(server: ServerProcess) -> None:
    states = States()
    retry = Retry(initial=60, maximum=60)
    with anyio.fail_after(10):
        async with proxy_to(server.port) as proxy, connect(proxy.url, retry=retry, on_state=states):
            proxy.cut()
            await states.wait_for(1, "reconnecting")
    assert states.seen == ["open", "reconnecting", "closed"]


async def test_registration_waits_for_the_end_of_the_old_session() -> None:
    """The router may notice only later that the old connection is lost."""
    registered = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.welcome(peer.number)
        for attempt in range(peer.number):
            register = await peer.expect(REGISTER)
            if attempt < peer.number - 1:
                await peer.send(ERROR, REGISTER, register[1], {}, "wamp.error.procedure_already_exists")
            else:
                await peer.send(REGISTERED, register[1], 5)
        if peer.number == 1:
            await peer.close(1011)
        else:
            registered.set()
        await peer.until_gone()

    router = ScriptedRouter(script)
    async with connect(app=router, retry=QUICK) as session:
        await session.register("mine", lambda: None)
        with anyio.fail_after(5):
            await registered.wait()
    assert not router.failures


async def test_renewal_that_is_refused_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = []

    async def script(peer: Peer) -> None:
        await peer.welcome(peer.number)
        for code, answer in (REGISTER, REGISTERED), (SUBSCRIBE, SUBSCRIBED):
            request = await peer.expect(code)
            if peer.number == 1:
                await peer.send(answer, request[1], 5)
            else:
                await peer.send(ERROR, code, request[1], {}, "wamp.error.not_authorized")
        if peer.number == 1:
            await peer.close(1011)
        await peer.until_gone()

    router = ScriptedRouter(script)
    with caplog.at_level(logging.WARNING, logger="wampasgi.client"):
        async with connect(app=router, retry=QUICK, on_error=errors.append) as session:
            await session.register("mine", lambda: None)
            async with session.subscribe("a.topic") as events:
                with pytest.raises(WAMPError, match="not_authorized"):
                    await events.next(timeout=5)
    assert [getattr(error, "uri", error) for error in errors] == ["wamp.error.not_authorized"] * 2
    assert "the procedure 'mine' could not be registered again" in caplog.text
    assert "the subscription to 'a.topic' could not be renewed" in caplog.text
    assert not router.failures
