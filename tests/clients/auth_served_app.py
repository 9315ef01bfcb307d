"""The application for the authentication tests with real clients: one realm for each method."""

from __future__ import annotations

from typing import Any

from tests.auth.peers import SECRET, find_identity, use_cra, use_cryptosign, use_salted_cra, use_ticket
from wampasgi import Application, Identity, Realm, SCRAMCredential, Session
from wampasgi.auth.autobahn_scram import AutobahnSCRAMMethod, autobahn_scram_credential

CREDENTIAL = autobahn_scram_credential(SECRET, iterations=1, memory=64)


async def find_credential(session: Session) -> SCRAMCredential | None:
    return CREDENTIAL if session.authid in ("joe", "denied") else None


def use_autobahn_scram(realm: Realm) -> None:
    realm.add_challenge_method(AutobahnSCRAMMethod(find_credential, find_identity))


async def find_owner(ticket: str) -> Identity | None:
    """Return the owner of a token, whatever authid the client claims, and no authid."""
    return Identity(user={"name": "joe"}, authrole="clerk") if ticket == SECRET else None


def use_token(realm: Realm) -> None:
    realm.set_ticket_authenticator(find_owner)


async def whoami(session: Session) -> dict[str, Any]:
    return {"authid": session.authid, "role": session.authrole, "identity": session.identity}


app = Application(allow_default_realm=False)
for name, use in {
    "ticket": use_ticket,
    "token": use_token,
    "wampcra": use_cra,
    "salted": use_salted_cra,
    "cryptosign": use_cryptosign,
    "scram": use_autobahn_scram,
}.items():
    realm = Realm(name)
    use(realm)
    realm.procedure("whoami")(whoami)
    app.add_realm(realm)
