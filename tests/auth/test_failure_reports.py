"""The handler that the application gets failed authentications with."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.auth.peers import METHODS, SECRET, TicketClient, authenticate, wire
from tests.specification import ABORT, AUTHENTICATION_FAILED
from wampasgi import (
    Application,
    AuthenticationFailure,
    ConfigurationError,
    Depends,
    Identity,
    Limits,
    Realm,
    Session,
)
from wampasgi.auth.failure_reports import MAX_WAITING

FAILED = [ABORT, {"message": "authentication failed"}, AUTHENTICATION_FAILED]


def office(**limits: float | None) -> tuple[Application, Realm]:
    """Return an application whose realm accepts one ticket."""
    realm = Realm("office")

    async def check(ticket: str) -> Identity | None:
        return Identity(authid="joe") if ticket == SECRET else None

    realm.set_ticket_authenticator(check)
    return Application([realm], limits=Limits(authentication_failures=None, **limits)), realm  # type: ignore[arg-type]


async def fail(app: Application, authid: str = "joe") -> None:
    """Fail to log in, and wait until the server has served the connection."""
    async with wire(app) as connection:
        assert await authenticate(connection, TicketClient(authid, "wrong")) == FAILED
        await connection.closed()
        await connection.wait_served()


@pytest.mark.anyio
async def test_handler_gets_the_failure_and_injected_arguments() -> None:
    app, realm = office()
    realm.set_default_arg("database", "the database")
    seen: list[Any] = []

    def dependency(session: Session) -> int:
        return session.id

    @realm.on_authentication_failed
    async def failed(
        failure: AuthenticationFailure,
        session: Session,
        realm: Realm,
        app: Application,
        database: str,
        dropped: int,
        number: int = Depends(dependency),
    ) -> None:
        assert number == session.id
        assert not session.is_open
        seen.extend([failure, realm, app, database, dropped])

    await fail(app)

    failure = seen.pop(0)
    assert isinstance(failure, AuthenticationFailure)
    assert (failure.realm_uri, failure.authid, failure.method) == ("office", "joe", "ticket")
    assert (failure.reason, failure.client_address) == ("wrong_proof", "192.0.2.1")
    assert failure.connection.headers["host"] == "testserver"
    assert seen == [realm, app, "the database", 0]


@pytest.mark.anyio
async def test_failure_is_injected_by_its_type() -> None:
    app, realm = office()
    seen: list[AuthenticationFailure] = []

    @realm.on_authentication_failed
    def failed(what: AuthenticationFailure) -> None:
        seen.append(what)

    await fail(app)

    assert [failure.reason for failure in seen] == ["wrong_proof"]


@pytest.mark.anyio
async def test_handler_on_the_application_is_the_one_of_its_default_realm() -> None:
    app = Application()
    app.set_ticket_authenticator(lambda ticket: None)
    seen: list[str] = []

    @app.on_authentication_failed
    async def failed(failure: AuthenticationFailure) -> None:
        seen.append(failure.realm_uri)

    await fail(app)

    assert seen == ["office"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("authid", "reasons"),
    [("denied", ["denied"]), ("broken", []), ("joe", []), ("nobody", ["unknown_authid"])],
)
async def test_handler_runs_for_failures_of_clients_only(authid: str, reasons: list[str]) -> None:
    method = METHODS["wampcra"]
    app, seen = method.app(), []

    @app.realms["office"].on_authentication_failed
    async def failed(failure: AuthenticationFailure) -> None:
        seen.append(failure.reason)

    async with wire(app) as connection:
        await authenticate(connection, method.client(authid))
    async with wire(app) as connection:
        await connection.hello()

    assert seen == reasons


@pytest.mark.anyio
async def test_handler_gets_timeouts_and_protocol_violations() -> None:
    app, realm = office(handshake_timeout=0.5)
    seen: list[str] = []

    @realm.on_authentication_failed
    async def failed(failure: AuthenticationFailure) -> None:
        seen.append(failure.reason)

    for answer in [[5, 5, {}], None]:
        async with wire(app) as connection:
            await connection.hello(**TicketClient("joe").hello())
            if answer is not None:
                await connection.send(*answer)
            assert (await connection.receive())[0] == ABORT
            await connection.closed()
            await connection.wait_served()

    assert seen == ["invalid_answer", "timeout"]


@pytest.mark.anyio
async def test_client_does_not_wait_for_the_handler_but_the_server_does() -> None:
    app, realm = office()
    released = anyio.Event()
    ended = []

    @realm.on_authentication_failed
    async def failed() -> None:
        await released.wait()
        ended.append(True)

    async with wire(app) as connection:
        assert await authenticate(connection, TicketClient("joe", "wrong")) == FAILED
        await connection.closed()
        await anyio.wait_all_tasks_blocked()
        assert not connection.served.is_set()
        assert app.metrics()["office"]["sessions"]["opening"] == 0
        released.set()
        await connection.wait_served()

    assert ended == [True]


@pytest.mark.anyio
async def test_error_of_the_handler_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app, realm = office()

    @realm.on_authentication_failed
    async def failed() -> None:
        raise ValueError("the mail server is down")

    await fail(app)
    await fail(app)

    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert "failed failed for <Session" in errors[0].getMessage()
    assert errors[0].exc_info is not None
    assert errors[0].__dict__["wamp_client"] == "192.0.2.1"


@pytest.mark.anyio
async def test_failures_are_handled_one_at_a_time_in_order() -> None:
    app, realm = office()
    running = 0
    seen: list[str | None] = []

    @realm.on_authentication_failed
    async def failed(failure: AuthenticationFailure) -> None:
        nonlocal running
        running += 1
        await anyio.lowlevel.checkpoint()
        assert running == 1
        running -= 1
        seen.append(failure.authid)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(fail, app, str(number))

    assert sorted(seen, key=lambda authid: int(authid or "")) == [str(number) for number in range(20)]


@pytest.mark.anyio
async def test_failures_are_dropped_and_counted_if_too_many_wait() -> None:
    app, realm = office()
    released, begun = anyio.Event(), anyio.Event()
    calls: list[int] = []

    @realm.on_authentication_failed
    async def failed(dropped: int) -> None:
        calls.append(dropped)
        begun.set()
        await released.wait()

    async with anyio.create_task_group() as tasks:
        for _ in range(MAX_WAITING):
            tasks.start_soon(fail, app)
        await begun.wait()
        await anyio.wait_all_tasks_blocked()
        # These do not wait for the handler.
        for _ in range(50):
            await fail(app)
        assert app.metrics()["office"]["authentication"]["unreported"] == 50
        released.set()

    assert calls == [0, 50] + [0] * (MAX_WAITING - 2)


@pytest.mark.anyio
async def test_handler_that_takes_too_long_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    app, realm = office(teardown_timeout=0.1)
    cancelled = []

    @realm.on_authentication_failed
    async def failed() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(True)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(fail, app)

    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == len(cancelled)
    assert "took longer than teardown_timeout=0.1 s and was cancelled" in errors[0]
    assert app.metrics()["office"]["authentication"]["unreported"] == 3 - len(cancelled)


def test_application_can_be_served_by_one_event_loop_after_the_other() -> None:
    app, realm = office()
    seen: list[bool] = []

    @realm.on_authentication_failed
    async def failed() -> None:
        seen.append(True)

    async def fail_together() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(fail, app)

    for backend in "asyncio", "trio", "asyncio":
        anyio.run(fail_together, backend=backend)

    assert len(seen) == 9


async def handler() -> None: ...


async def generator() -> AsyncIterator[None]:
    yield


async def wants_database(database: object) -> None: ...


def test_second_handler_is_a_configuration_error() -> None:
    realm = Realm("office")
    realm.on_authentication_failed(handler)

    with pytest.raises(ConfigurationError, match=r"the realm already has .*handler"):
        realm.on_authentication_failed(handler)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (generator, "generator .* is an async generator function: it must not yield"),
        (wants_database, "wants_database .*'database'"),
        ("failed", "not callable"),
    ],
)
def test_unusable_handler_is_an_error_at_startup(wrong: Any, problem: str) -> None:
    def configure() -> None:
        app = Application()
        app.on_authentication_failed(wrong)
        app.check()

    with pytest.raises(ConfigurationError, match=problem):
        configure()
