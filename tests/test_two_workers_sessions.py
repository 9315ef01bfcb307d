"""The tests of features that two sessions share, with the clients on different workers."""

from __future__ import annotations

from collections.abc import Iterator
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
    test_subscription_permissions,
    test_testaments,
)
from tests.worker_lines import over_unix_workers, running_workers

__all__ = ["running_workers"]

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
    test_subscription_permissions,
    test_testaments,
)
#: Tests that cannot mean the same with two workers. `test_two_workers` has some of their own for that.
_ONE_WORKER: Final = frozenset(
    [
        # They close or abort a client's session, or count sessions: a worker can do so only with its own.
        "test_on_leave_comes_once_however_a_session_ends",
        "test_testament_is_published_once_however_a_session_ends",
        "test_callers_need_not_wait_until_a_callee_has_answered_goodbye",
        "test_client_that_did_not_announce_revocation_must_not_be_notified",
        # A handler runs on the publisher's worker, but this one revokes subscriptions on the other.
        "test_subscribers_have_the_event_before_a_handler_of_it_takes_their_subscription_away",
        # Nobody knows which of two revocations on different workers is the last.
        "test_revoked_registration_causes_events",
        # Each worker has the realm's own procedures, and announces those that are added at run time.
        "test_procedures_that_the_server_adds_at_run_time_cause_events",
        "test_slow_watcher_is_ended_and_causes_on_leave_itself",
        # It runs the lifespan of its application itself.
        "test_on_leave_is_sent_for_sessions_closed_at_shutdown",
        # Its applications are made when the module is imported.
        "test_unknown_meta_procedure_is_no_such_procedure",
    ]
)

for _module in _MODULES:
    for _name, _test in vars(_module).items():
        if _name.startswith("test_") and _name not in _ONE_WORKER:
            globals()[_name] = _test


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Connect the clients of each test to different workers."""
    with over_unix_workers():
        yield request.param
