from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import txaio

from tests.clients.server_process import BOTH_TRANSPORTS, ServerProcess, start_server

# Autobahn's serializers bind a function of the framework when they are imported.
txaio.use_asyncio()  # type: ignore[no-untyped-call]

StartServer = Callable[..., ServerProcess]

OWN_SERVERS = pytest.StashKey[list[ServerProcess]]()

SERVED_APP = "tests.clients.served_app:app"
AUTH_APP = "tests.clients.auth_served_app:app"
GOODBYE_APP = "tests.clients.goodbye_app:app"


@pytest.fixture(scope="module")
def app() -> str:
    """The application of `server`; a module may override this fixture."""
    return SERVED_APP


@pytest.fixture(scope="module")
def servers(app: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """A function that returns the server of a kind that the tests of one module share."""
    started: dict[str, ServerProcess] = {}

    def server_of(kind: str) -> ServerProcess:
        if kind not in started:
            started[kind] = start_server(kind, app, tmp_path_factory.mktemp(kind))
        return started[kind]

    try:
        yield server_of
        for server in started.values():
            assert "could not be served" not in server.log, server.log
            server.stop()
    finally:
        for server in started.values():
            server.kill()


# Not the fixture that starts a server: pytest alternates between the values of module-scoped parameters, and
# would start a server at each change.
@pytest.fixture(scope="module", params=BOTH_TRANSPORTS)
def server(request: pytest.FixtureRequest, servers: StartServer) -> ServerProcess:
    """A uvicorn that the tests of one module share, with either transport."""
    return servers(request.param)


@pytest.fixture
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartServer]:
    """A function that starts a server for one test, as in `own_server("uvicorn")`; the test may stop it."""
    started: list[ServerProcess] = []
    request.node.stash[OWN_SERVERS] = started

    def start(kind: str, app: str = SERVED_APP, *, port: int = 0) -> ServerProcess:
        server = start_server(kind, app, tmp_path, port)
        started.append(server)
        return server

    yield start
    for server in started:
        server.kill()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of its servers to the report of a failed test."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        shared = [value for value in item.funcargs.values() if isinstance(value, ServerProcess)]
        for server in shared + item.stash.get(OWN_SERVERS, []):
            report.sections.append((f"log of {server.kind}", server.log))
    return report
