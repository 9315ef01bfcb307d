"""Calls of a realm's own procedures: from the handler's return value to RESULT and ERROR."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Final, TypeVar

import anyio

from wampasgi.adapters import Task, TaskOwner
from wampasgi.configuration.handlers import Procedure
from wampasgi.errors import CANCELED, RUNTIME_ERROR, WAMPError
from wampasgi.injection.cancellation import checked, within, without_errors
from wampasgi.injection.plan import NO_KEYWORDS
from wampasgi.injection.results import (
    SCALARS,
    OnProgress,
    RPCErrorResult,
    RPCProgressReport,
    RPCResult,
    final_result,
)
from wampasgi.limits import Limits
from wampasgi.logs import about, logger_named, shown
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.protocol.messages import Call, Cancel, Error, Result
from wampasgi.protocol.uris import check_uri
from wampasgi.rpc import RPCRequest
from wampasgi.types import RawMessage

logger = logger_named("wampasgi.router")

T = TypeVar("T")

_RESULT: Final = Result.code


class Calls:
    """The calls of one session that are being handled, each in a task of its own.

    Every call gets exactly one final answer, unless the session ends first; then it is cancelled.
    """

    __slots__ = (
        "_bytes",
        "_counts",
        "_debug",
        "_given_up",
        "_limit",
        "_max_bytes",
        "_owner",
        "_peer",
        "_provided",
        "_room",
        "_session",
        "_sizes",
        "running",
    )

    def __init__(
        self,
        session: Session,
        peer: Peer,
        owner: TaskOwner,
        provided: Mapping[str, Any],
        *,
        limits: Limits,
        debug: bool,
    ) -> None:
        self._session = session
        self._peer = peer
        self._counts = peer.counts
        self._owner = owner
        self._provided = provided
        self._limit = limits.requests_in_flight
        self._max_bytes = limits.requests_bytes
        self._debug = debug
        self._room: anyio.Event | None = None
        # Of the running calls those that have their answer already, because they were cancelled.
        self._given_up: dict[int, None] = {}
        # The sizes of those that came in long messages, and their sum.
        self._sizes: dict[int, int] = {}
        self._bytes = 0
        #: The calls whose handlers run, by request id, with the tasks that they have.
        self.running: dict[int, Task | None] = {}

    def start(self, message: Call, procedure: Procedure) -> Awaitable[None] | None:
        """Handle a call in a task of its own; returns what is to be awaited before the next one is read."""
        task = self._owner.spawn(self._handle, message, procedure)
        if task is None:
            # Most handlers have nothing to wait for.
            return None
        self.running[message.request_id] = task
        size = self._peer.turn.size_of(message)
        if size:
            self._sizes[message.request_id] = size
            self._bytes += size
        return self._wait_for_room() if self._full else None

    async def run(self, message: Call, procedure: Procedure) -> None:
        """Handle a call here and now, for an application with ``synchronize_requests=True``."""
        self.running[message.request_id] = None
        await self._handle(message, procedure)

    @property
    def _full(self) -> bool:
        return len(self.running) >= self._limit or self._bytes > self._max_bytes

    async def _wait_for_room(self) -> None:
        # A session that has as many calls as it may is not read from.
        while self._full:
            self._room = anyio.Event()
            await self._room.wait()

    def cancel(self, message: Cancel) -> None:
        """Cancel a call as its mode says; one that is answered already is left alone.

        ``skip`` answers at once and lets the handler finish, ``killnowait`` answers at once and cancels the
        handler, ``kill`` cancels it and answers when it is done.
        Spec: Advanced Profile, "Call Canceling", which names no default; here it is ``killnowait``.
        """
        request_id = message.request_id
        if request_id not in self.running or request_id in self._given_up:
            return
        mode, task = message.options.get("mode", "killnowait"), self.running[request_id]
        if mode != "kill":
            self._given_up[request_id] = None
            self._counts.canceled += 1
            self._peer.send(Error(Call.code, request_id, {}, CANCELED))
        if mode != "skip" and task is not None:
            task.cancel()

    async def _handle(self, message: Call, procedure: Procedure) -> None:
        request_id = message.request_id
        answer: RawMessage | None = None
        try:
            if message.options or not procedure.is_plain:
                answer = await self._result(message, procedure)
            else:
                # What nearly all calls are, without the layers that the others need.
                try:
                    value = await procedure.run(
                        self._provided, message.args or (), message.kwargs or NO_KEYWORDS
                    )
                    if type(value) in SCALARS:
                        answer = [_RESULT, request_id, {}, [value]]
                    else:
                        answer = self._answer(message, await final_result(value, None))
                except Exception as error:  # noqa: BLE001 - logged or passed on as what it is
                    answer = self._failure(message, error)
                except CancelledError as error:
                    failure = checked(error, procedure.plan.name)
                    if not isinstance(failure, Exception):
                        raise
                    answer = self._failure(message, failure)
        except BaseExceptionGroup as group:
            raise without_errors(group, procedure.plan.name, self._session) from None
        finally:
            if self.running or answer is None:
                answer = self._conclude(request_id, answer)
        if answer is not None:
            if answer[0] == _RESULT:
                self._counts.results += 1
            else:
                self._counts.call_errors += 1
            self._peer.send_raw(answer)

    def _conclude(self, request_id: int, answer: RawMessage | None) -> RawMessage | None:
        """Forget a call that may be among those that run, and return the answer that is still due."""
        self.running.pop(request_id, None)
        if self._sizes:
            self._bytes -= self._sizes.pop(request_id, 0)
        if self._room is not None:
            self._room.set()
        if request_id in self._given_up:
            del self._given_up[request_id]
            return None
        if answer is None:
            self._counts.canceled += 1
            self._peer.send(Error(Call.code, request_id, {}, CANCELED))
        return answer

    async def _result(self, message: Call, procedure: Procedure) -> RawMessage:
        options, args, kwargs = message.options, message.args or (), message.kwargs or {}
        asked = options.get("timeout", 0) / 1000
        timeout = min(filter(None, (asked, procedure.timeout)), default=0)
        request = None
        if procedure.wants_request:
            request = RPCRequest(
                id=message.request_id,
                session=self._session,
                uri=message.procedure,
                args=args,
                kwargs=kwargs,
                timeout=asked,
                disclose_caller=options.get("disclose_me", False),
                receive_progress=options.get("receive_progress", False),
                options=options,
            )
        # Most calls have no timeout, and a cancel scope costs as much as all the rest of a short one.
        scope = anyio.CancelScope() if timeout else None
        on_progress = None
        if options.get("receive_progress", False):
            on_progress = self._progress_sender(message.request_id, scope, timeout)
        try:
            invocation = procedure.invoke(request, args, kwargs, self._provided, on_progress)
            if scope is None:
                result = await invocation
            elif timeout == asked:
                result = await within(timeout, invocation, scope=scope)
            else:
                what = f"the handler gave no result within the limit handler_timeout of {timeout} s"
                result = await within(timeout, invocation, scope=scope, text=what)
        except Exception as error:  # noqa: BLE001 - logged or passed on as what it is
            return self._failure(message, error)
        return self._answer(message, result)

    def _answer(self, message: Call, result: RPCResult | RPCErrorResult) -> RawMessage:
        if isinstance(result, RPCErrorResult):
            return self._error(message, result.error_uri, result.args, result.kwargs)
        return Result(message.request_id, {}, list(result.args), dict(result.kwargs)).to_list()

    def _failure(self, message: Call, error: Exception) -> RawMessage:
        if isinstance(error, WAMPError):
            return self._error(message, error.uri, error.args, error.kwargs)
        logger.error(
            "procedure %s failed, called by %r",
            shown(message.procedure),
            self._session,
            exc_info=error,
            extra=about(self._session, message.procedure),
        )
        text = (f"{type(error).__name__}: {error}",) if self._debug else ()
        return self._error(message, RUNTIME_ERROR, text, {})

    def _error(self, message: Call, uri: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> RawMessage:
        if not check_uri(uri):
            # A client that checks what it gets would end its session for the handler's mistake.
            logger.error(
                "procedure %s answered %r with the error %r, which is no URI",
                shown(message.procedure),
                self._session,
                uri,
                extra=about(self._session, message.procedure),
            )
            return Error(Call.code, message.request_id, {}, RUNTIME_ERROR).to_list()
        return Error(Call.code, message.request_id, {}, uri, list(args), dict(kwargs)).to_list()

    def _progress_sender(
        self, request_id: int, scope: anyio.CancelScope | None, timeout: float
    ) -> OnProgress:
        async def send_progress(report: RPCProgressReport) -> None:
            if scope is not None:
                # Spec: the timeout is the time between two results.
                scope.deadline = anyio.current_time() + timeout
            if request_id not in self._given_up:
                progress = Result(request_id, {"progress": True}, list(report.args), dict(report.kwargs))
                self._peer.send(progress)
                await self._peer.uncongested()

        return send_progress
