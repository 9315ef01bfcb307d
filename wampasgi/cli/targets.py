"""Opens the session that a command uses: on a server, or in memory with an app."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, Final

from wampasgi.cli.connection_options import DEFAULT_REALM, DEFAULT_URL, ConnectionOptions
from wampasgi.cli.connection_values import completed
from wampasgi.cli.errors import UsageError

if TYPE_CHECKING:
    from wampasgi.cli.app_loading import LoadedApplication
    from wampasgi.client import Options, Retry, Session

#: The names of cookies and headers. Spec: RFC 9110, "Tokens".
_NAME: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)


class Target:
    """The place and the identity of a session. Raises UsageError for options that do not fit together.

    ``retry`` is for the connections after the first one.
    """

    def __init__(self, connection: ConnectionOptions, *, retry: Retry | None = None) -> None:
        from wampasgi.cli.secret_values import private_key, secret_value

        options = completed(connection)
        self.url = options.url or DEFAULT_URL
        self._app = None if options.app is None else _load(options.app)
        self._options: Options = {
            "realm": options.realm or self._usual_realm(),
            "authid": options.authid,
            "ticket": secret_value("ticket", options.ticket),
            "secret": secret_value("secret", options.secret),
            "private_key": private_key(options.private_key),
            "cookies": dict(_pair("cookie", text, "=") for text in options.cookie or ()),
            "headers": dict(_pair("header", text, ":") for text in options.header or ()),
            "serializers": options.serializer,
            "retry": retry,
        }
        if self._app is None:
            # So that a mistake is reported before the command does anything.
            self._connect(self._options)

    @asynccontextmanager
    async def opened(self, **options: Any) -> AsyncIterator[Session]:
        """Open the session. ``options`` are further ones of ``wampasgi.client.connect``."""
        given: Options = {**self._options, **options}  # type: ignore[typeddict-item] # the names are checked
        if self._app is None:
            async with self._connect(given) as session:
                yield session
            return
        from wampasgi.cli.endpoints import endpoint_path
        from wampasgi.cli.lifespan import running
        from wampasgi.client import connect

        path = endpoint_path(self._app.asgi_app, self._app.application)
        # Nobody can say which team is meant by "/teams/{team}/ws".
        asgi_app = self._app.application if "{" in path else self._app.asgi_app
        given["path"] = "/" if "{" in path else path
        # Output of the app is not output of the command.
        with redirect_stdout(sys.stderr):
            async with running(asgi_app) as app:
                given["app"] = app
                async with connect(**given) as session:
                    yield session

    def _connect(self, options: Options) -> Any:
        from wampasgi.client import connect

        try:
            return connect(self.url, **options)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def _usual_realm(self) -> str:
        """Return the realm that is used if none is named."""
        if self._app is None:
            return DEFAULT_REALM
        from wampasgi.cli.realms import chosen_realm

        realms = self._app.application.all_realms
        default = realms.get(DEFAULT_REALM)
        if default is not None:
            described = default.describe()
            if described.procedures or described.topics:
                return DEFAULT_REALM
        chosen = chosen_realm(self._app.application, None)
        return next(name for name, realm in realms.items() if realm is chosen)


def _load(reference: str) -> LoadedApplication:
    from wampasgi.cli.app_loading import load_application

    loaded = load_application(reference)
    # The user of this process may read all of the app.
    loaded.application.allow_descriptions()
    return loaded


def _pair(kind: str, text: str, separator: str) -> tuple[str, str]:
    """Return the name and the value of a cookie or header. The value may be secret, so no message has it."""
    name, found, value = text.partition(separator)
    name, value = name.strip(), value.strip()
    if not found or not name:
        form = f"NAME{separator}VALUE" if separator == "=" else "'NAME: VALUE'"
        raise UsageError(f"--{kind} must have the form {form}")
    if not _NAME.fullmatch(name):
        raise UsageError(f"the {kind} {name!r} has a name with a character that is not allowed there")
    if not (value.isascii() and value.isprintable()) or (kind == "cookie" and ";" in value):
        raise UsageError(f"the {kind} {name!r} has a value with a character that is not allowed there")
    return name, value
