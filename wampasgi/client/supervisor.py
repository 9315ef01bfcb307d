"""The connections of a session: opening, renewing after a loss, and closing for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from logging import INFO, WARNING
from typing import Any, Final, Literal, TypeAlias

import anyio

from wampasgi.adapters import Task, TaskOwner, support_for_running_loop
from wampasgi.client.credentials import Credentials
from wampasgi.client.errors import ConnectFailed, ConnectionLost, JoinRefused
from wampasgi.client.link import Link
from wampasgi.client.registrations import Registrations
from wampasgi.client.requester import OnError, Requester, lost
from wampasgi.client.retry import Retry
from wampasgi.client.subscriptions import Subscriptions
from wampasgi.client.wire import Transport, WireClosed
from wampasgi.errors import (
    NETWORK_FAILURE,
    NO_SUCH_REALM,
    SYSTEM_SHUTDOWN,
    UNAVAILABLE,
    ConfigurationError,
    ConnectionClosed,
    RemoteProtocolError,
    WAMPError,
)
from wampasgi.logs import logger_named
from wampasgi.protocol.messages import Welcome

logger = logger_named("wampasgi.client")

#: ``connecting`` until the first session is open, ``open``, ``reconnecting`` after a loss, ``closed``.
State: TypeAlias = Literal["connecting", "open", "reconnecting", "closed"]

#: Called with each new state.
OnState: TypeAlias = Callable[[State], object]

#: The reasons of an ABORT or GOODBYE after which another attempt may succeed.
_TEMPORARY: Final = frozenset({SYSTEM_SHUTDOWN, UNAVAILABLE, NETWORK_FAILURE})

#: The reasons of an ABORT that other authentication methods would not change.
_NOT_ABOUT_METHODS: Final = _TEMPORARY | {NO_SUCH_REALM}

#: The time in seconds after which a session counts as a success, so that delays begin anew after its loss.
_STABLE: Final = 10.0

#: The longest wait for the router's GOODBYE, in seconds.
_GOODBYE_TIMEOUT: Final = 3.0
#: The longest time to leave a session, in seconds.
_LEAVE_TIMEOUT: Final = 6.0

_FAILURES: Final = (
    ConnectFailed,
    ConnectionClosed,
    ConnectionLost,
    JoinRefused,
    RemoteProtocolError,
    ConfigurationError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """The settings of a client's sessions. See ``Client``."""

    transport: Transport
    realm: str
    credentials: Credentials
    hello: Mapping[str, Any] = field(default_factory=dict)
    retry: Retry | None
    timeout: float | None
    connect_timeout: float | None
    on_state: OnState | None = None
    on_error: OnError | None = None
    errors: Mapping[str, type[WAMPError]] = field(default_factory=dict)


