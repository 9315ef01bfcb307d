"""Takeovers of registrations with ``force_reregister``, with one worker and with two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.specification import (
    CALL,
    INVOCATION,
    NO_SUCH_PROCEDURE,
    NOT_AUTHORIZED,
    PROCEDURE_ALREADY_EXISTS,
    REGISTER,
    RESULT,
    UNREGISTERED,
    YIELD,
)
from tests.wamp_client import BASIC, WAMPClient, announcing, clients, open_app, trusting_app
from tests.worker_lines import WorkerLine, over_unix_workers, running_workers
from wampasgi import Application, Realm, Session

__all__ = ["running_workers"]

pytestmark = pytest.mark.anyio

PROCEDURE = "com.myapp.procedure"
OPTION_NOT_ALLOWED = "wamp.error.option_not_allowed"
REGISTRATIONS = [f"wamp.registration.on_{what}" for what in ("create", "register", "unregister", "delete")]
REVOCABLE = announcing("registration_revocation")
FORCE = {"force_reregister": True}


@pytest.fixture(params=["asyncio", "trio", "two workers, asyncio", "two workers, trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run each test with one worker, and with clients that are connected to two workers in turn."""
    backend = request.param.rpartition(" ")[2]
    if "two" in request.param:
        with over_unix_workers():
            yield backend
    else:
        yield backend


@pytest.fixture(autouse=True)
def run_workers(request: pytest.FixtureRequest, anyio_backend: str) -> None:
    """Run the workers of each test that has two."""
    if hasattr(WorkerLine, "pool"):
        request.getfixturevalue("running_workers")


async def call(caller: WAMPClient, callee: WAMPClient, request_id: int) -> None:
    """Call the procedure, and expect that this callee answers."""
    await caller.send(CALL, request_id, {}, PROCEDURE)
    await callee.answer_invocation([callee.id])
    assert await caller.receive() == [RESULT, request_id, {}, [callee.id]]


async def test_takeover_revokes_the_registration_of_another_session() -> None:
    async with clients(open_app(), REVOCABLE, BASIC, BASIC) as [old, new, caller]:
        old_id = await old.register(PROCEDURE)

        await new.register(PROCEDURE, **FORCE)

        reason = {"registration": old_id, "reason": PROCEDURE_ALREADY_EXISTS}
        assert await old.receive() == [UNREGISTERED, 0, reason]
        await call(caller, new, 1)
        await old.expect_nothing()
        assert await old.request_error(REGISTER, {}, PROCEDURE) == PROCEDURE_ALREADY_EXISTS


async def test_takeover_by_a_client_of_the_same_worker() -> None:
    async with clients(open_app(), REVOCABLE, BASIC, BASIC) as [old, caller, new]:
        await old.register(PROCEDURE)

        await new.register(PROCEDURE, **FORCE)

        assert (await old.receive())[0] == UNREGISTERED
        await call(caller, new, 1)


async def test_callee_that_did_not_announce_revocation_is_not_notified() -> None:
    async with clients(open_app(), BASIC, BASIC, BASIC) as [old, new, caller]:
        await old.register(PROCEDURE)

        await new.register(PROCEDURE, **FORCE)

        await old.expect_nothing()
        await call(caller, new, 1)


async def test_takeover_of_nothing_is_a_registration() -> None:
    async with clients(open_app(), BASIC, BASIC) as [callee, caller]:
        await callee.register(PROCEDURE, **FORCE)
        await call(caller, callee, 1)


async def test_registration_that_was_taken_over_can_be_taken_back() -> None:
    async with clients(open_app(), REVOCABLE, REVOCABLE, BASIC) as [one, other, caller]:
        await one.register(PROCEDURE)
        await other.register(PROCEDURE, **FORCE)
        assert (await one.receive())[0] == UNREGISTERED
        await one.register(PROCEDURE, **FORCE)
        assert (await other.receive())[0] == UNREGISTERED
        await call(caller, one, 1)


async def test_without_the_option_or_with_false_nothing_is_taken_over() -> None:
    async with clients(open_app(), REVOCABLE, BASIC) as [old, new]:
        await old.register(PROCEDURE)
        for options in {}, {"force_reregister": False}:
            assert await new.request_error(REGISTER, options, PROCEDURE) == PROCEDURE_ALREADY_EXISTS
        await old.expect_nothing()


