"""A realm on several workers recovers from faults of the engine, the network and the workers."""

from __future__ import annotations

import pytest

from tests.simulation.traces import run_all

# Thousands of traces run the same lines, and measuring coverage takes as long as running them.
pytestmark = pytest.mark.usefixtures("untraced")

CHUNK = 250


@pytest.mark.parametrize("first", range(0, 1500, CHUNK))
def test_the_death_of_a_worker_costs_the_others_nothing(first: int) -> None:
    run_all("deadly", range(first, first + CHUNK))


@pytest.mark.parametrize("first", range(0, 3500, CHUNK))
def test_replicas_agree_and_calls_end_after_faults(first: int) -> None:
    run_all("faulty", range(first, first + CHUNK))
