"""Tests of every app in examples/, and of the commands that ``make run`` and ``make explore`` suggest."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from starlette.middleware import Middleware

from examples import (
    fastapi_app,
    lifespan_and_dependencies,
    message_log,
    own_serializer,
    progress,
    prometheus_metrics,
    two_realms,
)
from tests.clients.server_process import ServerProcess, start_server
from wampasgi import Application, Realm, WAMPError
from wampasgi.injection.results import RPCResult
from wampasgi.testing import SessionAborted, TestClient

ROOT = Path(__file__).resolve().parents[1]


def test_every_example_is_tested() -> None:
    modules = (
        fastapi_app,
        lifespan_and_dependencies,
        message_log,
        own_serializer,
        progress,
        prometheus_metrics,
        two_realms,
    )
    tested = {module.__name__.removeprefix("examples.") + ".py" for module in modules}
    # Tested in tests/test_auth_examples.py.
    tested |= {"cookie_session.py", "database_users.py", "jwt_ticket.py"}
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == tested


# two_realms.py


def test_two_realms_adds_numbers_in_the_default_realm() -> None:
    with TestClient(two_realms.app) as client, client.wamp_session("default") as session:
        assert session.call("math.add", 2, 3) == 5


def test_two_realms_does_not_share_procedures_between_realms() -> None:
    with (
        TestClient(two_realms.app) as client,
        client.wamp_session("default") as session,
        pytest.raises(WAMPError, match=r"wamp\.error\.no_such_procedure"),
    ):
        session.call("news.post", "hello")


def test_two_realms_lets_an_admin_with_a_ticket_publish_to_the_default_realm() -> None:
    with TestClient(two_realms.app) as client, client.wamp_session() as reader:
        news = reader.subscribe("news.posted")
        ticket = two_realms.tickets["alice"]
        with client.wamp_session("admins", authid="alice", ticket=ticket) as alice:
            assert alice.authrole == "admin"
            alice.call("news.post", "hello")
            assert alice.call("sessions.count") == {"default": 1, "admins": 1}
        event = news.next()
        assert (event.args, event.kwargs) == (["hello"], {"author": "alice"})


@pytest.mark.parametrize(("authid", "ticket"), [("alice", "guessed"), ("bob", "guessed"), ("alice", "gués")])
def test_two_realms_refuses_wrong_tickets(authid: str, ticket: str) -> None:
    with (
        TestClient(two_realms.app) as client,
        pytest.raises(SessionAborted, match=r"wamp\.error\.authentication_failed"),
        client.wamp_session("admins", authid=authid, ticket=ticket),
    ):
        pass


# The Makefile


def suggested_commands(target: str, *variables: str) -> list[list[str]]:
    """Return the arguments of ``wampasgi`` in the commands that a target of the Makefile prints."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    recipe = subprocess.run(
        [make, "--dry-run", target, *variables],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return [
        shlex.split(line) for line in re.findall(r"^echo \".*/wampasgi (.*)\"$", recipe.stdout, re.MULTILINE)
    ]


def run_command(words: Sequence[str], server: ServerProcess) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wampasgi", *words]
    environment = {**os.environ, "WAMPASGI_URL": server.url}
    return subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT, env=environment)


def test_two_realms_answers_the_call_that_make_run_suggests(tmp_path: Path) -> None:
    [command] = suggested_commands("run")
    server = start_server("uvicorn", "examples.two_realms:app", tmp_path)
    try:
        called = run_command(command, server)
    finally:
        server.stop()
    assert (called.returncode, called.stdout) == (0, "5\n"), called.stderr


def test_fleet_answers_the_commands_that_make_explore_suggests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing, subscribing, updating = suggested_commands("explore")
    monkeypatch.setenv("OPERATOR_TICKET", "demo")
    server = start_server("uvicorn", "examples.fleet.app:app", tmp_path)
    environment = {**os.environ, "WAMPASGI_URL": server.url}
    command = [sys.executable, "-m", "wampasgi", *subscribing, "--count", "1"]
    try:
        listed = run_command(listing, server)
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        ) as subscriber:
            updated = run_command([*updating, "seconds=0.2"], server)
            # The first update may have come before the subscription.
            while subscriber.poll() is None:
                run_command([*updating, "seconds=0.2"], server)
            events = subscriber.communicate()[0].splitlines()
    finally:
        server.stop()
    assert [device["id"] for device in json.loads(listed.stdout)] == ["boiler-2", "pump-1"]
    assert json.loads(updated.stdout)["firmware"] == "2.0.0"
    assert json.loads(events[0])["args"][0]["device"] == "pump-1"


