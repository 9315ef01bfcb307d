"""What hostile clients send, and an app that must survive it: for the tests and for `fuzz/`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio

from tests.websocket import WebSocket, connect
from wampasgi import Application, Event, Limits, Realm, RPCProgressReport, RPCResult, Session
from wampasgi.parsing import parse
from wampasgi.serializers import SUBPROTOCOLS
from wampasgi.types import RawMessage

#: What a router sends: WELCOME, ABORT, CHALLENGE, GOODBYE, ERROR, PUBLISHED and so on.
FROM_ROUTER = {2, 3, 4, 6, 8, 17, 33, 35, 36, 50, 65, 67, 68, 69}
ABORT, GOODBYE, ERROR, CALL, RESULT = 3, 6, 8, 48, 50
RUNTIME_ERROR = "wamp.error.runtime_error"
#: A request ID that no hostile message uses.
PROBE = 9999


def new_app() -> Application:
    """An app that lets everybody do everything; the realm `tickets` asks for one first."""
    app = Application(limits=Limits(close_timeout=0.05))
    app.allow_all()
    tickets = Realm("tickets")
    tickets.set_ticket_authenticator(lambda session, ticket: None)
    app.add_realm(tickets)

    @app.procedure("math.add")
    async def add(a: int, b: int = 0) -> int:
        return a + b

    @app.procedure("echo")
    async def echo(*args: Any, **kwargs: Any) -> RPCResult:
        return RPCResult(args, kwargs)

    @app.procedure("count.down")
    async def count_down() -> AsyncIterator[RPCProgressReport | RPCResult]:
        yield RPCProgressReport((2,))
        yield RPCProgressReport((1,))
        yield RPCResult((0,))

    @app.procedure("never")
    async def never() -> None:
        await anyio.sleep_forever()

    @app.topic("news")
    async def news(session: Session) -> AsyncIterator[None]:
        yield

    @app.subscriber("com.", match="prefix")
    async def on_event(event: Event, *args: Any, **kwargs: Any) -> None:
        await anyio.lowlevel.checkpoint()

    return app


class _Errors(logging.Handler):
    """Keeps what the framework logs as an error of its own or of the application's."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # What one client may send in MessagePack, another may have no way to read in JSON.
        if "cannot be serialized" not in record.getMessage():
            self.texts.append(logging.Formatter().format(record))


@contextmanager
def no_errors_logged() -> Iterator[None]:
    """Fail if anything is logged as an error: no client can bring that about."""
    log, errors = logging.getLogger("wampasgi"), _Errors()
    propagate = log.propagate
    log.addHandler(errors)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(errors)
        log.propagate = propagate
    assert not errors.texts, "\n".join(errors.texts)


async def attack(app: Application, subprotocol: str, frames: list[str | bytes]) -> list[RawMessage]:
    """Send frames and then a call, and return what was answered before the end or the call's result.

    Beside it a well-behaved session calls and is called. Fails if anything is answered that should not be,
    and if anything is left of the session.
    """
    tasks = len(anyio.get_running_tasks())
    with no_errors_logged():
        async with connect(app) as victim:
            await victim.join()
            await victim.ask(64, 1, {"invoke": "roundrobin"}, "com.a")
            async with connect(app, subprotocols=[subprotocol]) as hostile:
                for frame in frames[: len(frames) // 2]:
                    await hostile.send_frame(frame)
                for _ in frames:
                    await anyio.lowlevel.checkpoint()
                for request_id, procedure in enumerate(["com.a", "com.a.b", "com.b"], 2):
                    await victim.send(CALL, request_id, {}, procedure, [request_id])
                await victim.send(16, 5, {"exclude_me": False}, "com.a", ["event"])
                for frame in frames[len(frames) // 2 :]:
                    await hostile.send_frame(frame)
                answers = await _answers(hostile, subprotocol)
            await _check_victim(victim)
        assert not app.default_realm.sessions
        assert await app.call("wamp.subscription.list") == {"exact": [], "prefix": [], "wildcard": []}
        registered = await app.call("wamp.registration.list")
        assert registered["prefix"] == registered["wildcard"] == []
        for registration_id in registered["exact"]:
            details = await app.call("wamp.registration.get", registration_id)
            assert not details["uri"].startswith("com."), details
        assert len(anyio.get_running_tasks()) == tasks
    return answers


async def _answers(hostile: WebSocket, subprotocol: str) -> list[RawMessage]:
    """What comes until the connection is closed or the probe answered, every message a router's."""
    codec = SUBPROTOCOLS[subprotocol]
    probe = codec.frame([codec.serializer.encode([CALL, PROBE, {}, "math.add", [2, 3]])])
    await hostile.send_frame(probe)
    answers: list[RawMessage] = []
    aborted = False
    while True:
        event = await hostile.receive_event()
        if event["type"] == "websocket.close":
            return answers
        assert event["type"] == "websocket.send", event
        assert not aborted, f"after ABORT came {event}"
        for message in codec.messages(event.get("text") or event.get("bytes") or b""):
            assert isinstance(message, list)
            parse(message)
            assert message[0] in FROM_ROUTER, message
            assert RUNTIME_ERROR not in message, message
            aborted = aborted or message[0] == ABORT
            answers.append(message)
            if message[:2] == [RESULT, PROBE]:
                assert message[3] == [5]
                return answers


async def _check_victim(victim: WebSocket) -> None:
    """Each of its calls has got one answer, now that who may have been called has gone."""
    await victim.send(CALL, PROBE, {}, "math.add", [2, 3])
    finals: list[int] = []
    while True:
        message = await victim.receive()
        if message[0] == 68:
            await victim.send(70, message[1], {})
        elif message[0] == RESULT and message[1] == PROBE:
            assert message[3] == [5]
            if len(finals) == 3:
                break
            # What the victim answered itself comes after the probe.
            await victim.send(CALL, PROBE, {}, "math.add", [2, 3])
        elif message[0] == ERROR:
            finals.append(message[2])
        elif message[0] == RESULT:
            if not message[2].get("progress"):
                finals.append(message[1])
        else:
            assert message[0] == 36, message
    assert sorted(finals) == [2, 3, 4]
