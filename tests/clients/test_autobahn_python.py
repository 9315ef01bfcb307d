# Autobahn's signatures have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.interfaces import ISerializer
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import (
    CallOptions,
    Challenge,
    CloseDetails,
    ComponentConfig,
    PublishOptions,
    SessionDetails,
)

from tests.clients.conftest import GOODBYE_APP, SERVED_APP, StartServer
from tests.clients.server_process import BOTH_TRANSPORTS, ServerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

TIMEOUT = 5.0

Serializer = Callable[[], ISerializer]
Event = tuple[tuple[Any, ...], dict[str, Any]]


class Client(ApplicationSession):
    """An Autobahn session that a test controls."""

    def __init__(self, realm: str, ticket: str | None = None) -> None:
        super().__init__(ComponentConfig(realm))
        loop = asyncio.get_running_loop()
        self._ticket = ticket
        self.joined: asyncio.Future[SessionDetails] = loop.create_future()
        self.left: asyncio.Future[CloseDetails] = loop.create_future()
        self.disconnected: asyncio.Future[None] = loop.create_future()
        self.events: asyncio.Queue[Event] = asyncio.Queue()

    def onConnect(self) -> None:
        if self._ticket is None:
            self.join(self.config.realm)
        else:
            self.join(self.config.realm, authmethods=["ticket"], authid="joe")

    def onChallenge(self, challenge: Challenge) -> str | None:
        assert challenge.method == "ticket"
        return self._ticket

    def onJoin(self, details: SessionDetails) -> None:
        self.joined.set_result(details)

    def onLeave(self, details: CloseDetails) -> None:
        self.left.set_result(details)
        # Fails the pending requests, then disconnects.
        super().onLeave(details)

    def onDisconnect(self) -> None:
        self.disconnected.set_result(None)

    def on_event(self, *args: Any, **kwargs: Any) -> None:
        self.events.put_nowait((args, kwargs))

    async def next_event(self) -> Event:
        async with asyncio.timeout(TIMEOUT):
            return await self.events.get()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The backend for Autobahn, which supports only asyncio and Twisted."""
    return "asyncio"


@pytest.fixture(
    params=[
        pytest.param(JsonSerializer, id="json"),
        pytest.param(MsgPackSerializer, id="msgpack"),
        # Batched JSON is left out: Autobahn ends messages with 0x18, but the specification requires 0x1e.
        pytest.param(partial(MsgPackSerializer, batched=True), id="msgpack.batched"),
        pytest.param(CBORSerializer, id="cbor"),
        pytest.param(partial(CBORSerializer, batched=True), id="cbor.batched"),
    ]
)
def serializer(request: pytest.FixtureRequest) -> Serializer:
    chosen: Serializer = request.param
    return chosen


@asynccontextmanager
async def connected(client: Client, url: str, serializer: Serializer) -> AsyncIterator[Client]:
    runner = ApplicationRunner(url, client.config.realm, serializers=[serializer()])
    transport, _ = await runner.run(lambda config: client, start_loop=False)
    try:
        yield client
    finally:
        if not client.disconnected.done():
            client.disconnect()
        async with asyncio.timeout(TIMEOUT):
            await client.disconnected
        transport.close()


@pytest.fixture
async def client(server: ServerProcess, serializer: Serializer) -> AsyncIterator[Client]:
    async with connected(Client("default"), server.url, serializer) as client:
        async with asyncio.timeout(TIMEOUT):
            await client.joined
        yield client


async def test_session_uses_the_serializer_of_the_client(client: Client, serializer: Serializer) -> None:
    assert await client.call("subprotocol") == f"wamp.2.{serializer().SERIALIZER_ID}"


async def test_call_accepts_args_and_kwargs(client: Client) -> None:
    assert await client.call("math.add", 2, b=3) == 5


async def test_echoed_payload_is_unchanged(client: Client) -> None:
    nested = {"names": ["Zoë", "李"], "none": None, "deep": [[1.5, True], {}], "big": 2**53}

    result = await client.call("echo", nested, -1, b"\x00\xff", flag=False)

    assert result.results == (nested, -1, b"\x00\xff")
    assert result.kwresults == {"flag": False}


async def test_model_is_validated_and_serialized(client: Client) -> None:
    bolts = {"name": "bolts", "price": 3, "amount": 4}

    assert await client.call("order.double", bolts) == {**bolts, "amount": 8}


async def test_sync_procedure_runs_in_a_worker_thread(client: Client) -> None:
    assert await client.call("thread.name") != "MainThread"


async def test_unknown_procedure_is_an_error(client: Client) -> None:
    with pytest.raises(ApplicationError) as failed:
        await client.call("no.such.procedure")

    assert failed.value.error == "wamp.error.no_such_procedure"


async def test_error_names_the_invalid_argument(client: Client) -> None:
    with pytest.raises(ApplicationError) as failed:
        await client.call("math.add", "two")

    assert failed.value.error == "wamp.error.invalid_argument"
    assert [error["argument"] for error in failed.value.kwargs["errors"]] == ["a"]


async def test_application_error_keeps_its_payload(client: Client) -> None:
    with pytest.raises(ApplicationError) as raised:
        await client.call("stock.take", "bolts")
    with pytest.raises(ApplicationError) as returned:
        await client.call("stock.refuse")

    assert (raised.value.error, raised.value.args, raised.value.kwargs) == (
        "com.example.out_of_stock",
        ("bolts",),
        {"left": 0},
    )
    assert (returned.value.error, returned.value.args, returned.value.kwargs) == (
        "com.example.refused",
        ("no",),
        {"code": 7},
    )


async def test_unexpected_exception_is_logged_but_not_sent_to_the_client(
    client: Client, server: ServerProcess
) -> None:
    with pytest.raises(ApplicationError) as failed:
        await client.call("fail")

    assert failed.value.error == "wamp.error.runtime_error"
    assert "swordfish" not in str(failed.value)
    assert "swordfish" in server.log


async def test_progress_reports_come_before_the_result(client: Client) -> None:
    reports: list[Event] = []

    def on_progress(*args: Any, **kwargs: Any) -> None:
        reports.append((args, kwargs))

    result = await client.call("count.down", 2, options=CallOptions(on_progress=on_progress))

    assert reports == [((2,), {"done": 0}), ((1,), {"done": 1})]
    assert result == "lift-off"


async def test_caller_without_receive_progress_gets_only_the_result(client: Client) -> None:
    assert await client.call("count.down", 2) == "lift-off"


async def test_call_is_canceled(client: Client, server: ServerProcess) -> None:
    session_id = (await client.joined).session
    call = client.call("slow")
    await asyncio.to_thread(server.wait_for_note, f"slow begun {session_id}")

    call.cancel()

    await asyncio.to_thread(server.wait_for_note, f"slow ended {session_id}")
    assert await client.call("math.add", 1) == 1


async def test_call_that_exceeds_its_timeout_is_an_error(client: Client) -> None:
    with pytest.raises(ApplicationError) as failed:
        await client.call("slow", options=CallOptions(timeout=10))

    assert failed.value.error == "wamp.error.timeout"


async def test_event_of_the_server_reaches_its_subscribers(
    client: Client, server: ServerProcess, serializer: Serializer
) -> None:
    async with connected(Client("default"), server.url, serializer) as other:
        await other.joined
        for subscriber in (client, other):
            await subscriber.subscribe(subscriber.on_event, "news")

        await client.call("announce", "news", "rain", until="noon")

        for subscriber in (client, other):
            assert await subscriber.next_event() == (("rain",), {"until": "noon"})


async def test_acknowledged_publication_reaches_the_servers_subscriber(client: Client) -> None:
    await client.subscribe(client.on_event, "news")

    publication = await client.publish(
        "sensors.attic", 21.5, unit="F", options=PublishOptions(acknowledge=True)
    )

    assert publication.id > 0
    # The server's subscriber publishes the reading as news.
    assert await client.next_event() == (("sensors.attic", 21.5), {"unit": "F"})


async def test_publication_without_permission_is_refused(client: Client) -> None:
    with pytest.raises(ApplicationError) as refused:
        await client.publish("news", "fake", options=PublishOptions(acknowledge=True))

    assert refused.value.error == "wamp.error.not_authorized"


async def test_event_sent_by_a_gatekeeper_arrives_after_subscribed(client: Client) -> None:
    await client.subscribe(client.on_event, "news.greeted")

    assert await client.next_event() == (("welcome",), {"topic": "news.greeted"})


async def test_gatekeeper_refuses_a_subscription(client: Client) -> None:
    with pytest.raises(ApplicationError) as refused:
        await client.subscribe(client.on_event, "news.staff")

    assert refused.value.error == "com.example.staff_only"
    assert refused.value.args == ("for staff",)


async def test_no_event_arrives_after_unsubscribed(client: Client, server: ServerProcess) -> None:
    session_id = (await client.joined).session
    subscription = await client.subscribe(client.on_event, "news")
    await subscription.unsubscribe()
    await asyncio.to_thread(server.wait_for_note, f"unsubscribed {session_id}")

    await client.call("announce", "news", "nobody hears this")

    assert client.events.empty()


async def test_registration_without_permission_is_refused(client: Client) -> None:
    with pytest.raises(ApplicationError) as refused:
        await client.register(client.on_event, "mine")

    assert refused.value.error == "wamp.error.not_authorized"


async def test_leaving_closes_the_session_with_goodbye(client: Client, server: ServerProcess) -> None:
    session_id = (await client.joined).session

    await client.leave()

    assert (await client.left).reason == "wamp.close.goodbye_and_out"
    await asyncio.to_thread(server.wait_for_note, f"closed {session_id}")


async def test_client_joins_with_a_ticket(server: ServerProcess, serializer: Serializer) -> None:
    async with connected(Client("office", ticket="open sesame"), server.url, serializer) as client:
        details = await client.joined
        whoami = await client.call("whoami")

    assert (details.authid, details.authrole, details.authmethod) == ("joe", "clerk", "ticket")
    assert whoami == {"authid": "joe", "role": "clerk", "user": "Joe Doe"}


async def test_wrong_ticket_is_refused(server: ServerProcess, serializer: Serializer) -> None:
    async with connected(Client("office", ticket="knock knock"), server.url, serializer) as client:
        details = await client.left

    assert details.reason == "wamp.error.authentication_failed"
    assert not client.joined.done()


async def test_realms_do_not_share_procedures(server: ServerProcess, serializer: Serializer) -> None:
    async with connected(Client("office", ticket="open sesame"), server.url, serializer) as client:
        await client.joined
        with pytest.raises(ApplicationError) as failed:
            await client.call("math.add", 1)

    assert failed.value.error == "wamp.error.no_such_procedure"


@pytest.mark.parametrize("kind", BOTH_TRANSPORTS)
@pytest.mark.parametrize(
    ("app", "reason", "message"),
    [
        (SERVED_APP, "wamp.close.transport_lost", None),
        (GOODBYE_APP, "wamp.close.system_shutdown", "the server shuts down"),
    ],
)
async def test_session_ends_at_shutdown(
    kind: str,
    app: str,
    reason: str,
    message: str | None,
    own_server: StartServer,
    serializer: Serializer,
) -> None:
    server = own_server(kind, app)
    async with connected(Client("default"), server.url, serializer) as client:
        session_id = (await client.joined).session
        await client.subscribe(client.on_event, "news")
        call = client.call("slow")
        await asyncio.to_thread(server.wait_for_note, f"slow begun {session_id}")

        server.terminate()
        async with asyncio.timeout(TIMEOUT):
            details = await client.left
            with pytest.raises(ApplicationError) as failed:
                await call
        await asyncio.to_thread(server.wait_for_exit, TIMEOUT)

    assert details.reason == reason
    if message is not None:
        assert details.message == message
    assert failed.value.error == reason
    for note in ("slow ended", "unsubscribed", "closed"):
        server.wait_for_note(f"{note} {session_id}")
