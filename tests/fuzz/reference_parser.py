"""A slow parser of WebSocket frames, as close to the words of RFC 6455 as possible, for comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

#: ("message", data), ("ping", payload), ("pong", payload) or ("close", code, reason).
Event: TypeAlias = tuple[Any, ...]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
PROTOCOL_ERROR, NO_CODE, INVALID_TEXT, MESSAGE_TOO_BIG = 1002, 1005, 1007, 1009

#: The close codes of RFC 6455, section 7.4.1, and of the registry, that an endpoint may send.
_CODES: Final = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014)


@dataclass
class Parsed:
    """The parts of a stream that a server has to understand."""

    #: The messages and control frames before a violation, up to a close frame, or all.
    events: list[Event] = field(default_factory=list)
    #: The close codes for the violation after these events, if there is one. Each of them is right.
    codes: set[int] = field(default_factory=set)
    #: True if the frame with the violation is incomplete, so that it need not be reported yet.
    pending: bool = False

    @property
    def closed(self) -> bool:
        """True if the client has sent a close frame."""
        return bool(self.events) and self.events[-1][0] == "close"


@dataclass
class _Frame:
    """The header of a frame, as far as it has come; unknown parts are harmless."""

    fin: bool
    reserved_bits: int
    opcode: int
    masked: bool
    length: int
    #: True if the length has more bytes than necessary, or an invalid first bit.
    bad_length: bool
    key: bytes
    payload: bytes
    header_complete: bool
    complete: bool
    #: The position after it.
    end: int

    @classmethod
    def read(cls, stream: bytes, start: int) -> _Frame:
        """Read the frame at a position that is not the end of the stream."""
        first = stream[start]
        second = stream[start + 1] if start + 1 < len(stream) else 0x80
        masked, length, position = second >= 0x80, second % 0x80, start + 2
        extended = {126: 2, 127: 8}.get(length, 0)
        bad_length = False
        if extended:
            value = stream[position : position + extended]
            position += extended
            # Control frames have no extended length, so that they are too long even if it is incomplete.
            length = int.from_bytes(value) if len(value) == extended else 126
            minimum = 126 if extended == 2 else 2**16
            bad_length = len(value) == extended and (length < minimum or length >= 2**63)
        key = stream[position : position + 4] if masked else bytes(4)
        position += 4 if masked else 0
        masked_payload = stream[position : position + length]
        return cls(
            fin=first >= 0x80,
            reserved_bits=first // 0x10 % 8,
            opcode=first % 0x10,
            masked=masked,
            length=length,
            bad_length=bad_length,
            key=key,
            payload=bytes(byte ^ key[index % 4] for index, byte in enumerate(masked_payload))
            if len(key) == 4
            else b"",
            header_complete=position <= len(stream),
            complete=position <= len(stream) and position + length <= len(stream),
            end=position + length,
        )


def parse(stream: bytes, max_size: int) -> Parsed:
    """Parse all that a client has sent so far."""
    parsed = Parsed()
    message: bytes | None = None
    kind = CONTINUATION
    position = 0
    while position < len(stream):
        frame = _Frame.read(stream, position)
        before = 0 if message is None else len(message)
        parsed.codes = _violations_of_header(frame, message is not None, before, max_size)
        if not parsed.codes and not frame.complete:
            return parsed
        if parsed.codes:
            too_long = frame.header_complete and frame.length > max_size
            parsed.pending = not (frame.complete or too_long)
            if frame.opcode == CLOSE and frame.complete:
                parsed.codes |= _violations_of_close(frame.payload)
            return parsed
        position = frame.end
        if frame.opcode in (CLOSE, PING, PONG):
            parsed.codes = _handle_control_frame(frame, parsed.events)
            if parsed.codes or frame.opcode == CLOSE:
                return parsed
            continue
        if frame.opcode != CONTINUATION:
            message, kind = b"", frame.opcode
        assert message is not None
        message += frame.payload
        allowed = ("complete",) if frame.fin else ("complete", "incomplete")
        if kind == TEXT and text_state(message) not in allowed:
            parsed.codes = {INVALID_TEXT}
            return parsed
        if frame.fin:
            parsed.events.append(("message", message.decode() if kind == TEXT else message))
            message = None
    return parsed


def _violations_of_header(frame: _Frame, in_message: bool, before: int, max_size: int) -> set[int]:
    """Return the close codes for all that is wrong with a header."""
    control = frame.opcode >= 8
    wrong = (
        frame.reserved_bits != 0
        or frame.opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
        or not frame.masked
        or frame.bad_length
        or (control and (not frame.fin or frame.length > 125))
        or (frame.opcode == CONTINUATION and not in_message)
        or (frame.opcode in (TEXT, BINARY) and in_message)
    )
    codes = {PROTOCOL_ERROR} if wrong else set()
    if before * (not control) + frame.length > max_size:
        codes.add(MESSAGE_TOO_BIG)
    return codes


def _handle_control_frame(frame: _Frame, events: list[Event]) -> set[int]:
    """Add its event, or return the close codes for an invalid close frame."""
    payload = frame.payload
    if frame.opcode != CLOSE:
        events.append(("ping" if frame.opcode == PING else "pong", payload))
        return set()
    codes = _violations_of_close(payload)
    if not codes:
        code = int.from_bytes(payload[:2]) if payload else NO_CODE
        events.append(("close", code, payload[2:].decode()))
    return codes


def _violations_of_close(payload: bytes) -> set[int]:
    """Return the close codes for all that is wrong with the payload of a close frame."""
    if not payload:
        return set()
    code = int.from_bytes(payload[:2])
    codes = set()
    if len(payload) == 1 or not (code in _CODES or 3000 <= code <= 4999):
        codes.add(PROTOCOL_ERROR)
    if text_state(payload[2:]) != "complete":
        codes.add(INVALID_TEXT)
    return codes


def text_state(data: bytes) -> Literal["complete", "incomplete", "invalid"]:
    """Return whether bytes are UTF-8, its beginning, or neither: the grammar of RFC 3629, section 4."""
    position = 0
    while position < len(data):
        following = _following_bytes(data[position])
        if following is None:
            return "invalid"
        for allowed in following:
            position += 1
            if position == len(data):
                return "incomplete"
            if data[position] not in allowed:
                return "invalid"
        position += 1
    return "complete"


def _following_bytes(first: int) -> list[range] | None:
    """Return the values of the bytes that may follow the first byte of a character, or None if none may."""
    tail = range(0x80, 0xC0)
    if first < 0x80:
        return []
    if 0xC2 <= first < 0xE0:
        return [tail]
    if 0xE0 <= first < 0xF0:
        # Neither an overlong encoding nor a surrogate.
        return [{0xE0: range(0xA0, 0xC0), 0xED: range(0x80, 0xA0)}.get(first, tail), tail]
    if 0xF0 <= first < 0xF5:
        return [{0xF0: range(0x90, 0xC0), 0xF4: range(0x80, 0x90)}.get(first, tail), tail, tail]
    return None
