"""The content and the rate limit of log records."""

from __future__ import annotations

import logging
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.specification import ABORT, CALL, SUBSCRIBE
from tests.wamp_client import connect
from tests.websocket import open_websocket
from wampasgi import Application, Limits
from wampasgi.logs import (
    INTERVAL,
    LINES_OF_ADDRESS,
    LINES_OF_ALL,
    LINES_OF_ONE,
    LINES_OF_REALM,
    FloodFilter,
    escaped,
    fields,
    shown,
)

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


class Log(logging.Handler):
    """A logger with a filter and a clock, and the records that pass."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.records: list[logging.LogRecord] = []
        self._logger = logging.getLogger("tests.flood")
        self._logger.propagate = False
        self._logger.setLevel(logging.INFO)
        self._logger.filters = [FloodFilter(self.clock)]
        self._logger.handlers = [self]

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def write(
        self,
        text: str,
        *args: Any,
        session: int | None = 1,
        realm: str | None = "r",
        client: str | None = None,
        level: int = logging.WARNING,
    ) -> list[str]:
        """Write a line, and return the lines that appear."""
        before = len(self.records)
        self._logger.log(level, text, *args, extra=fields(session, realm, client=client))
        return [record.getMessage() for record in self.records[before:]]

    def flood(self, count: int, text: str = "wrong", **options: Any) -> int:
        """Write lines from different sessions, and return the number of those that appear."""
        return sum(
            len(self.write(text, session=session, **options)) for session in range(10_000, 10_000 + count)
        )


def test_lines_of_one_session_are_limited() -> None:
    log = Log()

    lines = [log.write("%s is wrong", number) for number in range(LINES_OF_ONE + 5)]

    assert lines == [[f"{number} is wrong"] for number in range(LINES_OF_ONE)] + [[]] * 5
    log.clock.now = INTERVAL - 0.1
    assert log.write("%s is wrong", 1) == []
    assert log.write("%s is wrong", 1, session=2) == ["1 is wrong"]


def test_number_of_dropped_lines_is_reported_in_a_line_of_its_own() -> None:
    log = Log()
    for number in range(LINES_OF_ONE + 5):
        log.write("%s is wrong", number)

    log.clock.now = INTERVAL
    lines = log.write("%s is good", 1)

    assert lines == ["5 similar lines were dropped, on realm 'r': '%s is wrong'", "1 is good"]
    report, line = log.records[-2:]
    assert line.msg == "%s is good"
    assert report.levelno == logging.WARNING
    expected = {**fields(None, "r"), "wamp_dropped": 5}
    assert {name: report.__dict__[name] for name in expected} == expected
    assert log.write("%s is good", 2) == ["2 is good"]


def test_dropped_lines_are_reported_by_the_next_line_of_any_level() -> None:
    log = Log()
    log.flood(LINES_OF_REALM + 50)

    log.clock.now = INTERVAL

    assert log.write("joined", level=logging.INFO) == [
        "50 similar lines were dropped, on realm 'r': 'wrong'",
        "joined",
    ]


def test_flood_on_one_realm_does_not_hide_the_lines_of_another() -> None:
    log = Log()

    assert log.flood(6000, realm="attacked") == LINES_OF_REALM
    assert log.write("wrong", realm="other") == ["wrong"]
    log.clock.now = INTERVAL
    assert log.write("good", realm="other") == [
        f"{6000 - LINES_OF_REALM} similar lines were dropped, on realm 'attacked': 'wrong'",
        "good",
    ]


def test_flood_from_one_address_does_not_hide_other_clients_of_the_realm() -> None:
    log = Log()

    assert log.flood(6000, client="192.0.2.1") == LINES_OF_ADDRESS
    assert log.write("wrong", client="192.0.2.2") == ["wrong"]


def test_addresses_of_one_ipv6_network_count_as_one() -> None:
    log = Log()

    for number in range(LINES_OF_ADDRESS):
        assert log.write("wrong", session=number, client=f"2001:db8::{number:x}")
    assert log.write("wrong", session=99, client="2001:db8::ffff") == []
    assert log.write("wrong", session=99, client="2001:db8:0:1::1") == ["wrong"]


def test_address_that_invents_realms_does_not_hide_others() -> None:
    log = Log()

    lines = [log.write("wrong", session=n, realm=f"invented{n}", client="192.0.2.1") for n in range(6000)]

    assert sum(map(len, lines)) == LINES_OF_REALM
    assert log.write("wrong", realm="invented1", client="192.0.2.2") == ["wrong"]
    log.clock.now = INTERVAL
    reported = log.write("good")[:-1]
    assert len(reported) < 20
    assert sum(int(line.split()[0]) for line in reported) == 6000 - LINES_OF_REALM


def test_lines_of_all_clients_together_are_limited() -> None:
    log = Log()

    lines = [
        log.write("wrong", session=n, realm=f"r{n % 100}", client=f"192.0.2.{n % 250}") for n in range(6000)
    ]

    assert sum(map(len, lines)) == LINES_OF_ALL


def test_lines_without_a_session_are_limited_by_address_and_realm() -> None:
    log = Log()

    for number in range(20):
        lines = [log.write("wrong", session=None, client=f"192.0.2.{number}") for _ in range(100)]
        assert sum(map(len, lines)) == (LINES_OF_ADDRESS if number < 5 else 0)
    assert log.write("wrong", session=None, realm=None, client="192.0.2.1") == ["wrong"]


def test_lines_without_session_and_address_are_limited() -> None:
    log = Log()

    lines = [log.write("wrong", session=None, realm=None) for _ in range(6000)]

    assert sum(map(len, lines)) == LINES_OF_ADDRESS


def test_kinds_of_lines_have_separate_limits() -> None:
    log = Log()

    for _ in range(LINES_OF_ONE + 1):
        log.write("wrong")
    assert log.write("also wrong") == ["also wrong"]


def test_memory_for_different_texts_is_bounded() -> None:
    log = Log()

    for number in range(2000):
        for _ in range(LINES_OF_ONE):
            assert log.write(f"wrong {number}") == [f"wrong {number}"]
        assert log.write(f"wrong {number}") == []
    # The count of the first kind was discarded.
    assert log.write("wrong 0") == ["wrong 0"]


def test_memory_for_different_clients_is_bounded() -> None:
    filter_ = FloodFilter(lambda: 0.0)

    def record(number: int) -> logging.LogRecord:
        made = logging.LogRecord("wampasgi", logging.WARNING, __file__, 1, "wrong", (), None)
        made.__dict__.update(fields(number, f"r{number}", client=f"192.0.2.{number}"))
        return made

    tracemalloc.start()
    try:
        for number in range(50_000):
            filter_.filter(record(number))
        size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert size < 500_000


def test_lines_below_warning_are_not_limited() -> None:
    log = Log()

    assert all(log.write("joined", level=logging.INFO) for _ in range(LINES_OF_ONE + 1))


def test_message_of_a_record_is_left_alone() -> None:
    log = Log()

    for _ in range(3):
        for _ in range(LINES_OF_ONE + 1):
            log.write("%s is wrong", "x")
        log.clock.now += INTERVAL

    texts = {
        (record.msg, record.args is None) for record in log.records if "wamp_dropped" not in record.__dict__
    }
    assert texts == {("%s is wrong", False)}


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
    wanted = {
        "wamp_session": session_id,
        "wamp_realm": "com.realm",
        "wamp_uri": "com.app.fail",
        "wamp_client": "192.0.2.1",
    }
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
        wanted = {"wamp_session": session_id, "wamp_realm": "com.realm", "wamp_client": "192.0.2.1"}
        assert wanted.items() <= record.__dict__.items()


@pytest.mark.anyio
async def test_lines_about_clients_without_a_session_name_their_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application(limits=Limits(sessions_per_address=1, handshake_timeout=0.05))
    async with connect(app, client=("2001:db8::7", 1)) as first:
        await first.join("com.realm")
        for frame in '[1, "com.realm", {"roles": {"caller": {}}}]', "[48]":
            async with connect(app, client=("2001:db8::8", 1)) as websocket:
                await websocket.send_frame(frame)
                await websocket.expect(ABORT)
        async with connect(app, client=("2001:db8::8", 1)) as silent:
            await silent.expect(ABORT)
        async with open_websocket(app, client=("2001:db8::8", 1), subprotocols=["other"]) as websocket:
            await websocket.receive_event()

    assert len(caplog.records) == 4
    for record in caplog.records:
        assert " 2001:db8::8 " in record.getMessage()
        assert record.__dict__["wamp_client"] == "2001:db8::8"


@pytest.mark.anyio
async def test_client_data_cannot_forge_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    async with connect(Application()) as websocket:
        await websocket.send_frame('[48, 1, {}, "x\\nERROR forged"]')
        await websocket.receive()

    assert caplog.records
    assert all("\n" not in record.getMessage() for record in caplog.records)
