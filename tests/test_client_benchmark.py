"""Runs the benchmark of the client once, with few calls, to verify that it works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import client_calls
from benchmarks.callers import CALLERS
from benchmarks.client_calls import BEGIN, PAGE, TARGETS, Run, main, markdown, ratio, started
from benchmarks.report import insert
from benchmarks.servers import Servers


@pytest.fixture(autouse=True)
def unpinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let other tests use all cores, too."""
    monkeypatch.setattr(client_calls, "Servers", lambda: Servers(pin=False))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_program_measures_each_library(loop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--runs", "1", "--calls", "32", "--loop", loop, "--output", str(tmp_path)])
    printed = capsys.readouterr().out
    for library in CALLERS:
        for in_flight in 1, 16:
            assert re.search(rf"\| {library} \| {in_flight} \| [\d.]+ µs \| [\d,]+ \|", printed), printed
    assert "without Starlette" in printed
    assert (tmp_path / "client_calls.md").read_text() in printed


def test_ratio_is_the_median_of_the_ratios_of_the_runs() -> None:
    cpu, rate, *with_picows = TARGETS
    measured = {
        ("wampasgi", 1): [Run(1, 1), Run(3, 1), Run(100, 1)],
        ("bare", 1): [Run(1, 1), Run(2, 1), Run(1, 1)],
        ("wampasgi", 16): [Run(1, 1)],
        ("Autobahn", 16): [Run(1, 4)],
        ("wampasgi on picows", 1): [Run(2, 1), Run(2, 1), Run(2, 1)],
        ("wampasgi on picows", 16): [Run(0.5, 1)],
    }
    assert [ratio(measured, target) for target in (cpu, rate, *with_picows)] == [1.5, 4, 1.5, 2]
    table = markdown(measured, 99.6, starlette=True, how="A moment")
    assert "| CPU time of one call at a time, relative to bare | 1.50 | at most 1.3 |" in table
    assert "| rate with 16 calls in flight, relative to Autobahn | 4.00 | at least 2 |" in table
    assert (
        "| CPU time with 16 calls in flight, relative to wampasgi on picows | 2.00 | at least 1.3 |" in table
    )
    assert "with Starlette | 100 ms | at most 150 ms |" in table


def test_client_that_fails_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with (
        started("wampasgi", "asyncio") as process,
        pytest.raises(RuntimeError, match="the client has failed"),
    ):
        process.command("connect", "ws://127.0.0.1:1/")
    assert "there is no connection to ws://127.0.0.1:1/" in capfd.readouterr().err


def test_documentation_page_has_a_place_for_the_figures() -> None:
    assert "new figures" in insert(PAGE.read_text(), "new figures\n", BEGIN)
