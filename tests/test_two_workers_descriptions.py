"""Descriptions and metrics of a realm on two workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.specification import CALL, RESULT, UNREGISTER
from tests.wamp_client import clients, trust_hello, trusting_app
from tests.worker_lines import WorkerPool, over_unix_workers, running_workers
from wampasgi import Application, Limits

__all__ = ["running_workers"]

pytestmark = pytest.mark.anyio

DEFINE = "wamp.reflection.define"
DESCRIBE = "wamp.reflection.describe"
TILL: dict[str, Any] = {
    "summary": "Open the till",
    "result": {"args": {"type": "array", "prefixItems": [{"$ref": "#/$defs/Amount"}]}},
    "errors": [{"uri": "com.till.jammed"}],
    "$defs": {"Amount": {"type": "number"}},
}


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


async def handle(number: int) -> None: ...


async def test_definition_of_a_client_of_the_other_worker_is_described(pool: WorkerPool) -> None:
    app = trusting_app()
    app.procedure("com.get")(handle)
    async with clients(app, "ann", "eve") as [ann, eve]:
        await eve.register("com.till")
        await eve.call(DEFINE, "com.till", TILL)
        found = await ann.call(DESCRIBE)
        assert found == await eve.call(DESCRIBE)
        assert [entry["uri"] for entry in found["procedures"]] == ["com.get", "com.till"]
        assert found["procedures"][1]["summary"] == "Open the till"
        assert found["$defs"] == TILL["$defs"]
        alone = await ann.call("wamp.reflection.procedure.describe", "com.till")
        assert (alone["provider"], alone["$defs"]) == ("client", TILL["$defs"])
        assert await ann.call("wamp.reflection.error.list") == ["com.till.jammed"]
        for worker in pool.workers_of(app):
            described = await worker.default_realm.call("wamp.reflection.procedure.describe", "com.till")
            assert described == alone


async def test_definition_of_the_other_worker_ends_with_the_registration(pool: WorkerPool) -> None:
    app = trusting_app()
    async with clients(app, "ann", "eve") as [ann, eve]:
        registration_id = await eve.register("com.till")
        await eve.call(DEFINE, "com.till", TILL)
        await eve.request(UNREGISTER, registration_id)
        assert await ann.call("wamp.reflection.procedure.list") == []
        await eve.register("com.till")
        assert (await ann.call("wamp.reflection.procedure.describe", "com.till"))["summary"] is None
        await eve.call(DEFINE, "com.till", TILL)
        await eve.leave()
        assert await ann.call("wamp.reflection.procedure.list") == []


async def test_callees_of_both_workers_share_a_description() -> None:
    async with clients(trusting_app(), "ann", "eve") as [ann, eve]:
        for client in (ann, eve):
            await client.register("com.till", invoke="roundrobin")
        await eve.call(DEFINE, "com.till", TILL)
        for client in (ann, eve):
            found = await client.call("wamp.reflection.procedure.describe", "com.till")
            assert found["summary"] == "Open the till"


async def test_client_defines_only_its_own_procedures_on_both_workers() -> None:
    async with clients(trusting_app(), "ann", "eve") as [ann, eve]:
        await eve.register("com.till")
        assert await ann.call_error(DEFINE, "com.till", TILL) == "wamp.error.no_such_registration"


async def test_procedure_of_the_other_worker_is_hidden_like_one_of_this_worker() -> None:
    app = Application(docs_url="/docs")
    app.add_transport_authenticator(trust_hello)
    app.allow("com.", "register", match="prefix")
    app.allow("com.", "call", match="prefix", role="admin")
    app.allow(DEFINE, "call")
    described = ("ann/user", "eve/user", "bob/user", "ada/admin")
    async with clients(app, *described) as [ann, eve, bob, ada]:
        await eve.register("com.till")
        await eve.call(DEFINE, "com.till", TILL)
        for client in (ann, eve, bob):
            found = await client.call(DESCRIBE)
            assert (found["procedures"], found["errors"], found["$defs"]) == ([], [], {})
        assert (await ada.call(DESCRIBE))["$defs"] == TILL["$defs"]


async def test_limit_of_definitions_is_that_of_each_session() -> None:
    app = trusting_app(limits=Limits(definition_bytes=2000))
    large = {"description": "d" * 1500}
    async with clients(app, "ann", "eve") as both:
        for client, uri in zip(both, ("com.one", "com.two"), strict=True):
            await client.register(uri)
            await client.call(DEFINE, uri, large)
        assert len((await both[0].call(DESCRIBE))["procedures"]) == 2


async def test_description_for_a_session_has_procedures_of_both_workers(pool: WorkerPool) -> None:
    app = trusting_app()
    async with clients(app, "ann", "eve") as both:
        await both[0].register("com.anns")
        await both[1].register("com.eves")
        for worker, client in zip(pool.workers_of(app), both, strict=True):
            realm = worker.default_realm
            found = await realm.describe_for(realm.sessions[client.id])
            assert {entry.uri for entry in found.procedures} == {"com.anns", "com.eves"}


async def test_description_waits_for_the_other_worker_while_the_session_goes_on() -> None:
    app = trusting_app()
    app.procedure("com.get")(handle)
    async with clients(app, "ann", "eve") as [ann, _]:
        await ann.send(CALL, 1, {}, DESCRIBE)
        await ann.send(CALL, 2, {}, "com.get", [1])
        answers = [await ann.expect(RESULT) for _ in range(2)]
        assert {answer[1] for answer in answers} == {1, 2}


async def test_metrics_are_those_of_both_workers(pool: WorkerPool) -> None:
    app = trusting_app()
    app.procedure("com.get")(handle)
    async with clients(app, "ann", "eve", "bob") as [ann, eve, _]:
        await ann.call("com.get", 1)
        await eve.call("com.get", 2)
        await eve.call("com.get", 3)
        found = await ann.call("wamp.metrics.get")
        assert found["realm"]["sessions"] == 3
        assert (found["sessions"]["open"], found["calls"]["results"]) == (2, 1)
        [other] = found["workers"].values()
        assert (other["sessions"]["open"], other["calls"]["results"]) == (1, 2)
        assert other.keys() == found.keys() - {"workers"}


async def test_metrics_of_a_worker_that_is_alone_again(pool: WorkerPool) -> None:
    app = trusting_app()
    async with clients(app, "ann", "eve") as [ann, eve]:
        await pool.stop(pool.workers_of(app)[1])
        await eve.closed()
        found = await ann.call("wamp.metrics.get")
        assert found["workers"] == {}
        assert found["realm"]["workers"] == 1
