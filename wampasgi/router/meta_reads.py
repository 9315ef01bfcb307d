"""The reads of the meta API that involve all workers of a realm.

A read first synchronises with all other workers: when each has answered, this worker has all rows that they
sent before. Who subscribes to a topic is known only to the worker of the subscriber, so its answer says it.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import Any, Final

from wampasgi.errors import NETWORK_FAILURE, WAMPError
from wampasgi.router.broker import Broker
from wampasgi.router.completion import Completion
from wampasgi.router.meta_procedures import MetaResult
from wampasgi.router.realm_channel import RealmChannel
from wampasgi.router.reflection import DEFINE, DESCRIPTIONS, METRICS, Reflection

# These change only the caller's own session.
_LOCAL: Final = frozenset(["wamp.session.add_testament", "wamp.session.flush_testaments", DEFINE])
_CHANGES: Final = ("wamp.session.kill", "wamp.registration.remove_callee")
_LIST: Final = "wamp.subscription.list_subscribers"
_COUNT: Final = "wamp.subscription.count_subscribers"


def changes_nothing(procedure: str) -> bool:
    """Return whether a meta procedure only reads."""
    return procedure not in _LOCAL and not procedure.startswith(_CHANGES)


class ClusterRead:
    """One read of a meta procedure."""

    __slots__ = ("_answers", "_procedure", "_synchronised")

    def __init__(self, procedure: str) -> None:
        self._procedure = procedure
        self._answers: dict[int, Any] = {}
        self._synchronised: Completion[bool] = Completion()

    @property
    def synchronised(self) -> Completion[bool]:
        """Completes with True when all workers have answered, and with False if some cannot be reached."""
        return self._synchronised

    @classmethod
    def of(cls, channel: RealmChannel, procedure: str, values: list[Any]) -> ClusterRead | None:
        """Begin the read of a meta procedure with its arguments; return None for procedures without one."""
        if procedure in _LOCAL:
            return None
        read = cls(procedure)
        question = ["synchronise"]
        if procedure in (_LIST, _COUNT):
            question = ["subscribers", values[0]]
        elif procedure in DESCRIPTIONS:
            question = ["definitions"]
        elif procedure == METRICS:
            question = ["metrics"]

        def done(answers: dict[int, Any], complete: bool) -> None:
            read._answers = answers
            read._synchronised.finish(complete)

        channel.ask(question, done)
        return read

    @staticmethod
    def answer(
        broker: Broker, reflection: Reflection, clients: Container[int], kind: str, fields: list[Any]
    ) -> Any:
        """Answer the question of another worker's read. Raises ValueError for an unknown question."""
        if kind == "synchronise" and not fields:
            return None
        if kind == "definitions" and not fields:
            return reflection.definitions()
        if kind == "metrics" and not fields:
            return reflection.metrics()
        if kind != "subscribers":
            raise ValueError(kind)
        [subscription_id] = fields
        subscription = broker.subscriptions.get(subscription_id)
        found = () if subscription is None else subscription.subscribers
        return [session_id for session_id in found if session_id in clients]

    def require_complete(self) -> None:
        """Raise WAMPError ``wamp.error.network_failure`` if a worker has not answered."""
        if not self._synchronised.result:
            raise WAMPError(NETWORK_FAILURE, "not all workers of this realm can be reached")

    def merged(self, result: MetaResult) -> MetaResult:
        """Add the answers of the other workers to the result of this one."""
        others = [found for answer in self._answers.values() if isinstance(answer, list) for found in answer]
        if self._procedure == METRICS:
            workers = {str(node): answer for node, answer in self._answers.items()}
            return replace(result, args=[{**result.args[0], "workers": workers}])
        if self._procedure == _LIST or self._procedure in DESCRIPTIONS:
            return replace(result, args=[[*result.args[0], *others]])
        if self._procedure == _COUNT:
            return replace(result, args=[result.args[0] + len(others)])
        return result
