"""Connections that take places and do nothing with them."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.attacks.attack import OVERHEAD, PRODUCTION, attacked, wait_until
from tests.attacks.attacked_app import FLOODED
from tests.attacks.attacker import Attacker
from tests.specification import ABORT, TIMEOUT

#: Connections from each of three addresses of this machine.
CONNECTIONS = 100
ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
#: TCP connections that send the first byte of a request.
TRICKLES = 200


@pytest.mark.parametrize("kind", PRODUCTION)
def test_connections_without_hello_are_refused_beyond_the_limits(kind: str, tmp_path: Path) -> None:
    with attacked("flood before HELLO", kind, "flooded", tmp_path) as attack, ExitStack() as stack:
        statuses: dict[str, list[int]] = {}
        accepted: list[Attacker] = []
        for address in ADDRESSES:
            clients = [
                stack.enter_context(Attacker(attack.server.port, address=address)) for _ in range(CONNECTIONS)
            ]
            for client in clients:
                client.send_handshake()
            statuses[address] = [client.read_response().status for client in clients]
            accepted += [
                client for client, status in zip(clients, statuses[address], strict=True) if status == 101
            ]
        # The connections of the healthy client have sessions, so they take no place.
        assert FLOODED.pending_connections == 100
        assert FLOODED.pending_connections_per_address == 60
        assert {address: found.count(101) for address, found in statuses.items()} == {
            "127.0.0.1": 60,
            "127.0.0.2": 40,
            "127.0.0.3": 0,
        }
        assert {status for found in statuses.values() for status in found} == {101, 503}
        assert attack.growth() < OVERHEAD

        # After the timeout for HELLO, the places are free again. The clients have not closed their sockets.
        for client in accepted:
            assert client.receive_message()[::2] == [ABORT, TIMEOUT]
        wait_until(lambda: can_join(attack.server.port))
        attack.report()


def can_join(port: int) -> bool:
    """Return whether a new client from the first address can open a session, or is refused."""
    with Attacker(port, address=ADDRESSES[0]) as client:
        status = client.shake_hands().status
        assert status in (101, 503)
        if status == 101:
            client.say_hello()
        return status == 101


@pytest.mark.parametrize("kind", PRODUCTION)
def test_connections_that_begin_a_request_do_not_stop_the_server(kind: str, tmp_path: Path) -> None:
    with attacked("beginnings of requests", kind, "app", tmp_path) as attack, ExitStack() as stack:
        for _ in range(TRICKLES):
            client = socket.create_connection(("127.0.0.1", attack.server.port))
            stack.enter_context(client).sendall(b"G")
        wait_until(lambda: attack.sockets() == TRICKLES)
        print(f"\n{TRICKLES} connections are open")
        with Attacker(attack.server.port) as newcomer:
            newcomer.join()
        assert attack.growth() < OVERHEAD
        stack.close()
        wait_until(lambda: attack.sockets() == 0)
        attack.report()
