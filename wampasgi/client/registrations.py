"""The procedures that a client has registered, and the invocations of them."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import anyio

from wampasgi.client.blocking import BlockingWatch
from wampasgi.client.core import Recipient, SessionCore
from wampasgi.client.link import Link
from wampasgi.client.requester import BUFFER, Requester
from wampasgi.client.retry import Retry
from wampasgi.client.waiting import Answer, Observed
from wampasgi.client.wire import WireClosed
from wampasgi.errors import (
    CANCELED,
    PROCEDURE_ALREADY_EXISTS,
    RUNTIME_ERROR,
    TIMEOUT,
    UNAVAILABLE,
    RemoteProtocolError,
    UnserializableValue,
    WAMPError,
)
from wampasgi.injection.results import (
    RPCErrorResult,
    RPCProgressReport,
    RPCResult,
    final_result,
    last_of,
    to_result,
)
from wampasgi.logs import logger_named
from wampasgi.payload import Payload
from wampasgi.protocol import messages
from wampasgi.protocol.uris import check_uri
from wampasgi.types import RawMessage

logger = logger_named("wampasgi.client")

if TYPE_CHECKING:
    from wampasgi.injection.plan import HandlerPlan

#: The greatest number of invocations that run at the same time on one connection.
MAX_RUNNING: Final = 1000

#: The pauses between attempts to register a procedure that the old session still has.
_PAUSES: Final = Retry(maximum=10.0)


class Chunks:
    """The arguments of a call that its caller sends one after another, at most ``size`` unread ones."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._unread: deque[Payload] = deque()
        self._complete = False
        self._arrived = anyio.Event()

    def add(self, message: messages.Invocation) -> bool:
        """Add arguments. Return False if there is no room for them."""
        if len(self._unread) >= self._size:
            return False
        self._unread.append(Payload(message.args or [], message.kwargs or {}))
        self._complete = message.details.get("progress") is not True
        self._arrived.set()
        return True

    async def next(self) -> Payload | None:
        """Return the next arguments, or None after the last ones."""
        while not self._unread:
            if self._complete:
                return None
            if self._arrived.is_set():
                self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._unread.popleft()


@dataclass(frozen=True, slots=True)
class Invocation:
    """A call that the router has passed to a procedure of this client.

    Handlers get it as their parameter ``invocation``, or by this class. ``procedure`` is the URI that was
    called, even if the registration is for a pattern. ``details`` are INVOCATION.Details.
    """

    procedure: str
    args: Sequence[Any] = field(default_factory=list)
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    _chunks: Chunks | None = field(default=None, repr=False, compare=False)

    async def chunks(self) -> AsyncIterator[Payload]:
        """Yield the arguments of the call, and those that the caller sends later, until it has sent all.

        Spec: Advanced Profile, "Progressive Call Invocations".
        """
        if self._chunks is None:
            yield Payload(self.args, self.kwargs)
            return
        while (chunk := await self._chunks.next()) is not None:
            yield chunk

    @property
    def caller(self) -> int | None:
        """The session ID of the caller, if the router discloses it."""
        return self.details.get("caller")

    @property
    def receives_progress(self) -> bool:
        """Return whether the caller wants progressive results. They are dropped if not."""
        return self.details.get("receive_progress") is True


