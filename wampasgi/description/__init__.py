"""The description of a realm, which its documentation, clients and generated code are made from."""

from __future__ import annotations

from wampasgi.description.definitions import Definition, check_definition, with_definitions
from wampasgi.description.describing import Describer
from wampasgi.description.interface import (
    ErrorDescription,
    ExampleDescription,
    Interface,
    ParameterDescription,
    PayloadDescription,
    ProcedureDescription,
    TopicDescription,
)

__all__ = [
    "Definition",
    "Describer",
    "ErrorDescription",
    "ExampleDescription",
    "Interface",
    "ParameterDescription",
    "PayloadDescription",
    "ProcedureDescription",
    "TopicDescription",
    "check_definition",
    "with_definitions",
]
