"""The models of the fleet, which its procedures and topics send and accept."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from wampasgi import WAMPError

DeviceId = Annotated[str, Field(pattern=r"^[a-z]+-\d+$", description="Such as `pump-7`", examples=["pump-7"])]


class Status(StrEnum):
    online = "online"
    offline = "offline"
    updating = "updating"


class Location(BaseModel):
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    floor: int | None = Field(None, description="Null in the open air")


class Sensor(BaseModel):
    kind: Literal["sensor"] = "sensor"
    unit: Literal["°C", "bar", "%"]
    interval: float = Field(60, gt=0, description="Seconds between two readings")


class Valve(BaseModel):
    kind: Literal["valve"] = "valve"
    diameter: int = Field(gt=0, description="In millimetres")


class NewDevice(BaseModel):
    """A device to add to the fleet."""

    model_config = ConfigDict(extra="forbid")

    id: DeviceId
    location: Location
    parts: list[Annotated[Sensor | Valve, Field(discriminator="kind")]] = Field(min_length=1)
    labels: dict[str, str] = Field(default_factory=dict)


class Device(NewDevice):
    status: Status = Status.online
    firmware: str = "1.0.0"
    added: datetime


class StatusChange(BaseModel):
    """A device has changed its status."""

    device: DeviceId
    before: Status | None = Field(description="Null for a new device")
    after: Status | None = Field(description="Null for a device that was removed")


class UnknownDevice(WAMPError, uri="com.example.fleet.unknown_device"):
    """The fleet has no device with this ID."""

    device: str


class DeviceOffline(WAMPError, uri="com.example.fleet.device_offline"):
    """The device does not answer. Try again later."""

    device: str
    last_seen: datetime
