"""Channels, operations and messages of an AsyncAPI document.

Each procedure and each topic is a channel. An operation is what the application does: it receives calls and
publications, and it sends events.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from wampasgi.asyncapi.keys import component_keys, unique_keys
from wampasgi.asyncapi.payloads import arguments_payload, described_payload
from wampasgi.asyncapi.schemas import JSONObject, SchemaComponents

Kind = Literal["procedure", "topic"]

#: The name of the extension with the facts of WAMP that AsyncAPI has no field for.
EXTENSION: Final = "x-wamp"

_REPLIES: Final = frozenset(("result", "progress"))

# Characters that begin an expression, a query or a fragment in an address.
_NOT_LITERAL: Final = frozenset("{}?#")


@dataclass(frozen=True)
class Entry:
    """A procedure or a topic: its description in the realm's interface, and the key of its channel."""

    realm: str
    kind: Kind
    description: Mapping[str, Any]
    key: str

    @property
    def channel_reference(self) -> str:
        """Return the reference to the channel."""
        return f"#/channels/{self.key}"


def entries_of(interfaces: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """Return all procedures and topics, sorted by the keys of their channels."""
    described: dict[tuple[str, Kind, str, str], Mapping[str, Any]] = {}
    for interface in interfaces:
        for procedure in interface["procedures"]:
            described[interface["realm"], "procedure", procedure["match"], procedure["uri"]] = procedure
        for topic in interface["topics"]:
            described[interface["realm"], "topic", topic["match"], topic["uri"]] = topic
    candidates = {}
    for realm, kind, match, uri in described:
        name = uri if match == "exact" else ".".join(filter(None, [*_named_parts(uri), match]))
        candidates[realm, kind, match, uri] = (
            name,
            f"{name}.{kind}",
            f"{realm}.{name}",
            f"{realm}.{name}.{kind}",
        )
    keys = unique_keys(candidates)
    entries = [Entry(item[0], item[1], description, keys[item]) for item, description in described.items()]
    return sorted(entries, key=lambda entry: entry.key)


def _named_parts(pattern: str) -> list[str]:
    """Return the parts of a pattern, with an underscore for each one that a wildcard leaves empty."""
    return [part or "_" for part in pattern.removesuffix(".").split(".")] if pattern else []


class Channels:
    """Builds channels and operations, and the messages of the errors of all realms.

    ``schemas`` are the components that payloads refer to.
    """

    def __init__(self, interfaces: Sequence[Mapping[str, Any]], schemas: SchemaComponents) -> None:
        self._schemas = schemas
        errors = {
            (interface["realm"], error["uri"]): self._error_message(interface["realm"], error)
            for interface in interfaces
            for error in interface["errors"]
        }
        for interface in interfaces:
            for procedure in interface["procedures"]:
                for uri in procedure["errors"]:
                    undescribed = {"uri": uri, "description": None, "payload": None}
                    errors.setdefault(
                        (interface["realm"], uri), self._error_message(interface["realm"], undescribed)
                    )
        contents = {name: json.dumps(message, sort_keys=True) for name, message in errors.items()}
        self._errors = errors
        self._error_keys = component_keys(contents)

    def error_messages(self) -> JSONObject:
        """Return the ``components.messages`` of the document, sorted by key."""
        messages = {key: self._errors[name] for name, key in self._error_keys.items()}
        return dict(sorted(messages.items()))

    def channel(self, entry: Entry) -> JSONObject:
        """Return the Channel Object of a procedure or topic."""
        description = entry.description
        address, parameters = _address(description["uri"], description["match"])
        extension = {
            "realm": entry.realm,
            "kind": entry.kind,
            "uri": description["uri"],
            "match": description["match"],
            "provider": description["provider"],
        }
        return _without_nothing(
            {
                "address": address,
                "summary": description["summary"],
                "messages": self._messages(entry),
                "parameters": parameters,
                EXTENSION: extension,
            }
        ) | ({"address": None} if address is None else {})

    def operations(self, entry: Entry) -> JSONObject:
        """Return the Operation Objects of a procedure or topic, by key."""
        if entry.kind == "procedure":
            return {f"{entry.key}.call": self._call(entry)}
        operations = {}
        if entry.description["subscribe"]:
            operations[f"{entry.key}.event"] = _operation(entry, "send", "event")
        if entry.description["publish"]:
            operations[f"{entry.key}.publish"] = _operation(entry, "receive", "publication")
        return operations

    def _call(self, entry: Entry) -> JSONObject:
        operation = _operation(entry, "receive", "call")
        extension = operation.pop(EXTENSION)
        reply = {
            "channel": {"$ref": entry.channel_reference},
            "messages": [_message_reference(entry, name) for name in self._messages(entry) if name != "call"],
        }
        progressive = entry.description["progressive"]
        return {**operation, "reply": reply, EXTENSION: {**extension, "progressive": progressive}}

    def _messages(self, entry: Entry) -> JSONObject:
        """Return the messages of a channel, by key. Errors are references to the components."""
        description = entry.description
        if entry.kind == "topic":
            messages = {}
            if description["subscribe"]:
                messages["event"] = self._message(entry, "EVENT", "event", description["event"])
            if description["publish"]:
                messages["publication"] = self._arguments(entry, "PUBLISH", "publication")
            return messages
        messages = {
            "call": self._arguments(entry, "CALL", "call"),
            "result": self._message(entry, "RESULT", "result", description["result"]),
        }
        if description["progressive"]:
            messages["progress"] = self._message(entry, "RESULT", "progress", description["progress"])
            messages["progress"][EXTENSION]["progress"] = True
        taken = {("message", name): (name,) for name in messages}
        declared = {("error", uri): (uri, f"error.{uri}") for uri in description["errors"]}
        keys = unique_keys({**taken, **declared})
        for uri in description["errors"]:
            component = self._error_keys[entry.realm, uri]
            messages[keys["error", uri]] = {"$ref": f"#/components/messages/{component}"}
        return messages

    def _arguments(self, entry: Entry, wamp_type: str, name: str) -> JSONObject:
        """Return the message with the arguments of a call or a publication."""
        parameters = entry.description["parameters"]
        payload = arguments_payload(parameters, partial(self._schemas.convert, entry.realm))
        message = _message(entry, wamp_type, name, payload)
        message["examples"] = [_example(example) for example in entry.description["examples"]]
        if parameters is not None:
            names = ("name", "kind", "required", "aliases")
            message[EXTENSION]["parameters"] = [
                {field: parameter[field] for field in names} for parameter in parameters
            ]
        return _without_nothing(message)

    def _message(
        self, entry: Entry, wamp_type: str, name: str, payload: Mapping[str, Any] | None
    ) -> JSONObject:
        schema = described_payload(payload, partial(self._schemas.convert, entry.realm))
        message = _message(entry, wamp_type, name, schema)
        # If clients may publish, the examples are publications.
        if name == "event" and not entry.description["publish"]:
            message["examples"] = [_example(example) for example in entry.description["examples"]]
        return _without_nothing(message)

    def _error_message(self, realm: str, error: Mapping[str, Any]) -> JSONObject:
        payload = described_payload(error["payload"], partial(self._schemas.convert, realm))
        message = {
            "name": error["uri"],
            "title": error["uri"],
            "description": error["description"],
            "payload": payload,
            EXTENSION: {"type": "ERROR", "uri": error["uri"]},
        }
        return _without_nothing(message)


def _message(entry: Entry, wamp_type: str, name: str, payload: JSONObject) -> JSONObject:
    if entry.description["deprecated"] and name not in _REPLIES:
        payload = {**payload, "deprecated": True}
    return {
        "name": f"{entry.key}.{name}",
        "title": f"{entry.description['uri'] or entry.key} ({name})",
        "payload": payload,
        EXTENSION: {"type": wamp_type},
    }


def _operation(entry: Entry, action: str, message: str) -> JSONObject:
    description = entry.description
    return _without_nothing(
        {
            "action": action,
            "channel": {"$ref": entry.channel_reference},
            "summary": description["summary"],
            "description": description["description"],
            "tags": [{"name": tag} for tag in dict.fromkeys(description["tags"])],
            "messages": [_message_reference(entry, message)],
            EXTENSION: {"deprecated": description["deprecated"]},
        }
    )


def _message_reference(entry: Entry, message: str) -> JSONObject:
    return {"$ref": f"{entry.channel_reference}/messages/{message}"}


def _example(example: Mapping[str, Any]) -> JSONObject:
    payload = {part: example[part] for part in ("args", "kwargs") if example[part]}
    return _without_nothing({"summary": example["summary"]}) | {"payload": payload}


def _address(uri: str, match: str) -> tuple[str | None, JSONObject]:
    """Return the address of a URI or pattern, and its parameters.

    AsyncAPI has no address for a regular expression, nor for a URI with characters that have a meaning in
    addresses.
    """
    if match == "regex" or not _NOT_LITERAL.isdisjoint(uri):
        return None, {}
    if match == "prefix":
        return f"{uri}{{rest}}", {"rest": {"description": f"The rest of a URI that begins with {uri!r}."}}
    if match == "wildcard":
        parameters: JSONObject = {}
        parts = uri.split(".")
        for index, part in enumerate(parts):
            if not part:
                name = f"part_{len(parameters) + 1}"
                parameters[name] = {"description": f"Component {index + 1} of the URI."}
                parts[index] = f"{{{name}}}"
        return ".".join(parts), parameters
    return uri, {}


def _without_nothing(fields: JSONObject) -> JSONObject:
    """Return the fields of an object that are not None, nor an empty list or object."""
    return {name: value for name, value in fields.items() if value not in (None, [], {})}