class Registration:
    """A registered procedure, which is registered again after each reconnection."""

    def __init__(
        self,
        requester: Requester,
        procedure: str,
        match: str,
        options: dict[str, Any],
        plan: HandlerPlan,
        provided: Mapping[str, Any],
        forget: Callable[[Registration], None],
    ) -> None:
        #: The procedure or pattern.
        self.procedure = procedure
        self.match = match
        #: The registration ID on the current connection, 0 until the router has given one.
        self.registration_id = 0
        self._requester = requester
        self._options = options
        self._plan = plan
        self._watch = BlockingWatch(plan.name)
        self._provided = provided
        self._forget = forget
        self._link: Link | None = None
        self._wanted = True
        # Set when the router has acknowledged it for the first time. From then on, it is renewed.
        self._acknowledged = False
        # REGISTER and UNREGISTER must not overtake each other.
        self._lock = anyio.Lock()

    async def open(self, timeout: float | None) -> None:
        """Register the procedure. Raises WAMPError."""
        try:
            await self._requester.in_background(partial(self._open, timeout), timeout, self._describe)
        except BaseException:
            self._wanted = False
            if self._requester.ended is None:
                # Perhaps it is registered, or will be.
                self._requester.owner.spawn(self._close_unheard, timeout)
            raise

    async def _open(self, timeout: float | None) -> None:
        # Before the lock, which a reconnection needs to renew the registration.
        link = await self._requester.open_link(timeout, self._describe)
        async with self._lock:
            if self._wanted:
                # Without a limit, so that a procedure is unregistered if it is registered too late.
                await self._register(None, link)

    async def _register(self, timeout: float | None, link: Link) -> None:
        if self.match != "exact" and "pattern_based_registration" not in link.dealer_features:
            logger.warning("the router may not support match=%r, for %r", self.match, self.procedure)

        def see(message: messages.Registered | messages.Error) -> None:
            # Invocations, and even a revocation, may follow at once.
            if isinstance(message, messages.Registered):
                self.registration_id, self._link = message.registration_id, link
                self._acknowledged = True

        def make(core: SessionCore[Recipient], answer: Answer) -> RawMessage:
            return core.register(Observed(answer, see), self, self.procedure, self._options)

        await self._requester.request(make, timeout, self._describe, link)

    async def renew(self, link: Link) -> None:
        """Register on a new connection."""
        try:
            await self._renew(link)
        except WAMPError as error:
            if error.uri != PROCEDURE_ALREADY_EXISTS:
                self._give_up(error)
                return
            # The router may not have noticed yet that the old connection is lost.
            logger.warning(
                "the procedure %r is still registered by another session, and is tried again", self.procedure
            )
            link.owner.spawn(self._try_again, link)

    async def _renew(self, link: Link) -> None:
        async with self._lock:
            self.registration_id = 0
            # A procedure that was not acknowledged is registered when the connection is open.
            if self._wanted and self._acknowledged:
                await self._register(self._requester.timeout, link)

    async def _try_again(self, link: Link) -> None:
        """Register until the router has ended the old session."""
        for failures in count():
            await anyio.sleep(_PAUSES.delay(failures))
            try:
                await self._renew(link)
            except WAMPError as error:
                if error.uri != PROCEDURE_ALREADY_EXISTS:
                    self._give_up(error)
                    return
            except ConnectionError:
                return
            except TimeoutError as error:
                logger.warning("the session could not be restored: %s", error)
                self._requester.report(error)
                await link.abandon()
                return
            else:
                return

    def _give_up(self, error: WAMPError) -> None:
        logger.warning("the procedure %r could not be registered again: %s", self.procedure, error)
        self._requester.report(error)
        self._forget(self)

    async def unregister(self) -> None:
        """End the registration. Running invocations go on."""
        self._wanted = False
        self._forget(self)
        if self._requester.ended is not None:
            return
        timeout = self._requester.timeout
        await self._requester.in_background(partial(self._close, timeout), timeout, self._describe)

    async def _close(self, timeout: float | None) -> None:
        async with self._lock:
            await self._unregister(timeout)

    async def _close_unheard(self, timeout: float | None) -> None:
        try:
            await self._close(timeout)
        except TimeoutError as error:
            logger.warning("%s", error)

    async def _unregister(self, timeout: float | None) -> None:
        registration_id, self.registration_id = self.registration_id, 0
        # Not the requester's, which has none during a renewal.
        link = self._link
        if not registration_id or link is None:
            return
        try:
            await self._requester.request(
                lambda core, answer: core.unregister(answer, registration_id),
                timeout,
                lambda: f"the end of the registration of {self.procedure!r}",
                link,
            )
        except (ConnectionError, WAMPError):
            # The router has ended it already, or has lost the session.
            return

    def _describe(self) -> str:
        return f"the registration of {self.procedure!r}"

    # Invocations

    def receive(self, message: messages.Invocation | messages.Unregistered) -> None:
        """Start the handler for an INVOCATION, or take the revocation of the registration."""
        link = self._link
        assert link is not None
        if not isinstance(message, messages.Invocation):
            self.registration_id = 0
            self._forget(self)
            if not self._wanted:
                return
            reason = (message.details or {}).get("reason") or "without a reason"
            error = WAMPError(UNAVAILABLE, f"the router has ended {self._describe()}: {reason}")
            logger.warning("%s", error)
            self._requester.report(error)
            return
        running = link.running.get(message.request_id)
        if running is not None:
            running.add(message)
            return
        procedure = message.details.get("procedure")
        if procedure is None and self.match != "exact":
            raise RemoteProtocolError(
                f"INVOCATION.Details.procedure is required for a registration of a {self.match} pattern"
            )
        if len(link.running) >= MAX_RUNNING:
            text = f"the callee runs {MAX_RUNNING} invocations, its limit"
            link.put_nowait(link.core.error(message.request_id, UNAVAILABLE, [text], {}))
            return
        args, kwargs = message.args or [], message.kwargs or {}
        chunks = Chunks(BUFFER)
        chunks.add(message)
        invocation = Invocation(procedure or self.procedure, args, kwargs, message.details, chunks)
        run = _Run(
            link,
            message.request_id,
            invocation,
            self._plan,
            self._watch,
            self._provided,
            self._requester,
            chunks,
        )
        # In this dict at once, so that INTERRUPT finds it.
        link.running[message.request_id] = run
        # Not in a task of the connection: a thread that cannot be cancelled must not delay a reconnection.
        self._requester.owner.spawn_in_owner_context(run.run)


