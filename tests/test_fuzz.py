"""The parts of the fuzzing that need no fuzzer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_fuzzing_without_atheris_says_so() -> None:
    # As if it were not installed, also where it is.
    code = (
        "import sys, runpy; sys.modules['atheris'] = None; "
        "runpy.run_module('tests.fuzz', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "atheris is not installed for Python 3." in done.stderr
