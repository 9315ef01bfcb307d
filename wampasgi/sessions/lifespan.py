"""Two-part handlers: the code before their ``yield`` sets something up, the code after it tears it down."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import anyio
from anyio.abc import TaskGroup

from wampasgi.injection.cancellation import log_failure
from wampasgi.injection.plan import HandlerPlan
from wampasgi.logs import about, logger_named
from wampasgi.peers.session import Session

logger = logger_named("wampasgi.session")


class TwoPartHandler:
    """One run of an async generator handler with one ``yield``, in a task of its own.

    One task runs both parts, so the handler may hold cancel scopes and task groups across the ``yield``. The
    first part is cancelled if the session ends before it has finished. The second part always runs if the
    first has finished; it is shielded from cancellation, for ``teardown_timeout`` seconds. Then the
    dependencies are closed, even if a part was cancelled; they have as much time again.
    """

    __slots__ = (
        "_closing",
        "_ended",
        "_first_part_scope",
        "_plan",
        "_provided",
        "_scope",
        "_teardown_timeout",
        "begun",
        "failure",
        "holding",
        "yielded",
    )

    def __init__(self, plan: HandlerPlan, provided: Mapping[str, Any], *, teardown_timeout: float) -> None:
        self._plan = plan
        self._provided = provided
        self._teardown_timeout = teardown_timeout
        # All scopes enclose both parts, because scopes of the handler may span the yield and must nest in
        # them. The outer one cancels the first part. The next one shields what follows, because the first
        # part may finish although it was cancelled. The inner one shields the closing of the dependencies.
        self._first_part_scope = anyio.CancelScope()
        self._scope = anyio.CancelScope()
        self._closing = anyio.CancelScope()
        self._ended = anyio.Event()
        #: Set when the first part has finished, failed or been cancelled.
        self.begun = anyio.Event()
        #: True if the first part has finished, so that the second will run.
        self.holding = False
        #: The exception that the first part raised.
        self.failure: Exception | None = None
        #: The value that the handler has yielded.
        self.yielded: Any = None

    def end(self) -> None:
        """Run the second part, or cancel the first one if it has not finished."""
        if not self.holding:
            self._first_part_scope.cancel()
            self._closing.deadline = anyio.current_time() + self._teardown_timeout
        self._ended.set()

    async def run(self) -> None:
        """Run both parts, and wait for ``end`` between them. Raises nothing but cancellation."""
        with self._first_part_scope, self._scope, self._closing:
            generator = self._plan.iterate(self._provided, closing=self._closing)
            try:
                await self._run_first_part(generator)
                if self.holding:
                    await self._ended.wait()
                    now = anyio.current_time()
                    self._scope.deadline = now + self._teardown_timeout
                    self._closing.deadline = now + 2 * self._teardown_timeout
                    await self._run_second_part(generator)
            finally:
                await generator.aclose()
        if self._closing.cancelled_caught:
            logger.error(
                "the dependencies of %s for %r took longer than teardown_timeout=%s s to close and were"
                " cancelled",
                self._plan.name,
                self._provided.get("session"),
                self._teardown_timeout,
                extra=self._about(),
            )
        if self.holding and self._scope.cancelled_caught:
            logger.error(
                "%s for %r took longer than teardown_timeout=%s s after its yield and was cancelled",
                self._plan.name,
                self._provided.get("session"),
                self._teardown_timeout,
                extra=self._about(),
            )

    async def _run_first_part(self, generator: AsyncGenerator[Any, None]) -> None:
        try:
            self.yielded = await anext(generator)
        except StopAsyncIteration:
            self.failure = RuntimeError(f"{self._plan.name} returned before its yield")
        except Exception as error:  # noqa: BLE001 - stored for the task that waits for `begun`
            self.failure = error
            if self._first_part_scope.cancel_called:
                log_failure(self._plan.name, self._provided.get("session"), error)
        else:
            self._scope.shield = True
            self.holding = True
        finally:
            self.begun.set()

    def _about(self) -> dict[str, Any]:
        return about(self._provided.get("session"), self._provided.get("topic_uri"))

    async def _run_second_part(self, generator: AsyncGenerator[Any, None]) -> None:
        try:
            await anext(generator)
        except StopAsyncIteration:
            return
        except Exception:
            logger.exception(
                "%s failed after its yield, for %r",
                self._plan.name,
                self._provided.get("session"),
                extra=self._about(),
            )
        else:
            logger.error(
                "%s has more than one yield: the code after the second does not run, for %r",
                self._plan.name,
                self._provided.get("session"),
                extra=self._about(),
            )


class LifespanHandlers:
    """The lifespan handlers of one session, which begin together and end together."""

    __slots__ = ("_names", "_runs", "_session")

    def __init__(
        self, plans: Sequence[HandlerPlan], provided: Mapping[str, Any], *, teardown_timeout: float
    ) -> None:
        # Tuples, because most sessions have no handlers, and an empty tuple takes no memory.
        self._runs = tuple(
            TwoPartHandler(plan, provided, teardown_timeout=teardown_timeout) for plan in plans
        )
        self._session: Session | None = provided.get("session")
        self._names = tuple(plan.name for plan in plans)

    async def begin(self, tasks: TaskGroup | None) -> bool:
        """Run the first parts concurrently; return whether all of them finished. Failures are logged.

        ``tasks`` owns the handlers; it can be None if no handlers exist.
        """
        for run in self._runs:
            assert tasks is not None
            tasks.start_soon(run.run)
        for run in self._runs:
            await run.begun.wait()
        for name, run in zip(self._names, self._runs, strict=True):
            if run.failure is not None:
                logger.error(
                    "lifespan handler %s failed before its yield, for %r",
                    name,
                    self._session,
                    exc_info=run.failure,
                    extra=about(self._session),
                )
        return all(run.holding for run in self._runs)

    def end(self) -> None:
        """Run the second parts; the task group waits for them."""
        for run in self._runs:
            run.end()
