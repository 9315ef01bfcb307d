"""The differences between the picows transport and uvicorn's own WebSocket.

Each row has the value that a test expects with uvicorn's own WebSocket (``--ws websockets-sansio``) and the
value with the picows transport. A test that uses a row fails if either transport behaves in another way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from uvicorn.protocols.utils import ClientDisconnected

T = TypeVar("T")


@dataclass(frozen=True)
class Difference(Generic[T]):
    """One difference: a value for each transport, and the reason."""

    uvicorn: T
    picows: T
    reason: str

    def __post_init__(self) -> None:
        assert self.uvicorn != self.picows, self

    def on(self, kind: str) -> T:
        """Return the expected value for a kind of server."""
        return self.uvicorn if kind == "uvicorn" else self.picows


CODE_OF_A_LOST_CONNECTION = Difference(
    uvicorn=1005,
    picows=1006,
    reason=(
        "RFC 6455, 7.1.5: 1006 if the connection was lost without a close frame, "
        "and 1005 only if the close frame had no code."
    ),
)

EXTENSION_IF_THE_CLIENT_OFFERS_COMPRESSION = Difference(
    uvicorn="permessage-deflate",
    picows="",
    reason="picows doesn't compress. Servers may decline each extension: RFC 6455, 9.1.",
)

STATUS_OF_AN_INCOMPLETE_DENIAL_RESPONSE = Difference[int | None](
    uvicorn=None,
    picows=500,
    reason=(
        "Both send a response when its body is complete. If the application ends before that, uvicorn's own "
        "closes the connection without a response."
    ),
)

STATUS_IF_THE_MESSAGE_HAS_NO_BODY = Difference[int | None](
    uvicorn=None,
    picows=401,
    reason=(
        "The field `body` of websocket.http.response.body is optional, as in http.response.body. "
        "uvicorn's own raises KeyError."
    ),
)

EXCEPTION_FOR_A_SECOND_BODY = Difference[type[Exception]](
    uvicorn=AssertionError,
    picows=RuntimeError,
    reason="The response is already complete. uvicorn's own raises an assertion of the `websockets` library.",
)

END_IF_THE_APPLICATION_RAISES = Difference[tuple[int, str]](
    uvicorn=(1006, ""),
    picows=(1011, ""),
    reason=(
        "RFC 6455, 7.4.1: 1011 if an unexpected condition prevents the server from fulfilling the request. "
        "uvicorn's own closes the connection without a close frame."
    ),
)

END_IF_THE_APPLICATION_RETURNS = Difference[tuple[int, str]](
    uvicorn=(1006, ""),
    picows=(1000, ""),
    reason="uvicorn's own closes the connection without a close frame.",
)

STATUS_IF_THE_APPLICATION_DENIES_WITH_101 = Difference(
    uvicorn=101,
    picows=500,
    reason=(
        "A client would take it for an accepted connection. The picows transport raises RuntimeError for a "
        "status below 200, uvicorn's own only below 100."
    ),
)

MESSAGE_WITHOUT_DATA_RAISES = Difference(
    uvicorn=False,
    picows=True,
    reason="One of `text` and `bytes` must be set. uvicorn's own ignores a websocket.send without both.",
)

HEADER_OVER_8_KIB_IS_TAKEN = Difference(
    uvicorn=False,
    picows=True,
    reason=(
        "uvicorn's HTTP protocols have parsed it, up to 64 KiB. uvicorn's own WebSocket parses it again with "
        "`websockets`, which takes at most 8 KiB a line; that error is lost and the client gets no answer."
    ),
)

ADDITIONAL_EXTENSIONS = Difference[list[str]](
    uvicorn=[],
    picows=["wampasgi.frames"],
    reason="Sessions of wampasgi use it to exchange frames with the transport; other applications ignore it.",
)

HEADER_NAME_WITH_A_LINE_BREAK_RAISES = Difference(
    uvicorn=False,
    picows=True,
    reason=(
        "It would add a header, or a body, to the response. uvicorn's own checks the values of the headers, "
        "but not their names."
    ),
)

MAX_QUEUE_IS_USED = Difference(
    uvicorn=False,
    picows=True,
    reason="`--ws-max-queue` has no effect on `websockets-sansio`, which keeps the messages of one read.",
)

DISCONNECT_AFTER_A_PING_TIMEOUT = Difference[tuple[int, str]](
    uvicorn=(1005, ""),
    picows=(1011, "keepalive ping timeout"),
    reason="The application gets the code that the client gets. uvicorn's own reports no code.",
)

EXCEPTION_IF_THE_CLIENT_NEITHER_ANSWERS_NOR_READS = Difference[type[Exception]](
    uvicorn=TimeoutError,
    picows=ClientDisconnected,
    reason=(
        "After a ping timeout, uvicorn's own waits until the client has read everything, which is never. The "
        "picows transport aborts the connection after `close_timeout`, so that `send` raises."
    ),
)

CLIENT_OF_A_BUSY_APPLICATION_STAYS = Difference(
    uvicorn=False,
    picows=True,
    reason=(
        "While messages wait for the application, no pong is read. uvicorn's own drops a client that has "
        "answered each ping."
    ),
)

SHUTDOWN_ENDS_IF_A_CLIENT_DOES_NOT_READ = Difference(
    uvicorn=False,
    picows=True,
    reason=(
        "uvicorn's own waits until the client has read everything, without a limit if there is no "
        "`--timeout-graceful-shutdown`. The picows transport aborts the connection after `close_timeout`."
    ),
)

STATUS_AT_SHUTDOWN = Difference(
    uvicorn=500,
    picows=503,
    reason="RFC 9110, 15.6.4: 503 if the server is temporarily unable to handle the request.",
)

CODE_AT_SHUTDOWN_BEFORE_ACCEPT = Difference(
    uvicorn=1006,
    picows=1012,
    reason="The application gets 1012, as it does after it has accepted the connection.",
)

SERVER_GOES_ON_IF_AN_APPLICATION_SENDS_TO_A_LOST_CLIENT = Difference(
    uvicorn=False,
    picows=True,
    reason=(
        "An application may send in a loop without any other `await`. After the client is lost, `send` of "
        "uvicorn's own neither waits nor raises, which blocks the event loop forever."
    ),
)
