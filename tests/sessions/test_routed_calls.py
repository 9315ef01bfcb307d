"""Calls from client to client and from the server to a client, over WebSockets in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest
from starlette.middleware import Middleware

from tests.specification import (
    ABORT,
    CALL,
    CANCEL,
    ERROR,
    GOODBYE,
    INTERRUPT,
    INVOCATION,
    REGISTER,
    REGISTERED,
    RESULT,
    UNREGISTER,
    UNREGISTERED,
    YIELD,
)
from tests.wamp_client import WAMPClient, connect
from tests.websocket import PassesOn
from wampasgi import (
    Application,
    ConfigurationError,
    ConnectionClosed,
    Limits,
    Realm,
    RPCProgressReport,
    RPCResult,
    Session,
    WAMPError,
)
from wampasgi.types import ASGIApp

pytestmark = pytest.mark.anyio


FEATURES = dict.fromkeys(
    [
        "call_canceling",
        "call_timeout",
        "payload_passthru_mode",
        "progressive_call_invocations",
        "progressive_call_results",
        "registration_revocation",
    ],
    True,
)
ROLES = {"caller": {"features": FEATURES}, "callee": {"features": FEATURES}}
PROCEDURE = "com.myapp.procedure"


@asynccontextmanager
async def joined(app: ASGIApp, count: int, realm: str = "default") -> AsyncIterator[list[WAMPClient]]:
    """Connect a number of clients that join and announce everything."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(app)) for _ in range(count)]
        for client in clients:
            await client.join(realm, roles=ROLES)
        yield clients


async def register(client: WAMPClient, procedure: str = PROCEDURE, **options: Any) -> int:
    answer = await client.ask(REGISTER, 1000, options, procedure)
    assert answer[:2] == [REGISTERED, 1000], answer
    registration_id: int = answer[2]
    return registration_id


def open_app(**options: Any) -> Application:
    app = Application(**options)
    app.allow_all()
    return app


def error_of(answer: list[Any]) -> str:
    assert answer[0] == ERROR, answer
    uri: str = answer[4]
    return uri


# From client to client


async def test_client_calls_a_procedure_of_another_client() -> None:
    async with joined(open_app(), 2) as [caller, callee]:
        registration_id = await register(callee)
        await caller.send(CALL, 7, {}, PROCEDURE, [1], {"a": 2})
        assert await callee.receive() == [INVOCATION, 1, registration_id, {}, [1], {"a": 2}]
        await callee.send(YIELD, 1, {}, [3], {"b": 4})
        assert await caller.receive() == [RESULT, 7, {}, [3], {"b": 4}]


async def test_error_of_an_invocation_reaches_the_caller() -> None:
    async with joined(open_app(), 2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 7, {}, PROCEDURE)
        await callee.receive()
        await callee.send(ERROR, INVOCATION, 1, {}, "com.myapp.error", ["text"], {"a": 1})
        assert await caller.receive() == [ERROR, CALL, 7, {}, "com.myapp.error", ["text"], {"a": 1}]


async def test_unregistered_procedure_is_not_called() -> None:
    async with joined(open_app(), 1) as [client]:
        registration_id = await register(client)
        assert await client.ask(UNREGISTER, 2, registration_id) == [UNREGISTERED, 2]
        assert error_of(await client.ask(CALL, 3, {}, PROCEDURE)) == "wamp.error.no_such_procedure"
        assert error_of(await client.ask(UNREGISTER, 4, registration_id)) == "wamp.error.no_such_registration"


async def test_registered_must_come_before_any_invocation() -> None:
    async with joined(open_app(), 1) as [client]:
        await client.send(REGISTER, 1, {}, PROCEDURE)
        await client.send(CALL, 2, {}, PROCEDURE)
        assert (await client.receive())[0] == REGISTERED
        assert (await client.receive())[0] == INVOCATION


async def test_invocations_of_one_caller_must_come_in_the_order_of_its_calls() -> None:
    app = Application()

    @app.authorizer
    async def may(uri: str) -> bool:
        # The authorizer takes longer for the first procedure than for the second one.
        for _ in range(10 if uri == "com.first" else 0):
            await anyio.lowlevel.checkpoint()
        return True

    async with joined(app, 2) as [caller, callee]:
        for procedure in "com.first", "com.second":
            await register(callee, procedure)
        await caller.send(CALL, 1, {}, "com.first", [1])
        await caller.send(CALL, 2, {}, "com.second", [2])
        assert [(await callee.receive())[4] for _ in range(2)] == [[1], [2]]


