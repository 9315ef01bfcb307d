"""The sessions of other workers."""

from __future__ import annotations

import pytest

from tests.router.session_details import Details
from tests.simulation.world import World
from wampasgi.protocol.messages import Message
from wampasgi.router.interfaces import MetaSession
from wampasgi.router.realm_channel import RealmChannel
from wampasgi.router.remote_sessions import AllSessions, RemoteSession, row_of


class SilentRelay:
    def __init__(self) -> None:
        self.sent: list[Message] = []

    def relay(self, session: RemoteSession, message: Message) -> None:
        self.sent.append(message)

    def skip(self, session: RemoteSession, call_id: int) -> None:
        raise AssertionError("no call is made")


def remote(session_id: int) -> RemoteSession:
    return RemoteSession(7, session_id, RealmChannel("realm"), SilentRelay())


def test_a_row_restores_identity_and_features() -> None:
    world = World(0, 1)
    client = world.client(world.workers[0], number=1)
    row = row_of(client.id, client, client.router.dealer.sessions[client.id])
    session = remote(client.id)

    session.identify(*row[2:])

    assert (session.authid, session.authrole) == (client.authid, client.authrole)
    assert session.authentication.authmethod == "ticket"
    assert session.authentication.authprovider == "static"
    features = session.details["roles"]["callee"]["features"]
    assert set(features) == set(client.router.dealer.sessions[client.id].callee_features)


def test_equal_features_of_sessions_are_shared() -> None:
    sessions = [remote(session_id) for session_id in (11, 12)]
    for session in sessions:
        session.identify("alice", "user", "ticket", "static", ["a"], ["b"])

    assert sessions[0].details is sessions[1].details
    assert sessions[0].authentication is sessions[1].authentication


def test_all_sessions_have_those_of_this_worker_and_the_listed_others() -> None:
    own: dict[int, MetaSession] = {1: Details(authid="own")}
    listed, unlisted = remote(11), remote(12)
    sessions = AllSessions(own, {11: listed, 12: unlisted}, lambda session_id: session_id == 11)

    assert list(sessions) == [1, 11]
    assert len(sessions) == 2
    assert sessions[11] is listed
    assert 12 not in sessions
    with pytest.raises(KeyError):
        sessions[12]


def test_invocations_of_all_remote_callees_have_different_ids() -> None:
    world = World(0, 2)
    one, other = world.workers
    caller, first, second = world.client(one), world.client(other), world.client(other)
    first.register("exact", "com.p.held", {})
    second.register("exact", "com.q.held", {})
    world.settle()

    for procedure in "com.p.held", "com.q.held":
        caller.call(procedure, {})

    sessions = one.router.dealer.sessions
    ids = [*sessions[first.id].invocations, *sessions[second.id].invocations]
    assert len(set(ids)) == 2
