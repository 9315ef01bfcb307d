"""The command ``wampasgi subscribe``, which writes events as they arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from wampasgi.cli.connection_options import ConnectionOptions, with_connection
from wampasgi.cli.data_output import DataOutput, Format, FormatOption
from wampasgi.types import Match

if TYPE_CHECKING:
    import anyio

    from wampasgi.client import Event, Session


class MatchPolicy(Enum):
    """The meaning of a topic or procedure that is a pattern."""

    exact = "exact"
    prefix = "prefix"
    wildcard = "wildcard"


assert {policy.value for policy in MatchPolicy} == set(get_args(Match))


@with_connection
def subscribe(
    connection: ConnectionOptions,
    topics: Annotated[
        list[str], typer.Argument(metavar="TOPIC", help="The URIs of the topics, or patterns.")
    ],
    match: Annotated[MatchPolicy, typer.Option(help="The meaning of the topics.")] = MatchPolicy.exact,
    count: Annotated[
        int | None,
        typer.Option("--count", "-n", metavar="N", min=1, help="End after N events.", show_default=False),
    ] = None,
    retained: Annotated[
        bool, typer.Option("--retained", help="Begin with the events that the router retains.")
    ] = False,
    output: FormatOption = None,
) -> None:
    """Write events as they arrive. Ctrl-C ends it."""
    from wampasgi.cli.arguments import require_uri
    from wampasgi.cli.failures import run
    from wampasgi.cli.targets import Target
    from wampasgi.client import Retry

    for topic in topics:
        require_uri("TOPIC", topic, match.value)
    target = Target(connection, retry=Retry())
    shown = DataOutput(output, in_pipe=Format.jsonl)
    subscription = _Subscription(
        topics=list(dict.fromkeys(topics)), match=match.value, count=count, retained=retained, output=shown
    )

    async def main() -> None:
        async with target.opened(on_state=_state_notes(shown)) as session:
            await subscription.run(session)

    run(main, shown)


def _state_notes(output: DataOutput) -> Any:
    """Return the function that tells people about lost connections."""
    before = ""

    def note(state: str) -> None:
        nonlocal before
        if state == "reconnecting":
            output.note("The connection is lost. Connecting again ...")
        elif state == "open" and before == "reconnecting":
            output.note("Connected again. Events may have been missed.")
        before = state

    return note


@dataclass(slots=True, kw_only=True)
class _Subscription:
    topics: Sequence[str]
    match: Match
    #: The number of events that are still to be written, None for all.
    count: int | None
    retained: bool
    output: DataOutput
    #: Set when all topics are subscribed to. Events are written after that.
    is_complete: anyio.Event = field(init=False)

    async def run(self, session: Session) -> None:
        """Write events until there were enough, or until the session is over, which raises the reason."""
        import anyio

        self.is_complete = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for topic in self.topics:
                await tasks.start(self._follow, session, topic, tasks)
            self.output.note(f"Subscribed to {', '.join(self.topics)}. Ctrl-C ends it.")
            self.is_complete.set()

    async def _follow(self, session: Session, topic: str, tasks: Any, *, task_status: Any) -> None:
        from wampasgi.client import EventsDropped

        subscribing = session.subscribe(topic, match=self.match, get_retained=self.retained)
        async with subscribing as events:
            task_status.started()
            await self.is_complete.wait()
            while True:
                try:
                    event = await anext(events)
                except EventsDropped as dropped:
                    from wampasgi.cli.output import say

                    say(
                        f"warning: {dropped.count} events of {topic} were dropped, because they came too fast"
                    )
                    continue
                self._write(event)
                if self.count is not None:
                    self.count -= 1
                    if self.count <= 0:
                        tasks.cancel_scope.cancel()
                        return

    def _write(self, event: Event[Any]) -> None:
        from wampasgi.cli.data_forms import payload_value, to_json, visible

        if self.count == 0:
            # Another topic had the last event that was wanted.
            return
        if self.output.is_text:
            from rich.text import Text

            values = [item if isinstance(item, str) else to_json(item) for item in event.args]
            values += [f"{name}={to_json(value)}" for name, value in event.kwargs.items()]
            line = Text(f"{datetime.now():%H:%M:%S} ", style="dim")
            line.append(visible(event.topic), style="bold cyan")
            line.append(f" {visible(' '.join(values))}", style="default not dim")
            self.output.console.print(line)
        elif self.output.is_raw:
            self.output.value(payload_value(event.args, event.kwargs))
        else:
            self.output.value(
                {
                    "topic": event.topic,
                    "args": list(event.args),
                    "kwargs": dict(event.kwargs),
                    "publication": event.publication_id,
                    "details": dict(event.details),
                }
            )
