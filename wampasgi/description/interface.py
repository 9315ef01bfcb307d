"""The description of a realm: its procedures, topics and errors, with JSON Schemas of their payloads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from wampasgi.configuration.routes import RouteMatch

#: A JSON Schema, draft 2020-12. References are ``{"$ref": "#/$defs/Name"}``, into ``Interface.definitions``.
Schema: TypeAlias = dict[str, Any]

ParameterKind: TypeAlias = Literal[
    "positional_only", "positional_or_keyword", "keyword_only", "rest", "keyword_rest"
]
#: The owner of a procedure or topic: the realm itself, or a client that has registered it.
Provider: TypeAlias = Literal["realm", "client"]


@dataclass(frozen=True, slots=True)
class ParameterDescription:
    """One parameter of a procedure, or of a topic that clients publish to.

    ``schema`` is that of one value, and has the ``default`` if JSON can represent it. Arguments of the kinds
    that begin with ``positional`` are sent in the order of the parameters. ``rest`` is ``*args``, and
    ``keyword_rest`` is ``**kwargs``. ``aliases`` are further names of a keyword argument.
    """

    name: str
    kind: ParameterKind
    required: bool
    schema: Schema
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PayloadDescription:
    """The payload of a result, a progressive result, an event or an error.

    ``args`` is the schema of the list of positional arguments, and ``kwargs`` that of the keyword arguments,
    None if the payload has no keyword arguments.
    """

    args: Schema
    kwargs: Schema | None = None


@dataclass(frozen=True, slots=True)
class ExampleDescription:
    """An example payload in its JSON form."""

    summary: str | None
    args: list[Any]
    kwargs: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcedureDescription:
    """One procedure, or several if ``match`` is not ``"exact"``.

    ``parameters``, ``result`` and ``progress`` are None if they are not described. ``errors`` are the URIs of
    the declared errors.
    """

    uri: str
    match: RouteMatch
    provider: Provider
    summary: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    deprecated: bool = False
    parameters: tuple[ParameterDescription, ...] | None = None
    result: PayloadDescription | None = None
    progressive: bool = False
    progress: PayloadDescription | None = None
    errors: tuple[str, ...] = ()
    examples: tuple[ExampleDescription, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicDescription:
    """One topic, or several if ``match`` is not ``"exact"``.

    ``event`` is the payload of the events that the server publishes, and ``parameters`` are the arguments of
    the events that clients publish; both are None if they are not described. ``subscribe`` and ``publish``
    tell what clients, or the session that the description is for, may do.
    """

    uri: str
    match: RouteMatch
    provider: Provider
    summary: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    deprecated: bool = False
    event: PayloadDescription | None = None
    parameters: tuple[ParameterDescription, ...] | None = None
    subscribe: bool = False
    publish: bool = False
    examples: tuple[ExampleDescription, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDescription:
    """An error that procedures declare. ``payload`` is None if only its URI is known."""

    uri: str
    description: str | None = None
    payload: PayloadDescription | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """The description of a realm, or of the part of it that one session may use.

    ``definitions`` are the schemas that others refer to, by name.
    """

    realm: str
    procedures: tuple[ProcedureDescription, ...] = ()
    topics: tuple[TopicDescription, ...] = ()
    errors: tuple[ErrorDescription, ...] = ()
    definitions: Mapping[str, Schema]
    #: The names of the definitions that entries need, a cache.
    _needed: dict[_Key, frozenset[str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the description as JSON values; ``definitions`` have the key ``"$defs"``."""
        return {
            "realm": self.realm,
            "procedures": [_plain(entry) for entry in self.procedures],
            "topics": [_plain(entry) for entry in self.topics],
            "errors": [_plain(entry) for entry in self.errors],
            "$defs": dict(self.definitions),
        }

    def restricted_to(
        self, procedures: Iterable[ProcedureDescription], topics: Iterable[TopicDescription]
    ) -> Interface:
        """Return a description of these entries alone, with the errors and definitions that they need.

        They are entries of this description, but what topics permit may differ.
        """
        kept, kept_topics = tuple(procedures), tuple(topics)
        uris = {uri for procedure in kept for uri in procedure.errors}
        errors = tuple(error for error in self.errors if error.uri in uris)
        return replace(
            self,
            procedures=kept,
            topics=kept_topics,
            errors=errors,
            definitions=self._definitions_of(*kept, *kept_topics, *errors),
        )

    def describe_procedure(self, uri: str, match: RouteMatch) -> dict[str, Any] | None:
        """Return one procedure as JSON values, with its ``$defs``; None if there is no such procedure."""
        return self._first(entry for entry in self.procedures if (entry.match, entry.uri) == (match, uri))

    def describe_topic(self, uri: str, match: RouteMatch) -> dict[str, Any] | None:
        """Return one topic as JSON values, with its ``$defs``; None if there is no such topic."""
        return self._first(entry for entry in self.topics if (entry.match, entry.uri) == (match, uri))

    def describe_error(self, uri: str) -> dict[str, Any] | None:
        """Return one error as JSON values, with its ``$defs``; None if no procedure declares it."""
        return self._first(entry for entry in self.errors if entry.uri == uri)

    def _first(self, entries: Iterator[_Entry]) -> dict[str, Any] | None:
        """Return the first entry as JSON values, with its ``$defs``; None without an entry."""
        found = next(entries, None)
        return None if found is None else {**_plain(found), "$defs": self._definitions_of(found)}

    def _definitions_of(self, *entries: _Entry) -> dict[str, Schema]:
        needed = set().union(*map(self._needed_by, entries))
        return {name: schema for name, schema in self.definitions.items() if name in needed}

    def _needed_by(self, entry: _Entry) -> frozenset[str]:
        # Each session reads the description, and walking through all schemas takes most of the time.
        key = type(entry), None if isinstance(entry, ErrorDescription) else entry.match, entry.uri
        found = self._needed.get(key)
        if found is None:
            found = self._needed[key] = _referred(entry, self.definitions)
        return found


