"""The content and the rate limit of log records."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.specification import CALL, SUBSCRIBE
from tests.wamp_client import connect
from wampasgi import Application, Limits
from wampasgi.logs import INTERVAL, LINES_OF_ALL, LINES_OF_ONE, FloodFilter, escaped, fields, shown

# Quoting


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "None"),
        ("com.app", "'com.app'"),
        ("a\nERROR forged", r"'a\nERROR forged'"),
        ("x" * 61, f"'{'x' * 60}'... (truncated)"),
    ],
)
def test_name_is_quoted_escaped_and_truncated(text: str | None, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("it is 'wrong'", "it is 'wrong'"),
        ("a\r\nb\x1b[31m\u2028", r"a\r\nb\x1b[31m" + r"\u2028"),
        ("é" * 501, "é" * 500 + "... (truncated)"),
    ],
)
def test_sentence_is_escaped_to_one_line_and_truncated(text: str, expected: str) -> None:
    assert escaped(text) == expected


# The filter


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Log:
    """A logger with a filter and a clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.filter = FloodFilter(self.clock)

    def write(self, text: str, *args: Any, session: int = 1, level: int = logging.WARNING) -> str | None:
        record = logging.LogRecord("wampasgi.session", level, __file__, 1, text, args, None)
        record.__dict__.update(fields(session, "r"))
        return record.getMessage() if self.filter.filter(record) else None


def test_lines_of_one_session_are_limited_and_the_next_line_reports_the_dropped_ones() -> None:
    log = Log()

    lines = [log.write("%s is wrong", number) for number in range(LINES_OF_ONE + 5)]
    assert lines == [f"{number} is wrong" for number in range(LINES_OF_ONE)] + [None] * 5
    log.clock.now = INTERVAL - 0.1
    assert log.write("%s is wrong", 1) is None
    log.clock.now = INTERVAL
    assert log.write("%s is wrong", 2) == "2 is wrong (6 similar lines were dropped before this one)"
    assert log.write("%s is wrong", 3) == "3 is wrong"


def test_sessions_have_separate_limits_below_a_total_limit() -> None:
    log = Log()

    for _ in range(LINES_OF_ONE + 1):
        log.write("wrong", session=1)
    assert log.write("wrong", session=2) == "wrong (1 similar lines were dropped before this one)"
    written = [log.write("wrong", session=session) for session in range(3, 1000)]
    assert sum(line is not None for line in written) == LINES_OF_ALL - LINES_OF_ONE - 1


def test_kinds_of_lines_have_separate_limits() -> None:
    log = Log()

    for _ in range(LINES_OF_ONE + 1):
        log.write("wrong")
    assert log.write("also wrong") == "also wrong"


def test_memory_for_different_texts_is_bounded() -> None:
    log = Log()

    for number in range(2000):
        for _ in range(LINES_OF_ONE):
            assert log.write(f"wrong {number}") is not None
        assert log.write(f"wrong {number}") is None
    # The count of the first kind was discarded.
    assert log.write("wrong 0") == "wrong 0"


def test_lines_below_warning_are_not_limited() -> None:
    log = Log()

    assert all(log.write("joined", level=logging.INFO) for _ in range(LINES_OF_ONE + 1))


# Sessions


def record_of(caplog: pytest.LogCaptureFixture, text: str) -> logging.LogRecord:
    (record,) = [record for record in caplog.records if text in record.getMessage()]
    return record


@pytest.mark.anyio
async def test_failed_procedure_is_logged_with_session_realm_and_uri(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()

    @app.procedure("com.app.", match="prefix")
    async def fail() -> None:
        raise ValueError("why")

    async with connect(app) as websocket:
        session_id = (await websocket.join("com.realm"))[1]
        await websocket.ask(CALL, 1, {}, "com.app.fail")

    record = record_of(caplog, "failed")
    assert record.name == "wampasgi.router"
    assert f"<Session {session_id} on realm 'com.realm'" in record.getMessage()
    wanted = {"wamp_session": session_id, "wamp_realm": "com.realm", "wamp_uri": "com.app.fail"}
    assert wanted.items() <= record.__dict__.items()


@pytest.mark.anyio
async def test_client_cannot_flood_the_log_with_failing_calls(caplog: pytest.LogCaptureFixture) -> None:
    app = Application()

    @app.procedure("fail")
    async def fail() -> None:
        raise ValueError("why")

    async with connect(app) as websocket:
        await websocket.join()
        for request_id in range(1, 101):
            await websocket.ask(CALL, request_id, {}, "fail")

    assert len(caplog.records) == LINES_OF_ONE


@pytest.mark.anyio
async def test_event_that_cannot_be_serialized_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    app = Application()
    app.allow_all()

    async with connect(app) as one, connect(app) as other:
        for websocket in one, other:
            await websocket.join()
            await websocket.ask(SUBSCRIBE, 1, {}, "news")
        await app.publish("news", "\0 is how JSON marks bytes")
        await app.publish("news", "plain")
        for websocket in one, other:
            assert (await websocket.receive())[4] == ["plain"]

    assert "EVENT" in record_of(caplog, "cannot be serialized").getMessage()


@pytest.mark.anyio
async def test_lines_about_lifespan_handlers_and_slow_readers_name_the_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application(limits=Limits(outbound_messages=5, close_timeout=0.05))
    app.allow("news", "subscribe")

    async def lifespan() -> AsyncIterator[None]:
        yield
        raise ValueError("at the end")

    app.add_session_lifespan_handler(lifespan)
    async with connect(app, buffer_size=1) as websocket:
        session_id = (await websocket.join("com.realm"))[1]
        await websocket.ask(SUBSCRIBE, 1, {}, "news")
        for _ in range(20):
            await app.publish("news")
        await websocket.wait_served()

    for text in "failed after its yield", "reads too slowly":
        record = record_of(caplog, text)
        assert str(session_id) in record.getMessage()
        wanted = {"wamp_session": session_id, "wamp_realm": "com.realm"}
        assert wanted.items() <= record.__dict__.items()


@pytest.mark.anyio
async def test_client_data_cannot_forge_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    async with connect(Application()) as websocket:
        await websocket.send_frame('[48, 1, {}, "x\\nERROR forged"]')
        await websocket.receive()

    assert caplog.records
    assert all("\n" not in record.getMessage() for record in caplog.records)
