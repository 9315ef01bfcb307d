"""Sessions keep the configuration that they were opened with; changes at run time act at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from tests.specification import (
    CALL,
    ERROR,
    GOODBYE,
    PUBLISH,
    REGISTER,
    REGISTERED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    UNREGISTERED,
    UNSUBSCRIBED,
)
from tests.wamp_client import WAMPClient, clients, connect, trusting_app
from tests.websocket import PATIENCE
from wampasgi import Application, ConfigurationError, Identity, Limits, Session

pytestmark = pytest.mark.anyio

PUBLISHED = 17
NO_SUCH_PROCEDURE = "wamp.error.no_such_procedure"
ALL_FEATURES: dict[str, Any] = {
    "caller": {},
    "callee": {"features": {"registration_revocation": True}},
    "subscriber": {"features": {"subscription_revocation": True}},
}


# Permissions


async def answered(client: WAMPClient, code: int, *request: Any) -> bool:
    answer = await client.request(*request)
    assert answer[0] in (code, ERROR), answer
    return bool(answer[0] == code)


async def calls(client: WAMPClient) -> bool:
    return await answered(client, RESULT, CALL, {}, "com.own")


async def subscribes(client: WAMPClient) -> bool:
    return await answered(client, SUBSCRIBED, SUBSCRIBE, {}, "com.a")


async def registers(client: WAMPClient) -> bool:
    return await answered(client, REGISTERED, REGISTER, {}, "com.a")


async def publishes(client: WAMPClient) -> bool:
    return await answered(client, PUBLISHED, PUBLISH, {"acknowledge": True}, "com.a")


async def may() -> bool:
    return True


@pytest.mark.parametrize(
    ("configure", "does"),
    [
        (lambda app: app.allow("com.own", "call", role="user"), calls),
        (lambda app: app.allow("com.a", "subscribe"), subscribes),
        (lambda app: app.allow("com.", "publish", match="prefix"), publishes),
        (lambda app: app.allow_all(), registers),
        (lambda app: app.authorizer(may), publishes),
    ],
)
async def test_permission_is_for_sessions_that_join_later(
    configure: Callable[[Application], object], does: Any
) -> None:
    app = Application()
    # A rule for one role shuts out all others.
    app.allow("com.own", "call", role="admin")
    app.add_transport_authenticator(as_user)

    @app.procedure("com.own")
    async def own() -> None: ...

    async with clients(app, "early") as [early]:
        configure(app)
        async with clients(app, "late") as [late]:
            assert await does(late)
            assert not await does(early)


async def as_user() -> Identity:
    return Identity(authrole="user")


# Handlers and their arguments


async def test_handlers_of_a_session_get_the_default_args_that_it_was_opened_with() -> None:
    app = trusting_app()
    app.set_default_arg("version", 1)

    @app.procedure("com.own")
    async def own(version: int) -> int:
        return version

    async with clients(app, "early") as [early]:
        app.set_default_arg("version", 2)
        async with clients(app, "late") as [late]:
            assert [await client.call("com.own") for client in (early, late, early)] == [1, 2, 1]
        assert await app.call("com.own") == 2


async def test_topic_that_is_added_is_for_sessions_that_join_later() -> None:
    app = Application()
    guarded: list[int] = []

    async with clients(app, "early") as [early]:

        @app.topic("com.a")
        async def gatekeeper(session: Session) -> AsyncIterator[None]:
            guarded.append(session.id)
            yield

        async with clients(app, "late") as [late]:
            assert not await subscribes(early)
            assert await subscribes(late)
            assert guarded == [late.id]


async def test_gatekeeper_that_is_added_does_not_guard_the_topics_of_open_sessions() -> None:
    app = Application()
    app.allow("com.a", "subscribe")
    guarded: list[int] = []

    async with clients(app, "early") as [early]:

        @app.topic("com.a")
        async def gatekeeper(session: Session) -> AsyncIterator[None]:
            guarded.append(session.id)
            yield

        async with clients(app, "late") as [late]:
            for client in early, late:
                assert await subscribes(client)
            assert guarded == [late.id]
            await app.publish("com.a", "for both")
            for client in early, late:
                assert await client.event() == ["for both"]


async def test_handler_of_events_that_is_added_permits_sessions_that_join_later_to_publish() -> None:
    app = Application()
    handled: list[str] = []
    async with clients(app, "early") as [early]:

        @app.subscriber("com.a")
        async def on_event(text: str) -> None:
            handled.append(text)

        async with clients(app, "late") as [late]:
            await app.publish("com.a", "server")
            assert not await publishes(early)
            assert (await late.request(PUBLISH, {"acknowledge": True}, "com.a", ["late"]))[0] == PUBLISHED

    assert handled == ["server", "late"]


async def test_handler_of_events_that_is_added_gets_nothing_of_open_sessions_that_may_publish() -> None:
    app = trusting_app()
    handled: list[str] = []

    @app.subscriber("com.a")
    async def before(text: str) -> None:
        handled.append(f"before {text}")

    async with clients(app, "early") as [early]:

        @app.subscriber("com.a")
        async def after(text: str) -> None:
            handled.append(f"after {text}")

        async with clients(app, "late") as [late]:
            for client, text in (early, "early"), (late, "late"):
                await client.request(PUBLISH, {"acknowledge": True}, "com.a", [text])

    assert sorted(handled) == ["after late", "before early", "before late"]


async def test_one_handler_for_every_call_is_for_sessions_that_join_later() -> None:
    app = trusting_app()

    @app.procedure("com.own")
    async def own() -> str:
        return "own"

    async def every(request: Any) -> str:
        return "every"

    async with clients(app, "early") as [early]:
        app.set_rpc_handler(every)
        async with clients(app, "late") as [late]:
            assert await early.call("com.own") == "own"
            assert await early.call_error("com.other") == NO_SUCH_PROCEDURE
            assert await late.call("com.own") == await late.call("com.other") == "every"


async def test_lifespan_handler_that_is_added_runs_around_sessions_that_join_later() -> None:
    app = trusting_app()
    ended: list[int] = []

    async with clients(app, "early") as [early]:

        async def lifespan(session: Session) -> AsyncIterator[None]:
            yield
            ended.append(session.id)

        app.add_session_lifespan_handler(lifespan)
        async with clients(app, "late") as [late]:
            pass
        assert early.id in app.default_realm.sessions

    assert ended == [late.id]


async def test_limits_that_are_changed_bound_sessions_that_join_later() -> None:
    app = trusting_app(limits=Limits(subscriptions=2))
    settings = app.default_realm.settings

    async with clients(app, "early") as [early]:
        settings.limits = Limits(subscriptions=1)
        settings.changed()
        async with clients(app, "late") as [late]:
            for client, most in (early, 2), (late, 1):
                answers = [(await client.request(SUBSCRIBE, {}, f"com.{number}"))[0] for number in range(3)]
                assert answers == [SUBSCRIBED] * most + [ERROR] * (3 - most)


async def test_authenticator_that_is_added_asks_sessions_that_join_later() -> None:
    app = Application()
    app.allow_all()

    async def identify(ticket: str) -> str | None:
        return "ada" if ticket == "secret" else None

    async with connect(app) as early, connect(app) as late:
        await early.join()
        app.set_ticket_authenticator(identify)
        hello = ["r", {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "ada"}]
        assert (await late.ask(1, *hello))[0] == 4
        # The open session goes on; the next one on its connection has to authenticate.
        assert (await early.ask(CALL, 1, {}, "wamp.session.count"))[3] == [1]
        assert (await early.ask(GOODBYE, {}, "wamp.close.close_realm"))[0] == GOODBYE
        assert (await early.ask(1, *hello))[0] == 4


async def test_open_session_survives_an_invalid_change_of_the_configuration() -> None:
    app = trusting_app()

    @app.procedure("com.own")
    async def own() -> str:
        return "own"

    async with clients(app, "early") as [early]:

        @app.authorizer
        async def needs_database(database: object) -> bool:
            return True

        with pytest.raises(ConfigurationError, match="database"):
            await app.call("com.own")
        assert await early.call("com.own") == "own"


# Changes at run time


async def test_procedure_at_run_time_is_there_for_open_sessions_until_it_is_removed() -> None:
    app = trusting_app()

    async def own() -> str:
        return "own"

    async with clients(app, "early") as [early]:
        # From now on there is a newer plan than that of the first session.
        app.set_default_arg("version", 2)
        async with clients(app, "late") as [late]:
            assert await early.call_error("com.a") == NO_SUCH_PROCEDURE
            app.register("com.a", own)
            assert [await client.call("com.a") for client in (early, late)] == ["own", "own"]
            app.unregister("com.a")
            for client in early, late:
                assert await client.call_error("com.a") == NO_SUCH_PROCEDURE


async def test_call_that_is_being_handled_goes_on_when_its_procedure_is_removed() -> None:
    app = trusting_app()
    started, release = anyio.Event(), anyio.Event()

    async def slow() -> str:
        started.set()
        await release.wait()
        return "done"

    async with clients(app, "ann") as [ann]:
        app.register("com.a", slow)
        await ann.send(CALL, 7, {}, "com.a")
        with anyio.fail_after(PATIENCE):
            await started.wait()
        app.unregister("com.a")
        release.set()
        assert await ann.receive() == [RESULT, 7, {}, ["done"]]


async def test_revocation_acts_on_open_sessions() -> None:
    app = trusting_app()
    async with connect(app) as early:
        await early.join(roles=ALL_FEATURES)
        await early.subscribe("com.a")
        await early.register("com.a")
        app.set_default_arg("version", 2)
        async with clients(app, "late") as [late]:
            assert app.revoke_subscription("com.a") == 1
            assert app.revoke_registration("com.a") == 1
            assert [(await early.receive())[0] for _ in range(2)] == [UNSUBSCRIBED, UNREGISTERED]
            assert await late.call_error("com.a") == NO_SUCH_PROCEDURE
            # It may subscribe and register again.
            await early.subscribe("com.a")
            await early.register("com.a")


async def test_history_stores_the_publications_of_sessions_that_were_open_before() -> None:
    app = trusting_app()
    async with clients(app, "early") as [early]:
        app.keep_history("com.a", limit=5)
        await early.request(PUBLISH, {"acknowledge": True}, "com.a", ["kept"])
        subscription_id = await early.subscribe("com.a")
        answer = await early.request(CALL, {}, "wamp.subscription.get_events", [subscription_id])

    assert [event["args"] for event in answer[3]] == [["kept"]]
