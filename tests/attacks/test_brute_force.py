"""Thousands of wrong logins, while others use the server and log in."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import picows
import pytest

from tests.attacks.attack import OVERHEAD, PRODUCTION, attacked, wait_until
from tests.auth.peers import SECRET
from tests.specification import ABORT, AUTHENTICATE, CHALLENGE, HELLO, WELCOME
from wampasgi.auth.failed_logins import LONGEST_WIDE_DELAY
from wampasgi.logs import INTERVAL, LINES_OF_ADDRESS

ATTEMPTS = 2000
CONNECTIONS = 40
FAILURES_ELSEWHERE = 5
#: Addresses that uvicorn takes from X-Forwarded-For.
ATTACKER, HEALTHY, UNLUCKY = "203.0.113.66", "203.0.113.1", "203.0.113.7"
#: In seconds, for a busy machine.
SLACK = 3.0


class Login(picows.WSListener):
    """One attempt to log in with a ticket."""

    transport: picows.WSTransport

    def __init__(self, realm: str, authid: str, ticket: str) -> None:
        self._hello = [HELLO, realm, {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": authid}]
        self._ticket = ticket
        self._messages: asyncio.Queue[list[Any]] = asyncio.Queue()

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type is picows.WSMsgType.TEXT:
            self._messages.put_nowait(orjson.loads(frame.get_payload_as_bytes()))
        elif frame.msg_type is picows.WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    async def ask(self, *message: Any) -> list[Any]:
        self.transport.send(picows.WSMsgType.TEXT, orjson.dumps(message))
        return await self._messages.get()

    async def run(self, url: str, address: str) -> list[Any]:
        """Log in from an address, and return WELCOME or ABORT."""
        headers = {"Sec-WebSocket-Protocol": "wamp.2.json", "X-Forwarded-For": address}
        await picows.ws_connect(lambda: self, url, extra_headers=headers, websocket_handshake_timeout=30)
        answer = await self.ask(*self._hello)
        return await self.ask(AUTHENTICATE, self._ticket, {}) if answer[0] == CHALLENGE else answer


@dataclass
class Measured:
    """The attacker's answers by reason, and the seconds that the logins of others took."""

    answers: Counter[str] = field(default_factory=Counter)
    logins: dict[str, list[float]] = field(default_factory=dict)
    duration: float = 0.0

    def __str__(self) -> str:
        longest = ", ".join(f"{who} {max(times):.3f} s of {len(times)}" for who, times in self.logins.items())
        return (
            f"{self.answers.total()} wrong logins in {self.duration:.1f} s: {dict(self.answers)}; "
            f"longest logins of others: {longest}"
        )


class Guesses:
    """Wrong logins on a realm while others log in, too."""

    def __init__(self, url: str, realm: str) -> None:
        self._url = url
        self._realm = realm
        self._left = ATTEMPTS
        self.measured = Measured()

    async def run(self) -> Measured:
        async with asyncio.timeout(50):
            started = time.monotonic()
            attack = asyncio.gather(*(self._guess() for _ in range(CONNECTIONS)), self._fail_elsewhere())
            others = [
                # A user at the usual address, and at the attacker's.
                asyncio.create_task(self._log_in(attack, "healthy", "ann", HEALTHY)),
                asyncio.create_task(self._log_in(attack, "neighbour", "ann", ATTACKER)),
                # The victim, whose authid is attacked, at its own address.
                asyncio.create_task(self._log_in(attack, "victim", "joe", HEALTHY)),
            ]
            await attack
            self.measured.duration = time.monotonic() - started
            await asyncio.gather(*others)
        return self.measured

    async def _guess(self) -> None:
        while self._left:
            self._left -= 1
            login = Login(self._realm, "joe", f"guess{self._left}")
            answer = await login.run(self._url, ATTACKER)
            assert answer[0] == ABORT, answer
            self.measured.answers[answer[2].rpartition(".")[2]] += 1
            login.transport.disconnect()

    async def _fail_elsewhere(self) -> None:
        for number in range(FAILURES_ELSEWHERE):
            login = Login("home", "bob", f"guess{number}")
            assert (await login.run(self._url, UNLUCKY))[0] == ABORT
            login.transport.disconnect()

    async def _log_in(self, attack: asyncio.Future[Any], who: str, authid: str, address: str) -> None:
        times = self.measured.logins.setdefault(who, [])
        while not attack.done() or not times:
            started = time.monotonic()
            login = Login(self._realm, authid, SECRET)
            assert (await login.run(self._url, address))[0] == WELCOME
            times.append(time.monotonic() - started)
            login.transport.disconnect()


