"""Headless Chromium for tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver


@contextmanager
def open_browser(profile: Path, *, window_size: str = "900,900") -> Iterator[webdriver.Chrome]:
    """Start headless Chromium, or skip the test if it is not installed.

    ``profile`` is an empty folder, and ``window_size`` is in pixels.
    """
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("Chromium or its driver is not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for switch in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        # Prevent connections to the servers of the browser's vendor.
        "disable-quic",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "no-first-run",
        f"window-size={window_size}",
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{switch}")
    # Given both paths, Selenium does not try to download anything.
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()
