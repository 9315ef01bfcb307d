"""The URLs of backplanes."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from wampasgi.backplanes.base import Backplane
from wampasgi.errors import ConfigurationError

_NATS: Final = frozenset({"nats", "tls", "tls+nats"})
_REDIS: Final = ("redis", "valkey")
_UNIX: Final = "unix"


def backplane_of(backplane: Backplane | str) -> Backplane:
    """Return a backplane, or the backplane of a URL. Raises ConfigurationError for anything else."""
    if isinstance(backplane, str):
        return backplane_from_url(backplane)
    if not all(hasattr(backplane, name) for name in ("open", "send", "broadcast", "flushed", "reconnect")):
        raise ConfigurationError(
            f"backplane={backplane!r}: give a URL such as 'unix:/run/myapp', or a backplane"
        )
    return backplane


def backplane_from_url(url: str) -> Backplane:
    """Return the backplane of a URL.

    - ``nats://``, ``tls://`` and ``tls+nats://`` return a NATSBackplane; a comma separates servers.
    - ``redis://``, ``rediss://``, ``valkey://``, ``valkeys://`` and their variants with ``+unix`` and
      ``+sentinel`` return a RedisBackplane.
    - ``unix:/path/of/a/directory`` returns a LocalBackplane for the workers of one host.

    Raises ConfigurationError if the URL is invalid. Its text does not contain the URL, which may contain a
    password.
    """
    scheme, colon, rest = url.strip().partition(":")
    scheme = scheme.lower()
    # Each class is imported when it is used, because applications use one of them at most.
    if colon and scheme in _NATS:
        from wampasgi.backplanes.nats import NATSBackplane

        return NATSBackplane(url.strip())
    if colon and scheme.startswith(_REDIS):
        from wampasgi.backplanes.redis import RedisBackplane

        return RedisBackplane(url.strip())
    if colon and scheme == _UNIX:
        return _local_backplane(rest)
    raise ConfigurationError(
        "the URL of a backplane must look like nats://host:4222, redis://host:6379 or unix:/path/of/a/folder"
    )


def _local_backplane(rest: str) -> Backplane:
    # unix:///path is the same as unix:/path.
    path = rest.removeprefix("//")
    if not path.startswith("/"):
        raise ConfigurationError("a unix: URL needs an absolute path, such as unix:/run/myapp")
    backplane: Backplane = import_module("wampasgi.backplanes.local").LocalBackplane(path)
    return backplane
