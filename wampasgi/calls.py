"""Calls of a realm's own procedures: from the handler's return value to RESULT and ERROR."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import anyio

from wampasgi.adapters import Task, TaskOwner
from wampasgi.errors import CANCELED, RUNTIME_ERROR, TIMEOUT, WAMPError
from wampasgi.handlers import HandlerPlan
from wampasgi.messages import Call, Cancel, Error, Message, Result
from wampasgi.peer import Peer
from wampasgi.routing import Route
from wampasgi.rpc import RPCErrorResult, RPCProgressReport, RPCRequest, RPCResult, to_result
from wampasgi.session import Session

logger = logging.getLogger("wampasgi.router")

T = TypeVar("T")

OnProgress = Callable[[RPCProgressReport], Awaitable[None]]


class Procedure:
    """A procedure of the realm's own: what runs when its URI is called, and who may call it.

    ``request_name`` is the parameter, beside ``request``, that gets the RPCRequest. ``route`` says what it
    answers; None is every call.
    """

    __slots__ = ("_wants_request", "first", "plan", "request_name", "roles", "route")

    def __init__(
        self,
        plan: HandlerPlan,
        roles: frozenset[str] | None,
        *,
        request_name: str = "request",
        route: Route | None = None,
    ) -> None:
        self.plan = plan
        self.route = route
        #: Whether nothing else can come before it at a URI that it answers.
        self.first = route is not None and route.match == "exact"
        self.roles = roles
        self.request_name = request_name
        self._wants_request = not plan.uses.isdisjoint(("request", request_name))

    async def invoke(
        self,
        make_request: Callable[[], RPCRequest],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        provided: Mapping[str, Any],
        on_progress: OnProgress | None,
    ) -> RPCResult | RPCErrorResult:
        """Run the handler for one call and return its final result; raises what the handler raises.

        ``make_request`` makes the RPCRequest of the call, which most handlers do not ask for. Progress
        reports go to ``on_progress`` and are dropped where the caller did not ask for them.
        """
        plan = self.plan
        values = provided
        if self._wants_request:
            request = make_request()
            values = {**provided, "request": request, self.request_name: request}
        if plan.kind == "async_generator":
            return await _final_result(plan.iterate(values, args, kwargs), on_progress)
        value = await plan.call(values, args, kwargs)
        if hasattr(value, "__anext__"):
            return await _final_result(value, on_progress)
        return to_result(value)


async def _final_result(
    reports: AsyncIterator[Any], on_progress: OnProgress | None
) -> RPCResult | RPCErrorResult:
    try:
        async for value in reports:
            if not isinstance(value, RPCProgressReport):
                return to_result(value)
            if on_progress is not None:
                await on_progress(value)
        return RPCResult()
    finally:
        close = getattr(reports, "aclose", None)
        if close is not None:
            await close()


async def within(timeout: float | None, invocation: Awaitable[T]) -> T:
    """Wait for a call for ``timeout`` seconds at most; raises WAMPError ``wamp.error.timeout`` after that."""
    with anyio.move_on_after(timeout):
        return await invocation
    raise WAMPError(TIMEOUT, f"the call gave no result within {timeout} s")


class RunningCall:
    """A call that a procedure is handling."""

    __slots__ = ("answered", "request_id", "started", "task")

    def __init__(self, request_id: int) -> None:
        self.request_id = request_id
        self.task: Task | None = None
        self.answered = False
        self.started = False


class Calls:
    """The calls of one session that are being handled, each in a task of its own.

    Every call gets exactly one final answer, unless the session ends first; then it is cancelled.
    """

    __slots__ = (
        "_debug",
        "_handling",
        "_limit",
        "_owner",
        "_peer",
        "_provided",
        "_room",
        "_running",
        "_session",
    )

    def __init__(
        self,
        session: Session,
        peer: Peer,
        owner: TaskOwner,
        provided: Mapping[str, Any],
        *,
        limit: int,
        debug: bool,
    ) -> None:
        self._session = session
        self._peer = peer
        self._owner = owner
        self._provided = provided
        self._limit = limit
        self._debug = debug
        self._handling = 0
        self._room: anyio.Event | None = None
        self._running: dict[int, RunningCall] = {}

    def __contains__(self, request_id: int) -> bool:
        return request_id in self._running

    def start(self, message: Call, procedure: Procedure) -> None:
        """Handle a call in a task of its own."""
        call = self._new(message)
        call.task = self._owner.spawn(self._handle, call, message, procedure)

    async def run(self, message: Call, procedure: Procedure) -> None:
        """Handle a call here and now, for an application with ``synchronize_requests=True``."""
        await self._handle(self._new(message), message, procedure)

    def _new(self, message: Call) -> RunningCall:
        call = self._running[message.request_id] = RunningCall(message.request_id)
        self._handling += 1
        return call

    async def room(self) -> None:
        """Wait while as many requests are handled as may; a session at its limit is not read from."""
        while self._handling >= self._limit:
            self._room = anyio.Event()
            await self._room.wait()

    def cancel(self, message: Cancel) -> None:
        """Cancel a call as its mode says; one that is answered already is left alone.

        ``skip`` answers at once and lets the handler finish, ``killnowait`` answers at once and cancels the
        handler, ``kill`` cancels it and answers when it is done.
        Spec: Advanced Profile, "Call Canceling", which names no default; here it is ``killnowait``.
        """
        call = self._running.get(message.request_id)
        if call is None:
            return
        mode = message.options.get("mode", "killnowait")
        # A task that is cancelled before its first step never gets to answer.
        unstarted = mode != "skip" and not call.started
        if mode != "kill" or unstarted:
            self._answer(call, Error(Call.code, call.request_id, {}, CANCELED))
        if mode != "skip" and call.task is not None:
            call.task.cancel()
        if unstarted:
            self._finished()

    async def _handle(self, call: RunningCall, message: Call, procedure: Procedure) -> None:
        call.started = True
        try:
            answer = await self._result(call, message, procedure)
            if not call.answered:
                call.answered = True
                del self._running[call.request_id]
                await self._peer.write(answer)
        finally:
            if not call.answered:
                self._answer(call, Error(Call.code, call.request_id, {}, CANCELED))
            self._finished()

    def _finished(self) -> None:
        self._handling -= 1
        if self._room is not None:
            self._room.set()

    async def _result(self, call: RunningCall, message: Call, procedure: Procedure) -> Message:
        options, args, kwargs = message.options, message.args or (), message.kwargs or {}
        timeout = options.get("timeout", 0) / 1000

        def make_request() -> RPCRequest:
            return RPCRequest(
                id=message.request_id,
                session=self._session,
                uri=message.procedure,
                args=args,
                kwargs=kwargs,
                timeout=timeout,
                disclose_caller=options.get("disclose_me", False),
                receive_progress=options.get("receive_progress", False),
                options=options,
            )

        on_progress = self._progress_sender(call) if options.get("receive_progress", False) else None
        try:
            invocation = procedure.invoke(make_request, args, kwargs, self._provided, on_progress)
            # Most calls have no timeout, and a cancel scope costs as much as all the rest of a short one.
            result = await (within(timeout, invocation) if timeout else invocation)
        except WAMPError as error:
            return _error(message.request_id, error.uri, error.args, error.kwargs)
        except Exception as error:
            logger.exception("procedure %s failed, called by %r", message.procedure, self._session)
            text = (f"{type(error).__name__}: {error}",) if self._debug else ()
            return _error(message.request_id, RUNTIME_ERROR, text, {})
        if isinstance(result, RPCErrorResult):
            return _error(message.request_id, result.error_uri, result.args, result.kwargs)
        return Result(message.request_id, {}, list(result.args), dict(result.kwargs))

    def _progress_sender(self, call: RunningCall) -> OnProgress:
        async def send_progress(report: RPCProgressReport) -> None:
            if not call.answered:
                self._peer.send(
                    Result(call.request_id, {"progress": True}, list(report.args), dict(report.kwargs))
                )
                await self._peer.uncongested()

        return send_progress

    def _answer(self, call: RunningCall, message: Message) -> None:
        if not call.answered:
            call.answered = True
            del self._running[call.request_id]
            self._peer.send(message)


def _error(request_id: int, uri: str, args: Any, kwargs: Mapping[str, Any]) -> Error:
    return Error(Call.code, request_id, {}, uri, list(args), dict(kwargs))
