"""The settings that concern all handlers of a realm, or of an application."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wampasgi.configuration.overrides import DependencyOverrides, Function, ParentApp
from wampasgi.configuration.routes import H
from wampasgi.errors import ConfigurationError
from wampasgi.injection.callables import require_function
from wampasgi.injection.plan import describe
from wampasgi.types import Handler


class HandlerSettings:
    """The exception handlers and dependency overrides of a realm, or of all realms of an application.

    ``changed`` is called after each change. Raises ConfigurationError for a handler that is not callable, and
    for a key that is no exception class.
    """

    def __init__(
        self,
        changed: Callable[[], None],
        exception_handlers: Mapping[type[Exception], Handler] | None,
    ) -> None:
        self.changed = changed
        #: The exception handlers, by the class of their exceptions.
        self.exception_handlers: dict[type[Exception], Handler] = {}
        #: The replacements of dependencies.
        self.dependency_overrides = DependencyOverrides(changed)
        for exception, handler in (exception_handlers or {}).items():
            self.add_exception_handler(exception, handler)

    def add_exception_handler(self, exception: type[Exception], handler: Handler) -> None:
        """Add the handler for exceptions of a class and of its subclasses."""
        _require_exception_class(exception)
        require_function(f"exception handler for {exception.__name__}", handler)
        existing = self.exception_handlers.get(exception)
        if existing is not None:
            raise ConfigurationError(
                f"exception handler {describe(handler)}: {describe(existing)} already handles "
                f"{exception.__name__}"
            )
        self.exception_handlers[exception] = handler
        self.changed()


class RealmOverrides:
    """The dependency overrides that apply in a realm: the parent app's, the application's and its own.

    Those that are named last take precedence. ``own`` are the settings of the realm.
    """

    def __init__(self, own: HandlerSettings) -> None:
        self._settings = [own]
        self._of_parent: dict[Function, Function] = {}
        #: The app that the application is mounted in.
        self.parent = ParentApp()
        #: All overrides, as of the last ``merge``.
        self.merged: dict[Function, Function] = {}

    def attach(self, for_all_realms: HandlerSettings, parent: ParentApp) -> None:
        """Let the overrides of the application and its parent app apply, too."""
        self._settings.insert(0, for_all_realms)
        self.parent = parent

    @property
    def parent_changed(self) -> bool:
        """Return whether the overrides of the parent app have changed since the last ``merge``."""
        return self.parent.dependency_overrides != self._of_parent

    def merge(self) -> bool:
        """Merge the overrides, and return whether they have changed."""
        before = self.merged
        self._of_parent = dict(self.parent.dependency_overrides)
        self.merged = dict(self._of_parent)
        for settings in self._settings:
            self.merged.update(settings.dependency_overrides)
        return self.merged != before


def _require_exception_class(exception: Any) -> None:
    if isinstance(exception, type) and issubclass(exception, Exception):
        return
    advice = "pass a class that is derived from Exception"
    if isinstance(exception, int):
        advice = "pass starlette.exceptions.HTTPException, and look at exc.status_code"
    raise ConfigurationError(f"exception_handler got {exception!r}: {advice}")


class ConfiguresHandlers:
    """The configuration methods that a realm and an application have for the handlers of their own.

    Those of an application apply to all its realms, and those of a realm take precedence.
    """

    #: The settings that the methods below change.
    handler_settings: HandlerSettings

    @property
    def dependency_overrides(self) -> dict[Function, Function]:
        """A dict from dependencies to their replacements, for tests, as in FastAPI.

        A replacement applies wherever the dependency would be evaluated, also in other dependencies, and may
        have other parameters. Changes apply to sessions that join later. In a mounted application, the
        overrides of the FastAPI around it apply, too; those of the application take precedence.
        """
        return self.handler_settings.dependency_overrides

    @dependency_overrides.setter
    def dependency_overrides(self, overrides: dict[Function, Function]) -> None:
        settings = self.handler_settings
        settings.dependency_overrides = DependencyOverrides(settings.changed, overrides)
        settings.changed()

    def exception_handler(self, exception: type[Exception]) -> Callable[[H], H]:
        """Decorate the function that answers the exceptions of a class, and of its subclasses.

        It handles exceptions of procedures and gatekeepers, and of their dependencies. It can be sync or
        async, and have the parameters ``exc``, ``session``, ``request`` (an RPCRequest, None for a
        gatekeeper) and ``topic_uri`` (None for a procedure). It returns or raises a WAMPError, or returns an
        RPCErrorResult. If several classes match, the most specific one counts. An exception that only a
        handler of ``Exception`` matches is logged nevertheless.

        Raises ConfigurationError if there is a handler for the same class.
        """

        def add(handler: H) -> H:
            self.handler_settings.add_exception_handler(exception, handler)
            return handler

        return add

    def add_exception_handler(self, exception: type[Exception], handler: Handler) -> None:
        """Add an exception handler. See ``exception_handler``."""
        self.handler_settings.add_exception_handler(exception, handler)
