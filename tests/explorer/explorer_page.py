"""The page in a browser, with what tests do to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

TIMEOUT = 15.0

# It runs before the scripts of the page.
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
"""
VISIBLE = """return [...document.querySelectorAll(arguments[0])].filter((found) => found.checkVisibility())
    .map((found) => found.innerText)"""


def report(measurement: str) -> None:
    """Print a measurement, which ``pytest -s`` shows. Tests do not depend on the speed of the machine."""
    sys.stdout.write(f"\n{measurement}\n")


class ExplorerPage:
    """A tab of the browser with the page, joined to the default realm if that is possible."""

    def __init__(self, browser: webdriver.Chrome, origin: str, path: str) -> None:
        self.browser = browser
        self.origin = origin
        browser.switch_to.new_window("tab")
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        self._log()  # of earlier pages
        browser.get(origin + path)
        self.wait_for(lambda: bool(self.texts(".login, .content h1")), True)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def texts(self, selector: str) -> list[str]:
        """Return the texts of the visible elements."""
        # One script, because the page may change between two.
        texts: list[str] = self.run(VISIBLE, selector)
        return texts

    def wait_for(self, look: Callable[[], object], expected: object) -> None:
        """Wait until ``look()`` returns the expected value; a failure shows the last value."""
        try:
            WebDriverWait(self.browser, TIMEOUT, poll_frequency=0.05).until(lambda _: look() == expected)
        except TimeoutException:
            found = look()
            assert found == expected, (found, expected)

    def wait_for_text(self, selector: str, part: str) -> None:
        """Wait until one of the visible elements contains a text."""
        try:
            WebDriverWait(self.browser, TIMEOUT, poll_frequency=0.05).until(
                lambda _: part in "\n".join(self.texts(selector))
            )
        except TimeoutException:
            found = self.texts(selector)
            assert part in "\n".join(found), (part, found)

    def find(self, selector: str) -> WebElement:
        """Return the visible element that a selector finds."""
        found = [
            element
            for element in self.browser.find_elements(By.CSS_SELECTOR, selector)
            if element.is_displayed()
        ]
        assert len(found) == 1, (selector, len(found), self.texts("body"))
        return found[0]

    def control(self, name: str, within: str = "body") -> WebElement:
        """Return the visible control with an accessible name."""
        selector = ":is(button, input, select, textarea, summary, a)"
        elements = self.browser.find_elements(By.CSS_SELECTOR, f"{within} {selector}")
        visible = [element for element in elements if element.is_displayed()]
        found = [element for element in visible if element.accessible_name == name]
        assert len(found) == 1, (name, [element.accessible_name for element in visible])
        return found[0]

    def click(self, name: str, within: str = "body") -> None:
        self.control(name, within).click()

    def type(self, name: str, text: str, within: str = "body") -> None:
        """Replace the text of a control."""
        control = self.control(name, within)
        control.send_keys(Keys.CONTROL, "a")
        control.send_keys(Keys.DELETE, text)

    def choose(self, name: str, option: str, within: str = "body") -> None:
        for found in self.control(name, within).find_elements(By.TAG_NAME, "option"):
            if found.text == option:
                found.click()
                return
        raise AssertionError(f"no option {option}")

    # Sessions

    def leave(self) -> None:
        self.find(".account button").click()
        self.wait_for(lambda: self.texts(".login h1"), ["Join a realm"])

    def fill_login(self, realm: str, method: str = "Anonymous", authid: str = "", secret: str = "") -> None:
        """Fill in the login form and submit it."""
        self.type("Realm", realm)
        self.choose("Method", method)
        if secret:
            self.type("Auth ID", authid)
            self.run("document.querySelector('.secret input').value = ''")
            self.find(".secret input").send_keys(secret)
        self.click("Join")

    def join(self, realm: str) -> None:
        """Join another realm as anonymous."""
        if self.texts(".account button"):
            self.leave()
        self.fill_login(realm)
        self.wait_for(lambda: self.fact("realm"), realm)
        self.wait_for(lambda: len(self.texts(".directory")), 1)

    def fact(self, name: str) -> str | None:
        """Return a fact about the session: user, role, realm or session."""
        texts = self.texts(f".account .{name} dd")
        return texts[0] if texts else None

    # Windows

    @contextmanager
    def window(self, width: int, height: int, *, mobile: bool = False) -> Iterator[None]:
        """Give the page another size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        try:
            yield
        finally:
            self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def box(self, selector: str) -> dict[str, float]:
        """Return the left, right, top and bottom of the visible element, in the window."""
        box: dict[str, float] = self.run(
            "return arguments[0].getBoundingClientRect().toJSON()", self.find(selector)
        )
        return box

    # Entries

    def uris(self) -> list[str]:
        return self.texts(".directory .uri")

    def open(self, link: str) -> None:
        """Follow a link into the page, and wait for the panel."""
        self.run("location.hash = arguments[0]", link)
        title = link.partition("?")[0].rpartition("/")[2]
        self.wait_for(lambda: self.texts(".content h1"), [title])

    def call(self) -> None:
        self.click("Call", ".panel")

    def result(self) -> str:
        return "\n".join(self.texts(".outcome > .result"))

    def arguments(self) -> Any:
        """Return the arguments in the form, read from its JSON tab."""
        self.click("JSON", ".arguments")
        texts = self.run(
            "return [...document.querySelectorAll('.arguments textarea')]"
            ".filter((found) => found.checkVisibility()).map((found) => JSON.parse(found.value))"
        )
        self.click("Form", ".arguments")
        return texts

    # The end

    def picture(self, name: str) -> None:
        """Save a screenshot if WAMPASGI_PICTURES names a folder."""
        folder = os.environ.get("WAMPASGI_PICTURES")
        if folder is not None:
            self.browser.save_screenshot(str(Path(folder) / f"{name}.png"))

    def check_quiet(self) -> None:
        """Fail if the page has violated its policy, written a log, or left its origin."""
        assert self.run("return violations") == []
        logged = self._log()
        assert logged == [], logged
        requests = self.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        assert requests
        assert [url for url in requests if not url.startswith(f"{self.origin}/")] == []

    def _log(self) -> list[str]:
        entries: list[dict[str, Any]] = self.browser.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries]

    def close(self) -> None:
        self.browser.close()
        self.browser.switch_to.window(self.browser.window_handles[0])
