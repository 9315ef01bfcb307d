"""The end of sessions, whoever ends them and when, and what comes with WELCOME."""

from __future__ import annotations

import json
import logging
import math
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.client.played_router import QUICK, Play, States
from tests.client.scripted_router import ROLES, Disconnected, Peer, ScriptedRouter
from tests.specification import (
    ABORT,
    AUTHENTICATE,
    CALL,
    CHALLENGE,
    EVENT,
    GOODBYE,
    GOODBYE_AND_OUT,
    HELLO,
    INVOCATION,
    REGISTER,
    REGISTERED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    SYSTEM_SHUTDOWN,
    WELCOME,
)
from wampasgi.client import (
    ConnectFailed,
    ConnectionClosed,
    ConnectionLost,
    JoinRefused,
    RemoteProtocolError,
    Retry,
    Session,
    connect,
)
from wampasgi.errors import ConfigurationError
from wampasgi.protocol.messages import Challenge
from wampasgi.types import Receive, Scope, Send

pytestmark = pytest.mark.anyio


# Closing


async def test_close_that_is_cancelled_closes_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wampasgi.client.supervisor._GOODBYE_TIMEOUT", 0.05)

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.expect(GOODBYE)
        await peer.receive()

    router = ScriptedRouter(script)
    async with connect(app=router) as session:
        with anyio.move_on_after(0.01) as scope:
            await session.close()
        assert scope.cancelled_caught
        with anyio.fail_after(2):
            await session.wait_closed()
        begin = anyio.current_time()
    assert anyio.current_time() - begin < 1
    assert not router.failures


async def test_session_is_closed_once_by_several_tasks() -> None:
    async def script(peer: Peer) -> None:
        assert (await peer.expect(GOODBYE))[2] == "com.example.first"
        await anyio.wait_all_tasks_blocked()
        waiting.append(len(closed))
        await peer.send(GOODBYE, {}, GOODBYE_AND_OUT)

    closed: list[str] = []
    waiting: list[int] = []
    play = Play(script)
    async with play.connect() as session:

        async def close(name: str) -> None:
            await session.close(f"com.example.{name}")
            closed.append(name)

        async with anyio.create_task_group() as group:
            await anyio.wait_all_tasks_blocked()
            for name in "first", "second", "third":
                group.start_soon(close, name)
                await anyio.wait_all_tasks_blocked()
        await session.close()
        with pytest.raises(ConnectionClosed, match=r"com\.example\.first"):
            await session.call("any")
    assert waiting == [0]
    assert sorted(closed) == ["first", "second", "third"]
    assert play.states.seen == ["open", "closed"]
    play.check()


async def test_handlers_may_close_the_session() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome(peer.number)
        request = await peer.receive()
        if request[0] == REGISTER:
            await peer.send(REGISTERED, request[1], 5)
            await peer.send(INVOCATION, 1, 5, {})
        else:
            await peer.send(SUBSCRIBED, request[1], 5)
            await peer.send(EVENT, 5, 1, {})
        assert (await peer.expect(GOODBYE))[2] == "com.example.enough"
        await peer.send(GOODBYE, {}, GOODBYE_AND_OUT)

    async def close(session: Session) -> None:
        try:
            await session.close("com.example.enough")
        finally:
            ended.append("closed")

    ended: list[str] = []
    router = ScriptedRouter(script)
    for method in "register", "subscribe":
        with anyio.fail_after(5):
            async with connect(app=router) as session:
                await getattr(session, method)("mine", close)
                await session.wait_closed()
    assert ended == ["closed", "closed"]
    assert not router.failures


