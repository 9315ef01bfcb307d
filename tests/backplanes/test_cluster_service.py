"""Tests of the cluster of an application: what operators and the application itself see of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.backplanes.memory_backplane import MAX_FRAME, Bus, MemoryBackplane
from tests.specification import (
    CALL,
    CHALLENGE,
    ERROR,
    EVENT,
    HELLO,
    PUBLISH,
    REGISTER,
    RESULT,
    UNSUBSCRIBE,
)
from tests.wamp_client import BASIC, WAMPClient, clients, connect
from tests.websocket import PATIENCE
from wampasgi import Application, ConfigurationError, CRAAuthRequirement, Realm, Session
from wampasgi.router.interests import Interests

pytestmark = pytest.mark.anyio

NETWORK_FAILURE = "wamp.error.network_failure"


def new_app(bus: Bus, **options: Any) -> Application:
    app = Application(backplane=MemoryBackplane(bus), **options)
    app.allow_all()
    return app


@asynccontextmanager
async def running(*apps: Application, bus: Bus) -> AsyncIterator[None]:
    """Run the lifespans of the workers, which share a bus."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.run)
        async with AsyncExitStack() as stack:
            for app in apps:
                await stack.enter_async_context(app.lifespan())
            yield
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def two_workers() -> AsyncIterator[tuple[Bus, list[Application], list[WAMPClient]]]:
    """Two workers with a client on each."""
    bus = Bus()
    apps = [new_app(bus), new_app(bus)]
    async with running(*apps, bus=bus), clients(apps[0], {}) as [one], clients(apps[1], {}) as [other]:
        yield bus, apps, [one, other]


def cluster_metrics(app: Application) -> dict[str, int]:
    return app.metrics()["default"]["cluster"]


