from __future__ import annotations

import http.client
import signal
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.clients.conftest import GOODBYE_APP, SERVED_APP, StartServer
from tests.clients.server_process import SERVERS, ServerProcess, start_server
from tests.clients.wire_client import WireClient

KINDS = list(SERVERS)
# The kinds in which the signal reaches the application's process in time for GOODBYE.
KINDS_WITH_SIGNAL = [
    kind for kind in KINDS if kind.startswith(("uvicorn", "picows")) or kind == "hypercorn-in-process"
]

#: The close code for a shutdown, from the registry of RFC 6455.
SERVICE_RESTART = 1012


@pytest.fixture(scope="module", params=[kind for kind in KINDS if kind != "hypercorn-in-process"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    server = start_server(request.param, SERVED_APP, tmp_path_factory.mktemp(request.param))
    try:
        yield server
    finally:
        server.stop()


def test_handshake_selects_the_first_supported_subprotocol_of_the_client(server: ServerProcess) -> None:
    offered = ["wamp.2.unheard-of", "wamp.2.msgpack", "wamp.2.json"]

    with WireClient(server.url, offered) as client:
        assert client.subprotocol == "wamp.2.msgpack"


def test_handshake_without_a_common_subprotocol_is_refused(server: ServerProcess) -> None:
    with pytest.raises(InvalidStatus) as refused, WireClient(server.url, ["graphql-ws"]):
        pytest.fail("the handshake went through")

    response = refused.value.response
    assert response.status_code == 400
    assert b"wamp.2.json" in (response.body or b"")
    assert "offers the subprotocols [graphql-ws]" in server.log


def test_page_of_the_same_origin_may_connect(server: ServerProcess) -> None:
    with WireClient(server.url, origin=f"http://127.0.0.1:{server.port}") as client:
        assert client.join() > 0


def test_page_of_another_site_is_refused(server: ServerProcess) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        WireClient(server.url, origin=f"http://localhost:{server.port}"),
    ):
        pytest.fail("the handshake went through")

    assert refused.value.response.status_code == 403
    assert "Application(allowed_origins=" in server.log


def test_call_is_answered(server: ServerProcess) -> None:
    with WireClient(server.url) as client:
        client.join()

        assert client.request(48, 1, {}, "math.add", [2], {"b": 3}) == [50, 1, {}, [5]]


def test_event_reaches_the_subscriber(server: ServerProcess) -> None:
    with WireClient(server.url) as subscriber, WireClient(server.url) as other:
        subscriber.join()
        other.join()
        subscription_id = subscriber.request(32, 1, {}, "news")[2]

        other.send(48, 1, {}, "announce", ["news", "rain"], {"until": "noon"})

        event = subscriber.receive()
        assert event[:2] == [36, subscription_id]
        assert event[4:] == [["rain"], {"until": "noon"}]


def test_sync_procedure_does_not_run_in_the_event_loop(server: ServerProcess) -> None:
    with WireClient(server.url) as client:
        client.join()

        answer = client.request(48, 1, {}, "thread.name")

    assert answer[3] != ["MainThread"]


def test_session_ends_with_its_connection(server: ServerProcess) -> None:
    with WireClient(server.url) as client:
        session_id = client.join()
        client.send(48, 1, {}, "slow")
        server.wait_for_note(f"slow begun {session_id}")

    server.wait_for_note(f"slow ended {session_id}")
    server.wait_for_note(f"closed {session_id}")


def test_http_request_is_answered_with_upgrade_required(server: ServerProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", "/")
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()

    assert response.status == 426
    assert response.getheader("upgrade") == "websocket"
    assert "wamp.2.json" in body


@pytest.mark.parametrize("kind", KINDS_WITH_SIGNAL)
def test_sigterm_closes_sessions_without_goodbye_and_ends_the_server(
    kind: str, own_server: StartServer
) -> None:
    server = own_server(kind)
    with WireClient(server.url) as client:
        session_id = client.join()
        client.send(48, 1, {}, "slow")
        server.wait_for_note(f"slow begun {session_id}")
        server.terminate()

        with pytest.raises(ConnectionClosed):
            client.receive()
        assert client.close_code == SERVICE_RESTART

    assert server.wait_for_exit(5) in (0, -signal.SIGTERM)
    for note in ("slow ended", "closed"):
        server.wait_for_note(f"{note} {session_id}")


@pytest.mark.parametrize("kind", KINDS_WITH_SIGNAL)
def test_sigterm_sends_goodbye_if_the_application_says_so(kind: str, own_server: StartServer) -> None:
    server = own_server(kind, GOODBYE_APP)
    with WireClient(server.url) as client:
        session_id = client.join()
        server.terminate()

        assert client.receive() == [6, {"message": "the server shuts down"}, "wamp.close.system_shutdown"]
        client.send(6, {}, "wamp.close.goodbye_and_out")
        with pytest.raises(ConnectionClosed):
            client.receive()
        assert client.close_code == SERVICE_RESTART

    assert server.wait_for_exit(5) in (0, -signal.SIGTERM)
    server.wait_for_note(f"closed {session_id}")


@pytest.mark.parametrize("kind", ["hypercorn-asyncio", "hypercorn-trio"])
def test_sigterm_ends_a_server_whose_workers_do_not_receive_it(kind: str, own_server: StartServer) -> None:
    server = own_server(kind)
    with WireClient(server.url) as client:
        session_id = client.join()
        server.terminate()
        # With Python 3.12 and later, hypercorn waits until its clients have disconnected.

    assert server.wait_for_exit(5) == 0
    server.wait_for_note(f"closed {session_id}")


def test_sigterm_ends_granian_after_its_sessions(own_server: StartServer) -> None:
    server = own_server("granian")
    with WireClient(server.url) as client:
        session_id = client.join()
    server.wait_for_note(f"closed {session_id}")

    assert server.stop(5) == 0


def test_app_pinned_to_trio_does_not_start_on_asyncio(own_server: StartServer) -> None:
    with pytest.raises(RuntimeError, match=r"pinned to async_support=TrioAsyncSupport.*runs asyncio"):
        own_server("uvicorn", "tests.clients.trio_only_app:app")


def test_app_pinned_to_trio_runs_on_trio(own_server: StartServer) -> None:
    server = own_server("hypercorn-trio", "tests.clients.trio_only_app:app")

    with WireClient(server.url) as client:
        assert client.join() > 0
