"""Response types: the declared type of a procedure's results, which filters what is sent."""

from __future__ import annotations

import types
import typing
from collections.abc import (
    Iterator,
    Mapping,
)
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import ValidationError

from wampasgi.errors import ConfigurationError
from wampasgi.injection.annotations import (
    ASYNC_ITERATORS,
    AWAITABLES,
    alias_value,
    is_union,
    nodes_of,
    plain_annotation,
)
from wampasgi.injection.callables import EMPTY
from wampasgi.injection.plan import HandlerPlan
from wampasgi.injection.results import (
    SCALARS,
    Convert,
    ConvertProgress,
    Progress,
    RPCErrorResult,
    RPCProgressReport,
    RPCResult,
    to_result,
    to_unpacked_result,
)
from wampasgi.injection.validation import (
    UnusableAnnotation,
    adapter_for,
    has_many_values,
    quick_validator,
)
from wampasgi.logs import fields, logger_named
from wampasgi.serializers.json_form import JSONForm

logger = logger_named("wampasgi.router")


class _FromAnnotation:
    """The default of ``response_type``."""

    def __repr__(self) -> str:
        return "<return annotation>"


#: The response type of a route that does not set one: the handler's return annotation.
FROM_ANNOTATION: Final[Any] = _FromAnnotation()


class Response:
    """The conversion of a handler's values into results.

    ``to_client`` and ``to_server`` convert a value for a caller that is a client, or the server's own code.
    Values of the types ``scalars`` become the only argument of a result without any conversion. ``progress``
    filters progress reports for a client; None leaves them unchanged. ``unpacks`` is set if lists and
    mappings are spread over the payload.
    """

    __slots__ = ("progress", "scalars", "to_client", "to_server", "unpacks")

    def __init__(
        self,
        scalars: frozenset[type],
        to_client: Convert,
        to_server: Convert,
        progress: ConvertProgress | None,
        *,
        unpacks: bool,
    ) -> None:
        self.unpacks = unpacks
        self.scalars = scalars
        self.to_client = to_client
        self.to_server = to_server
        self.progress = progress


def compile_response(plan: HandlerPlan, response_type: Any, *, unpack: bool) -> Response:
    """Compile the response type of a handler. ``unpack`` spreads lists and mappings, as serverwamp does.

    Raises ConfigurationError if ``response_type`` was set to a type that pydantic cannot validate. For such a
    return annotation there is only a warning, because not every annotation is made for a response.
    """
    from_annotation = response_type is FROM_ANNOTATION
    declared = plan.returns.annotation if from_annotation else response_type
    filtered = filtered_type(declared)
    progress = _progress_filter(plan, response_type)
    convert = to_unpacked_result if unpack else to_result
    problem = plan.returns.problem if from_annotation else None
    if problem is None and filtered is not Any:
        try:
            response_filter = ResponseFilter(filtered, f"{plan.description} returned a value", convert)
        except UnusableAnnotation as error:
            problem = f"pydantic cannot filter its results as {_shown(filtered)}: {error}"
        else:
            return Response(
                _scalars_of(filtered),
                response_filter.to_client,
                response_filter.to_server,
                progress,
                unpacks=unpack,
            )
    if problem is not None:
        advice = "; declare the type with response_type=..., or set response_type=None"
        if not from_annotation:
            raise ConfigurationError(f"{plan.description}: {problem}{advice}")
        logger.warning(
            "the results of %s are sent unfiltered: %s%s",
            plan.description,
            problem,
            advice,
            extra=fields(None, None),
        )
    return Response(SCALARS, convert, convert, progress, unpacks=unpack)


def _progress_filter(plan: HandlerPlan, response_type: Any) -> ConvertProgress | None:
    """Return the filter of a handler's progress reports, or None if it declares no type for them.

    Raises ConfigurationError if pydantic cannot validate the type.
    """
    progress = declared_progress(plan.returns.annotation, response_type)
    if progress is EMPTY:
        return None
    progress = value_type(progress)
    if progress is Any:
        return None
    try:
        to_client = ResponseFilter(progress, f"{plan.description} yielded progress", to_result).to_client
    except UnusableAnnotation as error:
        raise ConfigurationError(
            f"{plan.description}: pydantic cannot filter its progress as {_shown(progress)}: {error}; yield "
            f"RPCProgressReport instead of Progress"
        ) from error

    def convert(report: RPCProgressReport) -> RPCProgressReport:
        if not isinstance(report, Progress):
            return report
        payload = to_client(report.value)
        return RPCProgressReport(payload.args, payload.kwargs)

    return convert


