"""The behaviour of a realm on two workers that no test for one worker shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests import worker_lines
from tests.specification import (
    ABORT,
    CALL,
    ERROR,
    EVENT,
    GOODBYE,
    INTERRUPT,
    INVOCATION,
    MAX_ID,
    NO_AVAILABLE_CALLEE,
    NO_SUCH_PROCEDURE,
    NO_SUCH_SUBSCRIPTION,
    REGISTER,
    REGISTERED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    UNREGISTER,
    UNREGISTERED,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
    YIELD,
)
from tests.wamp_client import BASIC, WAMPClient, announcing, clients, open_app, trusting_app
from tests.websocket import PATIENCE
from tests.worker_lines import WorkerPool, over_unix_workers, running_workers
from wampasgi import Application, Realm, Session, WAMPError
from wampasgi.backplanes.base import FrameSink, NodeId
from wampasgi.backplanes.local import LocalBackplane

__all__ = ["running_workers"]

pytestmark = pytest.mark.anyio

TOPIC = "com.myapp.topic"
PROCEDURE = "com.myapp.procedure"
REGISTRATIONS = [f"wamp.registration.on_{what}" for what in ("create", "register", "unregister", "delete")]

Pool = WorkerPool
Leave = Callable[[Session], Awaitable[None]]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Connect the clients of each test to different workers."""
    with over_unix_workers():
        yield request.param


@pytest.fixture
def pool(running_workers: WorkerPool) -> WorkerPool:
    """Return the workers of the test."""
    return running_workers


@pytest.fixture(autouse=True)
def run_workers(pool: WorkerPool) -> None:
    """Run the workers of each test."""


async def watch(client: WAMPClient, *topics: str) -> dict[int, str]:
    """Subscribe to topics, and return the last component of each by subscription ID."""
    return {await client.subscribe(topic): topic.rpartition(".")[2] for topic in topics}


async def meta_events(client: WAMPClient, watched: dict[int, str], count: int) -> list[tuple[Any, ...]]:
    """Return the kinds and payloads of the next meta events, after which no more come."""
    events = [await client.receive() for _ in range(count)]
    await client.expect_nothing()
    return [(watched[event[1]], *event[4]) for event in events]


def items_sent(app: Application) -> int:
    """Return the number of items that a worker has sent to the other one."""
    sent: int = app.metrics()["default"]["cluster"]["items_sent"]
    return sent


async def wait_for_items(app: Application, before: int) -> None:
    """Wait until a worker has sent more items to the other one."""
    with anyio.fail_after(PATIENCE):
        while items_sent(app) == before:
            await checkpoint()


async def test_clients_are_connected_to_different_workers(pool: Pool) -> None:
    app = trusting_app()
    async with clients(app, "ann", "bob") as [ann, bob]:
        one, other = pool.workers_of(app)
        assert list(one.default_realm.sessions) == [ann.id]
        assert list(other.default_realm.sessions) == [bob.id]
        assert await ann.call("wamp.session.count") == 2
        for worker in one, other:
            metrics = worker.metrics()["default"]
            assert metrics["cluster"]["nodes"] == 2
            assert metrics["sessions"]["open"] == 1
            assert metrics["realm"]["sessions"] == 2


# Sessions


async def closed_by_its_worker(session: Session) -> None:
    await session.close()


async def aborted_by_its_worker(session: Session) -> None:
    await session.abort("com.myapp.error")


