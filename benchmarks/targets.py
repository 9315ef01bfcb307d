"""The ratios that wampasgi has to reach on each transport, and the table of the measured ones.

The reference of each ratio is the ceiling: the bare app on uvicorn's own WebSocket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.cases import ABOVE, SHARE, Compare
from benchmarks.measurement import (
    CALLS_PER_SECOND,
    EVENTS_PER_SECOND,
    KIB_A_SESSION,
    MESSAGES_PER_SECOND,
    P50,
)
from benchmarks.programs import WAMPASGI, WAMPASGI_ON_PICOWS
from benchmarks.running import CaseResult


@dataclass(frozen=True)
class Target:
    """A figure of a case, how to compare it with the ceiling's, and the result to reach on each transport."""

    title: str
    case: str
    unit: str
    on_picows: float
    on_uvicorn: float
    compare: Compare = SHARE
    bound: str = "at least"


TARGETS: Final = (
    Target("RPC echo, JSON", "echo", CALLS_PER_SECOND, 1.6, 0.78),
    Target("echo through Depends and two validated arguments", "typed_echo", CALLS_PER_SECOND, 1.25, 0.65),
    Target("call between two clients, in messages", "routed", MESSAGES_PER_SECOND, 1.4, 0.65),
    Target("events to 100 subscribers", "fan_out_100", EVENTS_PER_SECOND, 1.3, 0.85),
    Target("p50 of one call in flight", "latency", P50, 1.0, 1.25, bound="at most"),
    Target("KiB for an idle session, above the ceiling's", "memory", KIB_A_SESSION, 8, 8, ABOVE, "at most"),
)


def table(results: list[CaseResult]) -> str | None:
    """Return the Markdown table; None unless all cases that it needs were measured."""
    by_name = {result.case.name: result for result in results}
    if any(target.case not in by_name for target in TARGETS):
        return None
    rows = [
        "| target | wampasgi on picows | by CPU | to reach | wampasgi | by CPU | to reach |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for target in TARGETS:
        result = by_name[target.case]
        cells = [target.title]
        for program, to_reach in ((WAMPASGI_ON_PICOWS, target.on_picows), (WAMPASGI, target.on_uvicorn)):
            line = result.case.line(program.name)
            reached = (result.beside(line, target.unit, target.compare), result.beside_by_cpu(line))
            cells += ["" if ratio is None else target.compare.form.format(ratio) for ratio in reached]
            cells.append(f"{target.bound} {to_reach:g}")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"
