"""YAML for AsyncAPI documents."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

# Numbers, booleans and nulls of YAML 1.2 that YAML 1.1, which PyYAML implements, reads as text.
_YAML_1_2: Final = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|true|True|TRUE|false|False|FALSE|null|Null|NULL|~"
)

# PyYAML would write these without escapes, and read spaces.
_OTHER_LINE_BREAKS: Final = frozenset("\x85\u2028\u2029")


def to_yaml(document: Any) -> str:
    """Return a JSON value as YAML, in the order of the document.

    Parsers of YAML 1.1 and 1.2 read the same value from it. Text of several lines is a block.
    """
    return yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=False
    )


def from_yaml(text: str) -> Any:
    """Return the value of a YAML document. Raises ValueError if it cannot be parsed."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Repeat equal values instead of using anchors, which AsyncAPI does not allow."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent the items of a list below its key."""
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if not _OTHER_LINE_BREAKS.isdisjoint(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    elif _YAML_1_2.fullmatch(text):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