_Entry: TypeAlias = ProcedureDescription | TopicDescription | ErrorDescription
_Key: TypeAlias = tuple[type, RouteMatch | None, str]

_NAMES: Final = {
    cls: tuple(each.name for each in fields(cls))
    for cls in (
        ParameterDescription,
        PayloadDescription,
        ExampleDescription,
        ProcedureDescription,
        TopicDescription,
        ErrorDescription,
    )
}


def _plain(value: Any) -> Any:
    """Return a description as JSON values. Schemas and examples are JSON values already."""
    kind = type(value)
    if kind is tuple:
        return [_plain(item) for item in value]
    names = _NAMES.get(kind)
    return value if names is None else {name: _plain(getattr(value, name)) for name in names}


_REF = "#/$defs/"


def references(value: object) -> Iterator[str]:
    """Yield the names of the definitions that a schema, or a description, refers to."""
    return (ref.removeprefix(_REF) for ref in _refs(value) if ref.startswith(_REF))


def foreign_references(value: object) -> Iterator[str]:
    """Yield the references in a schema to anything but a definition."""
    return (ref for ref in _refs(value) if not ref.startswith(_REF))


def _refs(value: object) -> Iterator[str]:
    waiting: list[Any] = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            ref = part.get("$ref")
            if isinstance(ref, str):
                yield ref
            waiting += part.values()
        elif isinstance(part, list | tuple):
            waiting += part
        elif is_dataclass(part) and not isinstance(part, type):
            waiting += (getattr(part, field.name) for field in fields(part))


def _referred(entry: object, definitions: Mapping[str, Schema]) -> frozenset[str]:
    """Return the names of all definitions that a description needs, directly or through others."""
    needed: set[str] = set()
    waiting = list(references(entry))
    while waiting:
        name = waiting.pop()
        if name not in needed and name in definitions:
            needed.add(name)
            waiting += references(definitions[name])
    return frozenset(needed)
