"""The client against Crossbar.io, which has most features of the Advanced Profile.

Run only if Crossbar.io is installed: see ``test_other_routers.py``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from tests.client.other_routers import (
    AUTHID,
    CROSSBAR,
    REALM,
    ROLE,
    SALTED,
    SECRET,
    OtherRouter,
    start_router,
)
from tests.client.test_other_routers import two_sessions
from wampasgi import RPCProgressReport, WAMPError
from wampasgi.client import Invocation, JoinRefused, connect

# pytest collects nothing from a module in which this is false.
__test__ = CROSSBAR.exists()

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def crossbar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherRouter]:
    router = start_router("Crossbar.io", tmp_path_factory.mktemp("crossbar"))
    yield router
    router.kill()


async def test_password_is_salted(crossbar: OtherRouter) -> None:
    async with connect(crossbar.url, realm=REALM, authid=SALTED, secret=SECRET) as session:
        assert (session.authid, session.authrole) == (SALTED, ROLE)


async def test_missing_realm_and_user_are_refused(crossbar: OtherRouter) -> None:
    attempts: list[dict[str, Any]] = [
        {"realm": "nowhere"},
        {"realm": REALM, "authid": "nobody", "ticket": SECRET},
    ]
    for options in attempts:
        with pytest.raises(JoinRefused, match=r"nowhere|nobody"):
            async with connect(crossbar.url, **options):
                pytest.fail("the session must not open")


async def test_patterns_of_topics(crossbar: OtherRouter) -> None:
    async with (
        two_sessions(crossbar) as (session, other),
        session.subscribe("pattern.", match="prefix") as prefix,
        session.subscribe("pattern..b", match="wildcard") as wildcard,
    ):
        await other.publish("pattern.a.b", 1, acknowledge=True)
        await other.publish("pattern.a", 2, acknowledge=True)
        received = [await wildcard.next(), await prefix.next(), await prefix.next()]
        assert [(event.topic, event.args) for event in received] == [
            ("pattern.a.b", [1]),
            ("pattern.a.b", [1]),
            ("pattern.a", [2]),
        ]


async def test_patterns_of_procedures(crossbar: OtherRouter) -> None:
    async def describe(invocation: Invocation) -> str:
        return invocation.procedure

    async with two_sessions(crossbar) as (session, other):
        await other.register("under.", describe, match="prefix")
        await other.register("over..way", describe, match="wildcard")
        assert await session.call("under.way") == "under.way"
        assert await session.call("over.the.way") == "over.the.way"


async def test_peers_know_each_other(crossbar: OtherRouter) -> None:
    async def name_caller(invocation: Invocation) -> list[Any]:
        return [invocation.details.get(key) for key in ("caller", "caller_authid", "caller_authrole")]

    options: dict[str, Any] = {"authid": AUTHID, "ticket": SECRET}
    async with two_sessions(crossbar, **options) as (session, other):
        await other.register("whoami", name_caller)
        assert await session.call("whoami") == [session.id, AUTHID, ROLE]
        async with other.subscribe("known") as events:
            await session.publish("known")
            details = (await events.next()).details
            assert (details["publisher"], details["publisher_authid"]) == (session.id, AUTHID)


# Crossbar.io does not answer the caller if the mode is "skip".
@pytest.mark.parametrize("mode", ["kill", "killnowait"])
async def test_call_is_canceled(mode: Any, crossbar: OtherRouter) -> None:
    canceled = anyio.Event()

    async def report() -> AsyncIterator[RPCProgressReport]:
        try:
            while True:
                yield RPCProgressReport("working")
                await anyio.sleep(0.005)
        finally:
            canceled.set()

    with anyio.fail_after(20):
        async with two_sessions(crossbar) as (session, other):
            await other.register("test.endless", report)
            async with session.call_progress("test.endless") as call:
                assert [await anext(call) for _ in range(3)] == ["working"] * 3
                call.cancel(mode)
                with pytest.raises(WAMPError, match=r"wamp\.error\.canceled"):
                    await call.result()
            await canceled.wait()
            assert await session.call("wamp.session.count") >= 2


async def test_clients_share_a_procedure(crossbar: OtherRouter) -> None:
    async def first() -> str:
        return "first"

    async def second() -> str:
        return "second"

    async with two_sessions(crossbar) as (session, other):
        await session.register("test.who", first, invoke="roundrobin")
        await other.register("test.who", second, invoke="roundrobin")
        assert sorted([await session.call("test.who") for _ in range(4)]) == ["first"] * 2 + ["second"] * 2


async def test_publisher_chooses_its_subscribers(crossbar: OtherRouter) -> None:
    async with (
        two_sessions(crossbar) as (session, other),
        session.subscribe("chosen") as own,
        other.subscribe("chosen") as others,
    ):
        await session.publish("chosen", 1, acknowledge=True, options={"exclude_me": False})
        await session.publish("chosen", 2, acknowledge=True, options={"exclude": [other.id]})
        await session.publish("chosen", 3, acknowledge=True)
        assert (await own.next()).args == [1]
        assert [(await others.next()).args for _ in range(2)] == [[1], [3]]