async def test_session_cannot_take_over_its_own_registration() -> None:
    async with clients(open_app(), REVOCABLE, REVOCABLE, BASIC) as [callee, other, caller]:
        for sharing in callee, other:
            await sharing.register(PROCEDURE, invoke="first")
        assert await callee.request_error(REGISTER, FORCE, PROCEDURE) == PROCEDURE_ALREADY_EXISTS
        await other.expect_nothing()
        await call(caller, callee, 1)


async def test_all_callees_of_a_shared_registration_are_revoked_and_the_policy_is_new() -> None:
    async with clients(open_app(), REVOCABLE, REVOCABLE, REVOCABLE, BASIC) as [one, other, new, caller]:
        for callee in one, other:
            await callee.register(PROCEDURE, invoke="first")

        await new.register(PROCEDURE, invoke="last", **FORCE)

        for callee in one, other:
            assert (await callee.receive())[0] == UNREGISTERED
        await call(caller, new, 1)
        await one.register(PROCEDURE, invoke="last")
        await call(caller, one, 2)


async def test_only_the_same_match_policy_is_taken_over() -> None:
    async with clients(open_app(), REVOCABLE, BASIC, BASIC) as [old, new, caller]:
        await old.register("com.myapp", match="prefix")
        await new.register("com.myapp", **FORCE)
        await old.expect_nothing()
        await caller.send(CALL, 1, {}, PROCEDURE)
        await old.answer_invocation()
        assert (await caller.receive())[0] == RESULT

        await new.register("com.myapp", match="prefix", **FORCE)
        assert (await old.receive())[0] == UNREGISTERED


