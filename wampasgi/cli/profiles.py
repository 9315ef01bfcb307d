"""The configuration file with profiles: named sets of connection options."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from wampasgi.cli.connection_options import SECRETS, SETTABLE
from wampasgi.cli.errors import CommandError, UsageError, did_you_mean

# Tables, whose names are those of the parameters of ``wampasgi.client.connect``.
_TABLES: Final = {"cookies": "cookie", "headers": "header"}
_KEYS: Final = (*(name for name in SETTABLE if name not in _TABLES.values()), *_TABLES)


def configuration_file() -> Path:
    """Return the path of the configuration file, which may not exist.

    It is ``WAMPASGI_CONFIG``, or ``wampasgi.toml`` in the user's folder for configuration.
    """
    named = _named_file()
    if named:
        return Path(named)
    folder = os.environ.get("XDG_CONFIG_HOME")
    return (Path(folder) if folder else Path.home() / ".config") / "wampasgi.toml"


def _named_file() -> str | None:
    return os.environ.get("WAMPASGI_CONFIG")


def require_one_credential(places: Collection[str], owner: str = "") -> None:
    """Raise UsageError if a session is given several credentials. ``places`` are their names."""
    if len(places) > 1:
        names = " and ".join(sorted(places))
        raise UsageError(f"{owner}{names} exclude each other: a session has one credential")


def read_profile(name: str, *, required: bool) -> dict[str, Any]:
    """Return the connection options in a section of the configuration file.

    If there is no such section, it is empty, or UsageError is raised if it is ``required``. Raises UsageError
    for an invalid file, and CommandError for one with secrets that other users can read.
    """
    file = configuration_file()
    try:
        profiles = _read(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not valid TOML: {error}") from error
    for section, content in profiles.items():
        if not isinstance(content, dict):
            raise UsageError(f"{section} in {file} must be in a section, such as [default]")
    if name not in profiles:
        if not required:
            return {}
        if not file.exists():
            raise UsageError(f"there is no profile {name!r}, because there is no file {file}")
        listed = f"It has {', '.join(profiles)}." if profiles else "It has no profiles."
        raise UsageError(f"{file} has no profile {name!r}.{did_you_mean(name, profiles, advice=listed)}")
    _require_private(file, profiles)
    return _checked(profiles[name], f"[{name}] in {file}")


def _read(file: Path) -> dict[str, Any]:
    """Return the sections of the configuration file, none if it does not exist and no variable names it."""
    try:
        # Programs for Windows may write a mark of the encoding.
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        if _named_file():
            raise
        return {}


def _checked(section: Mapping[str, Any], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in section.items():
        if key not in _KEYS:
            raise UsageError(
                f"{where} has an unknown key {key!r}."
                + did_you_mean(key, _KEYS, advice=f"The keys are {', '.join(_KEYS)}.")
            )
        if key in _TABLES:
            if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
                raise UsageError(f'{key} of {where} must be a table of texts, such as {{ name = "value" }}')
            separator = "=" if key == "cookies" else ": "
            found[_TABLES[key]] = [f"{name}{separator}{item}" for name, item in value.items()]
        elif not isinstance(value, str) or not value:
            raise UsageError(f"{key} of {where} must be a text that is not empty")
        else:
            found[key] = value
    require_one_credential(found.keys() & {*SECRETS}, f"{where}: ")
    return found


def _require_private(file: Path, profiles: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise CommandError if other users can read a file that contains secrets."""
    names = [name for section in profiles.values() for name in section if _is_secret(name, section[name])]
    if names and readable_by_others(file):
        raise CommandError(
            f"{file} contains secrets ({', '.join(dict.fromkeys(names))}), and other users can read it. "
            f"To make it private, run\n\n    chmod 600 {file}"
        )


def _is_secret(name: str, value: Any) -> bool:
    if name in ("cookies", "headers"):
        return bool(value)
    # These forms name a file, or ask for the secret.
    is_reference = not isinstance(value, str) or value == "-" or value.startswith("@")
    return name in SECRETS and not is_reference and not (name == "private_key" and not is_hex_key(value))


def is_hex_key(text: str) -> bool:
    """Return whether a text is a private key itself, and not the name of its file."""
    return len(text) == 64 and all(digit in "0123456789abcdefABCDEF" for digit in text)


def readable_by_others(file: Path) -> bool:
    """Return whether other users can read a file. The permissions of Windows are not examined."""
    return os.name == "posix" and bool(file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
