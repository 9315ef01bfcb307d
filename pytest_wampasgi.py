"""The pytest plugin of wampasgi: the fixture ``wamp_client``.

pytest imports the plugins of all installed packages when it starts, also for projects that do not use them.
So this module is not part of the package wampasgi, which it imports only for a test that uses the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from wampasgi.testing import TestClient
    from wampasgi.types import ASGIApp


@pytest.fixture
def wamp_app() -> ASGIApp:
    """Return the application that ``wamp_client`` tests. Override this fixture."""
    pytest.fail(
        "the fixture wamp_client does not know your application: add a fixture wamp_app to conftest.py that"
        " returns it",
        pytrace=False,
    )


@pytest.fixture
def wamp_client_options() -> Mapping[str, Any]:
    """Return the keyword arguments of the TestClient, such as ``{"path": "/ws"}``. Override this fixture."""
    return {}


@pytest.fixture
def wamp_client(wamp_app: ASGIApp, wamp_client_options: Mapping[str, Any]) -> Iterator[TestClient]:
    """Return a TestClient for the application of the fixture ``wamp_app``, and run the app's lifespan."""
    try:
        from wampasgi.testing import TestClient
    except (ImportError, RuntimeError) as error:  # Starlette raises RuntimeError if httpx2 is missing
        pytest.fail(
            f"the fixture wamp_client needs a package that is not installed, try "
            f"pip install 'wampasgi[test]': {error}",
            pytrace=False,
        )
    with TestClient(wamp_app, **wamp_client_options) as client:
        yield client
