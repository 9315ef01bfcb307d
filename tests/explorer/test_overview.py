"""Tests of the overview of the page, with a realm on two workers, in headless Chromium."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.clients.server_process import ServerProcess, start_server
from tests.clients.wire_client import WireClient
from tests.explorer.explorer_page import ExplorerPage
from tests.specification import CALL, RESULT

# Starting a browser takes seconds on a busy machine.
pytestmark = pytest.mark.timeout(120)

APP = "tests.explorer.clustered_app:app"


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ServerProcess]]:
    # The path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="workers") as sockets:
        monkeypatch.setenv("WAMPASGI_TEST_SOCKETS", sockets)
        started: list[ServerProcess] = []
        try:
            for name in "first", "second":
                (tmp_path / name).mkdir()
                started.append(start_server("uvicorn", APP, tmp_path / name))
            yield started
        finally:
            for worker in started:
                worker.stop()


def test_overview_shows_one_worker_and_the_sum_of_all(
    browser: webdriver.Chrome, workers: list[ServerProcess]
) -> None:
    first, second = workers
    page = ExplorerPage(browser, first.url.replace("ws:", "http:").rstrip("/"), "/docs/")
    page.wait_for(lambda: page.texts(".top [role=tab]"), ["Explore", "Overview"])
    page.click("Overview")
    page.wait_for_text("[role=status]", "2 workers.")
    with WireClient(second.url) as client:
        client.join()
        page.wait_for(lambda: page.texts(".chart output")[0], "1 of 2")
        highest = "return document.querySelectorAll('.chart')[1].innerText.replaceAll(',', '')"
        for request_id in range(1, 101):
            assert client.request(CALL, request_id, {}, "math.add", [1])[0] == RESULT
        # The page itself makes one call a second, on its own worker.
        page.wait_for(lambda: float(re.findall("highest ([0-9.]+)/s", page.run(highest))[0]) > 20, True)
        lines = page.run(
            "return [...document.querySelectorAll('.chart')[1].querySelectorAll('polyline')]"
            ".map((line) => Math.min(...line.getAttribute('points').split(' ').map((p) => p.split(',')[1])))"
        )
        of_all, of_this_worker = lines
        assert of_all < 2 < of_this_worker
        page.picture("overview-workers")
    page.wait_for(lambda: page.texts(".chart output")[0], "1 of 1")
    second.stop()
    page.wait_for_text("[role=status]", "1 worker.")
    page.check_quiet()
    page.close()
