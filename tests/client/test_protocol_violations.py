"""Messages that a router must not send end the session with ABORT, which names the field."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.client.scripted_router import ROLES, Peer, ScriptedRouter
from tests.specification import (
    ABORT,
    CALL,
    CHALLENGE,
    ERROR,
    EVENT,
    HELLO,
    INTERRUPT,
    INVOCATION,
    PROTOCOL_VIOLATION,
    PUBLISHED,
    REGISTER,
    REGISTERED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    UNREGISTERED,
    UNSUBSCRIBED,
    WELCOME,
)
from wampasgi.client import ConnectionClosed, RemoteProtocolError, connect
from wampasgi.errors import ProtocolError

pytestmark = pytest.mark.anyio


async def abort_after(
    script_message: str | list[Any], *requests: int
) -> tuple[RemoteProtocolError, list[Any]]:
    """Open a session, make the requests, and let the router send the message instead of an answer to a call.

    Returns the exception of the call, and the client's ABORT.
    """
    aborts: list[list[Any]] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        for code in requests:
            message = await peer.expect(code)
            answers = {SUBSCRIBE: SUBSCRIBED, REGISTER: REGISTERED}
            await peer.send(answers[code], message[1], 77)
        await peer.expect(CALL)
        if isinstance(script_message, str):
            await peer.send_text(script_message)
        else:
            await peer.send(*script_message)
        aborts.append(await peer.receive())

    router = ScriptedRouter(script)
    with anyio.fail_after(5):
        async with connect(app=router) as session:
            if SUBSCRIBE in requests:
                await session.subscribe("a.topic", lambda: None, match="prefix")
            if REGISTER in requests:
                await session.register("a.procedure", lambda: None, match="prefix")
            with pytest.raises(RemoteProtocolError) as raised:
                await session.call("any")
            with pytest.raises(ProtocolError, match=r"\w"):
                await session.call("another")
            assert session.state == "closed"
    assert not router.failures
    [abort] = aborts
    return raised.value, abort


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ([RESULT, 1], "RESULT must have 3 to 5 elements"),
        ([RESULT, "1", {}], "RESULT.Request"),
        ([RESULT, 2, {}], "RESULT.Request must be the ID of a pending CALL, got 2"),
        ([RESULT, 1, []], "RESULT.Details"),
        ([RESULT, 1, {"progress": 1}], "RESULT.Details.progress"),
        ([RESULT, 1, {"progress": True}], "RESULT.Details.progress must not be true"),
        ([RESULT, 1, {"callee": "x"}], "RESULT.Details.callee must be a session ID"),
        ([RESULT, 1, {}, {}], "RESULT.Arguments"),
        ([RESULT, 1, {}, [], []], "RESULT.ArgumentsKw"),
        ([ERROR, CALL, 1, {}, "no uri"], "ERROR.Error"),
        ([ERROR, SUBSCRIBE, 1, {}, "some.error"], "ERROR.Request must be the ID of a pending SUBSCRIBE"),
        ([ERROR, INVOCATION, 1, {}, "some.error"], "ERROR.REQUEST.Type"),
        ([ERROR, 99, 1, {}, "some.error"], "ERROR.REQUEST.Type"),
        ([PUBLISHED, 1, 5], "PUBLISHED.Request"),
        ([SUBSCRIBED, 1, 5], "SUBSCRIBED.Request"),
        ([UNSUBSCRIBED, 1], "UNSUBSCRIBED.Request"),
        ([UNSUBSCRIBED, 0, {"subscription": 9}], "UNSUBSCRIBED.Subscription"),
        ([UNSUBSCRIBED, 0, {}], "UNSUBSCRIBED.Details.subscription"),
        ([REGISTERED, 1, 5], "REGISTERED.Request"),
        ([UNREGISTERED, 0, {"registration": 9}], "UNREGISTERED.Registration"),
        ([EVENT, 5, 1, {}], "EVENT.Subscription must be the ID of a subscription of this session, got 5"),
        ([INVOCATION, 1, 5, {}], "INVOCATION.Registration must be the ID of a registration"),
        ([INTERRUPT, 1, {"mode": "later"}], "INTERRUPT.Options.mode"),
        ([WELCOME, 1, {"roles": ROLES}], "a router must not send WELCOME while the session is established"),
        ([CHALLENGE, "ticket", {}], "a router must not send CHALLENGE"),
        ([HELLO, "realm", {"roles": {"caller": {}}}], "a router must not send HELLO"),
        ([CALL, 1, {}, "some.procedure"], "a router must not send CALL"),
        ([99], "there is no message type with code 99"),
        ({}, "a message must be a list"),
        ("no JSON", "malformed JSON"),
        ('[50,1,{"x":NaN}]', "NaN"),
    ],
    ids=str,
)
async def test_message_that_breaks_the_rules_ends_the_session(message: Any, field: str) -> None:
    sent = "{}" if message == {} else message

    error, abort = await abort_after(sent)

    assert field in error.message
    assert abort[0] == ABORT
    assert abort[2] == PROTOCOL_VIOLATION
    assert abort[1]["message"] == error.message


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ([EVENT, 77, "1", {}], "EVENT.Publication"),
        ([EVENT, 77, 1, {"topic": 1}], "EVENT.Details.topic"),
        ([EVENT, 77, 1, {"topic": "no topic"}], "EVENT.Details.topic must be a URI"),
        ([EVENT, 77, 1, {}], "EVENT.Details.topic is required"),
        ([EVENT, 77, 1, {"topic": "a.topic", "publisher": "me"}], "EVENT.Details.publisher"),
        ([EVENT, 77, 1, {"topic": "a.topic", "publisher_authid": 1}], "EVENT.Details.publisher_authid"),
        ([EVENT, 77, 1, {"topic": "a.topic", "publisher_authrole": []}], "EVENT.Details.publisher_authrole"),
        ([EVENT, 77, 1, {"topic": "a.topic", "trustlevel": -1}], "EVENT.Details.trustlevel"),
        ([EVENT, 77, 1, {"topic": "a.topic", "retained": "yes"}], "EVENT.Details.retained"),
        ([EVENT, 77, 1, {"topic": "a.topic"}, 5], "EVENT.Arguments"),
    ],
    ids=str,
)
async def test_event_that_breaks_the_rules_ends_the_session(message: list[Any], field: str) -> None:
    error, _ = await abort_after(message, SUBSCRIBE)

    assert field in error.message


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ([INVOCATION, 1, 77, {}], "INVOCATION.Details.procedure is required"),
        ([INVOCATION, 1, 77, {"procedure": "no uri"}], "INVOCATION.Details.procedure must be a URI"),
        ([INVOCATION, 1, 77, {"procedure": "a.procedure", "caller": 0}], "INVOCATION.Details.caller"),
        ([INVOCATION, 1, 77, {"procedure": "a.procedure", "timeout": -1}], "INVOCATION.Details.timeout"),
        ([INVOCATION, 0, 77, {"procedure": "a.procedure"}], "INVOCATION.Request"),
    ],
    ids=str,
)
async def test_invocation_that_breaks_the_rules_ends_the_session(message: list[Any], field: str) -> None:
    error, _ = await abort_after(message, REGISTER)

    assert field in error.message


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ([WELCOME, 0, {"roles": ROLES}], "WELCOME.Session"),
        ([WELCOME, 1, {}], "WELCOME.Details.roles must contain at least one of broker, dealer"),
        ([WELCOME, 1, {"roles": {"caller": {}}}], "WELCOME.Details.roles"),
        ([WELCOME, 1, {"roles": {"broker": []}}], "WELCOME.Details.roles.broker"),
        ([WELCOME, 1, {"roles": {"broker": {"features": 1}}}], "WELCOME.Details.roles.broker"),
        ([WELCOME, 1, {"roles": ROLES, "authid": 1}], "WELCOME.Details.authid"),
        ([WELCOME, 1, {"roles": ROLES, "authextra": 1}], "WELCOME.Details.authextra"),
        ([RESULT, 1, {}], "a router must not send RESULT while the session is establishing"),
        ([CHALLENGE, 1, {}], "CHALLENGE.AuthMethod"),
    ],
    ids=str,
)
async def test_opening_handshake_that_breaks_the_rules_is_aborted(message: list[Any], field: str) -> None:
    aborts: list[list[Any]] = []

    async def script(peer: Peer) -> None:
        await peer.expect(HELLO)
        await peer.send(*message)
        aborts.append(await peer.receive())

    with pytest.raises(RemoteProtocolError) as raised:
        async with connect(app=ScriptedRouter(script)):
            pytest.fail("the session must not open")

    assert field in raised.value.message
    assert [abort[0] for abort in aborts] == [ABORT]


async def test_listeners_get_the_violation() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        subscribe = await peer.expect(SUBSCRIBE)
        await peer.send(SUBSCRIBED, subscribe[1], 5)
        await peer.send(EVENT, 5, 1, {}, ["first"])
        await peer.send(EVENT, 5, 0, {}, ["second"])
        await peer.until_gone()

    async with connect(app=ScriptedRouter(script)) as session, session.subscribe("a.topic") as events:
        assert (await events.next()).args == ["first"]
        with pytest.raises(RemoteProtocolError, match=r"EVENT\.Publication"):
            await events.next()
        with pytest.raises(RemoteProtocolError, match=r"EVENT\.Publication"):
            await session.wait_closed()


async def test_late_messages_of_an_ended_subscription_and_a_canceled_call_are_no_violation() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        subscribe = await peer.expect(SUBSCRIBE)
        await peer.send(SUBSCRIBED, subscribe[1], 5)
        unsubscribe = await peer.receive()
        await peer.send(UNSUBSCRIBED, unsubscribe[1])
        await peer.send(EVENT, 5, 1, {}, ["late"])
        call = await peer.expect(CALL)
        cancel = await peer.receive()
        assert cancel[1] == call[1]
        await peer.send(ERROR, CALL, call[1], {}, "wamp.error.canceled")
        await peer.send(RESULT, call[1], {}, ["late"])
        second = await peer.expect(CALL)
        await peer.send(RESULT, second[1], {}, ["in time"])
        await peer.until_gone()

    router = ScriptedRouter(script)
    async with connect(app=router) as session:
        async with session.subscribe("a.topic"):
            pass
        with pytest.raises(TimeoutError, match=r"waited 0\.01 s for the result of 'slow'"):
            await session.call("slow", timeout=0.01)
        assert await session.call("quick") == "in time"
    assert not router.failures


async def test_violation_is_not_retried() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.send(RESULT, 1, {})
        await peer.until_gone()

    router = ScriptedRouter(script)
    async with connect(app=router) as session:
        with pytest.raises(RemoteProtocolError):
            await session.wait_closed()
    assert router.peers == 1


async def test_request_after_the_end_says_that_this_side_has_closed() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.until_gone()

    async with connect(app=ScriptedRouter(script)) as session:
        await session.close()
        with pytest.raises(ConnectionClosed, match="closed by the client"):
            await session.call("any")
