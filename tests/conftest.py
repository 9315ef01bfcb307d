from __future__ import annotations

import pytest
from hypothesis import settings

from wampasgi.logs import FLOOD_FILTER

# An example that takes longer than most says something of the machine, not of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


# Module scope is that of the fixture it replaces, so that async fixtures of a module can ask for it.
@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop that a test marked ``anyio`` runs on: each test runs on both."""
    backend: str = request.param
    return backend


@pytest.fixture(autouse=True)
def fresh_flood_filter() -> None:
    """What other tests have logged leaves nothing out here."""
    FLOOD_FILTER.forget()
