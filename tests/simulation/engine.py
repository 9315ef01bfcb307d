"""A simulated engine, network and clock, with faults."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Protocol

from wampasgi.router.cluster import Cluster

#: The maximum delay of a frame without faults, in seconds.
USUAL_DELAY = 0.005


class Process(Protocol):
    """A node of the cluster, as the engine sees it."""

    id: int
    cluster: Cluster
    alive: bool
    connected: bool
    paused: bool
    waiting: list[Callable[[], None]]

    def receive(self, frame: bytes) -> None: ...


class Engine:
    """Carries frames in order from each node to each other, except for those that faults remove."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 1000.0
        self.processes: dict[int, Process] = {}
        self.cut: set[tuple[int, int]] = set()
        self.loss = 0.0
        self.max_delay = USUAL_DELAY
        self.up = True
        #: True once a fault has happened.
        self.faulty = False
        self._arrivals: dict[tuple[int, int], float] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._last = 0
        self._run = 0  # frames of an earlier run of the engine are lost

    # Time

    def later(self, delay: float, action: Callable[[], None]) -> None:
        self._last += 1
        heapq.heappush(self._events, (self.now + delay, self._last, action))

    def run(self, seconds: float) -> None:
        end, events = self.now + seconds, self._events
        while events and events[0][0] <= end:
            self.now, _, action = heapq.heappop(events)
            action()
        self.now = end

    # Frames

    def send(self, sender: Process, to: int, frame: bytes) -> None:
        receiver = self.processes.get(to)
        if receiver is not None and sender.alive and sender.connected:
            self._carry(sender, receiver, frame)

    def broadcast(self, sender: Process, frame: bytes) -> None:
        if sender.alive and sender.connected:
            for receiver in self.processes.values():
                self._carry(sender, receiver, frame)

    def _carry(self, sender: Process, receiver: Process, frame: bytes) -> None:
        path, run = (sender.id, receiver.id), self._run
        if path in self.cut or not receiver.connected or (self.loss and self.random.random() < self.loss):
            return
        arrival = max(self._arrivals.get(path, 0.0), self.now + self.random.random() * self.max_delay)
        self._arrivals[path] = arrival

        def deliver() -> None:
            if not receiver.alive or run != self._run or not receiver.connected or path in self.cut:
                return
            if receiver.paused:
                receiver.waiting.append(lambda: receiver.receive(frame))
            else:
                receiver.receive(frame)

        self.later(arrival - self.now, deliver)

    # Faults

    def disconnect(self, process: Process) -> None:
        self.faulty = True
        if process.alive and process.connected:
            process.connected = False
            if process.paused:
                process.waiting.append(lambda: process.cluster.disconnected(self.now))
            else:
                process.cluster.disconnected(self.now)

    def connect(self, process: Process) -> None:
        if process.alive and self.up and not process.connected and not process.paused:
            process.connected = True
            process.cluster.connected(self.now)

    def stop(self) -> None:
        self.up = False
        self._run += 1
        for process in self.processes.values():
            self.disconnect(process)

    def start(self) -> None:
        self.up = True
        for process in self.processes.values():
            self.later(self.random.uniform(0, 0.2), lambda process=process: self.connect(process))  # type: ignore[misc]

    def pause(self, process: Process) -> None:
        self.faulty = True
        process.paused = True

    def resume(self, process: Process) -> None:
        if process.alive and process.paused:
            process.paused = False
            waiting, process.waiting = process.waiting, []
            for action in waiting:
                action()

    def kill(self, process: Process) -> None:
        self.faulty = True
        self.remove(process)

    def remove(self, process: Process) -> None:
        process.alive = False
        del self.processes[process.id]

    def separate(self, one: int, other: int) -> None:
        """Lose all frames from one node to another."""
        self.faulty = True
        self.cut.add((one, other))

    def lose(self, share: float) -> None:
        self.faulty = self.faulty or share > 0
        self.loss = share

    def heal(self) -> None:
        """End all faults."""
        self.cut.clear()
        self.loss = 0.0
        self.max_delay = USUAL_DELAY
        for process in list(self.processes.values()):
            self.resume(process)
        self.start()
