"""Tests of the page in headless Chromium, with a server of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from tests.auth.peers import SECRET
from tests.clients.server_process import ServerProcess, start_server
from tests.clients.wire_client import WireClient
from tests.explorer.explored_app import MANY
from tests.explorer.explorer_page import ExplorerPage, report
from tests.specification import CALL, GOODBYE, HELLO, REGISTER, RESULT

# Starting a browser takes seconds on a busy machine.
pytestmark = pytest.mark.timeout(120)

Open = Callable[..., ExplorerPage]

# Calls


def test_call_shows_the_result_and_its_time(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/math.add")
    page.type("a", "2")
    page.call()
    page.wait_for_text(".result", "2")
    assert page.texts(".elapsed")[0].endswith(" ms")
    assert page.texts(".content h1") == ["math.add"]
    assert page.texts(".lead") == ["Add two numbers"]


def test_error_of_the_procedure_is_shown_with_its_description(open_explorer: Open) -> None:
    page = open_explorer()
    page.open('#/shop.order?lines=[{"sku":"rare"}]&address={"city":"Ulm"}')
    page.call()
    page.wait_for_text(".result", "com.shop.sold_out")
    for part in "An item is sold out.", "Too late", "left: 0":
        assert part in page.result()


def test_types_of_results_and_errors_are_described(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/shop.order")
    page.click("Result type")
    page.wait_for_text(".shape", "map of integer")
    page.click("Errors")
    page.wait_for_text(".part h3", "com.shop.sold_out")
    assert [name for name in page.texts(".shape .name") if name] == ["sku", "left"]
    page.open("#/topic/shop.ordered")
    page.wait_for(lambda: page.texts(".shape .name, .shape .type"), ["[0]", "text", "[1]", "integer"])


def test_invalid_argument_is_shown_at_its_field(open_explorer: Open) -> None:
    page = open_explorer()
    page.open('#/shop.order?lines=[{"sku":"cup","quantity":-1}]&address={"city":"Ulm"}')
    page.call()
    page.wait_for_text(".result", "wamp.error.invalid_argument")
    marked = page.find('.arguments [aria-invalid="true"]')
    assert marked.accessible_name == "quantity"
    page.wait_for(lambda: page.run("return document.activeElement === arguments[0]", marked), True)


def test_unreadable_field_is_not_sent(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/math.add")
    page.type("a", "two")
    page.call()
    page.wait_for(lambda: len(page.texts('.arguments [aria-invalid="true"]')), 1)
    assert page.texts(".result .message") == []


def test_example_fills_the_form(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/shop.order")
    page.click("Two cups")
    page.call()
    page.wait_for_text(".result", "items: 2")


def test_progress_is_a_bar_for_numbers_and_a_list_for_other_values(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/shop.count")
    page.call()
    page.wait_for_text(".result", "42")
    assert page.texts(".progress output") == ["100 %"]
    page.open("#/shop.list")
    page.call()
    page.wait_for_text(".result", "2")
    assert page.texts(".progress li") == ['"right"', '"left"']


def test_running_call_is_canceled(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/shop.count?shelves=1000")
    page.call()
    page.wait_for(lambda: page.run("return document.querySelector('.progress progress')?.value > 0"), True)
    page.click("Cancel")
    page.wait_for_text(".result", "wamp.error.canceled")
    assert page.control("Call", ".panel").is_enabled()


def test_timeout_ends_a_call(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/shop.wait")
    page.type("Timeout in seconds", "0.1")
    page.call()
    page.wait_for_text(".result", "wamp.error.timeout")


def test_pattern_is_called_with_a_concrete_uri(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/prefix/shop.report.")
    assert page.texts(".kind .badge") == ["prefix"]
    assert page.control("Procedure").get_property("value") == "shop.report.weekly"
    page.type("Procedure", "shop.report.daily")
    page.call()
    page.wait_for_text(".result", "a report")


def test_any_uri_can_be_called(open_explorer: Open) -> None:
    page = open_explorer()
    page.click("call a URI")
    page.type("Procedure", "shop.nothing")
    page.call()
    page.wait_for_text(".result", "wamp.error.no_such_procedure")


def test_large_integers_keep_their_digits(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/math.add?a=9007199254740993")
    page.call()
    page.wait_for_text(".result", "9007199254740993")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("Python", 'session.call("text.repeat", "it\'s", 2)'),
        ("TypeScript", 'await session.call("text.repeat", ["it\'s", 2])'),
        ("Command line", "wampasgi call text.repeat 'it'\\''s' 2 --url ws://"),
    ],
)
def test_call_is_copied_in_other_languages(open_explorer: Open, language: str, text: str) -> None:
    page = open_explorer()
    page.open("#/text.repeat?text=it's&times=2")
    page.click("Copy as")
    page.choose("Language", language)
    page.wait_for_text(".copy code", text)


@pytest.mark.parametrize(
    ("text", "word"), [('"x"', """'\\"x"'"""), ("\\a", "'\\\\a'"), ("@home", "'\\@home'"), ("007", "007")]
)
def test_text_with_a_meaning_for_the_command_line_is_copied_as_text(
    open_explorer: Open, text: str, word: str
) -> None:
    page = open_explorer()
    page.open("#/text.repeat?times=2")
    page.type("text", text)
    page.click("Copy as")
    page.choose("Language", "Command line")
    page.wait_for_text(".copy code", f"wampasgi call text.repeat {word} 2 --url ws://")


def test_only_the_edited_field_is_marked_while_somebody_types(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/text.repeat")
    page.click("Copy as")
    page.wait_for_text(".copy code", "text: Enter a value.")
    page.type("times", "x")
    page.wait_for(lambda: page.texts(".arguments .error"), ["Enter an integer."])
    page.type("times", "3")
    page.wait_for(lambda: page.texts(".arguments .error"), [])
    page.type("text", "a")
    page.wait_for_text(".copy code", '"text.repeat", "a", 3')


# Links


def test_link_fills_the_form_and_never_calls(open_explorer: Open) -> None:
    page = open_explorer("/docs/#/text.repeat?text=007&times=3")
    page.wait_for(lambda: page.texts(".content h1"), ["text.repeat"])
    assert page.arguments() == [["007", 3], {}]
    assert page.result() == ""
    page.call()
    page.wait_for_text(".result", "007007007")
    assert page.browser.current_url.endswith("#/text.repeat")


def test_copied_link_has_the_arguments(open_explorer: Open) -> None:
    page = open_explorer()
    page.run("navigator.clipboard.writeText = async (text) => { window.copied = text }")
    page.open("#/text.repeat")
    page.type("text", "a b&c")
    page.click("Copy as")
    page.click("Copy link")
    page.wait_for(lambda: page.run("return window.copied"), f"{page.origin}/docs/#/text.repeat?0=a+b%26c")
    page.open("#/math.add")
    page.run("location.href = window.copied")
    page.wait_for(lambda: page.texts(".content h1"), ["text.repeat"])
    assert page.arguments() == [["a b&c"], {}]


def test_description_cannot_contain_markup_or_scripts(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/shop.order")
    page.wait_for_text(".prose", "The customer pays when it is shipped. <b>No</b> script.")
    assert page.texts(".prose strong") == ["customer"]
    assert page.texts(".prose b, .prose a") == []


# Entries that sessions may see


def test_role_sees_only_what_it_may_use(open_explorer: Open) -> None:
    page = open_explorer()
    assert "shop.reset" not in page.uris()
    assert page.texts(".top [role=tab]") == []
    page.leave()
    page.fill_login("ticket", "Ticket", "joe", SECRET)
    page.wait_for(lambda: "manage" in page.uris(), True)
    page.wait_for(lambda: page.texts(".top [role=tab]"), ["Explore", "Meta", "Overview"])


def test_refused_description_says_what_to_set_and_allows_calls(open_explorer: Open) -> None:
    page = open_explorer(realm="closed")
    page.wait_for_text(
        ".content", 'realm.allow("wamp.reflection.", "call", match="prefix", role="anonymous")'
    )
    page.open("#/echo")
    page.type("args", '["hello"]')
    page.call()
    page.wait_for_text(".result", "hello")


def test_procedures_of_clients_appear_and_disappear(open_explorer: Open, server: ServerProcess) -> None:
    page = open_explorer()
    page.open("#/math.add")
    page.type("a", "5")
    with WireClient(server.url + "ws") as client:
        client.request(HELLO, "default", {"roles": {"callee": {}}})
        client.request(REGISTER, 1, {}, "clients.echo")
        page.wait_for(lambda: "clients.echo" in page.uris(), True)
        assert page.texts(".entry .badge.note") == ["client"]
        # The form that was open has kept its contents.
        assert page.arguments() == [[5], {}]
    page.wait_for(lambda: "clients.echo" in page.uris(), False)


def test_arguments_are_kept_when_the_description_of_a_procedure_changes(
    open_explorer: Open, server: ServerProcess
) -> None:
    page = open_explorer()
    page.open("#/clients.add")
    page.type("kwargs", '{"a": 5}')
    definition = {
        "summary": "Add numbers of a client",
        "parameters": [
            {"name": "a", "kind": "keyword_only", "required": True, "schema": {"type": "integer"}}
        ],
    }
    with WireClient(server.url + "ws") as client:
        client.request(HELLO, "default", {"roles": {"callee": {}, "caller": {}}})
        client.request(REGISTER, 1, {}, "clients.add")
        answer = client.request(CALL, 2, {}, "wamp.reflection.define", ["clients.add", definition])
        assert answer[0] == RESULT, answer
        page.click("Refresh description")
        page.wait_for(lambda: page.texts(".lead"), ["Add numbers of a client"])
        assert page.arguments() == [[], {"a": 5}]


def test_sessions_are_listed_and_closed_after_a_question(open_explorer: Open, server: ServerProcess) -> None:
    page = open_explorer(realm="plain")
    page.wait_for(lambda: page.texts(".top [role=tab]"), ["Explore", "Meta", "Overview"])
    with WireClient(server.url + "ws") as client:
        session_id = client.join("plain")
        page.click("Meta")
        page.wait_for(lambda: page.texts("tbody .badge"), ["this page"])
        page.click(f"Close session {session_id}")
        page.wait_for_text("dialog", f"Close session {session_id} of")
        page.click("Keep it")
        assert page.texts("dialog") == []
        page.click(f"Close session {session_id}")
        page.click("Close session")
        page.wait_for_text("[role=status]", f"Session {session_id} is closed.")
        assert client.receive()[0] == GOODBYE
    assert "math.add" in page.texts("tbody th")


def test_overview_polls_the_metrics_only_while_it_is_visible(open_explorer: Open) -> None:
    page = open_explorer(realm="plain")
    page.wait_for(lambda: page.texts(".top [role=tab]"), ["Explore", "Meta", "Overview"])
    page.run(
        "window.polls = []; const { send } = WebSocket.prototype;"
        "WebSocket.prototype.send = function (text) {"
        "if (text.includes('wamp.metrics.get')) polls.push(performance.now()); send.call(this, text) }"
    )
    page.click("Overview")
    page.wait_for(lambda: len(page.texts(".chart")), 6)
    page.wait_for(lambda: page.run("return polls.length") >= 3, True)
    page.wait_for_text(".chart output", "/s")
    assert page.texts(".chart output")[0] == "1"
    page.picture("overview")
    page.click("Explore")
    polls, now = page.run("return [polls.length, performance.now()]")
    page.wait_for(lambda: page.run("return performance.now()") > now + 1500, True)
    assert page.run("return polls.length") == polls


# Places


@pytest.mark.parametrize("path", ["/docs/", "/inner/area/docs/", "/proxy/docs/", "/proxy/inner/area/docs/"])
def test_page_works_in_mounts_and_behind_a_proxy_with_a_prefix(open_explorer: Open, path: str) -> None:
    page = open_explorer(path)
    page.wait_for(lambda: page.fact("role"), "anonymous")
    page.open("#/math.add?a=1")
    page.call()
    page.wait_for_text(".result", "1")


def test_application_serves_the_page_for_its_own_websocket(open_explorer: Open) -> None:
    page = open_explorer("/own/docs/")
    page.wait_for(lambda: page.fact("role"), "anonymous")
    page.wait_for_text(".content", f"{page.origin.replace('http', 'ws')}/own/")


@pytest.mark.parametrize("prefix", ["/api"])
def test_page_works_under_a_root_path(browser: webdriver.Chrome, tmp_path: Path, prefix: str) -> None:
    app = "tests.explorer.explored_app:app"
    server = start_server("uvicorn", app, tmp_path, options=["--root-path", prefix])
    try:
        page = ExplorerPage(browser, f"http://127.0.0.1:{server.port}", "/docs/")
        page.wait_for(lambda: page.fact("role"), "anonymous")
        page.close()
    finally:
        server.stop()


# Many entries, small screens, the keyboard


def test_filter_finds_one_of_many_procedures(open_explorer: Open) -> None:
    page = open_explorer(realm="many")
    page.wait_for(lambda: page.texts(".count p"), [f"{MANY} procedures, 0 topics"])
    page.wait_for(lambda: len(page.uris()), MANY)
    page.find(".directory input").send_keys("procedure499")
    page.wait_for(page.uris, ["group19.procedure499"])
    spent = page.run(
        "const start = performance.now(); const input = document.querySelector('.directory input');"
        "input.value = ''; input.dispatchEvent(new Event('input'));"
        "document.body.getBoundingClientRect(); return performance.now() - start"
    )
    report(f"the list of {MANY} procedures was shown in {spent:.0f} ms")


def test_page_fits_on_a_small_screen(open_explorer: Open) -> None:
    page = open_explorer()
    with page.window(360, 700, mobile=True):
        page.wait_for(lambda: len(page.texts(".directory")), 1)
        assert page.texts(".content h1") == ["Shop <API> 1.2.3"]
        page.picture("small-list")
        page.find('.entry[href="#/shop.order"]').click()
        page.wait_for(lambda: page.texts(".content h1"), ["shop.order"])
        assert page.texts(".directory") == []
        assert page.run("return document.activeElement.tagName") == "H1"
        page.picture("small-procedure")
        assert page.run("return document.documentElement.scrollWidth <= innerWidth") is True
        page.find(".back").click()
        page.wait_for(lambda: len(page.texts(".directory")), 1)


def test_result_is_beside_the_form_in_a_wide_window(open_explorer: Open) -> None:
    page = open_explorer()
    with page.window(1300, 700):
        page.open("#/shop.order")
        page.click("Two cups")
        # The form is longer than the window, but nothing has to be scrolled.
        assert page.box(".panel form")["bottom"] > 700
        page.call()
        page.wait_for_text(".result", "items: 2")
        assert page.run("return document.querySelector('.content').scrollTop") == 0
        button, result = page.box(".actions .primary"), page.box(".outcome .result")
        assert button["bottom"] < 700
        assert result["bottom"] < 700
        assert result["left"] > page.box(".panel form")["right"]
        page.picture("wide")


def test_long_result_has_a_scroll_bar_of_its_own_in_a_wide_window(open_explorer: Open) -> None:
    page = open_explorer()
    with page.window(1300, 700):
        text = "many words " * 1000
        page.open(f"#/text.repeat?text={text}")
        page.call()
        page.wait_for_text(".result", "many words")
        page.click("Show more of 10,800 further characters")
        assert page.box(".outcome")["bottom"] <= 700
        assert (
            page.run(
                "const found = document.querySelector('.outcome');"
                "return found.scrollHeight > found.clientHeight"
            )
            is True
        )


def test_result_is_below_the_form_in_a_narrow_window(open_explorer: Open) -> None:
    page = open_explorer()
    page.open("#/math.add?a=1")
    page.call()
    page.wait_for_text(".result", "1")
    assert page.box(".outcome .result")["top"] > page.box(".panel form")["bottom"]


def test_welcome_shows_the_title_version_and_description_of_the_application(open_explorer: Open) -> None:
    page = open_explorer()
    assert page.texts(".content h1") == ["Shop <API> 1.2.3"]
    assert page.texts(".content .prose") == ["Sells tea & <b>cups</b>."]
    assert page.texts(".content .prose strong") == ["tea"]


def test_page_is_used_with_the_keyboard(open_explorer: Open) -> None:
    page = open_explorer()
    page.find("body").send_keys("/")
    active = page.browser.switch_to.active_element
    assert active.accessible_name == "Filter procedures and topics"
    active.send_keys("math", Keys.TAB, Keys.TAB, Keys.ENTER)
    page.wait_for(lambda: page.texts(".content h1"), ["math.add"])
    page.control("a", ".arguments").send_keys("3", Keys.ENTER)
    page.wait_for_text(".result", "3")
    announced = "return document.getElementById('announcements').textContent"
    assert page.run(announced).startswith("Result after")


def test_theme_is_chosen_and_kept(open_explorer: Open) -> None:
    page = open_explorer()
    background = "return getComputedStyle(document.body).backgroundColor"
    page.click("Theme: auto. Change to light")
    light = page.run(background)
    page.click("Theme: light. Change to dark")
    assert page.run(background) != light
    page.browser.refresh()
    page.wait_for(lambda: page.fact("role"), "anonymous")
    page.click("Theme: dark. Change to auto")


@pytest.mark.parametrize("link", ["", "#/shop.order", "#/prefix/shop.report.", "#/topic/prefix/sensors."])
def test_screen_readers_get_names_headings_and_landmarks(open_explorer: Open, link: str) -> None:
    page = open_explorer(f"/docs/{link}")
    page.wait_for(lambda: len(page.texts(".content h1")), 1)
    controls = page.browser.find_elements("css selector", "button, input, select, textarea, summary, a")
    unnamed = [
        control.get_attribute("outerHTML")
        for control in controls
        if control.is_displayed() and not control.accessible_name
    ]
    assert unnamed == []
    assert page.run("return [...document.querySelectorAll('main, nav, header.top')].length") == 3
    ids = page.run("return [...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(set(ids)) == len(ids)
    described = page.run(
        "return [...document.querySelectorAll('[aria-describedby]')]"
        ".flatMap((element) => element.getAttribute('aria-describedby').split(' ').filter(Boolean))"
        ".every((id) => document.getElementById(id))"
    )
    assert described is True