class _Run:
    """One invocation."""

    def __init__(
        self,
        link: Link,
        request_id: int,
        invocation: Invocation,
        plan: HandlerPlan,
        watch: BlockingWatch,
        provided: Mapping[str, Any],
        requester: Requester,
        chunks: Chunks,
    ) -> None:
        self._chunks = chunks
        self._overflow = False
        self._link = link
        self._request_id = request_id
        self._invocation = invocation
        self._plan = plan
        self._watch = watch
        self._provided = provided
        self._requester = requester
        self._scope = anyio.CancelScope()
        self._interrupted = False

    def cancel(self) -> None:
        """Cancel the handler, because the router has sent INTERRUPT."""
        self._interrupted = True
        self._scope.cancel()

    def add(self, message: messages.Invocation) -> None:
        """Take further arguments. The invocation fails if too many are unread."""
        if not self._chunks.add(message):
            self._overflow = True
            self._scope.cancel()

    async def run(self) -> None:
        """Run the handler and send its result."""
        link = self._link
        answer: RPCResult | RPCErrorResult = RPCErrorResult(CANCELED)
        self._requester.handlers[self._plan.name] += 1
        try:
            timeout = self._invocation.details.get("timeout") or 0
            with self._scope:
                if timeout:
                    self._scope.deadline = anyio.current_time() + timeout / 1000
                answer = await self._watch.run(self._answer())
            if self._scope.cancelled_caught and self._overflow:
                text = f"the callee has not read {BUFFER} parts of the arguments, its limit"
                answer = RPCErrorResult(UNAVAILABLE, [text])
            elif self._scope.cancelled_caught and not self._interrupted:
                answer = RPCErrorResult(TIMEOUT, [f"the handler gave no result within {timeout / 1000:g} s"])
        finally:
            self._requester.handlers[self._plan.name] -= 1
            link.running.pop(self._request_id, None)
        await self._send(answer)

    async def _answer(self) -> RPCResult | RPCErrorResult:
        invocation, plan = self._invocation, self._plan
        provided = {**self._provided, "invocation": invocation}
        args, kwargs = invocation.args, invocation.kwargs
        on_progress = self._send_progress if invocation.receives_progress else None
        try:
            if plan.kind == "async_generator":
                return await last_of(
                    lambda closing: plan.iterate(provided, args, kwargs, closing=closing),
                    on_progress,
                    to_result,
                )
            return await final_result(await plan.call(provided, args, kwargs), on_progress, to_result)
        except WAMPError as error:
            if check_uri(error.uri):
                return RPCErrorResult(error.uri, error.args, error.kwargs)
            return self._failed(error)
        except WireClosed:
            # The connection has ended, and nobody waits for the answer.
            return RPCErrorResult(CANCELED)
        except Exception as error:  # noqa: BLE001 - logged
            return self._failed(error)

    def _failed(self, error: Exception) -> RPCErrorResult:
        logger.error("the procedure %r failed", self._invocation.procedure, exc_info=error)
        self._requester.report(error)
        # Its text may have secrets.
        return RPCErrorResult(RUNTIME_ERROR)

    async def _send_progress(self, report: RPCProgressReport) -> None:
        link = self._link
        waiting = link.put(link.core.progress(self._request_id, report.args, report.kwargs))
        if waiting is not None:
            await waiting

    async def _send(self, answer: RPCResult | RPCErrorResult) -> None:
        try:
            try:
                waiting = self._put(answer)
            except UnserializableValue as error:
                waiting = self._put(self._failed(error))
            if waiting is not None:
                await waiting
        except WireClosed:
            return

    def _put(self, answer: RPCResult | RPCErrorResult) -> Awaitable[None] | None:
        core, request_id = self._link.core, self._request_id
        if isinstance(answer, RPCErrorResult):
            return self._link.put(core.error(request_id, answer.error_uri, answer.args, answer.kwargs))
        return self._link.put(core.result(request_id, answer.args, answer.kwargs))


class Registrations:
    """All registrations of a session."""

    def __init__(self) -> None:
        self._registrations: list[Registration] = []

    async def add(self, registration: Registration, timeout: float | None) -> None:
        """Register a procedure. Raises WAMPError."""
        self._registrations.append(registration)
        try:
            await registration.open(timeout)
        except BaseException:
            self.forget(registration)
            raise

    def forget(self, registration: Registration) -> None:
        """Do not renew a registration any more."""
        if registration in self._registrations:
            self._registrations.remove(registration)

    async def renew(self, link: Link) -> None:
        """Register everything on a new connection."""
        for registration in list(self._registrations):
            await registration.renew(link)
