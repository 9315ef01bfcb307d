"""Clients that violate the handshake get ABORT and no session."""

from __future__ import annotations

import json
import logging
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.auth.peers import METHODS, PROOFS, Method, SCRAMClient, authenticate, wire
from tests.specification import (
    ABORT,
    AUTHENTICATE,
    AUTHENTICATION_FAILED,
    CALL,
    CHALLENGE,
    NO_MATCHING_AUTH_METHOD,
    PROTOCOL_VIOLATION,
    WELCOME,
)

each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
each_proof = pytest.mark.parametrize("method", PROOFS.values(), ids=PROOFS)

FAILED = [ABORT, {"message": "authentication failed"}, AUTHENTICATION_FAILED]


@pytest.mark.anyio
@each_proof
async def test_proof_from_an_earlier_handshake_is_refused(method: Method) -> None:
    app, client = method.app(), method.client("joe")
    async with wire(app) as connection:
        challenge = await connection.hello(**client.hello())
        recorded = client.answer(challenge[2])
        assert (await connection.ask(AUTHENTICATE, *recorded))[0] == WELCOME

    async with wire(app) as connection:
        challenge = await connection.hello(**client.hello())
        assert challenge[0] == CHALLENGE
        assert await connection.ask(AUTHENTICATE, *recorded) == FAILED


@pytest.mark.anyio
@each_proof
async def test_proof_for_the_challenge_of_another_session_is_refused(method: Method) -> None:
    app, client = method.app(), method.client("joe")
    async with wire(app) as one, wire(app) as other:
        challenge = await one.hello(**client.hello())
        await other.hello(**client.hello())
        answer = client.answer(challenge[2])

        assert await other.ask(AUTHENTICATE, *answer) == FAILED
        assert (await one.ask(AUTHENTICATE, *answer))[0] == WELCOME


