"""A short run of the soak test, to check the test itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.__main__ import leftovers, run_round, start_soak_server, state_of
from tests.soak.shutdown import shut_down

#: With a short timeout for clients that do not answer at the shutdown.
QUICK_PICOWS = ("--ws", "tests.transports.quick_protocol:QuickProtocol")


@pytest.mark.parametrize(("kind", "options"), [("uvicorn-asyncio", ()), ("picows", QUICK_PICOWS)])
def test_short_soak_leaves_nothing_behind(kind: str, options: tuple[str, ...], tmp_path: Path) -> None:
    server = start_soak_server(kind, tmp_path, *options)
    try:
        problems: list[str] = []
        state = run_round(server, "short", 20, 2, state_of(server), problems)
        problems += shut_down(server)
    finally:
        server.kill()

    assert problems == []
    assert state["events"] > 0
    assert "Traceback" not in server.log


def test_leftovers_are_objects_that_did_not_exist_before() -> None:
    before = {"living": {"asyncio.Task": 2, "wampasgi.realm.Realm": 1}}
    after = {
        "left": {"sessions": 0, "subscriptions": 3},
        "living": {"asyncio.Task": 4, "wampasgi.realm.Realm": 1, "wampasgi.peers.peer.Peer": 1},
    }

    assert leftovers(after, before) == [
        "3 subscriptions left",
        "2 asyncio.Task left",
        "1 wampasgi.peers.peer.Peer left",
    ]
