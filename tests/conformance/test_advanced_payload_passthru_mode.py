"""Advanced Profile, "Payload Passthru Mode", as far as it is about calls."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.clients import (
    BASIC_ROLES,
    CALL,
    ERROR,
    INTERRUPT,
    INVOCATION,
    PROCEDURE,
    RESULT,
    YIELD,
    assert_aborted,
    assert_error,
    assert_nothing_came,
    asyncio_only,
    joined,
    open_router,
    register,
    roles,
)

pytestmark = pytest.mark.anyio

PASSTHRU = roles("payload_passthru_mode", "progressive_call_results", "call_canceling")
ENCRYPTED = {
    "ppt_scheme": "wamp",
    "ppt_serializer": "cbor",
    "ppt_cipher": "xsalsa20poly1305",
    "ppt_keyid": "GTtQ37XGJO2O4R8Dvx4AUo8pe61D9evIWpKGQAPdOh0=",
}
MQTT = {"ppt_scheme": "mqtt", "ppt_serializer": "native"}
CUSTOM = {"ppt_scheme": "x_my_ppt"}
# The convention for binary data in JSON.
PAYLOAD = ["\x00AP8="]
FEATURE_NOT_SUPPORTED = "wamp.error.feature_not_supported"


@asyncio_only
@pytest.mark.parametrize("attributes", [ENCRYPTED, MQTT, CUSTOM], ids=lambda found: found["ppt_scheme"])
async def test_attributes_and_payload_are_forwarded_untouched(attributes: dict[str, Any]) -> None:
    async with joined(open_router(), PASSTHRU, PASSTHRU) as [caller, callee]:
        registration_id = await register(callee)
        await caller.send(CALL, 25471, attributes, PROCEDURE, PAYLOAD)
        assert await callee.receive() == [INVOCATION, 1, registration_id, attributes, PAYLOAD]
        await callee.send(YIELD, 1, attributes, PAYLOAD)
        assert await caller.receive() == [RESULT, 25471, attributes, PAYLOAD]
        await caller.send(CALL, 25472, attributes, PROCEDURE, PAYLOAD)
        await callee.receive()
        await callee.send(ERROR, INVOCATION, 2, attributes, "com.myapp.error", PAYLOAD)
        assert await caller.receive() == [ERROR, CALL, 25472, attributes, "com.myapp.error", PAYLOAD]


async def test_passthru_goes_with_progressive_results() -> None:
    async with joined(open_router(), PASSTHRU, PASSTHRU) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {**ENCRYPTED, "receive_progress": True}, PROCEDURE, PAYLOAD)
        assert (await callee.receive())[3] == {**ENCRYPTED, "receive_progress": True}
        await callee.send(YIELD, 1, {**ENCRYPTED, "progress": True}, PAYLOAD)
        assert await caller.receive() == [RESULT, 1, {**ENCRYPTED, "progress": True}, PAYLOAD]


async def test_caller_that_has_not_announced_it_is_aborted() -> None:
    async with joined(open_router(), BASIC_ROLES, PASSTHRU) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, CUSTOM, PROCEDURE, PAYLOAD)
        await assert_aborted(caller)
        await assert_nothing_came(callee)


async def test_callee_that_does_not_support_it_is_feature_not_supported() -> None:
    async with joined(open_router(), PASSTHRU, BASIC_ROLES) as [caller, callee]:
        await register(callee)
        assert_error(await caller.ask(CALL, 1, CUSTOM, PROCEDURE), CALL, 1, FEATURE_NOT_SUPPORTED)
        await assert_nothing_came(callee)


async def test_callee_that_yields_without_having_announced_it_is_aborted() -> None:
    async with joined(open_router(), PASSTHRU, BASIC_ROLES) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await callee.receive()
        await callee.send(YIELD, 1, CUSTOM, PAYLOAD)
        await assert_aborted(callee)
        assert_error(await caller.receive(), CALL, 1, "wamp.error.canceled")


@pytest.mark.parametrize("progress", [False, True])
async def test_callee_is_told_that_the_caller_does_not_support_it(progress: bool) -> None:
    async with joined(open_router(), roles("progressive_call_results"), PASSTHRU) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {"receive_progress": True}, PROCEDURE)
        await callee.receive()
        await callee.send(YIELD, 1, {**CUSTOM, "progress": progress}, PAYLOAD)
        assert_error(await callee.receive(), YIELD, 1, FEATURE_NOT_SUPPORTED)
        # And the call has ended, as every call must.
        assert_error(await caller.receive(), CALL, 1, FEATURE_NOT_SUPPORTED)
        if progress:
            assert (await callee.receive())[0] == INTERRUPT
        await assert_nothing_came(callee, caller)


@pytest.mark.parametrize("options", [{"ppt_scheme": ""}, {"ppt_serializer": "cbor"}], ids=str)
async def test_passthru_is_recognized_by_a_scheme_that_is_not_empty(options: dict[str, Any]) -> None:
    async with joined(open_router(), BASIC_ROLES, BASIC_ROLES) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, options, PROCEDURE)
        assert (await callee.receive())[0] == INVOCATION


@asyncio_only
@pytest.mark.parametrize("name", ENCRYPTED)
@pytest.mark.parametrize("wrong", [5, ["text"], {}], ids=str)
async def test_attributes_are_strings(name: str, wrong: object) -> None:
    attributes = {**ENCRYPTED, name: wrong}
    for answer in [YIELD, 1, attributes], [ERROR, INVOCATION, 1, attributes, "com.myapp.error"]:
        async with joined(open_router(), PASSTHRU, PASSTHRU) as [caller, callee]:
            await register(callee)
            await caller.send(CALL, 1, {}, PROCEDURE)
            await callee.receive()
            await callee.send(*answer)
            await assert_aborted(callee)
            assert_error(await caller.receive(), CALL, 1, "wamp.error.canceled")
            await caller.send(CALL, 2, attributes, PROCEDURE)
            await assert_aborted(caller)
