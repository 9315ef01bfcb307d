"""Runs every benchmark once, with a small load, to verify that it works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import picows
import pytest

from benchmarks import calls, events
from benchmarks.__main__ import PAGE, main, options_of, peers_of
from benchmarks.cases import (
    ABOVE,
    COST_OF_RATE,
    COST_OF_TIME,
    SHARE_OF_SPEED,
    Case,
    Compare,
    Line,
    Scale,
    Sweep,
    cases,
    sweeps,
)
from benchmarks.client import Clients, WrongAnswer
from benchmarks.measurement import Measurement
from benchmarks.peers import PEERS, Peer, Router, framework, install_routers, node_router, python_router
from benchmarks.programs import CEILING, WAMPASGI, WAMPASGI_ON_PICOWS, Program, on_uvicorn
from benchmarks.report import BEGIN, END, insert, markdown
from benchmarks.running import CaseResult, SweepResult, median, run_case, run_sweep
from benchmarks.servers import Server, Servers
from benchmarks.targets import TARGETS
from benchmarks.workers import Asker
from tests.specification import HELLO, RESULT, WELCOME

SMALL = Scale(seconds=0.05, subscribers=(3, 5), idle_sessions=5, payloads=(16, 1024), sessions=(1, 3))
CASES = cases(SMALL)
SWEEPS = sweeps(SMALL)
BROKEN = on_uvicorn("broken", "missing")
ROLES: dict[str, Any] = {"roles": {"dealer": {}}}


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with Servers(pin=False) as servers:
        yield servers


@pytest.fixture
def server(servers: Servers) -> Server:
    return servers.running(WAMPASGI)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_case_measures_each_line(case: Case, servers: Servers) -> None:
    result = run_case(case, servers, 1)
    assert list(result.runs) == [line.label for line in case.lines]
    assert all(run.figures for [run] in result.runs.values())
    if case.name != "memory":  # so few sessions may not increase the memory
        assert all(figure > 0 for [run] in result.runs.values() for figure in run.figures.values())
    assert case.title in markdown([result], [], {}, "a moment")


@pytest.mark.parametrize("sweep", SWEEPS.values(), ids=SWEEPS)
def test_sweep_measures_each_program_at_each_point(sweep: Sweep, servers: Servers) -> None:
    result = run_sweep(sweep, servers, 1)
    assert list(result.runs) == ["ceiling", "wampasgi", "wampasgi on picows"]
    for measured in result.runs.values():
        assert list(measured) == list(sweep.points)
        assert all(run.figures["calls/s"] > 0 for [run] in measured.values())


def test_wrong_answer_fails_the_run(server: Server) -> None:
    with pytest.raises(WrongAnswer, match=r"nowhere\[1\] was answered by .*no_such_procedure"):
        asyncio.run(calls.echo(server, 0.05, procedure="nowhere", args=[1]))


def test_lost_event_fails_the_run(server: Server) -> None:
    load = events.publish_among_patterns(
        server, 0.05, match="prefix", patterns=["others."], topics=["mine.first"]
    )
    with pytest.raises(WrongAnswer, match=r"the subscriber got 0 of \d+ events"):
        asyncio.run(load)


def test_refused_request_fails_the_run(server: Server) -> None:
    load = events.publish_among_patterns(server, 0.05, match="exact", patterns=["a#b"], topics=["mine"])
    with pytest.raises(WrongAnswer, match=r"wamp\.error\.invalid_uri"):
        asyncio.run(load)


@asynccontextmanager
async def scripted_server(welcome: dict[str, Any], *result: Any) -> AsyncIterator[Clients]:
    """Answer HELLO with ``welcome``, and each call with ``result``."""

    class Script(picows.WSListener):
        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            if frame.msg_type is picows.WSMsgType.TEXT:
                joins = orjson.loads(frame.get_payload_as_bytes())[0] == HELLO
                answer = [WELCOME, 1, welcome] if joins else result
                transport.send(picows.WSMsgType.TEXT, orjson.dumps(answer))
            elif frame.msg_type is picows.WSMsgType.CLOSE:
                transport.disconnect()

    async with await picows.ws_create_server(lambda _: Script(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Clients(f"ws://127.0.0.1:{port}/") as clients:
            yield clients


async def ask_scripted_server(welcome: dict[str, Any], *result: Any) -> None:
    async with scripted_server(welcome, *result) as clients:
        asker = await clients.join(Asker(clients))
        await asker.call("echo", 1)


@pytest.mark.parametrize(
    ("welcome", "result", "problem"),
    [
        ({}, (), "WELCOME.Details.roles must contain at least one of broker, dealer"),
        (ROLES, (RESULT, 2, {}, [1]), "RESULT.Request must be the ID of a pending CALL, got 2"),
        (ROLES, (RESULT, 1, {"progress": True}, [1]), "the call did not ask for progressive results"),
    ],
)
def test_message_that_the_protocol_does_not_allow_fails_the_run(
    welcome: dict[str, Any], result: tuple[Any, ...], problem: str
) -> None:
    with pytest.raises(WrongAnswer, match=problem):
        asyncio.run(ask_scripted_server(welcome, *result))


async def measure_scripted_server(*result: Any) -> int:
    async with scripted_server(ROLES, *result) as clients:
        caller = await clients.join(calls.Caller(clients, "echo", [1]))
        caller.call()
        await caller.end()
        return caller.results


def test_null_for_missing_keywords_is_accepted_in_measured_results() -> None:
    assert asyncio.run(measure_scripted_server(RESULT, 1, {}, [1], None)) == 1


@pytest.mark.parametrize("result", [(RESULT, 2, {}, [1]), (RESULT, 1, {}, [2]), (WELCOME, 1, ROLES)])
def test_wrong_measured_result_fails_the_run(result: tuple[Any, ...]) -> None:
    with pytest.raises(WrongAnswer, match=r"echo\[1\] was answered by"):
        asyncio.run(measure_scripted_server(*result))


async def lose_events(servers: Servers) -> Measurement:
    raise WrongAnswer("events are lost")


def test_failure_names_the_case_and_line(servers: Servers) -> None:
    with pytest.raises(WrongAnswer, match=r"^fan, wampasgi: events are lost$"):
        run_case(Case("fan", "Fan", [Line("wampasgi", lose_events)]), servers, 1)


def test_server_that_has_ended_fails_the_run(servers: Servers) -> None:
    async def call_ended_server(_: Servers) -> Measurement:
        with servers.fresh(CEILING) as ended:
            pass
        return await calls.echo(ended, 0.05, args=[1])

    with pytest.raises(WrongAnswer, match=r"^ended, ceiling: "):
        run_case(Case("ended", "Ended", [Line("ceiling", call_ended_server)]), servers, 1)


def test_server_that_does_not_start_is_an_error(servers: Servers) -> None:
    with pytest.raises(RuntimeError, match="the server of broken did not start"):
        servers.running(BROKEN)


# The other frameworks and routers


def test_peer_that_is_not_installed_is_not_measured(servers: Servers) -> None:
    [(peer, reason)] = servers.missing([framework("no-such-package", "no_such_app")]).items()
    assert peer == "no-such-package"
    assert "it is not installed in this environment of Python 3." in reason


@pytest.mark.parametrize("program", [BROKEN, Program("broken", ("no-such-command",))])
def test_peer_that_does_not_start_is_not_measured(servers: Servers, program: Program) -> None:
    [(peer, reason)] = servers.missing([Peer(program, ("echo",), lambda: "1.0")]).items()
    assert peer == "broken"
    assert "did not start" in reason or "no-such-command" in reason


def test_installed_peer_is_named_with_its_version() -> None:
    assert "pytest 9" in markdown([], [], {}, "", [framework("pytest", "no_such_app")])


def test_routers_of_an_environment_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.peers.ENVIRONMENTS", tmp_path)
    routers = [
        python_router("In Python", "router-a", "1.0", "a.py", ("routed",)),
        node_router("router-b", "2.0", "b.cjs", ("routed",)),
    ]
    assert [router.installed() for router in routers] == [None, None]

    installed = tmp_path / "router-a/lib/python3.13/site-packages/router_a-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: router-a\nVersion: 1.0\n")
    package = tmp_path / "router-b/node_modules/router-b"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"version": "2.0"}')
    assert [router.installed() for router in routers] == ["1.0", "2.0"]


def test_only_missing_and_outdated_routers_are_installed(capsys: pytest.CaptureFixture[str]) -> None:
    installed: list[str] = []

    def router(name: str, version: str | None) -> Router:
        return Router(Program(name, ()), (), lambda: version, "2.0", lambda: installed.append(name))

    def refuse() -> None:
        raise FileNotFoundError("npm")

    broken = Router(BROKEN, (), lambda: None, "2.0", refuse)
    peers = [
        framework("pytest", ""),
        router("new", "2.0"),
        router("old", "1.0"),
        broken,
        router("none", None),
    ]
    install_routers(peers)
    assert installed == ["old", "none"]
    assert "broken cannot be installed: npm" in capsys.readouterr().err


def test_peers_take_part_in_their_cases_only() -> None:
    known = {*cases(Scale()), *sweeps(Scale())}
    assert all(known.issuperset(peer.cases) for peer in PEERS)
    assert {peer.program.name for peer in peers_of(["routed"])} == {"Crossbar.io", "xconn", "fox-wamp"}
    assert peers_of(["memory"]) == []
    routed = cases(SMALL, peers_of(None))["routed"]
    assert [line.label for line in routed.lines][-3:] == ["Crossbar.io", "xconn", "fox-wamp"]


# The tables


async def empty_load(_: object) -> Measurement:
    return Measurement({})


def line_of(label: str, beside: str | None = None) -> Line:
    return Line(label, empty_load, beside)


def test_median_is_taken_of_each_figure() -> None:
    runs = [Measurement({"calls/s": rate}, cpu, 1) for rate, cpu in ((1, 30), (5, 10), (2, 20))]
    assert median(runs) == Measurement({"calls/s": 2}, 20, 1)


def test_ratio_is_the_median_of_the_ratios_of_the_runs() -> None:
    runs = {
        "ceiling": [Measurement({"calls/s": rate}) for rate in (100, 1000, 200)],
        "wampasgi": [Measurement({"calls/s": rate}) for rate in (50, 800, 20)],
    }
    case = Case("echo", "Echo", [line_of("ceiling"), line_of("wampasgi", "ceiling")])
    table = markdown([CaseResult(case, runs)], [], {}, "Medians")
    assert "| Echo | ceiling | 200 calls/s |  |  |  |" in table
    assert "|  | wampasgi | 50 calls/s | 0.50 |  |  |" in table


def test_table_compares_cpu_time_and_marks_idle_servers() -> None:
    runs = {
        "ceiling": [Measurement({"calls/s": 100}, cpu=20e-6, busy=0.7)],
        "wampasgi": [Measurement({"calls/s": 50}, cpu=25e-6, busy=0.99)],
    }
    case = Case("echo", "Echo", [line_of("ceiling"), line_of("wampasgi", "ceiling")])
    table = markdown([CaseResult(case, runs)], [], {}, "Medians")
    assert "| 20.0 µs (70% busy) |  |" in table
    assert "| 0.50 | 25.0 µs | 0.80 |" in table


def measured_targets() -> list[CaseResult]:
    """Return results in which wampasgi has half of each figure of the ceiling, and twice of it on picows."""
    results = []
    for target in TARGETS:
        runs = {
            "ceiling": [Measurement({target.unit: 100}, cpu=10e-6)],
            "wampasgi on picows": [Measurement({target.unit: 200}, cpu=8e-6)],
            "wampasgi": [Measurement({target.unit: 50}, cpu=20e-6)],
        }
        lines = [line_of(label, None if label == "ceiling" else "ceiling") for label in runs]
        results.append(CaseResult(Case(target.case, target.title, lines), runs))
    return results


def test_targets_are_compared_with_the_ratios_on_both_transports() -> None:
    table = markdown(measured_targets(), [], {}, "Medians")
    assert "| RPC echo, JSON | 2.00 | 1.25 | at least 1.6 | 0.50 | 0.50 | at least 0.78 |" in table
    assert "| p50 of one call in flight | 2.00 | 1.25 | at most 1 | 0.50 | 0.50 | at most 1.25 |" in table
    assert "| KiB for an idle session, above the ceiling's | +100.0 |" in table


def test_targets_are_left_out_unless_all_their_cases_ran() -> None:
    assert "at least" not in markdown(measured_targets()[1:], [], {}, "Medians")


def test_targets_name_cases_that_measure_both_transports() -> None:
    for target in TARGETS:
        case = cases(Scale())[target.case]
        assert case.line(WAMPASGI.name).beside == case.line(WAMPASGI_ON_PICOWS.name).beside == CEILING.name


@pytest.mark.parametrize(
    ("compare", "figure", "reference", "shown"),
    [
        (SHARE_OF_SPEED, 200, 100, "0.50"),
        (COST_OF_RATE, 50, 100, "2.00 times the cost"),
        (COST_OF_TIME, 150, 100, "1.50 times the cost"),
        (ABOVE, 28, 21.5, "+6.5"),
    ],
)
def test_comparison_has_ratio_and_format(
    compare: Compare, figure: float, reference: float, shown: str
) -> None:
    assert compare.form.format(compare.ratio(figure, reference)) == shown


def sample_sweep() -> SweepResult:
    sweep = Sweep(
        "payload", "Over the payload", "bytes", (16, 1024), [CEILING, WAMPASGI], lambda *_: empty_load(None)
    )
    rates = {"ceiling": (4000, 2000), "wampasgi": (3000, 1800)}
    return SweepResult(
        sweep,
        {
            program: {
                point: [Measurement({"calls/s": rate})]
                for point, rate in zip(sweep.points, of_program, strict=True)
            }
            for program, of_program in rates.items()
        },
    )


def test_table_of_a_sweep_has_the_shares() -> None:
    table = markdown([], [sample_sweep()], {}, "Medians")
    assert "| bytes | 16 | 1,024 |" in table
    assert "| wampasgi | 3,000 (0.75) | 1,800 (0.90) |" in table


def test_report_names_missing_frameworks_with_the_reason() -> None:
    assert "serverwamp was not measured: not installed." in markdown(
        [], [], {"serverwamp": "not installed"}, ""
    )


def test_insert_replaces_the_figures_of_the_page() -> None:
    assert insert(f"# A\n{BEGIN}\nold\n{END}\nB\n", "new\n") == f"# A\n{BEGIN}\n\nnew\n\n{END}\nB\n"
    with pytest.raises(ValueError, match="the page has no lines"):
        insert("# A\n", "new\n")


def test_documentation_page_has_a_place_for_the_figures() -> None:
    assert "new figures" in insert(PAGE.read_text(), "new figures\n")


def test_plot_is_a_png_file(tmp_path: Path) -> None:
    from benchmarks.plot import draw

    draw([sample_sweep()], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


# The program


def test_program_prints_and_writes_the_chosen_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--quick", "--seconds", "0.05", "--case", "echo", "--no-peers", "--output", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "RPC echo, 8 sessions" in printed
    assert "Depends" not in printed
    assert (tmp_path / "figures.md").read_text() in printed


def test_program_lists_the_cases_for_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options_of(["--case", "nothing"])
    assert "fan_out_1000" in capsys.readouterr().err