@pytest.mark.anyio
@each_method
@pytest.mark.parametrize(
    "damage",
    [
        lambda signature: "",
        lambda signature: signature[:-1],
        lambda signature: signature[: len(signature) // 2],
        lambda signature: signature[1:],
        lambda signature: signature + "A",
        lambda signature: f" {signature}",
        lambda signature: signature[::-1],
        lambda signature: signature + "\u20ac",
        lambda signature: signature * 2,
    ],
    ids=["empty", "last cut", "half", "first cut", "longer", "space", "reversed", "not ascii", "twice"],
)
async def test_damaged_proof_is_refused(method: Method, damage: Any) -> None:
    client = method.client("joe")
    async with wire(method.app()) as connection:
        challenge = await connection.hello(**client.hello())
        signature, extra = client.answer(challenge[2])

        assert await connection.ask(AUTHENTICATE, damage(signature), extra) == FAILED


@pytest.mark.anyio
@each_method
@pytest.mark.parametrize(
    "message",
    [
        [AUTHENTICATE, 5, {}],
        [AUTHENTICATE, None, {}],
        [AUTHENTICATE, ["proof"], {}],
        [AUTHENTICATE, {"proof": 1}, {}],
        [AUTHENTICATE, "proof", []],
        [AUTHENTICATE, "proof"],
        [AUTHENTICATE, "proof", {}, "more"],
        [CALL, 1, {}, "whoami"],
        [CHALLENGE, "ticket", {}],
        [WELCOME, 1, {}],
        [1, "office", {"roles": {"caller": {}}}],
        [6, {}, "wamp.close.normal"],
    ],
    ids=json.dumps,
)
async def test_invalid_answer_to_challenge_is_a_protocol_violation(
    method: Method, message: list[Any]
) -> None:
    async with wire(method.app()) as connection:
        await connection.hello(**method.client("joe").hello())
        answer = await connection.ask(*message)
        await connection.closed()

    assert (answer[0], answer[2]) == (ABORT, PROTOCOL_VIOLATION)


@pytest.mark.anyio
@each_method
async def test_second_answer_to_the_same_challenge_is_ignored(method: Method) -> None:
    client = method.client("joe")
    async with wire(method.app()) as connection:
        challenge = await connection.hello(**client.hello())
        await connection.send(AUTHENTICATE, "wrong", {})
        await connection.send(AUTHENTICATE, *client.answer(challenge[2]))

        assert await connection.receive() == FAILED
        await connection.closed()


@pytest.mark.anyio
@each_method
async def test_client_that_does_not_answer_the_challenge_times_out(method: Method) -> None:
    async with wire(method.app(handshake_timeout=0.05)) as connection:
        challenge = await connection.hello(**method.client("joe").hello())
        answer = await connection.receive()
        await connection.closed()

    assert challenge[0] == CHALLENGE
    assert (answer[0], answer[2]) == (ABORT, "wamp.error.timeout")


@pytest.mark.anyio
async def test_client_that_does_not_send_hello_times_out() -> None:
    async with wire(METHODS["ticket"].app(handshake_timeout=0.05)) as connection:
        answer = await connection.receive()
        await connection.closed()

    assert (answer[0], answer[2]) == (ABORT, "wamp.error.timeout")


@pytest.mark.anyio
@each_method
async def test_client_that_aborts_or_disconnects_leaves_no_session(
    method: Method, caplog: pytest.LogCaptureFixture
) -> None:
    app = method.app()
    async with wire(app) as connection:
        await connection.hello(**method.client("joe").hello())
        await connection.send(ABORT, {}, "wamp.error.cannot_authenticate")
        await connection.closed()
    async with wire(app) as connection:
        await connection.hello(**method.client("joe").hello())
        await connection.disconnect()
        await connection.wait_served()

    assert not app.realms["office"].sessions
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "other"},
        {"nonce": None},
        {"nonce": 5},
        {"nonce": []},
        {"channel_binding": "tls-unique"},
        {"cbind_data": "AAAA"},
    ],
    ids=json.dumps,
)
async def test_scram_answer_from_another_exchange_is_refused(change: dict[str, Any]) -> None:
    client = SCRAMClient("joe")
    async with wire(METHODS["wamp-scram pbkdf2"].app()) as connection:
        challenge = await connection.hello(**client.hello())
        signature, extra = client.answer(challenge[2])

        assert await connection.ask(AUTHENTICATE, signature, {**extra, **change}) == FAILED


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("wampcra", {"authid": ""}),
        ("wampcra", {"authid": None}),
        ("wamp-scram pbkdf2", {"authid": None}),
        ("wamp-scram pbkdf2", {"authid": "\u00ad"}),
        ("wamp-scram pbkdf2", {"authid": "joe\u0007"}),
        ("wamp-scram pbkdf2", {"authextra": None}),
        ("wamp-scram pbkdf2", {"authextra": {}}),
        ("wamp-scram pbkdf2", {"authextra": {"nonce": 5}}),
        ("wamp-scram pbkdf2", {"authextra": {"nonce": ""}}),
        ("wamp-scram pbkdf2", {"authextra": {"nonce": "no base64, r=x"}}),
        ("cryptosign", {"authextra": None}),
        ("cryptosign", {"authextra": {"pubkey": None}}),
        ("cryptosign", {"authextra": {"pubkey": ["ab" * 32]}}),
        ("cryptosign", {"authextra": {"pubkey": "ab" * 31}}),
        ("cryptosign", {"authextra": {"pubkey": "zz" * 32}}),
        ("cryptosign", {"authextra": {"pubkey": "ab " * 32}}),
    ],
    ids=str,
)
async def test_method_is_skipped_if_hello_lacks_its_data(
    name: str, changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wampasgi.auth")
    method = METHODS[name]
    details = {**method.client("joe").hello(), **changes}
    async with wire(method.app()) as connection:
        answer = await connection.hello(**{key: value for key, value in details.items() if value is not None})

    assert (answer[0], answer[2]) == (ABORT, NO_MATCHING_AUTH_METHOD)
    assert f"{method.name} authentication is not possible for <Session" in caplog.text
    assert "HELLO.Details.auth" in caplog.text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=6,
)
extras = st.dictionaries(
    st.sampled_from(["nonce", "channel_binding", "cbind_data", "pubkey", "challenge"]) | st.text(),
    json_values | st.sampled_from(["AAAA", "ab" * 32, "tls-unique"]),
    max_size=4,
)
hellos: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"roles": st.just({"caller": {}})},
    optional={
        "authmethods": st.lists(st.sampled_from([method.name for method in METHODS.values()]) | st.text())
        | json_values,
        "authid": st.sampled_from(["joe", "denied", "nobody"]) | json_values,
        "authextra": extras | json_values,
        "authrole": json_values,
    },
)
answers = st.tuples(st.just(AUTHENTICATE), st.text() | st.just("AAAA"), extras) | st.lists(
    json_values, max_size=4
)


async def shake_hands(method: Method, hello: dict[str, Any], answer: list[Any]) -> list[int]:
    """Send HELLO and one other message, and return the codes of the answers."""
    app = method.app(handshake_timeout=2)
    codes = []
    async with wire(app) as connection:
        await connection.send(1, "office", hello)
        await connection.send(*answer)
        while True:
            event = await connection.receive_event()
            if event["type"] == "websocket.close":
                break
            codes.append(json.loads(event["text"])[0])
        await connection.wait_served()
        assert not app.realms["office"].sessions
    return codes


class Errors(logging.Handler):
    """Collects everything that is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@each_method
def test_arbitrary_hello_and_authenticate_are_aborted(method: Method, backend: str) -> None:
    errors = Errors()
    logging.getLogger("wampasgi").addHandler(errors)

    @given(hello=hellos, answer=answers)
    @settings(max_examples=40, deadline=None)
    def check(hello: dict[str, Any], answer: Any) -> None:
        codes = anyio.run(shake_hands, method, hello, list(answer), backend=backend)
        assert codes in ([ABORT], [CHALLENGE, ABORT])

    try:
        check()
    finally:
        logging.getLogger("wampasgi").removeHandler(errors)
    assert not errors.messages


@pytest.mark.anyio
@each_method
async def test_client_can_try_again_after_a_failed_handshake(method: Method) -> None:
    app = method.app()
    async with wire(app) as connection:
        assert await authenticate(connection, method.client("joe", "wrong")) == FAILED
    async with wire(app) as connection:
        assert (await authenticate(connection, method.client("joe")))[0] == WELCOME
