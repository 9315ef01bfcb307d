"""A backplane over Redis or Valkey, with publish and subscribe only: nothing is stored."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final
from urllib.parse import unquote, urlsplit

import anyio

from wampasgi.backplanes.base import BackplaneCounts, FrameSink, NodeId
from wampasgi.backplanes.connection import EngineConnection, Item, Refused, cancel_and_wait
from wampasgi.backplanes.engine import EngineBackplane
from wampasgi.errors import ConfigurationError
from wampasgi.logs import logger_named

try:
    from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
    from redis.asyncio.client import PubSub
    from redis.asyncio.retry import Retry
    from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
    from redis.backoff import NoBackoff
    from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
except ImportError as error:
    raise ConfigurationError(
        "the backplane over Redis needs redis-py: pip install 'wampasgi[redis]'"
    ) from error

logger = logger_named("wampasgi.backplane")

#: The maximum size of a frame in bytes. By default, a server disconnects subscribers that are 32 MiB behind.
_MAX_FRAME: Final = 8 * 1024 * 1024
_MAX_CHANNELS: Final = 10_000
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
# The schemes of URLs for Redis, after ``valkey`` was replaced by ``redis``.
_SCHEMES: Final = ("redis", "rediss", "redis+unix", "redis+sentinel", "rediss+sentinel")
_EXAMPLES: Final = (
    "redis://host:6379, rediss://host:6379, redis+unix:///path or"
    " redis+sentinel://host:26379,host:26379/service"
)


@dataclass(frozen=True, slots=True)
class _Address:
    """The address of a server: a host and a port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _URL:
    """A parsed URL. With a ``service``, the addresses are those of Sentinels."""

    scheme: str
    addresses: tuple[_Address, ...]
    service: str | None
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)

    @property
    def tls(self) -> bool:
        """True if connections are encrypted."""
        return self.scheme.startswith("rediss")

    def __str__(self) -> str:
        service = f"/{self.service}" if self.service is not None else ""
        return f"{self.scheme}://{','.join(map(str, self.addresses))}{service}"


def _parse_url(url: str) -> _URL:
    """Parse a URL.

    Raises ConfigurationError, without the URL in its text, because that may contain a password.
    """
    try:
        parts = urlsplit(url)
        userinfo, _, hosts = parts.netloc.rpartition("@")
    except ValueError:
        raise _invalid() from None
    # valkey has a variant with TLS, too: valkeys.
    scheme = parts.scheme.replace("valkey", "redis", 1)
    if scheme not in _SCHEMES:
        raise _invalid()
    if parts.query or parts.fragment:
        raise ConfigurationError("pass options to RedisBackplane as arguments, not in the URL")
    user, _, password = userinfo.partition(":")
    credentials = (unquote(user) or None, unquote(password) or None)
    if scheme == "redis+unix":
        if hosts or not parts.path:
            raise _invalid()
        return _URL(scheme, (_Address(path=unquote(parts.path)),), None, *credentials)
    if scheme.endswith("+sentinel"):
        service = unquote(parts.path.strip("/"))
        addresses = tuple(_parse_host(host, _SENTINEL_PORT) for host in hosts.split(","))
        if not service:
            raise ConfigurationError("the URL of a Sentinel must end with the name of the service")
        return _URL(scheme, addresses, service, *credentials)
    if not parts.path.strip("/").isdecimal() and parts.path not in ("", "/"):
        raise _invalid()
    return _URL(scheme, (_parse_host(hosts, _PORT),), None, *credentials)


def _parse_host(text: str, default_port: int) -> _Address:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _invalid() from None
    if not host:
        raise _invalid()
    return _Address(host, port or default_port)


def _invalid() -> ConfigurationError:
    return ConfigurationError(f"the URL of a Redis server must look like {_EXAMPLES}")


