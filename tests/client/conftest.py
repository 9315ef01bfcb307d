from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.clients.server_process import ServerProcess, start_server

SERVED_APP = "tests.client.served_app:app"


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], ServerProcess]]:
    """A function that returns the server of a kind that all tests of the client share."""
    started: dict[str, ServerProcess] = {}

    def server_of(kind: str) -> ServerProcess:
        if kind not in started:
            started[kind] = start_server(kind, SERVED_APP, tmp_path_factory.mktemp(kind))
        return started[kind]

    try:
        yield server_of
    finally:
        for server in started.values():
            server.kill()


@pytest.fixture
def server(servers: Callable[[str], ServerProcess]) -> ServerProcess:
    """A uvicorn that all tests of the client share."""
    return servers("uvicorn")
