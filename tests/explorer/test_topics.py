"""Tests of the topics and events of the page in headless Chromium."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.explorer.explorer_page import ExplorerPage, report

# Starting a browser takes seconds on a busy machine.
pytestmark = pytest.mark.timeout(120)

Open = Callable[..., ExplorerPage]


def test_events_of_two_topics_arrive(open_explorer: Open) -> None:
    page = open_explorer()
    for topic in "shop.ordered", "events.number":
        page.open(f"#/topic/{topic}")
        page.click("Subscribe")
        page.wait_for(lambda: page.texts(".subscribe button"), ["Unsubscribe"])
    page.open("#/shop.order")
    page.click("Two cups")
    page.call()
    page.wait_for(lambda: page.texts(".event .topic"), ["shop.ordered"])
    page.open("#/events.publish?events=2")
    page.call()
    page.wait_for(lambda: page.texts(".event code"), ["1", "0", '"Ulm", 2'])
    page.type("Filter events", "ulm")
    page.wait_for(lambda: page.texts(".event .topic"), ["shop.ordered"])
    page.find(".event summary").click()
    page.wait_for_text(".event .result", "Ulm")
    page.click("Unsubscribe from shop.ordered")
    page.wait_for(lambda: page.texts(".chips .topic"), ["events.number"])


def test_paused_list_counts_on(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/topic/events.number")
    page.click("Subscribe")
    page.open("#/events.publish?events=5")
    page.click("Pause")
    page.call()
    page.wait_for_text(".dock header", "5 received")
    assert page.texts(".event") == []
    page.click("Resume")
    page.wait_for(lambda: len(page.texts(".event")), 5)
    page.click("Clear")
    page.wait_for(lambda: page.texts(".event"), [])


def test_pattern_is_subscribed_to_and_published_to(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/topic/prefix/sensors.")
    page.choose("Match", "prefix")
    page.click("Subscribe", ".subscribe")
    page.wait_for(lambda: page.texts(".chips .badge"), ["prefix"])
    page.type("Topic", "sensors.hall", ".publish")
    page.type("value", "21.5", ".publish")
    page.click("Publish", ".publish")
    page.wait_for_text(".publish .notice", "Published, publication ID")
    page.wait_for(lambda: page.texts(".event .topic"), ["sensors.hall"])


def test_one_topic_of_a_pattern_is_subscribed_to(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/topic/prefix/sensors.")
    page.type("Topic", "sensors.cellar", ".subscribe")
    page.click("Subscribe", ".subscribe")
    page.wait_for(lambda: page.texts(".chips .topic"), ["sensors.cellar"])
    page.type("value", "1", ".publish")
    for topic in "sensors.hall", "sensors.cellar":
        page.type("Topic", topic, ".publish")
        page.click("Publish", ".publish")
    page.wait_for(lambda: page.texts(".event .topic"), ["sensors.cellar"])


def test_topic_of_a_pattern_begins_with_the_example_of_its_description(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/topic/prefix/shop.shelves.")
    topic = page.control("Topic", ".subscribe")
    assert topic.get_property("value") == "shop.shelves.left"
    assert page.texts(".subscribe small")[0].endswith("begins with shop.shelves., such as shop.shelves.left")
    page.choose("Match", "prefix")
    assert topic.get_property("value") == "shop.shelves."
    page.choose("Match", "exact")
    assert topic.get_property("value") == "shop.shelves.left"
    page.click("Subscribe")
    page.wait_for(lambda: page.texts(".chips .topic"), ["shop.shelves.left"])


def test_publishing_is_beside_subscribing_in_a_wide_window(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/topic/prefix/sensors.")
    assert page.box(".publish")["top"] > page.box(".subscribe")["bottom"]
    with page.window(1300, 700):
        assert page.box(".publish")["left"] > page.box(".subscribe")["right"]
        assert page.box(".publish .primary")["bottom"] < 700


def test_incomplete_topic_is_not_subscribed_to(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/topic/prefix/sensors.")
    page.click("Subscribe", ".subscribe")
    page.wait_for_text(".subscribe .result", "sensors. is only a part of a URI: complete it.")
    assert page.browser.switch_to.active_element.accessible_name == "Topic"
    assert page.texts(".dock") == []


def test_refused_publication_and_subscription_are_shown(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/topic/shop.secret")
    page.click("Subscribe", ".subscribe")
    page.wait_for_text(".subscribe .result", "wamp.error.not_authorized")
    page.click("Publish", ".publish")
    page.wait_for_text(".publish .result", "wamp.error.not_authorized")
    assert page.texts(".dock") == []


def test_unreadable_publication_is_not_sent(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/topic/prefix/sensors.")
    page.type("Topic", "sensors.hall", ".publish")
    page.type("value", "warm", ".publish")
    page.click("Publish", ".publish")
    page.wait_for(lambda: len(page.texts('.publish [aria-invalid="true"]')), 1)
    assert page.texts(".publish .notice") == []


def test_page_stays_responsive_at_a_thousand_events_a_second(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/topic/events.number")
    page.click("Subscribe")
    page.open("#/events.publish?events=3000")
    page.run(
        "window.gaps = []; let last = performance.now();"
        "const step = (now) => { gaps.push(now - last); last = now; requestAnimationFrame(step) };"
        "requestAnimationFrame(step)"
    )
    page.call()
    page.wait_for_text(".dock header", "3000 received")
    assert len(page.texts(".event")) == 500
    gaps = sorted(page.run("return gaps"))
    report(f"frames at 1,000 events/s: median {gaps[len(gaps) // 2]:.0f} ms, longest {gaps[-1]:.0f} ms")
