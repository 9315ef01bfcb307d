"""A browser, and the server of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from selenium import webdriver

from tests.chromium import open_browser
from tests.clients.server_process import ServerProcess, start_server
from tests.explorer.explorer_page import ExplorerPage
from tests.explorer.form_page import FormPage, serve_page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with open_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="module")
def opened_form_page(browser: webdriver.Chrome) -> Iterator[FormPage]:
    with serve_page() as url:
        yield FormPage(browser, url)


@pytest.fixture
def page(opened_form_page: FormPage) -> Iterator[FormPage]:
    """Open the page for forms and trees; at the end, check that it has kept to its policy."""
    yield opened_form_page
    opened_form_page.check_quiet()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("server")
    server = start_server("uvicorn", "tests.explorer.explored_app:app", folder)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def open_explorer(browser: webdriver.Chrome, server: ServerProcess) -> Iterator[Callable[..., ExplorerPage]]:
    """Open the page; at the end, check that it has kept to its policy and to its origin."""
    pages: list[ExplorerPage] = []

    def open_explorer(path: str = "/docs/", *, realm: str | None = None) -> ExplorerPage:
        page = ExplorerPage(browser, server.url.replace("ws:", "http:").rstrip("/"), path)
        pages.append(page)
        if realm is not None:
            page.join(realm)
        return page

    yield open_explorer
    for page in pages:
        page.check_quiet()
        page.close()
