"""Ticket authentication."""

from __future__ import annotations

import pytest

from tests.auth.peers import SECRET, TicketClient, authenticate, wire
from tests.specification import ABORT, AUTHENTICATE, AUTHENTICATION_FAILED, CALL, CHALLENGE, WELCOME
from wampasgi import Application, Identity, Realm, Session

pytestmark = pytest.mark.anyio

FAILED = [ABORT, {"message": "authentication failed"}, AUTHENTICATION_FAILED]


def token_app(identity: object) -> Application:
    """Return an application with an authenticator that ignores the authid that a client claims."""
    realm = Realm("office")
    realm.set_ticket_authenticator(lambda ticket: identity if ticket == SECRET else None)

    @realm.procedure("whoami")
    async def whoami(session: Session) -> str | None:
        return session.authid

    return Application([realm])


@pytest.mark.parametrize(
    "identity", ["bob", {"name": "bob"}, Identity(), Identity(user="bob"), Identity(authrole="member")]
)
async def test_token_of_one_user_does_not_open_a_session_of_another(identity: object) -> None:
    app = token_app(identity)
    authids = set()
    for _ in range(2):
        async with wire(app) as connection:
            welcome = await authenticate(connection, TicketClient("alice"))
            assert welcome[0] == WELCOME
            authids.add(welcome[2]["authid"])
            assert (await connection.ask(CALL, 1, {}, "whoami"))[3] == [welcome[2]["authid"]]

    assert len(authids) == 2
    assert not authids & {"alice", "", None}


async def test_authid_of_the_identity_wins_over_the_claim() -> None:
    async with wire(token_app(Identity(authid="bob"))) as connection:
        welcome = await authenticate(connection, TicketClient("alice"))

    assert welcome[2]["authid"] == "bob"


async def test_authenticator_may_confirm_the_claim() -> None:
    realm = Realm("office")
    realm.set_ticket_authenticator(lambda session: Identity(authid=session.authid))
    async with wire(Application([realm])) as connection:
        welcome = await authenticate(connection, TicketClient("alice"))

    assert welcome[2]["authid"] == "alice"


async def test_comparison_as_ticket_authenticator_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    for ticket in ("sesame", "guessed"):
        realm = Realm("office")
        realm.set_ticket_authenticator(lambda ticket: ticket == "sesame")
        async with wire(Application([realm])) as connection:
            assert await authenticate(connection, TicketClient("joe", ticket)) == FAILED

    assert "returned True" in caplog.text
    assert "returned False" in caplog.text
    assert "sesame" not in caplog.text.replace('"sesame"', "")


@pytest.mark.parametrize("claim", [{}, {"authid": "alice"}])
async def test_authenticator_gets_the_ticket_and_the_claimed_authid(claim: dict[str, str]) -> None:
    realm, seen = Realm("office"), []

    async def authenticator(session: Session, ticket: str) -> Identity:
        seen.append((session.authid, ticket))
        return Identity(authid="owner of the ticket", authrole="member")

    realm.set_ticket_authenticator(authenticator)
    async with wire(Application([realm])) as connection:
        assert await connection.hello(authmethods=["ticket"], **claim) == [CHALLENGE, "ticket", {}]
        welcome = await connection.ask(AUTHENTICATE, SECRET, {"ignored": True})

    assert seen == [(claim.get("authid"), SECRET)]
    details = welcome[2]
    assert (details["authid"], details["authrole"]) == ("owner of the ticket", "member")
    assert details["authmethod"] == "ticket"
