"""Tests of the fleet of devices in examples/fleet/. Those of its page are in tests/explorer/."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from examples.fleet import app as example
from examples.fleet.fleet import Fleet
from examples.fleet.models import Status
from wampasgi import WAMPError
from wampasgi.testing import SessionAborted, TestClient, WAMPSession

SENSOR = {"kind": "sensor", "unit": "bar", "interval": 1}
NEW_DEVICE = {"id": "probe-9", "location": {"latitude": 1, "longitude": 2}, "parts": [SENSOR]}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(example, "fleet", Fleet())
    with TestClient(example.app) as client:
        yield client


@pytest.fixture
def visitor(client: TestClient) -> Iterator[WAMPSession]:
    with client.wamp_session() as session:
        yield session


@pytest.fixture
def operator(client: TestClient) -> Iterator[WAMPSession]:
    with client.wamp_session(authid="operator", ticket=example.operator_ticket) as session:
        yield session


def test_wrong_ticket_is_refused(client: TestClient) -> None:
    with (
        pytest.raises(SessionAborted, match=r"wamp\.error\.authentication_failed"),
        client.wamp_session(authid="operator", ticket="wrong"),
    ):
        pass


def test_visitor_lists_devices_with_a_status(visitor: WAMPSession) -> None:
    assert [device["id"] for device in visitor.call("fleet.devices")] == ["boiler-2", "pump-1", "tank-3"]
    assert [device["id"] for device in visitor.call("fleet.devices", "offline")] == ["tank-3"]
    assert len(visitor.call("fleet.devices", limit=1)) == 1


def test_unknown_device_is_a_declared_error(visitor: WAMPSession) -> None:
    with pytest.raises(WAMPError) as caught:
        visitor.call("fleet.device.get", "pump-99")

    assert caught.value.uri == "com.example.fleet.unknown_device"
    assert caught.value.kwargs == {"device": "pump-99"}


def test_visitor_sees_only_what_it_may_use(visitor: WAMPSession, operator: WAMPSession) -> None:
    def uris(session: WAMPSession) -> list[str]:
        listed: list[str] = session.call("wamp.reflection.procedure.list")
        return listed

    assert uris(visitor) == ["fleet.devices", "fleet.device.get"]
    assert set(uris(operator)) - set(uris(visitor)) == {
        "fleet.device.add",
        "fleet.device.remove",
        "fleet.firmware.update",
    }
    described = visitor.call("wamp.reflection.describe")
    assert "NewDevice" not in described["$defs"]


def test_operator_adds_a_device_and_subscribers_hear_of_it(
    visitor: WAMPSession, operator: WAMPSession
) -> None:
    changes = visitor.subscribe("fleet.status.changed")

    added = operator.call("fleet.device.add", NEW_DEVICE)

    assert (added["status"], added["labels"]) == ("online", {})
    assert changes.next().args == [{"device": "probe-9", "before": None, "after": "online"}]
    with pytest.raises(WAMPError, match=r"wamp\.error\.not_authorized"):
        visitor.call("fleet.device.add", NEW_DEVICE)


def test_invalid_device_is_refused_with_the_path_of_the_error(operator: WAMPSession) -> None:
    valve = {"kind": "valve", "diameter": 0}
    with pytest.raises(WAMPError) as caught:
        operator.call("fleet.device.add", {**NEW_DEVICE, "parts": [SENSOR, valve]})

    assert [error["path"] for error in caught.value.kwargs["errors"]] == [["parts", 1, "diameter"]]


def test_update_reports_progress_and_changes_the_firmware(operator: WAMPSession) -> None:
    reports: list[Any] = []

    updated = operator.call(
        "fleet.firmware.update", "pump-1", "2.0.0", seconds=0.02, on_progress=reports.append
    )

    assert (updated["firmware"], updated["status"]) == ("2.0.0", "online")
    assert reports == [step / 20 for step in range(20)]


def test_canceled_update_keeps_the_firmware(operator: WAMPSession) -> None:
    changes = operator.subscribe("fleet.status.changed")
    pending = operator.start_call(
        "fleet.firmware.update", "pump-1", "2.0.0", seconds=60, options={"receive_progress": True}
    )
    pending.next_progress()
    pending.cancel()

    with pytest.raises(WAMPError, match=r"wamp\.error\.canceled"):
        pending.result()
    assert [changes.next().args[0]["after"] for _ in range(2)] == ["updating", "online"]
    assert operator.call("fleet.device.get", "pump-1")["firmware"] == "1.0.0"


def test_update_of_an_offline_device_fails_with_a_declared_error(operator: WAMPSession) -> None:
    with pytest.raises(WAMPError) as caught:
        operator.call("fleet.firmware.update", "tank-3", "2.0.0")

    assert caught.value.uri == "com.example.fleet.device_offline"
    assert set(caught.value.kwargs) == {"device", "last_seen"}


def test_readings_of_online_devices_are_published(visitor: WAMPSession) -> None:
    example.fleet.devices["boiler-2"].status = Status.offline

    reading = visitor.subscribe("fleet.readings.pump-1").next(timeout=5)

    assert isinstance(reading.args[0], float)


def test_report_becomes_a_label_of_the_device(visitor: WAMPSession) -> None:
    visitor.publish("fleet.reports", "pump-1", "leaks", acknowledge=True)

    # The handler runs after the acknowledgement.
    labels = (visitor.call("fleet.device.get", "pump-1")["labels"] for _ in range(100))
    assert {"hall": "north", "report": "leaks"} in labels


def test_operator_reads_the_metrics(visitor: WAMPSession, operator: WAMPSession) -> None:
    assert operator.call("wamp.metrics.get")["sessions"]["open"] == 2
    with pytest.raises(WAMPError, match=r"wamp\.error\.not_authorized"):
        visitor.call("wamp.metrics.get")