async def never(*args: Any) -> Any:
    raise AssertionError("the application neither receives nor sends")


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, which depends on heartbeats."""
    with anyio.fail_after(2 * PATIENCE):
        while not condition():  # noqa: ASYNC110 - nothing else tells
            await anyio.sleep(0.01)


async def eventually(app: Application, **expected: int) -> None:
    """Wait until metrics of the cluster have these values."""
    await until(lambda: expected.items() <= cluster_metrics(app).items())


def logged(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    return any(text in record.getMessage() for record in caplog.records)


async def test_client_calls_a_procedure_on_another_worker() -> None:
    async with two_workers() as (_, _, [one, other]):
        await one.register("com.add")
        await other.send(CALL, 1, {}, "com.add", [1, 2])
        await one.answer_invocation([3])
        assert (await other.receive())[3] == [3]


async def test_metrics_count_this_worker_and_the_realm() -> None:
    async with two_workers() as (_, apps, [one, _]):
        await one.register("com.add")
        await one.subscribe("com.topic")
        for app in apps:
            await app.call("wamp.session.count")
        here, there = (app.metrics()["default"] for app in apps)
        assert here["sessions"]["open"] == there["sessions"]["open"] == 1
        assert here["realm"] == there["realm"]
        assert here["realm"]["sessions"] == 2
        assert (here["router"]["registrations"], there["router"]["registrations"]) == (1, 0)
        assert (here["router"]["subscriptions"], there["router"]["subscriptions"]) == (1, 0)
        assert here["cluster"]["nodes"] == 2
        assert here["cluster"]["frames_sent"] > 0


async def test_application_without_its_lifespan_refuses_clients_and_says_what_to_do() -> None:
    app = new_app(Bus())
    with pytest.raises(ConfigurationError, match=r"async with wamp\.lifespan\(\)"):
        await app({"type": "websocket"}, never, never)


async def test_engine_that_cannot_be_reached_ends_the_startup() -> None:
    bus = Bus()
    app = Application(backplane=MemoryBackplane(bus, fails=True))
    with pytest.raises(ConnectionError, match="memory:1"):
        async with app.lifespan():
            pass


async def test_exception_of_the_lifespan_is_not_wrapped() -> None:
    bus = Bus()

    @asynccontextmanager
    async def failing(app: Application) -> AsyncIterator[None]:
        if not app.realms:
            raise LookupError
        yield

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.run)
        with pytest.raises(LookupError):
            async with new_app(bus, lifespan=failing).lifespan():
                pass
        tasks.cancel_scope.cancel()
    assert not bus.sinks


async def test_lifespan_can_run_again() -> None:
    bus = Bus()
    app = new_app(bus)
    for _ in range(2):
        async with running(app, bus=bus), clients(app, {}) as [client]:
            await client.subscribe("com.topic")


async def test_lost_frame_is_counted_and_reported_to_the_application() -> None:
    async with two_workers() as (bus, apps, [one, other]):
        lost = anyio.Event()

        @apps[1].on_gap
        async def on_gap() -> None:
            lost.set()

        await other.subscribe("com.topic")
        sender = next(iter(bus.sinks))
        bus.loses = lambda source, target, frame: source == sender and target != sender
        await one.publish("com.topic", "lost")
        bus.loses = lambda source, target, frame: False
        await one.publish("com.topic", "noticed")
        with anyio.fail_after(PATIENCE):
            await lost.wait()
        await eventually(apps[1], gaps=1)
        await eventually(apps[1], nodes=2)
        await apps[1].call("wamp.session.count")
        await one.publish("com.topic", "arrives")
        assert await other.event() == ["arrives"]


async def test_on_gap_gets_the_number_of_lost_frames_and_its_failure_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with two_workers() as (bus, apps, [one, other]):
        numbers: list[int] = []

        @apps[1].on_gap
        def on_gap(lost: int, app: Application) -> None:
            numbers.append(lost)
            assert app is apps[1]
            raise LookupError

        await other.subscribe("com.topic")
        sender = next(iter(bus.sinks))
        bus.loses = lambda source, target, frame: source == sender and target != sender
        await one.publish("com.topic", "lost")
        bus.loses = lambda source, target, frame: False
        await one.publish("com.topic", "noticed")
        await eventually(apps[1], gaps=1)
        await until(lambda: logged(caplog, "on_gap"))
        assert numbers == [1]


async def test_publication_that_may_be_lost_is_answered_with_an_error() -> None:
    bus = Bus()
    backplane = MemoryBackplane(bus)
    apps = [Application(backplane=backplane), new_app(bus)]
    apps[0].allow_all()
    async with running(*apps, bus=bus), clients(apps[0], {}) as [one], clients(apps[1], {}) as [other]:
        await other.subscribe("com.topic")
        backplane.is_safe = False
        assert await one.request_error(PUBLISH, {"acknowledge": True}, "com.topic") == NETWORK_FAILURE
        # Nobody on another worker subscribes to this topic.
        await one.publish("com.other")


async def test_event_that_does_not_fit_into_a_frame_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with two_workers() as (_, _, [one, other]):
        await other.subscribe("com.topic")
        await one.publish("com.topic", "x" * MAX_FRAME)
        await one.publish("com.topic", "short")
        assert await other.event() == ["short"]
    [message] = [record.getMessage() for record in caplog.records if "cannot be sent" in record.getMessage()]
    assert "com.topic" in message


async def test_call_that_does_not_fit_into_a_frame_is_refused() -> None:
    async with two_workers() as (_, _, [one, other]):
        await one.register("com.echo")
        assert await other.call_error("com.echo", "x" * MAX_FRAME) == "wamp.error.invalid_argument"
        await other.send(CALL, 9, {}, "com.echo", ["short"])
        await one.answer_invocation(["x" * MAX_FRAME])
        assert (await other.receive())[:5] == [ERROR, CALL, 9, {}, "wamp.error.payload_size_exceeded"]


async def test_worker_that_ends_without_a_goodbye_is_removed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wampasgi.cluster")
    async with two_workers() as (bus, apps, [one, other]):
        await one.register("com.slow")
        await other.send(CALL, 1, {}, "com.slow")
        await one.receive()
        dead = next(iter(bus.sinks))
        bus.kill(dead)
        assert (await other.receive())[:5] == [ERROR, CALL, 1, {}, NETWORK_FAILURE]
        assert await other.call("wamp.session.count") == 1
        assert await other.call_error("com.slow") == "wamp.error.no_such_procedure"
        assert cluster_metrics(apps[1])["burials"] == 1
    assert logged(caplog, f"worker {dead:x} has ended without a goodbye")


async def test_worker_that_ends_in_order_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wampasgi.cluster")
    bus = Bus()
    staying, leaving = new_app(bus), new_app(bus)
    async with running(staying, bus=bus):
        async with leaving.lifespan():
            assert cluster_metrics(staying)["nodes"] == 2
        await eventually(staying, nodes=1)
        assert cluster_metrics(staying)["burials"] == 0
    assert logged(caplog, "has left")


async def test_fault_in_handling_a_frame_is_logged_and_repaired(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = Interests.no_interest
    failures = ["a fault"]

    def fail_once(interests: Interests, node: int, item: Any) -> None:
        if failures:
            raise LookupError(failures.pop())
        works(interests, node, item)

    monkeypatch.setattr(Interests, "no_interest", fail_once)
    async with two_workers() as (_, apps, [one, other]):
        subscription_id = await one.subscribe("com.topic")
        await one.request(UNSUBSCRIBE, subscription_id)
        await until(lambda: logged(caplog, "a frame of another worker could not be handled"))
        await eventually(apps[0], snapshots=2)
        await one.subscribe("com.topic")
        await other.publish("com.topic", "arrives")
        assert await one.event() == ["arrives"]


async def test_realms_of_the_same_uri_belong_together_and_others_do_not() -> None:
    bus = Bus()
    apps = [
        Application([Realm("com.one"), Realm("com.two")], backplane=MemoryBackplane(bus)) for _ in range(2)
    ]
    for app in apps:
        for realm in app.realms.values():
            realm.allow_all()
    async with (
        running(*apps, bus=bus),
        clients(apps[0], {}, realm="com.one") as [one],
        clients(apps[1], {}, realm="com.one") as [same],
        clients(apps[1], {}, realm="com.two") as [different],
    ):
        await same.subscribe("com.topic")
        await different.subscribe("com.topic")
        await one.publish("com.topic", "news")
        assert await same.event() == ["news"]
        await apps[0].realms["com.two"].call("wamp.session.count")
        await different.expect_nothing()


async def test_listener_of_the_server_gets_the_events_of_all_workers() -> None:
    async with two_workers() as (_, apps, [one, _]), apps[1].events("com.topic") as events:
        await one.publish("com.topic", "news")
        with anyio.fail_after(PATIENCE):
            assert (await anext(events)).args == ("news",)


async def test_subscriber_handlers_run_once_on_the_worker_of_the_publisher() -> None:
    bus, handled = Bus(), list[str]()

    def worker(name: str) -> Application:
        app = new_app(bus)

        @app.subscriber("com.topic")
        async def handle(event: Any) -> None:
            handled.append(name)

        return app

    apps = [worker("first"), worker("second")]
    async with running(*apps, bus=bus), clients(apps[0], {}) as [one], clients(apps[1], {}) as [other]:
        await other.subscribe("com.topic")
        await one.publish("com.topic")
        assert (await other.receive())[0] == EVENT
        await apps[1].publish("com.topic")
        await other.receive()
    assert handled == ["first", "second"]


async def test_deafness_makes_the_backplane_reconnect() -> None:
    bus = Bus()
    backplane = MemoryBackplane(bus)
    app = Application(backplane=backplane)
    async with running(app, bus=bus):
        bus.loses = lambda source, target, frame: True
        await until(lambda: backplane.reconnects)
        assert cluster_metrics(app)["reachable"] == 0
        bus.loses = lambda source, target, frame: False
        await eventually(app, reachable=1)


async def test_registration_is_claimed_from_the_other_workers() -> None:
    async with two_workers() as (_, _, [one, other]):
        await one.register("com.taken")
        assert await other.request_error(REGISTER, {}, "com.taken") == ("wamp.error.procedure_already_exists")


@pytest.mark.parametrize(
    "request_",
    [
        [CALL, 1, {}, "wamp.session.count"],
        [CALL, 1, {}, "wamp.subscription.list_subscribers", [1]],
    ],
    ids=str,
)
async def test_read_that_waits_for_another_worker_does_not_keep_its_session_busy(
    request_: list[Any],
) -> None:
    bus = Bus()
    apps = [new_app(bus), new_app(bus)]

    @apps[0].procedure("com.quick")
    async def quick() -> str:
        return "done"

    async with running(*apps, bus=bus), clients(apps[0], {}) as [client]:
        _, silent = bus.sinks
        bus.loses = lambda source, target, frame: silent in (source, target)
        await client.send(*request_)
        await client.send(CALL, 2, {}, "com.quick")
        assert await client.receive() == [RESULT, 2, {}, ["done"]]


async def test_workers_send_the_same_salt_for_an_unknown_user() -> None:
    bus = Bus()
    unknown = CRAAuthRequirement("unused", "member", "db", salt="abcdef")

    async def find_requirement(session: Session) -> None:
        return None

    apps = []
    for _ in range(3):
        app = Application(backplane=MemoryBackplane(bus))
        app.set_cra_handlers(find_requirement, find_requirement, unknown=unknown)
        apps.append(app)
    salts = set()
    async with running(*apps, bus=bus):
        for app in apps:
            async with connect(app) as client:
                details = {**BASIC, "authid": "nobody", "authmethods": ["wampcra"]}
                challenge = await client.ask(HELLO, "default", details)
                assert challenge[:2] == [CHALLENGE, "wampcra"]
                salts.add(challenge[2]["salt"])
    assert len(salts) == 1