class ResponseFilter:
    """Validates a handler's values against a declared type, and reduces them to the parts that it declares.

    A value can also be an object with attributes of the same names as the fields, such as a row of an ORM.
    ``source`` begins the messages about values that are not valid: "... returned a value".
    """

    __slots__ = (
        "_convert",
        "_form",
        "_is_any_list",
        "_items",
        "_shown",
        "_source",
        "_validate",
        "_validate_all",
    )

    def __init__(self, response_type: Any, source: str, convert: Convert) -> None:
        adapter = adapter_for(response_type)
        self._validate = quick_validator(adapter).validate_python
        self._validate_all = adapter.validate_python
        # Valid values of these types are their own JSON form.
        self._form = None if _is_plain(response_type) else JSONForm(adapter)
        self._items = _items_of(response_type)
        self._is_any_list = response_type is list or response_type == list[Any]
        self._source = source
        self._shown = _shown(response_type)
        self._convert = convert

    def to_server(self, value: Any) -> RPCResult | RPCErrorResult:
        """Return the result with the validated value. Raises TypeError for a value that is not valid.

        An instance of a subclass of the declared model keeps its additional fields.
        """
        if isinstance(value, RPCResult | RPCErrorResult):
            return value
        return self._convert(self._validated(value))

    def to_client(self, value: Any) -> RPCResult | RPCErrorResult:
        """Return the result with the JSON form of the value.

        Raises TypeError for a value that is not valid or that pydantic cannot serialize.
        """
        if isinstance(value, RPCResult | RPCErrorResult):
            return value
        if type(value) is tuple and tuple(map(type, value)) == self._items:
            return RPCResult(value)
        validated = self._validated(value)
        if self._form is None or (self._is_any_list and _PLAIN_ITEMS.issuperset(map(type, validated))):
            return self._convert(validated)
        try:
            form = self._form.convert(validated, strict=True)
        except ValueError as error:  # PydanticSerializationError, or a ValidationError of a lazy iterator
            raise TypeError(f"{self._source} that cannot be serialized as {self._shown}") from error
        # The type of the value decides, not that of its form: a model is one argument, its form a dict.
        if type(form) is list and isinstance(validated, tuple | list):
            return self._convert(tuple(form) if isinstance(validated, tuple) else form)
        if validated is None or isinstance(validated, Mapping):
            return self._convert(form)
        return RPCResult((form,))

    def _validated(self, value: Any) -> Any:
        try:
            return self._validate(value, from_attributes=True)
        except ValidationError as error:
            raise TypeError(self._describe(value, error)) from None

    def _describe(self, value: Any, error: ValidationError) -> str:
        """Describe why a value is not valid, without the value, which may be secret."""
        if not has_many_values(value):
            try:
                self._validate_all(value, from_attributes=True)
            except ValidationError as all_errors:
                error = all_errors
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        reasons = [f"{''.join(f'[{key!r}]' for key in item['loc'])} {item['msg']}" for item in errors[:3]]
        if len(errors) > len(reasons):
            reasons.append(f"and {len(errors) - len(reasons)} more")
        return (
            f"{self._source} that is not valid as {self._shown}: "
            f"{'; '.join(reason.strip() for reason in reasons)}"
        )


# Annotations

_OWN: Final = (RPCResult, RPCErrorResult)
_NONE: Final = (None, types.NoneType)
# The types of values that are their own JSON form, if no type is declared for them.
_PLAIN_ITEMS: Final = frozenset((*SCALARS, bytes, types.NoneType))


def filtered_type(annotation: Any) -> Any:
    """Return the type of the values to filter, or Any if there is nothing to filter.

    For an async iterator or an awaitable, that is the type of its values. RPCResult, RPCErrorResult and
    RPCProgressReport are left out of a union, because they are sent as they are.
    """
    kept = list(_members(annotation))
    if any(member is Any or member is object for member in kept):
        return Any
    if all(member in _NONE for member in kept):
        return Any
    return kept[0] if len(kept) == 1 else Union[tuple(kept)]  # noqa: UP007 - made at run time


def value_type(annotation: Any) -> Any:
    """Return the type of the values to filter for an annotation that is not a handler's result.

    In contrast to ``filtered_type``, None stands for itself: the values are None.
    """
    return types.NoneType if plain_annotation(annotation) in _NONE else filtered_type(annotation)


