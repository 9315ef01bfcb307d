from __future__ import annotations

import subprocess
import sys

import wampasgi.client


def test_client_is_imported_without_the_server_pydantic_and_websockets() -> None:
    program = "import sys, wampasgi.client; print(*sorted(sys.modules))"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    modules = set(output.split())

    assert "wampasgi.client.session" in modules
    for name in "starlette", "pydantic", "websockets", "trio", "wampasgi.application":
        assert name not in modules


def test_all_names_are_exported_in_order() -> None:
    assert wampasgi.client.__all__ == sorted(wampasgi.client.__all__)
    for name in wampasgi.client.__all__:
        assert getattr(wampasgi.client, name) is not None
