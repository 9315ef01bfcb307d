"""The differences between the picows transport and uvicorn's own WebSocket in the tests of RFC 6455.

Each reason begins with a section of RFC 6455, or with ASGI. Those that other tests use as well are in
`differences`.
"""

from __future__ import annotations

from tests.transports.differences import Difference

UNSUPPORTED_VERSION = Difference(
    uvicorn=(400, None),
    picows=(426, "13"),
    reason="4.4: a server that does not support the version must name the versions that it supports.",
)
WITHOUT_HOST = Difference(
    uvicorn=101,
    picows=400,
    reason="4.2.1: a handshake without the Host header must be refused; uvicorn accepts it.",
)
LONG_ENCODING_OF_LENGTH = Difference(
    uvicorn="understood",
    picows="1002",
    reason='5.2: "the minimal number of bytes MUST be used"; uvicorn accepts longer encodings.',
)
TOP_BIT_OF_LENGTH = Difference(
    uvicorn=1009,
    picows=1002,
    reason="5.2: the top bit of a 64-bit length must be 0; uvicorn takes it for a huge length.",
)
CLOSE_INSIDE_MESSAGE = Difference(
    uvicorn=1002,
    picows=1000,
    reason="5.4: control frames may come between fragments; uvicorn requires the end of the message before.",
)
MESSAGES_BEFORE_VIOLATION = Difference[list[str | bytes]](
    uvicorn=[],
    picows=["a", b"b"],
    reason="7.1.7: only data after the violation is ignored; uvicorn loses messages of the same packet.",
)
LONG_REASON = Difference(
    uvicorn=None,
    picows=(4000, "x" * 121),
    reason="5.5: a reason has at most 123 bytes; uvicorn raises an error and closes without a close frame.",
)
CODE_OF_PING_INSIDE_LONG_MESSAGE = Difference(
    uvicorn=1009,
    picows=None,
    reason="5.4: control frames are no part of the message around; uvicorn counts them for its maximum size.",
)
ERROR_OF_SEND_AFTER_VIOLATION = Difference(
    uvicorn="RuntimeError",
    picows="OSError",
    reason="ASGI: send raises OSError if the client is gone; uvicorn blames the application in its log.",
)
LOGGED_ERRORS = Difference[set[str]](
    uvicorn={"UnicodeDecodeError", "RuntimeError"},
    picows=set(),
    reason="10.7: only that client is wrong; uvicorn logs a traceback for invalid text, and the error above.",
)
DROPPED_WITHOUT_READING = Difference(
    uvicorn=False,
    picows=True,
    reason="10.4: a client that never reads is dropped after the timeout; uvicorn waits until it reads.",
)
PONGS_ARE_LIMITED = Difference(
    uvicorn=False,
    picows=True,
    reason="5.5.3: only the last ping needs a pong; uvicorn buffers a pong for each, without limit.",
)
