"""Messages in fragments that never end."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.attacks.attack import KINDS, MIB, OVERHEAD, Attack, attacked, wait_until
from tests.attacks.attacker import Attacker
from tests.transports.raw_websocket import CONTINUATION, PING, PONG, TEXT, Frame, frame

#: Fewer with uvicorn's defaults, because each of their messages takes 16 times as much.
CLIENTS = {"picows": 80, "uvicorn": 80, "uvicorn-default": 5}
#: The size of a fragment.
FRAGMENT = MIB // 64
#: The fragments that fit in a message, with some bytes left, so that uvicorn's own WebSocket takes a ping.
#: By default, uvicorn's `--ws-max-size` is 16 MiB.
FITTING = {"picows": 15, "uvicorn": 15, "uvicorn-default": 1023}
#: The server may take this many times the size of a message, with the overhead of the allocator.
COPIES = 2
MESSAGE_TOO_BIG = 1009


@pytest.mark.parametrize("kind", KINDS)
def test_unfinished_messages_take_no_more_than_their_maximal_size(kind: str, tmp_path: Path) -> None:
    clients, fitting = CLIENTS[kind], FITTING[kind]
    stored = clients * fitting * FRAGMENT
    with attacked("unfinished fragments", kind, "app", tmp_path) as attack:
        send_unfinished_messages(attack, clients, fitting)
        first = attack.growth()
        assert first < stored * COPIES + OVERHEAD
        print(
            f"\n{stored / MIB:.0f} MiB are sent twice. RSS has grown by {first / MIB:.0f} MiB the first time"
        )
        if kind != "picows":
            # The connections of uvicorn's own WebSocket are in reference cycles.
            attack.call("collect")
        # The memory of the first clients is free, so that the same number of clients needs hardly more.
        send_unfinished_messages(attack, clients, fitting)
        attack.report()
        assert attack.growth() < first + stored // 2


def send_unfinished_messages(attack: Attack, count: int, fitting: int) -> None:
    """Send the fragments that fit from each client, and then two more."""
    fragment = frame(CONTINUATION, b"x" * FRAGMENT, fin=False)
    with ExitStack() as stack:
        clients = [stack.enter_context(Attacker(attack.server.port)) for _ in range(count)]
        for client in clients:
            client.join()
            client.send(frame(TEXT, b"x" * FRAGMENT, fin=False))
            for _ in range(fitting - 1):
                client.send(fragment)
        for client in clients:
            client.send(frame(PING, b"read"))
            assert client.read_frame() == Frame(PONG, b"read")
        assert attack.sessions() == count
        for client in clients:
            with suppress(ConnectionError):
                client.send(fragment, fragment)
        assert {client.close_code() for client in clients} == {MESSAGE_TOO_BIG}
    wait_until(lambda: attack.sessions() == 0)
    wait_until(lambda: attack.sockets() == 0)
