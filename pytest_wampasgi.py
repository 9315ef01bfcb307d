"""The pytest plugin of wampasgi: the fixtures ``wamp_client`` and ``wamp_async_client``.

pytest imports the plugins of all installed packages when it starts, also for projects that do not use them.
So this module is not part of the package wampasgi, which it imports only for a test that uses a fixture.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

    from wampasgi.testing import AsyncTestClient, TestClient
    from wampasgi.types import ASGIApp


@pytest.fixture
def wamp_app() -> ASGIApp:
    """Return the application that the fixtures test. Override this fixture."""
    pytest.fail(
        "the fixtures wamp_client and wamp_async_client do not know your application: add a fixture wamp_app"
        " to conftest.py that returns it",
        pytrace=False,
    )


@pytest.fixture
def wamp_client_options() -> Mapping[str, Any]:
    """Return the keyword arguments of the TestClient, such as ``{"path": "/ws"}``. Override this fixture."""
    return {}


@pytest.fixture
def wamp_client(wamp_app: ASGIApp, wamp_client_options: Mapping[str, Any]) -> Iterator[TestClient]:
    """Return a TestClient for the application of the fixture ``wamp_app``, and run the app's lifespan."""
    with _testing().TestClient(wamp_app, **wamp_client_options) as client:
        yield client


@pytest.fixture
def wamp_async_client_options() -> Mapping[str, Any]:
    """Return the keyword arguments of the AsyncTestClient. Override this fixture."""
    return {}


@pytest.fixture
async def wamp_async_client(
    wamp_app: ASGIApp, wamp_async_client_options: Mapping[str, Any]
) -> AsyncIterator[AsyncTestClient]:
    """Return an AsyncTestClient for the application of the fixture ``wamp_app``, and run the app's lifespan.

    It is for tests that are coroutines, with anyio's pytest plugin.
    """
    async with _testing().AsyncTestClient(wamp_app, **wamp_async_client_options) as client:
        yield client


def _testing() -> ModuleType:
    try:
        from wampasgi import testing
    except (ImportError, RuntimeError) as error:  # Starlette raises RuntimeError if httpx2 is missing
        pytest.fail(
            f"the fixtures of wampasgi need a package that is not installed, try "
            f"pip install 'wampasgi[test]': {error}",
            pytrace=False,
        )
    return testing
