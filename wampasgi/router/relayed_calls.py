"""The calls between sessions of different workers.

The caller's worker chooses the callee, keeps the timeout and answers the caller. The callee's worker decides
whether the callee is free, and makes the INVOCATION. Each of the two dealers takes the other worker's session
for one of its own: the messages for it become items, and items become messages again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from typing import Final

from wampasgi.errors import (
    NETWORK_FAILURE,
    PAYLOAD_SIZE_EXCEEDED,
    RUNTIME_ERROR,
    UNAVAILABLE,
    UnserializableValue,
    WAMPError,
)
from wampasgi.protocol.ids import SequentialIds
from wampasgi.protocol.messages import (
    Call,
    Cancel,
    Error,
    Interrupt,
    Invocation,
    Message,
    Result,
    Yield,
)
from wampasgi.router.call_messages import Outgoing
from wampasgi.router.cluster_items import ItemCode
from wampasgi.router.dealer import Dealer
from wampasgi.router.interfaces import Recipient
from wampasgi.router.invocations import PendingCall, RoutedSession
from wampasgi.router.links import ItemTooLarge
from wampasgi.router.realm_channel import RealmChannel
from wampasgi.router.remote_sessions import RemoteRoutedSession, RemoteSession
from wampasgi.router.replicas import Item, MalformedItem

_UNREACHABLE: Final = "the callee's worker cannot be reached"
#: The details of an ERROR for a call that did not reach its callee, which no client can send.
_NOT_INVOKED: Final = {"not_invoked": True}


class RelayedCalls:
    """The calls between this worker and others, of one realm.

    ``sessions`` holds the sessions of other workers, and ``recipients`` those of the router.
    """

    def __init__(
        self,
        channel: RealmChannel,
        dealer: Dealer,
        sessions: MutableMapping[int, RemoteSession],
        recipients: MutableMapping[int, Recipient],
        deliver: Callable[[Iterable[Outgoing]], None],
    ) -> None:
        self._channel = channel
        self._dealer = dealer
        self._sessions = sessions
        self._recipients = recipients
        self._deliver = deliver
        self._call_ids = SequentialIds()
        # The callees and the callers' session IDs of the calls that this worker has sent to others, until
        # their final answers.
        self._calls: dict[int, tuple[RemoteSession, int]] = {}

    def __len__(self) -> int:
        """Return the number of calls that wait for other workers."""
        return len(self._calls)

    def routed(self, session: RemoteSession) -> RoutedSession:
        """Return the dealer's record of another worker's session, made on first use."""
        found = self._dealer.sessions.get(session.id)
        if found is None:
            found = RemoteRoutedSession(session, self, self._call_ids)
            self._dealer.add(found)
            self._recipients[session.id] = session
        return found

    def session_of(self, node: int, session_id: int) -> RemoteSession | None:
        """Return a session of a node, or None if it has no such session."""
        remote = self._sessions.get(session_id)
        return remote if remote is not None and remote.node == node else None

    # From the dealer to other workers

    def relay(self, session: RemoteSession, message: Message) -> None:
        """Send a message of the dealer to the worker of a session."""
        if type(message) is Invocation:
            self._send_invocation(session, message)
        elif type(message) is Result:
            self._send_result(session, message)
        elif type(message) is Error:
            answer = [message.details, message.args, message.kwargs]
            self._put(session.node, [ItemCode.ERROR, message.request_id, message.error, *answer])
        elif type(message) is Interrupt:
            self._send_interrupt(session, message)

    def _send_invocation(self, session: RemoteSession, message: Invocation) -> None:
        call_id = message.request_id
        pending = self._dealer.sessions[session.id].invocations[call_id]
        continues = call_id in self._calls
        if not self._channel.reachable:
            self._fail(session, call_id, WAMPError(NETWORK_FAILURE, _UNREACHABLE))
            return
        self._calls[call_id] = session, pending.caller.session_id
        options = pending.message.options
        if continues:
            options = {"progress": message.details.get("progress", False)}
        try:
            self._channel.put(
                session.node,
                [
                    ItemCode.INVOKE,
                    call_id,
                    pending.caller.session_id,
                    session.id,
                    message.registration_id,
                    pending.message.procedure,
                    options,
                    pending.disclose,
                    continues,
                    message.args,
                    message.kwargs,
                ],
            )
        except (UnserializableValue, ItemTooLarge) as error:
            if not continues:
                del self._calls[call_id]
            text = f"the call cannot be sent to the callee: {error}"
            self._deliver(self._dealer.undeliverable(session.id, call_id, text))

    def _send_result(self, session: RemoteSession, message: Result) -> None:
        call_id = message.request_id
        item = [ItemCode.RESULT, call_id, message.details, message.args, message.kwargs]
        try:
            self._channel.put(session.node, item)
        except (UnserializableValue, ItemTooLarge) as error:
            uri = PAYLOAD_SIZE_EXCEEDED if isinstance(error, ItemTooLarge) else RUNTIME_ERROR
            self._put(session.node, [ItemCode.ERROR, call_id, uri, {}, None, None])

    def _put(self, node: int, item: Item) -> None:
        """Send an answer that is an error; one that cannot be sent goes without its payload."""
        try:
            self._channel.put(node, item)
        except (UnserializableValue, ItemTooLarge):
            self._channel.put(node, [*item[:3], {}, None, None])

    def _send_interrupt(self, session: RemoteSession, message: Interrupt) -> None:
        call_id = message.request_id
        if call_id in self._calls:
            _, caller_id = self._calls[call_id]
            mode = message.options.get("mode", "killnowait")
            self._channel.put(session.node, [ItemCode.INTERRUPT, call_id, caller_id, mode])

    def skip(self, session: RemoteSession, call_id: int) -> None:
        """Let the worker of a callee send no answer, although the callee is not interrupted."""
        if call_id in self._calls:
            _, caller_id = self._calls[call_id]
            self._channel.put(session.node, [ItemCode.INTERRUPT, call_id, caller_id, "skip"])

    def _fail(self, callee: RemoteSession, call_id: int, error: WAMPError) -> None:
        """End a call of this worker with an error."""
        self._calls.pop(call_id, None)
        self._deliver(self._dealer.error(callee.id, Error.answering(Invocation.code, call_id, error)))

    # From other workers to the dealer

    def invoke(self, node: int, item: Item) -> None:
        """Begin or continue the call of another worker's session to a session of this worker."""
        (
            _,
            call_id,
            caller_id,
            callee_id,
            registration_id,
            procedure,
            options,
            disclose,
            continues,
            *payload,
        ) = item
        routed = self._dealer.sessions.get(caller_id)
        if type(routed) is not RemoteRoutedSession or routed.node != node:
            routed = self.routed(self._caller(node, caller_id))
        message = Call(call_id, options, procedure, *payload)
        if continues:
            if call_id in routed.calls or call_id in routed.ended_early:
                self._deliver(self._dealer.call(caller_id, message, now=0))
            return
        registration = self._dealer.registrations.find(registration_id)
        callee = None if registration is None else registration.callees.get(callee_id)
        if registration is None or callee is None or callee_id in self._sessions:
            # It has unregistered meanwhile, or its claim is not decided yet.
            if options.get("progress", False):
                routed.remember_ended_early(message)
            self._put(node, [ItemCode.ERROR, call_id, UNAVAILABLE, _NOT_INVOKED, None, None])
            return
        if not options:
            session_id, answer = self._dealer.invoke(routed, message, registration, callee, disclose=disclose)
            self._recipients[session_id].send(answer)
            return
        self._deliver(
            self._dealer.call(
                caller_id,
                message,
                now=0,
                registration=registration,
                disclose=disclose,
                only=callee_id,
                relayed=True,
            )
        )

    def _caller(self, node: int, caller_id: int) -> RemoteSession:
        """Return another worker's session. The realm's own sessions are known only by their calls."""
        caller = self._sessions.get(caller_id)
        if caller is None:
            if caller_id in self._recipients:
                raise MalformedItem("a call by a session of this node")
            caller = self._sessions[caller_id] = RemoteSession(node, caller_id, self._channel, self)
        elif caller.node != node:
            raise MalformedItem("a call by a session of a third node")
        return caller

    def interrupt(self, node: int, item: Item) -> None:
        """Cancel the call of another worker's session."""
        _, call_id, caller_id, mode = item
        self._deliver(self._dealer.cancel(caller_id, Cancel(call_id, {"mode": mode})))

    def result(self, node: int, item: Item) -> None:
        """Pass the result of another worker's callee on to the caller on this worker."""
        _, call_id, details, args, kwargs = item
        found = self._calls.get(call_id)
        if found is None:
            return
        callee_id = found[0].id
        if not details:
            # Nearly all results are final, and have no details.
            del self._calls[call_id]
            routed = self._dealer.sessions.get(callee_id)
            pending = None if routed is None else routed.invocations.get(call_id)
            if pending is not None:
                caller_id, message = self._dealer.complete(pending, args, kwargs)
                self._recipients[caller_id].send(message)
                return
        elif not details.get("progress", False):
            del self._calls[call_id]
        answer = Yield(call_id, details, args, kwargs)
        self._deliver(self._dealer.yield_result(callee_id, answer, now=self._channel.now))

    def error(self, node: int, item: Item) -> None:
        """Pass the error of another worker's callee on to the caller, or try the next callee."""
        _, call_id, uri, details, args, kwargs = item
        found = self._calls.pop(call_id, None)
        if found is not None and details == _NOT_INVOKED:
            self._reroute(found[0].id, call_id)
        elif found is not None:
            answer = Error(Invocation.code, call_id, details, uri, args, kwargs)
            self._deliver(self._dealer.error(found[0].id, answer))

    def _reroute(self, callee_id: int, call_id: int) -> None:
        """Route a call anew whose callee was gone before the call reached it."""
        routed = self._dealer.sessions[callee_id]
        pending = routed.invocations.get(call_id)
        if pending is None or not self._is_withdrawn(pending):
            unavailable = Error(Invocation.code, call_id, {}, UNAVAILABLE)
            self._deliver(self._dealer.error(callee_id, unavailable))
            return
        caller, message = pending.caller, pending.message
        routed.close_invocation(pending)
        del caller.calls[message.request_id]
        self._deliver(
            self._dealer.call(
                caller.session_id,
                message,
                now=pending.started_at,
                disclose=pending.disclose,
                only=pending.only,
            )
        )

    def _is_withdrawn(self, pending: PendingCall) -> bool:
        """Return whether a call has no registration any more, and perhaps another one that matches."""
        if pending.continued or pending.interrupted or pending.registration.callees:
            return False
        found = self._dealer.registrations.best(pending.message.procedure)
        # Procedures of the realm itself are not called through the dealer.
        return found is None or not found.of_realm

    # The end

    def reset(self, node: int) -> None:
        """Fail the calls with another node, in both directions: their messages may be lost."""
        error = WAMPError(NETWORK_FAILURE, "the connection to the callee's worker was lost")
        for call_id, (callee, _) in list(self._calls.items()):
            if callee.node == node:
                self._fail(callee, call_id, error)
        for session in [session for session in self._sessions.values() if session.node == node]:
            routed = self._dealer.sessions.get(session.id)
            for call_id in [] if routed is None else list(routed.calls):
                outgoing = self._dealer.cancel(session.id, Cancel(call_id, {"mode": "killnowait"}))
                self._deliver([(to, message) for to, message in outgoing if to != session.id])

    def leave(self, session: RemoteSession, error: WAMPError | None) -> None:
        """Remove a session of another worker from the dealer; its callers get ``error``.

        Without an error, the calls that its worker had received before have been answered, and the others are
        routed anew.
        """
        routed = self._dealer.sessions.get(session.id)
        if routed is None:
            return
        if error is None:
            for call_id in [call_id for call_id in routed.invocations if call_id in self._calls]:
                del self._calls[call_id]
                self._reroute(session.id, call_id)
        outgoing = self._dealer.remove_session(session.id, error)
        # The session has left, so that it gets nothing any more.
        self._deliver([(to, message) for to, message in outgoing if to != session.id])
        self._recipients.pop(session.id, None)
        for call_id in [call_id for call_id in routed.invocations if call_id in self._calls]:
            del self._calls[call_id]

    def forget(self, node: int) -> None:
        """Forget the calls whose callees a dead node had, and that nobody waits for."""
        for call_id in [call_id for call_id, (callee, _) in self._calls.items() if callee.node == node]:
            del self._calls[call_id]
