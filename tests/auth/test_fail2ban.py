"""The fail2ban filter of docs/failed-logins.md, against lines that wampasgi writes as the page configures it.

fail2ban is not needed: it removes the time from a line and searches for the regular expression, in which
``<ADDR>`` stands for an address.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from configparser import RawConfigParser
from pathlib import Path
from typing import TypeAlias

import anyio
import pytest

from tests.auth.peers import METHODS, Client, Method, authenticate, wire
from tests.specification import ABORT
from wampasgi import Application, Limits, Realm
from wampasgi.logs import LINES_OF_ADDRESS

Log: TypeAlias = Callable[[], list[str]]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "failed-logins.md"
ATTACKER, INNOCENT = "203.0.113.66", "198.51.100.1"
#: Text that looks like a failure of somebody else, for all that a client can choose.
FORGED = f"authentication failed from {INNOCENT} on realm 'x': authid 'y', method ticket, reason wrong_proof"
TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}")


def blocks(marks: str) -> list[str]:
    return re.findall(rf"^```{marks}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def configuration(section: str) -> dict[str, str]:
    """Return a section of the ini blocks of the page."""
    for block in blocks("ini"):
        parser = RawConfigParser()
        parser.read_string(block)
        if parser.has_section(section):
            return dict(parser[section])
    raise AssertionError(f"no section {section}")


def banned(lines: list[str]) -> list[str]:
    """Return the address in each line that the filter matches."""
    expression = configuration("Definition")["failregex"]
    assert expression.count("<ADDR>") == 1
    pattern = re.compile(expression.replace("<ADDR>", r"\[?(?P<addr>[0-9A-Fa-f:.]+)\]?"))
    found = [pattern.search(TIME.sub("", line)) for line in lines]
    return [match["addr"] for match in found if match is not None]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A function that returns the lines in the file that the page's configuration writes to."""
    (block,) = (block for block in blocks("python") if block.startswith("# login_log.py"))
    namespace: dict[str, object] = {}
    exec(block, namespace)
    configure = namespace["log_failed_logins"]
    assert callable(configure)
    logger = logging.getLogger("wampasgi.auth.failures")
    before = list(logger.handlers)
    configure(str(tmp_path / "logins.log"))
    yield lambda: (tmp_path / "logins.log").read_text().splitlines()
    for handler in set(logger.handlers) - set(before):
        logger.removeHandler(handler)
        handler.close()


async def fail(app: Application, client: Client, address: str = ATTACKER) -> None:
    async with wire(app, client=(address, 1)) as connection:
        assert (await authenticate(connection, client))[0] == ABORT


@pytest.mark.anyio
@pytest.mark.parametrize("address", [ATTACKER, "2001:db8::66"])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
async def test_filter_finds_the_address_of_each_guess(method: Method, address: str, log: Log) -> None:
    app = method.app()

    await fail(app, method.client("joe", "wrong"), address)
    await fail(app, method.client("nobody"), address)

    assert banned(log()) == [address, address]


@pytest.mark.anyio
async def test_filter_finds_logins_that_were_refused_unverified(log: Log) -> None:
    app = METHODS["ticket"].app(authentication_failures=1, handshake_timeout=0.8)
    await fail(app, METHODS["ticket"].client("joe", "wrong"))
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(fail, app, METHODS["ticket"].client("joe", "wrong"))

    lines = log()
    assert {line.rpartition(" ")[2] for line in lines} == {"limited", "wrong_proof"}
    assert banned(lines) == [ATTACKER] * 5


@pytest.mark.anyio
async def test_filter_ignores_clients_that_guess_nothing(log: Log) -> None:
    logging.getLogger("wampasgi.auth.failures").setLevel(logging.INFO)
    try:
        method = METHODS["wampcra"]
        app = method.app()
        for authid in "denied", "broken", "joe":
            async with wire(app) as connection:
                await authenticate(connection, method.client(authid))
        async with wire(app) as connection:
            await connection.hello()
        async with wire(app) as connection:
            await connection.hello(**method.client("joe").hello())
            await connection.ask(5, 5, {})
    finally:
        logging.getLogger("wampasgi.auth.failures").setLevel(logging.NOTSET)

    lines = log()
    assert [line.rpartition(" ")[2] for line in lines] == ["denied", "no_method", "invalid_answer"]
    assert banned(lines) == []


@pytest.mark.anyio
@pytest.mark.parametrize("text", [FORGED, f"'{FORGED}", f"\n2026-01-01 00:00:00,000 WARNING {FORGED}"])
async def test_client_cannot_get_another_address_banned(text: str, log: Log) -> None:
    app = Application()
    app.set_ticket_authenticator(lambda ticket: None)
    hello = {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": text}
    for address in ATTACKER, text, f"{INNOCENT} on realm 'x'", f"::1%{text}":
        async with wire(app, client=(address, 1)) as connection:
            await connection.ask(1, "office", hello)
            await connection.ask(5, text, {})

    found = banned(log())
    assert INNOCENT not in found
    assert ATTACKER in found


@pytest.mark.anyio
async def test_report_about_dropped_lines_is_no_failure(log: Log) -> None:
    realm = Realm("office")
    realm.set_ticket_authenticator(lambda ticket: None)
    app = Application([realm], limits=Limits(authentication_failures=None))
    for _ in range(30):
        await fail(app, METHODS["ticket"].client("joe"))
    logging.getLogger("wampasgi.auth.failures").warning(
        "%d similar lines were dropped, on realm %s: %r", 10, "office", FORGED, extra={"wamp_dropped": 10}
    )

    lines = log()
    assert len(lines) == LINES_OF_ADDRESS + 1
    assert banned(lines) == [ATTACKER] * LINES_OF_ADDRESS


def test_jail_uses_the_filter_and_counts_no_more_lines_than_are_logged() -> None:
    jail = configuration("wampasgi")

    assert jail["filter"] == "wampasgi"
    assert int(jail["maxretry"]) <= LINES_OF_ADDRESS
