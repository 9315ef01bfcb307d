"""Payload schemas of messages: an object with ``args`` and ``kwargs``, which may both be absent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from wampasgi.asyncapi.schemas import JSONObject

Convert = Callable[[Any], Any]

_POSITIONAL: Final = frozenset(("positional_only", "positional_or_keyword"))
_KEYWORD: Final = frozenset(("positional_or_keyword", "keyword_only"))


def any_payload() -> JSONObject:
    """Return the schema of a payload that is not described."""
    return _payload({"type": "array"}, {"type": "object"})


def described_payload(payload: Mapping[str, Any] | None, convert: Convert) -> JSONObject:
    """Return the schema of a result, progress report, event or error.

    ``payload`` is its description, and ``convert`` converts the schemas in it.
    """
    if payload is None:
        return any_payload()
    args = _tidied(convert(payload["args"]))
    kwargs = payload["kwargs"]
    return _payload(args, None if kwargs is None else convert(kwargs))


def arguments_payload(parameters: Sequence[Mapping[str, Any]] | None, convert: Convert) -> JSONObject:
    """Return the schema of the arguments of a call or a publication.

    ``parameters`` are their description, and ``convert`` converts the schemas in it.
    """
    if parameters is None:
        return any_payload()
    positional = [parameter for parameter in parameters if parameter["kind"] in _POSITIONAL]
    schema = _payload(_positional_arguments(parameters, convert), _keyword_arguments(parameters, convert))
    either = [
        _by_position_or_by_name(index, parameter)
        for index, parameter in enumerate(positional)
        if parameter["required"] and parameter["kind"] == "positional_or_keyword"
    ]
    return {**schema, "allOf": either} if either else schema


def _payload(args: JSONObject, kwargs: JSONObject | None) -> JSONObject:
    properties = {"args": args} if kwargs is None else {"args": args, "kwargs": kwargs}
    required = [
        *(["args"] if args.get("minItems") else []),
        *(["kwargs"] if kwargs is not None and _requires_property(kwargs) else []),
    ]
    schema: JSONObject = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    return {**schema, "additionalProperties": False}


def _requires_property(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("required") or schema.get("minProperties") or schema.get("allOf"))


def _positional_arguments(parameters: Sequence[Mapping[str, Any]], convert: Convert) -> JSONObject:
    positional = [parameter for parameter in parameters if parameter["kind"] in _POSITIONAL]
    # The others may be sent by name instead.
    required = sum(
        parameter["required"] and parameter["kind"] == "positional_only" for parameter in positional
    )
    rest = next((parameter["schema"] for parameter in parameters if parameter["kind"] == "rest"), None)
    schema: JSONObject = {
        "type": "array",
        "prefixItems": [parameter["schema"] for parameter in positional],
        "minItems": required,
    }
    if rest is None:
        schema["maxItems"] = len(positional)
    else:
        schema["items"] = rest
    return _tidied(convert(schema))


def _tidied(schema: JSONObject) -> JSONObject:
    """Return the schema of an array without a minimum of 0, and without items that may be anything."""
    meaningless: tuple[JSONObject, ...] = ({"minItems": 0}, {"items": {}}, {"items": True})
    return {keyword: value for keyword, value in schema.items() if {keyword: value} not in meaningless}


def _keyword_arguments(parameters: Sequence[Mapping[str, Any]], convert: Convert) -> JSONObject:
    by_keyword = [parameter for parameter in parameters if parameter["kind"] in _KEYWORD]
    required = [
        parameter for parameter in by_keyword if parameter["required"] and parameter["kind"] == "keyword_only"
    ]
    rest = [parameter["schema"] for parameter in parameters if parameter["kind"] == "keyword_rest"]
    schema: JSONObject = {"type": "object"}
    if by_keyword:
        schema["properties"] = {
            name: parameter["schema"] for parameter in by_keyword for name in _names(parameter)
        }
    if always := [parameter["name"] for parameter in required if not parameter["aliases"]]:
        schema["required"] = always
    schema["additionalProperties"] = rest[0] if rest else False
    if aliased := [_by_name(parameter) for parameter in required if parameter["aliases"]]:
        schema["allOf"] = aliased
    result: JSONObject = convert(schema)
    return result


def _by_position_or_by_name(index: int, parameter: Mapping[str, Any]) -> JSONObject:
    return {
        "anyOf": [
            {"properties": {"args": {"minItems": index + 1}}, "required": ["args"]},
            {"properties": {"kwargs": _by_name(parameter)}, "required": ["kwargs"]},
        ]
    }


def _by_name(parameter: Mapping[str, Any]) -> JSONObject:
    names = _names(parameter)
    if len(names) == 1:
        return {"required": names}
    return {"anyOf": [{"required": [name]} for name in names]}


def _names(parameter: Mapping[str, Any]) -> list[str]:
    return [parameter["name"], *parameter["aliases"]]
