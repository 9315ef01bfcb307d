"""The workers of one realm on a simulated engine, and a single process beside them to compare with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.router.session_details import Details
from tests.simulation.client import Client, Watcher
from tests.simulation.engine import Engine
from tests.simulation.records import Records
from wampasgi.protocol.messages import Invocation, Message
from wampasgi.router.cluster import Cluster
from wampasgi.router.clustered_router import ClusteredRouter
from wampasgi.router.interfaces import SharedEvent
from wampasgi.router.realm_channel import RealmChannel
from wampasgi.router.router import Router
from wampasgi.serializers.node_codec import decode_frame, encode_item
from wampasgi.types import Match

REALM = "realm"
ID_KEY = b"k" * 32
DEAD_AFTER = 6.0
TICK = 0.25
#: The time in which an action without faults ends, in seconds.
SETTLED = 0.06
HISTORY: tuple[Match, str, int] = ("prefix", "com.logged.", 4)


def _now() -> str:
    return "2026-11-23T12:00:00.000Z"


class Server:
    """The realm's own session on one process. Its handlers run once for each publication."""

    overloaded = False

    def __init__(self, records: Records) -> None:
        self.records = records

    def send(self, message: Message) -> None:
        assert not isinstance(message, Invocation)

    def send_event(self, event: SharedEvent) -> None:
        if event.relayed:
            return
        _, number, *testament = event.message.args or []
        if not testament:
            assert number not in self.records.handled, f"publication {number} is handled twice"
            self.records.handled.add(number)

    def revoke_subscription(self, subscription_id: int, reason: str | None) -> None:
        raise AssertionError("the subscriptions of the realm are not revoked")

    def say_goodbye(self, reason: str, message: str | None = None) -> None:
        raise AssertionError("the session of the realm does not end")


class SingleProcess:
    """A realm that one process serves: what the cluster is compared with."""

    alive = True

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.records = Records(engine)
        self.id = 0
        self.server_id = 10**15
        self.router: Router[Client] = _SingleRouter(now=_now)
        _configure(self.router, self.server_id, self.records)

    def later(self, delay: float, action: Callable[[], None]) -> None:
        self.engine.later(delay, action)


class _SingleRouter(Router[Client]):
    """A router with the IDs of subscriptions and registrations that a cluster has."""

    def _subscription_ids(self) -> Callable[[Match, str], int]:
        return _same_ids()._subscription_ids()  # noqa: SLF001 - of a sibling

    def _registration_ids(self) -> Callable[[Match, str], int]:
        return _same_ids()._registration_ids()  # noqa: SLF001 - of a sibling


def _same_ids() -> ObservedRouter:
    return _clustered_router(RealmChannel(REALM))


class ObservedRouter(ClusteredRouter[Client]):
    """A router that remembers when items of other nodes may have been lost, for each node."""

    losses: dict[int, list[tuple[float, float]]]
    engine: Engine

    def reset(self, node: int) -> None:
        self._lost(node)
        super().reset(node)

    def remove(self, node: int, *, orderly: bool) -> None:
        self._lost(node)
        super().remove(node, orderly=orderly)

    def _lost(self, node: int) -> None:
        intervals = self.losses.setdefault(node, [])
        if not intervals or intervals[-1][1] < float("inf"):
            intervals.append((self.engine.now, float("inf")))

    def end_snapshot(self, node: int) -> None:
        super().end_snapshot(node)
        intervals = self.losses.setdefault(node, [])
        if not intervals:
            # What happened before the nodes met, for example because the network was cut, was not lost.
            intervals.append((0.0, self.engine.now))
        intervals[-1] = intervals[-1][0], self.engine.now

    def may_lack(self, node: int, time: float) -> bool:
        """Return whether a loss was noticed after an item was sent."""
        return any(time <= end for _, end in self.losses.get(node, ()))


def _clustered_router(channel: RealmChannel) -> ObservedRouter:
    def report(topic: str, reason: str) -> None:
        raise AssertionError(f"an event of {topic} cannot be sent: {reason}")

    return ObservedRouter(channel, now=_now, id_key=ID_KEY, report=report, testaments_published=lambda: None)


def _configure(router: Router[Client], server_id: int, records: Records) -> None:
    router.attach(server_id, Details(), Server(records))
    match, topic, limit = HISTORY
    router.keep_history(topic, match, limit)
    router.broker.subscribe(server_id, "com.", "prefix")
    router.publish_meta_events()


