"""Calls of a realm's own procedures: from the handler's return value to RESULT and ERROR."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from anyio.lowlevel import checkpoint

from wampasgi.adapters import TaskOwner
from wampasgi.configuration.exception_handlers import ExceptionHandlers
from wampasgi.configuration.handlers import Procedure
from wampasgi.configuration.plan import RealmPlan
from wampasgi.errors import RUNTIME_ERROR, ConnectionClosed, InvalidArgument, WAMPError
from wampasgi.injection.cancellation import checked, without_errors
from wampasgi.injection.plan import NO_KEYWORDS
from wampasgi.injection.results import (
    OnProgress,
    RPCErrorResult,
    RPCProgressReport,
    RPCResult,
    final_result,
)
from wampasgi.injection.validation import has_many_values
from wampasgi.logs import about, logger_named, shown
from wampasgi.peers.http_errors import wamp_error_of
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.protocol.messages import Call, Error, Result
from wampasgi.protocol.uris import check_uri
from wampasgi.rpc import RPCRequest
from wampasgi.sessions.in_flight import CallsInFlight
from wampasgi.types import RawMessage

logger = logger_named("wampasgi.router")

_RESULT: Final = Result.code


class OwnCalls:
    """Answers the calls of one session to procedures of the realm, each in a task of its own.

    Every call gets exactly one final answer, unless the session ends first; then the handler is cancelled.
    """

    __slots__ = (
        "_debug",
        "_exceptions",
        "_in_flight",
        "_owner",
        "_peer",
        "_provided",
        "_session",
        "_starting",
    )

    def __init__(
        self,
        session: Session,
        peer: Peer,
        in_flight: CallsInFlight,
        owner: TaskOwner,
        plan: RealmPlan,
        provided: Mapping[str, Any],
    ) -> None:
        self._session = session
        self._peer = peer
        self._in_flight = in_flight
        self._owner = owner
        self._debug = plan.debug
        self._exceptions = plan.exception_handlers
        self._provided = provided
        # True if a task starts the calls that have to wait.
        self._starting = False

    def start(self, message: Call, procedure: Procedure, size: int = 0) -> None:
        """Handle a call in a task. ``size`` is known if the call had to wait."""
        task = self._owner.spawn(self._handle, message, procedure)
        # Most handlers finish without suspending.
        if task is not None:
            self._in_flight.add_own(message, task, size)

    def start_later(self, message: Call, procedure: Procedure) -> Awaitable[None] | None:
        """Handle a call when enough others have ended; return an awaitable if too many calls wait."""
        pause = self._in_flight.put_off(message, procedure)
        if not self._starting:
            self._starting = True
            self._owner.spawn(self._start_waiting)
        return pause

    async def _start_waiting(self) -> None:
        try:
            while (held := await self._in_flight.next_waiting()) is not None:
                assert isinstance(held.message, Call)
                assert held.procedure is not None
                self.start(held.message, held.procedure, held.size)
        finally:
            self._starting = False

    def run(self, message: Call, procedure: Procedure) -> Awaitable[None] | None:
        """Handle a call before the next request, for an app with ``synchronize_requests=True``."""
        self.start(message, procedure)
        request_id = message.request_id
        return self._in_flight.wait_for_end(request_id) if request_id in self._in_flight.own else None

    async def _handle(self, message: Call, procedure: Procedure) -> None:
        request_id = message.request_id
        answer: RawMessage | None = None
        is_plain = procedure.is_plain and not message.options
        try:
            if not is_plain:
                answer = await self._result(message, procedure)
            else:
                # Nearly all calls are plain, and need none of the layers of the others.
                try:
                    value = await procedure.run(
                        self._provided, message.args or (), message.kwargs or NO_KEYWORDS
                    )
                    if type(value) in procedure.scalars:
                        answer = [_RESULT, request_id, {}, [value]]
                    else:
                        convert = procedure.response.to_client
                        answer = self._answer(message, await final_result(value, None, convert))
                except Exception as error:  # noqa: BLE001 - logged, or answered as ERROR
                    # A coroutine would be a part of the cost of each ERROR.
                    exceptions = self._exceptions
                    answer = (
                        self._failure(message, error)
                        if exceptions is None
                        else await self._handled(message, error, exceptions)
                    )
                except CancelledError as error:
                    failure = checked(error, procedure.plan.name)
                    if not isinstance(failure, Exception):
                        raise
                    answer = await self._failed(message, failure)
        except BaseExceptionGroup as group:
            raise without_errors(group, procedure.plan.name, self._session) from None
        finally:
            if self._in_flight.own or answer is None or not is_plain:
                answer = self._in_flight.end_own(request_id, answer)
        if answer is not None:
            self._peer.send_raw(answer, message.procedure)

    async def _result(self, message: Call, procedure: Procedure) -> RawMessage:
        options, args, kwargs = message.options, message.args or (), message.kwargs or {}
        asked = options.get("timeout", 0) / 1000
        timeout = min(filter(None, (asked, procedure.timeout)), default=0)
        request = None
        if procedure.wants_request:
            request = self._request(message)
        if timeout:
            text = f"the call gave no result within {timeout} s"
            if timeout != asked:
                text = f"the handler gave no result within the limit handler_timeout of {timeout} s"
            self._in_flight.set_deadline(message.request_id, timeout, text)
        on_progress = None
        if options.get("receive_progress", False):
            on_progress = self._progress_sender(message)
        try:
            result = await procedure.invoke(
                request, args, kwargs, self._provided, on_progress, procedure.response.to_client
            )
        except Exception as error:  # noqa: BLE001 - logged, or answered as ERROR
            return await self._failed(message, error)
        return self._answer(message, result)

    def _request(self, message: Call) -> RPCRequest:
        options = message.options
        return RPCRequest(
            id=message.request_id,
            session=self._session,
            uri=message.procedure,
            args=message.args or (),
            kwargs=message.kwargs or {},
            timeout=options.get("timeout", 0) / 1000,
            disclose_caller=options.get("disclose_me", False),
            receive_progress=options.get("receive_progress", False),
            options=options,
        )

    def _answer(self, message: Call, result: RPCResult | RPCErrorResult) -> RawMessage:
        if isinstance(result, RPCErrorResult):
            return self._error(message, result.error_uri, result.args, result.kwargs)
        return Result(message.request_id, {}, list(result.args), dict(result.kwargs)).to_list()

    async def _failed(self, message: Call, error: Exception) -> RawMessage:
        if self._exceptions is None:
            return self._failure(message, error)
        return await self._handled(message, error, self._exceptions)

    async def _handled(self, message: Call, error: Exception, exceptions: ExceptionHandlers) -> RawMessage:
        """Return the ERROR for an exception, after running its exception handler."""
        if isinstance(error, InvalidArgument):
            self._peer.turn.end()
        request = self._request(message) if exceptions.wants_request else None
        log = partial(self._log_failure, message)
        return self._failure(
            message, await exceptions.handle(error, self._provided, log=log, request=request)
        )

    def _failure(self, message: Call, error: Exception) -> RawMessage:
        if isinstance(error, InvalidArgument):
            # Collecting the errors takes a hundred times as long as an ordinary call.
            self._peer.turn.end()
        answer = error if isinstance(error, WAMPError) else wamp_error_of(error)
        if answer is not None:
            return self._error(message, answer.uri, answer.args, answer.kwargs)
        if isinstance(error, ConnectionClosed) and not self._session.is_open:
            # The handler has not failed: it has used its session just after the end.
            logger.info(
                "procedure %s has ended with its caller %r: %s",
                shown(message.procedure),
                self._session,
                error,
                extra=about(self._session, message.procedure),
            )
            return self._error(message, RUNTIME_ERROR, (), {})
        self._log_failure(message, error)
        text = (f"{type(error).__name__}: {error}",) if self._debug else ()
        return self._error(message, RUNTIME_ERROR, text, {})

    def _log_failure(self, message: Call, error: Exception) -> None:
        logger.error(
            "procedure %s failed, called by %r",
            shown(message.procedure),
            self._session,
            exc_info=error,
            extra=about(self._session, message.procedure),
        )

    def _error(self, message: Call, uri: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> RawMessage:
        if not check_uri(uri):
            # A strict client would end its session because of the handler's mistake.
            logger.error(
                "procedure %s answered %r with the error %r, which is not a valid URI",
                shown(message.procedure),
                self._session,
                uri,
                extra=about(self._session, message.procedure),
            )
            uri, args, kwargs = RUNTIME_ERROR, (), {}
        return Error.answering(Call.code, message.request_id, WAMPError(uri, *args, **kwargs)).to_list()

    def _progress_sender(self, message: Call) -> OnProgress:
        request_id = message.request_id

        async def send_progress(report: RPCProgressReport) -> None:
            in_flight = self._in_flight
            in_flight.extend_deadline(request_id)
            if in_flight.is_given_up(request_id) or self._peer.ending is not None:
                # Nothing slows the handler down any more. If it never awaits, it could not be cancelled.
                await checkpoint()
                return
            progress = Result(request_id, {"progress": True}, list(report.args), dict(report.kwargs))
            self._peer.send(progress, message.procedure)
            await self._peer.uncongested()
            if has_many_values([progress.args, progress.kwargs]):
                # Encoding it has taken long, so other sessions have their turn.
                await checkpoint()

        return send_progress
