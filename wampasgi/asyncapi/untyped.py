"""Finds the types of an application that its AsyncAPI document cannot describe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from wampasgi.asyncapi.channels import EXTENSION

_NOUNS: Final = {
    "call": "arguments",
    "progress": "progressive results",
    "publication": "arguments of publications",
}


def untyped_parts(document: Mapping[str, Any]) -> list[str]:
    """Return a line for each Python type without a JSON Schema, such as ``procedure a: result: module.Type``.

    ``document`` is one that ``asyncapi_document`` returned.
    """
    places: dict[str, Any] = {}
    for channel in document["channels"].values():
        facts = channel[EXTENSION]
        for key, message in channel["messages"].items():
            places[f"{facts['kind']} {facts['uri']}: {_NOUNS.get(key, key)}"] = message
    components = document["components"]
    places |= {f"model {name}": schema for name, schema in components["schemas"].items()}
    places |= {f"error {name}": message for name, message in components["messages"].items()}
    # An argument is described twice, by its position and by its name.
    return list(
        dict.fromkeys(f"{place}: {name}" for place, value in places.items() for name in _python_types(value))
    )


def _python_types(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _python_types(item)
    elif isinstance(value, Mapping):
        if isinstance(name := value.get("x-python-type"), str):
            yield name
        for item in value.values():
            yield from _python_types(item)
