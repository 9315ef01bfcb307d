from __future__ import annotations

import logging
from typing import Any

import pytest
from starlette.middleware import Middleware

from tests.specification import CALL, ERROR, EVENT, REGISTER, RESULT
from tests.wamp_client import connect, trusting_app
from tests.websocket import PassesOn
from wampasgi import Application, Realm, RPCProgressReport, Session

pytestmark = pytest.mark.anyio

#: A value that no serializer carries.
UNSERIALIZABLE = object()


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str | None]]:
    """Return the message names and URIs of the errors that were logged."""
    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    for record in records:
        assert str(record.__dict__["wamp_uri"]) in record.getMessage()
    return [(record.getMessage().split()[0], record.__dict__["wamp_uri"]) for record in records]


async def test_log_names_the_procedure_whose_result_cannot_be_serialized(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()

    @app.procedure("com.app.get")
    async def get() -> Any:
        return UNSERIALIZABLE

    @app.procedure("com.app.report")
    async def report() -> Any:
        yield RPCProgressReport((UNSERIALIZABLE,))
        yield 1

    async with connect(app) as client:
        await client.join()
        answer = await client.ask(CALL, 1, {}, "com.app.get")
        assert await client.ask(CALL, 2, {"receive_progress": True}, "com.app.report") == [RESULT, 2, {}, [1]]

    assert answer == [ERROR, CALL, 1, {}, "wamp.error.runtime_error"]
    assert logged(caplog) == [("RESULT", "com.app.get"), ("RESULT", "com.app.report")]


@pytest.mark.parametrize(("topic", "options"), [("com.app.t", {}), ("com.app.", {"match": "prefix"})])
async def test_log_names_the_topic_whose_event_cannot_be_serialized(
    topic: str, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    app = trusting_app()

    async with connect(app) as client:
        await client.join()
        await client.subscribe(topic, **options)
        await app.publish("com.app.t", UNSERIALIZABLE)
        await app.publish("com.app.t", "next")
        assert (await client.expect(EVENT))[4] == ["next"]

    assert logged(caplog) == [("EVENT", "com.app.t")]


async def test_log_names_the_procedure_whose_call_cannot_be_serialized(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = trusting_app()

    async with connect(app) as client:
        await client.join()
        await client.ask(REGISTER, 1, {}, "com.client.take")
        with pytest.raises(Exception, match="cannot be sent to the callee"):
            await app.call("com.client.take", UNSERIALIZABLE)

    assert logged(caplog) == [("INVOCATION", "com.client.take")]


@pytest.mark.parametrize("middleware", [False, True])
async def test_send_event_of_a_value_that_cannot_be_serialized_sends_nothing(
    middleware: bool, caplog: pytest.LogCaptureFixture
) -> None:
    realm = Realm("r", middleware=[Middleware(PassesOn)] if middleware else [])
    app, sent = Application([realm]), []

    @realm.topic("com.app.t")
    async def gatekeeper() -> None: ...

    @realm.procedure("com.app.send")
    async def send(session: Session) -> None:
        sent.append(await session.send_event("com.app.t", [UNSERIALIZABLE]))
        sent.append(await session.send_event("com.app.t", ["good"]))

    async with connect(app) as client:
        await client.join("r")
        await client.subscribe("com.app.t")
        await client.send(CALL, 5, {}, "com.app.send")
        assert (await client.expect(EVENT))[4] == ["good"]
        assert await client.receive() == [RESULT, 5, {}]

    # A middleware serializes later, so that nobody knows yet.
    assert sent == [middleware, True]
    assert logged(caplog) == [("EVENT", "com.app.t")]
