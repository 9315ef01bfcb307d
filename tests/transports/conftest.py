from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.transports.echo_client import APP, EchoServer
from tests.transports.uvicorn_server import TRANSPORTS, uvicorn_server

#: In bytes. The longest message that the echo servers receive.
MAX_SIZE = 200_000


class EchoServers:
    """One server of each kind, started when it is first used."""

    def __init__(self, stack: ExitStack, factory: pytest.TempPathFactory) -> None:
        self._stack = stack
        self._factory = factory
        self._started: dict[str, EchoServer] = {}

    def of_kind(self, kind: str) -> EchoServer:
        """Return the server of a kind."""
        if kind not in self._started:
            folder = self._factory.mktemp(kind)
            # Pings would be unexpected frames for a test that waits longer than their interval.
            options = ("--ws-max-size", str(MAX_SIZE), "--ws-ping-interval", "0")
            process = self._stack.enter_context(uvicorn_server(kind, APP, folder, *options))
            self._started[kind] = EchoServer(kind, process)
        return self._started[kind]


@pytest.fixture(scope="session")
def echo_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EchoServers]:
    with ExitStack() as stack:
        yield EchoServers(stack, tmp_path_factory)


@pytest.fixture(params=list(TRANSPORTS))
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of a transport: each test runs on all of them."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def server(kind: str, echo_servers: EchoServers) -> EchoServer:
    """A server of `echo_app` that all tests share."""
    return echo_servers.of_kind(kind)
