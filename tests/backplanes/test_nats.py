from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import anyio.abc
import anyio.lowlevel
import nkeys
import pytest
from nats.aio.client import Client

from tests.backplanes.certificates import Certificate, write_certificate
from tests.backplanes.conftest import StartNATS
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
from wampasgi.backplanes.nats import NATSBackplane
from wampasgi.backplanes.urls import backplane_of
from wampasgi.errors import ConfigurationError


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Run the tests on asyncio only, because the backplane needs it."""
    return "asyncio"


@pytest.fixture
def engine(nats_server: Engine) -> Iterator[Engine]:
    """Return a running engine."""
    if not nats_server.running:
        nats_server.start()
    yield nats_server
    nats_server.thaw() if nats_server.running else nats_server.start()


@pytest.fixture
def make(engine: Engine) -> Callable[..., NATSBackplane]:
    def make_backplane(**options: float) -> NATSBackplane:
        return NATSBackplane(f"nats://127.0.0.1:{engine.port}", **options)  # type: ignore[arg-type]

    return make_backplane


class TestNATS(BackplaneContract):
    """The behaviour of all backplanes."""


class TestNATSServer(EngineContract):
    """The behaviour if the server fails."""


def url(engine: Engine, userinfo: str = "", scheme: str = "nats") -> str:
    return f"{scheme}://{userinfo}127.0.0.1:{engine.port}"


# Longer than the patience of a test, so that only an error that ends the start at once passes.
PATIENT = 60.0


@pytest.mark.anyio
class TestCredentials:
    """Credentials, right and wrong ones."""

    async def test_user_and_password(self, start_nats: StartNATS) -> None:
        engine = start_nats("--user", "alice", "--pass", "p@ss word")
        await assert_works(NATSBackplane(url(engine), user="alice", password="p@ss word"))
        await assert_works(NATSBackplane(url(engine, "alice:p%40ss%20word@")))
        wrong = NATSBackplane(url(engine, "alice:sesame@"), connect_timeout=PATIENT)
        message = await assert_refused(wrong, "sesame", "alice")
        assert "Authorization Violation" in message
        assert f"127.0.0.1:{engine.port}" in message
        none = NATSBackplane(url(engine), connect_timeout=PATIENT)
        assert "Authorization Violation" in await assert_refused(none)

    async def test_token(self, start_nats: StartNATS) -> None:
        engine = start_nats("--auth", "s3cret")
        await assert_works(NATSBackplane(url(engine), token="s3cret"))
        await assert_works(NATSBackplane(url(engine, "s3cret@")))
        wrong = NATSBackplane(url(engine), token="gu3ss", connect_timeout=PATIENT)
        assert "Authorization Violation" in await assert_refused(wrong, "gu3ss")

    async def test_nkey(self, start_nats: StartNATS, tmp_path: Path) -> None:
        key, other = new_key(nkeys.PREFIX_BYTE_USER), new_key(nkeys.PREFIX_BYTE_USER)
        configuration = tmp_path / "nats.conf"
        configuration.write_text(f"authorization: {{ users: [ {{ nkey: {key.public_key.decode()} }} ] }}")
        engine = start_nats("--config", str(configuration))
        await assert_works(NATSBackplane(url(engine), nkeys_seed=key.seed.decode()))
        seed_file = tmp_path / "seed"
        seed_file.write_bytes(key.seed + b"\n")
        await assert_works(NATSBackplane(url(engine), nkeys_seed=seed_file))
        seed = other.seed.decode()
        wrong = NATSBackplane(url(engine), nkeys_seed=seed, connect_timeout=PATIENT)
        assert "Authorization Violation" in await assert_refused(wrong, seed)

    async def test_credentials_file(self, start_nats: StartNATS, tmp_path: Path) -> None:
        operator, account = new_key(nkeys.PREFIX_BYTE_OPERATOR), new_key(nkeys.PREFIX_BYTE_ACCOUNT)
        limits = dict.fromkeys(("subs", "data", "payload", "conn", "leaf", "imports", "exports"), -1)
        configuration = tmp_path / "nats.conf"
        configuration.write_text(
            f"operator: {signed_claim(operator, operator, 'operator')}\n"
            "resolver: MEMORY\n"
            f"resolver_preload: {{ {account.public_key.decode()}:"
            f" {signed_claim(operator, account, 'account', limits={**limits, 'wildcards': True})} }}\n"
        )
        engine = start_nats("--config", str(configuration))
        await assert_works(
            NATSBackplane(url(engine), user_credentials=credentials_file(tmp_path / "right.creds", account))
        )
        wrong_file = credentials_file(tmp_path / "wrong.creds", new_key(nkeys.PREFIX_BYTE_ACCOUNT))
        wrong = NATSBackplane(url(engine), user_credentials=wrong_file, connect_timeout=PATIENT)
        assert "Authorization Violation" in await assert_refused(wrong)
        missing = NATSBackplane(
            url(engine), user_credentials=tmp_path / "missing.creds", connect_timeout=PATIENT
        )
        assert "missing.creds cannot be read" in await assert_refused(missing)
        (tmp_path / "empty.creds").write_text("")
        empty = NATSBackplane(
            url(engine), user_credentials=str(tmp_path / "empty.creds"), connect_timeout=PATIENT
        )
        assert "is not a NATS credentials file" in await assert_refused(empty)

    async def test_missing_permission_fails_the_start(self, start_nats: StartNATS, tmp_path: Path) -> None:
        configuration = tmp_path / "nats.conf"
        configuration.write_text(
            "authorization: { users: ["
            ' { user: one, password: x, permissions: { subscribe: "other.>" } },'
            " { user: two, password: x,"
            ' permissions: { publish: "wampasgi.app.>", subscribe: "wampasgi.app.>" } }'
            " ] }"
        )
        engine = start_nats("--config", str(configuration))
        await assert_works(NATSBackplane(url(engine, "two:x@")))
        refused = NATSBackplane(url(engine, "one:x@"), connect_timeout=PATIENT)
        assert "permissions violation" in await assert_refused(refused)

    async def test_refused_frames_are_logged_and_not_flushed(
        self, start_nats: StartNATS, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        configuration = tmp_path / "nats.conf"
        configuration.write_text(
            "authorization: { users: [ { user: one, password: x,"
            ' permissions: { publish: { deny: "wampasgi.app.all" } } } ] }'
        )
        backplane = NATSBackplane(url(start_nats("--config", str(configuration)), "one:x@"))
        sink = Recorder()
        async with backplane.open(A, sink, name="app"):
            backplane.broadcast(b"refused")
            assert not await backplane.flushed()
            backplane.send(A, b"allowed")
            await sink.until_received(b"allowed")
            assert sink.states == []
        assert "NATS refuses frames" in caplog.text

    async def test_wrong_credentials_are_logged_after_a_start_without_waiting(
        self, start_nats: StartNATS, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine = start_nats("--auth", "s3cret")
        backplane = NATSBackplane(url(engine), token="gu3ss", wait_for_engine=False)
        async with backplane.open(A, Recorder(), name="app"):
            with anyio.fail_after(PATIENCE):
                while "Authorization Violation" not in caplog.text:
                    await anyio.lowlevel.checkpoint()
        assert "gu3ss" not in caplog.text

    def test_missing_package_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "nats.aio.client", None)
        monkeypatch.delitem(sys.modules, "wampasgi.backplanes.nats")
        with pytest.raises(ConfigurationError, match=r"pip install 'wampasgi\[nats\]'"):
            backplane_of("nats://127.0.0.1")

    def test_invalid_seed_is_reported(self) -> None:
        with pytest.raises(ConfigurationError, match="not a valid seed") as caught:
            NATSBackplane(nkeys_seed="SUSESAME")
        assert "SESAME" not in str(caught.value)


def new_key(kind: int) -> nkeys.KeyPair:
    return nkeys.from_seed(nkeys.encode_seed(os.urandom(32), kind))


def signed_claim(issuer: nkeys.KeyPair, subject: nkeys.KeyPair, kind: str, **claims: object) -> str:
    """Return a JWT for an operator, an account or a user."""

    def encoded(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = {"typ": "JWT", "alg": "ed25519-nkey"}
    body = {
        "jti": "ID",
        "iat": 1_700_000_000,
        "iss": issuer.public_key.decode(),
        "sub": subject.public_key.decode(),
        "name": kind,
        "nats": {"type": kind, "version": 2, **claims},
    }
    signed = f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(body).encode())}"
    return f"{signed}.{encoded(issuer.sign(signed.encode()))}"


def credentials_file(path: Path, account: nkeys.KeyPair) -> Path:
    """Write the credentials of a new user of an account."""
    user = new_key(nkeys.PREFIX_BYTE_USER)
    jwt = signed_claim(account, user, "user", pub={}, sub={}, subs=-1, data=-1, payload=-1)
    path.write_text(
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    return path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return write_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def tls_server(start_nats: StartNATS, certificate: Certificate) -> Engine:
    return start_nats(
        "--tls", "--tlscert", str(certificate.certificate), "--tlskey", str(certificate.key),
        "--user", "alice", "--pass", "s3cret",
    )  # fmt: skip


@pytest.mark.anyio
class TestTLS:
    """Encrypted connections."""

    @pytest.mark.parametrize("scheme", ["tls", "tls+nats", "nats"])
    async def test_connection_is_encrypted(
        self, tls_server: Engine, certificate: Certificate, scheme: str
    ) -> None:
        address = url(tls_server, "alice:s3cret@", scheme)
        await assert_works(NATSBackplane(address, tls=certificate.context()))

    async def test_unknown_certificate_is_refused(self, tls_server: Engine) -> None:
        backplane = NATSBackplane(url(tls_server, "alice:s3cret@", "tls"), connect_timeout=PATIENT)
        assert "the certificate of tls://127.0.0.1" in await assert_refused(backplane, "s3cret")

    async def test_server_without_tls_is_refused_before_it_gets_the_password(
        self, nats_server: Engine, certificate: Certificate
    ) -> None:
        for backplane in (
            NATSBackplane(url(nats_server, "alice:s3cret@", "tls"), connect_timeout=PATIENT),
            NATSBackplane(url(nats_server), tls=certificate.context(), connect_timeout=PATIENT),
        ):
            assert "does not offer TLS" in await assert_refused(backplane, "s3cret")


@pytest.mark.anyio
class TestConnections:
    """Connections that are cut, stalled, or lead to something else."""

    async def test_cut_connection_is_replaced(self, nats_server: Engine) -> None:
        async with proxy_to(nats_server.port) as proxy:
            backplane, sink = NATSBackplane(f"nats://127.0.0.1:{proxy.port}"), Recorder()
            async with backplane.open(A, sink, name="app"):
                for _ in range(3):
                    sink.states.clear()
                    proxy.cut()
                    await sink.until(lambda: sink.states == ["disconnected", "connected"])
                backplane.broadcast(b"arrives")
                await sink.until_received(b"arrives")
                assert backplane.counts.reconnects == 3

    async def test_stalled_connection_is_replaced_by_reconnect(self, nats_server: Engine) -> None:
        async with proxy_to(nats_server.port) as proxy:
            backplane = NATSBackplane(f"nats://127.0.0.1:{proxy.port}", connect_timeout=0.3)
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

    async def test_foreign_messages_about_nodes_are_ignored(self, nats_server: Engine) -> None:
        backplane, sink, client = NATSBackplane(url(nats_server)), Recorder(), Client()
        async with backplane.open(A, sink, name="app"):
            await client.connect(url(nats_server))
            for subject in ("nonsense", "flush", f"{B:016x}"):
                for headers in (None, {"Status": "503"}, {"Status": "404"}):
                    full = f"wampasgi.app.report.{A:016x}.{subject}"
                    await client.publish(full, b"\xff", headers=headers)
            await client.publish("wampasgi.app.all", b"from a client")
            await sink.until_received(b"from a client")
            await client.close()
            assert sink.unreachable_nodes == [B]
            assert await backplane.flushed()

    async def test_next_server_is_used_if_one_is_away(self, start_nats: StartNATS) -> None:
        servers = [start_nats(), start_nats()]
        urls = [url(server) for server in servers]
        backplane, sink = NATSBackplane(",".join(urls)), Recorder()
        async with backplane.open(A, sink, name="app"):
            # The backplane uses the first one.
            servers[0].kill()
            await sink.until(lambda: sink.states == ["disconnected", "connected"])
            backplane.broadcast(b"arrives")
            await sink.until_received(b"arrives")

    async def test_servers_that_a_cluster_announces_are_used(self, start_nats: StartNATS) -> None:
        ports = [free_port(), free_port()]
        routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
        servers = [
            start_nats("--cluster_name", "c", "--cluster", f"nats://127.0.0.1:{port}", "--routes", routes)
            for port in ports
        ]
        a, b, at_a, at_b = (
            NATSBackplane(url(servers[0])),
            NATSBackplane(url(servers[1])),
            Recorder(),
            Recorder(),
        )
        async with b.open(B, at_b, name="app"):
            with anyio.fail_after(PATIENCE):
                # Both servers accept clients before they know each other.
                while not at_b.frames:
                    at_a = Recorder()
                    async with a.open(A, at_a, name="app"):
                        a.broadcast(b"hello")
                        await a.flushed()
            async with a.open(A, at_a, name="app"):
                a.send(B, b"direct")
                await at_b.until(lambda: at_b.frames[-1] == b"direct")
                servers[0].kill()
                await at_a.until(lambda: at_a.states == ["disconnected", "connected"])
                a.send(B, b"by the other server")
                await at_b.until(lambda: at_b.frames[-1] == b"by the other server")
        assert at_a.unreachable_nodes == []

    @pytest.mark.parametrize(
        "greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"INFO nonsense\r\n", b"INFO []\r\n", b""]
    )
    async def test_other_server_is_reported(self, greeting: bytes) -> None:
        async def greet(stream: anyio.abc.SocketStream) -> None:
            async with stream:
                await stream.send(greeting)

        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, greet)
            with pytest.raises(ConnectionError, match=f"127.0.0.1:{port} cannot be reached within"):
                async with NATSBackplane(f"127.0.0.1:{port}", connect_timeout=0.3).open(
                    A, Recorder(), name="app"
                ):
                    pytest.fail("that is no NATS server")
            tasks.cancel_scope.cancel()


def test_trio_is_refused() -> None:
    async def open_it() -> None:
        async with NATSBackplane().open(A, Recorder(), name="app"):
            pytest.fail("it does not run on trio")

    with pytest.raises(ConfigurationError, match="use LocalBackplane"):
        anyio.run(open_it, backend="trio")


@pytest.mark.parametrize(
    "servers", ["http://host", "nats://", "nats://host:port", "nats://u:s3cret@host:99999", [], "nats://a,"]
)
def test_invalid_servers_are_refused(servers: str | list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        NATSBackplane(servers)
    assert "s3cret" not in str(caught.value)


def test_repr_shows_the_addresses_only() -> None:
    backplane = NATSBackplane(["nats://u:s3cret@a", "tls://[::1]:4333"], password="s3cret2", token="s3cret3")
    assert repr(backplane) == "NATSBackplane('nats://a:4222, tls://[::1]:4333')"
