"""Clients that subscribe, are sent megabytes and never read."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.attacks.attack import OVERHEAD, PRODUCTION, Attack, attacked, wait_until
from tests.attacks.attacked_app import LARGE
from tests.attacks.attacker import Attacker
from tests.specification import SUBSCRIBE, SUBSCRIBED
from wampasgi.transports.picows import WebSocketProtocol

CLIENTS = 5
#: 8 MB for each client: more than the kernel stores, and less than the default `outbound_bytes`.
EVENTS = 250

#: The picows transport, with a short timeout for clients that do not read.
QUICK = ("--ws", "tests.transports.quick_protocol:QuickProtocol")
#: Seconds until uvicorn gives up waiting for its connections.
GRACE = 2
#: In seconds, for a busy machine, but less than the usual timeout of the picows transport.
SHUTDOWN = WebSocketProtocol.close_timeout - 1
GRACEFUL = ("--timeout-graceful-shutdown", str(GRACE))


@contextmanager
def non_readers(attack: Attack) -> Iterator[list[Attacker]]:
    """Subscribe clients with small receive buffers and publish to them. They read nothing of it."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(Attacker(attack.server.port, receive_buffer=4096)) for _ in range(CLIENTS)
        ]
        for client in clients:
            client.join()
            assert client.request(SUBSCRIBE, 1, {}, "news")[0] == SUBSCRIBED
        attack.call("publish", EVENTS)
        yield clients


@pytest.mark.parametrize(("kind", "options"), [("picows", QUICK), ("uvicorn", GRACEFUL)])
def test_sigterm_ends_the_server_and_its_lifespan(
    kind: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    with attacked("SIGTERM with non-readers", kind, "app", tmp_path, *options) as attack:
        with non_readers(attack):
            attack.report()
            started = time.monotonic()
            attack.server.terminate()
            code = attack.server.wait_for_exit(SHUTDOWN)

        print(f"the server ended {time.monotonic() - started:.1f} s after SIGTERM")
        assert code in (0, -signal.SIGTERM)
        attack.server.wait_for_note("lifespan ended")


def test_sigterm_does_not_end_uvicorns_own_without_a_timeout(tmp_path: Path) -> None:
    with attacked("SIGTERM with non-readers", "uvicorn-default", "app", tmp_path) as attack:
        with non_readers(attack):
            attack.report()
            attack.server.terminate()
            with pytest.raises(AssertionError, match="has not ended within"):
                attack.server.wait_for_exit(GRACE + 1)
        attack.server.kill()

        assert "lifespan ended" not in attack.server.journal.read_text()


@pytest.mark.parametrize("kind", PRODUCTION)
@pytest.mark.parametrize(("app", "code"), [("overflowing", 1009), ("stuck", 1000)])
def test_session_of_a_client_that_does_not_read_ends(kind: str, app: str, code: int, tmp_path: Path) -> None:
    with (
        attacked(f"non-readers of an app that is {app}", kind, app, tmp_path) as attack,
        non_readers(attack) as clients,
    ):
        # Nothing more is published, and the clients still do not read.
        wait_until(lambda: attack.sessions() == 0)
        if kind == "picows":
            wait_until(lambda: attack.sockets() == 0)
        else:
            # uvicorn's own WebSocket waits until the clients have read everything.
            assert attack.sockets() == CLIENTS
        # The clients share the events that wait for them.
        assert attack.growth() < EVENTS * LARGE + OVERHEAD
        # Now they get what the kernel has stored for them, and from uvicorn's own WebSocket the rest, too.
        codes = {client.close_code() for client in clients}
        attack.report()

    assert codes == ({None} if kind == "picows" else {code})
