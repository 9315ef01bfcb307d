"""The devices of the fleet, in memory, and the simulation of their readings."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

import anyio

from examples.fleet.models import Device, Location, NewDevice, Sensor, Status, UnknownDevice, Valve


class Fleet:
    """The devices by their IDs."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self.devices = {
            device.id: device
            for device in (
                Device(
                    id="pump-1",
                    location=Location(latitude=48.4, longitude=9.99, floor=2),
                    parts=[Sensor(unit="bar", interval=5), Valve(diameter=80)],
                    labels={"hall": "north"},
                    added=now,
                ),
                Device(
                    id="boiler-2",
                    location=Location(latitude=48.41, longitude=9.98, floor=-1),
                    parts=[Sensor(unit="°C", interval=2)],
                    added=now,
                ),
                Device(
                    id="tank-3",
                    location=Location(latitude=48.39, longitude=10.01),
                    parts=[Sensor(unit="%", interval=30)],
                    status=Status.offline,
                    added=now,
                ),
            )
        }

    def get(self, device_id: str) -> Device:
        """Return a device. Raises UnknownDevice."""
        try:
            return self.devices[device_id]
        except KeyError:
            raise UnknownDevice(device=device_id) from None

    def add(self, new: NewDevice) -> Device:
        """Add a device, or replace the one with the same ID."""
        device = Device(**new.model_dump(), added=datetime.now(UTC))
        self.devices[device.id] = device
        return device

    async def next_reading(self) -> tuple[str, float]:
        """Wait for the next reading of a device that is online, and return its ID and the value."""
        while True:
            await anyio.sleep(random.uniform(0.2, 0.8))
            online = [device for device in self.devices.values() if device.status is Status.online]
            if online:
                device = random.choice(online)
                value = 20 + 5 * math.sin(anyio.current_time() / 10) + random.random()
                return device.id, round(value, 2)
