"""Completes connection options from the environment and from profiles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from wampasgi.cli.connection_options import SECRETS, SETTABLE, ConnectionOptions
from wampasgi.cli.errors import UsageError, did_you_mean
from wampasgi.cli.profiles import read_profile, require_one_credential

#: The profile that is used if nothing names another one, or a server.
DEFAULT_PROFILE: Final = "default"

_SERIALIZERS: Final = ("json", "msgpack", "cbor")


def completed(options: ConnectionOptions) -> ConnectionOptions:
    """Return the options with the values of the environment and of the profile, in this order.

    The default profile is only used if no server is named otherwise, so that its secrets do not go to another
    server. A credential on the command line replaces the credentials of the environment and the profile.
    Raises UsageError. No message contains a credential.
    """
    _require_texts(options)
    given = {name for name in SECRETS if getattr(options, name) is not None}
    require_one_credential({_option(name) for name in given})
    if options.app is not None and options.url is not None:
        raise UsageError("--url and --app exclude each other: an app is used without a server")
    variables = _from_environment(os.environ)
    if not given:
        require_one_credential({_variable(name) for name in SECRETS if name in variables})
    result = _with(options, variables)
    name = options.profile or os.environ.get("WAMPASGI_PROFILE")
    if name:
        profile = read_profile(name, required=True)
    elif result.url is None and options.app is None:
        profile = read_profile(DEFAULT_PROFILE, required=False)
    else:
        profile = {}
    result = _with(result, profile)
    _require_known_serializer(result.serializer)
    if result.secret is not None and result.authid is None:
        raise UsageError("--secret needs --authid, the name of the user")
    return replace(result, url=None) if options.app is not None else result


def _require_texts(options: ConnectionOptions) -> None:
    """Raise UsageError if an option is empty, as that of a variable that is not set, or no text."""
    for name, given in asdict(options).items():
        for text in given if isinstance(given, list) else [given]:
            if text == "":
                raise UsageError(f"{_option(name)} is empty")
            if text is not None and not _is_unicode(text):
                raise UsageError(f"{_option(name)} is not text in UTF-8")


def _require_known_serializer(name: str | None) -> None:
    if name not in (None, *_SERIALIZERS):
        listed = ", ".join(_SERIALIZERS)
        raise UsageError(
            f"there is no serializer {name!r}."
            + did_you_mean(str(name), _SERIALIZERS, advice=f"The serializers are {listed}.")
        )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _variable(name: str) -> str:
    return f"WAMPASGI_{name.upper()}"


def _from_environment(variables: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in SETTABLE:
        # An empty variable is the usual way to unset one for a single command.
        value = variables.get(_variable(name))
        if value:
            if not _is_unicode(value):
                raise UsageError(f"{_variable(name)} is not text in UTF-8")
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
