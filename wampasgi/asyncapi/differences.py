"""Differences between two AsyncAPI documents, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from wampasgi.asyncapi.channels import EXTENSION

# The parts of something, outermost first, such as ("procedure math.add", "parameter a").
Path = tuple[str, ...]

_MESSAGES: Final = {
    "result": "result",
    "progress": "progressive results",
    "event": "event",
    "publication": "publications",
}
_ORDER: Final = "order of parameters"
# Facts that are there or not, and the adjectives for both.
_REQUIRED: Final = "required"
_DEPRECATED: Final = "deprecated"
_STATES: Final = {
    _REQUIRED: {"added": "required", "removed": "optional"},
    _DEPRECATED: {"added": "deprecated", "removed": "not deprecated"},
}
_DETAILS: Final = ("summary", "description", "tags")


def document_differences(before: Any, after: Any) -> list[str]:
    """Return lines such as ``procedure math.add: parameter c added``, or an empty list if both are equal.

    ``before`` may be any JSON value, because people edit files by hand.
    """
    if before == after:
        return []
    old, new = dict(_facts(before)), dict(_facts(after))
    lines = [
        _sentence(path, verb)
        for path in sorted(old.keys() | new.keys())
        if (verb := _verb(path, old, new)) is not None and not _is_explained(path, old, new)
    ]
    return lines or ["the document changed"]


def _sentence(path: Path, verb: str) -> str:
    states = _STATES.get(path[-1])
    if states is None:
        return f"{': '.join(path)} {verb}"
    return f"{': '.join(path[:-1])} is now {states[verb]}"


def _verb(path: Path, old: Mapping[Path, Any], new: Mapping[Path, Any]) -> str | None:
    if path[-1] == _ORDER and (path not in old or path not in new):
        return None
    if path not in old:
        return "added"
    if path not in new:
        return "removed"
    before, after = old[path], new[path]
    if path[-1] == _ORDER:
        # A parameter that was added or removed is reported by itself.
        common = set(before) & set(after)
        before, after = (
            [name for name in before if name in common],
            [name for name in after if name in common],
        )
    return None if before == after else "changed"


def _is_explained(path: Path, old: Mapping[Path, Any], new: Mapping[Path, Any]) -> bool:
    """Tell whether something is only new, or missing, because all of its surroundings are."""
    outer = [path[:length] for length in range(1, len(path))]
    return any((part in old) != (part in new) for part in outer)


def _facts(document: Any) -> Iterator[tuple[Path, Any]]:
    """Yield the facts about each part of a document. Parts that are malformed have none."""
    channels, components = _object(document, "channels"), _object(document, "components")
    extension = _object(document, EXTENSION)
    realms = _object(extension, "realms")
    labels = {key: _label(key, channel, several_realms=len(realms) > 1) for key, channel in channels.items()}
    for key, channel in channels.items():
        yield from _channel_facts(labels[key], channel)
    for operation in _object(document, "operations").values():
        reference = _object(operation, "channel").get("$ref")
        key = reference.removeprefix("#/channels/") if isinstance(reference, str) else ""
        yield from _operation_facts(labels.get(key, f"channel {key}"), operation)
    for name, schema in _object(components, "schemas").items():
        yield (f"model {name}",), None
        yield from _model_facts(f"model {name}", schema)
    for name, message in _object(components, "messages").items():
        yield (f"error {name}",), message
    for name, realm in realms.items():
        yield (f"realm {name}",), realm
    for name, server in _object(document, "servers").items():
        yield (f"server {name}",), server
    for name, value in _object(document, "info").items():
        yield ("info", name), value


def _object(value: Any, name: str) -> Mapping[str, Any]:
    """Return the object that is a field of another one, or an empty one."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _label(key: str, channel: Any, *, several_realms: bool) -> str:
    facts = _object(channel, EXTENSION)
    label = f"{facts.get('kind', 'channel')} {facts.get('uri', key)}"
    if facts.get("match", "exact") != "exact":
        label += f" ({facts['match']})"
    return f"{label} of realm {facts.get('realm')}" if several_realms else label


def _channel_facts(label: str, channel: Any) -> Iterator[tuple[Path, Any]]:
    yield (label,), None
    yield (label, "provider"), _object(channel, EXTENSION).get("provider")
    for key, message in _object(channel, "messages").items():
        if key in ("call", "publication"):
            yield from _parameter_facts(label, message)
            yield (label, "examples"), _field(message, "examples")
        elif key in _MESSAGES:
            yield (label, _MESSAGES[key]), _field(message, "payload")
        else:
            yield (label, f"error {key}"), None


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _parameter_facts(label: str, message: Any) -> Iterator[tuple[Path, Any]]:
    parameters = _field(_object(message, EXTENSION), "parameters")
    if not isinstance(parameters, list):
        return
    yield (label, "description of the arguments"), None
    properties = _object(_object(message, "payload"), "properties")
    positional = _object(properties, "args").get("items")
    by_name = _object(_object(properties, "kwargs"), "properties")
    order = []
    for index, parameter in enumerate(parameters):
        name = str(_field(parameter, "name"))
        schema = by_name.get(name)
        if str(_field(parameter, "kind")).startswith("positional"):
            order.append(name)
            if schema is None and isinstance(positional, list) and index < len(positional):
                schema = positional[index]
        required = _field(parameter, "required") is True
        yield from _value_facts((label, f"parameter {name}"), schema, required=required)
        yield (label, f"parameter {name}", "kind"), _field(parameter, "kind")
        yield (label, f"parameter {name}", "aliases"), _field(parameter, "aliases")
    yield (label, _ORDER), order


def _value_facts(path: Path, schema: Any, *, required: bool) -> Iterator[tuple[Path, Any]]:
    """Yield the facts about a parameter, or about a property of a model."""
    yield path, None
    if required:
        yield (*path, _REQUIRED), None
    if isinstance(schema, Mapping):
        if "default" in schema:
            yield (*path, "default"), schema["default"]
        schema = {keyword: value for keyword, value in schema.items() if keyword != "default"}
    yield (*path, "schema"), schema


def _operation_facts(label: str, operation: Any) -> Iterator[tuple[Path, Any]]:
    for name in _DETAILS:
        value = _field(operation, name)
        if value is not None:
            yield (label, name), value
    if _object(operation, EXTENSION).get("deprecated"):
        yield (label, _DEPRECATED), None


def _model_facts(label: str, schema: Any) -> Iterator[tuple[Path, Any]]:
    if not isinstance(schema, Mapping):
        yield (label, "schema"), schema
        return
    required = schema.get("required")
    for name, value in _object(schema, "properties").items():
        is_required = isinstance(required, list) and name in required
        yield from _value_facts((label, f"property {name}"), value, required=is_required)
    yield (label, "schema"), {key: schema[key] for key in schema if key not in ("properties", "required")}
