"""Tests of the JavaScript programs in docs/clients.md: the blocks marked ``js client``.

Each runs in Node while uvicorn serves the page's ``myapp.py``, and must print the text of the comments after
its ``console.log`` calls.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.clients.server_process import start_server

# The fixture `installed` is found by its name.
from tests.clients.test_node_clients import RUN_TIMEOUT
from tests.clients.test_node_clients import installed as installed
from tests.test_docs import BLOCKS, ROOT, SERVED_AT, Block, blocks_marked

# The first run installs the clients.
pytestmark = pytest.mark.timeout(240)

# Node has its own WebSocket since version 22.
PRELUDE = "globalThis.WebSocket ??= require('ws');\n"

# A browser reports an exception of an event listener, and goes on. Node would end.
LIKE_A_BROWSER = """
globalThis.WebSocket = class extends globalThis.WebSocket {
  set onmessage(listener) {
    super.onmessage = (event) => {
      try {
        listener(event);
      } catch ({ message }) {
        console.log(`uncaught: ${message}`);
      }
    };
  }
};
"""


@pytest.fixture
def import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the server imports its app from."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT))))
    return tmp_path


def run_in_node(program: str, block: Block, installed: Path, folder: Path) -> list[str]:
    """Run a program while the app of the block's page is served, and return the lines that it prints."""
    [app] = [other.code for other in BLOCKS if other.page == block.page and other.file_name == "myapp.py"]
    (folder / "myapp.py").write_text(app)
    server = start_server("uvicorn", "myapp:app", folder)
    try:
        (folder / "client.cjs").write_text(PRELUDE + program.replace(SERVED_AT, server.url))
        finished = subprocess.run(
            ["node", str(folder / "client.cjs")],
            env={**os.environ, "NODE_PATH": str(installed / "node_modules")},
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT,
        )
    finally:
        server.stop()
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout.splitlines()


@blocks_marked("js client")
def test_program_prints_the_text_of_its_comments(
    block: Block, request: pytest.FixtureRequest, import_path: Path
) -> None:
    printed = run_in_node(block.code, block, request.getfixturevalue("installed"), import_path)

    expected = re.findall(r"console\.log\(.*; // (.*)$", block.code, re.MULTILINE)
    assert [line for line in printed if line in expected] == expected != [], printed
    assert "taken: 2 tea" in printed
    assert [line for line in printed if line.startswith("shelf")] == ["shelf 1", "shelf 2"]


def test_autobahn_js_loses_progress_with_es6_promises(
    request: pytest.FixtureRequest, import_path: Path
) -> None:
    [block] = [block for block in BLOCKS if block.marks == "js client" and "autobahn" in block.code]
    changed = block.code.replace("  realm: 'shop',", "  realm: 'shop',\n  use_es6_promises: true,")
    assert changed != block.code

    printed = run_in_node(LIKE_A_BROWSER + changed, block, request.getfixturevalue("installed"), import_path)

    assert "uncaught: d.notify is not a function" in printed
    assert [line for line in printed if line.startswith("shelf")] == []
    assert "20" in printed
