"""Descriptions of realms in their JSON form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Description = dict[str, Any]


def shop() -> Description:
    """Return the description of a realm with procedures, topics, patterns, models and an error."""
    text = Path(__file__).with_name("shop.json").read_text(encoding="utf-8")
    description: Description = json.loads(text)
    return description


def interface(realm: str = "shop", **parts: Any) -> Description:
    return {"realm": realm, "procedures": [], "topics": [], "errors": [], "$defs": {}} | parts


def procedure(uri: str, **fields: Any) -> Description:
    return _entry(uri) | {"result": None, "progressive": False, "progress": None, "errors": []} | fields


def topic(uri: str, **fields: Any) -> Description:
    return _entry(uri) | {"event": None, "subscribe": True, "publish": False} | fields


def _entry(uri: str) -> Description:
    return {
        "uri": uri,
        "match": "exact",
        "provider": "realm",
        "summary": None,
        "description": None,
        "tags": [],
        "deprecated": False,
        "parameters": None,
        "examples": [],
    }


def parameter(name: str, schema: Any, *, kind: str = "positional_or_keyword", **fields: Any) -> Description:
    """Return a parameter, which is required unless it collects the remaining arguments."""
    required = kind not in ("rest", "keyword_rest")
    return {"name": name, "aliases": [], "kind": kind, "required": required, "schema": schema} | fields


def payload(*values: Any, kwargs: Any = None) -> Description:
    """Return a payload with exactly these positional values."""
    args = {
        "type": "array",
        "prefixItems": list(values),
        "minItems": len(values),
        "maxItems": len(values),
    }
    return {"args": args, "kwargs": kwargs}
