from __future__ import annotations

from types import ModuleType

import pytest

from wampasgi import Application, Limits, Realm
from wampasgi.cli import server_options
from wampasgi.cli.server_options import picows_protocol, websocket_options
from wampasgi.errors import ConfigurationError


def test_fast_transport_and_the_largest_message_are_options() -> None:
    app = Application(
        [
            Realm("large", limits=Limits(message_size=2_000_000)),
            Realm("small", limits=Limits(message_size=1000)),
        ]
    )

    assert websocket_options(app) == ["--ws", server_options.PICOWS, "--ws-max-size", "2000000"]


def test_own_transport_of_uvicorn_is_used_without_picows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_options, "find_spec", lambda name: None)

    options = websocket_options(Application(limits=Limits(message_size=1000)))

    assert options == ["--ws-per-message-deflate", "false", "--ws-max-size", "1000"]


def test_unsuitable_version_of_picows_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(name: str) -> ModuleType:
        raise ConfigurationError(f"{name} needs picows 2.3, but the installed version is 9.0")

    monkeypatch.setattr(server_options, "import_module", refuse)

    assert picows_protocol() is None
    assert "uvicorn's own WebSocket transport is used: " in capsys.readouterr().err
