"""The URLs of backplanes."""

from __future__ import annotations

from typing import Final

from wampasgi.backplanes.base import Backplane
from wampasgi.errors import ConfigurationError

_NATS: Final = frozenset({"nats", "tls", "tls+nats"})
_REDIS: Final = frozenset(
    f"{engine}{variant}"
    for engine in ("redis", "valkey")
    for variant in ("", "s", "+unix", "+sentinel", "s+sentinel")
)
_UNIX: Final = "unix"
_EXAMPLES: Final = "nats://host:4222, redis://host:6379 or unix:/path/of/a/directory"
_MEMBERS: Final = (
    "name",
    "library",
    "max_frame",
    "counts",
    "open",
    "send",
    "broadcast",
    "flushed",
    "reconnect",
)


def backplane_of(backplane: Backplane | str) -> Backplane:
    """Return the backplane of a URL; a backplane itself is returned unchanged.

    - ``nats://``, ``tls://`` and ``tls+nats://`` return a NATSBackplane; a comma separates servers.
    - ``redis://``, ``rediss://``, ``valkey://``, ``valkeys://`` and their variants with ``+unix`` and
      ``+sentinel`` return a RedisBackplane.
    - ``unix:/path/of/a/directory`` returns a LocalBackplane for the workers of one host.

    Raises ConfigurationError if the argument is invalid or a package is missing. Its text does not contain
    the URL, which may contain a password.
    """
    if not isinstance(backplane, str):
        missing = [member for member in _MEMBERS if not hasattr(backplane, member)]
        if isinstance(backplane, type) or missing:
            raise ConfigurationError(
                f"a backplane must be a URL such as {_EXAMPLES}, or an object such as NATSBackplane(...)"
            )
        return backplane
    url = backplane.strip()
    scheme, _, rest = url.partition(":")
    scheme = scheme.lower()
    # Each class is imported when it is used, because applications use one of them at most.
    if scheme in _NATS:
        from wampasgi.backplanes.nats import NATSBackplane

        return NATSBackplane(url)
    if scheme in _REDIS:
        from wampasgi.backplanes.redis import RedisBackplane

        return RedisBackplane(url)
    if scheme == _UNIX:
        return _local_backplane(rest)
    raise ConfigurationError(f"the URL of a backplane must look like {_EXAMPLES}")


def _local_backplane(rest: str) -> Backplane:
    # unix:///path is the same as unix:/path.
    path = rest.removeprefix("//")
    if not path.startswith("/"):
        raise ConfigurationError("a unix: URL needs an absolute path, such as unix:/run/myapp")
    from wampasgi.backplanes.local import LocalBackplane

    return LocalBackplane(path)
