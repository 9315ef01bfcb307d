"""The signatures of the router's own procedures, and the validation of arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

from wampasgi.errors import InvalidArgument
from wampasgi.protocol.options import Rule, Rules


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a procedure.

    ``positional`` and ``keyword`` tell how its argument may be passed. A parameter that is not ``required``
    is None if its argument is missing or null. If ``rule`` is None, any value is valid. ``attributes`` are
    the rules for the known keys of a dict.
    """

    name: str
    rule: Rule | None
    required: bool = True
    positional: bool = True
    keyword: bool = False
    attributes: Rules | None = None


class Signature:
    """The parameters of one procedure, positional ones first."""

    __slots__ = ("_by_name", "_parameters", "_positional")

    def __init__(self, *parameters: Parameter) -> None:
        self._parameters = parameters
        self._positional = [parameter for parameter in parameters if parameter.positional]
        self._by_name = {parameter.name: parameter for parameter in parameters if parameter.keyword}

    def read(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """Return the values of all parameters, in the order of the signature.

        Raises InvalidArgument, ``wamp.error.invalid_argument``, with the name of each invalid argument and
        the reason. At most ten errors are reported.
        """
        given: dict[str, Any] = {}
        found = chain(
            self._read_args(args, given), self._read_kwargs(kwargs, given), self._check_rules(given)
        )
        errors = list(islice(found, _MAX_ERRORS))
        if errors:
            raise InvalidArgument(
                "; ".join([_sentence(argument, reason) for argument, reason in errors]),
                errors=[{"argument": argument, "path": [], "reason": reason} for argument, reason in errors],
            )
        return [given.get(parameter.name) for parameter in self._parameters]

    def _read_args(self, args: Sequence[Any], given: dict[str, Any]) -> Iterator[_ArgumentError]:
        for parameter, value in zip(self._positional, args, strict=False):
            given[parameter.name] = value
        most = len(self._positional)
        if len(args) > most:
            yield (
                None,
                f"takes {most or 'no'} positional argument{'' if most == 1 else 's'}, got {len(args)}",
            )

    def _read_kwargs(self, kwargs: Mapping[str, Any], given: dict[str, Any]) -> Iterator[_ArgumentError]:
        for name, value in kwargs.items():
            if name in self._by_name and name in given:
                yield name, "given both as a positional and as a keyword argument"
            elif name in self._by_name:
                given[name] = value
            elif any(parameter.name == name for parameter in self._positional):
                yield name, "takes a positional argument only"
            else:
                yield _shorten(name), "unexpected keyword argument"

    def _check_rules(self, given: Mapping[str, Any]) -> Iterator[_ArgumentError]:
        for parameter in self._parameters:
            value = given.get(parameter.name)
            if value is None and not parameter.required:
                continue
            if parameter.name not in given:
                yield parameter.name, "missing argument"
            elif (reason := _violation(parameter.rule, value)) is not None:
                yield parameter.name, reason
            elif parameter.attributes is not None and value is not None:
                yield from _attribute_errors(parameter.name, value, parameter.attributes)


#: The name of the argument, None if it has none, and the reason why it is invalid.
_ArgumentError = tuple[str | None, str]

# These limits keep the ERROR small, whatever the caller has sent.
_MAX_ERRORS: Final = 10
_MAX_NAME_LENGTH: Final = 100


def _shorten(name: str) -> str:
    return name if len(name) <= _MAX_NAME_LENGTH else f"{name[:_MAX_NAME_LENGTH]}..."


def _attribute_errors(name: str, value: Mapping[str, Any], attributes: Rules) -> Iterator[_ArgumentError]:
    for attribute, rule in attributes.items():
        found = value.get(attribute)
        # Null means absent, as in the options of messages.
        if found is not None and (reason := _violation(rule, found)) is not None:
            yield f"{name}.{attribute}", reason


def _violation(rule: Rule | None, value: object) -> str | None:
    if rule is None:
        return None
    # Text may be a subclass: the one that stands for a date in CBOR, for example.
    if type(value) is not rule.type and not (rule.type is str and isinstance(value, str)):
        return f"must be {rule.expected}, got {type(value).__name__}"
    if rule.accepts is not None and not rule.accepts(value):
        return f"must be {rule.expected}"
    return None


def _sentence(argument: str | None, reason: str) -> str:
    return reason if argument is None else f"argument {argument!r}: {reason}"
