"""Messages and frames of hostile clients, and an app to attack, for tests and for `tests.fuzz`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
from hypothesis import strategies as st

from tests.specification import ABORT, CALL, ERROR, RESULT
from tests.wamp_client import WAMPClient, connect
from wampasgi import Application, Event, Limits, Realm, RPCProgressReport, RPCResult, Session
from wampasgi.errors import UnserializableValue
from wampasgi.protocol.parsing import parse
from wampasgi.serializers import SUBPROTOCOLS, Subprotocol
from wampasgi.types import RawMessage

#: The type codes of messages that a router sends: WELCOME, ABORT, CHALLENGE, GOODBYE, ERROR and so on.
FROM_ROUTER = {2, 3, 4, 6, 8, 17, 33, 35, 36, 50, 65, 67, 68, 69}
RUNTIME_ERROR = "wamp.error.runtime_error"
#: A request ID that no hostile message uses.
PROBE = 9999


def new_app() -> Application:
    """Return an app that permits everything to all clients. Its realm `tickets` requires a ticket."""
    app = Application(limits=Limits(close_timeout=0.05))
    app.allow_all()
    tickets = Realm("tickets")
    tickets.set_ticket_authenticator(lambda session, ticket: None)
    app.add_realm(tickets)
    app.keep_history("com.", match="prefix", limit=3)

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
    """Collects the errors that the framework logs."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # JSON does not support all values that another client may send in MessagePack.
        if "cannot be serialized" not in record.getMessage():
            self.texts.append(logging.Formatter().format(record))


@contextmanager
def no_errors_logged() -> Iterator[None]:
    """Fail if an error is logged, because clients must not be able to cause one."""
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
    """Send frames and then a call, and return the answers up to the call's result or the end of the session.

    Meanwhile a well-behaved session makes and receives calls. Fails if an answer is not allowed or if the
    hostile session leaves tasks, registrations or subscriptions behind.
    """
    tasks, subscriptions = len(anyio.get_running_tasks()), await app.call("wamp.subscription.list")
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
        assert await app.call("wamp.subscription.list") == subscriptions
        registered = await app.call("wamp.registration.list")
        assert registered["prefix"] == registered["wildcard"] == []
        for registration_id in registered["exact"]:
            details = await app.call("wamp.registration.get", registration_id)
            assert not details["uri"].startswith("com."), details
        assert len(anyio.get_running_tasks()) == tasks
    return answers


async def _answers(hostile: WAMPClient, subprotocol: str) -> list[RawMessage]:
    """Return the messages until the connection closes or the probe is answered. Checks every message."""
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
        assert not aborted, f"received {event} after ABORT"
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


async def _check_victim(victim: WAMPClient) -> None:
    """Check that each call of the victim has exactly one answer, now that the hostile callee is gone."""
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
            # Answers to calls that the victim itself handled arrive after the probe.
            await victim.send(CALL, PROBE, {}, "math.add", [2, 3])
        elif message[0] == ERROR:
            finals.append(message[2])
        elif message[0] == RESULT:
            if not message[2].get("progress"):
                finals.append(message[1])
        else:
            assert message[0] == 36, message
    assert sorted(finals) == [2, 3, 4]


URIS = st.sampled_from(
    [
        *("com.a", "com.a.b", "com.b", "com.", "com..b", "", ".", " ", "com.a#", "com.\u20ac", "com.a" * 50),
        *("news", "echo", "math.add", "count.down", "never", "wamp.", "wamp.session.on_join"),
        *("wamp.session.count", "wamp.session.kill", "wamp.session.get", "wamp.session.add_testament"),
        *("wamp.session.flush_testaments", "wamp.registration.list", "wamp.registration.remove_callee"),
        *("wamp.subscription.list_subscribers", "wamp.subscription.get_events"),
    ]
)
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
    | URIS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
