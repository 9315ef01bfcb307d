"""Typed topics, which the server publishes events of one type to."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Generic, Protocol, TypeVar, overload

from wampasgi.configuration.response_types import ResponseFilter, value_type
from wampasgi.errors import ConfigurationError
from wampasgi.injection.callables import EMPTY
from wampasgi.injection.results import Convert, RPCErrorResult, to_result
from wampasgi.injection.validation import UnusableAnnotation
from wampasgi.protocol.uris import require_pattern

E = TypeVar("E")


class Publishes(Protocol):
    """A realm, as a topic uses it."""

    @property
    def uri(self) -> str:
        """The realm URI."""

    def publish(
        self, topic: str, /, *args: Any, options: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Awaitable[int]:
        """Publish an event, and return the publication ID."""


class Topic(Generic[E]):
    """A topic and the type of its events: ``changes = Topic("docs.changes", DocChanged)``.

    Declare it with ``app.add_topic(changes)``, or with the decorators ``@app.topic(changes)`` and
    ``@app.subscriber(changes)``, of an application, a realm or a WAMPRouter. Then ``changes.publish(event)``
    publishes an event of this type, and descriptions of the realm show its schema.

    An event becomes the payload by the same rule as a result: a value is one positional argument, None is no
    argument, and a tuple is as many as it has items. Without a type, events are sent as they are. Raises
    ConfigurationError for an invalid URI, and for a type that pydantic cannot validate.
    """

    @overload
    def __init__(self, uri: str, event: type[E]) -> None: ...

    # Types that are no classes, such as unions.
    @overload
    def __init__(self, uri: str, event: Any = EMPTY) -> None: ...

    def __init__(self, uri: str, event: Any = EMPTY) -> None:
        where = f"Topic({uri!r})"
        require_pattern(where, uri, "exact")
        #: The URI without the prefixes of routers.
        self.uri = uri
        #: The type of the events.
        self.event = event
        self._convert: Convert = to_result
        declared = value_type(event)
        if declared is not Any:
            try:
                self._convert = ResponseFilter(declared, f"{where} was given an event", to_result).to_client
            except UnusableAnnotation as error:
                raise ConfigurationError(
                    f"{where}: pydantic cannot validate events as {event}: {error}"
                ) from error
        self._declared: list[tuple[Publishes, str]] = []

    def __repr__(self) -> str:
        return f"<Topic {self.uri!r}>"

    def declare(self, realm: Publishes, uri: str) -> None:
        """Add a realm that has the topic, and its URI there. A realm calls this when the topic is added."""
        if (realm, uri) not in self._declared:
            self._declared.append((realm, uri))

    async def publish(
        self, event: E, *, options: Mapping[str, Any] | None = None, realm: Publishes | None = None
    ) -> int:
        """Publish an event to all subscribers of the topic, and return the publication ID.

        The event is validated and sent in its JSON form, with the parts that its type declares. ``options``
        are PUBLISH.Options: see Realm.publish. ``realm`` is needed if the topic belongs to several realms.

        Raises TypeError for an event that does not fit the type, and ConfigurationError if the topic was not
        added to the realm, or if several realms or prefixes are possible.
        """
        found, uri = self._destination(realm)
        payload = self._convert(event)
        if isinstance(payload, RPCErrorResult):
            raise TypeError(f"{self!r} was given an RPCErrorResult, which is no event")
        return await found.publish(uri, *payload.args, options=options, **payload.kwargs)

    def _destination(self, realm: Publishes | None) -> tuple[Publishes, str]:
        candidates = [entry for entry in self._declared if realm is None or entry[0] is realm]
        if len(candidates) == 1:
            return candidates[0]
        if not candidates:
            where = "an application, a realm or a router" if realm is None else f"realm {realm.uri!r}"
            raise ConfigurationError(f"{self!r} is not part of {where}: declare it with add_topic(topic)")
        named = ", ".join(f"{uri!r} in realm {other.uri!r}" for other, uri in candidates)
        raise ConfigurationError(
            f"{self!r} stands for {named}: pass realm=..., and use one Topic for each prefix"
        )
