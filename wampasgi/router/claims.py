"""The registrations of a realm that several workers serve.

A worker claims a registration from all others before it answers REGISTERED. The claim is a row at once, so
that every worker routes calls to it when REGISTERED is sent. Of two claims that exclude each other, the one
with the smaller stamp wins. A takeover (``force_reregister``) is a revocation of all other callees, followed
by a claim like any other. So the replicas need no rule of their own for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from wampasgi.errors import PROCEDURE_ALREADY_EXISTS, WAMPError
from wampasgi.protocol.messages import Error, Register, Registered
from wampasgi.router.call_messages import Outgoing
from wampasgi.router.callee_rows import CalleeRow, Claim, Key, key_of, read_row, revocation
from wampasgi.router.cluster_items import ItemCode
from wampasgi.router.completion import Completion
from wampasgi.router.dealer import Dealer
from wampasgi.router.meta_events import Lifecycle
from wampasgi.router.realm_channel import RealmChannel
from wampasgi.router.registrations import Callee, InvokePolicy, Registration
from wampasgi.router.replicas import Item
from wampasgi.router.stamps import Stamp

_TAKEN: Final = "another worker has registered {!r} at the same time"


class Claims:
    """The registrations of all workers, of one realm.

    ``serves`` tells whether a session is a client of this worker. ``registered`` is called after each own
    registration, to publish its meta events.
    """

    def __init__(
        self,
        channel: RealmChannel,
        dealer: Dealer,
        lifecycle: Lifecycle[Registration],
        *,
        serves: Callable[[int], bool],
        now: Callable[[], str],
        deliver: Callable[[Iterable[Outgoing]], None],
        publish_meta_events: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._dealer = dealer
        self._registrations = dealer.registrations
        self._lifecycle = lifecycle
        self._serves = serves
        self._now = now
        self._deliver = deliver
        self._publish_meta_events = publish_meta_events
        self._rows: dict[Key, dict[int, CalleeRow]] = {}
        # The keys of the rows of each session of another worker.
        self._keys: dict[int, set[Key]] = {}
        self._claims: dict[Key, list[Claim]] = {}
        # Of the keys that lost their last callee here while other workers had some: when, and which.
        self._removed_here: dict[Key, tuple[Stamp, int]] = {}
        # Registrations of other workers' sessions that were revoked here, with the reasons, until the workers
        # confirm it.
        self._revoked: dict[Key, dict[int, str | None]] = {}
        # Registrations that have lost their last callee here, while others are being revoked.
        self._unannounced: dict[Key, tuple[int, Registration]] = {}
        # The session that leaves. Its LEAVE says what a NO_CALLEE for each of its registrations would say.
        self._leaving: int | None = None

    # Registering

    def register(self, session_id: int, message: Register) -> Completion[bool]:
        """Register a session of this worker, and answer when all other workers agree.

        A registration that cannot be claimed, because the others cannot be reached, holds on this worker. If
        it turns out later that another worker has registered the same, the younger registration is revoked.
        With ``force_reregister``, the registrations of other sessions are revoked first.
        """
        completion: Completion[bool] = Completion()
        if message.options.get("force_reregister", False) and not self._dealer.private_registrations:
            self._take_over(session_id, message, completion)
        else:
            self._claim(session_id, message, completion)
        return completion

    def _take_over(self, session_id: int, message: Register, completion: Completion[bool]) -> None:
        """Revoke the registrations of other sessions, and claim the URI when their workers have done so.

        The claim waits for the workers of the revoked callees. Otherwise it could reach a third worker before
        the end of their registrations does, and that worker would take them for rivals.
        """
        key = key_of(message)
        try:
            others = self._registrations.held_by_others(session_id, message.procedure, message.options)
        except WAMPError as error:
            self._refuse(session_id, message, error, completion)
            return
        for claim in self._claims.get(key, ()):
            if claim.row.session_id != session_id:
                claim.revoked, claim.reason = True, PROCEDURE_ALREADY_EXISTS
        for other_id, registration_id in others:
            if other_id not in self._keys:
                self._deliver(self._dealer.revoke(other_id, registration_id, PROCEDURE_ALREADY_EXISTS))
        # Another worker publishes its events, among them the deletion, as soon as it gets the revocation.
        self._publish_meta_events()
        elsewhere = [other_id for other_id, _ in others if other_id in self._keys]
        for other_id in elsewhere:
            self.revoke(other_id, key, PROCEDURE_ALREADY_EXISTS)

        def revoked(answers: dict[int, Any], complete: bool) -> None:
            if self._serves(session_id):
                self._claim(session_id, message, completion)
            else:
                completion.finish(True)

        if elsewhere:
            self._channel.ask(["synchronise"], revoked)
        else:
            self._claim(session_id, message, completion)

    def _claim(self, session_id: int, message: Register, completion: Completion[bool]) -> None:
        """Claim a registration; ``completion`` is finished with the answer to REGISTER."""
        options, key = message.options, key_of(message)
        try:
            self._check(session_id, key, message)
        except WAMPError as error:
            self._refuse(session_id, message, error, completion)
            return
        row = CalleeRow(
            self._channel.node,
            session_id,
            options.get("invoke", "single"),
            options.get("forward_timeout", False),
            options.get("disclose_caller", False),
            self._channel.stamp(),
            self._now(),
        )
        claim = Claim(row)
        self._claims.setdefault(key, []).append(claim)

        def done(answers: dict[int, Any], complete: bool) -> None:
            objection = next((answer for answer in answers.values() if isinstance(answer, str)), None)
            claim.forgotten = claim.forgotten or not complete
            self._conclude(key, claim, message, objection)
            completion.finish(True)

        self._channel.ask(["claim", *row.item(key)[1:]], done)

    def _refuse(
        self, session_id: int, message: Register, error: WAMPError, completion: Completion[bool]
    ) -> None:
        self._answer(session_id, Error.answering(Register.code, message.request_id, error))
        completion.finish(True)

    def _check(self, session_id: int, key: Key, message: Register) -> None:
        """Raise WAMPError if the registration is refused without asking the others."""
        private = self._dealer.private_registrations
        try:
            self._registrations.check(session_id, message.procedure, message.options, private=private)
        except WAMPError:
            # Callees of other workers may have left meanwhile, which these workers know.
            if not self._is_elsewhere(key):
                raise
        invoke = message.options.get("invoke", "single")
        for claim in self._claims.get(key, ()):
            is_rival = not claim.revoked and not self._agree(claim.row.invoke, invoke)
            if claim.row.session_id == session_id or is_rival:
                raise WAMPError(PROCEDURE_ALREADY_EXISTS, f"procedure {key[1]!r} is being registered")

    def _is_elsewhere(self, key: Key) -> bool:
        """Return whether a registration exists and has only callees of other workers."""
        revoked = self._revoked.get(key, ())
        rows = [row for row in self._rows.get(key, {}).values() if row.session_id not in revoked]
        return bool(rows) and all(row.node != self._channel.node for row in rows)

    def _agree(self, invoke: InvokePolicy, other: InvokePolicy) -> bool:
        """Return whether callees with these invocation policies may share a registration."""
        return self._dealer.private_registrations or invoke == other != "single"

    def _conclude(self, key: Key, claim: Claim, message: Register, objection: str | None) -> None:
        """Answer REGISTER when all other workers have answered."""
        claims = self._claims[key]
        claims.remove(claim)
        if not claims:
            del self._claims[key]
        session_id, row = claim.row.session_id, claim.row
        if claim.lost and objection is None:
            objection = _TAKEN.format(key[1])
        error = None if objection is None else WAMPError(PROCEDURE_ALREADY_EXISTS, objection)
        if error is None and self._serves(session_id):
            try:
                self._add_own(key, row, message)
            except WAMPError as refusal:
                error = refusal
            else:
                registration = self._registrations.get(*key)
                assert registration is not None
                if claim.forgotten:
                    self._channel.put_all(row.item(key))
                answer = Registered(message.request_id, registration.registration_id)
                self._answer(session_id, answer)
                if claim.revoked:
                    registration_id = registration.registration_id
                    self._deliver(self._dealer.revoke(session_id, registration_id, claim.reason))
                return
        # The session may have ended meanwhile.
        self._withdraw(key, session_id)
        if error is not None:
            self._answer(session_id, Error.answering(Register.code, message.request_id, error))

    def _add_own(self, key: Key, row: CalleeRow, message: Register) -> None:
        rows = self._rows.setdefault(key, {})
        existed = self._registrations.get(*key) is not None
        rows[row.session_id] = row
        try:
            registration = self._registrations.add(
                row.session_id,
                message.procedure,
                message.options,
                private=self._dealer.private_registrations,
                stamp=row.stamp,
            )
        except WAMPError:
            del rows[row.session_id]
            if not rows:
                del self._rows[key]
            raise
        oldest = min(rows.values(), key=lambda row: row.stamp)
        if existed and oldest is not row:
            row.elder = oldest.session_id
        elif existed:
            # Another worker has claimed the registration a little later.
            self._lifecycle.announce_creation(row.session_id, registration)
        row.created = self._lifecycle.time_of_creation(registration)

    def _answer(self, session_id: int, answer: Registered | Error) -> None:
        if self._serves(session_id):
            self._deliver([(session_id, answer)])

    def _withdraw(self, key: Key, session_id: int) -> None:
        self._channel.put_all([ItemCode.NO_CALLEE, session_id, *key, self._channel.stamp()[0], False])

    # For other workers

    def own_rows(self) -> Iterator[Item]:
        """Yield the items of this worker's registrations, for the snapshot of another worker."""
        for claims in self._claims.values():
            for claim in claims:
                claim.forgotten = True
        for key, rows in self._rows.items():
            for row in rows.values():
                if row.node == self._channel.node:
                    yield row.item(key)

    def answer(self, node: int, fields: list[Any]) -> str | None:
        """Answer another worker's claim: None to agree, or the objection."""
        key, row = read_row(self._channel, node, fields)
        registration = self._registrations.get(*key)
        if registration is not None and registration.of_realm:
            return f"{key[1]!r} is one of the realm's own procedures"
        own = [own for own in self._rows.get(key, {}).values() if own.node == self._channel.node]
        if not all(self._agree(other.invoke, row.invoke) for other in own):
            return f"procedure {key[1]!r} is already registered"
        for claim in self._claims.get(key, ()):
            # A revoked claim does not hold, even if it wins.
            if not claim.revoked and not self._agree(claim.row.invoke, row.invoke):
                if claim.row.stamp < row.stamp:
                    return _TAKEN.format(key[1])
                claim.lost = True
        self._add(key, row)
        return None

    def callee(self, node: int, item: Item) -> None:
        """Take a row of another worker."""
        self._add(*read_row(self._channel, node, item[1:]))

    def no_callee(self, node: int, item: Item) -> None:
        """Remove a row of another worker."""
        _, session_id, match, procedure, time, was_registered = item
        stamp = self._channel.observe(time, node)
        key: Key = (match, procedure)
        row = self._rows.get(key, {}).get(session_id)
        if row is not None and row.node == node:
            self._remove(key, row, stamp)
        self._lose_elder(key, session_id, was_registered=was_registered)

    def _lose_elder(self, key: Key, session_id: int, *, was_registered: bool) -> None:
        """Publish a creation here if the claim that was to publish it was withdrawn."""
        rows = self._rows.get(key, {}).values()
        oldest = min(rows, key=lambda row: row.stamp, default=None)
        for row in [row for row in rows if row.elder == session_id]:
            row.elder = None
            registration = self._registrations.get(*key)
            if was_registered or registration is None or oldest is None:
                continue
            if oldest is row:
                self._lifecycle.announce_creation(row.session_id, registration)
            elif oldest.node != self._channel.node:
                row.elder = oldest.session_id

    def revoke(self, session_id: int, key: Key, reason: str | None) -> None:
        """Let the worker of a session revoke its registration.

        From now on no call of this worker goes there.
        """
        row = self._rows.get(key, {}).get(session_id)
        if row is not None:
            self._revoked.setdefault(key, {})[session_id] = reason
            self._channel.put(row.node, revocation(key, session_id, reason))
            self._displace(key, row, self._channel.stamp())

    def revoke_own(self, session_id: int, key: Key, reason: str | None) -> None:
        """Revoke a registration of this worker's session for another worker, or one that is being claimed."""
        registration = self._registrations.get(*key)
        if registration is not None and session_id in registration.callees:
            self._deliver(self._dealer.revoke(session_id, registration.registration_id, reason))
        for claim in self._claims.get(key, ()):
            if claim.row.session_id == session_id:
                claim.revoked, claim.reason = True, reason

    def commands(self) -> Iterator[Item]:
        """Yield the revocations that other workers have not confirmed, because they may be lost."""
        for key, revoked in self._revoked.items():
            for session_id, reason in revoked.items():
                yield revocation(key, session_id, reason)

    def keys_of(self, session_id: int) -> set[Key]:
        """Return the keys of the rows of another worker's session."""
        return set(self._keys.get(session_id, ()))

    def remove_key(self, session_id: int, key: Key, stamp: Stamp | None) -> None:
        """Remove one row of another worker's session. Without a stamp, its worker has died."""
        row = self._rows.get(key, {}).get(session_id)
        if row is not None:
            self._remove(key, row, stamp)

    def remove_session(self, session_id: int, stamp: Stamp | None) -> None:
        """Remove the rows of another worker's session. Without a stamp, its worker has died."""
        for key in self.keys_of(session_id):
            self.remove_key(session_id, key, stamp)

    # The table of registrations

    def _add(self, key: Key, row: CalleeRow) -> None:
        known = self._rows.get(key, {}).get(row.session_id)
        if known is not None:
            if known.stamp == row.stamp:
                return
            # The end of the older registration was lost.
            self._remove(key, known, row.stamp)
        self._rows.setdefault(key, {})[row.session_id] = row
        self._keys.setdefault(row.session_id, set()).add(key)
        self._settle(key)

    def _remove(self, key: Key, row: CalleeRow, stamp: Stamp | None) -> None:
        rows = self._rows[key]
        del rows[row.session_id]
        if not rows:
            del self._rows[key]
        keys = self._keys[row.session_id]
        keys.remove(key)
        if not keys:
            del self._keys[row.session_id]
        revoked = self._revoked.get(key, {})
        if row.session_id in revoked:
            del revoked[row.session_id]
            if not revoked:
                del self._revoked[key]
        self._displace(key, row, stamp)
        if rows:
            self._settle(key)
        else:
            self._end(key, stamp)

    def _displace(self, key: Key, row: CalleeRow, stamp: Stamp | None) -> None:
        """Remove the callee of a row from its registration, unless the row is excluded or revoked."""
        registration = self._registrations.get(*key)
        if registration is not None and row.session_id in registration.callees:
            if stamp is None:
                self._lifecycle.announce_removal(row.session_id, registration)
            if self._registrations.displace(row.session_id, registration):
                self._delete(key, row, registration, stamp)

    def _end(self, key: Key, stamp: Stamp | None) -> None:
        """Note that no worker has a registration any more, of which this worker may have had the last."""
        here = self._removed_here.pop(key, None)
        unannounced = self._unannounced.pop(key, None)
        if unannounced is not None and (stamp is None or (here is not None and here[0] > stamp)):
            self._lifecycle.announce_deletion(*unannounced)

    def _delete(self, key: Key, row: CalleeRow, registration: Registration, stamp: Stamp | None) -> None:
        """Note the deletion of a registration by another worker; if it died, or was first, announce it."""
        here = self._removed_here.pop(key, None)
        if stamp is None:
            self._lifecycle.announce_deletion(row.session_id, registration)
        elif here is not None and here[0] > stamp:
            self._lifecycle.announce_deletion(here[1], registration)
        self._lifecycle.disappeared(registration)

    def _settle(self, key: Key) -> None:
        """Make the table of registrations agree with the rows.

        All workers have the same rows, and come to the same result. The oldest row decides the policy; rows
        that it excludes are not in the table, and the worker that has such a row revokes it.
        """
        registration = self._registrations.get(*key)
        if registration is not None and registration.of_realm:
            return
        revoked = self._revoked.get(key, ())
        rows = [row for row in self._rows[key].values() if row.session_id not in revoked]
        if not rows:
            return
        rows.sort(key=lambda row: row.stamp)
        first = rows[0]
        valid = [row for row in rows if row is first or self._agree(row.invoke, first.invoke)]
        if len(valid) < len(rows):
            self._exclude(key, [row for row in rows if row not in valid])
        for row in valid:
            self._place(key, row)

    def _exclude(self, key: Key, rows: list[CalleeRow]) -> None:
        for row in rows:
            registration = self._registrations.get(*key)
            if registration is None or row.session_id not in registration.callees:
                continue
            if row.node == self._channel.node:
                registration_id = registration.registration_id
                self._deliver(self._dealer.revoke(row.session_id, registration_id, PROCEDURE_ALREADY_EXISTS))
            elif self._registrations.displace(row.session_id, registration):
                self._lifecycle.disappeared(registration)

    def _place(self, key: Key, row: CalleeRow) -> None:
        registration = self._registrations.get(*key)
        if registration is not None and row.session_id in registration.callees:
            return
        # How many calls the callee can take is decided by its own worker.
        callee = Callee(row.session_id, 0, row.forward_timeout, row.disclose_caller, stamp=row.stamp)
        private = self._dealer.private_registrations
        registration, is_new = self._registrations.place(*key, row.invoke, callee, private=private)
        if is_new:
            self._unannounced.pop(key, None)
            self._lifecycle.appeared(registration, row.created)

    # As the observer of the registrations

    def created(self, session_id: int, entry: Registration) -> None:
        """Handle the creation of a registration by a session of this worker."""
        row = self._rows.get((entry.match, entry.procedure), {}).get(session_id)
        self._unannounced.pop((entry.match, entry.procedure), None)
        self._lifecycle.created(session_id, entry, None if row is None else row.created)

    def added(self, session_id: int, entry: Registration) -> None:
        """Handle the addition of a session of this worker."""
        self._lifecycle.added(session_id, entry)

    def removed(self, session_id: int, entry: Registration) -> None:
        """Handle the removal of a session of this worker."""
        self._lifecycle.removed(session_id, entry)
        key: Key = entry.match, entry.procedure
        row = self._rows.get(key, {}).pop(session_id, None)
        if row is None:
            # It belongs to the realm itself, or leaves with its session.
            return
        stamp = self._channel.stamp()
        if self._rows[key]:
            self._removed_here[key] = stamp, session_id
            if row.elder is None:
                # The creation was published.
                for other in self._rows[key].values():
                    other.elder = None
        else:
            del self._rows[key]
            self._removed_here.pop(key, None)
        if session_id != self._leaving:
            self._channel.put_all([ItemCode.NO_CALLEE, session_id, *key, stamp[0], True])

    def deleted(self, session_id: int, entry: Registration) -> None:
        """Handle the deletion of a registration by its last session, of this worker."""
        key: Key = entry.match, entry.procedure
        if key in self._revoked:
            # The worker whose callee leaves last announces it, when it carries out the revocation.
            self._lifecycle.disappeared(entry)
            self._unannounced[key] = session_id, entry
        else:
            self._lifecycle.deleted(session_id, entry)
        if key in self._rows:
            # Rows that were excluded until now.
            self._settle(key)

    def kept(self, entry: Registration) -> None:
        """Handle a registration that the realm keeps."""
        self._lifecycle.kept(entry)

    def begin_leaving(self, session_id: int) -> None:
        """Send no NO_CALLEE for a session of this worker until ``end_leaving``."""
        self._leaving = session_id

    def end_leaving(self) -> None:
        """Send NO_CALLEE again."""
        self._leaving = None