@pytest.mark.parametrize("state", ["open", "reconnecting", "closed"])
async def test_callback_of_a_state_may_fail_and_close_the_session(
    state: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def first(peer: Peer) -> None:
        if state != "open":
            await peer.close()

    async def second(peer: Peer) -> None:
        await play.states.wait_for(2, "open")
        if state == "closed":
            await peer.send(GOODBYE, {}, "com.example.enough")

    def on_state(new: str) -> None:
        play.states(new)
        if new == state:
            group.start_soon(sessions[0].close if sessions else anyio.lowlevel.checkpoint)
        raise LookupError(new)

    play = Play(first, second)
    sessions: list[Session] = []
    errors: list[Exception] = []
    async with (
        anyio.create_task_group() as group,
        connect(app=play.router, retry=QUICK, on_state=on_state, on_error=errors.append) as session,
    ):
        sessions.append(session)
        if state == "open":
            await session.close()
        if state == "closed":
            with pytest.raises(ConnectionClosed, match=r"closed by the server: com\.example\.enough"):
                await session.wait_closed()
        else:
            await session.wait_closed()
    states = ["open", "reconnecting", "open", "closed"] if state == "closed" else ["open", state, "closed"]
    assert play.states.seen == list(dict.fromkeys(states) if state == "open" else states)
    assert [str(error) for error in errors] == play.states.seen
    assert f"on_state failed for {state!r}" in caplog.text


async def test_router_that_drops_the_connection_instead_of_answering_goodbye_is_not_sought_again() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect(GOODBYE)
        await peer.close()

    play = Play(script)
    async with play.connect() as session:
        await session.close()
    assert play.states.seen == ["open", "closed"]
    assert play.router.peers == 1
    play.check()


@pytest.mark.parametrize(
    "message", [[GOODBYE, {}, "com.example.enough"], [ABORT, {}, "com.example.enough"], [RESULT, 1, {}]]
)
async def test_connection_of_a_session_that_is_over_is_closed_in_order(message: list[Any]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "wamp.2.json"})
        await receive()
        for sent in [WELCOME, 1, {"roles": ROLES}], message:
            await send({"type": "websocket.send", "text": json.dumps(sent)})
        while (event := await receive())["type"] != "websocket.disconnect":
            pass
        events.append(event)

    events: list[Any] = []
    async with connect(app=app) as session:
        with pytest.raises((ConnectionClosed, RemoteProtocolError)):
            await session.wait_closed()
    assert events == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}]


async def test_close_during_the_renewal_ends_it() -> None:
    async def first(peer: Peer) -> None:
        subscribe = await peer.expect(SUBSCRIBE)
        await peer.send(SUBSCRIBED, subscribe[1], 5)
        await peer.close()

    async def second(peer: Peer) -> None:
        await peer.expect(SUBSCRIBE)
        renewing.set()

    renewing = anyio.Event()
    play = Play(first, second)
    async with play.connect(timeout=None) as session, session.subscribe("a.topic") as events:
        await renewing.wait()
        await session.close()
        with pytest.raises(ConnectionClosed, match="closed by the client"):
            await events.next()
    assert play.states.seen == ["open", "reconnecting", "closed"]
    play.check()


async def test_close_while_waiting_for_welcome_does_not_wait() -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 1:
            await peer.welcome()
            await peer.close()
        await peer.expect(HELLO)
        waiting.set()
        await peer.receive()

    waiting, states = anyio.Event(), States()
    router = ScriptedRouter(script)
    with anyio.fail_after(3):
        async with connect(app=router, retry=QUICK, on_state=states) as session:
            await waiting.wait()
            begin = anyio.current_time()
            await session.close()
            assert anyio.current_time() - begin < 1
    assert states.seen == ["open", "reconnecting", "closed"]
    assert not router.failures


async def test_requests_of_a_session_that_is_closed_while_reconnecting_end() -> None:
    async def first(peer: Peer) -> None:
        await peer.close()

    play = Play(first)
    errors: list[str] = []
    async with connect(app=play.router, retry=Retry(initial=60, maximum=60), on_state=play.states) as session:
        await play.states.wait_for(1, "reconnecting")

        async def call() -> None:
            try:
                await session.call("any", timeout=None)
            except ConnectionClosed as error:
                errors.append(error.closed_by)

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            await session.close()
    assert errors == ["client"]


# Connections