async def test_progressive_call_and_progressive_results_go_both_ways() -> None:
    async with joined(open_app(check_request_ids=True), 2) as [caller, callee]:
        assert (await callee.ask(REGISTER, 1, {}, PROCEDURE))[0] == REGISTERED
        await caller.send(CALL, 1, {"progress": True, "receive_progress": True}, PROCEDURE, ["a"])
        assert (await callee.receive())[3:] == [{"progress": True, "receive_progress": True}, ["a"]]
        await callee.send(YIELD, 1, {"progress": True}, ["A"])
        assert await caller.receive() == [RESULT, 1, {"progress": True}, ["A"]]
        await caller.send(CALL, 2, {}, "com.unknown")
        assert error_of(await caller.receive()) == "wamp.error.no_such_procedure"
        # A request ID that continues a progressive call is not out of sequence.
        await caller.send(CALL, 1, {}, PROCEDURE, ["b"])
        assert (await callee.receive())[3:] == [{"receive_progress": True}, ["b"]]
        await callee.send(YIELD, 1, {}, ["B"])
        assert await caller.receive() == [RESULT, 1, {}, ["B"]]
        await caller.send(CALL, 1, {}, PROCEDURE)
        assert (await caller.receive())[0] == ABORT


async def test_part_of_a_call_that_has_ended_must_be_ignored() -> None:
    async with joined(open_app(check_request_ids=True), 2) as [caller, callee]:
        await callee.ask(REGISTER, 1, {}, PROCEDURE)
        await caller.send(CALL, 1, {"progress": True}, PROCEDURE)
        await callee.receive()
        await callee.send(ERROR, INVOCATION, 1, {}, "com.myapp.error")
        assert error_of(await caller.receive()) == "com.myapp.error"
        await caller.send(CALL, 1, {"progress": True}, PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        assert error_of(await caller.ask(CALL, 2, {}, "com.unknown")) == "wamp.error.no_such_procedure"


async def test_own_procedure_must_refuse_progressive_calls() -> None:
    app = Application()

    @app.procedure(PROCEDURE)
    async def procedure() -> None: ...

    async with joined(app, 1) as [client]:
        refused = await client.ask(CALL, 1, {"progress": True}, PROCEDURE)
        assert error_of(refused) == "wamp.error.feature_not_supported"
        await client.send(CALL, 1, {}, PROCEDURE)
        assert await client.ask(CALL, 2, {}, PROCEDURE) == [RESULT, 2, {}]


# Permissions


async def test_client_registers_and_calls_only_what_a_rule_allows() -> None:
    app = Application()
    app.allow("com.both.", "register", "call", match="prefix")
    app.allow("com.register.", "register", match="prefix")
    async with joined(app, 2) as [caller, callee]:
        refused = await callee.ask(REGISTER, 1, {}, "com.other")
        assert (refused[:3], error_of(refused)) == ([ERROR, REGISTER, 1], "wamp.error.not_authorized")
        await register(callee, "com.register.a")
        assert error_of(await caller.ask(CALL, 2, {}, "com.register.a")) == "wamp.error.not_authorized"
        assert error_of(await caller.ask(CALL, 3, {}, "com.other")) == "wamp.error.no_such_procedure"
        await register(callee, "com.both.a")
        await caller.send(CALL, 4, {}, "com.both.a")
        assert (await callee.receive())[0] == INVOCATION


@pytest.mark.parametrize("match", ["exact", "prefix", "wildcard"])
async def test_reserved_uris_cannot_be_registered(match: str) -> None:
    async with joined(open_app(), 1) as [client]:
        assert error_of(await client.ask(REGISTER, 1, {"match": match}, "wamp.session.x")) == (
            "wamp.error.invalid_uri"
        )


async def test_pattern_that_could_match_reserved_uris_does_not_get_their_calls() -> None:
    async with joined(open_app(), 1) as [client]:
        await register(client, "", match="prefix")
        assert error_of(await client.ask(CALL, 2, {}, "wamp.session.x")) == "wamp.error.no_such_procedure"
        assert (await client.ask(CALL, 3, {}, "com.x"))[0] == INVOCATION


@pytest.mark.parametrize("option", ["match", "invoke"])
async def test_registration_under_an_unknown_policy_is_refused(option: str) -> None:
    async with joined(open_app(), 1) as [client]:
        refused = await client.ask(REGISTER, 1, {option: "unheard-of"}, PROCEDURE)
        assert error_of(refused) == "wamp.error.invalid_argument"


@pytest.mark.parametrize("disclose", [True, False])
async def test_caller_is_disclosed_only_if_a_rule_permits_it(disclose: bool) -> None:
    app = Application()
    app.allow(PROCEDURE, "call", "register", disclose=disclose)
    async with joined(app, 1) as [callee], connect(app) as caller:
        [_, caller_id, details] = await caller.join(roles=ROLES)
        await register(callee)
        await caller.send(CALL, 2, {"disclose_me": True}, PROCEDURE)
        if disclose:
            assert (await callee.receive())[3] == {
                "caller": caller_id,
                "caller_authid": details["authid"],
                "caller_authrole": "anonymous",
            }
        else:
            assert error_of(await caller.receive()) == "wamp.error.option_disallowed.disclose_me"


@pytest.mark.parametrize("disclose", [True, False])
async def test_callee_learns_the_caller_only_if_a_rule_permits_it(disclose: bool) -> None:
    app = Application()
    app.allow(PROCEDURE, "call", "register", disclose=disclose)
    async with joined(app, 1) as [client]:
        answer = await client.ask(REGISTER, 1, {"disclose_caller": True}, PROCEDURE)
        if disclose:
            assert "caller" in (await client.ask(CALL, 2, {}, PROCEDURE))[3]
        else:
            assert error_of(answer) == "wamp.error.option_not_allowed"


# Beside the realm's own procedures


def app_with_own_routes() -> Application:
    app = open_app()

    @app.procedure("com.exact")
    async def exact() -> str:
        return "own exact"

    @app.procedure("com.own.", match="prefix")
    async def prefix() -> str:
        return "own prefix"

    @app.procedure("com..wild", match="wildcard")
    async def wildcard() -> str:
        return "own wildcard"

    @app.procedure(r"com\.regex.*", match="regex")
    async def regex() -> str:
        return "own regex"

    return app


@pytest.mark.parametrize(
    ("match", "uri"), [("exact", "com.exact"), ("prefix", "com.own."), ("wildcard", "com..wild")]
)
async def test_procedure_of_the_realm_cannot_be_registered(match: str, uri: str) -> None:
    async with joined(app_with_own_routes(), 1) as [client]:
        refused = await client.ask(REGISTER, 1, {"match": match}, uri)
        assert error_of(refused) == "wamp.error.procedure_already_exists"


async def test_nothing_can_be_registered_if_one_handler_answers_all_calls() -> None:
    app = open_app()

    async def answer_all() -> str:
        return "own"

    app.set_rpc_handler(answer_all)
    async with joined(app, 1) as [client]:
        refused = await client.ask(REGISTER, 1, {}, PROCEDURE)
        assert error_of(refused) == "wamp.error.procedure_already_exists"


@pytest.mark.parametrize(
    ("match", "registered", "called", "answered_by"),
    [
        ("prefix", "com.", "com.exact", "own exact"),
        ("exact", "com.own.a", "com.own.a", "client"),
        ("prefix", "com.own.a", "com.own.a.b", "client"),
        ("prefix", "com.", "com.own.a", "own prefix"),
        ("wildcard", "com.own.", "com.own.a", "own prefix"),
        ("prefix", "com.", "com.a.wild", "client"),
        ("wildcard", "com.a.", "com.a.wild", "client"),
        ("wildcard", "..wild", "com.a.wild", "own wildcard"),
        ("wildcard", "com.", "com.regex", "client"),
        ("exact", "org.other", "com.regex", "own regex"),
    ],
)
async def test_call_goes_to_the_best_match_among_own_routes_and_registrations(
    match: str, registered: str, called: str, answered_by: str
) -> None:
    async with joined(app_with_own_routes(), 1) as [client]:
        await register(client, registered, match=match)
        answer = await client.ask(CALL, 2, {}, called)
        assert (answer[3][0] if answer[0] == RESULT else "client") == answered_by


async def test_procedure_registered_at_run_time_serves_open_sessions() -> None:
    app = app_with_own_routes()

    async def late(n: int) -> int:
        return n + 1

    async with joined(app, 1) as [client]:
        app.register("com.own.late", late)
        app.register(r"com\.late.*", late, match="regex")
        assert await client.ask(CALL, 1, {}, "com.own.late", [1]) == [RESULT, 1, {}, [2]]
        assert await client.ask(CALL, 2, {}, "com.late", [2]) == [RESULT, 2, {}, [3]]
        assert await app.call("com.own.late", 3) == 4
        assert error_of(await client.ask(REGISTER, 3, {}, "com.own.late")) == (
            "wamp.error.procedure_already_exists"
        )
        app.unregister("com.own.late")
        app.unregister(r"com\.late.*", match="regex")
        assert await client.ask(CALL, 4, {}, "com.own.late") == [RESULT, 4, {}, ["own prefix"]]
        assert error_of(await client.ask(CALL, 5, {}, "com.late")) == "wamp.error.no_such_procedure"
        with pytest.raises(WAMPError, match="no_such_registration"):
            app.unregister("com.own.late")


async def test_existing_procedure_cannot_be_registered_at_run_time() -> None:
    app = app_with_own_routes()

    async def late() -> None: ...

    async with joined(app, 1) as [client]:
        await register(client)
        with pytest.raises(WAMPError, match="procedure_already_exists"):
            app.register(PROCEDURE, late)
        with pytest.raises(ConfigurationError, match=r"com\.exact"):
            app.register("com.exact", late)
        with pytest.raises(ConfigurationError, match=r"com.*regex"):
            app.register(r"com\.regex.*", late, match="regex")
        app.register("com.late", late)
        with pytest.raises(ConfigurationError, match="already used"):
            app.register("com.late", late)


async def test_revoked_procedure_is_removed_from_all_its_callees() -> None:
    app = open_app()
    async with joined(app, 1) as [aware], connect(app) as unaware:
        await unaware.join()
        registration_id = await register(aware, invoke="first")
        assert await register(unaware, invoke="first") == registration_id
        await unaware.send(CALL, 1, {}, PROCEDURE)
        assert (await aware.receive())[0] == INVOCATION
        assert app.revoke_registration(PROCEDURE, reason="moved") == 2
        details = {"registration": registration_id, "reason": "moved"}
        assert await aware.receive() == [UNREGISTERED, 0, details]
        await aware.send(YIELD, 1, {})
        # A client that has not announced the feature must not be notified.
        assert await unaware.receive() == [RESULT, 1, {}]
        assert error_of(await unaware.ask(CALL, 2, {}, PROCEDURE)) == "wamp.error.no_such_procedure"
        assert app.revoke_registration(PROCEDURE) == 0


# Canceling and timeouts


async def test_killed_call_gets_the_answer_of_its_callee() -> None:
    async with joined(open_app(), 2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 7, {}, PROCEDURE)
        await callee.receive()
        await caller.send(CANCEL, 7, {"mode": "kill"})
        assert await callee.receive() == [INTERRUPT, 1, {"mode": "kill"}]
        await callee.send(ERROR, INVOCATION, 1, {}, "wamp.error.canceled")
        assert await caller.receive() == [ERROR, CALL, 7, {}, "wamp.error.canceled"]


async def test_request_id_of_a_routed_call_in_flight_is_refused_for_that_request_alone() -> None:
    async with joined(open_app(), 2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 7, {}, PROCEDURE)
        await callee.receive()
        assert error_of(await caller.ask(CALL, 7, {}, PROCEDURE)) == "wamp.error.invalid_argument"
        assert error_of(await caller.ask(CALL, 7, {}, "com.other")) == "wamp.error.invalid_argument"
        await callee.send(YIELD, 1, {}, ["first"])
        assert await caller.receive() == [RESULT, 7, {}, ["first"]]


async def test_late_answer_to_a_cancelled_call_does_not_abort_the_callee() -> None:
    async with joined(open_app(), 2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 7, {}, PROCEDURE)
        await callee.receive()
        assert error_of(await caller.ask(CANCEL, 7, {"mode": "skip"})) == "wamp.error.canceled"
        await callee.send(YIELD, 1, {}, ["late"])
        assert error_of(await callee.ask(CALL, 8, {}, "com.unknown")) == "wamp.error.no_such_procedure"


async def test_each_call_has_its_own_timeout() -> None:
    async with joined(open_app(), 2) as [caller, callee]:
        await register(callee)
        for request_id, timeout in (1, 60_000), (2, 0), (3, 500), (4, 1):
            await caller.send(CALL, request_id, {"timeout": timeout}, PROCEDURE)
            assert (await callee.receive())[:2] == [INVOCATION, request_id]
        for request_id in 4, 3:
            answer = await caller.receive()
            assert (answer[2], error_of(answer)) == (request_id, "wamp.error.timeout")
            assert await callee.receive() == [INTERRUPT, request_id, {"mode": "killnowait"}]
        await callee.send(YIELD, 1, {})
        assert await caller.receive() == [RESULT, 1, {}]
        # The task that watches the deadlines sees the new one.
        await caller.send(CALL, 5, {"timeout": 1}, PROCEDURE)
        await callee.receive()
        assert error_of(await caller.receive()) == "wamp.error.timeout"


async def test_each_progressive_result_restarts_the_timeout() -> None:
    async with joined(open_app(), 2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {"timeout": 500, "receive_progress": True}, PROCEDURE)
        await callee.receive()
        with anyio.fail_after(5):
            for _ in range(2):
                await anyio.sleep(0.3)
                await callee.send(YIELD, 1, {"progress": True})
                assert await caller.receive() == [RESULT, 1, {"progress": True}]
        assert error_of(await caller.receive()) == "wamp.error.timeout"


async def test_timeout_is_left_to_a_callee_that_requests_it() -> None:
    async with joined(open_app(), 2) as [caller, callee]:
        await register(callee, forward_timeout=True)
        await caller.send(CALL, 1, {"timeout": 1}, PROCEDURE)
        assert (await callee.receive())[3] == {"timeout": 1}
        await callee.send(ERROR, INVOCATION, 1, {}, "wamp.error.timeout", ["the callee's"])
        assert (await caller.receive())[4:] == ["wamp.error.timeout", ["the callee's"]]


async def test_wildcard_registration_of_too_many_components_is_refused() -> None:
    async with connect(open_app()) as client:
        await client.join()
        refused = await client.ask(REGISTER, 1, {"match": "wildcard"}, "com" + "." * 32)
        assert error_of(refused) == "wamp.error.invalid_uri"
        assert (await client.ask(REGISTER, 2, {"match": "wildcard"}, "com" + "." * 31))[0] == REGISTERED


async def test_session_at_its_limit_of_registrations_is_refused_another() -> None:
    async with connect(open_app(limits=Limits(registrations=1))) as client:
        await client.join()
        registered = await client.ask(REGISTER, 1, {}, "com.one")
        assert error_of(await client.ask(REGISTER, 2, {}, "com.two")) == "wamp.error.unavailable"
        await client.ask(UNREGISTER, 3, registered[2])
        assert (await client.ask(REGISTER, 4, {}, "com.two"))[0] == REGISTERED


async def test_session_at_its_limit_of_routed_calls_is_refused_another() -> None:
    async with joined(open_app(limits=Limits(routed_calls=1)), 2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {}, PROCEDURE)
        assert error_of(await caller.ask(CALL, 2, {}, PROCEDURE)) == "wamp.error.unavailable"
        await callee.receive()
        await callee.send(YIELD, 1, {})
        assert await caller.receive() == [RESULT, 1, {}]


async def test_session_whose_routed_calls_would_exceed_the_byte_limit_is_refused_another() -> None:
    long = ["x" * 2000]
    async with joined(open_app(limits=Limits(requests_bytes=3000)), 2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {}, PROCEDURE, long)
        refused = await caller.ask(CALL, 2, {}, PROCEDURE, long)
        await callee.receive()
        await callee.send(YIELD, 1, {})
        assert await caller.receive() == [RESULT, 1, {}]
        await caller.send(CALL, 3, {}, PROCEDURE, long)
        assert (await callee.receive())[:2] == [INVOCATION, 2]

    assert error_of(refused) == "wamp.error.unavailable"
    assert refused[5] == [
        "the unanswered calls of this session would be over the limit requests_bytes of 3000"
    ]


async def test_slow_callee_gets_no_more_calls_instead_of_being_ended() -> None:
    app = open_app(limits=Limits(outbound_messages=10, close_timeout=0.1))
    async with connect(app, buffer_size=1) as callee, joined(app, 1) as [caller]:
        await callee.join(roles=ROLES)
        await register(callee)
        for request_id in range(1, 41):
            await caller.send(CALL, request_id, {}, PROCEDURE)
        refused = 0
        while (answer := await caller.receive())[2] != 40:
            assert error_of(answer) == "wamp.error.no_available_callee"
            refused += 1
        assert refused >= 20
        for request_id in range(1, 41 - refused - 1):
            assert (await callee.receive())[:2] == [INVOCATION, request_id]
        await callee.send(YIELD, 1, {})
        assert await caller.receive() == [RESULT, 1, {}]


# Leaving


@pytest.mark.parametrize("ending", ["disconnect", "goodbye", "abort", "violation"])
async def test_callers_of_a_callee_that_leaves_must_get_an_error(ending: str) -> None:
    async with joined(open_app(), 2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 7, {}, PROCEDURE)
        await callee.receive()
        if ending == "disconnect":
            await callee.disconnect()
        elif ending == "goodbye":
            await callee.send(GOODBYE, {}, "wamp.close.close_realm")
        elif ending == "abort":
            await callee.send(ABORT, {}, "com.myapp.bad")
        else:
            await callee.send(YIELD, 999, {})
        answer = await caller.receive()
        assert (answer[:3], error_of(answer)) == ([ERROR, CALL, 7], "wamp.error.canceled")
        assert error_of(await caller.ask(CALL, 8, {}, PROCEDURE)) == "wamp.error.no_such_procedure"


async def test_callers_need_not_wait_until_a_callee_has_answered_goodbye() -> None:
    app = open_app()
    async with joined(app, 2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 7, {}, PROCEDURE)
        await callee.receive()
        closing = list(app.default_realm.sessions.values())[1]
        await closing.close()
        assert error_of(await caller.receive()) == "wamp.error.canceled"
        assert (await callee.receive())[0] == GOODBYE


async def test_callee_must_be_interrupted_when_its_caller_leaves() -> None:
    async with joined(open_app(), 2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 7, {"timeout": 60_000}, PROCEDURE)
        await callee.receive()
        await caller.disconnect()
        assert await callee.receive() == [INTERRUPT, 1, {"mode": "killnowait"}]
        await callee.send(YIELD, 1, {})
        assert (await callee.ask(CALL, 8, {}, PROCEDURE))[:2] == [INVOCATION, 2]


# Protocol errors


@pytest.mark.parametrize(
    "message",
    [
        [YIELD, 1, {}],
        [ERROR, INVOCATION, 1, {}, "com.myapp.error"],
        [ERROR, CALL, 1, {}, "com.myapp.error"],
        [CALL, 1, {"progress": True}, PROCEDURE],
        [CALL, 1, {"ppt_scheme": "wamp"}, PROCEDURE],
    ],
)
async def test_violation_must_abort_the_session(message: list[Any]) -> None:
    async with connect(open_app()) as client:
        await client.join()
        answer = await client.ask(*message)
        assert (answer[0], answer[2]) == (ABORT, "wamp.error.protocol_violation")


async def test_call_with_the_id_of_a_pending_one_must_abort_the_session_if_ids_are_checked() -> None:
    async with joined(open_app(check_request_ids=True), 2) as [caller, callee]:
        await callee.ask(REGISTER, 1, {}, PROCEDURE)
        for _ in range(2):
            await caller.send(CALL, 1, {}, PROCEDURE)
        assert (await caller.receive())[0] == ABORT
        assert (await callee.receive())[0] == INVOCATION
        assert (await callee.receive())[0] == INTERRUPT


# Unserializable values


@pytest.mark.parametrize("middleware", [[], [Middleware(PassesOn)]])
async def test_call_that_cannot_be_serialized_for_the_callee_is_answered(
    middleware: list[Middleware],
) -> None:
    app = Application()
    realm = Realm("com.realm", middleware=middleware)
    realm.allow_all()
    app.add_realm(realm)
    async with joined(app, 1, "com.realm") as [callee]:
        await register(callee)
        with pytest.raises(WAMPError) as raised:
            await realm.call(PROCEDURE, object())
        assert raised.value.uri == "wamp.error.invalid_argument"
        # There is no gap in the invocation IDs of the callee.
        assert (await callee.ask(CALL, 2, {}, PROCEDURE))[:2] == [INVOCATION, 1]


async def test_progress_that_cannot_be_serialized_is_not_a_final_answer() -> None:
    app = Application()

    @app.procedure(PROCEDURE)
    async def procedure() -> AsyncIterator[Any]:
        yield RPCProgressReport((object(),))
        yield RPCResult("done")

    async with joined(app, 1) as [client]:
        assert await client.ask(CALL, 1, {"receive_progress": True}, PROCEDURE) == [RESULT, 1, {}, ["done"]]


# From the server to a client


async def answer(callee: WAMPClient, *message: Any) -> None:
    """Answer the next invocation with a message that lacks its ID: ``YIELD, {}, [1]``."""
    code, *rest = message
    invocation = await callee.receive()
    assert invocation[0] == INVOCATION
    head = [code, INVOCATION] if code == ERROR else [code]
    await callee.send(*head, invocation[1], *rest)


@pytest.mark.parametrize(
    ("yielded", "expected"),
    [([], None), ([[1]], 1), ([[1, 2], {"a": 3}], RPCResult((1, 2), {"a": 3}))],
)
async def test_server_calls_a_procedure_of_a_client(yielded: list[Any], expected: Any) -> None:
    app = Application()
    app.allow(PROCEDURE, "register")
    async with joined(app, 1) as [callee], anyio.create_task_group() as tasks:
        await register(callee)
        tasks.start_soon(answer, callee, YIELD, {}, *yielded)
        assert await app.call(PROCEDURE, 1, a=2) == expected


async def test_error_of_a_client_is_raised_at_the_server() -> None:
    app = open_app()
    async with joined(app, 1) as [callee], anyio.create_task_group() as tasks:
        await register(callee)
        tasks.start_soon(answer, callee, ERROR, {}, "com.myapp.error", ["text"], {"a": 1})
        with pytest.raises(WAMPError) as raised:
            await app.call(PROCEDURE)
    assert (raised.value.uri, raised.value.args, raised.value.kwargs) == (
        "com.myapp.error",
        ("text",),
        {"a": 1},
    )


async def test_server_gets_an_error_for_an_unregistered_procedure() -> None:
    with pytest.raises(WAMPError, match=r"wamp\.error\.no_such_procedure"):
        await Application().call(PROCEDURE)


async def test_call_of_the_server_times_out_and_is_cancelled_at_the_client() -> None:
    app = open_app()
    async with joined(app, 1) as [callee]:
        await register(callee)
        with pytest.raises(WAMPError, match=r"wamp\.error\.timeout"):
            await app.call(PROCEDURE, timeout=0.001)
        assert (await callee.receive())[0] == INVOCATION
        assert await callee.receive() == [INTERRUPT, 1, {"mode": "killnowait"}]
        # The client's answer is ignored.
        await callee.send(ERROR, INVOCATION, 1, {}, "wamp.error.canceled")
        assert (await callee.ask(CALL, 8, {}, PROCEDURE))[:2] == [INVOCATION, 2]


async def test_call_of_the_server_is_cancelled_with_the_waiting_task() -> None:
    app = open_app()
    async with joined(app, 1) as [callee]:
        await register(callee)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app.call, PROCEDURE)
            assert (await callee.receive())[0] == INVOCATION
            tasks.cancel_scope.cancel()
        assert (await callee.receive())[0] == INTERRUPT


