"""Runs every load on two workers once, with a small load, to verify that it works."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import scaling
from benchmarks.across import BYTES, FRAMES, P99
from benchmarks.client import WrongAnswer
from benchmarks.engines import ENGINES, Engine
from benchmarks.measurement import KIB_A_SESSION, P50, Measurement
from benchmarks.report import insert
from benchmarks.scaling import (
    BEGIN,
    FAULTS,
    PAGE,
    PAIRS,
    Result,
    main,
    markdown,
    measure,
    measure_pairs,
    options_of,
)
from benchmarks.servers import Servers
from benchmarks.workers import Workers, two_workers, wait_for_nodes

SMALL = ["--runs", "1", "--seconds", "0.05", "--sessions", "20"]


@pytest.fixture(autouse=True)
def unpinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let other tests use all cores, too."""
    monkeypatch.setattr(scaling, "Servers", lambda: Servers(pin=False))


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with (
        Servers(pin=False) as servers,
        ENGINES["unix"].running() as engine,
        two_workers(servers, engine) as workers,
    ):
        yield workers


def small(*arguments: str) -> argparse.Namespace:
    return options_of([*SMALL, *arguments])


def require(engine: str) -> None:
    if (missing := ENGINES[engine].missing()) is not None:
        pytest.skip(missing)


@pytest.mark.parametrize("name", PAIRS)
def test_pair_is_measured_on_one_worker_and_across_two(name: str, workers: Workers) -> None:
    result = Result("unix")
    measure_pairs(result, [PAIRS[name]], workers, small())
    [(local, remote)] = result.pairs[name]
    assert all(figure > 0 for figure in remote.figures.values())
    if FRAMES in remote.figures:
        # Heartbeats may be counted, but far less than a frame for each call.
        assert remote.figures[FRAMES] < 3
        assert remote.figures[FRAMES] > local.figures[FRAMES]
    assert PAIRS[name].title in markdown([result], {}, "a moment")


def test_single_call_across_workers_takes_two_frames(workers: Workers) -> None:
    result = Result("unix")
    measure_pairs(result, [PAIRS["single_calls"]], workers, small("--seconds", "0.3"))
    [(_, remote)] = result.pairs["single_calls"]
    assert 2 <= remote.figures[FRAMES] < 2.2


@pytest.mark.parametrize("engine", ["nats", "redis"])
def test_engine_is_measured(engine: str) -> None:
    require(engine)
    result = measure(engine, small("--case", "calls", "--case", "engine"))
    assert list(result.pairs) == ["calls"]
    assert 0 < result.others["engine"] < 20


def test_worker_that_is_killed_is_noticed_at_once() -> None:
    result = measure("unix", small("--case", "kill"))
    assert 0 < result.others["kill"] < 3


@pytest.mark.parametrize("engine", ["nats", "redis"])
def test_worker_that_is_killed_is_noticed_at_the_next_call(engine: str) -> None:
    require(engine)
    result = measure(engine, small("--case", "kill_busy"))
    assert 0 < result.others["kill_busy"] < 3


def test_paused_worker_returns() -> None:
    result = measure("unix", small("--case", "pause"))
    assert 0 < result.others["pause"] < 10


def test_memory_is_measured_and_the_rows_arrive() -> None:
    result = measure("unix", small("--case", "memory"))
    assert list(result.others) == ["memory"]


def test_unknown_nodes_fail_the_run(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.workers.ATTEMPTS", 2)
    with pytest.raises(WrongAnswer, match="the worker does not know 3 nodes"):
        asyncio.run(wait_for_nodes(workers.first.url, 3))


# The tables


def sample(cpu: float) -> Measurement:
    figures: dict[str, float] = {"calls/s": 1, P50: 100, P99: 200, FRAMES: 2, BYTES: 120}
    return Measurement(figures, cpu=cpu)


def test_ratio_is_the_median_of_the_ratios_of_the_runs() -> None:
    runs = [
        (sample(10e-6), sample(15e-6)),
        (sample(20e-6), sample(26e-6)),
        (sample(10e-6), sample(40e-6)),
    ]
    result = Result("unix", {"calls": runs, "single_calls": runs}, {"memory": 0.5, "kill": 0.01})
    table = markdown([result], {"NATS": "nats-server is not installed"}, "Medians")
    assert "| Unix sockets | call, 64 in flight | 10.0 µs | 26.0 µs | 1.50 | at most 1.44 |" in table
    assert "| Unix sockets | 100 µs | 100 µs | 200 µs | 200 µs | 2.0 | 120 | 2.00 |" in table
    assert f"| memory for a session of the other worker, {KIB_A_SESSION} | 0.50 |" in table
    assert "NATS was not measured: nats-server is not installed." in table
    assert "restart of the engine" not in table


def test_documentation_page_has_a_place_for_the_figures() -> None:
    assert "new figures" in insert(PAGE.read_text(), "new figures\n", BEGIN)


# The program


def test_program_prints_and_writes_the_chosen_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.engines.path_of", lambda program: None)
    main([*SMALL, "--backplane", "unix", "redis", "--case", "single_calls", "--output", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "call, one at a time" in printed
    assert "Redis was not measured: redis-server is not installed." in printed
    assert (tmp_path / "scaling.md").read_text() in printed


def test_wrong_answer_ends_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(name: str, options: argparse.Namespace) -> Result:
        raise WrongAnswer("events are lost")

    monkeypatch.setattr(scaling, "measure", fail)
    with pytest.raises(SystemExit, match="failed: unix: events are lost"):
        main([*SMALL, "--backplane", "unix", "--output", str(tmp_path)])


def test_program_lists_the_cases_for_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options_of(["--case", "nothing"])
    error = capsys.readouterr().err
    assert all(name in error for name in (*PAIRS, *FAULTS))


def test_engine_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine("nats://127.0.0.1:1", ["false"], 1)
    with pytest.raises(RuntimeError, match=r"\['false'\] did not start"):
        engine.start()
    engine.kill()
