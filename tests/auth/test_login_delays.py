"""The delays of logins after failures, on connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.auth.peers import METHODS, SECRET, TicketClient, Wire, wire
from tests.auth.test_login import FAILED, decide, fail, failures, records
from tests.specification import ABORT, AUTHENTICATE, CHALLENGE, PROTOCOL_VIOLATION, WELCOME
from wampasgi import Application, Identity, Limits, Realm

pytestmark = pytest.mark.anyio

UNAVAILABLE = "wamp.error.unavailable"
#: The delay is at most half of the time for the handshake, so these tests take less than a second.
SHORT = {"handshake_timeout": 0.8, "authentication_failures": 2}
FIRST = 0.25
LIMITED = [
    ABORT,
    {
        "message": "too many logins failed: this realm has reached the limit authentication_failures of 2 "
        "for this authid and address, try again later"
    },
    UNAVAILABLE,
]


def delayed(app: Application, realm: str = "office") -> int:
    return app.metrics()[realm]["authentication"]["delayed"]


@asynccontextmanager
async def challenged(app: Application, client: TicketClient, /, **scope: Any) -> AsyncIterator[Wire]:
    """A connection that has been challenged."""
    async with wire(app, **scope) as connection:
        assert (await connection.hello(**client.hello()))[0] == CHALLENGE
        yield connection


async def timed(app: Application, client: TicketClient, /, **scope: Any) -> tuple[float, list[Any]]:
    """Log in, and return the time from AUTHENTICATE to the answer, and the answer."""
    async with challenged(app, client, **scope) as connection:
        started = anyio.current_time()
        answer = await connection.ask(AUTHENTICATE, client.secret, {})
        return anyio.current_time() - started, answer


async def test_right_and_wrong_proof_wait_the_same_after_too_many_failures() -> None:
    for secret, code in ("wrong", ABORT), (SECRET, WELCOME):
        app = METHODS["ticket"].app(**SHORT)
        assert await fail(app, 2, TicketClient("joe", "wrong")) == [FAILED] * 2

        duration, answer = await timed(app, TicketClient("joe", secret))

        assert answer[0] == code
        assert duration >= FIRST
        assert delayed(app) == 1


async def test_success_resets_the_delay() -> None:
    app = METHODS["ticket"].app(**SHORT)
    await fail(app, 2, TicketClient("joe", "wrong"))
    await timed(app, TicketClient("joe"))

    assert await fail(app, 1, TicketClient("joe", "wrong")) == [FAILED]

    assert delayed(app) == 1


async def test_other_clients_do_not_wait() -> None:
    app = METHODS["ticket"].app(**SHORT)
    await fail(app, 3, TicketClient("joe", "wrong"))

    for client, address in (("joe", "192.0.2.2"), ("somebody", "192.0.2.1")):
        await timed(app, TicketClient(client), client=(address, 1))

    assert delayed(app) == 1


async def test_parallel_logins_that_do_not_fit_are_refused_unverified(
    caplog: pytest.LogCaptureFixture,
) -> None:
    verified = 0
    realm = Realm("office")

    async def check(ticket: str) -> None:
        nonlocal verified
        verified += 1

    realm.set_ticket_authenticator(check)
    app = Application([realm], limits=Limits(handshake_timeout=0.8, authentication_failures=2))
    await fail(app, 2, TicketClient("joe"))
    answers = []

    async def guess() -> None:
        answers.append((await timed(app, TicketClient("joe")))[1])

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(guess)

    # One, if all of them come at once.
    guesses = answers.count(FAILED)
    assert 1 <= guesses < 10
    assert answers.count(LIMITED) == 50 - guesses
    assert verified == 2 + guesses
    assert failures(app) == {"ticket:wrong_proof": 2 + guesses, "ticket:limited": 50 - guesses}
    assert {record.__dict__["wamp_reason"] for record in records(caplog)} == {"wrong_proof", "limited"}


@pytest.mark.parametrize("leave", ["disconnect", "abort"])
async def test_client_that_leaves_during_the_delay_ends_it_unverified(leave: str) -> None:
    verified = []
    realm = Realm("office")
    realm.set_ticket_authenticator(lambda ticket: verified.append(ticket))
    app = Application([realm], limits=Limits(authentication_failures=1))
    await fail(app, 4, TicketClient("joe", "wrong"))
    async with challenged(app, TicketClient("joe")) as connection:
        started = anyio.current_time()
        await connection.send(AUTHENTICATE, SECRET, {})
        await anyio.wait_all_tasks_blocked()
        if leave == "disconnect":
            await connection.disconnect()
        else:
            await connection.send(ABORT, {}, "wamp.error.cannot_authenticate")
        await connection.wait_served()
        waited = anyio.current_time() - started

    assert waited < 1.0
    assert SECRET not in verified
    assert app.metrics()["office"]["sessions"]["opening"] == 0


async def test_message_during_the_delay_is_a_protocol_violation() -> None:
    app = METHODS["ticket"].app(**SHORT)
    await fail(app, 2, TicketClient("joe", "wrong"))
    async with challenged(app, TicketClient("joe")) as connection:
        await connection.send(AUTHENTICATE, SECRET, {})
        answer = await connection.ask(AUTHENTICATE, SECRET, {})

    assert (answer[0], answer[2]) == (ABORT, PROTOCOL_VIOLATION)
    assert failures(app) == {"ticket:wrong_proof": 2, "ticket:invalid_answer": 1}


async def test_success_with_another_authid_resets_nothing() -> None:
    realm = Realm("office")

    async def owner(ticket: str) -> Identity | None:
        return Identity(authid="ann") if ticket == SECRET else None

    realm.set_ticket_authenticator(owner)
    app = Application([realm], limits=Limits(**SHORT))  # type: ignore[arg-type]
    await fail(app, 2, TicketClient("joe", "wrong"))

    durations = [(await timed(app, TicketClient("joe")))[0] for _ in range(2)]

    assert min(durations) >= FIRST


async def test_denied_clients_are_not_delayed() -> None:
    app = METHODS["ticket"].app(**SHORT)
    await fail(app, 5, TicketClient("denied"))

    assert delayed(app) == 0


async def test_limit_can_be_turned_off() -> None:
    realm = Realm("office", limits=Limits(authentication_failures=None))
    realm.set_ticket_authenticator(lambda ticket: None)
    app = Application([realm])

    assert await fail(app, 200, TicketClient("joe")) == [FAILED] * 200


async def test_custom_handler_runs_after_the_delay() -> None:
    realm = Realm("office")
    realm.set_authentication_handler(decide)
    app = Application([realm], limits=Limits(**SHORT))  # type: ignore[arg-type]
    for _ in range(2):
        async with wire(app) as connection:
            await connection.hello(authid="nobody")
    async with wire(app) as connection:
        started = anyio.current_time()
        await connection.hello(authid="nobody")

    assert anyio.current_time() - started >= FIRST
    assert failures(app) == {"custom:wrong_proof": 3}


async def test_realms_count_failures_separately() -> None:
    realms = [Realm("office"), Realm("other")]
    for realm in realms:
        realm.set_ticket_authenticator(lambda ticket: None)
    app = Application(realms, limits=Limits(**SHORT))  # type: ignore[arg-type]
    await fail(app, 2, TicketClient("joe"))
    async with wire(app) as connection:
        await connection.ask(1, "other", {"roles": {"caller": {}}, **TicketClient("joe").hello()})
        await connection.ask(AUTHENTICATE, "wrong", {})

    assert delayed(app, "other") == 0


class SlowCheck:
    """A ticket authenticator that waits until the test releases it."""

    def __init__(self) -> None:
        self.released = anyio.Event()
        self.verifying = self.verified = 0

    async def __call__(self, session: Any, ticket: str) -> Identity | None:
        self.verifying += 1
        await self.released.wait()
        self.verifying -= 1
        self.verified += 1
        return Identity(authid=session.authid) if ticket == SECRET else None


@pytest.mark.parametrize(("secret", "verified"), [("wrong", 5), (SECRET, 50)])
async def test_parallel_logins_wait_for_the_first_results(secret: str, verified: int) -> None:
    check = SlowCheck()
    realm = Realm("office")
    realm.set_ticket_authenticator(check.__call__)
    app = Application([realm], limits=Limits(handshake_timeout=5, authentication_failures=2))
    answers = []

    async def log_in() -> None:
        answers.append((await timed(app, TicketClient("joe", secret)))[1])

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(log_in)
        await anyio.wait_all_tasks_blocked()
        assert check.verifying == 2
        check.released.set()

    if secret == SECRET:
        assert {answer[0] for answer in answers} == {WELCOME}
        assert delayed(app) == 0
    else:
        assert answers.count(FAILED) == check.verified
        assert answers.count(LIMITED) == 50 - check.verified
    # The first two, and those that wait for 0.25, 0.75 and 1.75 s.
    assert check.verified == verified


async def test_login_that_waits_for_others_too_long_is_refused() -> None:
    check = SlowCheck()
    realm = Realm("office")
    realm.set_ticket_authenticator(check.__call__)
    app = Application([realm], limits=Limits(handshake_timeout=1, authentication_failures=2))
    answers = []

    async def log_in() -> None:
        answers.append((await timed(app, TicketClient("joe")))[1])

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(log_in)

    assert sorted(answer[2] for answer in answers) == ["wamp.error.timeout"] * 2 + [UNAVAILABLE]
    assert failures(app) == {"ticket:limited": 1}


async def test_client_that_does_not_read_its_refusal_keeps_no_other_waiting() -> None:
    app = METHODS["ticket"].app(handshake_timeout=5, authentication_failures=1)
    async with wire(app, buffer_size=2) as deaf:
        await deaf.send(1, "office", {"roles": {"caller": {}}, **TicketClient("joe").hello()})
        await deaf.receive()
        await anyio.wait_all_tasks_blocked()
        await deaf.send(AUTHENTICATE, "wrong", {})
        await anyio.wait_all_tasks_blocked()
        duration, answer = await timed(app, TicketClient("joe"))

    assert answer[0] == WELCOME
    assert duration < 3.0
