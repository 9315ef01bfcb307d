"""Messages that take as much CPU time as the limits allow, and an app that handles them in many ways."""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import ip_network
from itertools import count
from types import FrameType
from typing import Any, TypeAlias

import anyio
import cbor2
import ormsgpack
from pydantic import BaseModel, ConfigDict

from tests.specification import CALL, HELLO, PUBLISH, REGISTER, SUBSCRIBE
from tests.wamp_client import ALL_ROLES, WAMPClient, connect
from wampasgi import Application, Limits, RPCProgressReport, RPCResult

LIMITS = Limits()
assert LIMITS.containers is not None
assert LIMITS.values is not None
assert LIMITS.arguments is not None

ENCODERS: dict[str, Callable[[Any], str | bytes]] = {
    "wamp.2.json": lambda message: json.dumps(message, separators=(",", ":")),
    "wamp.2.msgpack": lambda message: ormsgpack.packb(message, option=ormsgpack.OPT_NON_STR_KEYS),
    "wamp.2.cbor": cbor2.dumps,
}


# Values


@dataclass
class Shape:
    """A value that is repeated until a message is full.

    ``most`` is the number of such values that a message may have, if that does not depend on the limits.
    ``formats`` are the subprotocols that have the value.
    """

    item: Any
    most: int = sys.maxsize
    formats: tuple[str, ...] = tuple(ENCODERS)

    def fill(self, subprotocol: str, *, room: int = 500) -> list[Any]:
        """Return as many values as the limits allow, apart from ``room`` bytes."""
        values, containers = _parts(self.item)
        size = (len(ENCODERS[subprotocol]([self.item] * 101)) - len(ENCODERS[subprotocol]([self.item]))) / 100
        assert LIMITS.values is not None
        assert LIMITS.containers is not None
        most = [
            self.most,
            (LIMITS.values - 50) // values,
            (LIMITS.containers - 20) // containers if containers else sys.maxsize,
            int((LIMITS.message_size - room) / size),
        ]
        return [self.item] * min(most)


def _parts(item: Any) -> tuple[int, int]:
    """Return the number of values and of containers in an item, including itself."""
    inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else None
    if inner is None:
        return 1, 0
    parts = [_parts(value) for value in inner]
    return 1 + sum(values for values, _ in parts), 1 + sum(containers for _, containers in parts)


_TIMESTAMP = ormsgpack.Fragment(b"\xd6\xff\x60\x00\x00\x00")
_BINARY = ("wamp.2.msgpack", "wamp.2.cbor")
SHAPES: dict[str, Shape] = {
    "numbers": Shape(0),
    "large numbers": Shape(2**63),
    "floats": Shape(1.5),
    "nulls": Shape(None),
    "texts": Shape("a"),
    "long texts": Shape("x" * 40),
    "escapes": Shape("\n"),
    "empty lists": Shape([]),
    "empty dicts": Shape({}),
    "points": Shape({"x": 1}),
    "pairs": Shape([1, 2]),
    "tables": Shape([{"id": 1, "name": "a", "price": 1.5}]),
    "deep lists": Shape([[[[[[]]]]]]),
    "binary in JSON": Shape("\0AA==", formats=("wamp.2.json",)),
    "NaN": Shape(float("nan"), formats=("wamp.2.json",)),
    "binaries": Shape(b"", formats=_BINARY),
    "extensions": Shape(ormsgpack.Ext(5, b""), 3990, ("wamp.2.msgpack",)),
    "timestamps": Shape(_TIMESTAMP, 3990, ("wamp.2.msgpack",)),
    "too many timestamps": Shape(_TIMESTAMP, 40_000, ("wamp.2.msgpack",)),
    "maps with numbers as keys": Shape({1: 1}, 2490, _BINARY),
    "too many maps with numbers as keys": Shape({1: 1}, 9900, _BINARY),
    "times": Shape(datetime(2026, 1, 2, tzinfo=UTC), 3990, ("wamp.2.cbor",)),
    "decimals": Shape(Decimal("1.5"), 3990, ("wamp.2.cbor",)),
    "too many decimals": Shape(Decimal("1.5"), 40_000, ("wamp.2.cbor",)),
    "networks": Shape(ip_network("2001:db8::/64"), 490, ("wamp.2.cbor",)),
    "large integers": Shape(2**70, 3990, ("wamp.2.cbor",)),
    "undefined": Shape(cbor2.undefined, formats=("wamp.2.cbor",)),
}


