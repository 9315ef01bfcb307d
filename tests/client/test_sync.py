from __future__ import annotations

import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.clients.server_process import ServerProcess
from wampasgi.client import (
    ConnectFailed,
    ConnectionClosed,
    Events,
    Invocation,
    ProgressCall,
    Registration,
    Session,
    SyncSession,
    Timeout,
    WAMPError,
    connect_sync,
)
from wampasgi.client.handlers import Subscription
from wampasgi.client.sync import SyncEvents, SyncProgressCall, SyncRegistration, SyncSubscription


def test_several_threads_share_a_session(server: ServerProcess) -> None:
    with connect_sync(server.url) as session, ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda number: session.call("math.add", number, 1), range(50))

        assert list(results) == list(range(1, 51))


def test_sync_handler_may_use_the_session(server: ServerProcess) -> None:
    with connect_sync(server.url) as session:

        def triple(number: int) -> Any:
            return session.call("math.add", number, 2 * number)

        registration = session.register("sync.triple", triple)
        assert (registration.procedure, registration.match) == ("sync.triple", "exact")
        assert registration.registration_id > 0
        assert session.call("sync.triple", 5) == 15
        registration.unregister()
        with pytest.raises(WAMPError, match="no_such_procedure"):
            session.call("sync.triple", 5)


def test_handler_of_events_runs_until_it_is_ended(server: ServerProcess) -> None:
    handled: list[int] = []
    arrived = threading.Semaphore(0)

    def handle(number: int) -> None:
        handled.append(number)
        arrived.release()

    with connect_sync(server.url) as session, connect_sync(server.url) as other:
        subscription = session.subscribe("sync.events", handle)
        assert (subscription.topic, subscription.dropped) == ("sync.events", 0)
        other.publish("sync.events", 1, acknowledge=True)
        assert arrived.acquire(timeout=5)
        subscription.unsubscribe()
        other.publish("sync.events", 2, acknowledge=True)
        session.call("math.add", 1)
    assert handled == [1]


def test_events_are_iterated_over(server: ServerProcess) -> None:
    with connect_sync(server.url) as session, session.subscribe("sync.topic", event_type=int) as events:
        for number in range(3):
            session.publish("sync.topic", str(number), options={"exclude_me": False})
        values = []
        for event in events:
            values.append(event.value)
            if len(values) == 3:
                break
        assert values == [0, 1, 2]
        assert (events.topic, events.dropped) == ("sync.topic", 0)
        with pytest.raises(Timeout, match=r"waited 0\.01 s for an event of 'sync\.topic'"):
            events.next(timeout=0.01)


def test_progress_can_be_canceled(server: ServerProcess) -> None:
    with connect_sync(server.url) as session:
        with session.call_progress("forever", "sync") as call:
            assert next(call) == "sync"
            call.cancel()
            with pytest.raises(WAMPError, match=r"wamp\.error\.canceled"):
                call.result()
        assert call.dropped == 0


def test_arguments_are_sent_in_parts(server: ServerProcess) -> None:
    async def total(invocation: Invocation) -> int:
        return sum([chunk.args[0] async for chunk in invocation.chunks()])

    with connect_sync(server.url) as session:
        session.register("sync.total", total)
        with session.call_progress("sync.total", 1, more=True, result_type=int) as call:
            call.send(2)
            call.send(3, final=True)
            assert call.result() == 6
        assert call.procedure == "sync.total"


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(function).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in found]


@pytest.mark.parametrize(
    ("blocking", "asynchronous", "internal"),
    [
        (SyncSession, Session, set()),
        (SyncProgressCall, ProgressCall, {"describe", "fail", "receive"}),
        (SyncEvents, Events, set()),
        (SyncSubscription, Subscription, {"open"}),
        (SyncRegistration, Registration, {"open", "receive", "renew"}),
    ],
)
def test_blocking_form_offers_the_same(blocking: type, asynchronous: type, internal: set[str]) -> None:
    names = {name for name in vars(asynchronous) if not name.startswith("_")} - internal

    assert names
    assert names <= set(vars(blocking))
    for name in names:
        method = getattr(asynchronous, name)
        if inspect.isfunction(method):
            assert parameters(getattr(blocking, name)) == parameters(method), name


def test_session_has_the_properties_of_the_asynchronous_one(server: ServerProcess) -> None:
    with connect_sync(server.url) as session:
        assert session.id == session.session.id
        assert (session.realm, session.authrole, session.state) == ("default", "anonymous", "open")
        assert session.authmethod == "anonymous"
        assert session.authid == session.details["authid"]
        assert repr(session) == f"<SyncSession {session.id} on realm 'default', open>"
        session.close()
        session.wait_closed()
        with pytest.raises(ConnectionClosed):
            session.call("math.add", 1)
    assert session.state == "closed"


def test_exception_of_the_block_and_a_failed_connection_leave_no_thread(server: ServerProcess) -> None:
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), connect_sync(server.url):
        _ = 1 / 0
    with pytest.raises(ConnectFailed), connect_sync("ws://127.0.0.1:1/"):
        pytest.fail("the session must not open")
    assert threading.active_count() == before
