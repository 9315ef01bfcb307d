"""The description of a realm, made from its compiled configuration."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, get_origin

from wampasgi.configuration.handlers import Procedure, Subscriber, Topic
from wampasgi.configuration.plan import RealmPlan
from wampasgi.configuration.response_types import (
    FROM_ANNOTATION,
    declared_progress,
    filtered_type,
    is_empty_result,
    may_be_any_result,
    value_type,
)
from wampasgi.configuration.route_details import NO_DETAILS, DeclaredError, Details, json_form
from wampasgi.configuration.routes import Route, RouteMatch
from wampasgi.description.hints import hints_of
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
from wampasgi.description.schemas import SchemaCollection
from wampasgi.errors import WAMPError
from wampasgi.injection.annotations import plain_annotation
from wampasgi.injection.arguments import Payload, PayloadParameter, Rest
from wampasgi.injection.callables import EMPTY
from wampasgi.injection.plan import HandlerPlan
from wampasgi.router.matching import covers

# The routes of the handlers that answer for all URIs.
_EVERYTHING: tuple[RouteMatch, str] = ("prefix", "")


class Describer:
    """Describes one realm, and keeps the description until its handlers change."""

    def __init__(self, realm_uri: str) -> None:
        self._realm_uri = realm_uri
        self._described: tuple[RealmPlan, list[Procedure]] | None = None
        self._interface: Interface | None = None
        # The types that have been logged because they have no JSON Schema.
        self._reported: set[str] = set()

    def describe(self, plan: RealmPlan, *, strict: bool = False) -> Interface:
        """Describe the realm's own procedures and topics.

        A type without a JSON Schema is logged once. If ``strict`` is set, it raises ConfigurationError.
        """
        if strict:
            return self._describe(plan, strict=True)
        # Procedures can come and go at run time.
        procedures = described_procedures(plan)
        if self._interface is None or self._described is None or not _same(self._described, plan, procedures):
            self._interface = self._describe(plan)
            self._described = plan, procedures
        return self._interface

    def _describe(self, plan: RealmPlan, *, strict: bool = False) -> Interface:
        description = _Description()
        procedures = description.procedures(plan)
        topics = description.topics(plan)
        errors = description.errors(plan)
        return Interface(
            realm=self._realm_uri,
            procedures=procedures,
            topics=topics,
            errors=errors,
            definitions=description.schemas.generate(self._reported, strict=strict),
        )


def _same(described: tuple[RealmPlan, list[Procedure]], plan: RealmPlan, procedures: list[Procedure]) -> bool:
    old_plan, old_procedures = described
    # By identity, because plans hold objects of the application, whose comparison may have any result.
    return old_plan is plan and old_procedures == procedures


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
        if inspect.isclass(handler.function):
            # The result is an instance, and the annotation is that of the constructor.
            returned = EMPTY
        progress = declared_progress(returned, declared)
        return ProcedureDescription(
            uri=uri,
            match=match,
            provider="realm",
            parameters=self._parameters(where, handler.payload),
            result=self._result(where, declared, returned, unpacks=procedure.response.unpacks),
            progressive=handler.kind == "async_generator" or progress is not EMPTY,
            progress=self._values(progress, f"progress of {where}"),
            errors=tuple(dict.fromkeys(map(_error_uri, _details(route).errors))),
            **_texts((route, handler)),
        )

    def _result(
        self, where: str, declared: Any, returned: Any, *, unpacks: bool
    ) -> PayloadDescription | None:
        if declared is FROM_ANNOTATION:
            declared = returned
            if is_empty_result(returned):
                return self.schemas.payload(None, where)
        filtered = filtered_type(declared)
        # Lists and mappings may be spread over the payload.
        if may_be_any_result(declared) or (unpacks and _may_be_unpacked(filtered)):
            return None
        return self.schemas.payload(filtered, f"result of {where}")

    def _values(self, declared: Any, where: str) -> PayloadDescription | None:
        """Describe the payload of progress and events, None if they are not filtered."""
        return None if may_be_any_result(declared) else self.schemas.payload(value_type(declared), where)

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
                same = found.get(parameter.name)
                if same is None:
                    found[parameter.name] = self._parameter(where, kind, parameter)
                elif parameter.required and not same.required:
                    # A dependency reads the same argument as the handler, and has no default for it.
                    same.schema.pop("default", None)
                    found[parameter.name] = replace(same, required=True)
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
            with suppress(ValueError):
                schema["default"] = json_form(parameter.default)
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
            self._topic(plan, *entry, topic, subscribers)
            for entry, (topic, subscribers) in by_entry.items()
            if all(_details(each.route).include_in_schema for each in _handlers(topic, subscribers))
        )

    def _topic(
        self,
        plan: RealmPlan,
        match: RouteMatch,
        uri: str,
        topic: Topic | None,
        subscribers: Sequence[Subscriber],
    ) -> TopicDescription:
        where = f"topic {uri!r}"
        handlers = [(each.route, each.plan) for each in _handlers(topic, subscribers)]
        events = [_details(route).event for route, _ in handlers]
        event = next((each for each in events if each is not EMPTY), EMPTY)
        parameters = [self._parameters(where, subscriber.plan.payload) for subscriber in subscribers]
        return TopicDescription(
            uri=uri,
            match=match,
            provider="realm",
            event=self._values(event, f"event of {where}"),
            parameters=next((each for each in parameters if each is not None), None),
            # Rules and the handler of a pattern count, too.
            subscribe=topic is not None
            or (match == "exact" and plan.find_topic(uri) is not None)
            or (match != "regex" and plan.authorization.allows_somebody("subscribe", uri, match)),
            publish=match != "regex"
            and (
                any(covers(*entry, match, uri) for entry in plan.subscribers)
                or plan.authorization.allows_somebody("publish", uri, match)
            ),
            **_texts(*handlers),
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
        hints = hints_of(error)
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


def _texts(*handlers: tuple[Route | None, HandlerPlan]) -> dict[str, Any]:
    """Return the fields that descriptions of procedures and topics have in common.

    If a topic has several handlers, the first one with a text describes it.
    """
    details = [
        _details(route).with_docstring(handler.function if route is None else route.handler)
        for route, handler in handlers
    ]
    described = next((each for each in details if each.summary or each.description), details[0])
    return {
        "summary": described.summary,
        "description": described.description,
        "tags": tuple(dict.fromkeys(tag for each in details for tag in each.tags)),
        "deprecated": any(each.deprecated for each in details),
        "examples": tuple(
            ExampleDescription(example.summary, example.args, example.kwargs)
            for each in details
            for example in each.examples
        ),
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
    """Return whether values of a type may be lists or mappings. Tuples become the same payload anyway."""
    plain = plain_annotation(declared)
    kind = get_origin(plain) or plain
    if not isinstance(kind, type):
        return True
    # Of the abstract classes of dicts, lists have all but those of mappings.
    return issubclass(kind, list | Mapping) or issubclass(list, kind)


def _error_uri(error: DeclaredError) -> str:
    return error if isinstance(error, str) else error.uri


def _docstring(error: type[WAMPError]) -> str | None:
    return inspect.cleandoc(error.__doc__) if error.__doc__ else None
