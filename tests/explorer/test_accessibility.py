"""Tests of the contrast, the names and the order of the controls of the page, in headless Chromium."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.auth.peers import SECRET
from tests.explorer.explorer_page import ExplorerPage

# Starting a browser takes seconds on a busy machine.
pytestmark = pytest.mark.timeout(120)

Open = Callable[..., ExplorerPage]

#: The least contrast of text in WCAG 2, level AA.
LEAST_CONTRAST = 4.5
CONTRAST = Path(__file__).with_name("contrast.js").read_text()

CONTROLS = {
    *("button", "checkbox", "combobox", "DisclosureTriangle", "link", "listbox", "searchbox", "spinbutton"),
    *("switch", "tab", "textbox"),
}
TABBABLE = "a[href], button:enabled, input, select, textarea, summary"


def open_welcome(page: ExplorerPage) -> None:
    page.wait_for_text(".content", "Choose a procedure")


def open_result(page: ExplorerPage) -> None:
    page.open("#/shop.order")
    page.click("Two cups")
    page.call()
    page.wait_for_text(".result", "items: 2")
    for part in "Copy as", "Result type", "Errors":
        page.click(part)


def open_error(page: ExplorerPage) -> None:
    page.open('#/shop.order?lines=[{"sku":"cup","quantity":-1}]&address={"city":"Ulm"}')
    page.call()
    page.wait_for_text(".result", "wamp.error.invalid_argument")


def open_progress(page: ExplorerPage) -> None:
    page.open("#/shop.list")
    page.call()
    page.wait_for_text(".result", "2")


def open_events(page: ExplorerPage) -> None:
    page.open("#/topic/prefix/sensors.")
    page.choose("Match", "prefix")
    page.click("Subscribe", ".subscribe")
    page.type("Topic", "sensors.hall", ".publish")
    page.type("value", "21.5", ".publish")
    page.click("Publish", ".publish")
    page.wait_for(lambda: page.texts(".event .topic"), ["sensors.hall"])
    page.find(".event summary").click()
    page.wait_for_text(".event .result", "21.5")


def open_any_uri(page: ExplorerPage) -> None:
    page.click("call a URI")
    page.wait_for_text(".content h1", "Any procedure")


def open_login(page: ExplorerPage) -> None:
    page.leave()
    page.fill_login("ticket", "Ticket", "joe", "wrong")
    page.wait_for_text(".login [role=alert]", "wamp.error.authentication_failed")


def open_undescribed(page: ExplorerPage) -> None:
    page.join("closed")
    page.wait_for_text(".content", "No description")


def open_tables(page: ExplorerPage) -> None:
    page.join("plain")
    page.wait_for(lambda: page.texts(".top [role=tab]"), ["Explore", "Meta", "Overview"])
    page.click("Meta")
    page.wait_for(lambda: page.texts("tbody .badge"), ["this page"])


def open_charts(page: ExplorerPage) -> None:
    page.leave()
    page.fill_login("ticket", "Ticket", "joe", SECRET)
    page.wait_for(lambda: page.texts(".top [role=tab]"), ["Explore", "Meta", "Overview"])
    page.click("Overview")
    page.wait_for_text(".chart output", "/s")


VIEWS = [
    open_welcome,
    open_result,
    open_error,
    open_progress,
    open_events,
    open_any_uri,
    open_login,
    open_undescribed,
    open_tables,
    open_charts,
]
each_view = pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__.removeprefix("open_"))


@each_view
def test_text_has_enough_contrast(open_explorer: Open, view: Callable[[ExplorerPage], None]) -> None:
    page = open_explorer()
    # Colors would change slowly otherwise.
    reduced = {"name": "prefers-reduced-motion", "value": "reduce"}
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [reduced]})
    # In this width, everything is shown.
    with page.window(1400, 900):
        view(page)
        for theme in "light", "dark":
            page.run("document.documentElement.dataset.theme = arguments[0]", theme)
            found = page.run(CONTRAST, LEAST_CONTRAST)
            assert found["count"] > 10
            assert found["low"] == [], theme
            page.picture(f"{view.__name__}-{theme}")


def accessibility_tree(page: ExplorerPage) -> list[tuple[str, str, bool]]:
    """Return the role, the name and whether it has the focus in reach, of each node."""
    page.browser.execute_cdp_cmd("Accessibility.enable", {})
    nodes: list[dict[str, Any]] = page.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    return [
        (
            node["role"]["value"],
            node.get("name", {}).get("value", ""),
            any(found["name"] == "focusable" for found in node["properties"]),
        )
        for node in nodes
        if not node["ignored"] and "properties" in node
    ]


@each_view
def test_screen_readers_get_names_and_landmarks(
    open_explorer: Open, view: Callable[[ExplorerPage], None]
) -> None:
    page = open_explorer()
    view(page)
    tree = accessibility_tree(page)
    controls = [(role, name) for role, name, focusable in tree if role in CONTROLS or focusable]
    assert len(controls) > 5
    assert [control for control in controls if not control[1].strip() and control[0] != "main"] == []
    landmarks = [(role, name) for role, name, _ in tree if role in {"banner", "main", "navigation"}]
    explore = [("navigation", "Procedures and topics")] if page.texts(".directory") else []
    assert landmarks == [("banner", ""), ("main", ""), *explore]
    if view is open_events:
        assert ("region", "Events", False) in tree
    if view is open_result:
        assert ("region", "Outcome", False) in tree


@each_view
def test_tab_key_reaches_all_controls_in_order(
    open_explorer: Open, view: Callable[[ExplorerPage], None]
) -> None:
    page = open_explorer()
    view(page)
    expected = page.run(
        "return [...document.querySelectorAll(arguments[0])].filter((found) =>"
        " found.tabIndex >= 0 && found.checkVisibility({visibilityProperty: true}))",
        TABBABLE,
    )
    assert len(expected) > 3
    page.run("document.activeElement.blur(); document.querySelector('.skip').focus()")
    reached = [page.browser.switch_to.active_element]
    for _ in expected[1:]:
        reached[-1].send_keys(Keys.TAB)
        active = page.browser.switch_to.active_element
        # Chromium also stops at parts that scroll.
        while not page.run("return arguments[0].matches(arguments[1])", active, TABBABLE):
            active.send_keys(Keys.TAB)
            active = page.browser.switch_to.active_element
        reached.append(active)
    assert reached == expected