# What is done with them


class Model(BaseModel):
    items: list[int]


class Point(BaseModel):
    model_config = ConfigDict(extra="forbid")

    x: int = 0


def new_app() -> Application:
    """Return an app that permits everything, and whose procedures take and return all kinds of values."""
    app = Application()
    app.allow_all()
    app.keep_history("kept.", match="prefix", limit=3)

    @app.procedure("count")
    async def count_all(*args: Any, **kwargs: Any) -> int:
        return len(args) + len(kwargs)

    @app.procedure("count.numbers")
    async def count_numbers(*args: int, **kwargs: int) -> int:
        return len(args) + len(kwargs)

    @app.procedure("anything")
    async def anything(value: Any) -> None: ...

    @app.procedure("numbers")
    async def numbers(value: list[int]) -> list[int]:
        return value

    @app.procedure("values")
    async def values(value: list[Any]) -> list[Any]:
        return value

    @app.procedure("dict")
    async def dict_of_any(value: dict[str, Any]) -> None: ...

    @app.procedure("dict.numbers")
    async def dict_of_numbers(value: dict[str, int]) -> None: ...

    @app.procedure("model")
    async def model(value: Model) -> None: ...

    @app.procedure("models")
    async def models(value: list[Point]) -> None: ...

    @app.procedure("echo")
    async def echo(*args: Any, **kwargs: Any) -> RPCResult:
        return RPCResult(args, kwargs)

    @app.procedure("progress")
    async def progress(value: Any) -> AsyncIterator[Any]:
        yield RPCProgressReport((value,))
        yield value

    @app.procedure("none")
    async def none() -> None: ...

    @app.subscriber("taken")
    async def take(*args: list[int], **kwargs: Any) -> None: ...

    return app


_Messages: TypeAlias = Callable[[list[Any]], list[Any]]


def _named(values: list[Any]) -> dict[str, Any]:
    # Three characters each, which take a third of the message at most.
    most = len(values) * 2 // 3
    return {f"{number:03x}": value for number, value in enumerate(values[:most])}


def _few(values: list[Any]) -> list[Any]:
    assert LIMITS.arguments is not None
    return values[: LIMITS.arguments - 10]


def _arguments_of(procedure: str) -> _Messages:
    return lambda values: [CALL, 1, {}, procedure, _few(values)]


def _keywords_of(procedure: str) -> _Messages:
    return lambda values: [CALL, 1, {}, procedure, [], _named(_few(values))]


def _dict_of(procedure: str) -> _Messages:
    return lambda values: [CALL, 1, {}, procedure, [_named(values)]]


def _list_of(procedure: str) -> _Messages:
    return lambda values: [CALL, 1, {}, procedure, [values]]


def _publication(topic: str, **options: Any) -> _Messages:
    return lambda values: [PUBLISH, 1, {"acknowledge": True, "exclude_me": False, **options}, topic, [values]]


