from __future__ import annotations

import pytest

from wampasgi.backplanes.local import LocalBackplane
from wampasgi.backplanes.nats import NATSBackplane
from wampasgi.backplanes.redis import RedisBackplane
from wampasgi.backplanes.urls import backplane_of
from wampasgi.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://host", "nats://host:4222"),
        (" NATS://host:1 ", "nats://host:1"),
        ("tls://user:s3cret@host", "tls://host:4222"),
        ("tls+nats://a,nats://b:2", "tls://a:4222, nats://b:2"),
        ("nats://a,b", "nats://a:4222, nats://b:4222"),
    ],
)
def test_url_of_nats(url: str, shown: str) -> None:
    backplane = backplane_of(url)
    assert isinstance(backplane, NATSBackplane)
    assert backplane.address == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host", "redis://host:6379"),
        ("REDISS://host:1/0", "rediss://host:1"),
        ("valkey://:s3cret@host", "redis://host:6379"),
        ("valkeys://host", "rediss://host:6379"),
        ("redis+unix:///run/redis.sock", "redis+unix:///run/redis.sock"),
        ("rediss+sentinel://a,b/service", "rediss+sentinel://a:26379,b:26379/service"),
    ],
)
def test_url_of_redis(url: str, shown: str) -> None:
    backplane = backplane_of(url)
    assert isinstance(backplane, RedisBackplane)
    assert backplane.address == shown


@pytest.mark.parametrize("url", ["unix:/run/myapp", "unix:///run/myapp"])
def test_url_of_a_directory(url: str) -> None:
    backplane = backplane_of(url)
    assert isinstance(backplane, LocalBackplane)


def test_backplane_is_returned_unchanged() -> None:
    backplane = NATSBackplane()
    assert backplane_of(backplane) is backplane


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:4222",
        "http://:s3cret@host",
        "redistribute://s3cret",
        "unix:s3cret",
        "unix:",
        "unix://host/s3cret",
    ],
)
def test_other_urls_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(ConfigurationError, match="URL") as caught:
        backplane_of(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("backplane", [None, 4222, b"nats://host", ["nats://host"], NATSBackplane])
def test_other_objects_are_refused_with_what_to_give(backplane: object) -> None:
    with pytest.raises(ConfigurationError, match="must be a URL such as nats://host:4222"):
        backplane_of(backplane)  # type: ignore[arg-type]
