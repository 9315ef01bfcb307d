from __future__ import annotations

from tests.asyncapi.descriptions import interface, parameter, payload, procedure, shop, topic
from wampasgi.asyncapi import asyncapi_document
from wampasgi.asyncapi.untyped import untyped_parts

POINT = {"x-python-type": "app.Point"}


def test_each_place_of_a_type_without_schema_is_listed_once() -> None:
    description = interface(
        "map",
        procedures=[
            procedure("move", parameters=[parameter("to", {"type": "array", "items": POINT})]),
            procedure("find", result=payload(POINT), progressive=True, progress=payload(POINT)),
        ],
        topics=[topic("moved", event=payload(POINT), publish=True, parameters=[parameter("to", POINT)])],
        errors=[{"uri": "lost", "description": None, "payload": payload(POINT)}],
        **{"$defs": {"Line": {"properties": {"start": POINT, "end": POINT}}}},
    )

    assert untyped_parts(asyncapi_document([description], title="Map", version="1")) == [
        "procedure find: result: app.Point",
        "procedure find: progressive results: app.Point",
        "procedure move: arguments: app.Point",
        "topic moved: event: app.Point",
        "topic moved: arguments of publications: app.Point",
        "model Line: app.Point",
        "error lost: app.Point",
    ]


def test_described_types_and_undescribed_payloads_are_not_listed() -> None:
    assert untyped_parts(asyncapi_document([shop()], title="Shop", version="1")) == []
