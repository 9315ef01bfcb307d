"""Handlers in two parts: what stands before the ``yield`` begins something, what stands after it ends it."""

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

    The task stays in the generator from its first part to its last, so the handler may hold cancel scopes
    and task groups across the ``yield``. The first part ends early when the session does; the second runs in
    every case in which the first finished, shielded from cancellation, for ``teardown_timeout`` seconds.
    """

    __slots__ = (
        "_ended",
        "_giving_up",
        "_plan",
        "_provided",
        "_scope",
        "_teardown_timeout",
        "begun",
        "failure",
        "holding",
    )

    def __init__(self, plan: HandlerPlan, provided: Mapping[str, Any], *, teardown_timeout: float) -> None:
        self._plan = plan
        self._provided = provided
        self._teardown_timeout = teardown_timeout
        # Both scopes are around both parts: the handler's own may span the yield, and must nest in them.
        # The outer one gives the first part up, and the inner one shields what follows: a first part may
        # finish though it has been given up.
        self._giving_up = anyio.CancelScope()
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()
        #: Set when the first part has finished, failed or was given up.
        self.begun = anyio.Event()
        #: The first part has finished, so the second will run.
        self.holding = False
        #: What the first part raised.
        self.failure: Exception | None = None

    def end(self) -> None:
        """Let the second part run, or give the first one up if it still runs."""
        if not self.holding:
            self._giving_up.cancel()
        self._ended.set()

    async def run(self) -> None:
        """Run both parts, with a wait for ``end`` between them; raises nothing but cancellation."""
        with self._giving_up, self._scope:
            generator = self._plan.iterate(self._provided)
            try:
                await self._run_first_part(generator)
                if self.holding:
                    await self._ended.wait()
                    self._scope.deadline = anyio.current_time() + self._teardown_timeout
                    await self._run_second_part(generator)
            finally:
                await generator.aclose()
        if self.holding and self._scope.cancelled_caught:
            logger.error(
                "%s of %r took longer than teardown_timeout=%s s after its yield and was cancelled",
                self._plan.name,
                self._provided.get("session"),
                self._teardown_timeout,
                extra=self._about(),
            )

    async def _run_first_part(self, generator: AsyncGenerator[Any, None]) -> None:
        try:
            await anext(generator)
        except StopAsyncIteration:
            self.failure = RuntimeError(f"{self._plan.name} returned before its yield")
        except Exception as error:  # noqa: BLE001 - kept for whoever waits for it
            self.failure = error
            if self._giving_up.cancel_called:
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
                "%s failed after its yield, of %r",
                self._plan.name,
                self._provided.get("session"),
                extra=self._about(),
            )
        else:
            logger.error(
                "%s has more than one yield: the rest of it does not run, of %r",
                self._plan.name,
                self._provided.get("session"),
                extra=self._about(),
            )


class LifespanHandlers:
    """The lifespan handlers of one session: they begin together and end together."""

    def __init__(
        self, plans: Sequence[HandlerPlan], provided: Mapping[str, Any], *, teardown_timeout: float
    ) -> None:
        # Tuples, because most sessions have none, and an empty tuple takes no room.
        self._runs = tuple(
            TwoPartHandler(plan, provided, teardown_timeout=teardown_timeout) for plan in plans
        )
        self._session: Session | None = provided.get("session")
        self._names = tuple(plan.name for plan in plans)

    async def begin(self, tasks: TaskGroup | None) -> bool:
        """Run the first parts concurrently; returns whether all of them finished. Failures are logged.

        ``tasks`` own the handlers; they can be None where there are none.
        """
        for run in self._runs:
            assert tasks is not None
            tasks.start_soon(run.run)
        for run in self._runs:
            await run.begun.wait()
        for name, run in zip(self._names, self._runs, strict=True):
            if run.failure is not None:
                logger.error(
                    "lifespan handler %s failed before its yield, of %r",
                    name,
                    self._session,
                    exc_info=run.failure,
                    extra=about(self._session),
                )
        return all(run.holding for run in self._runs)

    def end(self) -> None:
        """Let the second parts run; the task group waits for them."""
        for run in self._runs:
            run.end()
