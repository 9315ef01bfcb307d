"""Tests of the login of the page, and of lost connections, in headless Chromium."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium import webdriver

from tests.auth.peers import SECRET
from tests.clients.server_process import start_server
from tests.explorer.explorer_page import ExplorerPage

# Starting a browser takes seconds on a busy machine.
pytestmark = pytest.mark.timeout(120)

Open = Callable[..., ExplorerPage]

PRIVATE_KEY = hashlib.sha256(f"joe {SECRET}".encode()).hexdigest()
METHODS = {
    "ticket": ("Ticket", SECRET),
    "wampcra": ("WAMP-CRA", SECRET),
    "salted": ("WAMP-CRA", SECRET),
    "scram": ("WAMP-SCRAM", SECRET),
    "cryptosign": ("Cryptosign", PRIVATE_KEY),
}


def test_page_joins_the_default_realm_as_anonymous(open_explorer: Open) -> None:
    page = open_explorer()
    page.wait_for(lambda: page.fact("role"), "anonymous")
    assert page.fact("realm") == "default"
    page.wait_for(lambda: "math.add" in page.uris(), True)
    assert page.browser.title == "Shop <API>"


def test_anonymous_session_is_offered_a_login(open_explorer: Open) -> None:
    page = open_explorer()
    page.wait_for_text(".content .notice", "You are not logged in")
    assert page.texts(".account button") == ["Log in"]
    page.click("Log in", ".content")
    page.wait_for(lambda: page.texts(".login h1"), ["Join a realm"])
    active = page.browser.switch_to.active_element
    assert active.accessible_name == "Auth ID"
    page.fill_login("ticket", "Ticket", "joe", SECRET)
    page.wait_for(lambda: page.fact("user"), "joe")
    assert page.texts(".account button") == ["Leave"]
    assert page.texts(".content .notice") == []


@pytest.mark.parametrize("realm", METHODS)
def test_login_with_the_right_secret(open_explorer: Open, realm: str) -> None:
    method, secret = METHODS[realm]
    page = open_explorer()
    page.leave()
    page.fill_login(realm, method, "joe", secret)
    page.wait_for(lambda: page.fact("user"), "joe")
    page.open("#/whoami")
    page.call()
    page.wait_for_text(".result", '"joe"')
    assert page.fact("role") == "clerk"


@pytest.mark.parametrize("realm", METHODS)
def test_login_with_a_wrong_secret_shows_the_reason(open_explorer: Open, realm: str) -> None:
    method, _ = METHODS[realm]
    wrong = hashlib.sha256(b"wrong").hexdigest()
    page = open_explorer()
    page.leave()
    page.fill_login(realm, method, "joe", wrong)
    page.wait_for_text(".login [role=alert]", "wamp.error.authentication_failed")
    assert page.fact("user") is None


def test_login_with_a_password_for_argon2_says_that_browsers_cannot(open_explorer: Open) -> None:
    page = open_explorer()
    page.leave()
    page.fill_login("argon2", "WAMP-SCRAM", "joe", SECRET)
    page.wait_for_text(".login [role=alert]", "argon2id13, which browsers cannot compute")


def test_login_with_an_unreadable_key_explains_its_form(open_explorer: Open) -> None:
    page = open_explorer()
    page.leave()
    page.fill_login("cryptosign", "Cryptosign", "joe", "not a key")
    page.wait_for_text(".login [role=alert]", "64 hexadecimal digits")


def test_login_without_the_cryptography_of_the_browser_explains_the_need_for_https(
    open_explorer: Open,
) -> None:
    page = open_explorer()
    page.run("Object.defineProperty(crypto, 'subtle', {value: undefined})")
    page.leave()
    page.fill_login("wampcra", "WAMP-CRA", "joe", SECRET)
    page.wait_for_text(".login [role=alert]", "only available over https or on localhost")


def test_server_that_does_not_prove_to_know_the_password_is_not_trusted(open_explorer: Open) -> None:
    page = open_explorer()
    outcome = page.run(
        """const { credentials } = await import(new URL("proofs.js", document.baseURI));
        const login = await credentials("wamp-scram", "joe", "secret");
        const nonce = `${login.hello.authextra.nonce}abcd`;
        const challenge = { nonce, salt: btoa("salt"), kdf: "pbkdf2", iterations: 10, memory: null };
        await login.answer("wamp-scram", challenge);
        try {
            login.check({ authextra: { verifier: btoa("wrong") } });
            return "trusted";
        } catch (error) {
            return error.message;
        }"""
    )
    assert outcome.startswith("The server has not proven that it knows the password.")


@pytest.mark.parametrize("link", ["#/", "#/%", "#/topic/", "#nothing"])
def test_unreadable_link_shows_the_welcome(open_explorer: Open, link: str) -> None:
    page = open_explorer(f"/docs/{link}")
    page.wait_for_text(".content", "Choose a procedure or a topic.")


def test_login_by_cookie(open_explorer: Open) -> None:
    page = open_explorer()
    page.leave()
    page.fill_login("cookie", "Cookie or network")
    page.wait_for_text(".login [role=alert]", "Realm cookie")
    assert page.run("return fetch('/login').then((answer) => answer.status)") == 200
    page.fill_login("cookie", "Cookie or network")
    page.wait_for(lambda: page.fact("user"), "cleo")
    page.browser.delete_all_cookies()


def test_refused_default_realm_shows_the_login_with_the_reason(open_explorer: Open) -> None:
    page = open_explorer("/private/docs/")
    page.wait_for_text(".login [role=alert]", "Realm private")
    page.fill_login("private", "Ticket", "joe", SECRET)
    page.wait_for(lambda: page.fact("user"), "joe")


def test_secret_is_neither_stored_nor_shown_after_the_login(open_explorer: Open) -> None:
    page = open_explorer()
    page.leave()
    page.fill_login("ticket", "Ticket", "joe", SECRET)
    page.wait_for(lambda: page.fact("user"), "joe")
    stored = page.run("return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert SECRET not in stored
    assert SECRET not in page.browser.current_url
    page.open("#/whoami")
    page.click("Copy as")
    page.wait_for_text(".copy code", 'ticket=os.environ["WAMPASGI_TICKET"]')
    assert SECRET not in page.run("return document.documentElement.outerHTML")
    page.leave()
    page.choose("Method", "Ticket")
    assert page.find(".secret input").get_property("value") == ""


def test_lost_connection_is_reported_and_made_again(browser: webdriver.Chrome, tmp_path: Path) -> None:
    server = start_server("uvicorn", "tests.explorer.explored_app:app", tmp_path)
    try:
        page = ExplorerPage(browser, f"http://127.0.0.1:{server.port}", "/docs/")
        page.open("#/topic/events.number")
        page.click("Subscribe")
        page.wait_for(lambda: page.texts(".subscribe button"), ["Unsubscribe"])
        first = page.fact("session")
        page.open("#/math.add")
        page.type("a", "20")
        server.kill()
        page.wait_for_text(".notices", "Reconnect")
        page.call()
        page.wait_for_text(".result", "There is no connection")
        page.click("Reconnect")
        page.wait_for_text(".notices", "No connection to ws://")
        server = start_server("uvicorn", "tests.explorer.explored_app:app", tmp_path, server.port)
        page.click("Reconnect")
        page.wait_for(lambda: page.texts(".notices p"), [])
        assert page.fact("session") != first
        page.call()
        page.wait_for_text(".result", "20")
        page.open("#/events.publish")
        page.type("events", "1")
        page.call()
        page.wait_for(lambda: len(page.texts(".event")), 1)
        server.kill()
        page.wait_for_text(".notices", "Reconnect")
        page.leave()
        assert page.texts(".notices p") == []
        page.close()
    finally:
        server.stop()
