"""Each message of a router with wrong values in each place: they are reported, and nothing hangs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from tests.client.scripted_router import ROLES, Peer, Script, ScriptedRouter
from tests.specification import (
    ABORT,
    CALL,
    CHALLENGE,
    ERROR,
    EVENT,
    GOODBYE,
    GOODBYE_AND_OUT,
    HELLO,
    INTERRUPT,
    INVOCATION,
    PROTOCOL_VIOLATION,
    PUBLISH,
    PUBLISHED,
    REGISTER,
    REGISTERED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    UNREGISTER,
    UNREGISTERED,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
    WELCOME,
)
from wampasgi.client import (
    ConnectionClosed,
    RemoteProtocolError,
    Session,
    WAMPError,
    connect,
)
from wampasgi.errors import ConfigurationError

pytestmark = pytest.mark.anyio

#: Stands for the ID of the client's request.
REQUEST = "REQUEST"

#: A right message of each kind.
MESSAGES: dict[str, list[Any]] = {
    "CHALLENGE": [CHALLENGE, "ticket", {"a": 1}],
    "WELCOME": [WELCOME, 1, {"roles": ROLES, "authid": "joe", "authextra": {"a": 1}}],
    "ABORT": [ABORT, {"a": 1}, "wamp.error.no_such_realm"],
    "RESULT": [RESULT, REQUEST, {"callee": 5}, [1], {"a": 2}],
    "ERROR": [ERROR, CALL, REQUEST, {"a": 1}, "a.b", [1], {"a": 2}],
    "PUBLISHED": [PUBLISHED, REQUEST, 7],
    "SUBSCRIBED": [SUBSCRIBED, REQUEST, 8],
    "UNSUBSCRIBED": [UNSUBSCRIBED, REQUEST],
    "REGISTERED": [REGISTERED, REQUEST, 9],
    "UNREGISTERED": [UNREGISTERED, REQUEST],
    "EVENT": [EVENT, 8, 7, {"publisher": 5, "topic": "a.b", "trustlevel": 1}, [1], {"a": 2}],
    "INVOCATION": [INVOCATION, 1, 9, {"caller": 5, "procedure": "a.b", "timeout": 10}, [1], {"a": 2}],
    "INTERRUPT": [INTERRUPT, 1, {"mode": "kill"}],
    "GOODBYE": [GOODBYE, {"a": 1}, "wamp.close.close_realm"],
}

#: The messages that answer a request.
ANSWERS = {
    CALL: "RESULT",
    PUBLISH: "PUBLISHED",
    SUBSCRIBE: "SUBSCRIBED",
    UNSUBSCRIBE: "UNSUBSCRIBED",
    REGISTER: "REGISTERED",
    UNREGISTER: "UNREGISTERED",
}

#: The messages that are sent without a request, just before the result of the call.
UNASKED = ("EVENT", "INVOCATION", "INTERRUPT", "GOODBYE")

#: The index of the dict in a message whose keys the protocol defines.
DETAILS = {"WELCOME": 2, "RESULT": 2, "EVENT": 3, "INVOCATION": 3, "INTERRUPT": 2}

TOO_LARGE = 2**53 + 1
WRONG: list[Any] = [None, True, -1, 0, TOO_LARGE, 1.5, "", "no uri", [], {}]

#: The variants that are right, too. Some routers send null for unknown details.
ACCEPTED: dict[str, set[str]] = {
    "CHALLENGE": {"[1]=''", "[1]='no uri'", "[2]={}"},
    "WELCOME": {
        *(f"[2].authid={value!r}" for value in (None, "", "no uri")),
        *("[2].authextra=None", "[2].authextra={}"),
    },
    "ABORT": {"[1]={}"},
    "RESULT": {"[2]={}", "[2].callee=None", "[3]=[]", "[4]={}", "[:3]", "[:4]"},
    "ERROR": {"[3]={}", "[5]=[]", "[6]={}", "[:5]", "[:6]"},
    "EVENT": {
        *(f"[3].trustlevel={value}" for value in (None, 0, TOO_LARGE)),
        *("[3].publisher=None", "[4]=[]", "[5]={}", "[:4]", "[:5]"),
    },
    "INVOCATION": {
        *(f"[3].timeout={value}" for value in (None, 0, TOO_LARGE)),
        *("[3].caller=None", "[4]=[]", "[5]={}", "[:4]", "[:5]"),
    },
    "INTERRUPT": {"[2]={}", "[2].mode=None"},
    "GOODBYE": {"[1]={}"},
}


def variants(name: str) -> Iterator[tuple[str, list[Any]]]:
    """Yield a message with each wrong value in each place, and with missing and additional elements."""
    message = MESSAGES[name]
    for index in range(1, len(message)):
        for wrong in WRONG:
            yield f"[{index}]={wrong!r}", [*message[:index], wrong, *message[index + 1 :]]
    details = DETAILS.get(name, 0)
    for key in message[details] if details else ():
        for wrong in WRONG:
            changed = {**message[details], key: wrong}
            yield f"[{details}].{key}={wrong!r}", [*message[:details], changed, *message[details + 1 :]]
    for length in range(1, len(message)):
        yield f"[:{length}]", message[:length]
    yield "longer", [*message, [], {}, 1, 2, 3]


def script_with(name: str, changed: list[Any], aborts: list[list[Any]]) -> Script:
    """Return a script of a whole session, in which one message is changed."""

    async def send(peer: Peer, sent: str, request_id: int = 0) -> None:
        message = changed if sent == name else MESSAGES[sent]
        await peer.send(*(request_id if element == REQUEST else element for element in message))

    async def script(peer: Peer) -> None:
        await peer.expect(HELLO)
        if name in ("CHALLENGE", "ABORT"):
            await send(peer, name)
        await send(peer, "WELCOME")
        while True:
            code, *rest = await peer.receive()
            if code == ABORT:
                aborts.append([code, *rest])
            elif code == GOODBYE:
                await peer.send(GOODBYE, {}, GOODBYE_AND_OUT)
            elif code == CALL and name == "ERROR":
                await send(peer, name, rest[0])
            elif code in ANSWERS:
                if code == CALL and name in UNASKED:
                    await send(peer, name)
                await send(peer, ANSWERS[code], rest[0])

    return script


async def use(session: Session) -> None:
    """Make a request of each kind."""
    async with session.subscribe("a.", match="prefix"):
        registration = await session.register("a.", lambda: None, match="prefix")
        await session.publish("a.b", acknowledge=True)
        await session.call("a.b")
        await registration.unregister()


async def violation(name: str, changed: list[Any]) -> str | None:
    """Return the text of the protocol error that a changed message causes, None if it is accepted."""
    aborts: list[list[Any]] = []
    router = ScriptedRouter(script_with(name, changed, aborts))
    text = None
    try:
        async with connect(app=router, authid="joe", ticket="secret", retry=None) as session:
            await use(session)
            await session.close()
    except RemoteProtocolError as error:
        text = error.message
    except (WAMPError, ConnectionClosed, ConfigurationError):
        # ERROR, ABORT and GOODBYE, and a CHALLENGE for another method.
        assert name in ("ERROR", "ABORT", "GOODBYE", "CHALLENGE")
    assert not router.failures
    assert aborts == ([] if text is None else [[ABORT, {"message": text}, PROTOCOL_VIOLATION]])
    return text


@pytest.mark.parametrize("name", MESSAGES)
async def test_wrong_values_are_reported_with_the_name_of_the_message(name: str) -> None:
    accepted = set()
    for variant, changed in variants(name):
        with anyio.fail_after(5):
            text = await violation(name, changed)
        if text is None:
            accepted.add(variant)
        else:
            assert name in text, variant
    assert accepted == ACCEPTED.get(name, set())