class Supervisor:
    """Keeps a session open until it is closed. ``owner`` runs its tasks."""

    def __init__(self, owner: TaskOwner, settings: SessionSettings) -> None:
        self.settings = settings
        self.requester = Requester(owner, settings.timeout, settings.on_error, settings.errors)
        self.subscriptions = Subscriptions(self.requester)
        self.registrations = Registrations()
        self.state: State = "connecting"
        #: The latest WELCOME, None before the first.
        self.welcome: Welcome | None = None
        #: The reason why the session is over, None if this side has closed it.
        self.failure: Exception | None = None
        self._owner = owner
        self._link: Link | None = None
        self._task: Task | None = None
        self._first = anyio.Event()
        self._over = anyio.Event()
        self._closed_by_us: str | None = None
        # The time when the latest attempt has opened a session, None if it has not.
        self._opened_at: float | None = None
        # Set if the latest HELLO was refused, perhaps because of the methods that it offered.
        self._hello_refused = False

    async def start(self) -> None:
        """Open the first session. Raises ConnectFailed, JoinRefused, RemoteProtocolError."""
        self._task = self._owner.spawn(self._run)
        await self._first.wait()
        if self.failure is not None:
            raise self.failure

    async def wait_closed(self) -> None:
        """Wait until the session is over for good."""
        await self._over.wait()

    async def close(self, reason: str) -> None:
        """Say GOODBYE, and wait until the connection is closed."""
        if self._closed_by_us is None:
            self._closed_by_us = reason
            self._end(None)
            link = self._link
            if link is not None:
                link.say_goodbye(reason)
            if self._task is not None and not self._over.is_set():
                # In a task of its own, because the caller may be cancelled.
                self._owner.spawn(self._stop, self._task, 0.0 if link is None else _GOODBYE_TIMEOUT)
        if self._task is not None:
            await self._over.wait()

    async def _stop(self, task: Task, patience: float) -> None:
        """Give the router time to answer GOODBYE, and end the connection if it does not."""
        with anyio.move_on_after(patience):
            await self._over.wait()
        if not self._over.is_set():
            task.cancel()

    async def leave(self, reason: str) -> None:
        """Close, even if the caller is being cancelled; then the router has less time to answer."""
        with anyio.move_on_after(_LEAVE_TIMEOUT, shield=True):
            await self.close(reason)

    # The task that owns the connections

    async def _run(self) -> None:
        failures = 0
        try:
            while True:
                self._opened_at = None
                failure = await self._attempt()
                if self._closed_by_us is not None:
                    return
                # A server that accepts sessions and drops them at once should not be hurried.
                failures = 1 if self._was_stable() else failures + 1
                if not self._may_retry(failure, failures):
                    self._end(failure)
                    return
                self._change("reconnecting" if self.welcome is not None else "connecting")
                assert self.settings.retry is not None
                delay = self.settings.retry.delay(failures - 1)
                level = WARNING if failures == 1 else INFO
                logger.log(level, "connecting again in %.2f s: %s", delay, failure)
                await anyio.sleep(delay)
        except Exception as error:
            logger.exception("the client failed; this is a bug in wampasgi")
            self._end(error)
        finally:
            self._end(None)
            self._first.set()
            self._over.set()

    def _was_stable(self) -> bool:
        return self._opened_at is not None and anyio.current_time() - self._opened_at > _STABLE

    async def _attempt(self) -> Exception:
        """Open a session, serve it, and return the reason of its end."""
        credentials = self.settings.credentials
        failure = await self._connect(credentials)
        fewer = credentials.without_scram()
        if fewer is None or not self._hello_refused or self._closed_by_us is not None:
            return failure
        logger.info("offering only WAMP-CRA, because the router may not know WAMP-SCRAM: %s", failure)
        return await self._connect(fewer)

    async def _connect(self, credentials: Credentials) -> Exception:
        """Make one attempt with these credentials."""
        self._hello_refused = False
        settings, where = self.settings, self.settings.transport.description
        try:
            async with (
                settings.transport.open(settings.connect_timeout) as wire,
                support_for_running_loop(None).task_owner() as owner,
            ):
                link = Link(wire, owner)
                try:
                    return await self._serve(link, credentials)
                except WireClosed as error:
                    return ConnectFailed(f"no WELCOME from {where}: {error}")
                except TimeoutError:
                    return ConnectFailed(
                        f"waited {settings.connect_timeout or 0:g} s for WELCOME from {where}"
                    )
                finally:
                    self._link = None
        except _FAILURES as error:
            return error

    async def _serve(self, link: Link, credentials: Credentials) -> Exception:
        settings = self.settings
        try:
            welcome = await link.join(
                settings.realm, credentials, dict(settings.hello), settings.connect_timeout
            )
        except (JoinRefused, WireClosed) as raised:
            has_other_reason = isinstance(raised, JoinRefused) and raised.uri in _NOT_ABOUT_METHODS
            self._hello_refused = not link.challenged and not has_other_reason
            raise
        is_first = self.welcome is None
        self.welcome = welcome
        self._link = link
        error: Exception | None = None
        try:
            if self._closed_by_us is not None:
                link.say_goodbye(self._closed_by_us)
            elif is_first:
                self._open(link)
            else:
                link.owner.spawn(self._restore, link)
            await link.run()
        except WireClosed as raised:
            error = raised
        except RemoteProtocolError as raised:
            error = raised
            raise
        finally:
            # From now on, requests wait for the next connection.
            if self.requester.link is link:
                self.requester.set_link(None)
            self._fail_pending(link, error)
        if error is not None:
            return ConnectionLost(str(error), sent=False)
        await link.close()
        return link.closed()

    def _open(self, link: Link) -> None:
        self.requester.set_link(link)
        self._opened_at = anyio.current_time()
        self._change("open")
        self._first.set()

    async def _restore(self, link: Link) -> None:
        """Renew registrations and subscriptions on a new connection, and then let requests use it."""
        try:
            await self.registrations.renew(link)
            await self.subscriptions.renew(link)
        except ConnectionError:
            # The task that reads has noticed it, too.
            return
        except Exception as error:
            logger.warning("the session could not be restored: %s", error, exc_info=error)
            self.requester.report(error)
            await link.abandon()
            return
        if not link.ended and self._closed_by_us is None:
            self._open(link)

    def _fail_pending(self, link: Link, error: Exception | None) -> None:
        for request in link.end():
            target: Any = request.target
            if target is None:
                continue
            if isinstance(error, WireClosed):
                target.fail(lost(target.describe(), str(error), sent=target.sent))
            else:
                target.fail(copy(error) if error is not None else link.closed())

    def _may_retry(self, failure: Exception, failures: int) -> bool:
        retry = self.settings.retry
        if retry is None or (self.welcome is None and not retry.first):
            return False
        if retry.attempts is not None and failures > retry.attempts:
            return False
        if isinstance(failure, JoinRefused):
            return failure.uri in _TEMPORARY
        if isinstance(failure, ConnectionClosed):
            return failure.reason in _TEMPORARY
        return (
            failure.retryable if isinstance(failure, ConnectFailed) else isinstance(failure, ConnectionLost)
        )

    # States

    def _end(self, failure: Exception | None) -> None:
        """End the session for good."""
        if self.state == "closed":
            return
        self.failure = failure
        reason = self._closed_by_us or ""
        error: Callable[[], Exception] = (
            partial(ConnectionClosed, reason, closed_by="client")
            if failure is None
            else partial(copy, failure)
        )
        self.requester.end(error)
        self.subscriptions.end(error)
        self._change("closed")

    def _change(self, state: State) -> None:
        if state == self.state:
            return
        self.state = state
        if self.settings.on_state is None:
            return
        try:
            self.settings.on_state(state)
        except Exception as error:
            logger.exception("on_state failed for %r", state)
            self.requester.report(error)
