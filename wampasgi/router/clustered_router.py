"""The router of a realm that several workers serve as if they were one router.

This worker's broker and dealer decide as without others. What they decide for sessions of other workers goes
out as items, and the items of others change this worker's state.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from wampasgi.errors import (
    NETWORK_FAILURE,
    SYSTEM_SHUTDOWN,
    RemoteProtocolError,
    UnserializableValue,
    WAMPError,
)
from wampasgi.metrics import Metrics
from wampasgi.protocol.ids import random_publication_id, random_secret
from wampasgi.protocol.messages import Register
from wampasgi.router.broker import Publication
from wampasgi.router.call_messages import Outgoing
from wampasgi.router.claims import Claims
from wampasgi.router.cluster_items import ItemCode, check_item
from wampasgi.router.completion import Completion
from wampasgi.router.interests import Interests
from wampasgi.router.interfaces import JoinedSession, MetaSession, Recipient, SessionDetails
from wampasgi.router.keyed_ids import keyed_ids
from wampasgi.router.links import ItemTooLarge
from wampasgi.router.meta_procedures import SessionsToClose
from wampasgi.router.meta_reads import ClusterRead, changes_nothing
from wampasgi.router.realm_channel import RealmChannel
from wampasgi.router.relayed_calls import RelayedCalls
from wampasgi.router.remote_sessions import AllSessions, RemoteSession, Unconfirmed, row_of
from wampasgi.router.replicas import Item, MalformedItem
from wampasgi.router.replicated_events import ReplicatedEvents, ReplicatedTestaments
from wampasgi.router.router import Router
from wampasgi.router.shared_secret import SharedSecret
from wampasgi.router.stamps import Stamp
from wampasgi.router.testaments import Testaments
from wampasgi.types import Match

S = TypeVar("S", bound=JoinedSession)

# Each worker publishes these for its own subscribers when the rows of the sessions come and go, so that every
# subscriber gets both of a pair even if frames are lost.
_SESSION_EVENTS: Final = frozenset(["wamp.session.on_join", "wamp.session.on_leave"])


class ClusteredRouter(Router[S]):
    """The router of one realm on one of its workers; the replica of the rows of all others.

    ``report`` is told of publications that cannot be sent to other workers: the topic and the reason.
    ``testaments_published`` is called when this worker has published testaments of a dead one that the
    realm's own handlers are to get.
    """

    def __init__(
        self,
        channel: RealmChannel,
        *,
        now: Callable[[], str],
        private_registrations: bool = False,
        id_key: bytes,
        report: Callable[[str, str], None],
        testaments_published: Callable[[], None],
    ) -> None:
        self.channel = channel
        self._now = now
        self._id_key = id_key
        self._report = report
        self._testaments_published = testaments_published
        self._remote: dict[int, RemoteSession] = {}
        # The IDs of other workers' clients. Other remote sessions are realms' own.
        self._remote_clients: set[int] = set()
        self._snapshots: dict[int, Unconfirmed] = {}
        # The commands to close sessions of other workers, until these have left.
        self._closing: dict[int, Item] = {}
        self._server_ids: set[int] = set()
        # True while events are published for this worker's subscribers alone.
        self._only_here = False
        super().__init__(now=now, private_registrations=private_registrations)
        self._secret = SharedSecret(channel, random_secret())
        self.calls = RelayedCalls(channel, self.dealer, self._remote, self._recipients, self.deliver)
        self.claims = Claims(
            channel,
            self.dealer,
            self._events.registrations,
            serves=self._attached.__contains__,
            now=now,
            deliver=self.deliver,
            publish_meta_events=self.publish_meta_events,
        )
        self.interests = Interests(
            channel,
            self.broker,
            self._events.subscriptions,
            is_client=self._sessions.__contains__,
            now=now,
        )
        self.broker.observer = self.interests
        self.dealer.registrations.observer = self.claims
        self.events = ReplicatedEvents(
            channel,
            self.broker,
            self.retained,
            self.history,
            self._sessions,
            server_id=lambda: next(iter(self._server_ids)),
            distribute=self._send_events,
        )
        self._handlers = self._item_handlers()

    def _item_handlers(self) -> Mapping[int, Callable[[int, Item], None]]:
        return {
            ItemCode.JOIN: self._on_join,
            ItemCode.LEAVE: self._on_leave,
            ItemCode.CALLEE: self._on_callee,
            ItemCode.NO_CALLEE: self.claims.no_callee,
            ItemCode.INTEREST: self._on_interest,
            ItemCode.NO_INTEREST: self.interests.no_interest,
            ItemCode.TESTAMENT: self.testaments.testament,
            ItemCode.NO_TESTAMENTS: self.testaments.no_testaments,
            ItemCode.STORED: self.events.stored,
            ItemCode.KNOWN: self.events.known,
            ItemCode.PUBLISH: self.events.publish,
            ItemCode.CLEAR: self.events.cleared,
            ItemCode.CLOSE: self._on_close,
            ItemCode.REVOKE_CALLEE: self._on_revoke_callee,
            ItemCode.REVOKE_SUBSCRIBERS: self._on_revoke_subscribers,
            ItemCode.INVOKE: self.calls.invoke,
            ItemCode.INTERRUPT: self.calls.interrupt,
            ItemCode.RESULT: self.calls.result,
            ItemCode.ERROR: self.calls.error,
            ItemCode.MOCK_SECRET: self._secret.take,
        }

    def _make_testaments(self) -> Testaments:
        self.testaments = ReplicatedTestaments(
            self.channel, self._sessions, self.history, random_publication_id
        )
        return self.testaments

    def _all_sessions(self) -> Mapping[int, MetaSession]:
        return AllSessions(
            self._attached, self._remote, lambda session_id: session_id in self._remote_clients
        )

    # IDs that are equal on all workers

    def _subscription_ids(self) -> Callable[[Match, str], int]:
        return keyed_ids(self._id_key, self.channel.key, "subscription")

    def _registration_ids(self) -> Callable[[Match, str], int]:
        return keyed_ids(self._id_key, self.channel.key, "registration")

    @property
    def mock_secret(self) -> bytes:
        """The key for mock challenges, which all workers share."""
        return self._secret.value

    # Members

    def attach(self, session_id: int, session: SessionDetails, recipient: Recipient) -> None:
        """Add the realm's own session on this worker."""
        self._server_ids.add(session_id)
        super().attach(session_id, session, recipient)

    def _own_members(self) -> list[int]:
        return list(self._server_ids)

    def join(self, session: S, recipient: Recipient) -> None:
        """Add the session of a client, and announce it."""
        super().join(session, recipient)
        self.channel.put_all(row_of(session.id, session, self.dealer.sessions[session.id]))

    def leaving(self, session_id: int) -> None:
        """Remove the subscriptions, registrations and calls of a session that begins to end."""
        is_attached, is_silent = session_id in self._attached, session_id in self._silenced
        self.claims.begin_leaving(session_id)
        try:
            super().leaving(session_id)
        finally:
            self.claims.end_leaving()
        if is_attached:
            self.channel.put_all([ItemCode.LEAVE, session_id, self.channel.stamp()[0], not is_silent])

    # Waiting for other workers

    def register(self, session_id: int, message: Register) -> Completion[bool]:
        """Register a session for a procedure, and answer; the result completes with the answer."""
        return self.claims.register(session_id, message)

    def hold_interest(self, topic: str, match: Match) -> Completion[bool]:
        """Let all workers know that this one will have subscribers, until ``release_interest``."""
        return self.interests.hold(match, topic)

    def release_interest(self, topic: str, match: Match) -> None:
        """End a ``hold_interest``; from then on, subscribers keep the interest alive."""
        self.interests.release(match, topic)

    def read(self, procedure: str, values: list[Any]) -> ClusterRead | None:
        """Synchronise with all workers before a meta procedure is computed; None if there is no need."""
        return ClusterRead.of(self.channel, procedure, values)

    def reads_elsewhere(self, procedure: str) -> bool:
        """Return whether a meta procedure changes nothing and waits for other workers."""
        return changes_nothing(procedure)

    # Publications

    def publish(
        self,
        publisher_id: int | None,
        topic: str,
        options: Mapping[str, Any],
        args: list[Any] | None,
        kwargs: dict[str, Any] | None,
        *,
        payload: bytes | None = None,
        disclose: bool = False,
        only: Collection[int] | None = None,
    ) -> Publication:
        """Publish an event on all workers; see :meth:`Router.publish`."""
        publication = super().publish(
            publisher_id, topic, options, args, kwargs, payload=payload, disclose=disclose, only=only
        )
        if self._only_here or topic in _SESSION_EVENTS:
            if publication.stored is not None:
                # Every worker has stored its own copy, which newcomers must not get from all of them.
                publication.stored.stamp = None
        else:
            event = publisher_id, topic, options, (args, kwargs, payload)
            to_server = only is not None
            try:
                publication.forwarded = self.events.forward(
                    publication, *event, disclose=disclose, to_server=to_server
                )
            except (UnserializableValue, ItemTooLarge) as error:
                self._report(topic, str(error))
        return publication

    def clear_retained(self, topic: str, match: Match) -> int:
        """Delete retained events on all workers, and return their number on this one."""
        return self.events.clear(topic, match)

    # Revocation and closing

    def revoke_callee(self, session_id: int, registration_id: int, reason: str | None) -> list[Outgoing]:
        """Revoke a registration of a client of any worker."""
        remote = self._remote.get(session_id)
        if remote is None:
            return super().revoke_callee(session_id, registration_id, reason)
        registration = self.dealer.registrations.by_id[registration_id]
        self.claims.revoke(session_id, (registration.match, registration.procedure), reason)
        return []

    def revoke_subscription(
        self, topic: str, match: Match, session_id: int | None, reason: str | None
    ) -> int:
        """Revoke a subscription; without a session, on all workers. Return the number of clients here."""
        if session_id is None:
            self.channel.put_all([ItemCode.REVOKE_SUBSCRIBERS, match, topic, reason])
        return super().revoke_subscription(topic, match, session_id, reason)

    def _close(self, sessions: SessionsToClose) -> None:
        for session_id in sessions.session_ids:
            remote = self._remote.get(session_id)
            if remote is not None:
                command = [ItemCode.CLOSE, session_id, sessions.reason, sessions.message, sessions.silent]
                self._closing[session_id] = command
                self.channel.put(remote.node, command)
        here = [session_id for session_id in sessions.session_ids if session_id in self._sessions]
        super()._close(replace(sessions, session_ids=here))

    # The replica

    def apply(self, node: int, item: Item) -> None:
        """Apply an item of another node. Raises MalformedItem."""
        check_item(item)
        code = item[0]
        try:
            self._handlers[code](node, item)
        except (WAMPError, RemoteProtocolError) as error:
            raise MalformedItem(str(error)) from error
        # Calls cause no meta events.
        if code < ItemCode.INVOKE:
            self.publish_meta_events()

    def snapshot(self) -> Iterator[Item]:
        """Yield the rows of this node, and the commands that may be lost. Other nodes ignore the latter."""
        yield self._secret.row()
        for session_id, session in self._attached.items():
            yield row_of(session_id, session, self.dealer.sessions[session_id])
        yield from self.claims.own_rows()
        yield from self.interests.own_rows()
        yield from self.testaments.own_rows()
        yield from self.events.own_rows()
        yield from self.claims.commands()
        yield from self._closing.values()

    def begin_snapshot(self, node: int) -> None:
        """Take all rows of a node anew."""
        sessions = {session_id for session_id, remote in self._remote.items() if remote.node == node}
        callees = {(session_id, key) for session_id in sessions for key in self.claims.keys_of(session_id)}
        clients = sessions & self._remote_clients
        self._snapshots[node] = Unconfirmed(clients, callees, self.interests.keys_of(node))
        self.testaments.forget(node)
        self.events.begin_snapshot(node)

    def end_snapshot(self, node: int) -> None:
        """Remove the rows of a node that its snapshot does not have."""
        stale = self._snapshots.pop(node)
        stamp = self.channel.stamp()
        for session_id, key in stale.callees:
            self.claims.remove_key(session_id, key, stamp)
        for key in stale.interests:
            self.interests.remove_key(node, key)
        for session_id in stale.sessions:
            self._lose(self._remote[session_id], stamp, None)
        self.events.end_snapshot(node)
        self.publish_meta_events()

    def reset(self, node: int) -> None:
        """Fail the calls with a node."""
        self.calls.reset(node)

    def remove(self, node: int, *, orderly: bool) -> None:
        """Remove all rows of a node that has left or died.

        For this worker's subscribers, the sessions of a dead node leave now: each worker publishes their
        testaments and meta events for its own subscribers, so that nobody gets them twice.
        """
        self._snapshots.pop(node, None)
        stamp = self.channel.stamp() if orderly else None
        sessions = [remote for remote in self._remote.values() if remote.node == node]
        self._only_here = True
        try:
            for remote in sessions:
                if not orderly and remote.id in self._remote_clients:
                    self._publish_last_will(remote)
                self._lose(remote, stamp, WAMPError(NETWORK_FAILURE, "the callee's worker has ended"))
            dead = sessions[0].id if sessions and not orderly else None
            for key in self.interests.keys_of(node):
                self.interests.remove_key(node, key, dead)
            self.publish_meta_events()
        finally:
            self._only_here = False
        self.testaments.forget(node)
        self.events.forget(node)
        self.calls.forget(node)

    def _publish_last_will(self, remote: RemoteSession) -> None:
        is_first = self.channel.is_first
        for event in self.testaments.take_remote(remote.node, remote.id):
            if is_first:
                self.events.adopt(event)
            self.events.distribute(event, remote.id, None, None, relayed=not is_first)
        if is_first:
            # The handlers run once in the whole realm.
            self._testaments_published()

    def _lose(self, remote: RemoteSession, stamp: Stamp | None, error: WAMPError | None) -> None:
        """Remove another worker's session, and publish its end."""
        if remote.id in self._remote_clients:
            self._events.left(remote.id, remote)
        self._remove_remote(remote, stamp, error)

    def _remove_remote(self, remote: RemoteSession, stamp: Stamp | None, error: WAMPError | None) -> None:
        self.claims.remove_session(remote.id, stamp)
        self.calls.leave(remote, error)
        self._remote.pop(remote.id, None)
        self._remote_clients.discard(remote.id)
        self._closing.pop(remote.id, None)

    def answer(self, node: int, question: Any) -> Any:
        """Answer the question of another node."""
        try:
            kind, *fields = question
            if kind == "claim":
                check_item([ItemCode.CALLEE, *fields])
                return self._answer_claim(node, fields)
            if kind == "interest":
                item = [ItemCode.INTEREST, *fields]
                check_item(item)
                self.interests.interest(node, item)
                return None
            return ClusterRead.answer(self.broker, self.reflection, self._sessions, kind, fields)
        except (TypeError, ValueError) as error:
            raise MalformedItem(f"a question {question!r:.100}") from error

    def _answer_claim(self, node: int, fields: list[Any]) -> str | None:
        remote = self.calls.session_of(node, fields[0])
        if remote is None:
            # The session has left, so that its claim will be withdrawn.
            return None
        self.calls.routed(remote)
        answer = self.claims.answer(node, fields)
        self.publish_meta_events()
        return answer

    # Rows and commands of other nodes

    def _on_join(self, node: int, item: Item) -> None:
        session_id = item[1]
        if session_id in self._sessions:
            # Two clients have drawn the same random ID: the one on the node with the greater ID has to go.
            if node < self.channel.node:
                self._recipients[session_id].say_goodbye(SYSTEM_SHUTDOWN, "another session has the same ID")
            return
        remote = self._remote.get(session_id)
        if remote is None:
            remote = self._remote[session_id] = RemoteSession(node, session_id, self.channel, self.calls)
        remote.identify(*item[2:])
        snapshot = self._snapshots.get(node)
        if snapshot is not None:
            snapshot.sessions.discard(session_id)
        if session_id not in self._remote_clients:
            self._remote_clients.add(session_id)
            if self.channel.ready:
                # Otherwise the session has joined before this worker started.
                self._events.joined(session_id, remote)

    def _on_leave(self, node: int, item: Item) -> None:
        remote = self.calls.session_of(node, item[1])
        if remote is not None:
            _, _, time, is_published = item
            self.testaments.take_remote(node, remote.id)
            stamp = self.channel.observe(time, node)
            if is_published:
                self._lose(remote, stamp, None)
            else:
                self._remove_remote(remote, stamp, None)

    def _on_callee(self, node: int, item: Item) -> None:
        snapshot = self._snapshots.get(node)
        if snapshot is not None:
            snapshot.callees.discard((item[1], (item[2], item[3])))
        remote = self.calls.session_of(node, item[1])
        if remote is None:
            raise MalformedItem("a registration of an unknown session")
        self.calls.routed(remote)
        self.claims.callee(node, item)

    def _on_interest(self, node: int, item: Item) -> None:
        snapshot = self._snapshots.get(node)
        if snapshot is not None:
            snapshot.interests.discard((item[1], item[2]))
        self.interests.interest(node, item)

    def _on_close(self, node: int, item: Item) -> None:
        _, session_id, reason, message, silent = item
        if session_id in self._attached:
            self._close(SessionsToClose([session_id], reason, message, silent))

    def _on_revoke_callee(self, node: int, item: Item) -> None:
        _, session_id, match, procedure, reason = item
        if session_id in self._attached:
            self.claims.revoke_own(session_id, (match, procedure), reason)

    def _on_revoke_subscribers(self, node: int, item: Item) -> None:
        _, match, topic, reason = item
        super().revoke_subscription(topic, match, None, reason)

    # Metrics

    def metrics(self) -> Metrics:
        """Return the counters of this worker, and gauges of the whole realm."""
        found = super().metrics()
        found["realm"] = {
            "workers": len(self.channel.nodes) + 1,
            "sessions": len(self._attached) + len(self._remote_clients),
            "subscriptions": len(self.broker.subscriptions),
            "registrations": len(self.dealer.registrations.by_id),
            "relayed_calls": len(self.calls),
        }
        return found

    def _client_subscriptions(self) -> int:
        return self._with_clients(found.subscribers for found in self.broker.subscriptions.values())

    def _client_registrations(self) -> int:
        return self._with_clients(found.callees for found in self.dealer.registrations.by_id.values())

    def _with_clients(self, entries: Iterable[Collection[int]]) -> int:
        return sum(not self._sessions.keys().isdisjoint(session_ids) for session_ids in entries)