def test_suggested_commands_name_a_server_at_another_address() -> None:
    [command] = suggested_commands("run", "PORT=8001", "TRY=math.add 1")
    assert command == ["call", "--url", "ws://127.0.0.1:8001/", "math.add", "1"]


# message_log.py


def test_message_log_logs_received_and_sent_messages_of_its_realm(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "messages")
    with TestClient(message_log.app) as client, client.wamp_session("logged") as session:
        assert session.call("greet", "Ann") == "Hello, Ann"
    logged = [record.getMessage() for record in caplog.records if record.name == "messages.logged"]
    assert f"{session.id} <- [48, 1, {{}}, 'greet', ['Ann']]" in logged
    assert f"{session.id} -> [50, 1, {{}}, ['Hello, Ann']]" in logged


def test_message_log_does_not_log_other_realms(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "messages")
    with TestClient(message_log.app) as client, client.wamp_session("other"):
        pass
    assert [record for record in caplog.records if record.name.startswith("messages")] == []


def test_message_log_does_not_log_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "messages")
    realm = Realm("vault", middleware=[Middleware(message_log.MessageLog)])
    realm.set_ticket_authenticator(lambda ticket: "Ali Baba" if ticket == "sesame" else None)
    with (
        TestClient(Application([realm])) as client,
        client.wamp_session("vault", ticket="sesame") as session,
    ):
        pass
    assert f"{session.id} <- AUTHENTICATE, which holds a secret" in caplog.text
    assert "sesame" not in caplog.text


# fastapi_app.py


def test_fastapi_app_publishes_orders_that_arrive_over_http() -> None:
    with TestClient(fastapi_app.api, path="/ws") as client, client.wamp_session() as session:
        created, cancelled = session.subscribe("orders.created"), session.subscribe("orders.cancelled")
        order = client.post("/orders", json={"item": "tea", "quantity": 2}).json()
        assert created.next().args == [order]
        assert session.call("orders.get", order["id"]) == order
        assert session.call("orders.cancel", order["id"]) is True
        assert cancelled.next().args == [order["id"]]
        assert session.call("orders.cancel", order["id"]) is False


def test_fastapi_app_uses_the_database_of_the_tests_for_http_and_wamp() -> None:
    orders: dict[UUID, fastapi_app.Order] = {}
    fastapi_app.api.dependency_overrides[fastapi_app.get_orders] = lambda: orders
    try:
        with TestClient(fastapi_app.api, path="/ws") as client, client.wamp_session() as session:
            order = client.post("/orders", json={"item": "tea"}).json()
            assert session.call("orders.get", order["id"]) == order
    finally:
        fastapi_app.api.dependency_overrides.clear()

    assert [str(order_id) for order_id in orders] == [order["id"]]
    assert not orders.keys() & fastapi_app.orders.keys()


def test_fastapi_app_reports_its_own_errors_and_validation_errors() -> None:
    unknown = str(uuid4())
    with TestClient(fastapi_app.api, path="/ws") as client, client.wamp_session() as session:
        with pytest.raises(WAMPError) as missing:
            session.call("orders.get", unknown)
        with pytest.raises(WAMPError) as invalid:
            session.call("orders.get", "seven")
        with pytest.raises(WAMPError) as supplied:
            session.call("orders.get", unknown, orders={})
    assert (missing.value.uri, missing.value.args) == ("com.example.no_such_order", (unknown,))
    assert invalid.value.kwargs["errors"][0]["argument"] == "order_id"
    assert supplied.value.kwargs["errors"][0]["argument"] == "orders"


# lifespan_and_dependencies.py