IDS = st.integers(1, 6) | st.sampled_from([0, -1, 2**53, 2**53 + 1])
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "acknowledge": st.booleans(),
        "exclude_me": st.booleans(),
        "retain": st.booleans(),
        "get_retained": st.booleans(),
        "eligible": st.lists(IDS, max_size=2),
        "exclude_authrole": st.just(["anonymous"]),
        "disclose_me": st.booleans(),
        "match": st.sampled_from(["exact", "prefix", "wildcard", "regex"]),
        "invoke": st.sampled_from(["single", "first", "roundrobin", "random", "load"]),
        "concurrency": st.integers(0, 2),
        "timeout": st.sampled_from([0, 1, 10_000, 2**53, 2**63]),
        "receive_progress": st.booleans(),
        "progress": st.booleans(),
        "mode": st.sampled_from(["skip", "kill", "killnowait"]),
        "ppt_scheme": st.just("x_custom"),
        "roles": st.just({"caller": {"features": {"progressive_call_invocations": True}}, "callee": {}}),
        "authmethods": st.just(["ticket"]),
        "unheard_of": JUNK,
    },
)
ARGS = st.lists(JUNK, max_size=3)
KWARGS = st.dictionaries(st.text(max_size=5), JUNK, max_size=2)
PAYLOAD = st.sampled_from([[], [ARGS], [ARGS, KWARGS]])

#: Message type code to the elements after it.
FIELDS: dict[int, list[st.SearchStrategy[Any]]] = {
    1: [st.sampled_from(["default", "tickets"]), OPTIONS],
    2: [IDS, OPTIONS],
    3: [OPTIONS, URIS],
    4: [URIS, OPTIONS],
    5: [URIS, OPTIONS],
    6: [OPTIONS, URIS],
    8: [st.sampled_from([68, 48]), IDS, OPTIONS, URIS, ARGS],
    16: [IDS, OPTIONS, URIS, ARGS, KWARGS],
    17: [IDS, IDS],
    32: [IDS, OPTIONS, URIS],
    34: [IDS, IDS],
    48: [IDS, OPTIONS, URIS, ARGS, KWARGS],
    49: [IDS, OPTIONS],
    64: [IDS, OPTIONS, URIS],
    66: [IDS, IDS],
    68: [IDS, IDS, OPTIONS],
    70: [IDS, OPTIONS, ARGS, KWARGS],
}
#: Type codes of messages that do not end a session, weighted.
REQUESTS = [16, 32, 34, 48, 48, 49, 64, 64, 66, 70, 70, 8]


@st.composite
def messages(draw: st.DrawFn, codes: st.SearchStrategy[int]) -> list[Any]:
    """Generate a valid message, or one with an invalid, missing or extra element."""
    code = draw(codes)
    message = [code, *map(draw, FIELDS[code])]
    damage = draw(st.integers(0, 19))
    if damage == 0:
        message[draw(st.integers(0, len(message) - 1))] = draw(JUNK)
    elif damage == 1:
        message.pop()
    elif damage == 2:
        message.append(draw(JUNK))
    return message


OF_ANY_TYPE = messages(st.sampled_from(sorted(FIELDS)))
MESSAGES = st.lists(messages(st.sampled_from(REQUESTS)) | OF_ANY_TYPE, max_size=12)
NAMES = st.sampled_from(sorted(SUBPROTOCOLS))
FEATURES = {
    "progressive_call_invocations": True,
    "progressive_call_results": True,
    "call_canceling": True,
    "payload_passthru_mode": True,
}
HELLO = [1, "default", {"roles": {"caller": {"features": FEATURES}, "callee": {"features": FEATURES}}}]


def frames_of(subprotocol: Subprotocol, sent: list[Any]) -> list[str | bytes]:
    """Return the frames of messages, without messages that the format does not support."""
    frames = []
    for message in sent:
        try:
            frames.append(subprotocol.frame([subprotocol.serializer.encode(message)]))
        except UnserializableValue:
            continue
    return frames


@st.composite
def damaged_frames(draw: st.DrawFn, subprotocol: Subprotocol) -> str | bytes:
    """Generate the frame of a message with some bytes removed, added or changed."""
    frames = frames_of(subprotocol, [draw(OF_ANY_TYPE)]) or [""]
    data = bytearray(frames[0].encode() if isinstance(frames[0], str) else frames[0])
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data) if subprotocol.serializer.binary else data.decode(errors="replace")


def any_frames(subprotocol: Subprotocol) -> st.SearchStrategy[list[str | bytes]]:
    """Generate HELLO and then frames that are mostly not valid messages."""
    begun = frames_of(subprotocol, [HELLO])
    return st.lists(damaged_frames(subprotocol) | st.binary() | st.text(), max_size=3).map(begun.__add__)