async def test_call_of_the_server_ends_when_the_client_leaves() -> None:
    app = open_app()

    async with joined(app, 1) as [callee], anyio.create_task_group() as tasks:
        await register(callee)
        tasks.start_soon(callee.disconnect)
        with pytest.raises(WAMPError, match=r"wamp\.error\.canceled"):
            await app.call(PROCEDURE)


# From the server to one session


def asking_app(**options: Any) -> Application:
    """Return an app whose procedure ``ask`` calls the caller back."""
    app = Application(allow_default_realm=False)
    realm = Realm("com.realm", **options)
    app.add_realm(realm)

    @realm.procedure("ask")
    async def ask(session: Session, question: str) -> Any:
        return await session.call("ui.confirm", question)

    return app


async def test_server_calls_the_procedure_of_each_session() -> None:
    async with joined(asking_app(client_procedures="session"), 2, "com.realm") as clients:
        for client in clients:
            await register(client, "ui.confirm")
        for number, client in enumerate(clients):
            invocation = await client.ask(CALL, 1, {}, "ask", [f"Delete {number}?"])
            assert (invocation[0], invocation[4]) == (INVOCATION, [f"Delete {number}?"])
        for number, client in enumerate(clients):
            assert await client.ask(YIELD, 1, {}, [number]) == [RESULT, 1, {}, [number]]


