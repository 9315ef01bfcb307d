"""The cost of finding the patterns that match a topic, without a server."""

from __future__ import annotations

import time

from benchmarks.client import WrongAnswer
from benchmarks.measurement import Measurement
from wampasgi.router.matching import URIMap
from wampasgi.types import Match


def patterns(match: Match, number: int) -> list[str]:
    """Return patterns; each of ``topics`` matches one of them."""
    form = "plant.machine{}." if match == "prefix" else "plant.machine{}..temperature"
    return [form.format(machine) for machine in range(number)]


def topics(number: int) -> list[str]:
    """Return ten topics that match patterns spread evenly over ``number`` of them."""
    return [f"plant.machine{machine}.sensor.temperature" for machine in range(0, number, number // 10)]


def lookup(match: Match, number: int, seconds: float) -> Measurement:
    """Look topics up among ``number`` patterns."""
    entries: URIMap[str] = URIMap()
    for pattern in patterns(match, number):
        entries.add(match, pattern, pattern)
    uris = topics(number)
    if any(len(entries.matches(uri)) != 1 for uri in uris):
        raise WrongAnswer(f"expected each of {uris} to match exactly one {match} pattern")
    rounds, matches, began = 0, entries.matches, time.perf_counter()
    while not rounds or time.perf_counter() < began + seconds:
        for _ in range(100):
            for uri in uris:
                matches(uri)
        rounds += 100
    return Measurement({"ns a lookup": 1e9 * (time.perf_counter() - began) / (rounds * len(uris))})
