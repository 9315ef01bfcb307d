"""What the handlers of one realm can get injected."""

from __future__ import annotations

from collections.abc import Mapping

from wampasgi.dependencies import DefaultArg
from wampasgi.handlers import HandlerPlan
from wampasgi.types import Handler


class Injection:
    """Reads handlers into plans, with the framework's arguments and the default args of one realm."""

    def __init__(self, provided: Mapping[str, type | None], default_args: Mapping[str, DefaultArg]) -> None:
        #: The framework's own arguments that every handler can get, with their classes.
        self.provided = dict(provided)
        self._default_args = dict(default_args)

    def read(
        self, handler: Handler, extra: Mapping[str, type | None] | None = None, *, takes_payload: bool = False
    ) -> HandlerPlan:
        """The plan of a handler that can get ``extra`` arguments beside those of every handler.

        Raises ConfigurationError for a handler that cannot be called.
        """
        return HandlerPlan.read(
            handler,
            provided={**self.provided, **(extra or {})},
            default_args=self._default_args,
            takes_payload=takes_payload,
        )
