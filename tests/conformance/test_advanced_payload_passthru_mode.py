"""Advanced Profile, "Payload Passthru Mode", for calls."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.vocabulary import PROCEDURE, between_workers, pending_call
from tests.specification import (
    CALL,
    CANCELED,
    ERROR,
    FEATURE_NOT_SUPPORTED,
    INTERRUPT,
    INVOCATION,
    RESULT,
    YIELD,
)
from tests.wamp_client import BASIC, announcing, clients, open_app

pytestmark = pytest.mark.anyio

PASSTHRU = announcing("payload_passthru_mode", "progressive_call_results", "call_canceling")
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


@between_workers
@pytest.mark.parametrize("attributes", [ENCRYPTED, MQTT, CUSTOM], ids=lambda found: found["ppt_scheme"])
async def test_attributes_and_payload_are_forwarded_untouched(attributes: dict[str, Any]) -> None:
    async with clients(open_app(), PASSTHRU, PASSTHRU) as [caller, callee]:
        registration_id = await callee.register(PROCEDURE)
        await caller.send(CALL, 25471, attributes, PROCEDURE, PAYLOAD)
        assert await callee.receive() == [INVOCATION, 1, registration_id, attributes, PAYLOAD]
        await callee.send(YIELD, 1, attributes, PAYLOAD)
        assert await caller.receive() == [RESULT, 25471, attributes, PAYLOAD]
        await caller.send(CALL, 25472, attributes, PROCEDURE, PAYLOAD)
        await callee.expect(INVOCATION)
        await callee.send(ERROR, INVOCATION, 2, attributes, "com.myapp.error", PAYLOAD)
        assert await caller.receive() == [ERROR, CALL, 25472, attributes, "com.myapp.error", PAYLOAD]


async def test_passthru_can_be_combined_with_progressive_results() -> None:
    async with clients(open_app(), PASSTHRU, PASSTHRU) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {**ENCRYPTED, "receive_progress": True}, PROCEDURE, PAYLOAD)
        assert (await callee.expect(INVOCATION))[3] == {**ENCRYPTED, "receive_progress": True}
        await callee.send(YIELD, 1, {**ENCRYPTED, "progress": True}, PAYLOAD)
        assert await caller.receive() == [RESULT, 1, {**ENCRYPTED, "progress": True}, PAYLOAD]


async def test_caller_that_has_not_announced_the_feature_is_aborted() -> None:
    async with clients(open_app(), BASIC, PASSTHRU) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, CUSTOM, PROCEDURE, PAYLOAD)
        await caller.expect_abort()
        await callee.expect_nothing()


async def test_call_fails_with_feature_not_supported_if_the_callee_does_not_support_it() -> None:
    async with clients(open_app(), PASSTHRU, BASIC) as [caller, callee]:
        await callee.register(PROCEDURE)
        assert await caller.request_error(CALL, CUSTOM, PROCEDURE) == FEATURE_NOT_SUPPORTED
        await callee.expect_nothing()


async def test_callee_that_yields_without_having_announced_the_feature_is_aborted() -> None:
    async with pending_call(PASSTHRU, BASIC) as [caller, callee]:
        await callee.send(YIELD, 1, CUSTOM, PAYLOAD)
        await callee.expect_abort()
        await caller.expect_error(CALL, 1, CANCELED)


@pytest.mark.parametrize("progress", [False, True])
async def test_yield_fails_with_feature_not_supported_if_the_caller_does_not_support_it(
    progress: bool,
) -> None:
    caller_details = announcing("progressive_call_results")
    async with pending_call(caller_details, PASSTHRU, receive_progress=True) as [caller, callee]:
        await callee.send(YIELD, 1, {**CUSTOM, "progress": progress}, PAYLOAD)
        await callee.expect_error(YIELD, 1, FEATURE_NOT_SUPPORTED)
        # The call has ended for the caller, too.
        await caller.expect_error(CALL, 1, FEATURE_NOT_SUPPORTED)
        if progress:
            await callee.expect(INTERRUPT)
        await callee.expect_nothing()
        await caller.expect_nothing()


@pytest.mark.parametrize("options", [{"ppt_scheme": ""}, {"ppt_serializer": "cbor"}], ids=str)
async def test_passthru_is_recognized_by_a_non_empty_scheme(options: dict[str, Any]) -> None:
    # With neither side announcing the feature, passthru mode would abort the caller.
    async with pending_call(BASIC, BASIC, **options):
        pass


@between_workers
@pytest.mark.parametrize("name", ENCRYPTED)
@pytest.mark.parametrize("wrong", [5, ["text"], {}], ids=str)
async def test_attributes_must_be_strings(name: str, wrong: object) -> None:
    attributes = {**ENCRYPTED, name: wrong}
    for answer in [YIELD, 1, attributes], [ERROR, INVOCATION, 1, attributes, "com.myapp.error"]:
        async with pending_call(PASSTHRU, PASSTHRU) as [caller, callee]:
            await callee.send(*answer)
            await callee.expect_abort()
            await caller.expect_error(CALL, 1, CANCELED)
            await caller.send(CALL, 2, attributes, PROCEDURE)
            await caller.expect_abort()