async def test_request_in_flight_learns_why_the_session_has_ended() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome(peer.number)
        await peer.expect(CALL)
        if peer.number == 1:
            await peer.close(1011)
        elif peer.number == 2:
            await peer.send(GOODBYE, {}, SYSTEM_SHUTDOWN)
        else:
            await peer.send(ABORT, {}, "com.example.enough")
        await peer.until_gone()

    async with connect(app=ScriptedRouter(script), retry=QUICK) as session:
        with pytest.raises(ConnectionLost, match="before the result of 'any' arrived") as lost:
            await session.call("any")
        assert lost.value.sent
        for reason in SYSTEM_SHUTDOWN, "com.example.enough":
            with pytest.raises(ConnectionClosed, match="closed by the server") as closed:
                await session.call("any")
            assert closed.value.reason == reason
        with pytest.raises(ConnectionClosed, match=r"com\.example\.enough"):
            await session.wait_closed()


async def test_requests_after_the_goodbye_of_the_router_wait_for_the_next_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome(peer.number)
        if peer.number == 1:
            await peer.send(GOODBYE, {}, SYSTEM_SHUTDOWN)
            await peer.expect(GOODBYE)
            left.set()
            with pytest.raises(Disconnected):
                await peer.receive()
            await waiting.wait()
        else:
            call = await peer.expect(CALL)
            await peer.send(RESULT, call[1], {}, ["called"])
            await peer.until_gone()

    left, waiting = anyio.Event(), anyio.Event()
    router = ScriptedRouter(script)
    results: list[Any] = []
    async with connect(app=router, retry=QUICK) as session, anyio.create_task_group() as group:

        async def call() -> None:
            results.append(await session.call("any"))

        await left.wait()
        await anyio.wait_all_tasks_blocked()
        group.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        waiting.set()
    assert results == ["called"]
    assert not router.failures


async def test_number_of_attempts_counts_from_the_last_session_that_lasted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome(peer.number)
        await states.wait_for(peer.number, "open")
        if peer.number > 5:
            monkeypatch.setattr("wampasgi.client.supervisor._STABLE", 60)
        await peer.close(1011)

    monkeypatch.setattr("wampasgi.client.supervisor._STABLE", -1)
    router = ScriptedRouter(script)
    retry = Retry(initial=0.001, maximum=0.001, attempts=2)
    states = States()
    async with connect(app=router, retry=retry, on_state=states) as session:
        with pytest.raises(ConnectionLost), anyio.fail_after(5):
            await session.wait_closed()
    # The sixth is the second in a row.
    assert router.peers == 7


async def test_loss_is_logged_once_as_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def script(peer: Peer) -> None:
        if peer.number in (2, 3):
            await peer.expect(HELLO)
            await peer.send(ABORT, {}, "wamp.error.unavailable")
        await peer.welcome(peer.number)
        if peer.number == 1:
            await peer.close(1011)
        await peer.until_gone()

    states = States()
    with caplog.at_level(logging.INFO, logger="wampasgi.client"):
        async with connect(app=ScriptedRouter(script), retry=QUICK, on_state=states):
            await states.wait_for(2, "open")
    levels = [record.levelname for record in caplog.records if "connecting again in" in record.getMessage()]
    assert levels == ["WARNING", "INFO", "INFO"]


async def test_restoration_that_fails_is_reported_and_made_again(caplog: pytest.LogCaptureFixture) -> None:
    async def first(peer: Peer) -> None:
        subscribe = await peer.expect(SUBSCRIBE)
        await peer.send(SUBSCRIBED, subscribe[1], 5)
        await peer.close()

    async def second(peer: Peer) -> None:
        await peer.expect(SUBSCRIBE)

    play = Play(first, second, first)
    errors: list[Exception] = []
    async with play.connect(timeout=0.05, on_error=errors.append) as session:
        await session.subscribe("a.topic", lambda: None)
        await play.finish()
    assert [str(error) for error in errors] == ["waited 0.05 s for the subscription to 'a.topic'"]
    assert "the session could not be restored: waited 0.05 s for the subscription" in caplog.text


