"""Tests of the chat in examples/chat/: its realm, and its page in headless Chromium."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from examples.chat.app import FOLDER, ROOMS, app, wamp
from tests.chromium import open_browser
from tests.clients.server_process import BOTH_TRANSPORTS, ServerProcess, start_server
from wampasgi import WAMPError
from wampasgi.testing import SessionAborted, TestClient

# Starting a browser takes seconds on a busy machine.
pytestmark = pytest.mark.timeout(120)

TIMEOUT = 15.0

LOBBY = "chat.room.lobby"


# The realm


def guest(client: TestClient, name: str | None) -> Any:
    return client.wamp_session("chat", path="/ws", authid=name)


def test_message_has_the_authid_of_its_sender() -> None:
    with TestClient(app) as client, guest(client, "Ann") as ann, guest(client, "Bob") as bob:
        said = bob.subscribe(LOBBY)
        ann.publish(LOBBY, "hello", options={"disclose_me": True})
        event = said.next()
    assert (event.args, event.details["publisher_authid"]) == (["hello"], "Ann")


def test_newcomer_gets_earlier_messages() -> None:
    with TestClient(app) as client:
        with guest(client, "Ann") as ann:
            ann.publish("chat.room.games", "hello", acknowledge=True, options={"disclose_me": True})
        with guest(client, "Bob") as bob:
            said = bob.subscribe("chat.room.games")
            [event] = bob.call("wamp.subscription.get_events", said.subscription_id).args
    assert (event["args"], event["details"]["publisher_authid"]) == (["hello"], "Ann")


@pytest.mark.parametrize("name", ["", "   ", "x" * 31, None])
def test_invalid_name_is_refused(name: str | None) -> None:
    with (
        TestClient(app) as client,
        pytest.raises(SessionAborted, match=r"chat\.error\.bad_name"),
        guest(client, name),
    ):
        pass


def test_name_is_refused_while_it_is_in_use() -> None:
    with TestClient(app) as client:
        with (
            guest(client, "Ann"),
            pytest.raises(SessionAborted, match=r"chat\.error\.name_taken"),
            guest(client, "Ann"),
        ):
            pass
        with guest(client, "Ann") as again:
            assert again.call("chat.rooms") == list(ROOMS)


@pytest.mark.parametrize(
    ("procedure", "argument"),
    [("wamp.session.kill", 1), ("wamp.session.list", []), ("wamp.session.kill_all", 1)],
)
def test_guests_may_not_use_other_meta_procedures(procedure: str, argument: Any) -> None:
    with (
        TestClient(app) as client,
        guest(client, "Ann") as ann,
        pytest.raises(WAMPError, match=r"wamp\.error\.not_authorized"),
    ):
        ann.call(procedure, argument)


def test_guests_may_not_publish_outside_the_rooms() -> None:
    with TestClient(app) as client, guest(client, "Ann") as ann:
        for topic in ("chat.room.cellar", "chat.news"):
            with pytest.raises(WAMPError, match=r"wamp\.error\.not_authorized"):
                ann.publish(topic, "hello", acknowledge=True)


def test_application_serves_its_page() -> None:
    with TestClient(app) as client:
        assert "<title>Chat</title>" in client.get("/").text
        assert client.get("/vendor/autobahn.min.js").status_code == 200
    assert list(wamp.realms) == ["chat"]


def test_vendored_file_has_the_documented_hash() -> None:
    note = (FOLDER / "vendor" / "README.md").read_text()
    named = re.search(r"SHA-256: `(\w+)`", note)
    assert named is not None
    assert hashlib.sha256((FOLDER / "vendor" / "autobahn.min.js").read_bytes()).hexdigest() == named[1]
    assert "Permission is hereby granted" in (FOLDER / "vendor" / "LICENSE").read_text()


# The page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with open_browser(tmp_path_factory.mktemp("chromium"), window_size="1100,700") as browser:
        yield browser


@pytest.fixture(params=BOTH_TRANSPORTS)
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    server = start_server(request.param, "examples.chat.app:app", tmp_path)
    try:
        yield server
    finally:
        server.stop()


class Page:
    """A browser window with the chat."""

    def __init__(self, browser: webdriver.Chrome, server: ServerProcess) -> None:
        browser.switch_to.new_window("window")
        self._browser = browser
        self._window = browser.current_window_handle
        browser.get(server.url.replace("ws:", "http:"))

    def focus(self) -> webdriver.Chrome:
        self._browser.switch_to.window(self._window)
        return self._browser

    def enter(self, name: str) -> None:
        self.focus().find_element(By.ID, "name").send_keys(name, Keys.ENTER)

    def say(self, text: str) -> None:
        self.focus().find_element(By.ID, "text").send_keys(text, Keys.ENTER)

    def go_to(self, room: str) -> None:
        self.focus().find_element(By.CSS_SELECTOR, f"#rooms button[value={room}]").click()

    def texts(self, selector: str) -> list[str]:
        # A single script, because the page may change between two.
        look = "return [...document.querySelectorAll(arguments[0])].map((found) => found.innerText)"
        texts: list[str] = self.focus().execute_script(look, selector)
        return texts

    def messages(self) -> list[tuple[str, str]]:
        pairs = iter(self.texts("#messages .author, #messages p"))
        return list(zip(pairs, pairs, strict=True))

    def people(self) -> list[str]:
        return self.texts("#people li")

    def wait_for(self, look: Callable[[], object], expected: object) -> None:
        """Wait until ``look()`` returns the expected value; a failure shows the last value."""
        self.focus()
        waiting = WebDriverWait(self._browser, TIMEOUT, poll_frequency=0.05)
        try:
            waiting.until(lambda _: look() == expected)
        except TimeoutException:
            assert look() == expected

    def picture(self, name: str) -> None:
        """Save a screenshot if WAMPASGI_PICTURES names a folder."""
        folder = os.environ.get("WAMPASGI_PICTURES")
        if folder is not None:
            self.focus().save_screenshot(str(Path(folder) / f"{name}.png"))

    def close(self) -> None:
        self.focus().close()
        self._browser.switch_to.window(self._browser.window_handles[0])


@pytest.fixture
def open_page(browser: webdriver.Chrome, served: ServerProcess) -> Iterator[Callable[[str], Page]]:
    pages: list[Page] = []

    def open_page(name: str) -> Page:
        page = Page(browser, served)
        pages.append(page)
        page.enter(name)
        return page

    yield open_page
    for handle in browser.window_handles[1:]:
        browser.switch_to.window(handle)
        browser.close()
    browser.switch_to.window(browser.window_handles[0])


def test_two_pages_talk_to_each_other(open_page: Callable[[str], Page]) -> None:
    ann, bob = open_page("Ann"), open_page("Bob")
    for page in ann, bob:
        page.wait_for(page.people, ["Ann", "Bob"])

    ann.say("Hello Bob")
    bob.wait_for(bob.messages, [("Ann", "Hello Bob")])
    bob.say("Hello Ann")
    for page in ann, bob:
        page.wait_for(page.messages, [("Ann", "Hello Bob"), ("Bob", "Hello Ann")])
        assert len(page.texts("#messages .mine")) == 1
    ann.picture("two-pages")


def test_newcomer_is_shown_the_history(open_page: Callable[[str], Page]) -> None:
    ann = open_page("Ann")
    ann.wait_for(ann.people, ["Ann"])
    for text in "first", "second":
        ann.say(text)
    ann.wait_for(ann.messages, [("Ann", "first"), ("Ann", "second")])

    bob = open_page("Bob")
    bob.wait_for(bob.messages, [("Ann", "first"), ("Ann", "second")])


def test_message_is_shown_only_in_its_room(open_page: Callable[[str], Page]) -> None:
    ann, bob = open_page("Ann"), open_page("Bob")
    ann.wait_for(ann.people, ["Ann", "Bob"])

    bob.go_to("games")
    bob.wait_for(bob.people, ["Bob"])
    ann.wait_for(ann.people, ["Ann"])
    bob.say("Anybody here?")
    bob.wait_for(bob.messages, [("Bob", "Anybody here?")])
    ann.say("All alone")
    ann.wait_for(ann.messages, [("Ann", "All alone")])

    ann.go_to("games")
    ann.wait_for(ann.messages, [("Bob", "Anybody here?")])
    bob.wait_for(bob.people, ["Ann", "Bob"])


def test_closing_the_page_removes_the_name_from_the_list_of_people(open_page: Callable[[str], Page]) -> None:
    ann, bob = open_page("Ann"), open_page("Bob")
    ann.wait_for(ann.people, ["Ann", "Bob"])

    bob.close()
    ann.wait_for(ann.people, ["Ann"])


def test_markup_in_names_and_messages_is_shown_as_text(open_page: Callable[[str], Page]) -> None:
    evil = "<b>bold</b><img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"
    ann, bob = open_page("<i>Ann</i>"), open_page("Bob")
    bob.wait_for(bob.people, ["<i>Ann</i>", "Bob"])

    ann.say(evil)
    bob.wait_for(bob.messages, [("<i>Ann</i>", evil)])
    assert bob.texts("#chat b, #chat i, #chat img, #chat script") == []
    assert bob.focus().execute_script("return window.hacked === undefined") is True
    bob.picture("text")


def test_page_asks_for_another_name_if_the_name_is_in_use(open_page: Callable[[str], Page]) -> None:
    ann = open_page("Ann")
    ann.wait_for(ann.people, ["Ann"])

    other = open_page("Ann")
    other.wait_for(lambda: other.texts("#refused"), ["Somebody here is called Ann already."])
    other.enter("a")
    other.wait_for(other.people, ["Ann", "Anna"])


def test_page_returns_to_its_room_after_reconnecting(
    open_page: Callable[[str], Page],
) -> None:
    ann = open_page("Ann")
    ann.wait_for(ann.people, ["Ann"])
    ann.go_to("music")
    ann.wait_for(ann.people, ["Ann"])
    ann.focus().execute_script("session._socket.close(3000)")
    ann.wait_for(lambda: ann.texts("#status"), ["No connection. Trying again…"])
    ann.wait_for(lambda: ann.texts("#status"), ["You are Ann."])
    ann.wait_for(ann.people, ["Ann"])
    assert ann.texts("#title") == ["# music"]
    ann.say("still here")
    ann.wait_for(ann.messages, [("Ann", "still here")])


def test_page_fits_on_a_small_screen(open_page: Callable[[str], Page], browser: webdriver.Chrome) -> None:
    ann = open_page("Ann")
    browser.set_window_size(400, 700)
    ann.wait_for(ann.people, ["Ann"])
    ann.say("A long word: " + "w" * 100)
    ann.wait_for(lambda: len(ann.messages()), 1)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth") is True
    ann.picture("small")
