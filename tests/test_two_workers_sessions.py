"""The tests of features that two sessions share, with the clients on different workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest

from tests.sessions import (
    test_event_history,
    test_listening,
    test_meta_calls,
    test_meta_events,
    test_meta_registrations,
    test_meta_subscriptions,
    test_publications,
    test_restricted_procedures,
    test_retained_events,
    test_revocation,
    test_routed_calls,
    test_server_session,
    test_subscription_permissions,
    test_testaments,
)
from tests.worker_lines import WorkerLine, over_unix_workers

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("running_workers")]

_MODULES: Final = (
    test_event_history,
    test_listening,
    test_meta_calls,
    test_meta_events,
    test_meta_registrations,
    test_meta_subscriptions,
    test_publications,
    test_restricted_procedures,
    test_retained_events,
    test_revocation,
    test_routed_calls,
    test_server_session,
    test_subscription_permissions,
    test_testaments,
)
_ONE_WORKER: Final[frozenset[str]] = frozenset()

for _module in _MODULES:
    for _name, _test in vars(_module).items():
        if _name.startswith("test_") and _name not in _ONE_WORKER:
            globals()[_name] = _test


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Connect the clients of each test to different workers."""
    with over_unix_workers():
        yield request.param


@pytest.fixture
async def running_workers(anyio_backend: Any) -> AsyncIterator[None]:
    """Own the lifespans of the workers."""
    async with WorkerLine.pool.run():
        yield