async def test_goodbye_in_one_batch_with_welcome_is_no_violation() -> None:
    """A router that shuts down may send both at once."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        connections.append(scope["type"])
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "wamp.2.json.batched"})
        await receive()
        batch: list[list[Any]] = [[WELCOME, 1, {"roles": ROLES}]]
        if len(connections) == 1:
            batch.append([GOODBYE, {}, SYSTEM_SHUTDOWN])
        await send({"type": "websocket.send", "text": "".join(f"{json.dumps(item)}\x1e" for item in batch)})
        answers.append(json.loads((await receive())["text"].rstrip("\x1e")))
        if len(connections) == 2:
            await send({"type": "websocket.send", "text": f"{json.dumps([RESULT, 1, {}, ['called']])}\x1e"})
            await receive()
            await send(
                {"type": "websocket.send", "text": f"{json.dumps([GOODBYE, {}, GOODBYE_AND_OUT])}\x1e"}
            )
        await receive()

    connections: list[str] = []
    answers: list[list[Any]] = []
    states = States()
    async with connect(app=app, batched=True, retry=QUICK, on_state=states) as session:
        await states.wait_for(2, "open")
        assert await session.call("any") == "called"
    assert [answer[0] for answer in answers] == [GOODBYE, CALL]


@pytest.mark.parametrize("uri", ["wamp.error.not_authorized", "wamp.error.unavailable"])
async def test_refusal_of_the_first_session_is_raised(uri: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.expect(HELLO)
        await peer.send(ABORT, {"message": "no"}, uri)

    router = ScriptedRouter(script)
    with pytest.raises(JoinRefused, match=f"{uri}: no"):
        async with connect(app=router, retry=QUICK):
            pytest.fail("the session must not open")
    assert router.peers == 1


async def test_app_that_refuses_a_reconnection_ends_the_session() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        connections.append(scope["type"])
        if len(connections) == 2:
            await receive()
            await send({"type": "websocket.close", "code": 4000})
            return
        await router(scope, receive, send)

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.close()

    connections: list[str] = []
    router = ScriptedRouter(script)
    async with connect(app=app, retry=QUICK) as session:
        with pytest.raises(ConnectFailed, match="refused the WebSocket: it closed it with code 4000"):
            await session.wait_closed()
        with pytest.raises(ConnectFailed):
            await session.call("any")
    assert len(connections) == 2


async def test_failure_of_on_challenge_is_a_failed_attempt(caplog: pytest.LogCaptureFixture) -> None:
    async def script(peer: Peer) -> None:
        await peer.expect(HELLO)
        await peer.send(CHALLENGE, "otp", {})
        await peer.expect(AUTHENTICATE)
        await peer.send(WELCOME, 1, {"roles": ROLES})
        if peer.number == 2:
            failing.append(2)
            await peer.close()
        await peer.until_gone()

    async def on_challenge(challenge: Challenge) -> str:
        if failing:
            raise LookupError(failing.pop())
        return "123456"

    states = States()
    failing = [1]
    options: Any = {"on_challenge": on_challenge, "authmethods": ["otp"]}
    router = ScriptedRouter(script)
    with pytest.raises(ConnectFailed, match="on_challenge failed: LookupError: 1") as raised:
        async with connect(app=router, **options):
            pytest.fail("the session must not open")
    assert isinstance(raised.value.__cause__, LookupError)
    async with connect(app=router, retry=QUICK, on_state=states, **options):
        await states.wait_for(2, "open")
    assert router.peers == 4
    assert caplog.text.count("on_challenge failed for 'otp'") == 2


# Delays


@pytest.mark.parametrize("failures", [0, 1, 40, 50, 10**9])
def test_delays_with_huge_factors_are_the_maximum(failures: int) -> None:
    retry = Retry(initial=1, factor=1e300, maximum=10)

    assert retry.delay(failures, 1) == (10 if failures else 1)


@pytest.mark.parametrize("options", [{"maximum": math.inf}, {"factor": math.inf}, {"initial": math.nan}])
def test_delays_must_be_finite(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="initial must be positive"):
        Retry(**options)  # type: ignore[arg-type] # they do not contain attempts


def test_delays_may_be_constant_and_attempts_single() -> None:
    retry = Retry(initial=5, maximum=5, factor=1, attempts=1)

    assert [retry.delay(failures, 1) for failures in range(3)] == [5, 5, 5]
