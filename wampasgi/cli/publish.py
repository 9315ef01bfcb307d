"""The command ``wampasgi publish``, which publishes an event."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from wampasgi.cli.call import TimeoutOption, WordsArgument, require_one_input
from wampasgi.cli.connection_options import ConnectionOptions, with_connection
from wampasgi.cli.data_output import DataOutput, FormatOption

_TIMEOUT = 30.0


@with_connection
def publish(
    connection: ConnectionOptions,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The URI of the topic.")],
    arguments: WordsArgument = None,
    retain: Annotated[
        bool, typer.Option("--retain", help="Let the router keep the event for later subscribers.")
    ] = False,
    acknowledge: Annotated[
        bool,
        typer.Option(
            "--acknowledge/--no-acknowledge",
            help="Wait until the router has accepted the event. Without it, nothing tells if it refuses it.",
        ),
    ] = True,
    timeout: TimeoutOption = _TIMEOUT,
    output: FormatOption = None,
) -> None:
    """Publish an event, and write its publication ID."""
    from wampasgi.cli.arguments import read_arguments, require_uri, typed_payload
    from wampasgi.cli.failures import run
    from wampasgi.cli.reflection import describe
    from wampasgi.cli.targets import Target

    require_uri("TOPIC", topic)
    require_one_input(connection, arguments or ())
    target = Target(connection)
    read = read_arguments(arguments or ())
    shown = DataOutput(output)
    options: dict[str, Any] = {"retain": True} if retain else {}

    async def main() -> None:
        async with target.opened() as session:
            described = await describe(session, "topic", topic) if read else None
            publication_id = await session.publish(
                topic,
                typed_payload(read, topic, described),
                acknowledge=acknowledge,
                timeout=timeout or None,
                options=options,
            )
        if shown.is_text:
            number = "" if publication_id is None else f" as publication {publication_id}"
            shown.note(f"Published to {topic}{number}.")
        elif publication_id is not None:
            shown.value(publication_id)

    run(main, shown)
