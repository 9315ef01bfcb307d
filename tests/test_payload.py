from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.specification import EVENT, INVOCATION, REGISTER, YIELD
from tests.wamp_client import connect, trusting_app
from wampasgi import Application, Payload, RPCResult
from wampasgi.payload import split_payload
from wampasgi.testing import TestClient

#: Keywords that are also parameters of ``call`` and ``publish``.
KEYWORDS: dict[str, Any] = {"procedure": "x", "topic": "y", "self": 1, "args": 2, "kwargs": 3}
OWN: dict[str, Any] = {"timeout": 4, "options": 5, "acknowledge": 6, "on_progress": 7}


def echo_app(**options: Any) -> Application:
    app = trusting_app(**options)

    @app.procedure("echo")
    async def echo(*args: Any, **kwargs: Any) -> RPCResult:
        return RPCResult(args, kwargs)

    return app


@pytest.mark.anyio
async def test_payload_may_have_the_names_of_the_parameters_that_name_procedure_and_topic() -> None:
    app = echo_app()

    async with app.events("t") as events:
        await app.publish("t", 1, **KEYWORDS)
        event = await anext(events)

    assert (event.args, event.kwargs) == ((1,), KEYWORDS)
    assert await app.call("echo", 1, **KEYWORDS) == RPCResult((1,), KEYWORDS)


@pytest.mark.anyio
async def test_payload_object_carries_keywords_that_are_parameters() -> None:
    app, payload = echo_app(), Payload([1], OWN)

    async with connect(app) as client, app.events("t") as events:
        await client.join()
        await client.subscribe("t")
        await app.publish("t", payload, options={"exclude": []})
        event = await anext(events)
        message = await client.expect(EVENT)

    assert (event.args, event.kwargs) == ((1,), OWN)
    assert message[4:] == [[1], OWN]
    assert await app.call("echo", payload, timeout=5) == RPCResult((1,), OWN)


@pytest.mark.anyio
async def test_payload_object_reaches_the_procedure_of_a_client() -> None:
    app = trusting_app()

    @app.procedure("ask")
    async def ask(session: Any) -> Any:
        return await session.call("mine", Payload([1], OWN), timeout=5)

    async with connect(app) as client:
        await client.join()
        await client.ask(REGISTER, 1, {}, "mine")
        await client.send(48, 2, {}, "ask")
        invocation = await client.expect(INVOCATION)
        await client.send(YIELD, invocation[1], {}, ["done"])
        assert await client.receive() == [50, 2, {}, ["done"]]

    assert invocation[4:] == [[1], OWN]


def test_test_client_takes_payload_objects() -> None:
    with TestClient(echo_app()) as client, client.wamp_session() as session:
        assert session.call("echo", Payload([1], OWN)) == RPCResult((1,), OWN)
        events = session.subscribe("t")
        session.publish("t", Payload([1], OWN), acknowledge=True, options={"exclude_me": False})
        assert events.next().kwargs == OWN


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        ([Payload(), 1], {}, "pass it alone"),
        ([1, Payload()], {}, "pass it alone"),
        ([Payload()], {"a": 1}, "pass it alone"),
        ([Payload("text")], {}, "must be a list"),
    ],
)
def test_payload_object_beside_other_arguments_is_refused(
    args: Sequence[Any], kwargs: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TypeError, match=reason):
        split_payload(args, kwargs)