@pytest.mark.parametrize(
    ("leave", "message"), [(closed_by_its_worker, GOODBYE), (aborted_by_its_worker, ABORT)]
)
async def test_session_that_its_worker_ends_leaves_the_other_worker(
    pool: Pool, leave: Leave, message: int
) -> None:
    app = trusting_app()
    async with clients(app, "ann", "bob") as [ann, bob]:
        watched = await watch(ann, "wamp.session.on_leave")
        await ann.subscribe(TOPIC)
        await bob.register(PROCEDURE)
        await bob.call("wamp.session.add_testament", TOPIC, ["Seeya!"], {})
        await ann.send(CALL, 1000, {}, PROCEDURE)
        await bob.expect(INVOCATION)

        await leave(pool.workers_of(app)[1].default_realm.sessions[bob.id])

        assert (await bob.receive())[0] == message
        canceled = await ann.expect(ERROR)
        assert canceled[:3] == [ERROR, CALL, 1000]
        assert canceled[4] == "wamp.error.canceled"
        assert await ann.event() == ["Seeya!"]
        assert await meta_events(ann, watched, 1) == [("on_leave", bob.id, "bob", "user")]
        assert await ann.call_error(PROCEDURE) == NO_SUCH_PROCEDURE
        assert await ann.call("wamp.session.list") == [ann.id]


async def test_worker_that_shuts_down_takes_its_sessions_along_and_no_others(pool: Pool) -> None:
    app = trusting_app()
    async with clients(app, "ann", "bob") as [ann, bob]:
        watched = await watch(ann, "wamp.session.on_leave")
        await ann.subscribe(TOPIC)
        await bob.register(PROCEDURE)
        await bob.call("wamp.session.add_testament", TOPIC, ["Seeya!"], {})

        await pool.stop(pool.workers_of(app)[1])

        await bob.closed()
        assert await ann.event() == ["Seeya!"]
        assert await meta_events(ann, watched, 1) == [("on_leave", bob.id, "bob", "user")]
        assert await ann.call_error(PROCEDURE) == NO_SUCH_PROCEDURE
        assert await ann.call("wamp.session.list") == [ann.id]
        assert app.metrics()["default"]["cluster"]["nodes"] == 1


# Calls of the server


async def test_server_calls_a_procedure_of_a_client_of_the_other_worker(pool: Pool) -> None:
    app = trusting_app()
    async with clients(app, "ann", "bob") as [_, bob], anyio.create_task_group() as tasks:
        await bob.register(PROCEDURE)
        tasks.start_soon(bob.answer_invocation, ["a result"])
        assert await app.call(PROCEDURE, 1, timeout=PATIENCE) == "a result"

        tasks.start_soon(bob.fail_invocation, "com.myapp.error")
        with pytest.raises(WAMPError) as raised:
            await app.call(PROCEDURE, timeout=PATIENCE)
        assert raised.value.uri == "com.myapp.error"


async def test_call_of_the_server_that_times_out_is_cancelled_on_the_other_worker() -> None:
    app = trusting_app()
    async with clients(app, BASIC, announcing("call_canceling")) as [_, bob]:
        await bob.register(PROCEDURE)
        with pytest.raises(WAMPError) as raised:
            await app.call(PROCEDURE, timeout=0.05)
        assert raised.value.uri == "wamp.error.timeout"
        invocation = await bob.expect(INVOCATION)
        assert await bob.receive() == [INTERRUPT, invocation[1], {"mode": "killnowait"}]
        await bob.send(YIELD, invocation[1], {}, ["late"])
        await bob.expect_nothing()


async def test_session_of_each_worker_can_be_called_while_both_share_a_procedure(pool: Pool) -> None:
    app = trusting_app()
    async with clients(app, "ann", "bob") as both, anyio.create_task_group() as tasks:
        for client in both:
            await client.register(PROCEDURE, invoke="roundrobin")
        for worker, client in zip(pool.workers_of(app), both, strict=True):
            for number in range(3):
                tasks.start_soon(client.answer_invocation, [number])
                session = worker.default_realm.sessions[client.id]
                assert await session.call(PROCEDURE, timeout=PATIENCE) == number