FAILED = re.compile(r"authentication failed from (\S+) on realm '(\w+)': authid '(\w+)'", re.MULTILINE)


def check_log(log: str, duration: float) -> None:
    """Check that the attack has not hidden the failures on another realm."""
    lines = Counter(FAILED.findall(log))
    assert lines.pop((UNLUCKY, "home", "bob")) == FAILURES_ELSEWHERE
    assert {address for address, *_ in lines} == {ATTACKER}
    assert 10 < lines.total() <= 2 * LINES_OF_ADDRESS * (duration // INTERVAL + 2)


@pytest.mark.parametrize("kind", PRODUCTION)
def test_attack_on_one_authid_slows_and_hides_nobody_else(kind: str, tmp_path: Path) -> None:
    with attacked("wrong logins", kind, "guessed", tmp_path) as attack:
        measured = asyncio.run(Guesses(attack.server.url, "office").run())
        found: Any = attack.call("failures")
        attack.report()
        growth, log = attack.growth(), attack.server.log

    print(measured)
    # Nearly all guesses are refused unverified.
    assert measured.answers["authentication_failed"] < 15 + measured.duration
    assert max(measured.logins["healthy"]) < SLACK
    assert max(measured.logins["neighbour"]) < LONGEST_WIDE_DELAY + SLACK
    assert max(measured.logins["victim"]) < LONGEST_WIDE_DELAY + SLACK
    counts = found["metrics"]["office"]["authentication_failures"]
    assert counts == {
        "ticket:wrong_proof": measured.answers["authentication_failed"],
        "ticket:limited": measured.answers["unavailable"],
    }
    assert sum(counts.values()) == ATTEMPTS
    assert found["metrics"]["home"]["authentication_failures"] == {"ticket:wrong_proof": FAILURES_ELSEWHERE}
    assert growth < OVERHEAD
    check_log(log, measured.duration)


@pytest.mark.parametrize("kind", PRODUCTION)
def test_wrong_logins_without_a_limit_are_counted_and_reported(kind: str, tmp_path: Path) -> None:
    def handled() -> int:
        """Return the number of failures that were reported or dropped."""
        found: Any = attack.call("failures")
        unreported: int = found["metrics"]["unlimited"]["authentication"]["unreported"]
        return found["reported"].get("wrong_proof", 0) + unreported  # type: ignore[no-any-return]

    with attacked("wrong logins without a limit", kind, "guessed", tmp_path) as attack:
        measured = asyncio.run(Guesses(attack.server.url, "unlimited").run())
        # The last failures are reported after their clients have gone.
        wait_until(lambda: handled() == ATTEMPTS + FAILURES_ELSEWHERE)
        counts: Any = attack.call("failures")
        attack.report()
        growth, log = attack.growth(), attack.server.log

    print(measured)
    assert measured.answers == {"authentication_failed": ATTEMPTS}
    assert max(max(times) for times in measured.logins.values()) < SLACK
    failures = counts["metrics"]["unlimited"]["authentication_failures"]
    assert failures == {"ticket:wrong_proof": ATTEMPTS}
    assert growth < OVERHEAD
    check_log(log, measured.duration)
