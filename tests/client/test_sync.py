from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.clients.server_process import ServerProcess
from wampasgi.client import ConnectFailed, ConnectionClosed, Timeout, WAMPError, connect_sync


def test_several_threads_share_a_session(server: ServerProcess) -> None:
    with connect_sync(server.url) as session, ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda number: session.call("math.add", number, 1), range(50))

        assert list(results) == list(range(1, 51))


def test_sync_handler_may_use_the_session(server: ServerProcess) -> None:
    with connect_sync(server.url) as session:

        def triple(number: int) -> Any:
            return session.call("math.add", number, 2 * number)

        registration = session.register("sync.triple", triple)
        assert registration.procedure == "sync.triple"
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
        end = session.on_event("sync.events", handle)
        other.publish("sync.events", 1, acknowledge=True)
        assert arrived.acquire(timeout=5)
        end()
        other.publish("sync.events", 2, acknowledge=True)
        session.call("math.add", 1)
    assert handled == [1]


def test_events_are_iterated_over(server: ServerProcess) -> None:
    with connect_sync(server.url) as session, session.subscribe("sync.topic", event_type=int) as events:
        for number in range(3):
            session.publish("sync.topic", number, options={"exclude_me": False})
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


def test_session_has_the_properties_of_the_asynchronous_one(server: ServerProcess) -> None:
    with connect_sync(server.url) as session:
        assert session.id == session.session.id
        assert (session.realm, session.authrole, session.state) == ("default", "anonymous", "open")
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
