"""The parts of the fuzzing tool that do not need a fuzzer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_fuzzing_without_atheris_prints_an_error() -> None:
    # Simulates a missing atheris even if it is installed.
    code = (
        "import sys, runpy; sys.modules['atheris'] = None; "
        "runpy.run_module('tests.fuzz', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "atheris is not installed for Python 3." in done.stderr
