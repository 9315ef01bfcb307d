"""A fleet of devices: models, progress, errors, topics and roles, and a page that describes and calls them.

Run ``make explore``, or ``OPERATOR_TICKET=... uvicorn examples.fleet.app:app`` and open http://127.0.0.1:8000/docs.
Everybody may look at the fleet. To change it, log in as ``operator`` with the ticket.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import anyio
from pydantic import Field

from examples.fleet.fleet import Fleet
from examples.fleet.models import (
    Device,
    DeviceId,
    DeviceOffline,
    NewDevice,
    Status,
    StatusChange,
    UnknownDevice,
)
from wampasgi import Application, Identity, Progress, Session, Topic, WAMPRouter

fleet = Fleet()
status_changed = Topic("fleet.status.changed", StatusChange)
operators = WAMPRouter(prefix="fleet.", roles="operator")


@asynccontextmanager
async def lifespan(app: Application) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish_readings)
        yield
        tasks.cancel_scope.cancel()


app = Application(
    title="Fleet",
    version="1.2.0",
    description="Devices in the field: their status, their readings, and updates of their firmware.",
    docs_url="/docs",
    asyncapi_url="/asyncapi.json",
    allow_anonymous=True,
    lifespan=lifespan,
)
app.add_topic(status_changed, summary="Changes of status", tags="devices")

# The operator sees the tabs for sessions and metrics, too.
for prefix in ("wamp.session.", "wamp.registration.", "wamp.subscription.", "wamp.metrics."):
    app.allow(prefix, "call", match="prefix", role="operator")
# Operators' tools may register procedures, which everybody may call.
app.allow("tools.", "register", match="prefix", role="operator")
app.allow("tools.", "call", match="prefix")

operator_ticket = os.environ.get("OPERATOR_TICKET", secrets.token_hex())


@app.ticket_authenticator
async def log_in(session: Session, ticket: str) -> Identity | None:
    if session.authid != "operator":
        return None
    if not secrets.compare_digest(ticket.encode(), operator_ticket.encode()):
        return None
    return Identity(authid="operator", authrole="operator")


@app.procedure("fleet.devices", tags="devices")
async def list_devices(
    status: Annotated[Status | None, Field(description="Null lists all devices")] = None,
    *,
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
) -> list[Device]:
    """List the devices, in the order of their IDs."""
    found = [fleet.devices[device_id] for device_id in sorted(fleet.devices)]
    return [device for device in found if status in (None, device.status)][:limit]


@app.procedure(
    "fleet.device.get",
    tags="devices",
    errors=[UnknownDevice],
    examples=[{"summary": "A pump", "args": ["pump-1"]}],
)
async def get_device(device: DeviceId) -> Device:
    """Return one device."""
    return fleet.get(device)


@operators.procedure(
    "device.add",
    tags="devices",
    examples=[
        {
            "summary": "A sensor in the cellar",
            "args": [
                {
                    "id": "probe-4",
                    "location": {"latitude": 48.4, "longitude": 10, "floor": -1},
                    "parts": [{"kind": "sensor", "unit": "°C", "interval": 10}],
                }
            ],
        }
    ],
)
async def add_device(device: NewDevice) -> Device:
    """Add a device to the fleet.

    A device with the same ID is replaced. Subscribers of `fleet.status.changed` get an event.
    """
    before = fleet.devices.get(device.id)
    added = fleet.add(device)
    await change_status(added, before=None if before is None else before.status)
    return added


@operators.procedure("firmware.update", tags="firmware", errors=[UnknownDevice, DeviceOffline])
async def update_firmware(
    device: DeviceId,
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$", examples=["2.0.0"])],
    *,
    seconds: Annotated[float, Field(gt=0, le=60, description="Length of the simulated update")] = 5,
) -> AsyncIterator[Progress[float] | Device]:
    """Update the firmware of a device, and report the progress.

    If the call is canceled, the device keeps its firmware.
    """
    found = fleet.get(device)
    if found.status is Status.offline:
        raise DeviceOffline("the device does not answer", device=device, last_seen=found.added)
    found.status = Status.updating
    await change_status(found, before=Status.online)
    try:
        for step in range(20):
            yield Progress(step / 20)
            await anyio.sleep(seconds / 20)
        found.firmware = version
    finally:
        found.status = Status.online
        with anyio.CancelScope(shield=True):
            await change_status(found, before=Status.updating)
    yield found


@operators.procedure("device.remove", tags="devices", errors=[UnknownDevice], deprecated=True)
async def remove_device(device: DeviceId) -> None:
    """Remove a device from the fleet."""
    found = fleet.get(device)
    del fleet.devices[device]
    await status_changed.publish(StatusChange(device=device, before=found.status, after=None))


@app.topic("fleet.readings.", match="prefix", event=float, tags="readings")
async def readings() -> None:
    """Readings of a device.

    The last component of the topic is the ID of the device, as in `fleet.readings.pump-1`.
    """


@app.subscriber("fleet.reports", tags="readings")
async def on_report(device: DeviceId, text: Annotated[str, Field(min_length=1, max_length=200)]) -> None:
    """Report something about a device.

    The label `report` of the device gets the text.
    """
    if device in fleet.devices:
        fleet.devices[device].labels["report"] = text


async def change_status(device: Device, *, before: Status | None) -> None:
    await status_changed.publish(StatusChange(device=device.id, before=before, after=device.status))


async def publish_readings() -> None:
    while True:
        device_id, value = await fleet.next_reading()
        await app.publish(f"fleet.readings.{device_id}", value)


app.include_router(operators)
