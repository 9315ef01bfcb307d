"""A realm on several workers without faults behaves like a realm on one."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.simulation.actions import FAULTS, NAMES, act, fault
from tests.simulation.traces import Trace, run_all

# Thousands of traces run the same lines, and measuring coverage takes as long as running them.
pytestmark = pytest.mark.usefixtures("untraced")

CHUNK = 250


@pytest.mark.parametrize("first", range(0, 2500, CHUNK))
def test_clients_get_the_same_as_from_a_single_process(first: int) -> None:
    run_all("settled", range(first, first + CHUNK))


@pytest.mark.parametrize("first", range(0, 2500, CHUNK))
def test_nothing_is_lost_or_doubled_when_actions_overlap(first: int) -> None:
    run_all("busy", range(first, first + CHUNK))


class ClusterMachine(RuleBasedStateMachine):
    """The same actions and faults, chosen by Hypothesis, which finds the shortest trace that fails."""

    def __init__(self) -> None:
        super().__init__()
        self.trace = Trace(0)

    @rule(name=st.sampled_from(NAMES), choice=st.integers(0, 1000))
    def client_acts(self, name: str, choice: int) -> None:
        self.trace.random.seed(choice)
        act(self.trace.actions, name)

    @rule(choice=st.integers(0, 3))
    def client_joins(self, choice: int) -> None:
        usable = self.trace.world.usable
        if usable:
            self.trace.join(usable[choice % len(usable)])

    @rule(name=st.sampled_from(FAULTS), choice=st.integers(0, 100))
    def something_fails(self, name: str, choice: int) -> None:
        self.trace.random.seed(choice)
        fault(self.trace.world, self.trace.random, name)

    @rule(seconds=st.sampled_from([0, 0.001, 0.05, 0.5, 3, 8]))
    def time_passes(self, seconds: float) -> None:
        self.trace.run(seconds)

    def teardown(self) -> None:
        self.trace.heal()
        self.trace.check_replicas()
        self.trace.check_end()


TestClusterMachine = ClusterMachine.TestCase
# The same examples in each run; `python -m tests.simulation` draws others, for as long as you like.
TestClusterMachine.settings = settings(max_examples=200, stateful_step_count=30, derandomize=True)
