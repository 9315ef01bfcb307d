"""A backplane over NATS."""

from __future__ import annotations

import asyncio
import itertools
import re
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Final, cast
from urllib.parse import unquote, urlsplit

import anyio

from wampasgi.backplanes.base import BackplaneCounts, FrameSink, NodeId
from wampasgi.backplanes.connection import EngineConnection, Flush, Item, Refused, cancel_and_wait
from wampasgi.backplanes.engine import EngineBackplane
from wampasgi.errors import ConfigurationError
from wampasgi.logs import logger_named

try:
    import nkeys
    from nats.aio.client import Client, RawCredentials
    from nats.aio.msg import Msg
    from nats.errors import Error as NATSError
except ImportError as error:
    raise ConfigurationError(
        "the backplane over NATS needs nats-py and nkeys: pip install 'wampasgi[nats]'"
    ) from error

logger = logger_named("wampasgi.backplane")

# True if a connection must be encrypted, by the scheme of the URL.
_SCHEMES: Final = {"nats": False, "tls": True, "tls+nats": True}
_DEFAULT_PORT: Final = 4222
_DEFAULT_MAX_PAYLOAD: Final = 1024 * 1024
_MAX_SERVERS: Final = 64
_MAX_SUBJECTS: Final = 10_000
# Seconds between the pings of the client, which ends the connection after two of them without an answer.
_PING_INTERVAL: Final = 10
# The longest time in seconds that the client gets for its end.
_CLOSE_TIMEOUT: Final = 2.0
# The errors of servers that mean the same at the next attempt.
_REFUSAL: Final = re.compile("authoriz|authentic|permissions|account", re.IGNORECASE)
_CREDENTIALS: Final = re.compile(
    r"BEGIN NATS USER JWT-+\s+[\w.-]+\s.*BEGIN USER NKEY SEED-+\s+\w+\s", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class _Server:
    """The address of a server. ``tls_name`` is the name in its certificate."""

    host: str
    port: int
    tls: bool
    tls_name: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.tls else 'nats'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _Credentials:
    """The credentials of a client, as they were passed to the backplane."""

    user: str | None
    password: str | None
    token: str | None
    user_credentials: str | PathLike[str] | None
    nkeys_seed: str | PathLike[str] | None

    def check(self) -> None:
        """Raise ConfigurationError if the seed is invalid."""
        if isinstance(self.nkeys_seed, str):
            try:
                nkeys.from_seed(bytearray(self.nkeys_seed.strip().encode()))
            except (nkeys.NkeysError, ValueError):
                raise ConfigurationError(
                    "nkeys_seed is not a valid seed; pass pathlib.Path(...) for a file that contains one"
                ) from None

    def options(self, server: _Server, secret: Callable[[str], Callable[[], str]]) -> dict[str, Any]:
        """Return the options of ``Client.connect`` for a server. Raises Refused.

        Files are read each time, so they can be replaced while the application runs. ``secret`` returns a
        callback for the client. A user without a password in the URL is a token.
        """
        options: dict[str, Any] = {}
        user, password, token = self.user, self.password, self.token
        if server.user is not None and server.password is not None:
            user, password = server.user, server.password
        elif server.user is not None:
            token = server.user
        if user is not None:
            options |= {"user": secret(user), "password": secret(password or "")}
        if token is not None:
            options["token"] = secret(token)
        if self.user_credentials is not None:
            content = _read(self.user_credentials)
            # nats-py would never end to read a file without a JWT.
            if _CREDENTIALS.search(content) is None:
                raise Refused(f"{self.user_credentials} is not a NATS credentials file")
            options["user_credentials"] = RawCredentials(content)
        elif self.nkeys_seed is not None:
            seed = self.nkeys_seed
            options["nkeys_seed_str"] = (seed if isinstance(seed, str) else _read(seed)).strip()
        return options


def _read(path: str | PathLike[str]) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Refused(f"the credentials in {path} cannot be read: {reason}") from error


def _parse_server(url: str) -> _Server:
    """Return the server of a URL.

    Raises ConfigurationError, without the URL in its text, because that may contain a password.
    """
    try:
        parts = urlsplit(url if "://" in url else f"nats://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError("the URL of a NATS server has no valid host and port") from None
    if parts.scheme not in _SCHEMES or not host:
        raise ConfigurationError(
            "the URL of a NATS server must look like nats://host:4222 or tls://host:4222"
        )
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    return _Server(host, port or _DEFAULT_PORT, _SCHEMES[parts.scheme], host, user, password)


def _subject_token(name: str) -> str:
    """Return a name as one token of a subject. Different names have different tokens."""
    return "".join(
        character
        if character.isascii() and (character.isalnum() or character in "-_")
        else "".join(f"={byte:02x}" for byte in character.encode())
        for character in name
    )


class _Client(Client):
    """A client of nats-py that knows whether its connection is encrypted, and that can drop it."""

    #: True if TLS was started.
    encrypted = False

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """The context for TLS. The client reads it when it starts TLS, and only then."""
        self.encrypted = True
        return super().ssl_context

    def abort(self) -> None:
        """Drop the connection and all data that waits to be written."""
        # close() waits for the server, and writes old frames when a frozen server goes on.
        writer: asyncio.StreamWriter | None = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()


class _Connection(EngineConnection):
    """A connection to a NATS server by one client of nats-py, which is never used for a second connection.

    The client is kept from connecting again itself, because it cannot do so after all errors: its read loop
    may end silently, and an error of authorization closes it. The keeper makes a new client instead.
    """

    _errors = (OSError, NATSError)

    def __init__(
        self, prefix: str, node: NodeId, sink: FrameSink, counts: BackplaneCounts, *, max_pending: int
    ) -> None:
        super().__init__(sink, counts, max_frame=_DEFAULT_MAX_PAYLOAD, max_pending=max_pending)
        self._prefix = prefix
        self._node = node
        self._reports = f"{prefix}.report.{node:016x}."
        # The subject and the reply subject of the frames for a node, or for all nodes.
        self._subjects: dict[NodeId | None, tuple[str, str]] = {None: (f"{prefix}.all", "")}
        self._numbers = itertools.count()
        self._unconfirmed: dict[bytes, Flush] = {}
        # True if the server refused a frame since it confirmed the last flush.
        self._refused = False
        self._client = _Client()
        # The client calls this for each message, in order, and goes on if there is no object. With one queue
        # and task for each subscription, a broadcast could overtake a frame that its sender sent before.
        self._client.msg_class = cast("type[Msg]", self._take_message)
        self._ready = False
        # The first error before the connection is ready.
        self._failure: asyncio.Future[Exception] = self._loop.create_future()

    async def handshake(
        self, server: _Server, credentials: _Credentials, tls: ssl.SSLContext | None, timeout: float
    ) -> None:
        """Connect to a server and subscribe. Raises Refused or another ConnectionError."""
        client, encrypted = self._client, server.tls or tls is not None

        def secret(value: str) -> Callable[[], str]:
            def reveal() -> str:
                # Otherwise an attacker between them could make the client send its password in the clear.
                if encrypted and not client.encrypted:
                    raise Refused(f"{server} does not offer TLS")
                return value

            return reveal

        options = credentials.options(server, secret)
        host = f"[{server.host}]" if ":" in server.host else server.host
        connecting = self._loop.create_task(
            client.connect(
                [f"nats://{host}:{server.port}"],
                error_cb=self._error,
                disconnected_cb=self._disconnected,
                name=f"wampasgi {self._node:016x}",
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                connect_timeout=cast("int", timeout),
                ping_interval=_PING_INTERVAL,
                tls=tls,
                tls_hostname=server.tls_name,
                **options,
            )
        )
        try:
            await self._unless_failed(connecting, server)
        finally:
            await cancel_and_wait(connecting)
        if encrypted and not client.encrypted:
            raise Refused(f"{server} does not offer TLS")
        self.max_frame = client.max_payload
        for subject in (self._subjects[None][0], self._of(self._node)[0], f"{self._reports}*"):
            await client.subscribe(subject)
        self._start_writer()
        flushing = self._loop.create_task(self.flushed())
        try:
            await self._unless_failed(flushing, server)
        finally:
            await cancel_and_wait(flushing)
        self._ready = True

    async def _unless_failed(self, task: asyncio.Task[Any], server: _Server) -> None:
        """Wait for a step of the handshake. Raises Refused or another ConnectionError."""
        failure = self._failure
        await asyncio.wait([task, failure], return_when=asyncio.FIRST_COMPLETED)
        error = failure.result() if failure.done() else task.exception()
        if error is None:
            if task.result() is False:
                raise ConnectionError(f"{server}: {self.reason or 'a frame was lost'}")
            return
        if isinstance(error, Refused):
            raise error
        if isinstance(error, ssl.SSLCertVerificationError):
            raise Refused(f"the certificate of {server} is not valid: {error.verify_message}") from error
        if isinstance(error, NATSError) and _REFUSAL.search(str(error)):
            raise Refused(f"{server}: {error}") from error
        if isinstance(error, TimeoutError):
            raise ConnectionError(f"{server} does not answer") from error
        raise ConnectionError(f"{server}: {str(error) or type(error).__name__}") from error

    @property
    def announced(self) -> list[tuple[str, int]]:
        """The hosts and ports of the other servers of the cluster."""
        return [
            (uri.hostname, uri.port) for uri in self._client.discovered_servers if uri.hostname and uri.port
        ]

    async def _error(self, error: Exception) -> None:
        """Take an error of the client. The client calls it for lost connections, too."""
        if not self._ready:
            if not self._failure.done():
                self._failure.set_result(error)
        elif "permissions violation" in str(error):
            logger.error("NATS refuses frames: %s", error)
            self._refused = True
            # The refused frame may be the one that would confirm them.
            self._fail_flushes()
        elif isinstance(error, OSError | NATSError):
            self._lose(str(error) or type(error).__name__)
        else:
            logger.error("the client of NATS failed", exc_info=error)

    async def _disconnected(self) -> None:
        """Take the end of the connection, and keep the client from connecting again."""
        self._lose(str(self._client.last_error or "the server closed it"))
        if not self._client.is_closed:
            # The task of the client that would connect again waits here until close() cancels it.
            await self._loop.create_future()

    def _of(self, node: NodeId | None) -> tuple[str, str]:
        subjects = self._subjects.get(node)
        if subjects is None:
            if len(self._subjects) >= _MAX_SUBJECTS:
                # Most of them belong to nodes of the past.
                self._subjects = {None: self._subjects[None]}
            # The server reports to the reply subject if nobody subscribes.
            subjects = (f"{self._prefix}.node.{node:016x}", f"{self._reports}{node:016x}")
            self._subjects[node] = subjects
        return subjects

    async def _write(self, batch: Sequence[Item]) -> None:
        publish = self._client.publish
        for item in batch:
            if self.lost.is_set():
                return
            if isinstance(item, tuple):
                node, frame = item
                subject, reply = self._of(node)
                await publish(subject, frame, reply)
                self._written(frame)
            else:
                # The flush() of nats-py sends its PING ahead of the commands that it has not written yet. A
                # message to this node takes the same way as the frames before it.
                number = b"%d" % next(self._numbers)
                self._unconfirmed[number] = item
                await publish(f"{self._reports}flush", number)

    def _take_message(
        self, subject: str, data: bytes, headers: dict[str, str] | None = None, **_other: object
    ) -> None:
        if not subject.startswith(self._reports):
            self._take_frame(data)
        elif headers is None:
            flush = self._unconfirmed.pop(data, None)
            if flush is not None:
                complete, self._refused = not self._refused, False
                self._confirm(flush, complete)
        elif headers.get("Status") == "503":
            # The reply subject ends with the node that the frame was for. An exception would end the read
            # loop of the client, and others can send messages to this subject.
            with suppress(ValueError):
                self._report_unreachable(int(subject.removeprefix(self._reports), 16))

    def _fail_flushes(self) -> None:
        super()._fail_flushes()
        self._unconfirmed.clear()

    async def _release(self) -> None:
        client = self._client
        self._failure.cancel()
        closing = self._loop.create_task(client.close())
        client.abort()
        await asyncio.wait([closing], timeout=_CLOSE_TIMEOUT)
        failed = closing.done() and not closing.cancelled() and closing.exception()
        await cancel_and_wait(closing)
        # close() stops before this step if it fails.
        client.abort()
        if failed:
            logger.debug("the client of NATS reports at its end: %r", failed)


class NATSBackplane(EngineBackplane):
    """A backplane over NATS, for workers on any number of hosts.

    ``servers`` is one URL or several, such as ``nats://127.0.0.1:4222`` or ``tls://user:password@host``.
    Several servers must belong to one cluster. With ``tls://``, ``tls+nats://`` or ``tls``, the connection is
    encrypted or refused. ``tls`` is a context for certificates of your own.

    The credentials are ``user`` and ``password``, a ``token``, the path of a credentials file
    (``user_credentials``), or an nkey (``nkeys_seed``: the seed itself as ``str``, or a ``pathlib.Path``).
    The account needs permission to publish and subscribe to ``wampasgi.<name>.>``.

    ``name`` separates applications on one engine. ``connect_timeout`` is in seconds. With
    ``wait_for_engine=False`` the application starts even if no server can be reached, and joins later.
    ``max_pending`` is the maximum size in bytes of the queue to the server; further frames are dropped.

    Raises ConfigurationError if an argument is invalid.
    """

    engine: ClassVar[str] = "NATS"

    def __init__(
        self,
        servers: str | Sequence[str] = "nats://127.0.0.1:4222",
        *,
        name: str | None = None,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        user_credentials: str | PathLike[str] | None = None,
        nkeys_seed: str | PathLike[str] | None = None,
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
            max_frame=_DEFAULT_MAX_PAYLOAD,
        )
        urls = [servers] if isinstance(servers, str) else list(servers)
        self._servers = [_parse_server(url.strip()) for several in urls for url in several.split(",")]
        if not self._servers:
            raise ConfigurationError("NATSBackplane needs the URL of at least one server")
        self._credentials = _Credentials(user, password, token, user_credentials, nkeys_seed)
        self._credentials.check()
        self._tls = tls

    @property
    def address(self) -> str:
        """The addresses of the servers, without passwords."""
        return ", ".join(map(str, self._servers))

    def _connector(self, node: NodeId, sink: FrameSink, name: str) -> Callable[[], Awaitable[_Connection]]:
        prefix = f"wampasgi.{_subject_token(name)}"
        # Servers in the order of the next attempts.
        pool = deque(self._servers)
        newest: _Connection | None = None

        async def connect_next() -> _Connection:
            nonlocal newest
            if newest is not None:
                self._add_servers(pool, newest.announced)
            server = pool[0]
            pool.rotate(-1)
            connection = _Connection(prefix, node, sink, self._counts, max_pending=self._max_pending)
            try:
                await connection.handshake(server, self._credentials, self._tls, self._connect_timeout)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await connection.close()
                raise
            newest = connection
            return connection

        return connect_next

    def _add_servers(self, pool: deque[_Server], announced: Sequence[tuple[str, int]]) -> None:
        """Add the servers that a cluster announced to those that are tried next."""
        known = {(server.host, server.port) for server in pool}
        model = self._servers[0]
        for host, port in announced:
            if (host, port) not in known and len(pool) < _MAX_SERVERS:
                # They are announced by IP address, which certificates do not contain.
                pool.appendleft(_Server(host, port, model.tls, model.tls_name, model.user, model.password))
