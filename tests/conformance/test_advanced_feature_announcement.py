"""Advanced Profile, "Feature Announcement"."""

from __future__ import annotations

import pytest

from tests.conformance.vocabulary import asyncio_only
from tests.wamp_client import connect, open_app

pytestmark = pytest.mark.anyio


@asyncio_only
@pytest.mark.parametrize(
    ("role", "feature"),
    [
        ("dealer", "progressive_call_results"),
        ("dealer", "progressive_call_invocations"),
        ("dealer", "call_timeout"),
        ("dealer", "call_canceling"),
        # The spelling in the section on progressive call invocations.
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
    async with connect(open_app()) as client:
        for _ in "first session", "next session on the same connection":
            await client.join()
            assert client.details["roles"][role]["features"][feature] is True
            await client.leave()
