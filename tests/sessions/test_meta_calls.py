"""The router's own procedures, called over WebSockets in memory and by the server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.specification import CALL, CANCEL, GOODBYE, RESULT
from tests.wamp_client import clients, trust_hello, trusting_app
from wampasgi import Application, Realm, Session, WAMPError

pytestmark = pytest.mark.anyio


# Permissions


async def test_meta_procedures_are_closed_by_default() -> None:
    app = Application()
    app.allow("com.", "call", match="prefix")
    async with clients(app, "ann") as [ann]:
        assert await ann.call_error("wamp.session.count") == "wamp.error.not_authorized"


@pytest.mark.parametrize("match", ["exact", "prefix"])
async def test_rule_opens_meta_procedures_for_one_role(match: Any) -> None:
    app = Application()
    app.add_transport_authenticator(trust_hello)
    app.allow("wamp.session.count" if match == "exact" else "wamp.", "call", match=match, role="admin")
    async with clients(app, "ann/admin", "bob/user") as [ann, bob]:
        assert await ann.call("wamp.session.count") == 2
        assert await bob.call_error("wamp.session.count") == "wamp.error.not_authorized"


async def test_authorizer_opens_meta_procedures() -> None:
    app = Application()
    app.add_transport_authenticator(trust_hello)

    @app.authorizer
    async def may(session: Session, action: str, uri: str) -> bool:
        return session.authid == "ann" and (action, uri) == ("call", "wamp.session.count")

    async with clients(app, "ann", "bob") as [ann, bob]:
        assert await ann.call("wamp.session.count") == 2
        assert await ann.call_error("wamp.session.list") == "wamp.error.not_authorized"
        assert await bob.call_error("wamp.session.count") == "wamp.error.not_authorized"


@pytest.mark.parametrize("app", [Application(), trusting_app()])
async def test_unknown_meta_procedure_is_no_such_procedure(app: Application) -> None:
    async with clients(app, "ann") as [ann]:
        assert await ann.call_error("wamp.session.levitate") == "wamp.error.no_such_procedure"


async def test_unknown_meta_procedure_is_refused_if_a_rule_refuses_it() -> None:
    app = Application()
    app.allow("wamp.", "call", match="prefix", role="admin")
    async with clients(app, "ann") as [ann]:
        assert await ann.call_error("wamp.session.levitate") == "wamp.error.not_authorized"


async def test_server_calls_meta_procedures_without_any_permission() -> None:
    app = Application()
    async with clients(app, "ann") as [ann]:
        assert await app.call("wamp.session.list") == [ann.id]
        assert await app.call("wamp.session.kill", ann.id) is None
        assert (await ann.receive())[0] == GOODBYE
    with pytest.raises(WAMPError, match="no_such_procedure"):
        await app.call("wamp.session.levitate")


async def test_pattern_of_the_realm_does_not_match_procedures_of_the_router() -> None:
    app = trusting_app()

    @app.procedure("", match="prefix")
    async def everything() -> str:
        return "the realm"

    @app.procedure(".*", match="regex")
    async def everything_else() -> str:
        return "the realm"

    async with clients(app, "ann") as [ann]:
        assert await ann.call("wamp.session.count") == 1
        assert await ann.call_error("wamp.levitate") == "wamp.error.no_such_procedure"
        assert await ann.call("com.levitate") == "the realm"


async def test_handler_for_every_call_does_not_get_calls_of_the_router() -> None:
    app = trusting_app()

    @app.set_rpc_handler
    async def everything(request: Any) -> str:
        return "the realm"

    async with clients(app, "ann") as [ann]:
        assert await ann.call("wamp.session.count") == 1
        assert await ann.call("com.levitate") == "the realm"
        # A handler for all calls has no registrations.
        assert await ann.call("wamp.registration.match", "com.levitate") is None


# CALL options


async def test_meta_procedure_refuses_progressive_calls() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        features = {"progressive_call_invocations": True, "call_canceling": True}
        await ann.send(GOODBYE, {}, "wamp.close.normal")
        await ann.receive()
        await ann.join(roles={"caller": {"features": features}})
        answer = await ann.ask(CALL, 1, {"progress": True}, "wamp.session.count")
        assert answer[4] == "wamp.error.feature_not_supported"
        # Further parts of this call are discarded.
        await ann.send(CALL, 1, {"progress": True}, "wamp.session.count")
        assert await ann.ask(CALL, 2, {}, "wamp.session.count") == [RESULT, 2, {}, [1]]


async def test_call_options_have_no_effect_on_a_meta_procedure() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        options = {"timeout": 1000, "receive_progress": True, "disclose_me": True}
        assert (await ann.request(CALL, options, "wamp.session.count"))[3] == [1]
        await ann.send(CANCEL, 1, {"mode": "kill"})
        assert (await ann.request(CALL, {}, "wamp.session.count"))[3] == [1]


async def test_meta_call_may_not_disclose_unless_a_rule_permits_it() -> None:
    app = Application()
    app.allow("wamp.", "call", match="prefix")
    async with clients(app, "ann") as [ann]:
        answer = await ann.request(CALL, {"disclose_me": True}, "wamp.session.count")
        assert answer[4] == "wamp.error.option_disallowed.disclose_me"


# Arguments


@pytest.mark.parametrize(
    ("procedure", "args", "kwargs"),
    [
        ("wamp.session.count", ["admin"], {}),
        ("wamp.session.count", [[1]], {}),
        ("wamp.session.count", [[], 1], {}),
        ("wamp.session.count", [], {"filter_authroles": []}),
        ("wamp.session.list", [{}], {}),
        ("wamp.session.get", [], {}),
        ("wamp.session.get", ["1"], {}),
        ("wamp.session.get", [None], {}),
        ("wamp.session.get", [1, 2], {}),
        ("wamp.session.kill", [], {}),
        ("wamp.session.kill", ["1"], {}),
        ("wamp.session.kill", [1, "com.example.reason"], {}),
        ("wamp.session.kill", [1], {"message": 5}),
        ("wamp.session.kill", [1], {"session": 1}),
        ("wamp.session.kill_by_authid", [], {}),
        ("wamp.session.kill_by_authid", [5], {}),
        ("wamp.session.kill_by_authrole", [["admin"]], {}),
        ("wamp.session.kill_all", ["com.example.reason"], {}),
        ("wamp.session.kill_all", [], {"message": []}),
        ("wamp.registration.list", [1], {}),
        ("wamp.registration.lookup", [], {}),
        ("wamp.registration.lookup", [5], {}),
        ("wamp.registration.lookup", ["com.example", "prefix"], {}),
        ("wamp.registration.lookup", ["com.example", {"match": "regex"}], {}),
        ("wamp.registration.lookup", ["com.example", {"match": 5}], {}),
        ("wamp.registration.lookup", ["com.example", {"invoke": "never"}], {}),
        ("wamp.registration.match", [], {}),
        ("wamp.registration.match", [5], {}),
        ("wamp.registration.get", ["1"], {}),
        ("wamp.registration.list_callees", [], {}),
        ("wamp.registration.count_callees", [None], {}),
        ("wamp.registration.remove_callee", [1], {}),
        ("wamp.registration.remove_callee", [1, "2"], {}),
        ("wamp.subscription.list", [1], {}),
        ("wamp.subscription.lookup", [], {}),
        ("wamp.subscription.lookup", [5], {}),
        ("wamp.subscription.lookup", ["com.example", []], {}),
        ("wamp.subscription.lookup", ["com.example", {"match": "regex"}], {}),
        ("wamp.subscription.lookup", ["com.example", {"match": ""}], {}),
        ("wamp.subscription.match", [["com.example"]], {}),
        ("wamp.subscription.get", [1.5], {}),
        ("wamp.subscription.list_subscribers", [True], {}),
        ("wamp.subscription.count_subscribers", [], {}),
        ("wamp.session.add_testament", ["com.example"], {}),
        ("wamp.session.add_testament", [5, [], {}], {}),
        ("wamp.session.add_testament", ["com.example", {}, {}], {}),
        ("wamp.session.add_testament", ["com.example", [], []], {}),
        ("wamp.session.add_testament", ["com.example", [], {}, {}], {}),
        ("wamp.session.add_testament", ["com.example", [], {}], {"publish_options": []}),
        ("wamp.session.add_testament", ["com.example", [], {}], {"publish_options": {"eligible": "x"}}),
        ("wamp.session.add_testament", ["com.example", [], {}], {"scope": "buried"}),
        ("wamp.session.flush_testaments", ["destroyed"], {}),
        ("wamp.session.flush_testaments", [], {"scope": "buried"}),
        ("wamp.session.flush_testaments", [], {"scope": 5}),
    ],
)
async def test_wrong_arguments_are_invalid(procedure: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        assert await ann.call_error(procedure, *args, **kwargs) == "wamp.error.invalid_argument"


async def test_error_names_the_invalid_argument_and_the_reason() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        answer = await ann.request(CALL, {}, "wamp.session.get", ["1"])

        reason = "must be an ID, an integer, got str"
        errors = [{"argument": "session", "path": [], "reason": reason}]
        assert answer[4:] == [
            "wamp.error.invalid_argument",
            [f"argument 'session': {reason}"],
            {"errors": errors},
        ]


# Listing sessions


async def test_count_is_the_number_of_sessions_attached_to_the_realm() -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann]:
        assert await ann.call("wamp.session.count") == 1
        async with clients(app, "bob", "cid"):
            assert await ann.call("wamp.session.count") == 3
        assert await ann.call("wamp.session.count") == 1


async def test_count_of_roles_counts_sessions_with_a_role_from_the_list() -> None:
    async with clients(trusting_app(), "ann/admin", "bob/user", "cid/user", "dan/guest") as [ann, *_]:
        assert await ann.call("wamp.session.count", ["user"]) == 2
        assert await ann.call("wamp.session.count", ["user", "guest"]) == 3
        assert await ann.call("wamp.session.count", ["nobody"]) == 0
        assert await ann.call("wamp.session.count", []) == 0
        assert await ann.call("wamp.session.count", None) == 4


async def test_list_has_the_ids_of_all_sessions_or_of_those_with_a_role() -> None:
    async with clients(trusting_app(), "ann/admin", "bob/user", "cid/user") as [ann, bob, cid]:
        assert sorted(await ann.call("wamp.session.list")) == sorted([ann.id, bob.id, cid.id])
        assert sorted(await ann.call("wamp.session.list", ["user"])) == sorted([bob.id, cid.id])
        assert await ann.call("wamp.session.list", ["nobody"]) == []


async def test_get_returns_the_details_of_welcome() -> None:
    async with clients(trusting_app(), "ann/admin", "bob/user") as [ann, bob]:
        details = await ann.call("wamp.session.get", bob.id)

        names = ("authid", "authrole", "authmethod", "authprovider")
        assert details == {"session": bob.id, **{name: bob.details[name] for name in names}}
        assert (details["authid"], details["authrole"]) == ("bob", "user")


@pytest.mark.parametrize("session_id", [1, 0, -1, 2**53 + 1])
async def test_get_of_an_unknown_session_is_no_such_session(session_id: int) -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        assert await ann.call_error("wamp.session.get", session_id) == "wamp.error.no_such_session"


async def test_sessions_of_another_realm_are_not_visible() -> None:
    app = trusting_app()
    other = wampasgi_realm("other")
    app.add_realm(other)
    async with clients(app, "ann") as [ann], clients(app, "bob", realm="other") as [bob]:
        assert await ann.call("wamp.session.list") == [ann.id]
        assert await ann.call_error("wamp.session.get", bob.id) == "wamp.error.no_such_session"
        assert await ann.call_error("wamp.session.kill", bob.id) == "wamp.error.no_such_session"
        assert await ann.call("wamp.session.kill_all") == 0
        assert await bob.call("wamp.session.count") == 1


def wampasgi_realm(uri: str) -> Realm:
    realm = Realm(uri)
    realm.allow_all()
    return realm


# Closing sessions


async def test_killed_session_gets_goodbye_with_reason_and_message() -> None:
    async with clients(trusting_app(), "ann", "bob") as [ann, bob]:
        assert await ann.call("wamp.session.kill", bob.id, reason="com.example.go", message="off") is None

        assert await bob.receive() == [GOODBYE, {"message": "off"}, "com.example.go"]


async def test_killed_session_gets_the_default_reason_and_no_message() -> None:
    async with clients(trusting_app(), "ann", "bob") as [ann, bob]:
        await ann.call("wamp.session.kill", bob.id)

        assert await bob.receive() == [GOODBYE, {}, "wamp.close.killed"]


async def test_killed_session_is_not_listed_any_more() -> None:
    async with clients(trusting_app(), "ann", "bob") as [ann, bob]:
        await ann.call("wamp.session.kill", bob.id)

        # Bob has not answered GOODBYE, and need not do so.
        assert await ann.call("wamp.session.list") == [ann.id]
        assert await ann.call_error("wamp.session.get", bob.id) == "wamp.error.no_such_session"
        assert await ann.call_error("wamp.session.kill", bob.id) == "wamp.error.no_such_session"


async def test_own_session_cannot_be_killed() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        assert await ann.call_error("wamp.session.kill", ann.id) == "wamp.error.no_such_session"
        assert await ann.call_error("wamp.session.kill", 12345) == "wamp.error.no_such_session"
        assert await ann.call("wamp.session.count") == 1


@pytest.mark.parametrize("reason", ["", "not a uri", "com..uri", "com.#", 5, []])
@pytest.mark.parametrize(
    ("procedure", "args"),
    [
        ("wamp.session.kill", [1]),
        ("wamp.session.kill_by_authid", ["bob"]),
        ("wamp.session.kill_by_authrole", ["user"]),
        ("wamp.session.kill_all", []),
    ],
)
async def test_invalid_reason_is_refused_and_no_session_is_killed(
    procedure: str, args: list[Any], reason: Any
) -> None:
    async with clients(trusting_app(), "ann", "bob") as [ann, _]:
        assert await ann.call_error(procedure, *args, reason=reason) == "wamp.error.invalid_uri"
        assert await ann.call("wamp.session.count") == 2


async def test_kill_by_authid_closes_all_its_sessions_except_the_callers() -> None:
    async with clients(trusting_app(), "ann", "ann", "ann", "bob") as [ann, second, third, _]:
        killed = await ann.call("wamp.session.kill_by_authid", "ann", reason="com.example.go", message="off")

        assert sorted(killed) == sorted([second.id, third.id])
        for client in second, third:
            assert await client.receive() == [GOODBYE, {"message": "off"}, "com.example.go"]
        assert await ann.call("wamp.session.count") == 2
        assert await ann.call("wamp.session.kill_by_authid", "nobody") == []


async def test_kill_by_authrole_closes_all_its_sessions_except_the_callers() -> None:
    async with clients(trusting_app(), "ann/user", "bob/user", "cid/user", "dan/admin") as [
        ann,
        bob,
        cid,
        dan,
    ]:
        assert await ann.call("wamp.session.kill_by_authrole", "user") == 2

        for client in bob, cid:
            assert await client.receive() == [GOODBYE, {}, "wamp.close.killed"]
        assert sorted(await ann.call("wamp.session.list")) == sorted([ann.id, dan.id])
        assert await ann.call("wamp.session.kill_by_authrole", "nobody") == 0


async def test_kill_all_closes_all_sessions_except_the_callers() -> None:
    async with clients(trusting_app(), "ann", "bob", "cid") as [ann, bob, cid]:
        assert await ann.call("wamp.session.kill_all", message="off") == 2

        for client in bob, cid:
            assert await client.receive() == [GOODBYE, {"message": "off"}, "wamp.close.killed"]
        assert await ann.call("wamp.session.kill_all") == 0
        assert await ann.call("wamp.session.count") == 1


async def test_server_can_kill_all_sessions() -> None:
    app = trusting_app()
    async with clients(app, "ann", "bob") as [ann, bob]:
        assert await app.call("wamp.session.kill_all", reason="com.example.maintenance") == 2
        for client in ann, bob:
            assert await client.receive() == [GOODBYE, {}, "com.example.maintenance"]


# Announcements


async def test_meta_apis_are_announced_on_the_roles_that_the_specification_names() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        roles = ann.details["roles"]
        announced = {
            (role, feature)
            for role in roles
            for feature, supported in roles[role]["features"].items()
            if feature.endswith("_meta_api") and supported
        }

        assert announced == {
            ("broker", "session_meta_api"),
            ("dealer", "session_meta_api"),
            ("broker", "subscription_meta_api"),
            ("dealer", "registration_meta_api"),
            ("dealer", "testament_meta_api"),
        }