class _TLSConnection(SSLConnection):
    """A connection of redis-py with a context for TLS that was passed to the backplane."""

    def __init__(self, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = context


@dataclass(frozen=True, slots=True)
class _Options:
    """The options of all connections of a backplane."""

    timeout: float
    tls: ssl.SSLContext | None

    def pool(self, address: _Address, user: str | None, password: str | None) -> ConnectionPool:
        """Return a pool of connections to an address, which connect once and never again."""
        options: dict[str, Any] = {
            "username": user,
            "password": password,
            # The listening connection may be silent for any time.
            "socket_timeout": None,
            "socket_connect_timeout": self.timeout,
            "protocol": 2,
            # Otherwise redis-py would connect again silently, and nobody would know that frames are lost.
            "retry": Retry(NoBackoff(), 0, supported_errors=()),
        }
        if address.path is not None:
            options |= {"path": address.path, "connection_class": UnixDomainSocketConnection}
            return ConnectionPool(**options)
        options |= {"host": address.host, "port": address.port, "socket_keepalive": True}
        if self.tls is not None:
            options |= {"context": self.tls, "connection_class": _TLSConnection}
        return ConnectionPool(**options)


class _Connection(EngineConnection):
    """A pair of connections to a server: one publishes, the other one listens.

    They are used directly, without the client of redis-py, because it checks the health of a connection
    before each command and prepares to repeat the command: that takes three times as long.
    """

    _errors = (OSError, RedisError)

    def __init__(
        self, prefix: str, node: NodeId, sink: FrameSink, counts: BackplaneCounts, *, max_pending: int
    ) -> None:
        super().__init__(sink, counts, max_frame=_MAX_FRAME, max_pending=max_pending)
        self._prefix = prefix
        self._node = node
        self._channels: dict[NodeId | None, str] = {None: f"{prefix}:all"}
        self._publisher: Connection | None = None
        self._listener: PubSub | None = None
        self._reader: asyncio.Task[None] | None = None
        self._transports: list[asyncio.WriteTransport] = []
        # In a Redis Cluster, the number of receivers includes only those at the same server.
        self._counts_all_receivers = True
        # True if the server refused a frame since the last flush.
        self._refused = False

    async def handshake(self, pool: ConnectionPool, address: _Address, *, needs_primary: bool) -> None:
        """Connect and subscribe. Raises Refused or another ConnectionError."""
        try:
            self._listener = Redis(connection_pool=pool).pubsub()
            channels = (self._of(None), self._of(self._node))
            await self._listener.subscribe(*channels)
            self._keep_transport(self._listener.connection)
            for _ in channels:
                answer = await self._listener.parse_response(block=True)
                if not isinstance(answer, list) or answer[:1] != [b"subscribe"]:
                    raise ConnectionError(f"{address} did not answer SUBSCRIBE")
            publisher: Any = pool.make_connection()  # type: ignore[no-untyped-call]
            self._publisher = publisher
            await publisher.connect()
            self._keep_transport(publisher)
            await self._check_server(publisher, address, needs_primary)
        except Exception as error:
            raise _connection_error(address, error) from error
        self._reader = self._loop.create_task(
            self._read(self._listener), name="wampasgi: reader of a backplane"
        )
        self._start_writer()

    def _keep_transport(self, connection: object) -> None:
        # redis-py closes its transports without the means to abort them: a frozen server would get old frames
        # when it goes on.
        writer: asyncio.StreamWriter | None = getattr(connection, "_writer", None)
        if writer is not None:
            self._transports.append(writer.transport)

    async def _check_server(self, publisher: Connection, address: _Address, needs_primary: bool) -> None:
        # Every user may send HELLO, unlike INFO and ROLE. Redis 5 has no HELLO.
        try:
            await publisher.send_command("HELLO", check_health=False)
            answer = await publisher.read_response()
            properties = dict(zip(answer[::2], answer[1::2], strict=True))
        except ResponseError:
            properties = {}
        except (TypeError, ValueError):
            raise ConnectionError(f"{address} did not answer HELLO") from None
        if needs_primary and properties.get(b"role") != b"master":
            raise ConnectionError(f"{address}, which Sentinel named, is not a primary server")
        self._counts_all_receivers = properties.get(b"mode") != b"cluster"

    async def _read(self, listener: PubSub) -> None:
        try:
            while True:
                kind, _, data = await listener.parse_response(block=True)
                if kind == b"message":
                    self._take_frame(data)
        except self._errors as error:
            self._lose(_text(error))
        except Exception as error:
            logger.exception("the answer of Redis could not be read")
            self._lose(repr(error))

    def _of(self, node: NodeId | None) -> str:
        channel = self._channels.get(node)
        if channel is None:
            if len(self._channels) >= _MAX_CHANNELS:
                # Most of them belong to nodes of the past.
                self._channels = {None: self._channels[None]}
            channel = self._channels[node] = f"{self._prefix}:node:{node:016x}"
        return channel

    async def _write(self, batch: Sequence[Item]) -> None:
        publisher = self._publisher
        assert publisher is not None
        commands = [("PUBLISH", self._of(item[0]), item[1]) for item in batch if isinstance(item, tuple)]
        if commands:
            await publisher.send_packed_command(publisher.pack_commands(commands), check_health=False)
        for item in batch:
            if not isinstance(item, tuple):
                # The server answered all frames before it.
                complete, self._refused = not self._refused, False
                self._confirm(item, complete)
                continue
            node, frame = item
            try:
                receivers = await publisher.read_response()
            except ResponseError as error:
                logger.error("Redis refuses frames: %s", _text(error))
                self._refused = True
            else:
                if receivers == 0 and node is not None and self._counts_all_receivers:
                    self._report_unreachable(node)
            self._written(frame)

    async def _release(self) -> None:
        for transport in self._transports:
            transport.abort()
        if self._reader is not None:
            await cancel_and_wait(self._reader)
        listening: Any = self._listener.connection if self._listener is not None else None
        for connection in (listening, self._publisher):
            if connection is not None:
                await connection.disconnect(nowait=True)
        # asyncio closes the sockets in the next turn of the event loop.
        await asyncio.sleep(0)


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__


def _connection_error(address: _Address, error: Exception) -> ConnectionError:
    """Return the error of a handshake as Refused or another ConnectionError."""
    if isinstance(error, ConnectionError):
        return error
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Refused(f"the certificate of {address} is not valid: {cause.verify_message}")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, ResponseError) and "unknown command" in str(error):
        # The rest of the text repeats the arguments, for example the password.
        return Refused(f"{address} does not know a command for the connection")
    text = f"{address}: {_text(error)}"
    if isinstance(error, AuthenticationError | NoPermissionError):
        return Refused(text)
    return ConnectionError(text)


