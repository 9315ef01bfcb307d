"""A short run of the soak test, to check the test itself."""

from __future__ import annotations

from pathlib import Path

from tests.clients.server_process import start_server
from tests.soak.__main__ import leftovers, run_round, state_of


def test_short_soak_leaves_nothing_behind(tmp_path: Path) -> None:
    server = start_server("uvicorn-asyncio", "tests.soak.app:app", tmp_path)
    try:
        problems: list[str] = []
        state = run_round(server, "short", 20, 2, state_of(server), problems)
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
