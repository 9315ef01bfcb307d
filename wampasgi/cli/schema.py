"""The command ``wampasgi schema``, which writes the AsyncAPI document of an application."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wampasgi.cli.errors import UsageError
from wampasgi.cli.options import AppArgument, CheckOption, OutputOption, RealmOption, named_file
from wampasgi.errors import ConfigurationError

if TYPE_CHECKING:
    from wampasgi.application import Application


class Format(Enum):
    """The syntax of a document."""

    json = "json"
    yaml = "yaml"


def schema(
    app: AppArgument = None,
    realm: RealmOption = None,
    output: OutputOption = None,
    format: Annotated[
        Format | None,
        typer.Option(help="The format. The default is that of the file's name, or JSON.", show_default=False),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The WebSocket URL of the server, for the document.", show_default=False
        ),
    ] = None,
    check: CheckOption = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit with 1 if a type has no JSON Schema."),
    ] = False,
) -> None:
    """Write the AsyncAPI document of an app.

    The document describes its procedures, topics and models.
    """
    from wampasgi.cli.app_loading import load_application
    from wampasgi.cli.output import write_output

    file = named_file(output)
    if check and file is None:
        raise UsageError("--check compares with a file: name it with -o FILE")
    chosen = format or _format_of(file)
    document = _document(load_application(app).application, realm, url)
    if strict:
        _require_types(document)
    if check and file is not None:
        _check(document, file, chosen)
    else:
        write_output(_text(document, chosen), file)


def _format_of(file: Path | None) -> Format:
    is_yaml = file is not None and file.suffix.lower() in (".yaml", ".yml")
    return Format.yaml if is_yaml else Format.json


def _document(application: Application, realm: str | None, url: str | None) -> dict[str, Any]:
    from wampasgi.cli.realms import check_realm

    check_realm(application, realm)
    servers = {} if url is None else {"servers": {"server": _server(url)}}
    document = application.asyncapi(realm)
    first = {name: document.pop(name) for name in ("asyncapi", "info")}
    return {**first, **servers, **document}


def _server(url: str) -> dict[str, Any]:
    from wampasgi.asyncapi import server_object

    try:
        return server_object(url)
    except ConfigurationError as error:
        raise UsageError(str(error)) from error


def _require_types(document: dict[str, Any]) -> None:
    """Exit with the status 1 if a type in the document has no JSON Schema."""
    from wampasgi.asyncapi.untyped import untyped_parts
    from wampasgi.cli.output import say

    parts = untyped_parts(document)
    if parts:
        say("These types have no JSON Schema:")
        for part in parts:
            say(part)
        raise typer.Exit(1)


def _text(document: Any, format: Format) -> str:
    if format is Format.yaml:
        from wampasgi.asyncapi.yaml_form import to_yaml

        return to_yaml(document)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _check(document: dict[str, Any], file: Path, format: Format) -> None:
    """Compare a document with a file. Its layout and the order of its keys do not matter."""
    from wampasgi.asyncapi.differences import document_differences
    from wampasgi.cli.output import (
        read_existing,
        report_missing,
        report_outdated,
        report_up_to_date,
        say,
    )

    existing = read_existing(file)
    if existing is None:
        report_missing(file)
    try:
        before = _parsed(existing, format)
    except ValueError as error:
        say(f"{file} is out of date: it is not valid {format.name.upper()}: {error}")
        raise typer.Exit(1) from error
    if before == document:
        report_up_to_date(file)
        return
    differences = document_differences(before, document)
    report_outdated(file, _text(before, format), _text(document, format), differences)


def _parsed(text: str, format: Format) -> Any:
    if format is Format.yaml:
        from wampasgi.asyncapi.yaml_form import from_yaml

        return from_yaml(text)
    return json.loads(text)