#: The message with the values, by what is done with them.
USES: dict[str, _Messages] = {
    **{
        f"{procedure!r} with a list": _list_of(procedure)
        for procedure in ("anything", "numbers", "values", "model", "models", "echo", "progress", "none")
    },
    "'numbers' with one invalid value": lambda values: [CALL, 1, {}, "numbers", [[*values, None]]],
    "'model' with its list": lambda values: [CALL, 1, {}, "model", [{"items": values}]],
    **{
        f"{procedure!r} with many arguments": _arguments_of(procedure)
        for procedure in ("count", "count.numbers", "echo", "none")
    },
    **{
        f"{procedure!r} with many keywords": _keywords_of(procedure)
        for procedure in ("count", "count.numbers", "none")
    },
    **{
        f"{procedure!r} with a dict": _dict_of(procedure)
        for procedure in ("dict", "dict.numbers", "model", "echo")
    },
    "call of another client": _list_of("elsewhere"),
    "call with options": lambda values: [CALL, 1, {"_values": values}, "none"],
    "testament": lambda values: [CALL, 1, {}, "wamp.session.add_testament", ["news", [values], {}]],
    "publication": _publication("news"),
    "retained publication with history": _publication("kept.a", retain=True),
    "publication for the server": _publication("taken"),
    "publication with a list of recipients": (
        lambda values: [PUBLISH, 1, {"acknowledge": True, "eligible": values}, "news"]
    ),
    "SUBSCRIBE": lambda values: [SUBSCRIBE, 1, {"_values": values}, "news"],
    "REGISTER": lambda values: [REGISTER, 1, {"_values": values}, "com.a"],
    "no message": lambda values: values,
}