class RedisBackplane(EngineBackplane):
    """A backplane over Redis 6 or newer, or Valkey, for workers on any number of hosts.

    ``url`` is one of these; ``valkey`` can replace ``redis`` in each of them:

    - ``redis://user:password@host:6379``
    - ``rediss://host:6379`` with TLS; ``tls`` is a context for certificates of your own
    - ``redis+unix:///path/of/the/socket``
    - ``redis+sentinel://host:26379,host:26379/service`` asks Sentinels for the address of the primary
      server, with ``rediss+sentinel`` over TLS. ``sentinel_username`` and ``sentinel_password`` are for
      Sentinels that need a password themselves.

    The number of a database has no meaning here. ``username`` and ``password`` can be passed apart from the
    URL. A user with an ACL needs ``+publish +subscribe &wampasgi:<name>:*``.

    ``name`` separates applications on one engine. ``connect_timeout`` is in seconds. With
    ``wait_for_engine=False`` the application starts even if the server cannot be reached, and joins later.
    ``max_pending`` is the maximum size in bytes of the queue to the server; further frames are dropped.

    The server disconnects a worker that reads too slowly: see ``client-output-buffer-limit pubsub`` in its
    configuration, 32 MiB at once or 8 MiB for a minute by default. Raise it if workers send snapshots or
    events of that size. The worker connects again, but the frames are lost.

    Raises ConfigurationError if the URL is invalid.
    """

    engine: ClassVar[str] = "Redis"

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379",
        *,
        name: str | None = None,
        username: str | None = None,
        password: str | None = None,
        sentinel_username: str | None = None,
        sentinel_password: str | None = None,
        tls: ssl.SSLContext | None = None,
        connect_timeout: float = 5.0,
        wait_for_engine: bool = True,
        max_pending: int = 64 * 1024 * 1024,
    ) -> None:
        super().__init__(
            name=name,
            connect_timeout=connect_timeout,
            wait_for_engine=wait_for_engine,
            max_pending=max_pending,
            max_frame=_MAX_FRAME,
        )
        self._url: _URL = _parse_url(url)
        self._user = username if self._url.user is None else self._url.user
        self._password = password if self._url.password is None else self._url.password
        self._sentinel_user = sentinel_username
        self._sentinel_password = sentinel_password
        self._tls = tls or (ssl.create_default_context() if self._url.tls else None)

    @property
    def address(self) -> str:
        """The addresses of the server or the Sentinels, without passwords."""
        return str(self._url)

    def _connector(self, node: NodeId, sink: FrameSink, name: str) -> Callable[[], Awaitable[_Connection]]:
        options = _Options(self._connect_timeout, self._tls)
        addresses, service = self._url.addresses, self._url.service

        async def connect() -> _Connection:
            address = addresses[0] if service is None else await self._primary(options, service)
            pool = options.pool(address, self._user, self._password)
            connection = _Connection(
                f"wampasgi:{name}", node, sink, self._counts, max_pending=self._max_pending
            )
            try:
                await connection.handshake(pool, address, needs_primary=service is not None)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await connection.close()
                raise
            return connection

        return connect

    async def _primary(self, options: _Options, service: str) -> _Address:
        """Ask the Sentinels for the address of the primary server."""
        # All of them are asked within the time for one connection.
        options = replace(options, timeout=options.timeout / (len(self._url.addresses) + 1))
        sentinel: Sentinel = Sentinel([])  # type: ignore[no-untyped-call]
        sentinel.sentinels = [
            Redis(connection_pool=options.pool(address, self._sentinel_user, self._sentinel_password))
            for address in self._url.addresses
        ]
        try:
            host, port = await sentinel.discover_master(service)
        except MasterNotFoundError as error:
            # The exception of redis-py contains the text of the errors, and not the errors themselves.
            refused = AuthenticationError.__name__ in str(error)
            text = f"no Sentinel knows a primary server for {service!r}: {error}"
            raise (Refused if refused else ConnectionError)(text) from error
        except RedisError as error:
            raise ConnectionError(f"the Sentinels for {service!r}: {_text(error)}") from error
        finally:
            with anyio.CancelScope(shield=True):
                for client in sentinel.sentinels:
                    await client.connection_pool.disconnect()
        return _Address(host, int(port))