async def test_private_procedure_of_a_session_cannot_be_called_by_others() -> None:
    app = asking_app(client_procedures="session")
    async with joined(app, 2, "com.realm") as [client, other]:
        await register(client, "ui.confirm")
        for caller in client, other:
            assert error_of(await caller.ask(CALL, 1, {}, "ui.confirm")) == "wamp.error.no_such_procedure"
        assert error_of(await other.ask(CALL, 2, {}, "ask", ["?"])) == "wamp.error.no_such_procedure"
        with pytest.raises(WAMPError, match="no_such_procedure"):
            await app.realms["com.realm"].call("ui.confirm")


async def test_rule_can_forbid_private_registrations() -> None:
    app = asking_app(client_procedures="session")
    app.realms["com.realm"].allow("ui.confirm", "register", role="admin")
    async with joined(app, 1, "com.realm") as [client]:
        assert error_of(await client.ask(REGISTER, 1, {}, "ui.confirm")) == "wamp.error.not_authorized"


async def test_session_call_reaches_a_shared_registration_at_that_session() -> None:
    app = asking_app()
    app.realms["com.realm"].allow("ui.", "register", match="prefix")
    async with joined(app, 2, "com.realm") as clients:
        for client in clients:
            await register(client, "ui.confirm", invoke="first")
        assert (await clients[1].ask(CALL, 1, {}, "ask", ["?"]))[0] == INVOCATION


