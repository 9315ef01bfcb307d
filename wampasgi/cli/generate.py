"""The commands ``wampasgi generate``, which write code for clients."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wampasgi.cli.errors import UsageError
from wampasgi.cli.options import AppArgument, CheckOption, OutputOption, RealmOption, named_file


def typescript(
    app: AppArgument = None,
    realm: RealmOption = None,
    output: OutputOption = None,
    check: CheckOption = False,
) -> None:
    """Write TypeScript for clients of a realm.

    The file has its types, and typed sessions for autobahn-js and wampy.
    """
    from wampasgi.cli.app_loading import load_application
    from wampasgi.cli.output import write_output
    from wampasgi.cli.realms import chosen_realm

    file = named_file(output)
    if check and file is None:
        raise UsageError("--check compares with a file: name it with -o FILE")
    application = load_application(app).application
    text = _typescript(chosen_realm(application, realm).describe().to_dict())
    if check and file is not None:
        _check(text, file)
    else:
        write_output(text, file)


def _typescript(interface: Mapping[str, Any]) -> str:
    """Return the TypeScript of a realm. Its warnings go to standard error."""
    from wampasgi.cli.output import say
    from wampasgi.typescript import generate

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        text = generate(interface)
    for warning in caught:
        say(f"warning: {warning.message}")
    return text


def _check(text: str, file: Path) -> None:
    from wampasgi.cli.output import read_existing, report_missing, report_outdated, report_up_to_date

    existing = read_existing(file)
    if existing is None:
        report_missing(file)
    elif existing != text:
        report_outdated(file, existing, text, [])
    else:
        report_up_to_date(file)
