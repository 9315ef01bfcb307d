from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from tests.backplanes.certificates import Certificate, write_certificate
from tests.backplanes.conftest import StartRedis
from tests.backplanes.contract import (
    PATIENCE,
    A,
    B,
    BackplaneContract,
    EngineContract,
    Recorder,
    assert_refused,
    assert_works,
)
from tests.backplanes.engine_process import Engine, free_port
from tests.backplanes.proxy import proxy_to
from wampasgi.backplanes.redis import RedisBackplane
from wampasgi.backplanes.urls import backplane_of
from wampasgi.errors import ConfigurationError


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Run the tests on asyncio only, because the backplane needs it."""
    return "asyncio"


@pytest.fixture
def engine(redis_server: Engine) -> Iterator[Engine]:
    """Return a running engine."""
    if not redis_server.running:
        redis_server.start()
    yield redis_server
    redis_server.thaw() if redis_server.running else redis_server.start()


@pytest.fixture
def make(engine: Engine) -> Callable[..., RedisBackplane]:
    def make_backplane(**options: float) -> RedisBackplane:
        return RedisBackplane(f"redis://127.0.0.1:{engine.port}", **options)  # type: ignore[arg-type]

    return make_backplane


class TestRedis(BackplaneContract):
    """The behaviour of all backplanes."""


class TestRedisServer(EngineContract):
    """The behaviour if the server fails."""


# Longer than the patience of a test, so that only an error that ends the start at once passes.
PATIENT = 60.0


def url(engine: Engine, userinfo: str = "", scheme: str = "redis") -> str:
    return f"{scheme}://{userinfo}127.0.0.1:{engine.port}"


async def command(engine: Engine, *arguments: str) -> str:
    """Send one command to a server without a password, and return the first part of its answer."""
    async with await anyio.connect_tcp("127.0.0.1", engine.port) as stream:
        await stream.send((" ".join(arguments) + "\r\n").encode())
        return (await stream.receive()).decode()


@pytest.mark.anyio
class TestCredentials:
    """Credentials, right and wrong ones."""

    async def test_password(self, start_redis: StartRedis) -> None:
        engine = start_redis("--requirepass", "p@ss word")
        await assert_works(RedisBackplane(url(engine), password="p@ss word"))
        await assert_works(RedisBackplane(url(engine, ":p%40ss%20word@")))
        await assert_works(RedisBackplane(url(engine, "default:p%40ss%20word@", "valkey")))
        wrong = RedisBackplane(url(engine, ":sesame@"), connect_timeout=PATIENT)
        message = await assert_refused(wrong, "sesame")
        assert "invalid username-password pair" in message
        assert f"127.0.0.1:{engine.port}" in message
        none = RedisBackplane(url(engine), connect_timeout=PATIENT)
        assert "Authentication required" in await assert_refused(none)

    async def test_user_with_the_documented_permissions(self, start_redis: StartRedis) -> None:
        engine = start_redis(
            config="user alice on >s3cret +publish +subscribe &wampasgi:app:*\n"
            "user bob on >s3cret +publish +subscribe &other\n"
        )
        await assert_works(RedisBackplane(url(engine), username="alice", password="s3cret"))
        bob = RedisBackplane(url(engine, "bob:s3cret@"), connect_timeout=PATIENT)
        assert "no permissions to access one of the channels" in await assert_refused(bob, "s3cret")

    async def test_refused_frames_are_logged_and_not_flushed(
        self, start_redis: StartRedis, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine = start_redis(config="user alice on >s3cret +subscribe &*\n")
        backplane = RedisBackplane(url(engine, "alice:s3cret@"))
        async with backplane.open(A, Recorder(), name="app"):
            backplane.broadcast(b"refused")
            assert not await backplane.flushed()
            assert await backplane.flushed()
        assert "Redis refuses frames: this user has no permissions" in caplog.text
        assert "s3cret" not in caplog.text

    async def test_wrong_password_is_logged_after_a_start_without_waiting(
        self, start_redis: StartRedis, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine = start_redis("--requirepass", "s3cret")
        backplane = RedisBackplane(url(engine), password="gu3ss", wait_for_engine=False)
        async with backplane.open(A, Recorder(), name="app"):
            with anyio.fail_after(PATIENCE):
                while "invalid username-password pair" not in caplog.text:
                    await anyio.lowlevel.checkpoint()
        assert "gu3ss" not in caplog.text


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return write_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def tls_server(start_redis: StartRedis, certificate: Certificate) -> Engine:
    # The port of the engine is for TLS; another one without it does not exist.
    return start_redis(
        "--tls-cert-file", str(certificate.certificate), "--tls-key-file", str(certificate.key),
        "--tls-ca-cert-file", str(certificate.certificate), "--tls-auth-clients", "no",
        tls=True,
    )  # fmt: skip


@pytest.mark.anyio
class TestTransports:
    """TLS and Unix sockets."""

    @pytest.mark.parametrize("scheme", ["rediss", "valkeys", "redis"])
    async def test_connection_is_encrypted(
        self, tls_server: Engine, certificate: Certificate, scheme: str
    ) -> None:
        await assert_works(RedisBackplane(url(tls_server, scheme=scheme), tls=certificate.context()))

    async def test_unknown_certificate_is_refused(self, tls_server: Engine) -> None:
        backplane = RedisBackplane(url(tls_server, scheme="rediss"), connect_timeout=PATIENT)
        assert "the certificate of 127.0.0.1" in await assert_refused(backplane)

    async def test_server_without_tls_is_not_used(
        self, redis_server: Engine, certificate: Certificate
    ) -> None:
        backplane = RedisBackplane(url(redis_server), tls=certificate.context(), connect_timeout=0.3)
        await assert_refused(backplane)

    async def test_unix_socket(self, start_redis: StartRedis, tmp_path: Path) -> None:
        path = tmp_path / "s"
        start_redis("--unixsocket", str(path))
        await assert_works(RedisBackplane(f"redis+unix://{path}"))
        await assert_works(RedisBackplane(f"valkey+unix://{path}"))
        missing = RedisBackplane(f"redis+unix://{path}2", connect_timeout=0.1)
        assert f"{path}2" in await assert_refused(missing)


@pytest.mark.anyio
class TestConnections:
    """Connections that are cut or stalled."""

    async def test_killed_client_connects_again(self, redis_server: Engine) -> None:
        backplane, sink = RedisBackplane(url(redis_server)), Recorder()
        async with backplane.open(A, sink, name="app"):
            for kind in ("pubsub", "pubsub"):
                sink.states.clear()
                assert await command(redis_server, "CLIENT", "KILL", "TYPE", kind) == ":1\r\n"
                await sink.until(lambda: sink.states == ["disconnected", "connected"])
            backplane.broadcast(b"arrives")
            await sink.until_received(b"arrives")
            assert backplane.counts.reconnects == 2

    async def test_lost_connection_for_publishing_is_replaced(self, redis_server: Engine) -> None:
        backplane, sink = RedisBackplane(url(redis_server)), Recorder()
        async with backplane.open(A, sink, name="app"):
            assert await command(redis_server, "CLIENT", "KILL", "TYPE", "normal") == ":1\r\n"
            backplane.broadcast(b"lost")
            assert not await backplane.flushed()
            await sink.until(lambda: sink.states == ["disconnected", "connected"])
            backplane.broadcast(b"arrives")
            assert await backplane.flushed()
            await sink.until_received(b"arrives")

    async def test_stalled_connection_is_replaced_by_reconnect(self, redis_server: Engine) -> None:
        async with proxy_to(redis_server.port) as proxy:
            backplane = RedisBackplane(f"redis://127.0.0.1:{proxy.port}", connect_timeout=0.3)
            sink = Recorder()
            async with backplane.open(A, sink, name="app"):
                proxy.stalled = True
                backplane.broadcast(b"lost")
                with anyio.fail_after(PATIENCE):
                    await backplane.reconnect()
                assert sink.states == ["disconnected"]
                proxy.stalled = False
                await sink.until(lambda: sink.states == ["disconnected", "connected"])
                backplane.broadcast(b"arrives")
                await sink.until_received(b"arrives")

    async def test_subscriber_beyond_the_output_buffer_limit_connects_again(
        self, start_redis: StartRedis
    ) -> None:
        engine = start_redis("--client-output-buffer-limit", "pubsub 1mb 0 0")
        a, b, at_b = RedisBackplane(url(engine)), RedisBackplane(url(engine)), Recorder()
        async with a.open(A, Recorder(), name="app"), b.open(B, at_b, name="app"):
            a.send(B, bytes(4 * 1024 * 1024))
            await at_b.until(lambda: at_b.states == ["disconnected", "connected"])
            a.send(B, b"arrives")
            await at_b.until(lambda: at_b.frames[-1:] == [b"arrives"])

    async def test_nodes_at_other_servers_of_a_cluster_are_not_unreachable(
        self, start_redis: StartRedis
    ) -> None:
        engine = start_redis("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
        backplane, sink = RedisBackplane(url(engine)), Recorder()
        async with backplane.open(A, sink, name="app"):
            backplane.send(B, b"perhaps at another server")
            assert await backplane.flushed()
            assert sink.unreachable_nodes == []

    @pytest.mark.parametrize(
        "answer",
        [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$nonsense\r\n", b"+OK\r\n", b"*1\r\n" * 50, b""],
    )
    async def test_other_server_is_reported(self, answer: bytes) -> None:
        async with answering(answer) as port:
            backplane = RedisBackplane(f"redis://127.0.0.1:{port}", connect_timeout=0.3)
            with pytest.raises(ConnectionError, match=f"127.0.0.1:{port} cannot be reached within"):
                await assert_works(backplane)

    async def test_unknown_command_is_reported_without_repeating_the_password(self) -> None:
        answer = b"-ERR unknown command `AUTH`, with args beginning with: `u`, `s3cret`\r\n"
        async with answering(answer) as port:
            backplane = RedisBackplane(f"redis://u:s3cret@127.0.0.1:{port}", connect_timeout=PATIENT)
            assert "does not know a command" in await assert_refused(backplane, "s3cret")


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """Serve one answer to the first data of each connection; the context is the port."""

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(answer)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
class TestSentinel:
    """A primary server, its replica, and a Sentinel that watches them."""

    async def test_new_primary_is_used_after_a_failover(self, start_redis: StartRedis) -> None:
        primary = start_redis()
        replica = start_redis("--replicaof", f"127.0.0.1 {primary.port}", "--repl-diskless-sync-delay", "0")
        sentinel = start_redis(
            "--sentinel",
            config=f"sentinel monitor service 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds service 300\n"
            "sentinel failover-timeout service 2000\n",
        )
        with anyio.fail_after(PATIENCE):
            while "master_link_status:up" not in await command(replica, "INFO", "replication"):
                await anyio.lowlevel.checkpoint()
        # The second address leads to no Sentinel.
        address = f"redis+sentinel://127.0.0.1:{sentinel.port},127.0.0.1:1/service"
        a, b, at_a, at_b = RedisBackplane(address), RedisBackplane(address), Recorder(), Recorder()
        async with a.open(A, at_a, name="app"), b.open(B, at_b, name="app"):
            a.send(B, b"at the first")
            await at_b.until_received(b"at the first")
            # So that the Sentinel knows the replica.
            with anyio.fail_after(PATIENCE):
                while f"port={replica.port}" not in await command(primary, "INFO", "replication"):
                    await anyio.lowlevel.checkpoint()
            primary.kill()
            for sink in (at_a, at_b):
                await sink.until(lambda sink=sink: sink.states == ["disconnected", "connected"], 30)  # type: ignore[misc]
            a.send(B, b"at the second")
            await at_b.until_received(b"at the first", b"at the second")

    async def test_unknown_service_is_reported(self, start_redis: StartRedis) -> None:
        sentinel = start_redis("--sentinel", config="sentinel monitor service 127.0.0.1 1 1\n")
        backplane = RedisBackplane(f"redis+sentinel://127.0.0.1:{sentinel.port}/other", connect_timeout=0.3)
        with pytest.raises(ConnectionError, match="no Sentinel knows a primary server for 'other'"):
            await assert_works(backplane)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    monkeypatch.delitem(sys.modules, "wampasgi.backplanes.redis")
    with pytest.raises(ConfigurationError, match=r"pip install 'wampasgi\[redis\]'"):
        backplane_of("redis://127.0.0.1")


def test_trio_is_refused() -> None:
    async def open_it() -> None:
        async with RedisBackplane().open(A, Recorder(), name="app"):
            pytest.fail("it does not run on trio")

    with pytest.raises(ConfigurationError, match="use LocalBackplane"):
        anyio.run(open_it, backend="trio")


@pytest.mark.parametrize(
    "invalid",
    [
        "nats://host",
        "redis://",
        "redis://:s3cret@host:port",
        "redis://:s3cret@host/path",
        "redis://:s3cret@host?option=1",
        "redis+unix://host/path",
        "redis+unix://",
        "redis+sentinel://:s3cret@host:26379",
        "redis+sentinel://:s3cret@host:26379,/service",
        "redis://[::1",
    ],
)
def test_invalid_url_is_refused(invalid: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RedisBackplane(invalid)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("redis://u:s3cret@host/3", "redis://host:6379"),
        ("valkeys://:s3cret@[::1]:7000", "rediss://[::1]:7000"),
        ("redis+unix:///run/redis.sock", "redis+unix:///run/redis.sock"),
        ("valkey+sentinel://:s3cret@a,b:1/service", "redis+sentinel://a:26379,b:1/service"),
    ],
)
def test_repr_shows_the_address_only(given: str, shown: str) -> None:
    assert repr(RedisBackplane(given, password="s3cret")) == f"RedisBackplane({shown!r})"