class Worker:
    """A process of the cluster, which is also the observer of its cluster."""

    def __init__(self, engine: Engine, records: Records) -> None:
        self.engine = engine
        self.records = records
        self.id = engine.random.getrandbits(63) + 1
        self.alive = True
        self.connected = engine.up
        self.paused = False
        self.waiting: list[Callable[[], None]] = []
        self.killed_at: float | None = None
        self.events: Counter[str] = Counter()
        #: The times at which this worker noticed that frames of or to another one may be lost.
        self.noticed: list[float] = []
        self.server_id = self.id % 2**53 + 1
        self.cluster = Cluster(
            self.id,
            encode=encode_item,
            decode=decode_frame,
            send=lambda to, frame: engine.send(self, to, frame),
            broadcast=lambda frame: engine.broadcast(self, frame),
            max_frame=engine.random.choice([600, 2000, 100_000]),
            clock=lambda: engine.now,
            wake=lambda: self.later(0, self.cluster.flush),
            observer=self,
            dead_after=DEAD_AFTER,
        )
        channel = RealmChannel(REALM)
        self.router = _clustered_router(channel)
        self.router.losses, self.router.engine = {}, engine
        channel.bind(self.cluster)
        _configure(self.router, self.server_id, records)
        self.cluster.add_realm(REALM, self.router)
        self.watcher: Watcher | None = None

    def __repr__(self) -> str:
        return f"<Worker {self.id:x}>"

    def start(self) -> None:
        if not self.connected:
            self.cluster.disconnected(self.engine.now)
        self.cluster.start(self.engine.now)
        self.engine.later(self.engine.random.random() * TICK, self._tick)

    @property
    def usable(self) -> bool:
        """Return whether clients can do something on this worker now."""
        return self.alive and not self.paused and self.cluster.ready

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """Call a function, unless the process has died; later if it is paused."""

        def run() -> None:
            if self.paused:
                self.waiting.append(run)
            elif self.alive:
                action()

        self.engine.later(delay, run)

    def receive(self, frame: bytes) -> None:
        self.cluster.received(frame, self.engine.now)

    def _tick(self) -> None:
        if self.alive:
            if not self.paused:
                self.cluster.tick(self.engine.now)
            self.engine.later(TICK, self._tick)

    # As the observer of the cluster

    def _notice(self, name: str) -> None:
        self.events[name] += 1
        self.noticed.append(self.engine.now)

    def ready(self) -> None:
        self.events["ready"] += 1

    def joined(self, node: int) -> None:
        self.events["joined"] += 1

    def left(self, node: int) -> None:
        self._notice("left")

    def buried(self, node: int, silent_for: float) -> None:
        self._notice("buried")

    def reinstated(self, node: int) -> None:
        self._notice("reinstated")

    def was_buried(self, by: int) -> None:
        self._notice("was_buried")

    def gap(self, node: int, lost: int) -> None:
        self._notice("gap")

    def deaf(self) -> None:
        self._notice("deaf")
        self.engine.later(0, lambda: self.engine.disconnect(self))
        self.engine.later(0.1, lambda: self.engine.connect(self))

    def hearing(self) -> None:
        self._notice("hearing")

    def refused_version(self, node: int, version: int) -> None:
        raise AssertionError(f"version {version}")

    def malformed(self, node: int | None, reason: str) -> None:
        # An exception follows its report, and says more.
        assert reason == "an item could not be handled", reason


class World:
    """A cluster of workers with clients."""

    def __init__(self, seed: int, workers: int) -> None:
        self.engine = Engine(seed)
        self.records = Records(self.engine)
        self.workers: list[Worker] = []
        for _ in range(workers):
            self.add_worker()
        self.engine.run(1)
        assert all(worker.cluster.ready for worker in self.workers)

    def client(self, worker: Worker, *, number: int = 1, features: bool = True) -> Client:
        """Return a client that has joined at a worker; ``number`` decides its authid and authrole."""
        client = Client(worker, self.engine.random.getrandbits(53) + 1, number, features=features)
        client.join()
        return client

    def settle(self) -> None:
        """Let all actions end, if there are no faults."""
        self.engine.run(SETTLED)

    def add_worker(self) -> Worker:
        worker = Worker(self.engine, self.records)
        self.workers.append(worker)
        self.engine.processes[worker.id] = worker
        worker.start()
        return worker

    @property
    def live(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.alive]

    @property
    def usable(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.usable]

    def kill(self, worker: Worker) -> None:
        worker.killed_at = self.engine.now
        for call in self.records.calls.values():
            if any(invocation.callee.host is worker for invocation in call.invocations):
                call.touched = self.engine.now
        self.engine.kill(worker)

    def stop(self, worker: Worker) -> None:
        """End a worker in order: its sessions leave, and it says goodbye."""
        for client in [client for client in self.records.clients.values() if client.host is worker]:
            client.leave()
        self.engine.run(0.05)
        worker.cluster.leave()
        worker.cluster.flush()
        self.engine.remove(worker)

    def state(self) -> dict[str, Any]:
        return {repr(worker): worker.cluster.counts for worker in self.live}
