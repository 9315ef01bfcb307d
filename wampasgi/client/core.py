"""The client's side of one WAMP session, without I/O.

``SessionCore`` takes the messages of the router and returns them with the object that waits for them. It
returns the messages to send as lists. Nothing in it waits, reads a clock or writes a log.

Spec: Basic Profile, "Sessions", "Publish and Subscribe", "Remote Procedure Calls".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from wampasgi._version import __version__
from wampasgi.errors import LocalProtocolError, RemoteProtocolError
from wampasgi.protocol.messages import (
    Call,
    Cancel,
    Error,
    Event,
    Interrupt,
    Invocation,
    Message,
    Publish,
    Published,
    Register,
    Registered,
    Result,
    Subscribe,
    Subscribed,
    Unregister,
    Unregistered,
    Unsubscribe,
    Unsubscribed,
    Welcome,
    Yield,
)
from wampasgi.protocol.requests import PendingRequests, Request
from wampasgi.protocol.router_messages import parse_from_router, state_after
from wampasgi.protocol.states import Direction, SessionState, next_state
from wampasgi.types import RawMessage

#: The features that the client announces in HELLO, by role.
CLIENT_FEATURES: Final[Mapping[str, Sequence[str]]] = {
    "caller": (
        "call_canceling",
        "call_timeout",
        "caller_identification",
        "progressive_call_invocations",
        "progressive_call_results",
    ),
    "callee": (
        "call_canceling",
        # One section of the specification spells it so.
        "call_cancelling",
        "call_timeout",
        "caller_identification",
        "pattern_based_registration",
        "progressive_call_invocations",
        "progressive_call_results",
        "registration_revocation",
        "shared_registration",
    ),
    "publisher": ("publisher_exclusion", "publisher_identification", "subscriber_blackwhite_listing"),
    "subscriber": (
        "event_retention",
        "pattern_based_subscription",
        "publisher_identification",
        "subscription_revocation",
    ),
}

_MAX_ENDED: Final = 1000
_ESTABLISHED: Final = SessionState.ESTABLISHED
_RESULT: Final = Result.code


class Recipient(Protocol):
    """An object that waits for messages of the router, and gets them as soon as they arrive."""

    def receive(self, message: Any) -> None:
        """Take a message. Raises RemoteProtocolError if its content is not allowed."""


class Ignored:
    """The recipient of messages that are to be ignored."""

    def receive(self, message: Any) -> None:
        """Ignore the message."""


_IGNORED: Final = Ignored()

#: An object that waits for messages of the router. The core returns it, and does not use it itself.
R = TypeVar("R")

#: A message of the router, and the object that waits for it. None if nothing waits: the message concerns the
#: session itself, or arrived after its recipient had given up.
Delivery: TypeAlias = tuple[R | Ignored | None, Message]


def hello_details(further: Mapping[str, Any]) -> dict[str, Any]:
    """Return HELLO.Details with the roles, their features, the agent and the ``further`` ones."""
    roles = {role: {"features": dict.fromkeys(names, True)} for role, names in CLIENT_FEATURES.items()}
    return {"roles": roles, "agent": f"wampasgi-{__version__}", **further}


class SessionCore(Generic[R]):
    """The state of one session: its requests, subscriptions, registrations and invocations."""

    __slots__ = (
        "_ended",
        "_invocations",
        "_pending",
        "_registrations",
        "_streams",
        "_subscriptions",
        "state",
    )

    def __init__(self) -> None:
        self.state = SessionState.CLOSED
        self._pending: PendingRequests[R] = PendingRequests()
        self._subscriptions: dict[int, R] = {}
        self._registrations: dict[int, R] = {}
        # The IDs of unanswered invocations, and whether the caller sends further arguments.
        self._invocations: dict[int, bool] = {}
        # The IDs of answered invocations whose caller may still send arguments.
        self._streams: dict[int, None] = {}
        # The IDs of ended subscriptions and registrations. Their last messages may still be on the way.
        self._ended: dict[tuple[int, int], None] = {}

    # From the router

    def receive(self, raw: object) -> Delivery[R]:
        """Take a decoded message, and return it in parsed form with its recipient.

        Raises RemoteProtocolError for a message that the router must not send. The session must then be
        aborted.
        """
        if (
            self.state is _ESTABLISHED
            and type(raw) is list
            and len(raw) == 4
            and raw[0] == _RESULT
            and not raw[2]
            and type(raw[1]) is int
            and type(raw[2]) is dict
            and type(raw[3]) is list
            and type(raw[0]) is int
        ):
            # Nearly all messages to a busy caller have this form, and no details to check.
            result = Result(raw[1], raw[2], raw[3])
            return self._result(result), result
        message = parse_from_router(raw)
        if self.state is not _ESTABLISHED:
            self.state = state_after(self.state, message.code)
            if self.state is not SessionState.CLOSING:
                return None, message
        if isinstance(message, Result):
            return self._result(message), message
        if isinstance(message, Event):
            return self._subscribed_to(message), message
        if isinstance(message, Invocation):
            return self._invoked(message), message
        if isinstance(message, Interrupt):
            return None, message
        if isinstance(message, Error):
            return self._failed(message), message
        if isinstance(message, Published):
            return self._answered(Publish.code, message.request_id, "PUBLISHED").target, message
        if isinstance(message, Subscribed | Registered):
            return self._added(message), message
        if isinstance(message, Unsubscribed | Unregistered):
            return self._removed(message), message
        self.state = state_after(self.state, message.code)
        return None, message

    def _result(self, message: Result) -> R | None:
        final = not message.details or message.details.get("progress") is not True
        request = self._pending.take(Call.code, message.request_id, "RESULT", final=final)
        if request is None:
            return None
        if not final and not request.progressive:
            raise RemoteProtocolError(
                "RESULT.Details.progress must not be true: the call did not ask for progressive results"
            )
        return request.target

    def _subscribed_to(self, message: Event) -> R | None:
        recipient = self._subscriptions.get(message.subscription_id)
        if recipient is None:
            self._require_ended(Event.code, "EVENT.Subscription", message.subscription_id)
        return recipient

    def _invoked(self, message: Invocation) -> R | Ignored | None:
        request_id, more = message.request_id, message.details.get("progress") is True
        expects_more = self._invocations.get(request_id)
        if expects_more is False:
            raise RemoteProtocolError(
                f"INVOCATION.Request must be a new ID, but {request_id} is not answered yet"
            )
        if expects_more is None and request_id in self._streams:
            # The router did not know yet that the invocation is answered.
            if not more:
                del self._streams[request_id]
            return _IGNORED
        recipient = self._registrations.get(message.registration_id)
        if recipient is None:
            self._require_ended(Invocation.code, "INVOCATION.Registration", message.registration_id)
        self._invocations[request_id] = more
        return recipient

    def _require_ended(self, code: int, field: str, ended_id: int) -> None:
        if (code, ended_id) not in self._ended:
            kind = field.partition(".")[2].lower()
            raise RemoteProtocolError(f"{field} must be the ID of a {kind} of this session, got {ended_id}")

    def _failed(self, message: Error) -> R | None:
        if message.request_type == Invocation.code:
            raise RemoteProtocolError(
                "ERROR.REQUEST.Type must be the code of a request of this client, got 68"
            )
        request = self._pending.take(message.request_type, message.request_id, "ERROR")
        return None if request is None else request.target

    def _added(self, message: Subscribed | Registered) -> R | None:
        if isinstance(message, Subscribed):
            request = self._answered(Subscribe.code, message.request_id, "SUBSCRIBED")
            self._subscriptions[message.subscription_id] = request.subject
        else:
            request = self._answered(Register.code, message.request_id, "REGISTERED")
            self._registrations[message.registration_id] = request.subject
        return request.target

    def _removed(self, message: Unsubscribed | Unregistered) -> R | None:
        ends_subscription = isinstance(message, Unsubscribed)
        name, code, active, received, noun = (
            ("UNSUBSCRIBED", Unsubscribe.code, self._subscriptions, Event.code, "subscription")
            if ends_subscription
            else ("UNREGISTERED", Unregister.code, self._registrations, Invocation.code, "registration")
        )
        if message.request_id:
            request = self._answered(code, message.request_id, name)
            self._end(active, received, request.subject)
            return request.target
        # A revocation: the router ended it.
        revoked = (message.details or {}).get(noun)
        if not isinstance(revoked, int):
            raise RemoteProtocolError(f"{name}.Details.{noun} must be the ID of the revoked {noun}")
        recipient = active.get(revoked)
        if recipient is None:
            self._require_ended(received, f"{name}.{noun.capitalize()}", revoked)
        self._end(active, received, revoked)
        return recipient

    def _end(self, active: dict[int, R], received: int, ended_id: int) -> None:
        active.pop(ended_id, None)
        self._ended[received, ended_id] = None
        if len(self._ended) > _MAX_ENDED:
            del self._ended[next(iter(self._ended))]

    def _answered(self, code: int, request_id: int, answer: str) -> Request[R]:
        request = self._pending.take(code, request_id, answer)
        assert request is not None, "only calls can be canceled"
        return request

    # To the router: the session

    def hello(self, realm: str, details: dict[str, Any]) -> RawMessage:
        """Return HELLO."""
        return self._changed([1, realm, details])

    def authenticate(self, signature: str, extra: dict[str, Any]) -> RawMessage:
        """Return AUTHENTICATE."""
        return self._changed([5, signature, extra])

    def goodbye(self, reason: str) -> RawMessage:
        """Return GOODBYE, which closes the session or answers the router's GOODBYE."""
        return self._changed([6, {}, reason])

    def abort(self, reason: str, text: str) -> RawMessage:
        """Return ABORT. The session is over at once."""
        self.state = SessionState.CLOSED
        return [3, {"message": text}, reason]

    def _changed(self, raw: RawMessage) -> RawMessage:
        try:
            self.state = next_state(self.state, Direction.RECEIVED, raw[0])
        except RemoteProtocolError as error:
            # The table has the router's point of view.
            raise LocalProtocolError(f"the router would refuse this: {error.message}") from None
        return raw

    # To the router: requests. The request ID is the second element.

    def next_request_id(self) -> int:
        """Return the ID for a request that this object does not make, and whose answer it does not know."""
        return self._pending.next_id()

    def call(
        self,
        target: R,
        procedure: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: dict[str, Any],
    ) -> RawMessage:
        """Return CALL."""
        request: Request[R] = Request(Call.code, target)
        if options:
            request.progressive = options.get("receive_progress") is True
        return _with_payload([48, self._pending.add(request), options, procedure], args, kwargs)

    def call_again(
        self,
        request_id: int,
        procedure: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: dict[str, Any],
    ) -> RawMessage | None:
        """Return CALL with further arguments for a call, or None if the call has been answered."""
        if self._pending.get(request_id) is None:
            return None
        return _with_payload([Call.code, request_id, options, procedure], args, kwargs)

    def cancel(self, request_id: int, mode: str) -> RawMessage | None:
        """Return CANCEL for a call, or None if the call has been answered."""
        if self._pending.get(request_id) is None:
            return None
        self._pending.cancel(request_id)
        return [Cancel.code, request_id, {"mode": mode}]

    def abandon(self, request_id: int) -> None:
        """Ignore the results of a call, because nothing waits for them any more."""
        request = self._pending.get(request_id)
        if request is not None:
            request.target = None

    def withdraw(self, request_id: int) -> None:
        """Take back the request that was made last, because it could not be serialized."""
        self._pending.withdraw(request_id)

    def publish(
        self,
        target: R | None,
        topic: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: dict[str, Any],
    ) -> RawMessage:
        """Return PUBLISH. With a target, which gets the answer, the options must ask for acknowledgement."""
        pending = self._pending
        request_id = pending.next_id() if target is None else pending.add(Request(Publish.code, target))
        return _with_payload([16, request_id, options, topic], args, kwargs)

    def subscribe(self, target: R, subscription: R, topic: str, options: dict[str, Any]) -> RawMessage:
        """Return SUBSCRIBE. ``target`` gets the answer and ``subscription`` the events."""
        return [32, self._pending.add(Request(Subscribe.code, target, subscription)), options, topic]

    def unsubscribe(self, target: R, subscription_id: int) -> RawMessage:
        """Return UNSUBSCRIBE."""
        request_id = self._pending.add(Request(Unsubscribe.code, target, subscription_id))
        return [34, request_id, subscription_id]

    def register(self, target: R, registration: R, procedure: str, options: dict[str, Any]) -> RawMessage:
        """Return REGISTER. ``target`` gets the answer and ``registration`` the invocations."""
        return [64, self._pending.add(Request(Register.code, target, registration)), options, procedure]

    def unregister(self, target: R, registration_id: int) -> RawMessage:
        """Return UNREGISTER."""
        request_id = self._pending.add(Request(Unregister.code, target, registration_id))
        return [66, request_id, registration_id]

    # To the router: answers to invocations

    def progress(self, request_id: int, args: Sequence[Any], kwargs: Mapping[str, Any]) -> RawMessage:
        """Return YIELD with a progressive result."""
        return _with_payload([Yield.code, request_id, {"progress": True}], args, kwargs)

    def result(self, request_id: int, args: Sequence[Any], kwargs: Mapping[str, Any]) -> RawMessage:
        """Return YIELD with the final result."""
        self._answer(request_id)
        return _with_payload([Yield.code, request_id, {}], args, kwargs)

    def error(
        self, request_id: int, error: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> RawMessage:
        """Return the ERROR for an invocation."""
        self._answer(request_id)
        return _with_payload([Error.code, Invocation.code, request_id, {}, error], args, kwargs)

    def _answer(self, request_id: int) -> None:
        if self._invocations.pop(request_id, False):
            self._streams[request_id] = None
            if len(self._streams) > _MAX_ENDED:
                del self._streams[next(iter(self._streams))]

    # The end

    def end(self) -> list[Request[R]]:
        """Forget everything, because the connection is lost. Return the unanswered requests."""
        self.state = SessionState.CLOSED
        self._subscriptions.clear()
        self._registrations.clear()
        self._invocations.clear()
        return self._pending.clear()

    @property
    def pending(self) -> int:
        """The number of unanswered requests."""
        return len(self._pending)


def _with_payload(message: RawMessage, args: Sequence[Any], kwargs: Mapping[str, Any]) -> RawMessage:
    if kwargs:
        message += (list(args), dict(kwargs))
    elif args:
        message.append(list(args))
    return message


def features_of(welcome: Welcome, role: str) -> frozenset[str]:
    """Return the features that a router announced for a role. Some routers announce none that they have."""
    features = welcome.details["roles"].get(role, {}).get("features") or {}
    return frozenset(name for name, value in features.items() if value is True)
