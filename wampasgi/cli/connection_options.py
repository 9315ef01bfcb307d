"""The options of all commands that open a session."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Any, Final, TypeAlias, get_type_hints

import typer

#: The server that ``make run`` and uvicorn's defaults start.
DEFAULT_URL: Final = "ws://127.0.0.1:8000/"
DEFAULT_REALM: Final = "default"

_option = partial(typer.Option, rich_help_panel="Connection", show_default=False)

Text: TypeAlias = str | None
Texts: TypeAlias = list[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """The server, the realm and the identity of a session.

    A secret may also be ``-``, which asks for it, or ``@FILE``.
    """

    url: Annotated[
        Text, _option("--url", "-u", metavar="URL", help=f"The server. The default is {DEFAULT_URL}.")
    ] = None
    app: Annotated[
        Text, _option("--app", metavar="APP", help="Use this app in memory, without a server: 'myapp:app'.")
    ] = None
    realm: Annotated[
        Text, _option("--realm", "-r", metavar="URI", help=f"The realm. The default is {DEFAULT_REALM!r}.")
    ] = None
    authid: Annotated[Text, _option("--authid", metavar="NAME", help="The name of the user.")] = None
    ticket: Annotated[
        Text,
        _option(
            "--ticket",
            metavar="TICKET",
            help="The ticket. '-' asks for it, and '@FILE' reads it from a file.",
        ),
    ] = None
    secret: Annotated[
        Text,
        _option(
            "--secret",
            metavar="SECRET",
            help="The password, for WAMP-SCRAM and WAMP-CRA. Also '-' and '@FILE'.",
        ),
    ] = None
    private_key: Annotated[
        Text,
        _option("--private-key", metavar="FILE", help="The file with the private key, for cryptosign."),
    ] = None
    cookie: Annotated[Texts, _option("--cookie", metavar="NAME=VALUE", help="A cookie. May be repeated.")] = (
        None
    )
    header: Annotated[
        Texts, _option("--header", metavar="'NAME: VALUE'", help="An HTTP header. May be repeated.")
    ] = None
    serializer: Annotated[
        Text, _option("--serializer", metavar="NAME", help="json, msgpack or cbor. The default is json.")
    ] = None
    profile: Annotated[
        Text,
        _option(
            "--profile", "-p", metavar="NAME", help="Options from this section of the configuration file."
        ),
    ] = None


#: The options that a variable ``WAMPASGI_NAME`` or a profile can set, too.
SETTABLE: Final = tuple(
    field.name for field in fields(ConnectionOptions) if field.name not in ("app", "profile")
)
#: The secrets of which a session needs at most one.
SECRETS: Final = ("ticket", "secret", "private_key")
#: Variables that programs started by this one have no need of.
SECRET_VARIABLES: Final = tuple(f"WAMPASGI_{name.upper()}" for name in (*SECRETS, "cookie", "header"))


def with_connection(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ConnectionOptions instead of its parameter ``connection``.

    typer reads the signature of the function that this returns.
    """
    own = inspect.signature(command).parameters
    types = get_type_hints(command, include_extras=True)
    options = get_type_hints(ConnectionOptions, include_extras=True)
    parameters = [
        parameter.replace(annotation=types[name]) for name, parameter in own.items() if name != "connection"
    ]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in options.items()
    ]

    def run(**given: Any) -> None:
        connection = ConnectionOptions(**{name: given.pop(name) for name in options})
        command(**given, connection=connection)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined] # inspect.signature reads it
        [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    )
    return run
