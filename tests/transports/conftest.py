from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.transports.echo_client import APP, EchoServer
from tests.transports.uvicorn_server import TRANSPORTS, uvicorn_server

#: In bytes. The longest message that the echo servers receive.
MAX_SIZE = 200_000
# Pings would be unexpected frames for a test that waits longer than their interval.
_OPTIONS = ("--ws-max-size", str(MAX_SIZE), "--ws-ping-interval", "0")


class EchoServers:
    """Servers that tests share, each started when it is first used."""

    def __init__(self, stack: ExitStack, factory: pytest.TempPathFactory) -> None:
        self._stack = stack
        self._factory = factory
        self._started: dict[tuple[str, ...], EchoServer] = {}

    def start(self, kind: str, *options: str) -> EchoServer:
        """Return the server of a kind with additional options."""
        started = self._started.get((kind, *options))
        if started is None:
            folder = self._factory.mktemp(kind)
            process = self._stack.enter_context(uvicorn_server(kind, APP, folder, *_OPTIONS, *options))
            started = self._started[kind, *options] = EchoServer(kind, process)
        return started


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
    return echo_servers.start(kind)
