"""Tests of the team board in examples/team_board/, with a database of their own for HTTP and WAMP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from examples.team_board import database, login, presence
from examples.team_board.app import api, realm
from examples.team_board.database import Database, User
from wampasgi import WAMPError
from wampasgi.testing import SessionAborted, TestClient, WAMPSession

PASSWORD = "sesame, open"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """The path of a database with the admin Ann and the members Bob and Cleo."""
    path = str(tmp_path / "test.db")

    async def fill() -> None:
        opened = await Database.open(path)
        for name, role in {"ann": "admin", "bob": "member", "cleo": "member"}.items():
            await opened.add_user(User.model_validate({"name": name, "role": role}), PASSWORD)
        await opened.close()

    anyio.run(fill)
    return path


@pytest.fixture
def client(path: str) -> Iterator[TestClient]:
    async def open_test_database() -> AsyncIterator[Database]:
        opened = await Database.open(path)
        try:
            yield opened
        finally:
            await opened.close()

    # The override of the FastAPI app applies to WAMP, too.
    api.dependency_overrides[database.open_database] = open_test_database
    try:
        with TestClient(api, path="/ws") as client:
            yield client
    finally:
        api.dependency_overrides.clear()


def log_in(client: TestClient, name: str) -> str:
    token: str = client.post("/login", json={"name": name, "password": PASSWORD}).json()
    return token


def join(client: TestClient, name: str) -> Any:
    """Open a session with a ticket alone, as clients other than browsers do."""
    token = log_in(client, name)
    client.cookies.clear()
    return client.wamp_session("board", ticket=token)


def add_card(session: WAMPSession, text: str) -> dict[str, Any]:
    card: dict[str, Any] = session.call("board.cards.add", {"text": text})
    return card


# The login


def test_cookie_of_the_http_login_opens_a_session(client: TestClient) -> None:
    log_in(client, "ann")
    with client.wamp_session("board") as session:
        assert (session.authid, session.authrole) == ("ann", "admin")


def test_token_is_a_ticket(client: TestClient) -> None:
    with join(client, "bob") as session:
        assert (session.authid, session.authrole) == ("bob", "member")


@pytest.mark.parametrize("name", ["bob", "nobody"])
def test_wrong_password_and_unknown_name_are_refused_alike(client: TestClient, name: str) -> None:
    refused = client.post("/login", json={"name": name, "password": "guess"})
    assert (refused.status_code, refused.json()) == (401, {"detail": "wrong name or password"})


def test_expired_token_is_refused_by_http_and_wamp(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "LIFETIME", timedelta(seconds=-1))
    token = log_in(client, "bob")
    client.cookies.set(login.COOKIE, token)
    assert client.get("/cards").status_code == 401
    with (
        pytest.raises(SessionAborted, match=r"com\.example\.board\.login_expired \(log in again\)"),
        client.wamp_session("board"),
    ):
        pass
    client.cookies.clear()
    with (
        pytest.raises(SessionAborted, match=r"wamp\.error\.authentication_failed"),
        client.wamp_session("board", ticket=token),
    ):
        pass


def test_client_without_a_login_is_refused(client: TestClient) -> None:
    with (
        pytest.raises(SessionAborted, match=r"wamp\.error\.no_matching_auth_method"),
        client.wamp_session("board"),
    ):
        pass


# The cards


def test_card_that_is_added_over_http_reaches_subscribers(client: TestClient) -> None:
    log_in(client, "bob")
    with client.wamp_session("board") as session:
        added = session.subscribe("board.cards.added")
        card = client.post("/cards", json={"text": " Buy tea "}).json()
        assert card == {"id": 1, "author": "bob", "text": "Buy tea"}
        assert added.next().args == [card]
        assert session.call("board.cards.list") == [card]


def test_card_that_is_added_over_wamp_is_listed_over_http(client: TestClient) -> None:
    log_in(client, "bob")
    with client.wamp_session("board") as session:
        card = add_card(session, "Buy tea")
        assert client.get("/cards").json() == [card]


def test_empty_card_is_refused_by_http_and_wamp(client: TestClient) -> None:
    log_in(client, "bob")
    assert client.post("/cards", json={"text": " "}).status_code == 422
    with client.wamp_session("board") as session:
        with pytest.raises(WAMPError, match=r"wamp\.error\.invalid_argument"):
            add_card(session, " ")
        assert session.call("board.cards.list") == []


def test_only_the_author_and_admins_delete_a_card(client: TestClient) -> None:
    with join(client, "ann") as ann, join(client, "bob") as bob, join(client, "cleo") as cleo:
        deleted = bob.subscribe("board.cards.deleted")
        own, other = add_card(bob, "Mine")["id"], add_card(bob, "Mine, too")["id"]
        with pytest.raises(WAMPError, match=r"wamp\.error\.not_authorized"):
            cleo.call("board.cards.delete", own)
        deleted.assert_none()
        bob.call("board.cards.delete", own)
        ann.call("board.cards.delete", other)
        assert [event.args for event in deleted] == [[own], [other]]


def test_unknown_card_is_an_error_with_the_status_of_http(client: TestClient) -> None:
    log_in(client, "ann")
    assert client.delete("/cards/7").json() == {"detail": "no such card"}
    with client.wamp_session("board") as session, pytest.raises(WAMPError) as error:
        session.call("board.cards.delete", 7)
    assert (error.value.uri, error.value.args) == ("http.error.404", ("no such card",))
    assert error.value.kwargs == {"status": 404}


def test_export_reports_its_progress(client: TestClient) -> None:
    with join(client, "bob") as session:
        for text in ("Buy tea", "Drink it, hot"):
            add_card(session, text)
        reports: list[Any] = []
        exported = session.call("board.cards.export", on_progress=reports.append)
    assert exported == '1,bob,Buy tea\r\n2,bob,"Drink it, hot"\r\n'
    assert [report.kwargs for report in reports] == [{"done": 1, "total": 2}, {"done": 2, "total": 2}]


# Presence


def test_user_is_online_until_the_last_session_has_ended(client: TestClient) -> None:
    with join(client, "ann") as ann:
        online = ann.subscribe("board.online")
        assert online.next().args == [["ann"]]
        with join(client, "bob"):
            assert online.next().args == [["ann", "bob"]]
            with join(client, "bob"):
                pass
            online.assert_none()
        assert online.next().args == [["ann"]]


def test_nobody_is_online_after_all_have_left(client: TestClient) -> None:
    with join(client, "ann") as ann, join(client, "bob"):
        assert ann.subscribe("board.online").next().args == [["ann", "bob"]]
    assert (dict(presence.online), dict(realm.sessions)) == ({}, {})


def test_admin_kicks_a_user_who_cannot_come_back(client: TestClient) -> None:
    with join(client, "ann") as ann, join(client, "bob") as bob:
        online = ann.subscribe("board.online")
        online.next()
        log_in(client, "bob")
        assert ann.call("board.kick", "bob") == 1
        bob.expect_goodbye("com.example.board.kicked")
        assert online.next().args == [["ann"]]
        with (
            pytest.raises(SessionAborted, match=r"com\.example\.board\.login_expired"),
            client.wamp_session("board"),
        ):
            pass
        assert client.get("/cards").status_code == 401


def test_member_cannot_kick(client: TestClient) -> None:
    with join(client, "ann"), join(client, "bob") as bob:
        with pytest.raises(WAMPError, match=r"wamp\.error\.not_authorized"):
            bob.call("board.kick", "ann")
        assert len(realm.sessions) == 2


# The command that adds users


def test_command_adds_a_user(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATH", path)
    monkeypatch.setattr("getpass.getpass", lambda prompt: PASSWORD)
    anyio.run(database.add_user_from_terminal, "dan", "admin")

    async def check() -> tuple[User | None, bool]:
        opened = await Database.open(path)
        found = (await opened.find_user("dan"), await opened.check_password("dan", PASSWORD))
        await opened.close()
        return found

    assert anyio.run(check) == (User(name="dan", role="admin"), True)
