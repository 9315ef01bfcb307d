"""Tests of the examples about authentication."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from starlette.testclient import WebSocketDenialResponse

from examples import cookie_session, database_users, jwt_ticket
from wampasgi import WAMPError
from wampasgi.testing import SessionAborted, TestClient

DAY = timedelta(days=1)
WS = "/ws"


# jwt_ticket.py


@pytest.fixture
def tokens() -> Iterator[TestClient]:
    with TestClient(jwt_ticket.api) as client:
        yield client


def test_jwt_from_the_login_opens_a_session_with_its_subject_as_authid(tokens: TestClient) -> None:
    ticket = tokens.post("/token", json={"name": "alice", "password": "secret-of-alice"}).json()

    with tokens.wamp_session(path=WS, authid="bob", ticket=ticket) as session:
        assert session.call("whoami") == {"name": "alice", "role": "admin"}
        assert session.call("users.count") == 2


def test_session_is_limited_to_the_role_in_the_jwt(tokens: TestClient) -> None:
    ticket = tokens.post("/token", json={"name": "bob", "password": "secret-of-bob"}).json()

    with (
        tokens.wamp_session(path=WS, ticket=ticket) as session,
        pytest.raises(WAMPError, match=r"wamp\.error\.not_authorized"),
    ):
        session.call("users.count")


@pytest.mark.parametrize(("name", "password"), [("alice", "guessed"), ("nobody", ""), ("nobody", "x")])
def test_login_refuses_a_wrong_password(tokens: TestClient, name: str, password: str) -> None:
    assert tokens.post("/token", json={"name": name, "password": password}).status_code == 401


def token(key: str = jwt_ticket.KEY, algorithm: str = "HS256", **claims: Any) -> str:
    expires = datetime.now(UTC) + DAY
    claims = {"sub": "alice", "role": "admin", "aud": "wamp", "exp": expires, **claims}
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(present, key, algorithm=algorithm)


@pytest.mark.parametrize(
    "ticket",
    [
        token(key="another key, as long as it has to be"),
        token(exp=datetime.now(UTC) - DAY),
        token(exp=None),
        token(aud="another service"),
        token(aud=None),
        token(sub=None),
        token(key="", algorithm="none"),
        token()[:-2],
        "no token",
        "",
    ],
    ids=[
        "wrong key",
        "expired",
        "no expiry",
        "wrong audience",
        "no audience",
        "no subject",
        "unsigned",
        "truncated",
        "not a token",
        "empty",
    ],
)
def test_invalid_jwt_is_refused(tokens: TestClient, ticket: str, caplog: pytest.LogCaptureFixture) -> None:
    with (
        pytest.raises(SessionAborted, match=r"wamp\.error\.authentication_failed"),
        tokens.wamp_session(path=WS, authid="alice", ticket=ticket),
    ):
        pytest.fail("the session was opened")

    assert "Traceback" not in caplog.text


# cookie_session.py


@pytest.fixture
def site() -> Iterator[TestClient]:
    with TestClient(cookie_session.site) as client:
        yield client


def log_in(client: TestClient, password: str = "secret-of-alice") -> int:
    return client.post("/login", json={"name": "alice", "password": password}).status_code


def test_cookie_from_the_http_login_opens_a_wamp_session(site: TestClient) -> None:
    assert log_in(site) == 204

    with site.wamp_session(path=WS) as session:
        assert (session.authid, session.authrole) == ("alice", "customer")
        assert session.call("cart.owner") == "cart of alice"


def test_cookie_is_refused_if_the_origin_is_another_site(site: TestClient) -> None:
    log_in(site)

    for origin in ("http://testserver", "https://shop.example.com"):
        with site.wamp_session(path=WS, headers={"origin": origin}):
            pass
    with (
        pytest.raises(WebSocketDenialResponse),
        site.wamp_session(path=WS, headers={"origin": "https://evil.example.com"}),
    ):
        pytest.fail("the WebSocket was accepted")


def test_wamp_session_requires_a_login(site: TestClient) -> None:
    assert log_in(site, password="guessed") == 401

    with (
        pytest.raises(SessionAborted, match=r"wamp\.error\.no_matching_auth_method"),
        site.wamp_session(path=WS),
    ):
        pytest.fail("the session was opened")


def test_forged_cookie_is_refused(site: TestClient) -> None:
    log_in(site)
    cookie = site.cookies["session"]
    site.cookies.clear()

    with site.wamp_session(path=WS, cookies={"session": cookie}):
        pass
    with (
        pytest.raises(SessionAborted, match=r"wamp\.error\.no_matching_auth_method"),
        site.wamp_session(path=WS, cookies={"session": cookie[:-2]}),
    ):
        pytest.fail("the session was opened")


def test_logout_over_http_closes_the_wamp_session(site: TestClient) -> None:
    log_in(site)
    with site.wamp_session(path=WS) as session:
        site.post("/logout")
        with pytest.raises(ConnectionError, match=r"com\.example\.logged_out"):
            session.call("cart.owner")

    with pytest.raises(SessionAborted), site.wamp_session(path=WS):
        pytest.fail("the session was opened")


# database_users.py

ANN = {"name": "ann", "password": "correct horse"}


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "users.sqlite"
    monkeypatch.setenv("USERS_DB", str(path))
    monkeypatch.setattr(database_users, "ITERATIONS", 1000)
    return path


@pytest.fixture
def users(database: Path) -> Iterator[TestClient]:
    # aiosqlite supports only asyncio.
    with TestClient(database_users.api, backend="asyncio") as client:
        yield client


def test_registered_user_joins_with_the_password(users: TestClient) -> None:
    assert users.post("/users", json=ANN).status_code == 201

    with users.wamp_session(path=WS, authid="ann", secret="correct horse") as session:
        assert session.call("users.me") == "ann is a member"


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong horse"), ("nobody", "correct horse")])
def test_wrong_password_and_unknown_user_are_refused(users: TestClient, name: str, password: str) -> None:
    users.post("/users", json=ANN)

    with (
        pytest.raises(SessionAborted, match=r"wamp\.error\.authentication_failed"),
        users.wamp_session(path=WS, authid=name, secret=password),
    ):
        pytest.fail("the session was opened")


def test_inactive_user_is_denied(users: TestClient, database: Path) -> None:
    users.post("/users", json=ANN)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE users SET active = 0")
    connection.close()

    with (
        pytest.raises(SessionAborted, match=r"wamp\.error\.authorization_denied"),
        users.wamp_session(path=WS, authid="ann", secret="correct horse"),
    ):
        pytest.fail("the session was opened")


def test_name_in_use_is_refused(users: TestClient) -> None:
    assert users.post("/users", json=ANN).status_code == 201
    assert users.post("/users", json=ANN).status_code == 409


def test_database_does_not_contain_the_password(users: TestClient, database: Path) -> None:
    users.post("/users", json=ANN)

    assert b"correct horse" not in database.read_bytes()
