"""Validation rules for the known attributes of Options and Details. Unknown ones pass unchecked.

Spec: Basic Profile, "Messages"; the advanced features for their options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from wampasgi.protocol.ids import is_id


@dataclass(frozen=True, slots=True)
class Rule:
    """The type and an optional condition that the value of an attribute must satisfy.

    ``expected`` describes both in error messages.
    """

    type: type
    expected: str
    accepts: Callable[[Any], bool] | None = None

    def holds(self, value: object) -> bool:
        """Return whether the attribute may have this value."""
        return type(value) is self.type and (self.accepts is None or self.accepts(value))


#: Attribute name to rule, for one Options or Details dict.
Rules: TypeAlias = Mapping[str, Rule]


def _all_ids(values: list[object]) -> bool:
    return all(is_id(value) for value in values)


def _all_str(values: list[object]) -> bool:
    return all(type(value) is str for value in values)


_BOOL: Final = Rule(bool, "a bool")
_STR: Final = Rule(str, "a string")
_DICT: Final = Rule(dict, "a dict")
_IDS: Final = Rule(list, "a list of session IDs", _all_ids)
_STRS: Final = Rule(list, "a list of strings", _all_str)
_TIMEOUT: Final = Rule(int, "a number of milliseconds, 0 or more", lambda value: value >= 0)
_CONCURRENCY: Final = Rule(int, "a number of invocations, 0 or more", lambda value: value >= 0)
_MODE: Final = Rule(
    str, '"skip", "kill" or "killnowait"', lambda value: value in {"skip", "kill", "killnowait"}
)

HELLO_RULES: Final[Rules] = {"authmethods": _STRS, "authid": _STR, "authextra": _DICT}
WELCOME_RULES: Final[Rules] = {"roles": _DICT}
PASSTHRU_RULES: Final[Rules] = {
    "ppt_scheme": _STR,
    "ppt_serializer": _STR,
    "ppt_cipher": _STR,
    "ppt_keyid": _STR,
    "enc_algo": _STR,
    "enc_key": _STR,
    "enc_serializer": _STR,
}
PUBLISH_RULES: Final[Rules] = {
    **PASSTHRU_RULES,
    "acknowledge": _BOOL,
    "exclude_me": _BOOL,
    "disclose_me": _BOOL,
    "exclude": _IDS,
    "exclude_authid": _STRS,
    "exclude_authrole": _STRS,
    "eligible": _IDS,
    "eligible_authid": _STRS,
    "eligible_authrole": _STRS,
    "retain": _BOOL,
}
SUBSCRIBE_RULES: Final[Rules] = {"match": _STR, "get_retained": _BOOL}
EVENT_RULES: Final[Rules] = {"topic": _STR, "retained": _BOOL, "enc_algo": _STR}
CALL_RULES: Final[Rules] = {
    **PASSTHRU_RULES,
    "timeout": _TIMEOUT,
    "receive_progress": _BOOL,
    "progress": _BOOL,
    "disclose_me": _BOOL,
}
REGISTER_RULES: Final[Rules] = {
    "match": _STR,
    "invoke": _STR,
    "concurrency": _CONCURRENCY,
    "disclose_caller": _BOOL,
    "forward_timeout": _BOOL,
    # Of Autobahn and Crossbar.io; the specification does not have it.
    "force_reregister": _BOOL,
}
INVOCATION_RULES: Final[Rules] = {
    "procedure": _STR,
    "timeout": _TIMEOUT,
    "receive_progress": _BOOL,
    "progress": _BOOL,
}
PROGRESS_RULES: Final[Rules] = {"progress": _BOOL}
YIELD_RULES: Final[Rules] = {**PASSTHRU_RULES, "progress": _BOOL}
MODE_RULES: Final[Rules] = {"mode": _MODE}
UNREGISTERED_RULES: Final[Rules] = {
    "registration": Rule(int, "a registration ID", is_id),
    "reason": _STR,
}
UNSUBSCRIBED_RULES: Final[Rules] = {
    "subscription": Rule(int, "a subscription ID", is_id),
    "reason": _STR,
}
