from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Generator, Iterator
from typing import Literal

import pytest
from hypothesis import settings

from wampasgi.logs import FLOOD_FILTER

# A shell ignores SIGINT for programs in the background, and the programs of the tests would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: the duration of an example depends on the load of the machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


# Module scope, like the fixture of anyio that it replaces, so that async fixtures of a module can use it.
@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each test that is marked ``anyio`` on asyncio and on trio."""
    backend: str = request.param
    return backend


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Literal["asyncio", "trio"]:
    """Return the asynchronous library for a test client, which runs its own event loop."""
    chosen: Literal["asyncio", "trio"] = request.param
    return chosen


@pytest.fixture(autouse=True)
def fresh_flood_filter() -> None:
    """Reset the filter, so that the log messages of other tests do not suppress those of this test."""
    FLOOD_FILTER.forget()


@pytest.fixture
def untraced() -> Iterator[None]:
    """Run a test without measuring its coverage.

    The marker ``no_cover`` does not help here: workers of pytest-xdist are measured as subprocesses, too.
    """
    trace = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(trace)


#: The log messages for unexpected exceptions in wampasgi itself or in middleware.
_FAILURES = (
    "a session from %s could not be served",
    "%r is aborted: a message could not be handled",
)


class _Failures(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg in _FAILURES:
            self.records.append(record)


@pytest.fixture(autouse=True)
def no_failure_is_only_logged(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test if an unexpected exception was logged, even if its clients got the expected messages.

    Tests that cause such an exception on purpose are marked ``logs_failure``.
    """
    failures, logger = _Failures(), logging.getLogger("wampasgi.session")
    logger.addHandler(failures)
    yield
    logger.removeHandler(failures)
    if request.node.get_closest_marker("logs_failure") is None:
        for record in failures.records:
            assert record.exc_info is not None
            pytest.fail(f"{record.getMessage()}: {record.exc_info[1]!r}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail tests that would be skipped in CI: there everything that tests need is installed."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} would be skipped, which CI does not allow: {reason}"
    return report
