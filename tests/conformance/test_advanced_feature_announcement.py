"""Advanced Profile, "Feature Announcement"."""

from __future__ import annotations

import pytest

from tests.conformance.clients import GOODBYE, asyncio_only, open_router
from tests.websocket import connect

pytestmark = pytest.mark.anyio


@asyncio_only
@pytest.mark.parametrize(
    ("role", "feature"),
    [
        ("dealer", "progressive_call_results"),
        ("dealer", "progressive_call_invocations"),
        ("dealer", "call_timeout"),
        ("dealer", "call_canceling"),
        # So spelled where progressive call invocations require it.
        ("dealer", "call_cancelling"),
        ("dealer", "caller_identification"),
        ("dealer", "call_reroute"),
        ("dealer", "pattern_based_registration"),
        ("dealer", "shared_registration"),
        ("dealer", "registration_revocation"),
        ("dealer", "payload_passthru_mode"),
        ("broker", "publisher_identification"),
        ("broker", "publisher_exclusion"),
        ("broker", "subscriber_blackwhite_listing"),
        ("broker", "pattern_based_subscription"),
    ],
)
async def test_support_for_advanced_features_must_be_announced(role: str, feature: str) -> None:
    async with connect(open_router()) as client:
        assert (await client.join())[2]["roles"][role]["features"][feature] is True
        # In each session of a connection.
        await client.ask(GOODBYE, {}, "wamp.close.close_realm")
        assert (await client.join())[2]["roles"][role]["features"][feature] is True