async def test_private_procedures_of_two_workers_have_the_same_uri(pool: Pool) -> None:
    realm = Realm("com.myapp", client_procedures="session")
    realm.allow_all()
    app = Application([realm])
    async with clients(app, BASIC, BASIC, realm=realm.uri) as both, anyio.create_task_group() as tasks:
        for client in both:
            await client.register(PROCEDURE)
        for client in both:
            assert await client.call_error(PROCEDURE) == NO_SUCH_PROCEDURE
        for worker, client in zip(pool.workers_of(app), both, strict=True):
            session = worker.realms[realm.uri].sessions[client.id]
            tasks.start_soon(client.answer_invocation, ["answer"])
            assert await session.call(PROCEDURE, timeout=PATIENCE) == "answer"
        for client in both:
            await client.expect_nothing()


# Events of the server


async def test_listeners_of_both_workers_get_the_events_of_both(pool: Pool) -> None:
    app = open_app()
    async with clients(app, BASIC, BASIC) as both:
        one, other = pool.workers_of(app)
        async with one.events(TOPIC) as of_one, other.events("com.myapp", match="prefix") as of_other:
            for number, client in enumerate(both):
                await client.publish(TOPIC, number)
            await one.publish(TOPIC, 2)
            await other.publish(TOPIC, 3)
            for events in of_one, of_other:
                with anyio.fail_after(PATIENCE):
                    received = [(await anext(events)).args[0] for _ in range(4)]
                assert sorted(received) == [0, 1, 2, 3]
        await both[0].settled()
        before = [items_sent(worker) for worker in (one, other)]
        await both[0].publish(TOPIC, 4)
        await both[1].publish(TOPIC, 5)
        assert [items_sent(worker) for worker in (one, other)] == before, "nobody listens any more"


async def test_subscriber_of_the_realm_handles_each_event_once_on_the_workers_of_the_publishers() -> None:
    app = open_app()
    handled: list[int] = []

    @app.subscriber(TOPIC)
    async def on_event(number: int) -> None:
        handled.append(number)

    async with clients(app, BASIC, BASIC) as [ann, bob]:
        for client, other, number in (ann, bob, 1), (bob, ann, 2):
            subscription_id = await client.subscribe(TOPIC)
            publication_id = await other.publish(TOPIC, number)
            assert await client.receive() == [EVENT, subscription_id, publication_id, {}, [number]]
            await client.expect_nothing()
    assert handled == [1, 2]


# Revocation


@pytest.mark.parametrize("first_callee", [0, 1])
async def test_revoking_callees_of_both_workers_deletes_their_registration_once(first_callee: int) -> None:
    app = trusting_app()
    async with clients(app, "ann", "bob") as both, clients(app, "cid") as [watcher]:
        callees = [both[first_callee], both[1 - first_callee]]
        ids = {await callee.register(PROCEDURE, invoke="first") for callee in callees}
        watched = await watch(watcher, *REGISTRATIONS)

        assert app.default_realm.revoke_registration(PROCEDURE) == 2
        assert app.default_realm.revoke_registration(PROCEDURE) == 0

        [registration_id] = ids
        events = await meta_events(watcher, watched, 3)
        removed = sorted(client.id for client in both)
        assert sorted(events[:2]) == [("on_unregister", callee, registration_id) for callee in removed]
        assert events[2] in [("on_delete", client.id, registration_id) for client in both]
        assert await watcher.call("wamp.registration.lookup", PROCEDURE) is None


async def test_revoked_subscription_ends_on_both_workers() -> None:
    app = trusting_app()
    revocable = {"roles": {"subscriber": {"features": {"subscription_revocation": True}}}}
    async with clients(app, revocable, revocable, BASIC, BASIC) as subscribers, clients(app, "ann") as [ann]:
        [subscription_id] = {await client.subscribe(TOPIC) for client in subscribers}

        # The number is the one of this worker's clients.
        assert app.revoke_subscription(TOPIC, reason="com.myapp.moved") == 2

        revoked = {"subscription": subscription_id, "reason": "com.myapp.moved"}
        for client in subscribers[:2]:
            assert await client.receive() == [UNSUBSCRIBED, 0, revoked]
        await ann.publish(TOPIC)
        for client in subscribers:
            await client.expect_nothing()
        assert await subscribers[1].subscribe(TOPIC) == subscription_id


