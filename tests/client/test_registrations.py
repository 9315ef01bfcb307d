"""Registrations whose messages cross with lost connections, revocations and callers that give up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.client.played_router import Play, warning_event
from tests.client.scripted_router import Peer
from tests.specification import (
    CANCELED,
    ERROR,
    INTERRUPT,
    INVOCATION,
    NOT_AUTHORIZED,
    REGISTER,
    REGISTERED,
    UNAVAILABLE,
    UNREGISTER,
    UNREGISTERED,
    YIELD,
)
from wampasgi import Payload, WAMPError
from wampasgi.client import Invocation, Retry, Session, Timeout

pytestmark = pytest.mark.anyio

ALREADY_EXISTS = "wamp.error.procedure_already_exists"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wampasgi.client.registrations._PAUSES", Retry(initial=1e-6, maximum=1e-6))


async def take_register(peer: Peer, procedure: str = "mine", registration_id: int = 5) -> None:
    """Answer REGISTER."""
    message = await peer.expect(REGISTER)
    assert message[3] == procedure
    await peer.send(REGISTERED, message[1], registration_id)


async def refuse_register(peer: Peer, error: str) -> None:
    message = await peer.expect(REGISTER)
    await peer.send(ERROR, REGISTER, message[1], {}, error)


async def take_unregister(peer: Peer, registration_id: int = 5) -> None:
    """Answer UNREGISTER."""
    message = await peer.expect(UNREGISTER)
    assert message[2] == registration_id
    await peer.send(UNREGISTERED, message[1])


async def test_procedure_registered_while_reconnecting_is_registered_once() -> None:
    async def first(peer: Peer) -> None:
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_register(peer)
        await peer.send(INVOCATION, 1, 5, {})
        assert await peer.expect(YIELD) == [YIELD, 1, {}, ["result"]]

    play = Play(first, second)
    async with play.connect() as session:
        await play.states.wait_for(1, "reconnecting")
        registration = await session.register("mine", lambda: "result")
        assert registration.registration_id == 5
        await play.finish()
    play.check()


async def test_registration_that_is_ended_while_reconnecting_is_not_renewed() -> None:
    async def first(peer: Peer) -> None:
        await take_register(peer)
        await peer.close()

    async def second(peer: Peer) -> None:
        await play.states.wait_for(2, "open")

    play = Play(first, second)
    async with play.connect() as session:
        registration = await session.register("mine", lambda: None)
        await play.states.wait_for(1, "reconnecting")
        await registration.unregister()
        await registration.unregister()
        await play.finish()
    play.check()


async def test_registration_that_is_ended_after_its_renewal_and_before_the_session_is_open_again() -> None:
    async def first(peer: Peer) -> None:
        await take_register(peer)
        await take_register(peer, "other", 6)
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_register(peer)
        other = await peer.expect(REGISTER)
        renewed.set()
        await take_unregister(peer)
        await peer.send(REGISTERED, other[1], 6)

    renewed = anyio.Event()
    play = Play(first, second)
    async with play.connect() as session:
        registration = await session.register("mine", lambda: None)
        await session.register("other", lambda: None)
        await renewed.wait()
        await registration.unregister()
        await play.finish()
        await play.states.wait_for(2, "open")
    play.check()


@pytest.mark.parametrize("refusals", [0, 1])
async def test_registration_that_is_ended_during_its_renewal_is_taken_back(refusals: int) -> None:
    async def first(peer: Peer) -> None:
        await take_register(peer)
        await peer.close()

    async def second(peer: Peer) -> None:
        for _ in range(refusals):
            await refuse_register(peer, ALREADY_EXISTS)
        register = await peer.expect(REGISTER)
        registering.set()
        await anyio.wait_all_tasks_blocked()
        await peer.send(REGISTERED, register[1], 5)
        await take_unregister(peer)

    registering = anyio.Event()
    play = Play(first, second)
    async with play.connect() as session:
        registration = await session.register("mine", lambda: None)
        await registering.wait()
        await registration.unregister()
        assert play.done.is_set()
    play.check()


async def test_registration_that_is_ended_before_another_attempt_is_not_attempted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wampasgi.client.registrations._PAUSES", Retry(initial=0.05, maximum=0.05))

    async def first(peer: Peer) -> None:
        await take_register(peer)
        await peer.close()

    async def second(peer: Peer) -> None:
        await refuse_register(peer, ALREADY_EXISTS)
        await play.states.wait_for(2, "open")
        await registration.unregister()
        await anyio.sleep(0.06)

    play = Play(first, second)
    async with play.connect() as session:
        registration = await session.register("mine", lambda: None)
        await play.finish()
    play.check()


async def test_attempt_that_the_router_does_not_answer_is_reported_and_made_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def first(peer: Peer) -> None:
        await take_register(peer)
        await peer.close()

    async def second(peer: Peer) -> None:
        await refuse_register(peer, ALREADY_EXISTS)
        await peer.expect(REGISTER)

    async def third(peer: Peer) -> None:
        await take_register(peer)

    play = Play(first, second, third)
    errors: list[Exception] = []
    with caplog.at_level(logging.WARNING, logger="wampasgi.client"):
        async with play.connect(timeout=0.05, on_error=errors.append) as session:
            await session.register("mine", lambda: None)
            await play.finish()
    assert [type(error) for error in errors] == [Timeout]
    assert "the procedure 'mine' is still registered by another session" in caplog.text
    assert "waited 0.05 s for the registration of 'mine'" in caplog.text
    play.check()


@pytest.mark.parametrize("refusals", [[NOT_AUTHORIZED], [ALREADY_EXISTS, NOT_AUTHORIZED]])
async def test_registration_that_is_refused_once_is_not_renewed_again(refusals: list[str]) -> None:
    async def first(peer: Peer) -> None:
        await take_register(peer)
        await peer.close()

    async def second(peer: Peer) -> None:
        for error in refusals:
            await refuse_register(peer, error)
        await play.states.wait_for(2, "open")
        await anyio.wait_all_tasks_blocked()
        await peer.close()

    async def third(peer: Peer) -> None:
        await play.states.wait_for(3, "open")

    play = Play(first, second, third)
    errors: list[Any] = []
    async with play.connect(on_error=errors.append) as session:
        registration = await session.register("mine", lambda: None)
        await play.finish()
        assert registration.registration_id == 0
    assert [error.uri for error in errors] == [NOT_AUTHORIZED]
    play.check()


async def test_connection_lost_between_two_attempts_begins_anew() -> None:
    async def first(peer: Peer) -> None:
        await take_register(peer)
        await peer.close()

    async def second(peer: Peer) -> None:
        await refuse_register(peer, ALREADY_EXISTS)
        await peer.expect(REGISTER)
        await peer.close()

    async def third(peer: Peer) -> None:
        await take_register(peer, registration_id=6)
        await peer.send(INVOCATION, 1, 6, {})
        await peer.expect(YIELD)

    play = Play(first, second, third)
    async with play.connect() as session:
        await session.register("mine", lambda: None)
        await play.finish()
    play.check()


async def test_second_registration_of_a_procedure_does_not_end_the_first() -> None:
    async def first(peer: Peer) -> None:
        await take_register(peer)
        await refuse_register(peer, ALREADY_EXISTS)
        pattern = await peer.expect(REGISTER)
        assert pattern[2:] == [{"match": "prefix"}, "mine"]
        await peer.send(REGISTERED, pattern[1], 6)
        await peer.send(INVOCATION, 1, 5, {})
        assert (await peer.expect(YIELD))[3] == ["first"]
        await peer.send(INVOCATION, 2, 6, {"procedure": "mine.too"})
        assert (await peer.expect(YIELD))[3] == ["pattern"]
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_register(peer)
        pattern = await peer.expect(REGISTER)
        await peer.send(REGISTERED, pattern[1], 6)
        await play.states.wait_for(2, "open")

    play = Play(first, second)
    async with play.connect() as session:
        await session.register("mine", lambda: "first")
        with pytest.raises(WAMPError, match=ALREADY_EXISTS):
            await session.register("mine", lambda: "second")
        await session.register("mine", lambda: "pattern", match="prefix")
        await play.finish()
    play.check()


@pytest.mark.parametrize("steps", range(6))
async def test_whenever_registering_is_cancelled_the_router_is_told(steps: int, anyio_backend: str) -> None:
    async def first(peer: Peer) -> None:
        message = await peer.expect(REGISTER)
        await peer.send(REGISTERED, message[1], 5)
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        cancel()
        await take_unregister(peer)
        await peer.close()

    async def second(peer: Peer) -> None:
        await play.states.wait_for(2, "open")

    play = Play(first, second)
    async with play.connect() as session:

        async def register() -> None:
            registration = await session.register("mine", lambda: None)
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await registration.unregister()

        if anyio_backend == "asyncio":
            # A cancel scope would not cancel a task whose wait is over already.
            task = asyncio.create_task(register())
            cancel: Callable[[], object] = task.cancel
            await asyncio.wait([task])
        else:
            with anyio.CancelScope() as scope:
                cancel = scope.cancel
                await register()
        await play.finish()
    play.check()


@pytest.mark.parametrize("during_renewal", [False, True])
async def test_registration_that_is_revoked_at_once_is_not_renewed(during_renewal: bool) -> None:
    async def revoke(peer: Peer) -> None:
        await take_register(peer)
        await peer.send(UNREGISTERED, 0, {"registration": 5})
        await play.states.wait_for(peer.number, "open")
        await peer.close()

    async def first(peer: Peer) -> None:
        if during_renewal:
            await take_register(peer)
            await peer.close()
        else:
            await revoke(peer)

    async def last(peer: Peer) -> None:
        await play.states.wait_for(peer.number, "open")

    play = Play(first, revoke, last) if during_renewal else Play(first, last)
    errors: list[Any] = []
    async with play.connect(on_error=errors.append) as session:
        registration = await session.register("mine", lambda: None)
        await play.finish()
        assert registration.registration_id == 0
        await registration.unregister()
    assert [error.uri for error in errors] == [UNAVAILABLE]
    assert "the router has ended the registration of 'mine': without a reason" in str(errors[0])
    play.check()


async def test_revocation_of_a_registration_that_is_being_ended_is_no_error() -> None:
    async def script(peer: Peer) -> None:
        await take_register(peer)
        message = await peer.expect(UNREGISTER)
        await peer.send(UNREGISTERED, 0, {"registration": 5})
        await peer.send(ERROR, UNREGISTER, message[1], {}, "wamp.error.no_such_registration")

    play = Play(script)
    errors: list[Exception] = []
    async with play.connect(on_error=errors.append) as session:
        registration = await session.register("mine", lambda: None)
        await registration.unregister()
    assert errors == []
    play.check()


async def test_handlers_of_a_lost_connection_answer_nobody() -> None:
    ended: list[str] = []

    async def first(peer: Peer) -> None:
        await take_register(peer)
        await peer.send(INVOCATION, 1, 5, {})
        await peer.send(INVOCATION, 2, 5, {})
        await started.wait()
        await peer.close()

    async def second(peer: Peer) -> None:
        await take_register(peer)
        await play.states.wait_for(2, "open")
        await peer.send(INVOCATION, 1, 5, {})
        await peer.send(INTERRUPT, 1, {"mode": "kill"})
        assert await peer.receive() == [ERROR, INVOCATION, 1, {}, CANCELED]

    async def handler(session: Session) -> str:
        started.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            ended.append("cancelled")
            if len(ended) < 3:
                return "late"
            raise
        raise AssertionError

    started = anyio.Event()
    play = Play(first, second)
    async with play.connect() as session:
        await session.register("mine", handler)
        await play.finish()
    assert ended == ["cancelled"] * 3
    play.check()


async def test_results_wait_for_a_router_that_does_not_read(caplog: pytest.LogCaptureFixture) -> None:
    count = 200

    async def script(peer: Peer) -> None:
        await take_register(peer)
        for number in range(1, count + 1):
            await peer.send(INVOCATION, number, 5, {}, [number])
        await anyio.wait_all_tasks_blocked()
        results = [await peer.expect(YIELD) for _ in range(count)]
        assert sorted(results) == [[YIELD, number, {}, [number]] for number in range(1, count + 1)]

    async def handler(number: int) -> int:
        return number

    play = Play(script)
    async with play.connect() as session:
        await session.register("mine", handler)
        await play.finish()
    # None about a router that knows no patterns, either.
    assert caplog.records == []
    play.check()


async def test_router_that_does_not_confirm_the_end_of_a_late_registration_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def script(peer: Peer) -> None:
        register = await peer.expect(REGISTER)
        await late.wait()
        await peer.send(REGISTERED, register[1], 5)
        await peer.expect(UNREGISTER)
        await logged.wait()

    late = anyio.Event()
    play = Play(script)
    with warning_event() as logged:
        async with play.connect() as session:
            with pytest.raises(Timeout):
                await session.register("mine", lambda: None, timeout=0.01)
            late.set()
            await play.finish()
    assert caplog.messages == ["waited 0.01 s for the end of the registration of 'mine'"]
    play.check()


async def test_two_readers_share_the_parts_of_the_arguments() -> None:
    async def script(peer: Peer) -> None:
        await take_register(peer)
        await peer.send(INVOCATION, 1, 5, {"progress": True}, [1])
        await anyio.wait_all_tasks_blocked()
        await peer.send(INVOCATION, 1, 5, {"progress": True}, [2])
        await anyio.wait_all_tasks_blocked()
        await peer.send(INVOCATION, 1, 5, {}, [3])
        assert await peer.expect(YIELD) == [YIELD, 1, {}, [[1, 2, 3]]]

    async def handler(invocation: Invocation) -> list[Any]:
        found: list[Any] = []

        async def collect() -> None:
            found.extend([chunk.args[0] async for chunk in invocation.chunks()])

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(collect)
        return sorted(found)

    play = Play(script)
    async with play.connect() as session:
        await session.register("mine", handler)
        await play.finish()
    play.check()


async def test_invocation_made_by_a_test_has_its_arguments_as_the_only_part() -> None:
    invocation = Invocation("mine", [1], {"x": 2})

    with anyio.fail_after(1):
        assert [chunk async for chunk in invocation.chunks()] == [Payload([1], {"x": 2})]