async def test_invocation_in_flight_is_answered_by_the_old_callee() -> None:
    async with clients(open_app(), REVOCABLE, BASIC, BASIC) as [old, new, caller]:
        await old.register(PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        invocation = await old.expect(INVOCATION)

        await new.register(PROCEDURE, **FORCE)
        assert (await old.receive())[0] == UNREGISTERED
        await call(caller, new, 2)

        await old.send(YIELD, invocation[1], {}, ["old"])
        assert await caller.receive() == [RESULT, 1, {}, ["old"]]


async def test_meta_events_delete_the_old_registration_and_create_a_new_one() -> None:
    app = trusting_app()
    async with clients(app, "old", "new") as [old, new], clients(app, "watcher") as [watcher]:
        old_id = await old.register(PROCEDURE)
        watched = {await watcher.subscribe(topic): topic.rpartition("_")[2] for topic in REGISTRATIONS}

        new_id = await new.register(PROCEDURE, **FORCE)

        events = [await watcher.receive() for _ in range(4)]
        await watcher.expect_nothing()
        found = [(watched[event[1]], *event[4]) for event in events]
        assert found[:2] == [("unregister", old.id, old_id), ("delete", old.id, old_id)]
        assert found[2][:2] == ("create", new.id)
        assert found[2][2]["id"] == new_id
        assert found[3] == ("register", new.id, new_id)


async def test_registration_shared_by_two_sessions_is_deleted_once() -> None:
    app = trusting_app()
    async with clients(app, "one", "two", "new") as [one, two, new], clients(app, "watcher") as [watcher]:
        for callee in one, two:
            await callee.register(PROCEDURE, invoke="first")
        watched = {await watcher.subscribe(topic): topic.rpartition("_")[2] for topic in REGISTRATIONS}

        await new.register(PROCEDURE, invoke="first", **FORCE)

        events = [await watcher.receive() for _ in range(5)]
        await watcher.expect_nothing()
        found = [(watched[event[1]], event[4][0]) for event in events]
        assert sorted(found[:2]) == sorted(("unregister", callee.id) for callee in (one, two))
        assert [kind for kind, _ in found[2:]] == ["delete", "create", "register"]
        registration_id = events[3][4][1]["id"]
        assert await watcher.call("wamp.registration.list_callees", registration_id) == [new.id]


# Permission


def app_with_rule(*actions: Any, **options: Any) -> Application:
    app = trusting_app() if "role" in options else Application()
    app.allow(PROCEDURE, "register", "call")
    if actions:
        app.allow(PROCEDURE, *actions, **options)
    return app


async def test_takeover_without_permission_is_refused_even_if_there_is_nothing_to_take_over() -> None:
    async with clients(app_with_rule(), REVOCABLE, BASIC, BASIC) as [old, new, caller]:
        assert await new.request_error(REGISTER, FORCE, PROCEDURE) == OPTION_NOT_ALLOWED
        await old.register(PROCEDURE)
        assert await new.request_error(REGISTER, FORCE, PROCEDURE) == OPTION_NOT_ALLOWED
        await old.expect_nothing()
        await call(caller, old, 1)


async def test_rule_permits_the_takeover_for_a_role() -> None:
    app = app_with_rule("takeover", role="device")
    async with clients(app, "ann/device", "bob/device", "eve/guest") as [ann, bob, eve]:
        await ann.register(PROCEDURE)
        assert await eve.request_error(REGISTER, FORCE, PROCEDURE) == OPTION_NOT_ALLOWED
        await bob.register(PROCEDURE, **FORCE)
        await call(eve, bob, 1)


async def test_takeover_needs_the_permission_to_register_too() -> None:
    app = Application()
    app.allow(PROCEDURE, "takeover")
    async with clients(app, BASIC) as [client]:
        assert await client.request_error(REGISTER, FORCE, PROCEDURE) == NOT_AUTHORIZED


@pytest.mark.parametrize("cache", [True, False])
async def test_authorizer_decides_if_no_rule_does(cache: bool) -> None:
    app = Application()
    asked: list[str] = []

    @app.authorizer(cache=cache)
    async def may(session: Session, action: str, uri: str, options: Mapping[str, Any]) -> bool:
        asked.append(action)
        return action != "takeover" or uri == PROCEDURE

    async with clients(app, REVOCABLE, BASIC) as [old, new]:
        for procedure in PROCEDURE, "com.myapp.other":
            await old.register(procedure)
        assert asked == ["register", "register"]
        assert await new.request_error(REGISTER, FORCE, "com.myapp.other") == OPTION_NOT_ALLOWED
        await old.expect_nothing()
        await new.register(PROCEDURE, **FORCE)
        assert (await old.receive())[0] == UNREGISTERED
    assert asked[2:] == ["register", "takeover"] * 2


async def test_authorizer_that_does_not_know_the_action_permits_no_takeover() -> None:
    app = Application()

    @app.authorizer
    async def may(session: Session, uri: str) -> bool:
        return True

    async with clients(app, REVOCABLE, BASIC) as [old, new]:
        await old.register(PROCEDURE)
        assert await new.request_error(REGISTER, FORCE, PROCEDURE) == OPTION_NOT_ALLOWED
        await old.expect_nothing()


@pytest.mark.parametrize("match", ["exact", "prefix"])
async def test_procedures_of_the_realm_cannot_be_taken_over(match: Any) -> None:
    app = open_app()

    @app.procedure("com.own", match=match)
    async def own() -> str:
        return "own"

    async with clients(app, BASIC) as [client]:
        options = {"match": match, **FORCE}
        assert await client.request_error(REGISTER, options, "com.own") == PROCEDURE_ALREADY_EXISTS
        assert await client.call("com.own") == "own"


async def test_procedures_of_the_router_cannot_be_taken_over() -> None:
    async with clients(open_app(), BASIC) as [client]:
        error = await client.request_error(REGISTER, FORCE, "wamp.session.count")
        assert error == "wamp.error.invalid_uri"
        assert await client.call("wamp.session.count") == 1


async def test_private_registrations_are_left_alone() -> None:
    realm = Realm("private", client_procedures="session")
    app = Application([realm])
    async with clients(app, REVOCABLE, REVOCABLE, realm="private") as [one, other]:
        for client in one, other:
            await client.register(PROCEDURE, **FORCE)
        await one.expect_nothing()


async def test_option_must_be_a_bool() -> None:
    async with clients(open_app(), REVOCABLE, BASIC) as [old, new]:
        await old.register(PROCEDURE)
        await new.send(REGISTER, 1, {"force_reregister": 1}, PROCEDURE)
        details = await new.expect_abort()
        assert "force_reregister must be a bool" in details["message"]
        await old.expect_nothing()


async def test_callee_that_leaves_after_a_takeover_leaves_the_procedure_without_one() -> None:
    async with clients(open_app(), BASIC, BASIC, BASIC) as [old, new, caller]:
        await old.register(PROCEDURE)
        await new.register(PROCEDURE, **FORCE)
        await new.leave()
        assert await caller.call_error(PROCEDURE) == NO_SUCH_PROCEDURE