# Items on their way


class _HoldingSink:
    """Passes frames on to a sink, except while it holds them."""

    def __init__(self, sink: FrameSink) -> None:
        self._sink = sink
        self._held: list[bytes] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)

    def received(self, frame: bytes) -> None:
        if self._held is None:
            self._sink.received(frame)
        else:
            self._held.append(frame)

    def hold(self) -> None:
        """Hold all frames until ``release``."""
        self._held = []

    def release(self) -> None:
        """Pass the held frames on, and then all others."""
        held, self._held = self._held or [], None
        for frame in held:
            self._sink.received(frame)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Hold all frames until the end of the context."""
        self.hold()
        try:
            yield
        finally:
            self.release()


class _SlowBackplane(LocalBackplane):
    """A backplane whose incoming frames can be held."""

    sink: _HoldingSink

    def open(self, node: NodeId, sink: FrameSink, *, name: str) -> AbstractAsyncContextManager[None]:
        self.sink = _HoldingSink(sink)
        return super().open(node, self.sink, name=name)


@pytest.fixture
def backplanes(monkeypatch: pytest.MonkeyPatch) -> list[_SlowBackplane]:
    """Return the list to which the backplane of each worker is added."""
    made: list[_SlowBackplane] = []

    def make(*args: Any, **options: Any) -> LocalBackplane:
        made.append(_SlowBackplane(*args, **options))
        return made[-1]

    monkeypatch.setattr(worker_lines, "LocalBackplane", make)
    return made


Backplanes = list[_SlowBackplane]


async def unregister(callee: WAMPClient, registration_id: int) -> None:
    assert (await callee.request(UNREGISTER, registration_id))[0] == UNREGISTERED


async def disconnect(callee: WAMPClient, registration_id: int) -> None:
    await callee.disconnect()
    await callee.wait_served()


async def handled(client: WAMPClient) -> None:
    """Wait until the worker of a client has handled all its messages."""
    assert await client.request_error(UNSUBSCRIBE, MAX_ID) == NO_SUCH_SUBSCRIPTION


GOING = [unregister, disconnect]


@pytest.mark.parametrize("go", GOING)
async def test_call_on_its_way_to_a_callee_that_has_gone_is_answered_as_if_made_later(
    backplanes: Backplanes, go: Callable[[WAMPClient, int], Awaitable[None]]
) -> None:
    app = open_app()
    async with clients(app, BASIC, BASIC) as [caller, callee]:
        registration_id = await callee.register(PROCEDURE)
        with backplanes[0].sink.holding():
            await go(callee, registration_id)
            await caller.send(CALL, 1, {}, PROCEDURE)
            await handled(caller)
        await caller.expect_error(CALL, 1, NO_SUCH_PROCEDURE)


@pytest.mark.parametrize("go", GOING)
async def test_call_on_its_way_to_a_callee_that_has_gone_is_routed_to_the_next_match(
    backplanes: Backplanes, go: Callable[[WAMPClient, int], Awaitable[None]]
) -> None:
    app = open_app()
    async with clients(app, BASIC, BASIC, BASIC) as [caller, going, staying]:
        registration_id = await going.register(PROCEDURE)
        await staying.register("com.myapp", match="prefix")
        with backplanes[0].sink.holding():
            await go(going, registration_id)
            await caller.send(CALL, 1, {}, PROCEDURE)
            await handled(caller)
        assert (await staying.answer_invocation(["found"]))[3] == {"procedure": PROCEDURE}
        assert (await caller.receive())[3] == ["found"]
        await caller.expect_nothing()


@pytest.mark.parametrize("go", GOING)
async def test_call_on_its_way_to_a_callee_that_has_gone_is_taken_by_the_next_callee(
    backplanes: Backplanes, go: Callable[[WAMPClient, int], Awaitable[None]]
) -> None:
    app = open_app()
    async with clients(app, BASIC, BASIC, BASIC, BASIC) as [caller, first, standby, last]:
        registration_id = await first.register(PROCEDURE, invoke="first")
        await standby.register(PROCEDURE, invoke="first")
        await last.register(PROCEDURE, invoke="first")
        with backplanes[0].sink.holding():
            await go(first, registration_id)
            await caller.send(CALL, 1, {}, PROCEDURE)
            await handled(caller)
        await standby.answer_invocation(["taken over"])
        assert (await caller.receive())[3] == ["taken over"]
        await last.expect_nothing()


@pytest.mark.parametrize("go", GOING)
async def test_procedure_can_be_registered_as_soon_as_another_worker_has_answered_its_callee(
    backplanes: Backplanes, go: Callable[[WAMPClient, int], Awaitable[None]]
) -> None:
    app = open_app()
    async with clients(app, BASIC, BASIC) as [other, callee]:
        registration_id = await callee.register(PROCEDURE, invoke="first")
        with backplanes[0].sink.holding():
            await go(callee, registration_id)
            before = items_sent(app)
            await other.send(REGISTER, 1, {}, PROCEDURE)
            await wait_for_items(app, before)
        assert await other.receive() == [REGISTERED, 1, registration_id]


async def test_subscribed_waits_until_the_other_worker_has_answered(backplanes: Backplanes) -> None:
    app = trusting_app()
    async with clients(app, "ann", "bob") as [ann, bob]:
        before = items_sent(app)
        with backplanes[0].sink.holding():
            await ann.send(SUBSCRIBE, 1, {}, TOPIC)
            await wait_for_items(app, before)
            assert not ann.arrived()
        assert (await ann.receive())[:2] == [SUBSCRIBED, 1]
        await bob.publish(TOPIC, "event")
        assert await ann.event() == ["event"]


async def test_meta_read_counts_what_the_other_worker_has_sent_before(backplanes: Backplanes) -> None:
    app = trusting_app()
    async with clients(app, "ann", "bob", "cid") as [ann, *_]:
        before = items_sent(app)
        backplanes[0].sink.hold()
        async with clients(app, "dan"):
            await ann.send(CALL, 1, {}, "wamp.session.count")
            await wait_for_items(app, before)
            assert not ann.arrived()
            backplanes[0].sink.release()
            assert await ann.receive() == [RESULT, 1, {}, [4]]


async def test_callee_of_the_other_worker_gets_no_more_calls_than_it_can_take() -> None:
    app = open_app()
    async with clients(app, BASIC, BASIC, BASIC, BASIC) as [caller, callee, other_caller, standby]:
        await callee.register(PROCEDURE, invoke="first", concurrency=1)
        await standby.register(PROCEDURE, invoke="first", concurrency=1)
        await caller.send(CALL, 1, {}, PROCEDURE)
        first = await callee.expect(INVOCATION)
        await other_caller.send(CALL, 1, {}, PROCEDURE)
        second = await standby.expect(INVOCATION)
        await caller.send(CALL, 2, {}, PROCEDURE)
        await caller.expect_error(CALL, 2, NO_AVAILABLE_CALLEE)

        await callee.send(YIELD, first[1], {}, ["first"])
        assert await caller.receive() == [RESULT, 1, {}, ["first"]]
        await standby.send(YIELD, second[1], {}, ["second"])
        assert await other_caller.receive() == [RESULT, 1, {}, ["second"]]
        await other_caller.send(CALL, 2, {}, PROCEDURE)
        await callee.answer_invocation(["free again"])
        assert await other_caller.receive() == [RESULT, 2, {}, ["free again"]]
        await standby.expect_nothing()
