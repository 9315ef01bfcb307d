"""Tests of typed sessions: a program in TypeScript uses a server, with autobahn-js and with wampy."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.server_process import ServerProcess, start_server
from tests.typescript.conftest import NODE, compile_folder, prepare_project
from tests.typescript.served_app import shop
from wampasgi.typescript import UntypedValueWarning, generate

# The first run installs the compiler and the clients.
pytestmark = pytest.mark.timeout(240)

RUN_TIMEOUT = 20.0

Steps = dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = start_server("uvicorn", "tests.typescript.served_app:app", tmp_path_factory.mktemp("server"))
    try:
        yield server
        assert "could not be served" not in server.log, server.log
    finally:
        server.stop()


@pytest.fixture(scope="module")
def program(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled program."""
    folder = tmp_path_factory.mktemp("program")
    prepare_project(folder, packages)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UntypedValueWarning)
        (folder / "served.ts").write_text(generate(shop.describe().to_dict()))
    shutil.copy(NODE / "client.ts", folder)
    shutil.copy(NODE / "run_client.mjs", folder)
    # Most projects do not distinguish properties that are undefined from those that are missing.
    options = ("--noEmit", "false", "--lib", "ES2022,DOM", "--exactOptionalPropertyTypes", "false")
    assert compile_folder(folder, *options) == ""
    return folder


@pytest.fixture(scope="module", params=["autobahn", "wampy"])
def steps(request: pytest.FixtureRequest, program: Path, server: ServerProcess) -> Steps:
    """The reports of the program with one library."""
    ended = subprocess.run(
        ["node", str(program / "run_client.mjs"), request.param, server.url],
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT,
        check=False,
    )
    assert ended.returncode == 0, f"{request.param} failed after\n{ended.stdout}with\n{ended.stderr}"
    # autobahn-js says there that the connection is closed.
    assert "unhandled" not in ended.stderr.lower(), ended.stderr
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    return {line["step"]: line["value"] for line in lines}


def test_single_value_is_the_result(steps: Steps) -> None:
    assert steps["created"] == [{"sku": "cup", "quantity": 2, "size": "small"}]
    assert steps["found"] is True
    assert steps["label"] == {"large": 3}


def test_named_arguments_reach_the_procedure(steps: Steps) -> None:
    assert steps["parent"] is True
    assert steps["count by name"] == 10


def test_result_without_values_is_null(steps: Steps) -> None:
    assert steps["forgotten"] is None
    assert steps["not found"] is None
    assert steps["echo of nothing"] is None


def test_several_values_are_an_array(steps: Steps) -> None:
    assert steps["range"] == {"least": 1, "most": 20}
    assert steps["echo of two"] == [1, [2]]


def test_result_of_any_length_is_always_an_array(steps: Steps) -> None:
    assert steps["first 0"] == []
    assert steps["first 1"] == ["cup"]
    assert steps["first 2"] == ["cup", "pot"]


def test_object_that_looks_like_a_result_is_unchanged(steps: Steps) -> None:
    assert steps["echo of one"] == "one"
    assert steps["echo of an object"] == {"args": [], "kwargs": {}}


def test_keyword_arguments_are_in_the_result(steps: Steps) -> None:
    assert steps["echo of both"] == {"args": [1], "kwargs": {"two": 2}}


def test_undefined_argument_is_not_sent(steps: Steps) -> None:
    assert steps["undefined"] == {"small": 3}


def test_progress_reaches_the_callback(steps: Steps) -> None:
    assert steps["shares"][:4] == [0, 0.25, 0.5, 0.75]
    assert steps["count"] == 40
    assert steps["without progress"] == 20


def test_error_has_its_typed_payload(steps: Steps) -> None:
    assert steps["sold out"] == {"left": 0, "sku": "tea"}
    assert steps["is another error"] is False


def test_invalid_argument_names_the_value(steps: Steps) -> None:
    assert steps["invalid"] == [["lines", 0, "quantity"]]


def test_refused_subscription_and_publication_are_errors(steps: Steps) -> None:
    assert steps["refused"] == ["wamp.error.not_authorized", True, "WampError"]
    assert steps["publication refused"] == "wamp.error.not_authorized"


def test_aborted_signal_cancels_the_call(steps: Steps) -> None:
    assert steps["canceled"] is True
    assert steps["canceled before"] is True


def test_event_reaches_the_handler(steps: Steps) -> None:
    assert steps["event"] is True
    assert steps["reading"] == {
        "topic": "shop.sensors.kitchen",
        "value": 21.5,
        "args": ["shop.sensors.kitchen", 21.5],
        "of": "shop.readings",
    }
    assert steps["notice"] == {"args": ["closed"], "kwargs": {"until": "noon"}}


def test_handler_gets_no_events_after_the_end_of_the_subscription(steps: Steps) -> None:
    assert steps["events after the end"] == []
