from __future__ import annotations

from typing import Any

import pytest

from wampasgi.errors import UnserializableValue
from wampasgi.peers.middleware_writer import MiddlewareWriter
from wampasgi.types import ASGIEvent, RawMessage

pytestmark = pytest.mark.anyio


class Middleware:
    """The ``send`` of a middleware, which raises the exception in ``errors`` for the code of a message."""

    def __init__(self, **errors: Exception) -> None:
        self.errors = {int(code.removeprefix("code_")): error for code, error in errors.items()}
        self.sent: list[RawMessage] = []
        #: The message that replaces one that cannot be serialized.
        self.replacement: RawMessage | None = None
        self.replaced: list[tuple[RawMessage, Exception]] = []
        self.failures: list[tuple[RawMessage, Exception]] = []
        self.writer = MiddlewareWriter(self.send, self._replace, self._on_failure)

    async def send(self, event: ASGIEvent) -> None:
        assert event["type"] == "wamp.message"
        message: RawMessage = event["message"]
        if message[0] in self.errors:
            raise self.errors[message[0]]
        self.sent.append(message)

    def _replace(self, raw: RawMessage, error: UnserializableValue) -> RawMessage | None:
        self.replaced.append((raw, error))
        return self.replacement

    def _on_failure(self, raw: RawMessage, error: Exception) -> None:
        self.failures.append((raw, error))


MESSAGES: list[Any] = [[36, "event"], [50, "result"], [8, "error"]]


async def test_messages_are_sent_in_order() -> None:
    middleware = Middleware()
    await middleware.writer.write_one([17, "published"], 0)
    await middleware.writer.write(MESSAGES, 0)

    assert middleware.sent == [[17, "published"], *MESSAGES]


async def test_message_that_cannot_be_serialized_is_replaced_in_its_place() -> None:
    error = UnserializableValue("no such value")
    middleware = Middleware(code_50=error)
    middleware.replacement = [8, "replacement"]
    await middleware.writer.write(MESSAGES, 0)

    assert middleware.sent == [[36, "event"], [8, "replacement"], [8, "error"]]
    assert middleware.replaced == [([50, "result"], error)]
    assert middleware.failures == []


async def test_message_that_needs_no_replacement_is_left_out() -> None:
    middleware = Middleware(code_36=UnserializableValue("no such value"))
    await middleware.writer.write(MESSAGES, 0)

    assert middleware.sent == MESSAGES[1:]
    assert middleware.failures == []


@pytest.mark.parametrize("error", [ZeroDivisionError("in send"), OSError("gone"), RuntimeError("closed")])
async def test_failure_is_reported_once_and_later_messages_are_not_sent(error: Exception) -> None:
    middleware = Middleware(code_50=error, code_8=error)
    await middleware.writer.write(MESSAGES, 0)

    assert middleware.sent == [[36, "event"]]
    assert middleware.failures == [([50, "result"], error)]
    assert middleware.replaced == []


async def test_failure_of_one_message_is_reported() -> None:
    error = ZeroDivisionError("in send")
    middleware = Middleware(code_50=error)
    await middleware.writer.write_one([50, "result"], 0)

    assert middleware.failures == [([50, "result"], error)]


async def test_failure_to_send_a_replacement_is_reported() -> None:
    error = ZeroDivisionError("in send")
    middleware = Middleware(code_50=UnserializableValue("no such value"), code_8=error)
    middleware.replacement = [8, "replacement"]
    await middleware.writer.write(MESSAGES, 0)

    assert middleware.sent == [[36, "event"]]
    assert [failure for _, failure in middleware.failures] == [error]


async def test_cancellation_is_no_failure() -> None:
    class Cancelled(BaseException):
        pass

    class CancelledMiddleware(Middleware):
        async def send(self, event: ASGIEvent) -> None:
            raise Cancelled

    middleware = CancelledMiddleware()
    with pytest.raises(Cancelled):
        await middleware.writer.write(MESSAGES, 0)

    assert middleware.failures == []
