from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.clients.server_process import ServerProcess

# The first run installs the clients.
pytestmark = pytest.mark.timeout(240)

INSTALL_TIMEOUT = 180.0
RUN_TIMEOUT = 20.0

SCRIPTS = Path(__file__).with_name("node")

Steps = dict[str, Any]


def not_installed(reason: str) -> NoReturn:
    pytest.skip(f"clients for Node: {reason}")


def cache_folder(config: pytest.Config, temporary: pytest.TempPathFactory) -> Path:
    """A folder that outlives the test run, if pytest has its cache."""
    cache = getattr(config, "cache", None)
    return temporary.mktemp("node-clients") if cache is None else Path(cache.mkdir("node-clients"))


def install(npm: str, folder: Path) -> None:
    """Install the clients into ``folder``, which appears when they are complete.

    Of two processes that do it at once, the first one's is kept.
    """
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix="unfinished-"))
    try:
        shutil.copy(SCRIPTS / "package.json", unfinished)
        command = [
            npm,
            "install",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
            "--no-progress",
        ]
        installed = subprocess.run(
            command,
            cwd=unfinished,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_TIMEOUT,
            check=False,
        )
        if installed.returncode:
            not_installed(f"npm install ended with {installed.returncode}:\n{installed.stdout}")
        try:
            unfinished.rename(folder)
        except OSError:
            # Another process was faster.
            if not folder.is_dir():
                raise
    except subprocess.TimeoutExpired:
        not_installed(f"npm install took longer than {INSTALL_TIMEOUT} s")
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@pytest.fixture(scope="module")
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder whose node_modules has the clients."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None:
        pytest.skip("clients for Node: there is no node on the PATH")
    if npm is None:
        not_installed("there is no npm on the PATH")
    version = hashlib.sha256((SCRIPTS / "package.json").read_bytes()).hexdigest()[:16]
    folder = cache_folder(request.config, tmp_path_factory) / version
    if not folder.is_dir():
        install(npm, folder)
    return folder


def run_client(installed: Path, client: str, *arguments: str) -> Steps:
    """Run a client and return what it reported, by step."""
    ended = subprocess.run(
        ["node", str(SCRIPTS / f"{client}_client.mjs"), str(installed), *arguments],
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT,
        check=False,
    )
    assert ended.returncode == 0, f"{client} failed after\n{ended.stdout}with\n{ended.stderr}"
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    return {line["step"]: line["value"] for line in lines}


CLIENTS = [(client, format) for client in ("autobahn", "wampy") for format in ("json", "msgpack", "cbor")]


@pytest.fixture(scope="module", params=CLIENTS, ids="-".join)
def calls(installed: Path, server: ServerProcess, request: pytest.FixtureRequest) -> Steps:
    """What a client reported of its calls."""
    client, serializer = request.param
    return run_client(installed, client, server.url, serializer, "calls") | {"serializer": serializer}


@pytest.fixture(scope="module", params=CLIENTS, ids="-".join)
def events(installed: Path, server: ServerProcess, request: pytest.FixtureRequest) -> Steps:
    """What a client reported of its subscriptions and publications."""
    client, serializer = request.param
    return run_client(installed, client, server.url, serializer, "events")


def positional(result: Any) -> Any:
    """The one positional value of a result: autobahn-js unwraps it, wampy does not."""
    return result["args"][0] if isinstance(result, dict) else result


def test_session_opens_with_the_serializer_that_the_client_asked_for(calls: Steps) -> None:
    assert calls["joined"]["protocol"] == f"wamp.2.{calls['serializer']}"
    assert 1 <= calls["joined"]["id"] <= 2**53


def test_call_takes_args_and_kwargs(calls: Steps) -> None:
    assert positional(calls["result"]) == 5


def test_call_takes_kwargs_alone(calls: Steps) -> None:
    assert positional(calls["kwargs alone"]) == 9


def test_payload_comes_back_as_it_was_sent(calls: Steps) -> None:
    assert calls["echo"] == {"args": [1, "Zoë", None], "kwargs": {"deep": [{"a": 1.5}]}}


def test_unknown_procedure_is_an_error(calls: Steps) -> None:
    assert calls["unknown"]["error"] == "wamp.error.no_such_procedure"


def test_argument_that_does_not_fit_is_named(calls: Steps) -> None:
    assert calls["misfit"]["error"] == "wamp.error.invalid_argument"
    assert calls["misfit"]["kwargs"]["errors"][0]["argument"] == "a"


def test_application_error_keeps_its_payload(calls: Steps) -> None:
    assert calls["application error"] == {
        "error": "com.example.out_of_stock",
        "args": ["bolts"],
        "kwargs": {"left": 0},
    }


def test_progress_reports_come_before_the_result(calls: Steps) -> None:
    assert calls["progress"]["progress"] == [
        {"args": [2], "kwargs": {"done": 0}},
        {"args": [1], "kwargs": {"done": 1}},
    ]
    assert positional(calls["progress"]["result"]) == "lift-off"


def test_session_ends_when_the_client_says_goodbye(calls: Steps, server: ServerProcess) -> None:
    assert calls["closed"] == "wamp.close.goodbye_and_out"
    server.wait_for_note(f"closed {calls['joined']['id']}")


def test_event_of_the_server_reaches_the_subscriber(events: Steps) -> None:
    assert events["event"] == {"args": ["rain"], "kwargs": {"until": "noon"}}


def test_acknowledged_publication_reaches_the_servers_subscriber(events: Steps) -> None:
    assert 1 <= events["published"] <= 2**53
    assert events["seen by the server"] == {"args": ["sensors.attic", 21.5], "kwargs": {"unit": "F"}}


def test_publication_that_nothing_allows_is_refused(events: Steps) -> None:
    assert events["refused"] == "wamp.error.not_authorized"


# Calls from client to client


@pytest.fixture(scope="module", params=["json", "msgpack"])
def routed(installed: Path, server: ServerProcess, request: pytest.FixtureRequest) -> Steps:
    """What autobahn-js and wampy, of which one has this serializer, reported of calling each other."""
    return run_client(installed, "routed", server.url, request.param)


def test_each_library_calls_what_the_other_one_has_registered(routed: Steps) -> None:
    assert routed["wampy answers autobahn"] == {
        "args": [1, "Zoë", "clients.wampy.echo"],
        "kwargs": {"deep": [{"a": 1.5}]},
    }
    assert routed["autobahn answers wampy"] == [5]


def test_callee_that_cannot_be_interrupted_is_not_asked_for_progress(routed: Steps) -> None:
    assert routed["progress"] == [None]


def test_errors_pass_between_the_libraries(routed: Steps) -> None:
    assert routed["error"] == {"error": "com.example.failed", "args": ["no"], "kwargs": {"code": 7}}


def test_server_asks_a_client_in_javascript(routed: Steps) -> None:
    assert routed["server asks"] == "Delete? Yes."
