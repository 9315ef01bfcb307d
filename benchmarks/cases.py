"""The benchmark cases, each with the reference that its figures are compared with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

from benchmarks import calls, events, joining, matching
from benchmarks.client import CBOR, JSON, MSGPACK
from benchmarks.measurement import Measurement
from benchmarks.peers import Peer
from benchmarks.programs import BARE_ON_PICOWS, CEILING, WAMPASGI, WAMPASGI_ON_PICOWS, Program
from benchmarks.servers import Server, Servers
from wampasgi.types import Match

OURS: Final = [CEILING, WAMPASGI, WAMPASGI_ON_PICOWS]
#: The same, and the bare app on both transports.
TRANSPORTS: Final = [CEILING, BARE_ON_PICOWS, WAMPASGI, WAMPASGI_ON_PICOWS]
PATTERNS: Final[tuple[Match, ...]] = ("prefix", "wildcard")
FEW_AND_MANY: Final = (10, 1000)


@dataclass(frozen=True)
class Scale:
    """The sizes of the loads; ``seconds`` is the length of a run, ``payloads`` are in bytes."""

    seconds: float = 1.0
    subscribers: tuple[int, ...] = (100, 1000)
    idle_sessions: int = 2000
    payloads: tuple[int, ...] = (16, 256, 1024, 4096, 16384, 65536)
    sessions: tuple[int, ...] = (1, 4, 16, 64, 256)


QUICK = Scale(seconds=0.3, idle_sessions=300, payloads=(16, 1024, 16384), sessions=(1, 8, 64))

Load: TypeAlias = Callable[[Servers], Awaitable[Measurement]]


@dataclass(frozen=True)
class Compare:
    """A comparison of a figure with its reference, and the format for the table."""

    ratio: Callable[[float, float], float]
    form: str = "{:.2f}"


#: For rates: the share of the reference that is reached.
SHARE: Final = Compare(lambda figure, reference: figure / reference)
#: The same for times; a higher share is better here, too.
SHARE_OF_SPEED: Final = Compare(lambda figure, reference: reference / figure)
#: For rates and for times: the cost of one operation as a multiple of the reference's.
COST_OF_RATE: Final = Compare(lambda figure, reference: reference / figure, "{:.2f} times the cost")
COST_OF_TIME: Final = Compare(lambda figure, reference: figure / reference, "{:.2f} times the cost")
ABOVE: Final = Compare(lambda figure, reference: figure - reference, "{:+.1f}")


@dataclass(frozen=True)
class Line:
    """One measurement of a case; ``beside`` is the label of the line that it is compared with."""

    label: str
    load: Load
    beside: str | None = None
    compare: Compare = SHARE


@dataclass(frozen=True)
class Case:
    """Lines that are measured in turn, in each run."""

    name: str
    title: str
    lines: list[Line]

    def line(self, label: str) -> Line:
        return next(line for line in self.lines if line.label == label)


@dataclass(frozen=True)
class Sweep:
    """Rates over a quantity, for the plot: ``load`` measures each program at each of ``points``."""

    name: str
    title: str
    axis: str
    points: tuple[int, ...]
    programs: list[Program]
    load: Callable[[Server, int], Awaitable[Measurement]]


def cases(scale: Scale, peers: Collection[Peer] = ()) -> dict[str, Case]:
    """Return the cases by name; ``peers`` are the other frameworks and routers to measure."""
    found = [
        _echo(scale, _of_peers("echo", peers)),
        _typed_echo(scale),
        _latency(scale, _of_peers("latency", peers)),
        _routed(scale, _of_peers("routed", peers)),
        *(_fan_out(scale, peers, number) for number in scale.subscribers),
        _single_publications(scale),
        _joining(scale),
        _memory(scale),
        _among_many(scale),
        _serializers(scale),
    ]
    return {case.name: case for case in found}


def sweeps(scale: Scale, peers: Collection[Peer] = ()) -> dict[str, Sweep]:
    """Return the sweeps by name."""
    found = [
        Sweep(
            "payload",
            "RPC echo over the size of the payload",
            "bytes of payload",
            scale.payloads,
            [*OURS, *_of_peers("payload", peers)],
            lambda server, size: calls.echo(server, scale.seconds, args=["x" * size]),
        ),
        Sweep(
            "sessions",
            "RPC echo over the number of sessions, 16 calls in flight each",
            "sessions",
            scale.sessions,
            [*OURS, *_of_peers("sessions", peers)],
            lambda server, sessions: calls.echo(server, scale.seconds, args=[42], sessions=sessions),
        ),
    ]
    return {sweep.name: sweep for sweep in found}


def _of_peers(case: str, peers: Collection[Peer]) -> list[Program]:
    """Return the programs of the peers that take part in a case."""
    return [peer.program for peer in peers if case in peer.cases]


def _compared(
    programs: list[Program], load: Callable[[Server], Awaitable[Measurement]], compare: Compare = SHARE
) -> list[Line]:
    """Return a line for each program, compared with the ceiling, which is the first one."""
    return [
        Line(program.name, _running(program, load), None if program is CEILING else CEILING.name, compare)
        for program in programs
    ]


def _running(program: Program, load: Callable[[Server], Awaitable[Measurement]]) -> Load:
    return lambda servers: load(servers.running(program))


def _fresh(program: Program, load: Callable[[Server], Awaitable[Measurement]]) -> Load:
    async def start_and_load(servers: Servers) -> Measurement:
        with servers.fresh(program) as server:
            return await load(server)

    return start_and_load


def _echo(scale: Scale, peers: list[Program]) -> Case:
    load = partial(calls.echo, seconds=scale.seconds, args=[42])
    title = "RPC echo, 8 sessions with 16 calls in flight each"
    return Case("echo", title, _compared([*TRANSPORTS, *peers], load))


def _typed_echo(scale: Scale) -> Case:
    load = partial(calls.echo, seconds=scale.seconds, procedure="typed_echo", args=[42, 0.5])
    title = "RPC echo through a Depends and two validated arguments"
    return Case("typed_echo", title, _compared(OURS, load))


def _latency(scale: Scale, peers: list[Program]) -> Case:
    load = partial(calls.latency, seconds=scale.seconds)
    title = "RPC echo, one call in flight"
    return Case("latency", title, _compared([*TRANSPORTS, *peers], load, SHARE_OF_SPEED))


def _routed(scale: Scale, peers: list[Program]) -> Case:
    echo = partial(calls.echo, seconds=scale.seconds, args=[42], messages=2)
    routed = partial(calls.routed, seconds=scale.seconds, messages=4)
    routers = _compared([WAMPASGI, WAMPASGI_ON_PICOWS, *peers], routed)
    title = "A call from one client to another, 4 messages; the ceiling's echo takes 2"
    return Case("routed", title, [*_compared([CEILING], echo), *routers])


def _fan_out(scale: Scale, peers: Collection[Peer], subscribers: int) -> Case:
    name = f"fan_out_{subscribers}"
    # Few enough not to fill the server's queues, and enough to keep the server busy.
    in_flight = max(2, min(16, 4000 // subscribers))
    load = partial(events.fan_out, seconds=scale.seconds, subscribers=subscribers, in_flight=in_flight)
    programs = [*TRANSPORTS, *_of_peers(name, peers)] if subscribers <= 100 else OURS
    title = f"Publications back to back to {subscribers:,} subscribers, {in_flight} in flight"
    return Case(name, title, _compared(programs, load))


def _single_publications(scale: Scale) -> Case:
    subscribers = scale.subscribers[0]
    load = partial(events.fan_out, seconds=scale.seconds, subscribers=subscribers, in_flight=1)
    title = f"Publications one at a time to {subscribers:,} subscribers"
    return Case("fan_out_single", title, _compared(TRANSPORTS, load))


def _joining(scale: Scale) -> Case:
    load = partial(joining.joining, seconds=scale.seconds)
    return Case("joining", "Joining, from the TCP connection to WELCOME", _compared(OURS, load))


def _memory(scale: Scale) -> Case:
    load = partial(joining.idle_memory, sessions=scale.idle_sessions)
    lines = [
        replace(line, load=_fresh(program, load))
        for program, line in zip(TRANSPORTS, _compared(TRANSPORTS, load, ABOVE), strict=True)
    ]
    return Case("memory", f"Memory of the server for each of {scale.idle_sessions:,} idle sessions", lines)


def _among_many(scale: Scale) -> Case:
    lines: list[Line] = []
    few, many = FEW_AND_MANY

    def add(label: str, load: Callable[[int], Load], compare: Compare) -> None:
        lines.append(Line(label.format(few), load(few)))
        lines.append(Line(label.format(many), load(many), label.format(few), compare))

    add("call, {:,} procedures", lambda number: _call_among(number, scale), COST_OF_RATE)
    for match in PATTERNS:
        add(f"publish, {{:,}} {match} subscriptions", partial(_publish_among, match, scale), COST_OF_RATE)
    for match in PATTERNS:
        add(f"matching alone, {{:,}} {match} entries", partial(_look_up_among, match, scale), COST_OF_TIME)
    return Case("among_many", f"One among {many:,}, compared with one among {few}", lines)


def _call_among(number: int, scale: Scale) -> Load:
    load = partial(
        calls.echo,
        seconds=scale.seconds,
        procedure=f"procedure.{number // 2}",
        args=[42],
        realm=f"procedures.{number}",
    )
    return _running(WAMPASGI, load)


def _publish_among(match: Match, scale: Scale, number: int) -> Load:
    load = partial(
        events.publish_among_patterns,
        seconds=scale.seconds,
        match=match,
        patterns=matching.patterns(match, number),
        topics=matching.topics(number),
    )
    return _running(WAMPASGI, load)


def _look_up_among(match: Match, scale: Scale, number: int) -> Load:
    async def look_up(_: Servers) -> Measurement:
        return matching.lookup(match, number, scale.seconds / 4)

    return look_up


def _serializers(scale: Scale) -> Case:
    lines: list[Line] = []
    for name, codec in (("JSON", JSON), ("MessagePack", MSGPACK), ("CBOR", CBOR)):
        load = partial(calls.echo, seconds=scale.seconds, args=["text " * 12], codec=codec)
        lines += [
            replace(line, label=f"{line.label}, {name}", beside=line.beside and f"{line.beside}, {name}")
            for line in _compared(OURS, load)
        ]
    return Case("serializers", "RPC echo over the formats of messages", lines)
