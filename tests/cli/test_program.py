from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

from tests.cli.conftest import Write
from tests.cli.program import ROOT, environment, run, run_in_terminal, run_process
from wampasgi import __version__

# Importing these takes most of the time that a command with an app needs.
SLOW_MODULES = {"anyio", "starlette", "yaml", "wampasgi.application"}


def test_help_imports_nothing_slow() -> None:
    # All of them in one process, which has imported none of these before.
    program = (
        "import sys\nfrom wampasgi.cli import main\n"
        "for words in [], ['schema'], ['generate']:\n"
        "    sys.argv = ['wampasgi', *words, '--help']\n"
        "    try:\n        main()\n    except SystemExit as ended:\n        assert not ended.code\n"
        f"    slow = {SLOW_MODULES} & sys.modules.keys()\n"
        "    assert not slow, (words, slow)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=30
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Usage: wampasgi") == 3


def test_version_is_shown(tmp_path: Path) -> None:
    ended = run_process("--version", cwd=tmp_path)

    assert (ended.status, ended.stdout, ended.stderr) == (0, f"wampasgi {__version__}\n", "")


def test_program_has_an_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, function = project["scripts"]["wampasgi"].partition(":")

    assert callable(getattr(import_module(module), function))


def test_unknown_command_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    ended = run("shcema", cwd=tmp_path)

    assert ended.status == 2
    assert ended.stdout == ""
    assert "Usage: wampasgi" in ended.stderr
    assert "Did you mean 'schema'?" in ended.stderr


def test_unknown_option_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    ended = run("schema", "--outptu", "x", cwd=tmp_path)

    assert ended.status == 2
    assert "--output" in ended.stderr


def test_usage_error_of_a_command_shows_its_usage(tmp_path: Path) -> None:
    ended = run("schema", "nothing:app", cwd=tmp_path)

    assert ended.status == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("Usage: wampasgi schema")
    assert "there is no module 'nothing'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_exception_of_the_module_of_the_app_is_shown_alone(write: Write, tmp_path: Path) -> None:
    write("main.py", "1 / 0\n")

    ended = run("schema", cwd=tmp_path)

    assert ended.status == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("main cannot be imported:\n\nTraceback")
    assert ended.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "wampasgi/cli" not in ended.stderr


def test_mistake_in_the_configuration_of_the_app_has_no_traceback(write: Write, tmp_path: Path) -> None:
    write(
        "main.py",
        "import threading\nfrom wampasgi import Application\napp = Application()\n"
        "@app.procedure('wait')\nasync def wait(lock: threading.Lock) -> None: ...\n",
    )

    ended = run("generate", "typescript", cwd=tmp_path)

    assert ended.status == 2
    assert ended.stderr.startswith("Error: main.wait (")
    assert "nothing can fill the parameter 'lock'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_missing_package_of_the_extra_is_named(tmp_path: Path, write: Write) -> None:
    write("typer.py", "raise ModuleNotFoundError(name='typer')\n")

    ended = run_process("--help", cwd=tmp_path)

    assert ended.status == 2
    assert ended.stdout == ""
    assert 'pip install "wampasgi[cli]"' in ended.stderr


def test_help_has_frames_only_in_a_terminal(tmp_path: Path) -> None:
    in_terminal, in_pipe = run_in_terminal("--help", cwd=tmp_path), run("--help", cwd=tmp_path)

    assert in_terminal.status == in_pipe.status == 0
    assert "╭" in in_terminal.stdout
    assert "\x1b[" in in_terminal.stdout
    assert in_pipe.stdout.isascii()


def test_usage_error_in_a_terminal_has_a_frame(tmp_path: Path) -> None:
    ended = run_in_terminal("schema", "nothing:app", cwd=tmp_path)

    assert ended.status == 2
    assert "╭" in ended.stdout
    assert "there is no module 'nothing'" in ended.stdout


def test_ctrl_c_while_modules_are_imported_has_no_traceback(write: Write, tmp_path: Path) -> None:
    # It stands for a module that takes long.
    write("typer.py", "raise KeyboardInterrupt\n")

    ended = run_process("--help", cwd=tmp_path)

    assert (ended.status, ended.stdout, ended.stderr) == (130, "", "")