async def test_session_call_times_out() -> None:
    app = asking_app(client_procedures="session")
    async with joined(app, 1, "com.realm") as [client]:
        await register(client, "ui.confirm")
        [session] = app.realms["com.realm"].sessions.values()
        with pytest.raises(WAMPError, match=r"wamp\.error\.timeout"):
            await session.call("ui.confirm", timeout=0.001)


async def test_ended_session_cannot_be_called() -> None:
    app = asking_app(client_procedures="session")
    async with joined(app, 1, "com.realm") as [client]:
        await register(client, "ui.confirm")
        [session] = app.realms["com.realm"].sessions.values()
        await session.close()
        with pytest.raises(ConnectionClosed):
            await session.call("ui.confirm")


async def test_error_for_an_unregistered_procedure_of_a_session_names_it() -> None:
    app = open_app()
    async with joined(app, 1):
        [session] = app.default_realm.sessions.values()
        with pytest.raises(WAMPError, match=r"that session has registered no procedure 'ui\.confirm'"):
            await session.call("ui.confirm")


async def test_session_of_the_realm_itself_has_no_procedures() -> None:
    app = Application()

    @app.procedure("ask")
    async def ask(session: Session) -> Any:
        return await session.call("ui.confirm")

    with pytest.raises(WAMPError, match="no_such_procedure"):
        await app.call("ask")


def test_unknown_value_of_client_procedures_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'shared'"):
        Realm("com.realm", client_procedures="shared")  # type: ignore[arg-type]
