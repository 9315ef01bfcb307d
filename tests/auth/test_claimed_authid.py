"""A claimed authid becomes that of the session only if the client has proven it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.auth.peers import (
    PROOFS,
    Method,
    TicketClient,
    authenticate,
    find_argon2_credential,
    find_keys,
    find_requirement,
    wire,
)
from tests.specification import AUTHENTICATE, EVENT, SUBSCRIBE, SUBSCRIBED
from wampasgi import Application, Identity, Realm, Session
from wampasgi.auth import Accepted, Authenticate

pytestmark = pytest.mark.anyio


async def test_events_do_not_reach_a_session_that_only_claims_their_receiver() -> None:
    realm = Realm("office")
    realm.set_ticket_authenticator(lambda ticket: "somebody")
    realm.allow("for.alice", "subscribe")
    async with wire(Application([realm])) as connection:
        await authenticate(connection, TicketClient("alice"))
        assert (await connection.ask(SUBSCRIBE, 1, {}, "for.alice"))[0] == SUBSCRIBED
        await realm.publish("for.alice", "secret", options={"eligible_authid": ["alice"]})
        await realm.publish("for.alice", "public")
        event = await connection.receive()

    assert (event[0], event[4]) == (EVENT, ["public"])


# Methods with a proof of the authid


def use(method: str, realm: Realm, identity: Callable[[Session], object]) -> None:
    if method == "wampcra":
        realm.set_cra_handlers(find_requirement, identity)
    elif method == "wamp-scram":
        realm.set_scram_handlers(find_argon2_credential, identity)
    else:
        realm.set_cryptosign_handlers(find_keys, identity)


each_proof = pytest.mark.parametrize(
    "method", [PROOFS[name] for name in ("wampcra", "wamp-scram argon2id13", "cryptosign")]
)


@each_proof
@pytest.mark.parametrize("identity", ["joe", Identity(), Identity(user="Joe", authrole="clerk")])
async def test_proven_authid_stays(method: Method, identity: object) -> None:
    realm = Realm("office")
    use(method.name, realm, lambda session: identity)
    async with wire(Application([realm])) as connection:
        welcome = await authenticate(connection, method.client("joe"))

    assert welcome[2]["authid"] == "joe"


@each_proof
async def test_claim_that_changes_after_the_challenge_is_not_proven(method: Method) -> None:
    def change(session: Session) -> str:
        session.claim_authid("alice")
        return "joe"

    realm = Realm("office")
    use(method.name, realm, change)
    async with wire(Application([realm])) as connection:
        welcome = await authenticate(connection, method.client("joe"))

    assert welcome[2]["authid"] == "joe"


@pytest.mark.parametrize("method", [PROOFS["wamp-scram argon2id13"], PROOFS["cryptosign"]])
async def test_identity_may_name_another_authid_than_the_proven_one(method: Method) -> None:
    realm = Realm("office")
    use(method.name, realm, lambda session: Identity(authid="Joe Doe"))
    async with wire(Application([realm])) as connection:
        welcome = await authenticate(connection, method.client("joe"))

    assert welcome[2]["authid"] == "Joe Doe"


# Methods of applications


class Knock:
    """A method without a secret, whose exchange returns ``accepted``."""

    name = "knock"
    extra: Mapping[str, Any] = {}

    def __init__(self, accepted: Accepted) -> None:
        self._accepted = accepted

    async def begin(self, session: Session) -> Knock:
        return self

    async def verify(self, answer: Authenticate) -> Accepted:
        return self._accepted


async def authid_with(accepted: Accepted) -> str:
    realm = Realm("office")
    realm.add_challenge_method(Knock(accepted))
    async with wire(Application([realm])) as connection:
        await connection.hello(authid="alice", authmethods=["knock"])
        welcome = await connection.ask(AUTHENTICATE, "knock", {})
    authid: str = welcome[2]["authid"]
    return authid


async def test_method_that_names_no_authid_does_not_confirm_the_claim() -> None:
    for identity in "bob", Identity(), Identity(authrole="member"):
        assert await authid_with(Accepted(identity=identity)) not in ("alice", "bob", "", None)


async def test_method_or_identity_names_the_authid() -> None:
    assert await authid_with(Accepted(identity="somebody", authid="alice")) == "alice"
    assert await authid_with(Accepted(identity=Identity(authid="bob"))) == "bob"
    assert await authid_with(Accepted(identity=Identity(authid="bob"), authid="alice")) == "alice"
