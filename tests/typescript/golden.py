"""The descriptions of these tests, and the files that are generated from them.

``python -m tests.typescript.golden`` writes the files again.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from wampasgi.typescript import UntypedValueWarning, generate

FOLDER = Path(__file__).parent
NAMES = ("shop", "features")


def description(name: str) -> Any:
    return json.loads((FOLDER / "descriptions" / f"{name}.json").read_text(encoding="utf-8"))


def golden_file(name: str) -> Path:
    return FOLDER / "generated" / f"{name}.ts"


def generated(name: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UntypedValueWarning)
        return generate(description(name))


if __name__ == "__main__":
    for name in NAMES:
        golden_file(name).write_text(generated(name), encoding="utf-8")