def is_empty_result(annotation: Any) -> bool:
    """Return whether a return annotation says that results are empty, as ``-> None`` does."""
    plain = alias_value(annotation)
    origin, arguments = get_origin(plain), get_args(plain)
    if origin in ASYNC_ITERATORS or origin in AWAITABLES:
        return is_empty_result(arguments[0 if origin in ASYNC_ITERATORS else -1])
    members = arguments if is_union(plain) else (plain,)
    # The values of an iterator that are no progress are its result.
    return all(member in _NONE or (get_origin(member) or member) is Progress for member in members)


def may_be_any_result(annotation: Any) -> bool:
    """Return whether a return annotation has RPCResult as one of its types, which is sent as it is."""
    plain = plain_annotation(annotation)
    origin, arguments = get_origin(plain), get_args(plain)
    if origin in ASYNC_ITERATORS or origin in AWAITABLES:
        return may_be_any_result(arguments[0 if origin in ASYNC_ITERATORS else -1])
    return any(map(may_be_any_result, arguments)) if is_union(plain) else plain is RPCResult


def declared_progress(returned: Any, response_type: Any) -> Any:
    """Return the type of the progress of a handler, or EMPTY if it declares none.

    ``response_type`` that does not name ``Progress`` replaces only the type of the final result, and None
    turns off all filters.
    """
    if response_type is None:
        return EMPTY
    found = EMPTY if response_type is FROM_ANNOTATION else _progress_type(response_type)
    return _progress_type(returned) if found is EMPTY else found


def _progress_type(annotation: Any) -> Any:
    """Return the type of the progress that an annotation declares with ``Progress[T]``, or EMPTY."""
    found = [
        get_args(node)[0] if get_args(node) else Any
        for node in nodes_of(annotation)
        if (get_origin(node) or node) is Progress
    ]
    if not found:
        return EMPTY
    return found[0] if len(found) == 1 else Union[tuple(found)]  # noqa: UP007 - made at run time


def _members(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, without those that are not filtered."""
    annotation = alias_value(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is EMPTY:
        yield Any
    elif annotation in (typing.NoReturn, typing.Never) or _is_class(annotation, _OWN) or origin is Progress:
        return
    elif _is_class(annotation, (*ASYNC_ITERATORS, *AWAITABLES)):
        yield Any
    elif is_union(annotation):
        for member in arguments:
            yield from _members(member)
    elif origin is Annotated:
        inner = list(_members(arguments[0]))
        if inner:
            union = inner[0] if len(inner) == 1 else Union[tuple(inner)]  # noqa: UP007
            yield Annotated[(union, *annotation.__metadata__)]
    elif origin in ASYNC_ITERATORS:
        yield from _members(arguments[0])
    elif origin in AWAITABLES:
        yield from _members(arguments[-1])
    else:
        yield annotation


def _is_class(annotation: Any, classes: tuple[type, ...]) -> bool:
    return isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, classes)


def _is_plain(response_type: Any) -> bool:
    """Return whether values of a type consist of scalars, lists, tuples and dicts with text keys."""
    # By identity, because metadata of ``Annotated`` need not be hashable.
    if any(response_type is kind for kind in (*SCALARS, None, types.NoneType, Ellipsis)):
        return True
    origin, arguments = get_origin(response_type), get_args(response_type)
    if origin is dict and arguments[0] is not str:
        return False
    is_plain_kind = origin in (list, tuple, dict) or is_union(response_type)
    return is_plain_kind and all(map(_is_plain, arguments))


def _items_of(response_type: Any) -> tuple[type, ...] | None:
    """Return the types of a tuple's items if all are scalars, whose values are valid without validation."""
    items = get_args(response_type)
    is_tuple = get_origin(response_type) is tuple and all(
        any(item is scalar for scalar in SCALARS) for item in items
    )
    return items if is_tuple and items else None


def _scalars_of(response_type: Any) -> frozenset[type]:
    """Return the scalar types whose values are valid without a look at them."""
    members = get_args(response_type) if is_union(response_type) else (response_type,)
    return frozenset(scalar for scalar in SCALARS if any(member is scalar for member in members))


def _shown(response_type: Any) -> str:
    return response_type.__name__ if _is_class(response_type, (object,)) else str(response_type)
