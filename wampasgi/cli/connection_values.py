"""Completes connection options from the environment and from profiles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from wampasgi.cli.connection_options import SECRETS, SETTABLE, ConnectionOptions
from wampasgi.cli.errors import UsageError
from wampasgi.cli.profiles import read_profile

#: The profile that is used if nothing names another one, or a server.
DEFAULT_PROFILE: Final = "default"


def completed(options: ConnectionOptions) -> ConnectionOptions:
    """Return the options with the values of the environment and of the profile, in this order.

    The default profile is only used if no server is named otherwise, so that its secrets do not go to another
    server. A credential on the command line replaces the credentials of the environment and the profile.
    Raises UsageError.
    """
    if options.app is not None and options.url is not None:
        raise UsageError("--url and --app exclude each other: an app is used without a server")
    result = _with(options, _from_environment(os.environ))
    name = options.profile or os.environ.get("WAMPASGI_PROFILE")
    if name is not None:
        profile = read_profile(name, required=True)
    elif result.url is None and options.app is None:
        profile = read_profile(DEFAULT_PROFILE, required=False)
    else:
        profile = {}
    result = _with(result, profile)
    return replace(result, url=None) if options.app is not None else result


def _from_environment(variables: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in SETTABLE:
        # An empty variable is the usual way to unset one for a single command.
        value = variables.get(f"WAMPASGI_{name.upper()}")
        if value:
            found[name] = value
    if "cookie" in found:
        found["cookie"] = [pair.strip() for pair in found["cookie"].split(";") if pair.strip()]
    if "header" in found:
        found["header"] = found["header"].splitlines()
    return found


def _with(options: ConnectionOptions, further: Mapping[str, Any]) -> ConnectionOptions:
    """Return the options with values for those that have none."""
    has_secret = any(getattr(options, name) is not None for name in SECRETS)
    added = {
        name: value
        for name, value in further.items()
        if not getattr(options, name) and not (has_secret and name in SECRETS)
    }
    return replace(options, **added)
