"""Connections to `echo_app`, and the records of what the application has received on them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from itertools import count
from typing import Any

from tests.clients.server_process import ServerProcess
from tests.transports.raw_websocket import CLOSE, TIMEOUT, RawWebSocket, Response, handshake

APP = "tests.transports.echo_app:app"

_names = count()


class EchoServer:
    """A server process that serves `echo_app`."""

    def __init__(self, kind: str, process: ServerProcess) -> None:
        self.kind = kind
        self.process = process

    @property
    def log(self) -> str:
        """The output of the server."""
        return self.process.log

    def connect(self, behaviour: str = "echo", query: str = "", **buffers: int) -> EchoConnection:
        """Open a TCP connection, whose WebSocket will get a behaviour of the application."""
        return EchoConnection(self, behaviour, query, **buffers)

    def open(
        self,
        behaviour: str = "echo",
        query: str = "",
        headers: Mapping[str, str | None] | None = None,
        **buffers: int,
    ) -> EchoConnection:
        """Open a WebSocket."""
        connection = self.connect(behaviour, query, **buffers)
        response = connection.shake_hands(headers)
        assert response.status == 101, response
        return connection

    def request(self, method: str, target: str) -> dict[str, Any]:
        """Send an HTTP request and return the record in its response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=TIMEOUT)
        try:
            connection.request(method, target)
            record: dict[str, Any] = json.load(connection.getresponse())
        finally:
            connection.close()
        return record


class EchoConnection(RawWebSocket):
    """A connection with a name of its own, by which the application knows it."""

    def __init__(self, server: EchoServer, behaviour: str, query: str, **options: Any) -> None:
        super().__init__(server.process.port, **options)
        self._server = server
        self._name = f"connection-{next(_names)}"
        self.target = f"/{behaviour}/{self._name}?{query}"

    def handshake(self, headers: Mapping[str, str | None] | None = None) -> bytes:
        """Build the request of its opening handshake."""
        return handshake(self.target, headers)

    def shake_hands(self, headers: Mapping[str, str | None] | None = None) -> Response:
        """Send the opening handshake and return the response."""
        self.send(self.handshake(headers))
        return self.read_response()

    def note(self, flag: str) -> None:
        """Set a flag of the application."""
        self._server.request("POST", f"/note/{self._name}?{flag}")

    def record(self, flag: str = "ended") -> dict[str, Any]:
        """Return the record after the application has set a flag; it sets "ended" when it returns."""
        record = self._server.request("GET", f"/record/{self._name}?{flag}")
        assert flag in record["notes"], record
        return record

    def record_now(self) -> dict[str, Any]:
        """Return the record as it is."""
        return self._server.request("GET", f"/record/{self._name}")

    def messages(self) -> list[str | bytes]:
        """Return the messages that the application has received until the end of the connection."""
        return [
            event["text"] if event.get("text") is not None else bytes.fromhex(event["bytes"])
            for event in self.record()["events"]
            if event["type"] == "websocket.receive"
        ]

    def disconnected(self) -> tuple[int, str]:
        """Wait until the application has ended; return the code and reason of its disconnect event."""
        event = self.record()["events"][-1]
        assert event["type"] == "websocket.disconnect", event
        return event["code"], event.get("reason") or ""

    def read_close(self) -> tuple[int, str]:
        """Read a close frame and return its code and reason. Without a code, it is 1005."""
        received = self.read_frame()
        assert (received.opcode, received.fin) == (CLOSE, True), received
        if not received.payload:
            return 1005, ""
        return int.from_bytes(received.payload[:2]), received.payload[2:].decode()

    def read_close_or_end(self) -> tuple[int, str] | None:
        """Read a close frame like `read_close`, or return None if the connection ends instead."""
        try:
            return self.read_close()
        except EOFError:
            return None

    def assert_failed(self, code: int) -> None:
        """Check that the server fails the connection with a close code, which the application gets, too.

        Section 7.1.7: it sends a close frame and closes the TCP connection without waiting for an answer.
        """
        sent = self.read_close()
        assert sent[0] == code, sent
        assert self.read_to_end() == b""
        assert self.disconnected() == sent