def hellos(subprotocol: str) -> Iterator[tuple[str, str | bytes]]:
    """Yield the frames of HELLO with as many values as ``handshake_size`` allows."""
    encode = ENCODERS[subprotocol]
    items: dict[str, Any] = {"numbers": 0, "empty lists": [], "points": {"x": 1}}
    for name, item in items.items():
        size = len(encode([item] * 101)) - len(encode([item]))
        values = [item] * min((LIMITS.handshake_size - 300) * 100 // size, (LIMITS.containers or 0) - 50)
        yield (
            f"HELLO with {name}",
            encode([HELLO, "default", {"roles": ALL_ROLES, "authextra": {"x": values}}]),
        )


def over_the_limits(subprotocol: str) -> Iterator[tuple[str, str | bytes]]:
    """Yield frames that exceed a limit in the way that is the most expensive to find out."""
    encode = ENCODERS[subprotocol]
    head = [CALL, 1, {}, "count"]
    containers, values = LIMITS.containers or 0, LIMITS.values or 0
    yield "too many lists", encode([*head, [[[]] * (containers + 1)]])
    yield "too many values", encode([*head, [[0] * (values + 1)]])
    yield "too many values in dicts", encode([*head, [[{"a": 0, "b": 0, "c": 0, "d": 0}] * (containers - 5)]])
    yield "too many arguments", encode([*head, [0] * 49_000])
    if subprotocol == "wamp.2.json":
        size = LIMITS.message_size - 20
        yield "nothing but lists", f"[{'[],' * (size // 3)}0]"
        yield "an endless list", "[" * size
        yield "brackets in strings", '["' + "[" * containers + '"' + ',"["' * ((size - containers) // 4) + "]"
        yield "a string without an end", '[48,1,{},"' + "[" * size
        yield "NaN at the end", f'[48,1,{{}},"count",[{"0," * 49_000}NaN]]'
        return
    is_cbor = subprotocol == "wamp.2.cbor"
    size = LIMITS.message_size - 100
    begin = (b"\x9a" if is_cbor else b"\xdd") + size.to_bytes(4, "big")
    yield "nothing but lists", begin + (b"\x80" if is_cbor else b"\x90") * size
    # Strings with bytes that could begin a list, so that the lists have to be counted exactly.
    decoy = b"\x80" * 16 if is_cbor else b"\x90" * 16
    string = (b"\x78\x10" if is_cbor else b"\xd9\x10") + decoy
    yield "bytes of lists in strings", begin + string * (size // len(string))
    yield "bytes of lists, and numbers", begin + string * 1000 + b"\0" * (size - 1000 * len(string))
    yield (
        "a map with a number as a key at the end",
        begin + b"\0" * (size - 3) + (b"\xa1\1\1" if is_cbor else b"\x81\1\1"),
    )
    yield "malformed at the end", begin + b"\0" * (size - 1) + (b"\xdc" if is_cbor else b"\xc1")


# Measuring


class Meter:
    """Measures the CPU time of the longest turn of the event loop, in which nobody else can run."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._is_running = False

    async def run(self) -> None:
        last = time.thread_time()
        while True:
            await anyio.lowlevel.checkpoint()
            now = time.thread_time()
            if self._is_running:
                self.longest = max(self.longest, now - last)
            last = now

    @contextmanager
    def measuring(self) -> Iterator[None]:
        self.longest = 0.0
        self._is_running = True
        try:
            yield
        finally:
            self._is_running = False


@contextmanager
def counting_calls() -> Iterator[list[int]]:
    """Count the functions that Python code calls meanwhile, as the only item of the list."""
    count = [0]

    def profile(frame: FrameType, event: str, argument: object) -> None:
        count[0] += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield count
    finally:
        sys.setprofile(before)


@dataclass(order=True)
class Cost:
    """The CPU time of the longest turn for a message, in seconds."""

    seconds: float
    name: str
    answer: str
    frame: str | bytes = field(repr=False)

    def __str__(self) -> str:
        return f"{self.seconds * 1000:6.1f} ms: {self.name} ({self.answer})"


class Attacker:
    """A client that sends messages in the format of one subprotocol and measures what they cost."""

    def __init__(self, app: Application, subprotocol: str, meter: Meter) -> None:
        self._app = app
        self._subprotocol = subprotocol
        self._meter = meter
        self._client: WAMPClient | None = None
        self._stack, self._client_stack = AsyncExitStack(), AsyncExitStack()
        # Clients in all formats, which get the events and the calls.
        self._others: list[WAMPClient] = []

    async def __aenter__(self) -> Attacker:
        await self._stack.__aenter__()
        for subprotocol in ENCODERS:
            other = await self._stack.enter_async_context(connect(self._app, subprotocols=[subprotocol]))
            await other.join()
            await other.subscribe("news")
            await other.subscribe("kept.a")
            self._others.append(other)
        await self._others[0].register("elsewhere")
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._client_stack.__aexit__(*error)
        await self._stack.__aexit__(*error)

    async def measure(self, name: str, frame: str | bytes) -> Cost:
        """Send a frame and measure its cost. Only HELLO is sent without a session."""
        is_hello = name.startswith("HELLO")
        client = self._client
        if client is None or is_hello:
            await self._client_stack.aclose()
            client = await self._client_stack.enter_async_context(
                connect(self._app, subprotocols=[self._subprotocol])
            )
            if not is_hello:
                await client.join()
        # What the test itself has done since the last turn does not count.
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        with self._meter.measuring():
            await client.send_frame(frame)
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
        answer, closed = "no answer", False
        while client.arrived():
            event = await client.receive_event()
            closed = event["type"] != "websocket.send"
            answer = answer if closed else str(event.get("text") or event.get("bytes"))[:60]
        for other in self._others:
            while other.arrived():
                await other.receive_event()
        self._client = None if closed or is_hello else client
        return Cost(self._meter.longest, name, answer, frame)


@asynccontextmanager
async def attacker(subprotocol: str) -> AsyncIterator[Attacker]:
    """An attacker of a new app."""
    meter = Meter()
    gc.collect()
    # A server's heap is not as large as that of a test.
    gc.freeze()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(meter.run)
            async with Attacker(new_app(), subprotocol, meter) as client:
                yield client
            tasks.cancel_scope.cancel()
    finally:
        gc.unfreeze()


def messages(subprotocol: str, shapes: Iterable[str] = SHAPES) -> Iterator[tuple[str, str | bytes]]:
    """Yield all messages in the format of one subprotocol, with their names."""
    encode = ENCODERS[subprotocol]
    request_ids = count(1000)
    for what in shapes:
        if subprotocol in SHAPES[what].formats:
            values = SHAPES[what].fill(subprotocol)
            for use, message_with in USES.items():
                message = message_with(values)
                if use != "no message":
                    message[1] = next(request_ids)
                frame = encode(message)
                if len(frame) <= LIMITS.message_size:
                    yield f"{use}: {what}", frame
    yield from hellos(subprotocol)
    yield from over_the_limits(subprotocol)