def test_lifespan_example_counts_sessions() -> None:
    with TestClient(lifespan_and_dependencies.app) as client, client.wamp_session() as session:
        assert session.call("metrics") == {"sessions": 1}
        with client.wamp_session():
            assert session.call("metrics") == {"sessions": 2}
        assert session.call("metrics") == {"sessions": 1}


def test_lifespan_example_commits_successful_calls_and_rolls_back_failed_ones() -> None:
    with TestClient(lifespan_and_dependencies.app) as client, client.wamp_session() as session:
        session.call("me.rename", "ann")
        assert session.call("notes.add", ["one", "two"]) == 2
        with pytest.raises(WAMPError, match=r"wamp\.error\.runtime_error"):
            session.call("notes.add", ["three", ""])
        assert session.call("notes.all") == {"notes": [["ann", "one"], ["ann", "two"]]}


# progress.py


def contact(name: str) -> dict[str, str]:
    return {"name": name, "email": f"{name}@example.com"}


def test_progress_example_reports_progress_before_the_result() -> None:
    reports: list[RPCResult] = []
    with TestClient(progress.app) as client, client.wamp_session() as session:
        contacts = [contact("ann"), contact("bob")]
        result = session.call("contacts.import", contacts, on_progress=reports.append)
    assert reports == [RPCResult([1, 2]), RPCResult([2, 2])]
    assert result == RPCResult(kwargs={"imported": 2})


def test_progress_example_reports_progress_before_an_error() -> None:
    reports: list[RPCResult] = []
    with TestClient(progress.app) as client, client.wamp_session() as session:
        contacts = [contact("ann"), contact("ann"), contact("bob")]
        with pytest.raises(WAMPError) as duplicate:
            session.call("contacts.import", contacts, on_progress=reports.append)
    assert reports == [RPCResult([1, 3])]
    assert duplicate.value.uri == "com.example.duplicate"
    assert duplicate.value.args == ("ann@example.com",)
    assert duplicate.value.kwargs == {"imported": 1}


# own_serializer.py


@pytest.mark.parametrize("subprotocol", ["wamp.2.json-zlib", "wamp.2.json-zlib.batched", "wamp.2.json"])
def test_own_serializer_carries_a_session(subprotocol: str) -> None:
    with TestClient(own_serializer.app) as client, client.wamp_session(subprotocol=subprotocol) as session:
        assert session.call("words.repeat", "la", times=3) == "la la la"


@pytest.mark.parametrize(
    "data",
    [
        zlib.compress(bytes(own_serializer.LONGEST + 1)),
        zlib.compress(b"[1]")[:-2],
        zlib.compress(b"[1]") + b"x",
        b"no zlib",
    ],
    ids=["bomb", "truncated", "trailing data", "malformed"],
)
def test_own_serializer_aborts_on_invalid_data(data: bytes) -> None:
    with (
        TestClient(own_serializer.app) as client,
        client.wamp_connect(subprotocol="wamp.2.json-zlib") as connection,
    ):
        connection.send_frame(data)
        abort = connection.expect_abort("wamp.error.protocol_violation")
        assert abort.details["message"].startswith("malformed json-zlib: ")


# prometheus_metrics.py


def test_prometheus_metrics_exports_the_counters_of_the_app() -> None:
    guarded = Realm("guarded", allow_anonymous=False)
    prometheus_metrics.wamp.add_realm(guarded)
    with TestClient(prometheus_metrics.app) as client, client.wamp_session(path="/ws") as session:
        assert session.call("math.add", 2, 3) == 5
        with pytest.raises(SessionAborted), client.wamp_session("guarded", path="/ws"):
            pass
        answer = client.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert 'wamp_sessions_open{realm="default"} 1.0' in lines
    assert 'wamp_calls_results_total{realm="default"} 1.0' in lines
    assert 'wamp_authentication_failures_total{method="none",realm="guarded",reason="no_method"} 1.0' in lines
    assert 'wamp_authentication_delayed_total{realm="default"} 0.0' in lines
    assert "# TYPE wamp_bytes_sent_total counter" in lines
    assert "# TYPE wamp_router_subscriptions gauge" in lines
