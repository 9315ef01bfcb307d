from __future__ import annotations

import runpy
import sys
from types import ModuleType
from typing import Any

import pytest

from wampasgi.errors import ConfigurationError
from wampasgi.transports import picows_parser
from wampasgi.transports.picows_parser import PICOWS_VERSION, write_to


def picows(version: str | None = f"{PICOWS_VERSION}.9", *, without: str = "") -> dict[str, Any]:
    """Return modules that look like picows, for ``sys.modules``."""
    package, extension = ModuleType("picows"), ModuleType("picows.picows")
    if version is not None:
        vars(package)["__version__"] = version
    names = {"WSAutoPingStrategy", "WSListener", "WSProtocol"} - {without}
    vars(extension).update(dict.fromkeys(names, object), WSMsgType=_Types)
    return {"picows": package, "picows.picows": extension}


class _Types:
    TEXT = BINARY = CONTINUATION = PING = PONG = object()


def import_again(monkeypatch: pytest.MonkeyPatch, modules: dict[str, Any]) -> None:
    """Run the module with other modules of picows. The one that is imported stays as it is."""
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    runpy.run_path(picows_parser.__file__)


@pytest.mark.parametrize("patch", ["0", "1", "99", "0rc1"])
def test_every_version_with_the_same_minor_version_is_used(
    patch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_again(monkeypatch, picows(f"{PICOWS_VERSION}.{patch}"))


@pytest.mark.parametrize(
    ("modules", "text"),
    [
        ({"picows": None}, "it is not installed"),
        (picows("2.2.9"), "the installed version is 2.2.9"),
        (picows("2.30.0"), "the installed version is 2.30.0"),
        (picows("3.3.0"), "the installed version is 3.3.0"),
        (picows("1.3.0"), "the installed version is 1.3.0"),
        (picows(None), "the installed version cannot be used"),
        (picows(without="WSListener"), "has no WSListener"),
        (picows(without="WSProtocol"), "has no WSProtocol"),
    ],
    ids=["missing", "older", "30", "newer", "oldest", "no version", "no listener", "no protocol"],
)
def test_unusable_picows_is_refused(
    modules: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        import_again(monkeypatch, modules)

    message = str(raised.value)
    assert message.startswith(f"wampasgi.transports.picows needs picows {PICOWS_VERSION}, but ")
    assert text in message
    assert message.endswith("Install it with: pip install 'wampasgi[fast]'. Or start uvicorn without --ws.")


def test_data_is_written_in_pieces_that_fit_into_the_buffer() -> None:
    buffer, parsed = memoryview(bytearray(4)), []

    def parse(nbytes: int) -> None:
        parsed.append(bytes(buffer[:nbytes]))

    write_to(lambda sizehint: buffer, parse, b"0123456789")
    write_to(lambda sizehint: buffer, parse, b"")

    assert parsed == [b"0123", b"4567", b"89"]
