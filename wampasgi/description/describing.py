"""The description of a realm, made from its compiled configuration."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_origin, get_type_hints

from wampasgi.configuration.handlers import Procedure, Subscriber, Topic
from wampasgi.configuration.plan import RealmPlan
from wampasgi.configuration.response_types import (
    FROM_ANNOTATION,
    filtered_type,
    is_empty_result,
    progress_type,
)
from wampasgi.configuration.route_details import NO_DETAILS, DeclaredError, Details, Example
from wampasgi.configuration.routes import Route, RouteMatch
from wampasgi.description.interface import (
    ErrorDescription,
    ExampleDescription,
    Interface,
    ParameterDescription,
    ParameterKind,
    PayloadDescription,
    ProcedureDescription,
    Schema,
    TopicDescription,
)
from wampasgi.description.schemas import SchemaCollection, json_form
from wampasgi.errors import ConfigurationError, WAMPError
from wampasgi.injection.arguments import Payload, PayloadParameter, Rest
from wampasgi.injection.callables import EMPTY
from wampasgi.injection.plan import HandlerPlan

# The routes of the handlers that answer for all URIs.
_EVERYTHING: tuple[RouteMatch, str] = ("prefix", "")


class Describer:
    """Describes one realm, and keeps the description until its handlers change."""

    def __init__(self, realm_uri: str) -> None:
        self._realm_uri = realm_uri
        self._described: tuple[RealmPlan, list[Procedure]] | None = None
        self._interface: Interface | None = None

    def describe(self, plan: RealmPlan, *, strict: bool = False) -> Interface:
        """Describe the realm's own procedures and topics.

        Raises ConfigurationError if an example has no JSON form or, if ``strict`` is set, for a type without
        a JSON Schema.
        """
        if strict:
            return _describe(self._realm_uri, plan, strict=True)
        # Procedures can come and go at run time.
        described = (plan, described_procedures(plan))
        if self._interface is None or self._described != described:
            self._interface = _describe(self._realm_uri, plan)
            self._described = described
        return self._interface


def _describe(uri: str, plan: RealmPlan, *, strict: bool = False) -> Interface:
    description = _Description()
    procedures = description.procedures(plan)
    topics = description.topics(plan)
    errors = description.errors(plan)
    return Interface(
        realm=uri,
        procedures=procedures,
        topics=topics,
        errors=errors,
        definitions=description.schemas.generate(strict=strict),
    )


def described_procedures(plan: RealmPlan) -> list[Procedure]:
    """Return the procedures of a realm that its description shows."""
    if plan.procedure_for_all is not None:
        return [plan.procedure_for_all]
    return [
        procedure
        for procedure in (*plan.procedures, *plan.procedures_at_run_time)
        if _details(procedure.route).include_in_schema
    ]


def _details(route: Route | None) -> Details:
    return NO_DETAILS if route is None else route.details


class _Description:
    """Describes handlers. Their schemas are empty until ``schemas.generate`` is called."""

    def __init__(self) -> None:
        self.schemas = SchemaCollection()

    # Procedures

    def procedures(self, plan: RealmPlan) -> tuple[ProcedureDescription, ...]:
        return tuple(self._procedure(procedure) for procedure in described_procedures(plan))

    def _procedure(self, procedure: Procedure) -> ProcedureDescription:
        route, handler = procedure.route, procedure.plan
        match, uri = _EVERYTHING if route is None else (route.match, route.uri)
        where = f"procedure {uri!r}"
        declared = FROM_ANNOTATION if route is None else route.response_type
        returned = handler.returns.annotation
        progress = progress_type(returned)
        return ProcedureDescription(
            uri=uri,
            match=match,
            provider="realm",
            parameters=self._parameters(where, handler.payload),
            result=self._result(where, declared, returned, unpacks=procedure.response.unpacks),
            progressive=handler.kind == "async_generator" or progress is not EMPTY,
            progress=None if progress is EMPTY else self.schemas.payload(progress, f"progress of {where}"),
            errors=tuple(dict.fromkeys(map(_error_uri, _details(route).errors))),
            **self._texts(where, route, handler),
        )

    def _result(
        self, where: str, declared: Any, returned: Any, *, unpacks: bool
    ) -> PayloadDescription | None:
        if declared is FROM_ANNOTATION:
            declared = returned
            if is_empty_result(returned):
                return self.schemas.payload(None, where)
        filtered = filtered_type(declared)
        if filtered is Any:
            return None
        if unpacks and _may_be_unpacked(filtered):
            # Lists and mappings are spread over the payload.
            return None
        return self.schemas.payload(filtered, f"result of {where}")

    def _parameters(self, where: str, payload: Payload | None) -> tuple[ParameterDescription, ...] | None:
        if payload is None:
            return None
        kinds: Sequence[tuple[ParameterKind, Iterable[PayloadParameter]]] = (
            ("positional_only", payload.positional_only),
            ("positional_or_keyword", payload.by_either),
            ("keyword_only", payload.keyword_only),
            ("keyword_only", payload.shared),
        )
        found: dict[str, ParameterDescription] = {}
        for kind, parameters in kinds:
            for parameter in parameters:
                # A dependency reads the same argument as the handler.
                found.setdefault(parameter.name, self._parameter(where, kind, parameter))
        described = list(found.values())
        rest, by_name = payload.rest, payload.rest_by_name
        for kind, variadic in (("rest", rest), ("keyword_rest", by_name)):
            if variadic is not None:
                described.append(self._variadic(where, kind, variadic))
            elif payload.accepts_more:
                name = "args" if kind == "rest" else "kwargs"
                described.append(ParameterDescription(name, kind, required=False, schema={}))
        return tuple(sorted(described, key=lambda parameter: _KINDS.index(parameter.kind)))

    def _parameter(
        self, where: str, kind: ParameterKind, parameter: PayloadParameter
    ) -> ParameterDescription:
        schema = self.schemas.accepted(parameter.annotation, f"parameter {parameter.name!r} of {where}")
        if parameter.default is not EMPTY:
            # Merged with the schema when it is generated. A default that JSON cannot represent is not shown.
            try:
                schema["default"] = json_form(parameter.default)
            except ValueError:
                schema.pop("default", None)
        return ParameterDescription(parameter.name, kind, parameter.required, schema, parameter.more_names)

    def _variadic(self, where: str, kind: ParameterKind, rest: Rest) -> ParameterDescription:
        schema = self.schemas.accepted(rest.annotation, f"parameter {rest.name!r} of {where}")
        return ParameterDescription(rest.name, kind, required=False, schema=schema)

    # Topics

    def topics(self, plan: RealmPlan) -> tuple[TopicDescription, ...]:
        by_entry: dict[tuple[RouteMatch, str], tuple[Topic | None, list[Subscriber]]] = {}
        own = [plan.topic_for_all] if plan.topic_for_all is not None else list(plan.topics)
        for topic in own:
            entry = _EVERYTHING if topic.route is None else (topic.route.match, topic.route.uri)
            by_entry[entry] = (topic, [])
        for entry, subscribers in plan.subscribers.items():
            by_entry.setdefault(entry, (None, []))[1].extend(subscribers)
        return tuple(
            self._topic(*entry, topic, subscribers)
            for entry, (topic, subscribers) in by_entry.items()
            if all(_details(each.route).include_in_schema for each in _handlers(topic, subscribers))
        )

    def _topic(
        self, match: RouteMatch, uri: str, topic: Topic | None, subscribers: Sequence[Subscriber]
    ) -> TopicDescription:
        where = f"topic {uri!r}"
        main = topic if topic is not None else subscribers[0]
        details = [_details(each.route) for each in _handlers(topic, subscribers)]
        declared = next((each.event for each in details if each.event is not EMPTY), EMPTY)
        event = None if declared is EMPTY else self.schemas.payload(declared, f"event of {where}")
        parameters = [self._parameters(where, subscriber.plan.payload) for subscriber in subscribers]
        return TopicDescription(
            uri=uri,
            match=match,
            provider="realm",
            event=event,
            parameters=next((each for each in parameters if each is not None), None),
            subscribe=topic is not None,
            publish=bool(subscribers),
            **self._texts(where, main.route, main.plan),
        )

    # Errors

    def errors(self, plan: RealmPlan) -> tuple[ErrorDescription, ...]:
        declared: dict[str, DeclaredError] = {}
        for procedure in described_procedures(plan):
            for error in _details(procedure.route).errors:
                uri = _error_uri(error)
                # A class says more than a URI.
                if uri not in declared or isinstance(declared[uri], str):
                    declared[uri] = error
        return tuple(self._error(uri, error) for uri, error in declared.items())

    def _error(self, uri: str, error: DeclaredError) -> ErrorDescription:
        if isinstance(error, str):
            return ErrorDescription(uri=uri)
        names = error.fields()
        if not names:
            return ErrorDescription(uri=uri, description=_docstring(error))
        hints = get_type_hints(error, include_extras=True)
        where = f"error {uri!r}"
        properties = {name: self.schemas.sent(hints[name], f"{where}, field {name!r}") for name in names}
        kwargs: Schema = {
            "type": "object",
            "properties": properties,
            # The fields with a default are sent, too.
            "required": list(names),
            "additionalProperties": False,
        }
        return ErrorDescription(
            uri=uri,
            description=_docstring(error),
            payload=PayloadDescription(
                {"type": "array", "prefixItems": [], "minItems": 0, "items": {}}, kwargs
            ),
        )

    # Texts

    def _texts(self, where: str, route: Route | None, handler: HandlerPlan) -> dict[str, Any]:
        details = _details(route).with_docstring(handler.function if route is None else route.handler)
        return {
            "summary": details.summary,
            "description": details.description,
            "tags": details.tags,
            "deprecated": details.deprecated,
            "examples": tuple(_example(where, example) for example in details.examples),
        }


def _handlers(topic: Topic | None, subscribers: Sequence[Subscriber]) -> list[Topic | Subscriber]:
    return [*([] if topic is None else [topic]), *subscribers]


_KINDS: tuple[ParameterKind, ...] = (
    "positional_only",
    "positional_or_keyword",
    "rest",
    "keyword_only",
    "keyword_rest",
)


def _may_be_unpacked(declared: Any) -> bool:
    kind = get_origin(declared) or declared
    return not isinstance(kind, type) or issubclass(kind, list | tuple | Mapping)


def _example(where: str, example: Example) -> ExampleDescription:
    try:
        return ExampleDescription(
            example.summary, json_form(list(example.args)), json_form(dict(example.kwargs or {}))
        )
    except ValueError as error:
        raise ConfigurationError(f"{where}: the example {example} has no JSON form: {error}") from error


def _error_uri(error: DeclaredError) -> str:
    return error if isinstance(error, str) else error.uri


def _docstring(error: type[WAMPError]) -> str | None:
    return inspect.cleandoc(error.__doc__) if error.__doc__ else None
